//! A sandbox that somebody prepared: what is in the way is replaced, never followed or waited for.

use std::os::unix::fs::symlink;
use std::path::Path;

use rustix::fs::{CWD, Mode, mkfifoat};
use serde_json::json;

use crate::support::Fetch;

fn fetched_over(prepare: impl FnOnce(&Path, &Path)) -> (Fetch, std::path::PathBuf) {
    let fetch = Fetch::new();
    let outside = fetch.file("outside", "untouched");
    prepare(&fetch.sandbox().join("target"), &outside);
    let file = fetch.file("target", "fetched");
    (fetch.uri(file.to_str().expect("text")), outside)
}

async fn is_replaced(prepare: impl FnOnce(&Path, &Path)) {
    let (fetch, outside) = fetched_over(prepare);
    let done = fetch.succeed().await;
    assert_eq!(done.read("target"), b"fetched");
    assert!(done.path("target").symlink_metadata().expect("there").is_file());
    assert_eq!(std::fs::read(outside).expect("there"), b"untouched");
}

#[tokio::test]
async fn a_symbolic_link_is_replaced_and_not_followed() {
    is_replaced(|target, outside| symlink(outside, target).expect("linked")).await;
}

#[tokio::test]
async fn a_hard_link_is_replaced_and_not_written_to() {
    is_replaced(|target, outside| std::fs::hard_link(outside, target).expect("linked")).await;
}

#[tokio::test]
async fn a_fifo_is_replaced_and_not_opened() {
    is_replaced(|target, _| mkfifoat(CWD, target, Mode::RUSR | Mode::WUSR).expect("made")).await;
}

#[tokio::test]
async fn a_directory_with_something_in_it_is_not_replaced() {
    let (fetch, _) = fetched_over(|target, _| std::fs::create_dir_all(target.join("kept")).expect("made"));
    let done = fetch.run().await;
    assert_eq!(done.status.code(), Some(1), "{}", done.stderr);
    assert!(done.path("target/kept").is_dir());
}

#[tokio::test]
async fn a_link_on_the_way_of_an_output_file_is_refused() {
    let fetch = Fetch::new();
    let outside = fetch.file("outside", "").parent().expect("a directory").to_owned();
    symlink(&outside, fetch.sandbox().join("sub")).expect("linked");
    let file = fetch.file("file", "fetched");
    let uri = json!({ "value": file, "output_file": "sub/new", "extract": false });
    let done = fetch.item(json!({ "action": "BYPASS_CACHE", "uri": uri })).run().await;
    assert_eq!(done.status.code(), Some(1));
    done.says("symbolic link");
    assert!(!outside.join("new").exists());
}
