//! The end of a fetch from outside.

use std::time::Duration;

use integration::web::{Page, Reply};
use integration::{WebServer, eventually};
use rustix::process::{Pid, Signal, kill_process, kill_process_group};

use crate::support::{Fetch, Running};

/// Starts a fetch that has got some bytes and waits for more.
async fn stalled(web: &WebServer, fetch: Fetch) -> Running {
    let url = web.serve("/a", Page::new(vec![1; 100_000]).replies([Reply::Stall(50_000)]));
    let item = serde_json::json!({
        "action": "DOWNLOAD_AND_CACHE", "cache_filename": "c1-a", "uri": { "value": url, "output_file": "b" },
    });
    let running = fetch.cached().uri(&url).item(item).start();
    eventually("both requests", Duration::from_secs(20), async || Ok((web.asked().len() == 2).then_some(())))
        .await
        .expect("asked");
    running
}

fn pid(running: &Running) -> Pid {
    Pid::from_raw(running.child.id().expect("it runs").try_into().expect("a pid")).expect("a pid")
}

#[tokio::test]
async fn a_kill_leaves_neither_a_process_nor_a_part_of_a_file() {
    for signal in [Signal::KILL, Signal::TERM] {
        let web = WebServer::start().await.expect("a server");
        let running = stalled(&web, Fetch::new()).await;
        kill_process_group(pid(&running), signal).expect("killed");
        let done = running.end().await;
        assert!(!done.status.success());
        assert_eq!((done.names(), done.cache_names()), (Vec::new(), Vec::new()), "{signal:?}");
    }
}

#[tokio::test]
async fn the_hadoop_client_ends_with_the_fetch() {
    let fetch = Fetch::new();
    let home = fetch.sandbox().with_file_name("hadoop");
    std::fs::create_dir_all(home.join("bin")).expect("made");
    let client = home.join("bin/hadoop");
    let script =
        "#!/bin/sh\n[ \"$1\" = version ] && exit 0\necho $$ >\"$HADOOP_HOME/pid\"\nexec sleep 1000\n";
    std::fs::write(&client, script).expect("written");
    std::fs::set_permissions(&client, std::os::unix::fs::PermissionsExt::from_mode(0o755)).expect("set");
    let missing = fetch.sandbox().with_file_name("missing");
    let fetch = fetch.env("HADOOP_HOME", home.to_str().expect("text"));
    // The second item fails, so the first, which never ends, is given up only by a kill of the group.
    let running = fetch.uri("hdfs://h/a").uri(missing.to_str().expect("text")).start();
    let started = eventually("the client", Duration::from_secs(20), async || {
        let text = std::fs::read_to_string(home.join("pid")).unwrap_or_default();
        Ok(text.trim().parse().ok().and_then(Pid::from_raw))
    });
    let client = started.await.expect("started");
    kill_process_group(pid(&running), Signal::KILL).expect("killed");
    running.end().await;
    eventually("the end of the client", Duration::from_secs(20), async || {
        Ok(rustix::process::test_kill_process(client).is_err().then_some(()))
    })
    .await
    .expect("ended");
}

#[tokio::test]
async fn when_the_agent_is_gone_the_fetch_ends() {
    let web = WebServer::start().await.expect("a server");
    let url = web.serve("/a", Page::new("12").replies([Reply::Stall(1)]));
    let (running, reader) = Fetch::new().uri(url).start_with_pipe();
    eventually("the request", Duration::from_secs(20), async || Ok((web.asked().len() == 1).then_some(())))
        .await
        .expect("asked");
    drop(reader);
    let done = running.end().await;
    assert!(!done.status.success());
    assert_eq!(done.names(), Vec::<String>::new());
}

#[tokio::test]
async fn progress_is_told_while_it_goes_on() {
    use std::io::BufRead;
    let web = WebServer::start().await.expect("a server");
    let url = web.serve("/a", Page::new(vec![1; 100_000]).replies([Reply::Stall(50_000)]));
    let (running, reader) = Fetch::new().uri(&url).start_with_pipe();
    let first = tokio::task::spawn_blocking(move || {
        let mut line = String::new();
        std::io::BufReader::new(reader).read_line(&mut line).expect("a line");
        line
    });
    let line = tokio::time::timeout(Duration::from_secs(20), first).await.expect("in time").expect("read");
    let event: serde_json::Value = serde_json::from_str(&line).expect("JSON");
    assert_eq!(
        (&event["event"], &event["item"], &event["uri"]),
        (&"progress".into(), &0.into(), &url.into())
    );
    assert_eq!((&event["bytes"], &event["total"]), (&50_000.into(), &100_000.into()));
    let _ = kill_process(pid(&running), Signal::KILL);
    running.end().await;
}
