//! HTTP as it should be: redirects, TLS, proxies, users, bodies of every framing.

use integration::WebServer;
use integration::web::{Page, Reply};

use crate::support::{Fetch, mode};

/// Peer: FetcherTest.OSNetUriTest.
#[tokio::test]
async fn a_file_is_downloaded() {
    let web = WebServer::start().await.expect("a server");
    let url = web.serve("/test", Page::new("content"));
    let done = Fetch::new().uri(&url).succeed().await;
    assert_eq!(done.read("test"), b"content");
    assert_eq!(mode(&done.path("test")), 0o644);
    assert_eq!(web.asked().len(), 1);
    done.says(&format!("Downloading resource from '{url}' to '"));
}

/// Peer: FetcherTest.OSNetUriSpaceTest.
#[tokio::test]
async fn white_space_in_front_is_ignored() {
    let web = WebServer::start().await.expect("a server");
    let url = web.serve("/test", Page::new("content"));
    let done = Fetch::new().uri(format!("\r\n\t  {url}")).succeed().await;
    assert_eq!(done.read("test"), b"content");
}

#[tokio::test]
async fn redirects_are_followed_and_the_name_is_the_uris() {
    let (web, other) =
        (WebServer::start().await.expect("a server"), WebServer::start().await.expect("a server"));
    let target = other.serve("/deep/target", Page::new("moved"));
    let second =
        web.serve("/second", Page::new("").replies([Reply::Status(302, vec![("Location", target)])]));
    for status in [301, 302, 303, 307, 308] {
        let page = Page::new("").replies([Reply::Status(status, vec![("Location", second.clone())])]);
        let first = web.serve("/first", page);
        let done = Fetch::new().uri(first).succeed().await;
        assert_eq!(done.read("first"), b"moved");
        assert_eq!(done.names(), ["first"]);
    }
}

#[tokio::test]
async fn a_circle_of_redirects_ends() {
    let web = WebServer::start().await.expect("a server");
    let url = web.url("/circle");
    web.serve("/circle", Page::new("").replies([Reply::Status(302, vec![("Location", url.clone())])]));
    Fetch::new().uri(url).fail().await.says("Failed to fetch '");
    assert!(web.asked().len() <= 40, "{}", web.asked().len());
}

#[tokio::test]
async fn a_redirect_does_not_lead_to_a_file_of_this_host() {
    let web = WebServer::start().await.expect("a server");
    let leads_away = Reply::Status(302, vec![("Location", "file:///etc/passwd".to_owned())]);
    let url = web.serve("/a", Page::new("").replies([leads_away]));
    Fetch::new().uri(url).fail().await;
}

#[tokio::test]
async fn https_is_verified_by_the_authorities_of_the_system() {
    let web = WebServer::start_tls().await.expect("a server");
    let url = web.serve("/test", Page::new("content"));
    let authority = web.authority().expect("a file").to_str().expect("text");
    let done = Fetch::new().uri(&url).env("SSL_CERT_FILE", authority).succeed().await;
    assert_eq!(done.read("test"), b"content");
    let asked = web.asked().len();
    let done = Fetch::new().uri(&url).fail().await;
    done.says("certificate");
    assert!(!done.stderr.contains("Trying again"), "a wrong certificate stays wrong: {}", done.stderr);
    assert_eq!(web.asked().len(), asked);
}

#[tokio::test]
async fn the_user_of_the_uri_is_sent_and_not_printed() {
    let web = WebServer::start().await.expect("a server");
    // "me:it's" would be refused for its quote; "me:p ss" in base64.
    web.serve("/private", Page::new("content").only_for("Basic bWU6cCBzcw=="));
    let url = web.url("/private").replace("http://", "http://me:p%20ss@");
    let done = Fetch::new().uri(&url).succeed().await;
    assert_eq!(done.read("private"), b"content");
    assert!(!done.stderr.contains("p%20ss") && done.stderr.contains("://***@"), "{}", done.stderr);
    assert!(!done.events.contains("p%20ss"), "{}", done.events);
    Fetch::new().uri(web.url("/private")).fail().await.says("received HTTP/FTP return code 401");
}

#[tokio::test]
async fn a_redirect_to_another_host_does_not_get_the_user() {
    let (web, other) =
        (WebServer::start().await.expect("a server"), WebServer::start().await.expect("a server"));
    let target = other.serve("/b", Page::new("b")).replace("127.0.0.1", "localhost");
    web.serve("/a", Page::new("").replies([Reply::Status(302, vec![("Location", target)])]));
    Fetch::new().uri(web.url("/a").replace("http://", "http://me:secret@")).succeed().await;
    assert!(web.asked()[0].headers.get("authorization").is_some());
    assert_eq!(other.asked()[0].headers.get("authorization"), None);
    assert_eq!(other.asked()[0].headers.get("referer"), None);
}

#[tokio::test]
async fn proxies_come_from_the_environment() {
    let proxy = WebServer::start().await.expect("a server");
    proxy.serve("/a", Page::new("by proxy"));
    let fetch = || Fetch::new().uri("http://files.invalid/a").env("http_proxy", proxy.url(""));
    assert_eq!(fetch().succeed().await.read("a"), b"by proxy");
    assert_eq!(proxy.asked()[0].target, "http://files.invalid/a");
    fetch().env("no_proxy", "files.invalid").option("retries", 0).fail().await;
    assert_eq!(proxy.asked().len(), 1);
}

