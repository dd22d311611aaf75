//! The Hadoop client, by a stand-in that does what `hadoop fs -copyToLocal` does.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use crate::support::{Fetch, mode};

/// Writes a client below a home of its own, which runs this as `fs -copyToLocal "$3" "$4"`.
fn client(fetch: &Fetch, copy: &str) -> PathBuf {
    let home = fetch.sandbox().with_file_name("hadoop home");
    let program = home.join("bin/hadoop");
    std::fs::create_dir_all(program.parent().expect("a directory")).expect("made");
    let script = format!(
        "#!/bin/sh\necho \"$HADOOP_HOME $*\" >>'{}'\necho 'WARN something' >&2\n[ \"$1\" = version ] && exit 0\n{copy}\n",
        log(&home).display()
    );
    std::fs::write(&program, script).expect("written");
    std::fs::set_permissions(&program, PermissionsExt::from_mode(0o755)).expect("set");
    home
}

fn log(home: &Path) -> PathBuf {
    home.join("log")
}

/// Peer: FetcherTest.HdfsURI.
#[tokio::test]
async fn the_client_of_the_home_copies_the_file() {
    let fetch = Fetch::new();
    let home = client(&fetch, "[ \"$1 $2\" = 'fs -copyToLocal' ] && echo data >\"$4\"");
    let fetch = fetch.env("HADOOP_HOME", home.to_str().expect("text"));
    let done = fetch.uri("hdfs://localhost/path/hdfs").succeed().await;
    assert_eq!(done.read("hdfs"), b"data\n");
    assert_eq!(mode(&done.path("hdfs")), 0o644);
    assert_eq!(done.names(), ["hdfs"], "nothing is left of how it came");
    let calls = std::fs::read_to_string(log(&home)).expect("a log");
    let first = format!("{} version\n{0} fs -copyToLocal hdfs://localhost/path/hdfs ", home.display());
    assert!(calls.starts_with(&first), "{calls}");
    done.says("WARN something");
}

#[tokio::test]
async fn a_client_that_fails_fails_the_fetch_and_leaves_nothing() {
    let fetch = Fetch::new();
    let home = client(&fetch, "echo part >\"$4\"; echo 'no such file' >&2; exit 3");
    let done = fetch.env("HADOOP_HOME", home.to_str().expect("text")).uri("hdfs://h/a").fail().await;
    done.says("fs -copyToLocal' ended with exit status: 3").says("no such file");
}

#[tokio::test]
async fn a_client_that_puts_a_link_there_is_not_believed() {
    let fetch = Fetch::new();
    let home = client(&fetch, "ln -s /etc/passwd \"$4\"");
    let done = fetch.env("HADOOP_HOME", home.to_str().expect("text")).uri("hdfs://h/a").fail().await;
    done.says("symbolic link");
}

#[tokio::test]
async fn a_directory_is_refused_with_a_remedy() {
    let fetch = Fetch::new();
    let home = client(&fetch, "mkdir \"$4\"; echo part >\"$4/part\"");
    let done = fetch.env("HADOOP_HOME", home.to_str().expect("text")).uri("hdfs://h/a").fail().await;
    done.says("it is a directory, and only files are fetched; pack it into an archive");
}

#[tokio::test]
async fn without_a_client_the_remedy_is_told() {
    let fetch = Fetch::new().env("HADOOP_HOME", "/no/such/home").uri("hdfs://h/a");
    fetch
        .fail()
        .await
        .says("cannot run '/no/such/home/bin/hadoop'; install it or name its directory in --hadoop_home");
}

#[tokio::test]
async fn what_the_client_brought_has_the_checksum_that_was_asked_for() {
    let wrong = "0".repeat(64);
    let fetch = Fetch::new();
    let home = client(&fetch, "echo data >\"$4\"");
    let fetch = fetch.env("HADOOP_HOME", home.to_str().expect("text"));
    fetch.uri(format!("hdfs://h/a#sha256={wrong}")).fail().await.says("the URI asks for 0000");
}

