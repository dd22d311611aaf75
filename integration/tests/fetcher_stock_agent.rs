//! Our `mesos-fetcher` in the `--launcher_dir` of a stock Mesos 1.11.0 agent: it is started as the stock one is, and the
//! executor finds the task's files. The fetch comes before the executor, so a stand-in for that one suffices.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};
use integration::images::{self, TestImage};
use integration::reference::Cluster;
use integration::web::Page;
use integration::{TestScope, WebServer, require_engine, require_reference};
use serde_json::{Value, json};

/// What the stand-in executor leaves in the sandbox: the files that were there when it was started.
const SEEN: &str = "seen-by-the-executor";

/// A launcher directory with our fetcher and an executor that notes what it finds, then ends.
fn launcher_dir(scope: &TestScope) -> Result<PathBuf> {
    let directory = scope.subdir("launcher")?;
    let fetcher = integration::cli_run::program()?.with_file_name("mesos-fetcher");
    ensure!(fetcher.is_file(), "{} is not there: build it with 'cargo build -p fetcher'", fetcher.display());
    std::os::unix::fs::symlink(fetcher, directory.join("mesos-fetcher"))?;
    let executor = directory.join("mesos-docker-executor");
    std::fs::write(
        &executor,
        format!("#!/bin/sh\ncd \"$MESOS_DIRECTORY\" && ls -A >{SEEN}.new && mv {SEEN}.new {SEEN}\n"),
    )?;
    std::fs::set_permissions(&executor, std::fs::Permissions::from_mode(0o755))?;
    Ok(directory)
}

fn task(uris: &[Value]) -> Value {
    json!({
        "name": "fetches",
        "container": { "type": "DOCKER", "docker": { "image": TestImage::Busybox.reference(), "network": "HOST" } },
        "command": { "shell": true, "value": "true", "uris": uris },
    })
}

/// An archive with one file `inside`.
fn archive(directory: &Path) -> Result<PathBuf> {
    let path = directory.join("archive.tar");
    let mut builder = tar::Builder::new(std::fs::File::create(&path)?);
    let mut header = tar::Header::new_gnu();
    header.set_size(5);
    header.set_mode(0o644);
    builder.append_data(&mut header, "inside", &b"hello"[..])?;
    builder.finish()?;
    Ok(path)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stock_agent_fetches_with_our_program() -> Result<()> {
    let engine = require_engine!(Ok(()));
    require_reference!(Ok(()));
    let scope = TestScope::new(&engine).await?;
    images::ensure(engine.socket()).await?;
    let files = scope.subdir("files")?;
    std::fs::write(files.join("plain.txt"), "plain")?;
    let archive = archive(&files)?;
    let work_dir = scope.subdir("cluster")?;
    let socket = format!("--docker_socket={}", engine.socket().display());
    let cluster = Cluster::start(&work_dir, &launcher_dir(&scope)?, &[&socket]).await?;

    let plain = format!("file://{}", files.join("plain.txt").display());
    let events = cluster
        .run(
            &task(&[
                json!({ "value": plain, "extract": false, "output_file": "sub/renamed.txt" }),
                json!({ "value": archive.display().to_string(), "extract": true }),
                json!({ "value": plain, "extract": false, "cache": true, "executable": true }),
            ]),
            &[],
        )
        .await?;
    let sandboxes = cluster.sandboxes(events.task_id()?)?;
    let [sandbox] = sandboxes.as_slice() else { anyhow::bail!("one run, not {sandboxes:?}") };
    let read =
        |name: &str| std::fs::read_to_string(sandbox.join(name)).with_context(|| format!("read {name}"));
    let seen = read(SEEN)?;
    ensure!(
        ["archive.tar", "inside", "plain.txt", "sub"]
            .iter()
            .all(|name| seen.lines().any(|line| line == *name)),
        "{seen}"
    );
    ensure!(
        read("sub/renamed.txt")? == "plain" && read("inside")? == "hello" && read("plain.txt")? == "plain"
    );
    let mode = std::fs::metadata(sandbox.join("plain.txt"))?.permissions().mode() & 0o777;
    ensure!(mode == 0o755, "{mode:o}");
    let said = read("stderr")?;
    for line in [
        format!("Fetching URI '{plain}'"),
        "directly into the sandbox directory".to_owned(),
        format!("Successfully fetched all URIs into '{}'", sandbox.display()),
    ] {
        ensure!(said.contains(&line), "no {line:?} in {said}");
    }
    through_the_cache(&cluster).await?;
    cluster.stop().await
}

/// A file from a web server, first by a task that downloads it into the cache, then by one that finds it there.
async fn through_the_cache(cluster: &Cluster) -> Result<()> {
    let web = WebServer::start().await?;
    let url = web.serve("/cached.bin", Page::new("over the wire"));
    for _ in 0..2 {
        let uri = json!({ "value": url, "extract": false, "cache": true });
        let events = cluster.run(&task(&[uri]), &[]).await?;
        let sandboxes = cluster.sandboxes(events.task_id()?)?;
        let [sandbox] = sandboxes.as_slice() else { anyhow::bail!("one run, not {sandboxes:?}") };
        ensure!(std::fs::read_to_string(sandbox.join("cached.bin"))? == "over the wire");
        let said = std::fs::read_to_string(sandbox.join("stderr"))?;
        ensure!(said.contains(&format!("Fetching URI '{url}' from cache")), "{said}");
    }
    ensure!(web.count("GET", "/cached.bin") == 1, "{:?}", web.asked());
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stock_agent_fails_the_task_when_our_program_fails() -> Result<()> {
    let engine = require_engine!(Ok(()));
    require_reference!(Ok(()));
    let scope = TestScope::new(&engine).await?;
    images::ensure(engine.socket()).await?;
    let work_dir = scope.subdir("cluster")?;
    let socket = format!("--docker_socket={}", engine.socket().display());
    let cluster = Cluster::start(&work_dir, &launcher_dir(&scope)?, &[&socket]).await?;

    let missing = scope.subdir("files")?.join("missing").display().to_string();
    let events = cluster.run(&task(&[json!({ "value": missing })]), &["--expect=TASK_FAILED"]).await?;
    ensure!(events.states() == ["TASK_FAILED"], "{events:?}");
    let status = events.last_status()?;
    ensure!(status["reason"] == "REASON_CONTAINER_LAUNCH_FAILED", "{status}");
    let message = status["message"].as_str().unwrap_or_default();
    ensure!(message.contains("Failed to fetch all URIs for container"), "{message}");
    let sandboxes = cluster.sandboxes(events.task_id()?)?;
    let [sandbox] = sandboxes.as_slice() else { anyhow::bail!("one run, not {sandboxes:?}") };
    let said = std::fs::read_to_string(sandbox.join("stderr"))?;
    ensure!(said.contains(&format!("Failed to fetch '{missing}'")), "{said}");
    ensure!(!sandbox.join(SEEN).exists(), "the executor was started");
    cluster.stop().await
}
