//! FTP and FTPS, on a real server and on one that misbehaves.

use integration::web::TestAuthority;

use crate::support::{Fetch, FtpReply, FtpScript, FtpServer};

fn content() -> Vec<u8> {
    (0..200_000_u32).flat_map(u32::to_le_bytes).collect()
}

#[tokio::test]
async fn a_file_is_downloaded_from_a_real_server() {
    let root = tempfile::tempdir().expect("a directory");
    std::fs::create_dir(root.path().join("deep")).expect("made");
    std::fs::write(root.path().join("deep/a file"), content()).expect("written");
    let ftp = FtpServer::start(root.path()).await;
    let done = Fetch::new().uri(ftp.url("deep/a%20file")).succeed().await;
    assert!(done.read("a%20file") == content());
    Fetch::new().uri(ftp.url("missing")).fail().await.says("received HTTP/FTP return code 550 to RETR");
}

#[tokio::test]
async fn it_is_anonymous_binary_and_passive() {
    let ftp = FtpScript::start(content(), [], None).await;
    let done = Fetch::new().uri(ftp.url("", "a/b")).succeed().await;
    assert!(done.read("b") == content());
    let commands =
        ["USER anonymous", "PASS ftp@example.com", "TYPE I", "SIZE a/b", "MDTM a/b", "PASV", "RETR a/b"];
    assert_eq!(ftp.commands()[..7], commands);
}

#[tokio::test]
async fn the_user_of_the_uri_logs_in_and_is_not_printed() {
    let ftp = FtpScript::start(content(), [], None).await;
    let done = Fetch::new().uri(ftp.url("me:p%40ss@", "a")).succeed().await;
    assert_eq!(ftp.commands()[..2], ["USER me", "PASS p@ss"]);
    assert!(!done.stderr.contains("p%40ss") && !done.stderr.contains("p@ss"), "{}", done.stderr);
}

#[tokio::test]
async fn ftps_has_tls_on_both_connections() {
    let authority = TestAuthority::new().expect("certificates");
    let ftp = FtpScript::start(content(), [], Some(authority.acceptor.clone())).await;
    let trusted = authority.file().to_str().expect("text");
    let done = Fetch::new().uri(ftp.url("", "a")).env("SSL_CERT_FILE", trusted).succeed().await;
    assert!(done.read("a") == content());
    assert!(ftp.commands().contains(&"PROT P".to_owned()));
    Fetch::new().uri(ftp.url("", "a")).option("retries", 0).fail().await.says("certificate");
}

#[tokio::test]
async fn a_cut_is_resumed_where_it_was() {
    let ftp = FtpScript::start(content(), [FtpReply::Cut(100_000), FtpReply::Well], None).await;
    let done = Fetch::new().uri(ftp.url("", "a")).succeed().await;
    assert!(done.read("a") == content());
    assert!(ftp.commands().contains(&"REST 100000".to_owned()), "{:?}", ftp.commands());
}

#[tokio::test]
async fn a_short_transfer_is_not_believed() {
    let ftp = FtpScript::start(content(), [FtpReply::Lie(1000), FtpReply::Well], None).await;
    let done = Fetch::new().uri(ftp.url("", "a")).succeed().await;
    assert!(done.read("a") == content());
}

#[tokio::test]
async fn only_226_is_success() {
    let replies = [FtpReply::Then("550 no, after all")];
    let ftp = FtpScript::start(content(), replies, None).await;
    let done = Fetch::new().uri(ftp.url("", "a")).fail().await;
    done.says("received HTTP/FTP return code 550 to RETR: 550 no, after all");
}

#[tokio::test]
async fn what_is_refused_for_the_moment_is_tried_again() {
    let ftp = FtpScript::start(content(), [FtpReply::Refuse("450 busy"), FtpReply::Well], None).await;
    Fetch::new().uri(ftp.url("", "a")).succeed().await.says("Trying again");
    let ftp = FtpScript::start(content(), [FtpReply::Refuse("550 none")], None).await;
    let done = Fetch::new().uri(ftp.url("", "a")).fail().await;
    assert!(!done.stderr.contains("Trying again"), "{}", done.stderr);
}

#[tokio::test]
async fn a_proxy_that_is_not_used_is_said() {
    let ftp = FtpScript::start(content(), [], None).await;
    let fetch = Fetch::new().env("ftp_proxy", "http://127.0.0.1:1").uri(ftp.url("", "a"));
    fetch.succeed().await.says("ftp_proxy is set, but there is no proxy for FTP");
}

/// By these a file of the cache is known to be outdated; what is measured and what a download tells must be alike.
#[tokio::test]
async fn a_size_comes_with_the_time_of_change() {
    let ftp = FtpScript::start(content(), [], None).await;
    let measured = Fetch::new().option("mode", "measure").uri(ftp.url("", "a")).run().await;
    let downloaded = Fetch::new().uri(ftp.url("", "a")).succeed().await;
    let events = [(measured, "measured"), (downloaded, "downloaded")].map(|(done, kind)| {
        let lines =
            done.events.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).expect("JSON"));
        lines.into_iter().find(|event| event["event"] == kind).expect("an event")
    });
    let [measured, downloaded] = &events;
    assert_eq!(measured["bytes"], content().len());
    assert!(measured["validators"]["last_modified"].as_str().expect("a time").starts_with("2026-01-02"));
    assert_eq!(measured["validators"], downloaded["validators"]);
}
