//! Many URIs: fetched at once, with the result of one after the other.

use std::time::Duration;

use integration::web::{Page, Reply};
use integration::{WebServer, eventually};
use serde_json::json;

use crate::support::Fetch;

/// Peer: Own.FetcherUriOrder.
#[tokio::test]
async fn of_two_items_with_one_name_the_later_stays() {
    let web = WebServer::start().await.expect("a server");
    // The first is the slower one: it is cut and begins again.
    let slow = Page::new(vec![1; 100_000]).replies([Reply::Cut(10), Reply::Cut(10), Reply::Well]);
    let urls = [web.serve("/slow/name", slow), web.serve("/fast/name", Page::new("later"))];
    let done = Fetch::new().uri(&urls[0]).uri(&urls[1]).succeed().await;
    assert_eq!(done.read("name"), b"later");
    let done = Fetch::new().uri(&urls[1]).uri(&urls[0]).succeed().await;
    assert_eq!(done.read("name"), vec![1; 100_000]);
}

#[tokio::test]
async fn identical_items_do_not_disturb_each_other() {
    let fetch = Fetch::new();
    let file = fetch.file("file", "content");
    let uri = file.to_str().expect("text");
    let done = fetch.uri(uri).uri(uri).uri(uri).succeed().await;
    assert_eq!(done.read("file"), b"content");
}

#[tokio::test]
async fn the_first_failure_in_order_is_told_and_what_is_behind_leaves_nothing() {
    let web = WebServer::start().await.expect("a server");
    let fetch = Fetch::new();
    let before = fetch.file("before", "x");
    let behind = fetch.file("behind", "x");
    // It fails later than the one after it.
    let slow = web.serve("/slow", Page::new("").replies([Reply::Status(500, vec![])]));
    let uri = json!({ "value": behind, "output_file": "sub/behind", "extract": false });
    let done = fetch
        .option("retries", 1)
        .uri(before.to_str().expect("text"))
        .uri(slow)
        .uri(web.url("/missing"))
        .item(json!({ "action": "BYPASS_CACHE", "uri": uri }))
        .run()
        .await;
    assert_eq!(done.status.code(), Some(1));
    assert_eq!(done.names(), ["before"]);
    done.says("return code 500");
    assert!(!done.stderr.contains("return code 404"), "{}", done.stderr);
    let failed = done.events.lines().last().expect("an event");
    assert!(failed.contains(r#""event":"failed","item":1,"#), "{failed}");
}

#[tokio::test]
async fn all_are_asked_for_at_once_within_the_bound() {
    let web = WebServer::start().await.expect("a server");
    let mut fetch = Fetch::new().option("parallel", 3);
    for number in 0..5 {
        let url = web.serve(&format!("/{number}"), Page::new("12").replies([Reply::Stall(1)]));
        fetch = fetch.uri(url);
    }
    let mut running = fetch.start();
    let asked = || web.asked().len();
    let three =
        eventually("three requests", Duration::from_secs(20), async || Ok((asked() >= 3).then_some(())));
    three.await.expect("asked");
    // The other two are asked for when one of these has ended, which none does.
    let more = eventually("a fourth", Duration::from_millis(300), async || Ok((asked() > 3).then_some(())));
    assert!(more.await.is_err());
    running.child.kill().await.expect("killed");
}
