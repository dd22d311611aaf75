//! Entries that are neither files, directories nor links.

use fetcher::extract::Refusal;

use crate::archives::{Item, Packed, Scene, tar, zip};
use crate::both::both;

#[test]
fn device_nodes_are_refused() {
    let device = |why: &Refusal| matches!(why, Refusal::Device);
    both(&Item::new(b'3', "null"), 0o020_666, device);
    both(&Item::new(b'4', "disk"), 0o060_666, device);
}

#[test]
fn fifos_and_sockets_are_refused() {
    both(&Item::new(b'6', "fifo"), 0o010_666, |why| matches!(why, Refusal::Fifo));
    let scene = Scene::new();
    let (_, why) = scene.refusal("a.zip", &zip(&[Packed::typed("socket", 0o140_666, "")]));
    assert!(matches!(why, Refusal::Socket));
}

#[test]
fn types_that_nobody_knows_are_refused() {
    let scene = Scene::new();
    for kind in [b'M', b'Z', b'9', 0xff] {
        assert!(matches!(scene.refusal("a.tar", &tar(&[Item::new(kind, "x")])).1, Refusal::Type(_)));
    }
    assert!(scene.names().is_empty());
}
