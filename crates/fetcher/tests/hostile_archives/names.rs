//! Names of entries that lead elsewhere, that no file system takes, or that are no text.

use fetcher::extract::Refusal;

use crate::archives::{Item, Packed, Scene, chain, extended, not_text, tar, zip};
use crate::both::both;

#[test]
fn entries_that_go_up_are_refused() {
    for name in ["../escaped", "a/../../escaped", "/../escaped", "..", "a/.."] {
        both(&Item::file(name, "x"), 0o100_644, |why| matches!(why, Refusal::Name(_)));
        both(&Item::directory(name), 0o040_755, |why| matches!(why, Refusal::Name(_)));
    }
}

#[test]
fn absolute_entries_are_put_below_the_sandbox() {
    let scene = Scene::new();
    let outside = scene.outside().join("secret").display().to_string();
    for (name, bytes) in
        [("a.tar", tar(&[Item::file(&outside, "x")])), ("a.zip", zip(&[Packed::file(&outside, "y")]))]
    {
        scene.extract(name, &bytes).ok();
        scene.assert_outside_unchanged();
    }
    assert_eq!(scene.read(outside.trim_start_matches('/')), b"y");
}

#[test]
fn names_that_are_no_utf8_are_kept_as_bytes() {
    let scene = Scene::new();
    let name = not_text();
    scene.extract("a.tar", &tar(&[Item::file(b"caf\xe9", "tar")])).ok();
    assert_eq!(std::fs::read(scene.path(name)).expect("there"), b"tar");
    scene.extract("a.zip", &zip(&[Packed::file(b"caf\xe9", "zip")])).ok();
    assert_eq!(std::fs::read(scene.path(name)).expect("there"), b"zip");
    assert_eq!(scene.names().len(), 1);
}

#[test]
fn names_that_no_file_system_takes_are_refused() {
    let scene = Scene::new();
    for (what, items) in [
        ("a long component", vec![Item::file("a".repeat(300), "")]),
        ("a long path", vec![Item::file("a/".repeat(1500) + "b", "")]),
        ("a NUL byte", vec![extended(&[("path", b"a\0b")]), Item::file("x", "")]),
        ("nothing", vec![Item::file("", "x")]),
        ("the sandbox", vec![Item::file("./", "").mode(0o755), Item::symlink("/", "x")]),
    ] {
        let (_, why) = scene.refusal("a.tar", &tar(&items));
        assert!(matches!(why, Refusal::Name(_) | Refusal::Empty), "{what}: {why:?}");
    }
    assert!(scene.names().is_empty());
}

#[test]
fn terminal_escapes_and_long_names_do_not_reach_a_message() {
    let name = format!("\u{1b}[2J{}\n", "x".repeat(240));
    let scene = Scene::new();
    let error = scene.extract("a.tar", &tar(&[Item::new(b'6', &name)])).error();
    let text = chain(&error);
    assert!(!text.contains(char::is_control) && text.len() < 400, "{text:?}");
}
