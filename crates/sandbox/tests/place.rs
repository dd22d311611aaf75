//! What is put below a sandbox: whole or not at all, in the place of what was there, never through it.

mod common;

use std::ffi::OsStr;
use std::io::Write;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};

use common::{Plant, Scene, TinyDisk, promptly, rel};
use sandbox::{Kind, MadeDirectory, Modified, Sandbox, SandboxError};

const WHEN: Modified = Modified { seconds: 1_000_000_000, nanoseconds: 5 };

fn names(scene: &Scene) -> Vec<String> {
    let listed = std::fs::read_dir(scene.sandbox.path()).expect("listed");
    let mut names: Vec<_> =
        listed.map(|entry| entry.expect("read").file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

/// Runs a check with each hostile thing at `name`, and looks at the outside afterwards. The link count of a file
/// outside goes down when its name in the sandbox is replaced, which is not a change of the file.
fn with_each_plant(name: &str, check: impl Fn(&Scene, Plant) + Sync) {
    for plant in Plant::ALL {
        let scene = Scene::new();
        if scene.plant(plant, name) {
            promptly(|| check(&scene, plant));
            scene.assert_outside_unchanged(&format!("{plant:?}"));
        }
    }
}

#[test]
fn a_staged_file_has_no_name_until_it_is_whole() {
    let scene = Scene::new();
    std::fs::create_dir(scene.path("dir")).expect("made");
    let mut staged = scene.sandbox.place(&rel("dir/file")).expect("a place").stage(0o640).expect("staged");
    staged.write_all(b"content").expect("written");
    assert_eq!(std::fs::read_dir(scene.path("dir")).expect("listed").count(), 0);
    staged.set_modified(WHEN).expect("set");
    assert_eq!(staged.path(), scene.path("dir/file"));
    staged.commit().expect("committed");
    let metadata = scene.path("dir/file").metadata().expect("there");
    assert_eq!((metadata.mode() & 0o7777, metadata.nlink(), metadata.mtime_nsec()), (0o640, 1, 5));
    assert_eq!(std::fs::read(scene.path("dir/file")).expect("read"), b"content");
}

#[test]
fn a_staged_file_that_is_given_up_leaves_nothing() {
    let scene = Scene::new();
    std::fs::write(scene.path("file"), "old").expect("written");
    let mut staged = scene.sandbox.place(&rel("file")).expect("a place").stage(0o644).expect("staged");
    staged.write_all(b"new").expect("written");
    drop(staged);
    assert_eq!(
        (names(&scene), std::fs::read(scene.path("file")).expect("read")),
        (vec!["file".to_owned()], b"old".to_vec())
    );
}

#[test]
fn a_staged_file_replaces_what_has_its_name() {
    with_each_plant("file", |scene, plant| {
        let staged = scene.sandbox.place(&rel("file")).expect("a place").stage(0o600).expect("staged");
        match staged.commit() {
            Ok(()) => {
                assert_ne!(plant, Plant::FullDirectory);
                assert!(scene.path("file").symlink_metadata().expect("there").is_file(), "{plant:?}");
            }
            Err(SandboxError::NotEmpty { .. }) => assert_eq!(plant, Plant::FullDirectory),
            Err(error) => panic!("{plant:?}: {error}"),
        }
        assert_eq!(names(scene), ["file"], "{plant:?}: no temporary name is left");
    });
}

#[test]
fn links_replace_what_has_their_name() {
    with_each_plant("name", |scene, plant| {
        let place = scene.sandbox.place(&rel("name")).expect("a place");
        let put = place.put_symlink(OsStr::new("target"), Some(WHEN));
        assert_eq!(put.is_err(), plant == Plant::FullDirectory, "{plant:?}");
        if put.is_ok() {
            assert_eq!(std::fs::read_link(scene.path("name")).expect("a link").as_os_str(), "target");
        }
        assert_eq!(names(scene), ["name"]);
    });
    with_each_plant("name", |scene, plant| {
        std::fs::write(scene.path("file"), "shared").expect("written");
        let file = scene.sandbox.pin_file(&rel("file")).expect("pinned");
        assert_eq!(file.links(), 1);
        let put = scene.sandbox.place(&rel("name")).expect("a place").put_hard_link(&file);
        assert_eq!(put.is_err(), plant == Plant::FullDirectory, "{plant:?}");
        // Once more, onto the other name of the same file.
        let again = scene.sandbox.place(&rel("name")).expect("a place").put_hard_link(&file);
        assert_eq!(again.is_err(), put.is_err());
        assert_eq!(names(scene), ["file", "name"]);
        let links = scene.path("file").metadata().expect("there").nlink();
        assert_eq!(links, if put.is_ok() { 2 } else { 1 });
        let id = scene.sandbox.pin_file(&rel("file")).expect("pinned").id();
        assert_eq!(id, file.id());
    });
}

#[test]
fn only_regular_files_are_linked_to() {
    with_each_plant("file", |scene, plant| {
        let pinned = scene.sandbox.pin_file(&rel("file"));
        assert_eq!(pinned.is_ok(), plant == Plant::HardLink, "{plant:?}");
        assert!(pinned.is_err() || pinned.is_ok_and(|file| file.links() == 2));
    });
}

#[test]
fn a_directory_is_made_or_was_there() {
    with_each_plant("name", |scene, plant| {
        let place = scene.sandbox.place(&rel("name")).expect("a place");
        match place.make_directory(0o755) {
            Ok(made) => assert!(made == MadeDirectory::Existed && plant.is_directory()),
            Err(SandboxError::Symlink { .. }) => assert!(plant.is_link()),
            Err(SandboxError::Unexpected { .. }) => assert!(!plant.is_directory() && !plant.is_link()),
            Err(error) => panic!("{plant:?}: {error}"),
        }
        assert_eq!(place.unlink().is_err(), plant.is_directory(), "{plant:?}");
        if !plant.is_directory() {
            assert_eq!(place.found().expect("looked"), None);
            assert_eq!(place.make_directory(0o700).expect("made"), MadeDirectory::Created);
        }
        assert_eq!(place.found().expect("looked"), Some(Kind::Directory));
        assert_eq!(place.path(), scene.path("name"));
    });
}

#[test]
fn a_directory_is_only_ever_narrowed() {
    let scene = Scene::new();
    let at = scene.path("dir");
    std::fs::create_dir(&at).expect("made");
    let place = scene.sandbox.place(&rel("dir")).expect("a place");
    for (before, mode, after) in
        [(0o755, 0o700, 0o700), (0o700, 0o777, 0o700), (0o750, 0o705, 0o700), (0o755, 0o755, 0o755)]
    {
        std::fs::set_permissions(&at, std::fs::Permissions::from_mode(before)).expect("set");
        place.narrow_directory(mode).expect("narrowed");
        assert_eq!(at.metadata().expect("there").mode() & 0o7777, after, "{before:o} by {mode:o}");
    }
    place.set_directory_modified(WHEN).expect("set");
    assert_eq!(at.metadata().expect("there").mtime(), WHEN.seconds);
    with_each_plant("other", |scene, plant| {
        let place = scene.sandbox.place(&rel("other")).expect("a place");
        assert_eq!(place.narrow_directory(0o700).is_ok(), plant.is_directory(), "{plant:?}");
        assert_eq!(place.set_directory_modified(WHEN).is_ok(), plant.is_directory(), "{plant:?}");
    });
}

#[test]
fn no_place_is_reached_through_a_link() {
    let scene = Scene::new();
    symlink(scene.outside(), scene.path("out")).expect("linked");
    std::fs::write(scene.path("file"), "").expect("written");
    for path in ["out/new", "out/deep/new"] {
        let error = scene.sandbox.place(&rel(path)).expect_err("refused");
        assert!(
            matches!(&error, SandboxError::Symlink { path, .. } if *path == scene.path("out")),
            "{error:?}"
        );
    }
    assert!(matches!(scene.sandbox.place(&rel("file/x")), Err(SandboxError::Unexpected { .. })));
    assert!(scene.sandbox.place(&rel("none/x")).expect_err("missing").is_not_found());
    assert!(scene.sandbox.pin_file(&rel("out/secret")).is_err());
    scene.assert_outside_unchanged("through links");
}

/// A held place stays the directory that it was, whatever its name leads to by now.
#[test]
fn a_place_is_not_moved_by_a_swap() {
    let scene = Scene::new();
    std::fs::create_dir(scene.path("dir")).expect("made");
    let place = scene.sandbox.place(&rel("dir/file")).expect("a place");
    std::fs::rename(scene.path("dir"), scene.path("moved")).expect("renamed");
    symlink(scene.outside(), scene.path("dir")).expect("linked");
    place.stage(0o644).expect("staged").commit().expect("committed");
    assert!(scene.path("moved/file").exists());
    scene.assert_outside_unchanged("swapped");
}

#[test]
fn a_full_disk_has_no_room_for_a_place() {
    let scene = Scene::new();
    let at = scene.path("disk");
    std::fs::create_dir(&at).expect("made");
    let Some(_disk) = TinyDisk::mount(&at, "a staged file on a full disk") else { return };
    let sandbox = Sandbox::open(&at).expect("opened");
    let mut staged = sandbox.place(&rel("big")).expect("a place").stage(0o644).expect("staged");
    let error = staged.write_all(&vec![1; 1 << 20]).expect_err("full");
    assert_eq!(error.kind(), std::io::ErrorKind::StorageFull);
    drop(staged);
    assert_eq!(std::fs::read_dir(&at).expect("listed").count(), 0);
}
