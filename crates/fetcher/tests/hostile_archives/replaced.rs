//! What stands at an entry's name already.

use std::os::unix::fs::symlink;

use fetcher::extract::Refusal;
use rustix::fs::{CWD, FileType, Mode, mknodat};

use crate::archives::{Item, Packed, Scene, tar, zip};

/// What stands at an entry's own name is replaced, never followed, opened or waited for.
#[test]
fn what_was_planted_at_the_name_itself_is_replaced() {
    for planted in ["link", "dangling", "hard link", "FIFO", "file", "directory"] {
        for entry in [
            Item::file("name", "new"),
            Item::directory("name"),
            Item::symlink("name", "x"),
            Item::hard_link("name", "first"),
        ] {
            let scene = Scene::new();
            let at = scene.path("name");
            match planted {
                "link" => symlink(scene.outside().join("secret"), at).expect("linked"),
                "dangling" => symlink(scene.outside().join("new"), at).expect("linked"),
                "hard link" => {
                    std::fs::write(scene.path("other"), "other").expect("written");
                    std::fs::hard_link(scene.path("other"), at).expect("linked");
                }
                "FIFO" => mknodat(CWD, at, FileType::Fifo, Mode::RWXU, 0).expect("made"),
                "file" => std::fs::write(at, "old").expect("written"),
                _ => std::fs::create_dir(at).expect("made"),
            }
            scene.extract("a.tar", &tar(&[Item::file("first", "new"), entry.clone()])).ok();
            let expected = match entry.kind {
                b'5' => 0o040_000,
                b'2' => 0o120_000,
                _ => 0o100_000,
            };
            assert_eq!(scene.mode("name") & 0o170_000, expected, "{planted}, {entry:?}");
            if entry.kind < b'2' {
                assert_eq!(scene.read("name"), b"new");
            }
            if planted == "hard link" {
                assert_eq!(scene.read("other"), b"other", "the other name of the file keeps its content");
            }
            assert!(scene.names().iter().all(|name| !name.contains("tmp")), "{:?}", scene.names());
            scene.assert_outside_unchanged();
        }
    }
}

#[test]
fn a_full_directory_is_never_replaced() {
    for entry in [Item::file("name", "new"), Item::symlink("name", "x"), Item::hard_link("name", "first")] {
        let scene = Scene::new();
        std::fs::create_dir_all(scene.path("name/full")).expect("made");
        let (_, why) = scene.refusal("a.tar", &tar(&[Item::file("first", "new"), entry]));
        assert!(matches!(why, Refusal::FullDirectory), "{why:?}");
        assert_eq!(scene.names(), ["first", "name", "name/full"]);
    }
}

#[test]
fn the_sandboxs_own_log_files_are_left_alone() {
    for name in ["stdout", "./stderr", "/stdout", "stdout/below"] {
        for (archive, bytes) in
            [("a.tar", tar(&[Item::file(name, "forged")])), ("a.zip", zip(&[Packed::file(name, "forged")]))]
        {
            let scene = Scene::new();
            std::fs::write(scene.path("stdout"), "log").expect("written");
            let outcome = scene.extract(archive, &bytes);
            assert_eq!(outcome.notes.len(), 1, "{:?}", outcome.notes);
            outcome.ok();
            assert_eq!((scene.read("stdout"), scene.names().len()), (b"log".to_vec(), 1));
        }
    }
    let scene = Scene::new();
    std::fs::write(scene.path("stdout"), "log").expect("written");
    scene.extract("a.tar", &tar(&[Item::hard_link("copy", "stdout"), Item::file("sub/stdout", "")])).ok();
    assert_eq!(scene.names(), ["stdout", "sub", "sub/stdout"]);
}

#[test]
fn duplicate_entries_may_change_their_type() {
    let forms: [fn(&str) -> Item; 4] = [
        |name| Item::file(name, "file"),
        |name| Item::directory(name),
        |name| Item::symlink(name, "target"),
        |name| Item::hard_link(name, "target"),
    ];
    for first in forms {
        for last in forms {
            let scene = Scene::new();
            scene.extract("a.tar", &tar(&[Item::file("target", ""), first("name"), last("name")])).ok();
            let kind = match last("name").kind {
                b'5' => 0o040_000,
                b'2' => 0o120_000,
                _ => 0o100_000,
            };
            assert_eq!(scene.mode("name") & 0o170_000, kind);
            assert_eq!(scene.names(), ["name", "target"]);
        }
    }
    // A file in the way of a directory that no entry names.
    let scene = Scene::new();
    scene.extract("a.tar", &tar(&[Item::file("a", "file"), Item::file("a/b/c", "below")])).ok();
    assert_eq!(scene.read("a/b/c"), b"below");
}
