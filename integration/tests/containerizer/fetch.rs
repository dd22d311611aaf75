//! URIs in the sandbox before the container starts, and what becomes of a task whose URIs cannot be fetched.

use std::time::{Duration, Instant};

use anyhow::Result;
use docker_containerizer::{Ending, Phase};
use integration::supervised::{Supervised, Task};
use integration::web::{Page, Reply, WebServer};
use integration::{eventually, require_engine};
use mesos_proto::v1::TaskState;
use mesos_proto::v1::command_info::Uri;
use mesos_proto::v1::task_status::Reason;

use crate::launch::states;

/// What a kill that does not wait for a download may take on a busy machine.
const PROMPT: Duration = Duration::from_secs(30);

/// A task with these URIs.
fn task(line: &str, uris: Vec<Uri>) -> Task {
    Task::shell(line).change(|info| {
        if let Some(command) = &mut info.command {
            command.uris = uris;
        }
    })
}

fn uri(value: impl Into<String>) -> Uri {
    Uri { value: value.into(), ..Default::default() }
}

/// The bytes of an archive of small files.
fn tar_of(files: &[(&str, &str)]) -> Result<Vec<u8>> {
    let mut archive = tar::Builder::new(Vec::new());
    for (name, text) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(text.len() as u64);
        header.set_mode(0o755);
        archive.append_data(&mut header, name, text.as_bytes())?;
    }
    Ok(archive.into_inner()?)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_finds_its_files_and_its_log_goes_on_behind_the_fetchers() -> Result<()> {
    let engine = require_engine!(Ok(()));
    let (agent, server) = (Supervised::new(&engine).await?, WebServer::start().await?);
    let archive = server.serve("/app.tar", Page::new(tar_of(&[("app/run", "echo ran; echo erred >&2")])?));
    let config = server.serve("/config?v=2", Page::new("a=1\n"));
    let config = Uri { output_file: Some("etc/config".into()), ..uri(config) };
    let mut task = agent
        .launch(&task("cd $MESOS_SANDBOX && sh app/run && cat etc/config", vec![uri(archive), config]))?;
    task.finished().await?;
    assert_eq!(task.states(), states("STARTING RUNNING FINISHED"));
    assert_eq!(task.stdout()?, "ran\na=1\n");
    let stderr = task.stderr()?;
    assert!(
        stderr.contains("Successfully fetched all URIs into") && stderr.ends_with("\nerred\n"),
        "{stderr}"
    );
    agent.end().await
}

/// Peer: DockerContainerizerTest.ROOT_DOCKER_FetchFailure.
#[tokio::test(flavor = "multi_thread")]
async fn a_fetch_that_fails_fails_the_task_in_its_words() -> Result<()> {
    let engine = require_engine!(Ok(()));
    let agent = Supervised::new(&engine).await?;
    for (value, expected) in [
        (
            "lala://nopath".to_owned(),
            "Could not fetch: Malformed URI (missing path): lala://nopath".to_owned(),
        ),
        (
            "/no/such/file".to_owned(),
            "Failed to fetch all URIs for container '{id}': exited with status 1: ".to_owned(),
        ),
    ] {
        let mut task = agent.launch(&task("true", vec![uri(value)]))?;
        let end = task.terminal().await?;
        assert_eq!(
            (end.outcome.state, end.outcome.reason),
            (TaskState::TaskFailed, Some(Reason::ContainerLaunchFailed))
        );
        let expected = expected.replace("{id}", &task.container_id().to_string());
        assert!(
            end.outcome.message.starts_with(&format!("Failed to launch container: {expected}")),
            "{}",
            end.outcome.message
        );
        let Ending::LaunchFailed(failure) = &end.termination.ending else {
            anyhow::bail!("{:?}", end.termination)
        };
        assert_eq!(end.outcome.message, format!("Failed to launch container: {}", failure.message()));
        assert_eq!(task.states(), states("FAILED"));
    }
    agent.end().await
}

/// Peer: DockerContainerizerTest.ROOT_DOCKER_DestroyWhileFetching.
#[tokio::test(flavor = "multi_thread")]
async fn a_kill_ends_a_fetch_at_once() -> Result<()> {
    let engine = require_engine!(Ok(()));
    let (agent, server) = (Supervised::new(&engine).await?, WebServer::start().await?);
    // Of these the pull waits for the first and goes on beside the second.
    for path in ["/archive.tgz", "/plain"] {
        let url = server.serve(path, Page::new(vec![7; 1 << 20]).replies([Reply::Stall(1000)]));
        let mut task = agent.launch(&task("true", vec![uri(url)]))?;
        let stalls = async || Ok((server.count("GET", path) > 0).then_some(()));
        eventually("the download stalls", PROMPT, stalls).await?;
        let killed = Instant::now();
        task.kill_within(Duration::from_secs(600)).await?;
        let end = task.terminal().await?;
        assert!(killed.elapsed() < PROMPT, "the kill took {:?}", killed.elapsed());
        assert_eq!(end.termination.ending, Ending::DestroyedBeforeStart(Phase::Fetching));
        assert_eq!(
            (end.outcome.state, end.outcome.message.as_str()),
            (TaskState::TaskKilled, "Container destroyed while fetching")
        );
        let mut names: Vec<_> = std::fs::read_dir(task.sandbox())?
            .map(|entry| entry.map(|entry| entry.file_name()))
            .collect::<Result<_, _>>()?;
        names.sort();
        assert_eq!(names, ["stderr", "stdout"]);
    }
    agent.end().await
}

/// What an archive has under the names of our log files does not become our log.
#[tokio::test(flavor = "multi_thread")]
async fn an_archive_cannot_take_the_place_of_a_log_file() -> Result<()> {
    let engine = require_engine!(Ok(()));
    let (agent, server) = (Supervised::new(&engine).await?, WebServer::start().await?);
    let archive =
        tar_of(&[("stdout", "from the archive\n"), ("stderr", "from the archive\n"), ("file", "x")])?;
    let url = server.serve("/app.tar", Page::new(archive));
    let mut task =
        agent.launch(&task("test -e $MESOS_SANDBOX/file && echo ran; echo erred >&2", vec![uri(url)]))?;
    task.finished().await?;
    assert_eq!(task.stdout()?.lines().last(), Some("ran"));
    assert!(task.stderr()?.ends_with("erred\n"));
    agent.end().await
}
