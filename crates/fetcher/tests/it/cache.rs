//! The child's part in the cache: what the agent tells it to fill and to take out.

use integration::WebServer;
use integration::web::Page;
use serde_json::{Value, json};

use crate::support::{Fetch, mode};

fn cached(action: &str, uri: Value) -> Value {
    json!({ "action": action, "cache_filename": "c1-file", "uri": uri })
}

#[tokio::test]
async fn a_file_is_downloaded_once_for_all_items_that_share_its_entry() {
    let web = WebServer::start().await.expect("a server");
    let url = web.serve("/a", Page::new("content"));
    let item =
        |name| cached("DOWNLOAD_AND_CACHE", json!({ "value": url, "output_file": name, "extract": false }));
    let done = Fetch::new().cached().item(item("one")).item(item("two")).item(item("three")).succeed().await;
    assert_eq!(done.names(), ["one", "three", "two"]);
    assert_eq!(done.read("two"), b"content");
    assert_eq!(done.cache_names(), ["c1-file"]);
    assert_eq!(web.asked().len(), 1);
    done.says(&format!("Fetching URI '{url}' from cache"));
}

#[tokio::test]
async fn what_is_in_the_cache_is_copied_and_made_executable_there_only() {
    let fetch = Fetch::new().cached();
    std::fs::create_dir(fetch.cache()).expect("made");
    std::fs::write(fetch.cache().join("c1-file"), "cached").expect("written");
    let (cache, uri) = (fetch.cache(), json!({ "value": "http://127.0.0.1:1/program", "executable": true }));
    let done = fetch.item(cached("RETRIEVE_FROM_CACHE", uri)).succeed().await;
    assert_eq!(done.read("program"), b"cached");
    assert_eq!((mode(&done.path("program")), mode(&cache.join("c1-file"))), (0o755, 0o644));
}

#[tokio::test]
async fn a_file_that_is_in_the_cache_already_is_not_downloaded() {
    let fetch = Fetch::new().cached();
    std::fs::create_dir(fetch.cache()).expect("made");
    std::fs::write(fetch.cache().join("c1-file"), "cached").expect("written");
    let uri = json!({ "value": "http://127.0.0.1:1/a", "extract": false });
    assert_eq!(fetch.item(cached("DOWNLOAD_AND_CACHE", uri)).succeed().await.read("a"), b"cached");
}

#[tokio::test]
async fn an_archive_of_the_cache_leaves_its_contents_only() {
    let web = WebServer::start().await.expect("a server");
    let mut archive = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_gnu();
    header.set_size(2);
    header.set_mode(0o644);
    archive.append_data(&mut header, "inside", &b"hi"[..]).expect("added");
    let archive = archive.into_inner().expect("an archive");
    let url = web.serve("/a.tar", Page::new(archive));
    let uri = json!({ "value": url });
    let done = Fetch::new().cached().item(cached("DOWNLOAD_AND_CACHE", uri.clone())).succeed().await;
    assert_eq!((done.names(), done.read("inside")), (vec!["inside".to_owned()], b"hi".to_vec()));
    assert_eq!(done.cache_names(), ["c1-file"]);
    let done = Fetch::new().item(json!({ "action": "BYPASS_CACHE", "uri": uri })).succeed().await;
    assert_eq!(done.names(), ["a.tar", "inside"]);
}

#[tokio::test]
async fn a_cache_that_is_not_as_it_should_be_fails_the_fetch() {
    let uri = json!({ "value": "http://127.0.0.1:1/a", "extract": false });
    let missing = Fetch::new().cached().item(cached("RETRIEVE_FROM_CACHE", uri.clone())).fail().await;
    missing.says("Failed to open cache file '");
    let fetch = Fetch::new().cached();
    std::fs::create_dir(fetch.cache()).expect("made");
    std::os::unix::fs::symlink("/etc/passwd", fetch.cache().join("c1-file")).expect("linked");
    fetch.item(cached("RETRIEVE_FROM_CACHE", uri.clone())).fail().await.says("symbolic link");
    Fetch::new().item(cached("RETRIEVE_FROM_CACHE", uri)).fail().await.says("cache directory not specified");
}

#[tokio::test]
async fn a_download_that_fails_leaves_nothing_in_the_cache() {
    let web = WebServer::start().await.expect("a server");
    let uri = json!({ "value": web.url("/missing") });
    let done = Fetch::new().cached().item(cached("DOWNLOAD_AND_CACHE", uri)).fail().await;
    assert_eq!(done.cache_names(), Vec::<String>::new());
}
