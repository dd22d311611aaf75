//! Removal of what tasks leave behind, and of what they build to make removal hard.

mod common;

use std::os::unix::fs::{MetadataExt, symlink};

use common::{Plant, Scene, TinyDisk, promptly};
use rustix::fs::{CWD, Mode, OFlags, mkdirat, openat};
use sandbox::{Removed, SandboxError, remove_all};

#[test]
fn removal_is_complete_counted_and_repeatable() {
    let scene = Scene::new();
    std::fs::create_dir_all(scene.path("a/b/c")).expect("made");
    for name in ["stdout", "a/1", "a/b/2", "a/b/c/3"] {
        std::fs::write(scene.path(name), "x").expect("written");
    }
    let path = scene.sandbox.path().to_owned();
    let removed = remove_all(&path).expect("removed");
    assert_eq!(removed, Removed { files: 4, directories: 4 });
    assert!(!path.exists() && path.parent().expect("has one").exists());
    assert_eq!(remove_all(&path).expect("nothing there is fine"), Removed::default());
}

#[test]
fn nothing_that_is_planted_is_followed() {
    let scene = Scene::new();
    let mut planted = 0;
    for plant in Plant::ALL {
        planted += u64::from(scene.plant(plant, &format!("{plant:?}")) && !plant.is_directory());
    }
    std::fs::create_dir(scene.path("loop")).expect("made");
    symlink("../loop", scene.path("loop/again")).expect("linked");
    symlink("/", scene.path("loop/root")).expect("linked");
    let removed = promptly(|| remove_all(scene.sandbox.path()).expect("removed"));
    assert_eq!(removed, Removed { files: planted + 2, directories: 6 });
    scene.assert_outside_unchanged("removal");
}

#[test]
fn ten_thousand_entries_go() {
    let scene = Scene::new();
    for number in 0..10_000 {
        std::fs::write(scene.path(&format!("a file with a name of some length, number {number}")), "")
            .expect("written");
    }
    for number in 0..2000 {
        std::fs::create_dir(scene.path(&format!("directory {number}"))).expect("made");
        std::fs::write(scene.path(&format!("directory {number}/file")), "").expect("written");
    }
    let removed = remove_all(scene.sandbox.path()).expect("removed");
    assert_eq!(removed, Removed { files: 12_000, directories: 2001 });
}

/// Deeper than a path may be long, so it can only be made, and removed, in relative steps.
#[test]
fn deep_nesting_needs_neither_a_deep_stack_nor_many_descriptors() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = Rlimit { current: Some(700), ..getrlimit(Resource::Nofile) };
    setrlimit(Resource::Nofile, limit).expect("lowered, and still enough for the tests beside this one");
    let scene = Scene::new();
    let path = scene.sandbox.path().to_owned();
    let mut at = openat(CWD, &path, OFlags::DIRECTORY, Mode::empty()).expect("opened");
    for _ in 0..2000 {
        for name in ["a directory with a name of its own", "second"] {
            mkdirat(&at, name, Mode::RWXU).expect("made");
        }
        drop(openat(&at, "file", OFlags::CREATE | OFlags::WRONLY, Mode::RUSR).expect("created"));
        at = openat(&at, "a directory with a name of its own", OFlags::DIRECTORY, Mode::empty())
            .expect("opened");
    }
    drop(at);
    let removed = remove_all(&path).expect("removed");
    assert_eq!(removed, Removed { files: 2000, directories: 4001 });
    assert!(!path.exists());
}

#[test]
fn names_like_ours_are_not_in_the_way_of_what_is_moved_up() {
    let scene = Scene::new();
    for number in 0..20 {
        std::fs::write(scene.path(&format!(".removing.{number}")), "").expect("written");
        std::fs::create_dir_all(scene.path(&format!(".removing.{}/x", number + 20))).expect("made");
    }
    let deep = "d/".repeat(100);
    std::fs::create_dir_all(scene.path(&deep).join("e/f")).expect("made");
    let removed = remove_all(scene.sandbox.path()).expect("removed");
    assert_eq!(removed.files, 20);
    // An empty directory that was replaced by one that moved up is gone, and not counted twice.
    assert!((140..=143).contains(&removed.directories), "{removed:?}");
}

