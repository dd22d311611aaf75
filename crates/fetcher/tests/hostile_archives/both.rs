//! One entry in an archive of each format.

use fetcher::extract::Refusal;

use crate::archives::{Item, Packed, Scene, tar, zip};

/// The same single entry as tar and as zip, with the reason for which both must be refused.
pub(crate) fn both(item: &Item, zip_mode: u32, check: impl Fn(&Refusal) -> bool) {
    let content = if item.link.is_empty() { &item.data } else { &item.link };
    let good = Item::file("before", "kept");
    for (name, bytes) in [
        ("a.tar", tar(&[good.clone(), item.clone(), Item::file("after", "")])),
        ("a.zip", zip(&[Packed::file("before", "kept"), Packed::typed(&item.name, zip_mode, content)])),
    ] {
        let scene = Scene::new();
        let (entry, why) = scene.refusal(name, &bytes);
        assert!(check(&why), "{name}: {why:?}");
        assert!(entry.starts_with('"') && entry.ends_with('"'), "{entry}");
        assert_eq!(scene.names(), ["before"], "what came before it stays, as in Mesos");
        scene.assert_outside_unchanged();
    }
}
