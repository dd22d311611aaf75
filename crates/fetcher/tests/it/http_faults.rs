//! HTTP as it is: cuts, stalls, wrong lengths, errors.

use std::time::{Duration, Instant};

use integration::WebServer;
use integration::web::{Page, Reply};

use crate::support::Fetch;

fn content() -> Vec<u8> {
    (0..200_000_u32).flat_map(u32::to_le_bytes).collect()
}

/// The values of a header in the requests so far.
fn sent(web: &WebServer, name: &str) -> Vec<Option<String>> {
    web.asked().iter().map(|asked| asked.headers.get(name).map(str::to_owned)).collect()
}

#[tokio::test]
async fn a_cut_is_resumed_where_it_was() {
    let web = WebServer::start().await.expect("a server");
    let replies = [Reply::Cut(100_000), Reply::Cut(300_000), Reply::Well];
    let url = web.serve("/a", Page::new(content()).replies(replies));
    let done = Fetch::new().uri(url).succeed().await;
    assert!(done.read("a") == content());
    let ranges = [None, Some("bytes=100000-".to_owned()), Some("bytes=400000-".to_owned())];
    assert_eq!(sent(&web, "range"), ranges);
    assert_eq!(sent(&web, "if-range"), [None, Some("\"one\"".to_owned()), Some("\"one\"".to_owned())]);
    done.says("Trying again");
}

#[tokio::test]
async fn a_resumed_file_that_has_changed_is_fetched_anew() {
    let web = WebServer::start().await.expect("a server");
    let url = web.serve(
        "/a",
        Page::new(content()).etag(Some("\"old\"")).replies([Reply::Cut(100_000), Reply::Nothing]),
    );
    let running = Fetch::new().uri(url).start();
    integration::eventually("the second request", Duration::from_secs(20), async || {
        Ok((web.asked().len() >= 2).then_some(()))
    })
    .await
    .expect("asked");
    web.serve("/a", Page::new("the new version").etag(Some("\"new\"")));
    let done = running.end().await;
    assert!(done.status.success(), "{}", done.stderr);
    assert_eq!(done.read("a"), b"the new version");
}

/// Many servers give ranges and ignore `If-Range`, so the answer itself has to be of the version that was begun.
#[tokio::test]
async fn two_versions_are_not_glued_together() {
    for (etag, extra) in [(Some("\"new\""), 0), (None, 4)] {
        let web = WebServer::start().await.expect("a server");
        let old = Page::new(content()).etag(Some("\"old\"")).replies([Reply::Cut(100_000), Reply::Nothing]);
        let url = web.serve("/a", old);
        let running = Fetch::new().uri(url).start();
        integration::eventually("the second request", Duration::from_secs(20), async || {
            Ok((web.asked().len() >= 2).then_some(()))
        })
        .await
        .expect("asked");
        let new = vec![7; content().len() + extra];
        web.serve("/a", Page::new(new.clone()).etag(etag).without_if_range());
        let done = running.end().await;
        assert!(done.status.success(), "{}", done.stderr);
        assert!(done.read("a") == new, "the file is of one version, told by {etag:?} or the size");
        done.says("the file changed on the server");
    }
}

#[tokio::test]
async fn without_ranges_or_a_version_it_begins_again() {
    for page in [
        Page::new(content()).without_ranges(),
        Page::new(content()).etag(None),
        Page::new(content()).etag(Some("W/\"weak\"")),
    ] {
        let web = WebServer::start().await.expect("a server");
        let url = web.serve("/a", page.replies([Reply::Cut(100_000), Reply::Well]));
        let done = Fetch::new().uri(url).succeed().await;
        assert!(done.read("a") == content());
        assert_eq!(web.asked().len(), 2);
    }
}

#[tokio::test]
async fn the_time_of_the_last_change_resumes_too() {
    let web = WebServer::start().await.expect("a server");
    let page = Page::new(content()).etag(None).last_modified("Fri, 31 Dec 1999 23:59:59 GMT");
    let url = web.serve("/a", page.replies([Reply::Cut(100_000), Reply::Well]));
    let done = Fetch::new().uri(url).succeed().await;
    assert!(done.read("a") == content());
    assert_eq!(sent(&web, "if-range")[1].as_deref(), Some("Fri, 31 Dec 1999 23:59:59 GMT"));
}