#[test]
fn a_mount_inside_is_named_and_nothing_is_removed() {
    let scene = Scene::new();
    std::fs::create_dir_all(scene.path("data/vol ume")).expect("made");
    std::fs::write(scene.path("stdout"), "x").expect("written");
    let mount = scene.path("data/vol ume");
    let Some(disk) = TinyDisk::mount(&mount, "a mount inside of a sandbox") else { return };
    std::fs::write(mount.join("precious"), "data").expect("written");
    let error = remove_all(scene.sandbox.path()).expect_err("refused");
    let canonical = mount.canonicalize().expect("there");
    assert!(matches!(&error, SandboxError::Mounted { path, .. } if *path == canonical), "{error:?}");
    assert!(error.to_string().contains("unmount"), "{error}");
    assert_eq!(std::fs::read_to_string(mount.join("precious")).expect("kept"), "data");
    assert!(scene.path("stdout").exists());
    drop(disk);
    remove_all(scene.sandbox.path()).expect("removed once it is unmounted");
}

#[test]
fn a_bind_mount_of_the_same_file_system_is_no_way_out() {
    let scene = Scene::new();
    let mount = scene.path("mounted");
    std::fs::create_dir(&mount).expect("made");
    if let Err(errno) = rustix::mount::mount_bind(scene.outside(), &mount) {
        println!("SKIPPED: a bind mount inside of a sandbox: {errno}");
        return;
    }
    assert_eq!(mount.metadata().expect("there").dev(), scene.outside().metadata().expect("there").dev());
    let error = remove_all(scene.sandbox.path()).expect_err("refused");
    scene.assert_outside_unchanged("a bind mount");
    rustix::mount::unmount(&mount, rustix::mount::UnmountFlags::DETACH).expect("unmounted");
    assert!(matches!(error, SandboxError::Mounted { .. }), "{error:?}");
    remove_all(scene.sandbox.path()).expect("removed once it is unmounted");
    scene.assert_outside_unchanged("the removal");
}

#[test]
fn one_that_cannot_be_removed_does_not_keep_the_others() {
    use rustix::fs::{IFlags, ioctl_setflags};
    let scene = Scene::new();
    std::fs::create_dir_all(scene.path("a/stuck")).expect("made");
    for name in ["a/stuck/file", "a/other", "z", "0"] {
        std::fs::write(scene.path(name), "x").expect("written");
    }
    let stuck = std::fs::File::open(scene.path("a/stuck/file")).expect("opened");
    if let Err(errno) = ioctl_setflags(&stuck, IFlags::IMMUTABLE) {
        println!("SKIPPED: immutable files in a sandbox: {errno}");
        return;
    }
    let error = remove_all(scene.sandbox.path()).expect_err("incomplete");
    ioctl_setflags(&stuck, IFlags::empty()).expect("unset");
    let SandboxError::Incomplete { removed, first, .. } = &error else { panic!("{error:?}") };
    assert_eq!(*removed, Removed { files: 3, directories: 0 });
    assert_eq!(first.path(), scene.path("a/stuck/file"));
    assert!(error.to_string().contains("removed 3 files and 0 directories"), "{error}");
    assert_eq!(remove_all(scene.sandbox.path()).expect("removed"), Removed { files: 1, directories: 3 });
}

#[test]
fn somebody_who_keeps_filling_it_does_not_keep_us() {
    use std::sync::atomic::{AtomicBool, Ordering};
    let scene = Scene::new();
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut number = 0_u64;
            while !stop.load(Ordering::Relaxed) {
                number += 1;
                let _ = std::fs::create_dir_all(scene.path(&format!("d/{}", number % 50)));
                let _ = std::fs::write(scene.path(&format!("d/{}/f{number}", number % 50)), "");
                let _ = symlink(scene.outside(), scene.path(&format!("d/{}/l{number}", number % 50)));
            }
        });
        let result = promptly(|| remove_all(scene.sandbox.path()));
        stop.store(true, Ordering::Relaxed);
        match result {
            Ok(_) | Err(SandboxError::Incomplete { .. }) => {}
            Err(error) => panic!("{error:?}"),
        }
    });
    let _ = remove_all(scene.sandbox.path()).expect("removed");
    assert!(!scene.sandbox.path().exists());
    scene.assert_outside_unchanged("a race");
}