#[tokio::test]
async fn a_client_is_given_up_when_an_earlier_item_fails() {
    let web = integration::WebServer::start().await.expect("a server");
    let failing = integration::web::Reply::Status(500, vec![]);
    let url = web.serve("/a", integration::web::Page::new("").replies([failing]));
    // Long enough for the client to begin meanwhile.
    let fetch = Fetch::new().option("retries", 5);
    let home = client(&fetch, CLIENT_WITH_CHILD);
    let done = fetch.env("HADOOP_HOME", home.to_str().expect("text")).uri(url).uri("hdfs://h/a").fail().await;
    done.says("return code 500");
    ended(&home).await;
}

/// A client as it is: a script that waits for its virtual machine, whose number it writes.
const CLIENT_WITH_CHILD: &str = "sleep 1000 & echo $! >\"$HADOOP_HOME/pid.new\"; \
    mv \"$HADOOP_HOME/pid.new\" \"$HADOOP_HOME/pid\"; wait";

/// The number of the client's virtual machine, once it runs.
async fn machine(home: &Path) -> rustix::process::Pid {
    integration::eventually("the client", std::time::Duration::from_secs(20), async || {
        let text = std::fs::read_to_string(home.join("pid")).unwrap_or_default();
        Ok(text.trim().parse().ok().and_then(rustix::process::Pid::from_raw))
    })
    .await
    .expect("started")
}

/// Waits for the end of the client's virtual machine.
async fn ended(home: &Path) {
    let pid = machine(home).await;
    integration::eventually("the end of the client", std::time::Duration::from_secs(20), async || {
        let stat =
            std::fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_nonzero())).unwrap_or_default();
        // Nobody may be there to reap it.
        Ok((stat.is_empty() || stat.contains(") Z ")).then_some(()))
    })
    .await
    .expect("ended");
}

/// As when the system is out of memory. The agent may be a stock one, which kills nothing then.
#[tokio::test]
async fn a_client_ends_when_the_program_alone_is_killed() {
    let fetch = Fetch::new();
    let home = client(&fetch, CLIENT_WITH_CHILD);
    let running = fetch.env("HADOOP_HOME", home.to_str().expect("text")).uri("hdfs://h/a").start();
    machine(&home).await;
    let pid = rustix::process::Pid::from_raw(running.child.id().expect("it runs").try_into().expect("a pid"));
    rustix::process::kill_process(pid.expect("a pid"), rustix::process::Signal::KILL).expect("killed");
    let _done = running.end().await;
    ended(&home).await;
}

#[tokio::test]
async fn a_client_that_stalls_ends_with_all_that_it_started() {
    // Ten times as long is the client's patience, in which it must begin on a busy machine, too.
    let fetch = Fetch::new().info("stall_timeout", serde_json::json!({ "nanoseconds": 500_000_000 }));
    let home = client(&fetch, CLIENT_WITH_CHILD);
    let done = fetch.env("HADOOP_HOME", home.to_str().expect("text")).uri("hdfs://h/a").fail().await;
    done.says("less than 1 byte a second");
    ended(&home).await;
}

#[tokio::test]
async fn what_a_client_leaves_behind_ends_with_it() {
    let fetch = Fetch::new();
    let leave = "sleep 1000 >/dev/null 2>&1 & echo $! >\"$HADOOP_HOME/pid\"; echo data >\"$4\"";
    let home = client(&fetch, leave);
    let done = fetch.env("HADOOP_HOME", home.to_str().expect("text")).uri("hdfs://h/a").succeed().await;
    assert_eq!(done.read("a"), b"data\n");
    ended(&home).await;
}

#[tokio::test]
async fn a_client_on_the_path_is_found() {
    let fetch = Fetch::new();
    let home = client(&fetch, "echo data >\"$4\"");
    let path = format!("{}:/usr/bin:/bin", home.join("bin").display());
    let done = fetch.env("PATH", path).env("AWS_REGION", "here").uri("s3a://bucket/a").succeed().await;
    assert_eq!(done.read("a"), b"data\n");
    let calls = std::fs::read_to_string(log(&home)).expect("a log");
    assert!(calls.contains("fs -copyToLocal s3a://bucket/a "), "{calls}");
}
