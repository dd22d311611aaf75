//! S3 on a real server, and who reads objects where the Hadoop client is there too.

use std::os::unix::fs::PermissionsExt;

use crate::support::{Fetch, S3Server};

fn content() -> Vec<u8> {
    (0..200_000_u32).flat_map(u32::to_le_bytes).collect()
}

fn with(mut fetch: Fetch, server: &S3Server) -> Fetch {
    for (name, value) in server.environment() {
        fetch = fetch.env(name, value);
    }
    fetch
}

#[tokio::test]
async fn an_object_is_downloaded_with_the_keys_of_the_environment() {
    let root = tempfile::tempdir().expect("a directory");
    std::fs::create_dir_all(root.path().join("bucket/deep")).expect("made");
    std::fs::write(root.path().join("bucket/deep/object"), content()).expect("written");
    let server = S3Server::start(root.path()).await;
    for scheme in ["s3", "s3a", "s3n"] {
        let done = with(Fetch::new(), &server).uri(format!("{scheme}://bucket/deep/object")).succeed().await;
        assert!(done.read("object") == content(), "{scheme}");
    }
    let done = with(Fetch::new(), &server).uri("s3://bucket/missing").fail().await;
    done.says("Failed to fetch 's3://bucket/missing': cannot get the object from S3");
}

#[tokio::test]
async fn wrong_keys_are_told_and_not_printed() {
    let root = tempfile::tempdir().expect("a directory");
    std::fs::create_dir_all(root.path().join("bucket")).expect("made");
    std::fs::write(root.path().join("bucket/object"), "x").expect("written");
    let server = S3Server::start(root.path()).await;
    let fetch = with(Fetch::new(), &server).env("AWS_SECRET_ACCESS_KEY", "guessed-wrong");
    let done = fetch.option("retries", 0).uri("s3://bucket/object").fail().await;
    assert!(!done.stderr.contains("guessed-wrong"), "{}", done.stderr);
}

#[tokio::test]
async fn the_hadoop_client_reads_objects_where_no_keys_are_given() {
    let fetch = Fetch::new();
    let home = fetch.sandbox().with_file_name("hadoop");
    std::fs::create_dir_all(home.join("bin")).expect("made");
    let client = home.join("bin/hadoop");
    std::fs::write(&client, "#!/bin/sh\n[ \"$1\" = version ] || echo \"by hadoop: $3\" >\"$4\"\n")
        .expect("written");
    std::fs::set_permissions(&client, PermissionsExt::from_mode(0o755)).expect("set");
    let fetch = fetch.env("HADOOP_HOME", home.to_str().expect("text"));
    let done = fetch.uri("s3a://bucket/object").succeed().await;
    assert_eq!(done.read("object"), b"by hadoop: s3a://bucket/object\n");
}
