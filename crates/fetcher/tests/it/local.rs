//! Files of this host, and what the sandbox and standard error look like afterwards.

use serde_json::json;

use crate::support::{Fetch, mode};

/// Peer: FetcherTest.FileURI.
/// Peer: FetcherTest.FileLocalhostURI.
/// Peer: FetcherTest.AbsoluteFilePath.
#[tokio::test]
async fn absolute_paths_are_copied_with_and_without_a_scheme() {
    let fetch = Fetch::new();
    let (one, two, three) = (fetch.file("one", "1"), fetch.file("two", "2"), fetch.file("three", "3"));
    let done = fetch
        .uri(format!("file://{}", one.display()))
        .uri(format!("file://localhost{}", two.display()))
        .uri(three.to_str().expect("text"))
        .succeed()
        .await;
    assert_eq!(
        (done.read("one"), done.read("two"), done.read("three")),
        (b"1".into(), b"2".into(), b"3".into())
    );
    assert_eq!(done.names(), ["one", "three", "two"], "and nothing else");
}

/// Peer: FetcherTest.RelativeFilePath.
#[tokio::test]
async fn a_relative_path_needs_the_frameworks_home() {
    Fetch::new().uri("test").fail().await.says("the Mesos framework home was not specified");

    let fetch = Fetch::new();
    let home = fetch.file("test", "data").parent().expect("a directory").to_owned();
    let done = fetch.info("frameworks_home", home.to_str().expect("text")).uri("test").succeed().await;
    assert_eq!(done.read("test"), b"data");
}

#[tokio::test]
async fn a_file_uri_must_be_absolute() {
    Fetch::new().uri("file://relative/path").fail().await.says("File URI only supports absolute paths");
}

/// Peer: FetcherTest.LogSuccessToStderr.
#[tokio::test]
async fn success_is_told_on_standard_error() {
    let fetch = Fetch::new();
    let file = fetch.file("file", "");
    let sandbox = fetch.sandbox();
    let done = fetch.uri(file.to_str().expect("text")).succeed().await;
    done.says(&format!("Fetching URI '{}'", file.display()))
        .says("directly into the sandbox directory")
        .says(&format!("Fetched '{}' to '{}/file'", file.display(), sandbox.display()))
        .says(&format!("Successfully fetched all URIs into '{}'", sandbox.display()));
}

/// Peer: FetcherTest.LogFailureToStderr.
/// Peer: FetcherTest.NonExistingFile.
#[tokio::test]
async fn failure_is_told_on_standard_error_with_its_cause() {
    let fetch = Fetch::new();
    let missing = fetch.sandbox().with_file_name("missing");
    let done = fetch.uri(missing.to_str().expect("text")).fail().await;
    done.says(&format!(
        "Failed to fetch '{0}': cannot find '{0}': No such file or directory",
        missing.display()
    ));
}

/// Peer: FetcherTest.MalformedURI.
#[tokio::test]
async fn a_malformed_uri_is_refused() {
    Fetch::new().uri("lala://nopath").fail().await.says("Malformed URI (missing path): lala://nopath");
}

/// Peer: FetcherTest.CustomOutputFileSubdirectory.
#[tokio::test]
async fn an_output_file_may_have_directories() {
    let fetch = Fetch::new();
    let file = fetch.file("file", "content");
    let item =
        json!({ "action": "BYPASS_CACHE", "uri": { "value": file, "output_file": "sub/dir/custom.txt" } });
    let done = fetch.item(item).succeed().await;
    assert_eq!(done.read("sub/dir/custom.txt"), b"content");
    assert_eq!(mode(&done.path("sub/dir")), 0o755);
}

/// Peer: FetcherTest.AbsoluteCustomSubdirectoryFails.
#[tokio::test]
async fn an_absolute_output_file_fails_and_nothing_is_fetched() {
    let fetch = Fetch::new();
    let file = fetch.file("file", "content");
    for (output, text) in [
        ("/subdir/custom.txt", "URI output file must be within the sandbox directory"),
        ("../custom.txt", "contains '..'"),
        ("", "URI output file path is empty"),
    ] {
        let item = json!({ "action": "BYPASS_CACHE", "uri": { "value": file, "output_file": output } });
        Fetch::new().item(item).fail().await.says(text);
    }
}