#[tokio::test]
async fn a_server_that_always_cuts_at_the_same_byte_is_given_up() {
    let web = WebServer::start().await.expect("a server");
    let page = Page::new(content()).without_ranges();
    let url = web.serve("/a", page.replies([Reply::Cut(100_000)]));
    let done = Fetch::new().uri(url).option("retries", 2).fail().await;
    done.says("the connection ended after 100000 of 800000 bytes");
    assert_eq!(web.asked().len(), 3);
}

#[tokio::test]
async fn a_body_that_is_shorter_than_announced_fails() {
    let web = WebServer::start().await.expect("a server");
    let url = web.serve("/a", Page::new("short").without_ranges().replies([Reply::Announce(1000)]));
    let done = Fetch::new().uri(url).option("retries", 1).fail().await;
    done.says("the connection ended after 5 of 1000 bytes");
}

#[tokio::test]
async fn of_a_body_that_is_longer_than_announced_the_announced_part_is_the_file() {
    let web = WebServer::start().await.expect("a server");
    let url = web.serve("/a", Page::new("exactly this, and more").replies([Reply::Announce(12)]));
    assert_eq!(Fetch::new().uri(url).succeed().await.read("a"), b"exactly this");
}

#[tokio::test]
async fn a_stall_ends_with_the_timeout() {
    let web = WebServer::start().await.expect("a server");
    let url = web.serve("/a", Page::new(content()).replies([Reply::Stall(1000)]));
    let fetch = Fetch::new().info("stall_timeout", serde_json::json!({ "nanoseconds": 1_000_000_000 }));
    let began = Instant::now();
    let done = fetch.uri(url).fail().await;
    done.says("less than 1 byte a second for 1 seconds (--fetcher_stall_timeout)");
    assert!(began.elapsed() >= Duration::from_secs(1));
    assert_eq!(web.asked().len(), 1, "whoever has waited so long does not want to wait again");
}

#[tokio::test]
async fn an_answer_that_never_comes_is_a_stall() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}/a", listener.local_addr().expect("an address"));
    let fetch = Fetch::new().info("stall_timeout", serde_json::json!({ "nanoseconds": 1_000_000_000 }));
    fetch.uri(url).fail().await.says("--fetcher_stall_timeout");
}

#[tokio::test]
async fn what_is_not_there_is_told_at_once_with_stocks_words() {
    let web = WebServer::start().await.expect("a server");
    let url = web.url("/missing");
    let done = Fetch::new().uri(&url).fail().await;
    done.says(&format!(
        "Failed to fetch '{url}': Error downloading resource, received HTTP/FTP return code 404"
    ));
    assert_eq!(web.asked().len(), 1);
}

#[tokio::test]
async fn a_server_error_is_tried_again_and_then_told() {
    let web = WebServer::start().await.expect("a server");
    let replies = [Reply::Status(500, vec![]), Reply::Status(503, vec![]), Reply::Nothing, Reply::Well];
    let url = web.serve("/a", Page::new("at last").replies(replies));
    assert_eq!(Fetch::new().uri(&url).succeed().await.read("a"), b"at last");
    web.serve("/b", Page::new("").replies([Reply::Status(500, vec![])]));
    let done = Fetch::new().uri(web.url("/b")).option("retries", 1).fail().await;
    done.says("received HTTP/FTP return code 500");
    assert_eq!(web.count("GET", "/b"), 2);
}

#[tokio::test]
async fn only_200_is_success() {
    let web = WebServer::start().await.expect("a server");
    for status in [201, 204, 206, 304, 403, 410] {
        let url = web.serve("/a", Page::new("").replies([Reply::Status(status, vec![])]));
        Fetch::new().uri(url).fail().await.says(&format!("received HTTP/FTP return code {status}"));
    }
}

#[tokio::test]
async fn a_host_that_is_not_there_is_named_by_its_cause() {
    let done = Fetch::new().uri("http://127.0.0.1:1/a").option("retries", 1).fail().await;
    done.says("Connection refused").says("Trying again");
}
