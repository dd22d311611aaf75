//! Symbolic and hard links, those of the archive and those that were there before.

use std::os::unix::fs::symlink;
use std::sync::atomic::{AtomicBool, Ordering};

use fetcher::extract::{ExtractError, Refusal};

use crate::archives::{Item, Packed, Scene, chain, tar, zip};
use crate::both::both;

#[test]
fn symbolic_links_out_of_the_sandbox_are_refused() {
    for target in ["..", "../../outside/secret", "/etc/passwd", "/", "/mnt/mesos/sandbox/../x"] {
        both(&Item::symlink("link", target), 0o120_777, |why| matches!(why, Refusal::LinkOut { .. }));
    }
    both(&Item::symlink("link", "a/../../.."), 0o120_777, |why| matches!(why, Refusal::LinkTurns { .. }));
    both(&Item::symlink("link", [b'a'; 5000]), 0o120_777, |why| matches!(why, Refusal::LinkTarget));
    let scene = Scene::new();
    assert!(matches!(scene.refusal("a.tar", &tar(&[Item::symlink("link", "")])).1, Refusal::LinkTarget));
}

#[test]
fn nothing_is_written_through_a_symbolic_link_of_the_archive() {
    for below in [
        Item::file("link/file", "x"),
        Item::directory("link/directory"),
        Item::symlink("link/other", "file"),
        Item::hard_link("link/hard", "dir/file"),
    ] {
        let scene = Scene::new();
        let items = [
            Item::directory("dir"),
            Item::file("dir/file", "x"),
            Item::symlink("link", "dir"),
            below.clone(),
        ];
        let (entry, why) = scene.refusal("a.tar", &tar(&items));
        assert!(
            matches!(&why, Refusal::ThroughLink { directory } if *directory == scene.path("link")),
            "{why:?}"
        );
        assert_eq!(entry, format!("{:?}", String::from_utf8_lossy(&below.name)));
        assert_eq!(scene.names(), ["dir", "dir/file", "link"]);
    }
}

#[test]
fn nothing_is_written_through_a_link_that_was_planted_before() {
    for name in ["planted/file", "planted/deep/file", "planted/new/file"] {
        for (archive, bytes) in
            [("a.tar", tar(&[Item::file(name, "x")])), ("a.zip", zip(&[Packed::file(name, "x")]))]
        {
            let scene = Scene::new();
            symlink(scene.outside(), scene.path("planted")).expect("linked");
            assert!(matches!(scene.refusal(archive, &bytes).1, Refusal::ThroughLink { .. }));
            scene.assert_outside_unchanged();
        }
    }
}

#[test]
fn hard_links_out_of_the_sandbox_are_refused() {
    let scene = Scene::new();
    let secret = scene.outside().join("secret").display().to_string();
    for target in ["../../../outside/secret", "a/../../x"] {
        let (_, why) = scene.refusal("a.tar", &tar(&[Item::hard_link("link", target)]));
        assert!(matches!(why, Refusal::HardLinkName { .. }), "{target}: {why:?}");
    }
    // An absolute target means a file below the sandbox, and there is none.
    for target in [secret.as_str(), "missing", "/etc/passwd"] {
        let (_, why) = scene.refusal("a.tar", &tar(&[Item::hard_link("link", target)]));
        assert!(matches!(why, Refusal::HardLinkTarget { .. }), "{target}: {why:?}");
    }
    assert!(scene.names().is_empty());
    scene.assert_outside_unchanged();
}

/// A second name of a symbolic link, in another directory, would lead elsewhere than the link that was judged.
#[test]
fn hard_links_to_symbolic_links_and_through_them_are_refused() {
    for target in ["deep/link", "deep/link/file", "directory"] {
        let scene = Scene::new();
        let items = [
            Item::directory("directory"),
            Item::file("directory/file", ""),
            Item::symlink("deep/link", "../directory"),
            Item::hard_link("moved", target),
        ];
        let (entry, why) = scene.refusal("a.tar", &tar(&items));
        assert!(matches!(why, Refusal::HardLinkTarget { .. }), "{target}: {why:?}");
        assert_eq!(entry, "\"moved\"");
    }
}

/// Somebody gave a file outside a name in the sandbox; the archive cannot spread it.
#[test]
fn hard_links_to_files_with_names_elsewhere_are_refused() {
    let scene = Scene::new();
    let ours = scene.sandbox.path().parent().expect("has one").join("1/hidden");
    std::fs::write(scene.path("hidden"), "x").expect("written");
    std::fs::hard_link(ours, scene.path("planted")).expect("linked");
    let (_, why) = scene.refusal("a.tar", &tar(&[Item::hard_link("link", "planted")]));
    assert!(matches!(why, Refusal::HardLinkShared { .. }), "{why:?}");
    assert_eq!(scene.names(), ["hidden", "planted"]);
}

/// Another process swaps a directory for a link out of the sandbox, again and again, while entries go into it.
#[test]
fn a_directory_that_is_swapped_for_a_link_meanwhile_leads_nowhere() {
    let scene = Scene::new();
    let items: Vec<Item> = (0..2000).map(|number| Item::file(format!("dir/{}", number % 50), "x")).collect();
    let bytes = tar(&items);
    let done = AtomicBool::new(false);
    let (dir, aside) = (scene.path("dir"), scene.path("aside"));
    let (mut refused, mut finished) = (0, 0);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut swaps = 0_u32;
            while !done.load(Ordering::Relaxed) {
                let _ = std::fs::rename(&dir, &aside);
                let _ = symlink(scene.outside(), &dir);
                swaps += 1;
                let _ = std::fs::remove_file(&dir);
                let _ = std::fs::rename(&aside, &dir);
            }
            assert!(swaps > 0);
        });
        for _ in 0..40 {
            match scene.extract("a.tar", &bytes).result {
                Ok(_) => finished += 1,
                Err(
                    ExtractError::Refused { why: Refusal::ThroughLink { .. }, .. } | ExtractError::Put { .. },
                ) => {
                    refused += 1;
                }
                Err(error) => panic!("{}", chain(&error)),
            }
        }
        done.store(true, Ordering::Relaxed);
    });
    assert!(refused > 0, "no swap was met: {finished} extractions finished");
    scene.assert_outside_unchanged();
}