/// Peer: Own.FetcherTrailingSlash.
#[tokio::test]
async fn a_uri_without_a_name_is_refused_unless_it_gets_one() {
    let web = integration::WebServer::start().await.expect("a server");
    let url = web.serve("/files/", integration::web::Page::new("listing"));
    Fetch::new().uri(&url).fail().await.says("say in 'output_file' what the file is to be called");
    let item = json!({ "action": "BYPASS_CACHE", "uri": { "value": url, "output_file": "index" } });
    let done = Fetch::new().item(item).succeed().await;
    assert_eq!(done.read("index"), b"listing");
}

/// Peer: FetcherTest.UseCustomOutputFile.
#[tokio::test]
async fn an_output_file_renames_and_what_is_no_archive_is_copied() {
    let fetch = Fetch::new();
    let file = fetch.file("file", "content");
    let uri = json!({ "value": file, "extract": true, "executable": false, "output_file": "custom.txt" });
    let done = fetch.item(json!({ "action": "BYPASS_CACHE", "uri": uri })).succeed().await;
    assert_eq!(done.read("custom.txt"), b"content");
    assert_eq!(done.names(), ["custom.txt"]);
    done.says("Copying instead of extracting resource from URI with 'extract' flag");
}

/// Peer: FetcherTest.NoExtractNotExecutable.
/// Peer: FetcherTest.NoExtractExecutable.
#[tokio::test]
async fn what_is_executable_has_all_execute_bits_and_the_rest_has_none() {
    let fetch = Fetch::new();
    let (plain, program) = (fetch.file("plain", "x"), fetch.file("program", "x"));
    let executable = json!({ "value": program, "extract": false, "executable": true });
    let done = fetch
        .uri(plain.to_str().expect("text"))
        .item(json!({ "action": "BYPASS_CACHE", "uri": executable }))
        .succeed()
        .await;
    assert_eq!(mode(&done.path("plain")), 0o644);
    assert_eq!(mode(&done.path("program")), 0o755);
}

#[tokio::test]
async fn a_secret_of_its_owner_does_not_become_everybodys() {
    use std::os::unix::fs::PermissionsExt;
    let fetch = Fetch::new();
    let (secret, shared) = (fetch.file("secret", "x"), fetch.file("shared", "x"));
    std::fs::set_permissions(&secret, PermissionsExt::from_mode(0o600)).expect("set");
    std::fs::set_permissions(&shared, PermissionsExt::from_mode(0o4777)).expect("set");
    let done = fetch.uri(secret.to_str().expect("text")).uri(shared.to_str().expect("text")).succeed().await;
    assert_eq!(mode(&done.path("secret")), 0o600);
    assert_eq!(mode(&done.path("shared")), 0o755, "neither written by others nor setuid");
}

#[tokio::test]
async fn the_tasks_own_log_is_not_overwritten() {
    let fetch = Fetch::new();
    let file = fetch.file("stderr", "x");
    fetch.uri(file.to_str().expect("text")).fail().await.says("'stderr' is the task's own log file");
}

#[tokio::test]
async fn a_directory_or_a_device_is_no_file() {
    Fetch::new().uri("/usr").fail().await.says("'/usr' is a directory, expected a regular file");
    Fetch::new().uri("/dev/zero").fail().await.says("'/dev/zero' is a device, expected a regular file");
}

#[tokio::test]
async fn what_was_not_asked_for_properly_is_said() {
    let done = Fetch::new().info("sandbox_directory", "").run().await;
    assert_eq!(done.status.code(), Some(1));
    done.says("Missing sandbox directory");
    let done = Fetch::new().info("items", 1).run().await;
    assert_eq!(done.status.code(), Some(1));
    done.says("Failed to parse FetcherInfo");
}
