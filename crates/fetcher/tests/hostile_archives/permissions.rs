//! The modes and owners that an archive asks for.

use std::os::unix::fs::MetadataExt;
use std::path::Path;

use crate::archives::{Item, Packed, Scene, seal, tar, zip};

#[test]
fn set_user_id_set_group_id_and_sticky_bits_are_dropped_with_a_note() {
    for (name, bytes) in [
        ("a.tar", tar(&[Item::file("run", "x").mode(0o7777), Item::directory("dir").mode(0o3777)])),
        ("a.zip", zip(&[Packed::typed("run", 0o107_777, "x"), Packed::typed("dir/", 0o043_777, "")])),
    ] {
        let scene = Scene::new();
        let outcome = scene.extract(name, &bytes);
        assert_eq!(outcome.notes, ["Dropped the set-user-id, set-group-id or sticky bit of \"run\""]);
        outcome.ok();
        assert_eq!((scene.mode("run"), scene.mode("dir")), (0o100_755, 0o040_755));
    }
}

#[test]
fn a_directory_that_is_named_again_loses_permissions_and_never_gains_any() {
    let scene = Scene::new();
    std::fs::create_dir(scene.path("mine")).expect("made");
    std::fs::set_permissions(scene.path("mine"), std::os::unix::fs::PermissionsExt::from_mode(0o700))
        .expect("set");
    let items = [
        Item::file("secret/key", "x"),
        Item::directory("secret").mode(0o700),
        Item::directory("mine").mode(0o777),
        Item::directory("none").mode(0),
    ];
    scene.extract("a.tar", &tar(&items)).ok();
    assert_eq!(
        (scene.mode("secret"), scene.mode("mine"), scene.mode("none")),
        (0o040_700, 0o040_700, 0o040_700)
    );
}

#[test]
fn owners_are_not_taken_from_the_archive() {
    let scene = Scene::new();
    let mut header = Item::file("file", "").header();
    header[108..115].copy_from_slice(b"0023420");
    header[116..123].copy_from_slice(b"0023420");
    seal(&mut header);
    scene.extract("a.tar", &[header.to_vec(), vec![0; 1024]].concat()).ok();
    let (file, sandbox) =
        (scene.path("file").metadata().expect("there"), Path::new(scene.sandbox.path()).metadata());
    assert_eq!(file.uid(), sandbox.expect("there").uid());
}
