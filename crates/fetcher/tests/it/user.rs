//! Becoming the task's user. These tests need root.

use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};

use crate::support::Fetch;

/// A user that every Debian system has.
const NOBODY: &str = "nobody";

/// Says why a test is left out.
fn is_root() -> bool {
    let root = rustix::process::geteuid().is_root();
    if !root {
        eprintln!("skipped: becoming another user needs root");
    }
    root
}

fn for_user(user: &str) -> (Fetch, u32) {
    let found = std::process::Command::new("id").args(["-u", user]).output().expect("id runs");
    let uid = String::from_utf8(found.stdout).expect("text").trim().parse().unwrap_or(4321);
    let fetch = Fetch::new().info("user", user);
    chown(fetch.sandbox(), Some(uid), None).expect("given");
    (fetch, uid)
}

/// Peer: FetcherTest.ROOT_UNPRIVILEGED_USER_RootProtectedFileURI.
#[tokio::test]
async fn a_file_of_root_is_not_given_to_a_plain_user() {
    if !is_root() {
        return;
    }
    let (fetch, _) = for_user(NOBODY);
    let secret = fetch.file("secret", "x");
    std::fs::set_permissions(&secret, PermissionsExt::from_mode(0o600)).expect("set");
    fetch.uri(secret.to_str().expect("text")).fail().await.says("Permission denied");
}

#[tokio::test]
async fn what_is_fetched_belongs_to_the_user() {
    if !is_root() {
        return;
    }
    for user in [NOBODY, "4321"] {
        let (fetch, uid) = for_user(user);
        let file = fetch.file("file", "x");
        let web = integration::WebServer::start().await.expect("a server");
        let url = web.serve("/page", integration::web::Page::new("y"));
        let item = serde_json::json!({
            "action": "DOWNLOAD_AND_CACHE", "cache_filename": "c1-page", "uri": { "value": url, "extract": false },
        });
        let cache = fetch.cache();
        let done = fetch.cached().uri(file.to_str().expect("text")).item(item).succeed().await;
        for path in [done.path("file"), done.path("page"), cache.clone(), cache.join("c1-page")] {
            assert_eq!(path.metadata().expect("there").uid(), uid, "{}", path.display());
        }
    }
}

#[tokio::test]
async fn an_unknown_user_is_named() {
    if !is_root() {
        return;
    }
    let fetch = Fetch::new().info("user", "no-such-user-here");
    let file = fetch.file("file", "x");
    let done = fetch.uri(file.to_str().expect("text")).fail().await;
    done.says("Fetcher could not execute 'os::su()' for user 'no-such-user-here'").says("no such user");
}
