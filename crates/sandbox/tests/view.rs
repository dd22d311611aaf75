//! What a reader outside is shown of a hostile sandbox, and what not.

#![expect(clippy::unwrap_used, reason = "a test fails by a panic")]

use std::fs;
use std::io::Read as _;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;

use rustix::fs::{CWD, FileType, Mode, mknodat};
use sandbox::{RelPath, Sandbox, SandboxError, Viewed, view_own_file};

/// A sandbox with a neighbour, a secret above both, and every trick in it.
fn hostile() -> (tempfile::TempDir, Sandbox) {
    let root = tempfile::tempdir().unwrap();
    fs::write(root.path().join("secret"), "s").unwrap();
    let path = root.path().join("run");
    fs::create_dir_all(path.join("sub")).unwrap();
    fs::create_dir_all(root.path().join("runx")).unwrap();
    fs::write(root.path().join("runx/other"), "o").unwrap();
    fs::write(path.join("app-7.log"), "seven").unwrap();
    fs::write(path.join("sub/a.txt"), "a").unwrap();
    fs::write(path.join("twice"), "t").unwrap();
    fs::hard_link(path.join("twice"), path.join("again")).unwrap();
    symlink("app-7.log", path.join("app.log")).unwrap();
    symlink("../app-7.log", path.join("sub/up")).unwrap();
    symlink("sub", path.join("down")).unwrap();
    symlink("../secret", path.join("out")).unwrap();
    symlink("../runx/other", path.join("sideways")).unwrap();
    symlink("../run/app-7.log", path.join("out-and-back")).unwrap();
    symlink(root.path().join("secret"), path.join("absolute")).unwrap();
    symlink("/proc/self/root/etc/passwd", path.join("magic")).unwrap();
    symlink("loop", path.join("loop")).unwrap();
    symlink("nowhere", path.join("dangling")).unwrap();
    mknodat(CWD, path.join("fifo"), FileType::Fifo, Mode::from_raw_mode(0o600), 0).unwrap();
    let sandbox = Sandbox::open(&path).unwrap();
    (root, sandbox)
}

fn rel(path: &str) -> RelPath {
    RelPath::new(path).unwrap()
}

#[test]
fn files_and_links_that_stay_below_are_read() {
    let (_root, sandbox) = hostile();
    for (path, content) in [
        ("app-7.log", "seven"),
        ("app.log", "seven"),
        ("sub/a.txt", "a"),
        ("down/a.txt", "a"),
        ("sub/up", "seven"),
        ("down/up", "seven"),
    ] {
        let Viewed::File(mut file) = sandbox.view(Some(&rel(path))).unwrap() else { panic!("{path}") };
        let mut text = String::new();
        file.read_to_string(&mut text).unwrap();
        assert_eq!(text, content, "{path}");
    }
}

#[test]
fn what_leads_out_or_is_no_plain_file_is_refused() {
    let (_root, sandbox) = hostile();
    for path in ["out", "sideways", "out-and-back", "absolute", "magic", "loop"] {
        let error = sandbox.view(Some(&rel(path))).unwrap_err();
        assert!(matches!(error, SandboxError::Symlink { .. }), "{path}: {error}");
    }
    for path in ["fifo", "again", "twice"] {
        let error = sandbox.view(Some(&rel(path))).unwrap_err();
        assert!(matches!(error, SandboxError::Unexpected { .. }), "{path}: {error}");
    }
    for path in ["dangling", "none", "sub/none"] {
        assert!(sandbox.view(Some(&rel(path))).unwrap_err().is_not_found(), "{path}");
    }
}

#[test]
fn a_listing_shows_targets_below_and_links_that_lead_out() {
    let (_root, sandbox) = hostile();
    let listed = |path: Option<&str>| {
        let Viewed::Directory(dir) = sandbox.view(path.map(rel).as_ref()).unwrap() else { panic!() };
        dir.list(&sandbox, 100).unwrap()
    };
    let entries = listed(None);
    let kind = |name: &str| entries.iter().find(|entry| entry.name == name).unwrap().mode & 0o170_000;
    let (file, dir, link) = (0o100_000, 0o040_000, 0o120_000);
    for (name, expected) in [
        ("app-7.log", file),
        ("app.log", file),
        ("down", dir),
        ("sub", dir),
        ("out", link),
        ("sideways", link),
        ("absolute", link),
        ("magic", link),
        ("dangling", link),
        ("fifo", 0o010_000),
    ] {
        assert_eq!(kind(name), expected, "{name}");
    }
    assert!(entries.is_sorted_by_key(|entry| entry.name.clone()));
    assert_eq!(entries.iter().find(|entry| entry.name == "app.log").unwrap().size, 5);

    let below: Vec<_> =
        listed(Some("sub")).into_iter().map(|entry| (entry.name, entry.mode & 0o170_000)).collect();
    assert_eq!(below, [("a.txt".into(), file), ("up".into(), file)]);
    assert_eq!(listed(Some("down")).len(), 2);
}

#[test]
fn a_listing_has_a_bound() {
    let (_root, sandbox) = hostile();
    let Viewed::Directory(dir) = sandbox.view(None).unwrap() else { panic!() };
    let all = dir.list(&sandbox, 100).unwrap().len();
    assert_eq!(dir.list(&sandbox, all).unwrap().len(), all);
    let error = dir.list(&sandbox, all - 1).unwrap_err();
    assert!(matches!(error, SandboxError::TooManyEntries { .. }), "{error}");
}

#[test]
fn our_own_file_is_opened_through_links_but_only_when_regular() {
    let (root, _sandbox) = hostile();
    let log = root.path().join("current");
    symlink("secret", &log).unwrap();
    fs::set_permissions(root.path().join("secret"), fs::Permissions::from_mode(0o600)).unwrap();
    assert!(view_own_file(&log).is_ok());
    assert!(matches!(view_own_file(root.path()), Err(SandboxError::Unexpected { .. })));
    assert!(matches!(view_own_file(&root.path().join("run/fifo")), Err(SandboxError::Unexpected { .. })));
    assert!(view_own_file(Path::new("/nonexistent")).unwrap_err().is_not_found());
}