#[tokio::test]
async fn what_is_encoded_stays_encoded() {
    let web = WebServer::start().await.expect("a server");
    let packed = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    let url = web.serve("/log", Page::new(packed.to_vec()).header("Content-Encoding", "gzip"));
    let done = Fetch::new().uri(url).succeed().await;
    assert_eq!(done.read("log"), packed);
    assert_eq!(web.asked()[0].headers.get("accept-encoding"), None);
}

#[tokio::test]
async fn bodies_of_every_framing_are_whole() {
    let web = WebServer::start().await.expect("a server");
    let content: Vec<u8> = (0..300_000_u32).flat_map(u32::to_le_bytes).collect();
    for (name, reply) in [("/chunked", Reply::Chunked), ("/close", Reply::UntilClose), ("/well", Reply::Well)]
    {
        let url = web.serve(name, Page::new(content.clone()).replies([reply]));
        let done = Fetch::new().uri(url).succeed().await;
        assert!(done.read(&name[1..]) == content, "{name}");
    }
}

#[tokio::test]
async fn a_checksum_is_verified_and_not_sent() {
    let web = WebServer::start().await.expect("a server");
    let url = web.serve("/a", Page::new(""));
    let empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
    Fetch::new().uri(format!("{url}#sha256={empty}")).succeed().await;
    assert_eq!(web.asked()[0].target, "/a");
    web.serve("/a", Page::new("tampered with"));
    let done = Fetch::new().uri(format!("{url}#sha256={empty}")).fail().await;
    done.says(&format!("the URI asks for {empty}"));
}

#[tokio::test]
async fn sizes_are_asked_without_the_file() {
    let web = WebServer::start().await.expect("a server");
    let url = web.serve("/a", Page::new("12345"));
    let fetch = Fetch::new();
    let local = fetch.file("local", "123");
    let done = fetch
        .option("mode", "measure")
        .uri(&url)
        .uri(local.to_str().expect("text"))
        .uri(web.url("/missing"))
        .run()
        .await;
    assert!(done.status.success(), "{}", done.stderr);
    let event = |item: usize| {
        let found =
            done.events.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).expect("JSON"));
        found.into_iter().find(|event| event["item"] == item).expect("an event")
    };
    assert_eq!((&event(0)["bytes"], &event(0)["validators"]["etag"]), (&5.into(), &"\"one\"".into()));
    assert_eq!(event(1)["bytes"], 3);
    assert!(event(2)["error"].as_str().expect("an error").contains("404"));
    assert_eq!((web.count("HEAD", "/a"), web.count("GET", "/a")), (1, 0));
    assert_eq!(done.names(), Vec::<String>::new());
}

#[tokio::test]
async fn what_a_uri_is_signed_with_is_in_no_path_that_is_printed() {
    let web = WebServer::start().await.expect("a server");
    let url = web.serve("/m.bin?x=1&X-Amz-Signature=SECRET", Page::new("data"));
    // To be extracted and no archive, which is told with the path; and through the cache.
    let extracted = serde_json::json!({ "action": "BYPASS_CACHE", "uri": { "value": url } });
    let cached = serde_json::json!({
        "action": "DOWNLOAD_AND_CACHE", "cache_filename": "c1-m.bin?X-Amz-Signature=SECRET",
        "uri": { "value": url, "output_file": "b" },
    });
    let done = Fetch::new().cached().item(extracted).item(cached).succeed().await;
    assert_eq!(done.names(), ["b", "m.bin?x=1&X-Amz-Signature=SECRET"], "the file's own name is stock's");
    done.says("does not seem to be an archive").says("/m.bin?x=1&X-Amz-Signature=***'");
    let shown: Vec<_> = done.stderr.lines().filter(|line| line.contains("SECRET")).collect();
    assert_eq!(shown, Vec::<&str>::new());
    assert!(done.events.contains("m.bin?x=1&X-Amz-Signature=***"), "{}", done.events);
    let told = done.events.lines().filter(|line| line.contains("SECRET") && !line.contains("cache_filename"));
    assert_eq!(told.count(), 0, "{}", done.events);
}

#[tokio::test]
async fn a_terminal_is_told_nothing_by_a_uri() {
    let fetch = Fetch::new();
    let missing = format!("{}\u{1b}[31m", fetch.sandbox().with_file_name("missing").display());
    let done = fetch.uri(missing).fail().await;
    done.says("missing\\u{1b}[31m");
    assert!(!done.stderr.contains('\u{1b}') && !done.events.contains("\\u001b"), "{}", done.events);
}

#[tokio::test]
async fn members_that_nobody_knows_are_skipped_as_stock_does() {
    let fetch = Fetch::new();
    let file = fetch.file("a", "data");
    let item =
        serde_json::json!({ "action": "BYPASS_CACHE", "foo": 1, "uri": { "value": file, "bar": "x" } });
    let done = fetch.item(item).info("more", true).option("later", 1).succeed().await;
    done.says("Ignored unknown members of MESOS_FETCHER_INFO: ");
    for member in ["$.items[0].foo", "$.items[0].uri.bar", "$.more", "$.options.later"] {
        done.says(member);
    }
}
