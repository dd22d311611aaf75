//! Options of `docker run` whose effect is more than a field of the request: files that they name, standard input, a
//! terminal.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use docker_containerizer::{Checkpoint, Ending, Labels, LaunchOrder, RemovalDelay, RunPaths};
use integration::require_engine;
use integration::supervised::{Supervised, Task};
use mesos_types::{Strictness, TaskSpec};

/// How long a short task may take.
const SOON: Duration = Duration::from_secs(60);

/// Launches a task in a sandbox that was filled before, as by the fetcher, and waits for its end; answers its sandbox.
async fn run_in(
    agent: &Supervised,
    name: &str,
    task: &Task,
    fill: impl FnOnce(&Path) -> Result<()>,
) -> Result<(Ending, PathBuf)> {
    let identity = agent.order(task)?.identity;
    let labels = Labels { identity, work_dir: agent.work_dir().to_owned(), checkpoint: Checkpoint::Yes };
    let paths = RunPaths {
        sandbox: agent.scope().subdir(&format!("sandbox-{name}"))?,
        state: agent.scope().subdir(&format!("state-{name}"))?,
    };
    fill(&paths.sandbox)?;
    let sandbox = paths.sandbox.clone();
    let spec = TaskSpec::from_task_info(task.info(), Strictness::Lenient)?;
    let containerizer = agent.containerizer();
    let request = containerizer.plan(&spec, &labels, &paths.sandbox, &[], None)?;
    let mut handle = containerizer.launch(LaunchOrder {
        labels,
        task: spec,
        request,
        paths,
        owner: None,
        output: docker_containerizer::logs::OutputTarget::Sandbox,
        tap: None,
        progress: None,
        removal: RemovalDelay::After(Duration::ZERO),
    })?;
    let ended = tokio::time::timeout(SOON, handle.terminated()).await?.context("an end")?;
    Ok((ended.ending.clone(), sandbox))
}

#[tokio::test]
async fn files_of_the_sandbox_reach_the_container() -> Result<()> {
    let engine = require_engine!(Ok(()));
    let agent = Supervised::new(&engine).await?;
    let task = Task::shell("echo $ONE $TWO; mkdir /tmp/made 2>/dev/null || echo no mkdir; cat /data/file")
        .parameter("env-file", "some.env")
        .parameter("env", "TWO=task")
        .parameter("security-opt", "seccomp=profile.json")
        .parameter("volume", "./data:/data:ro");
    let fill = |sandbox: &Path| -> Result<()> {
        std::fs::write(sandbox.join("some.env"), "# fetched\nONE=file\nTWO=file\n")?;
        let profile = serde_json::json!({
            "defaultAction": "SCMP_ACT_ALLOW",
            "syscalls": [{"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO"}],
        });
        std::fs::write(sandbox.join("profile.json"), profile.to_string())?;
        std::fs::create_dir(sandbox.join("data"))?;
        Ok(std::fs::write(sandbox.join("data/file"), "fetched\n")?)
    };
    let (ending, sandbox) = run_in(&agent, "files", &task, fill).await?;
    ensure!(matches!(ending, Ending::Exited(_)), "{ending:?}");
    assert_eq!(std::fs::read_to_string(sandbox.join("stdout"))?, "file task\nno mkdir\nfetched\n");
    agent.end().await
}

#[tokio::test]
async fn no_option_reads_a_file_of_the_host_through_the_sandbox() -> Result<()> {
    let engine = require_engine!(Ok(()));
    let agent = Supervised::new(&engine).await?;
    let secret = agent.scope().subdir("host")?.join("secret");
    std::fs::write(&secret, "TOKEN=hunter2\n")?;
    for (key, value) in [
        ("env-file", "planted"),
        ("label-file", "planted"),
        ("security-opt", "seccomp=planted"),
        ("volume", "./planted:/data"),
        ("mount", "type=bind,src=./planted,dst=/data"),
    ] {
        let task = Task::shell("env; cat /data").parameter(key, value);
        let plant = |sandbox: &Path| Ok(std::os::unix::fs::symlink(&secret, sandbox.join("planted"))?);
        let (ending, _) = run_in(&agent, key, &task, plant).await?;
        let Ending::LaunchFailed(failure) = &ending else {
            anyhow::bail!("{key}: {ending:?}");
        };
        println!("{key}: {failure}");
        ensure!(failure.message().contains("planted") && !failure.message().contains("hunter2"), "{failure}");
    }
    agent.end().await
}

#[tokio::test]
async fn standard_input_that_is_asked_for_ends_at_once() -> Result<()> {
    let engine = require_engine!(Ok(()));
    let agent = Supervised::new(&engine).await?;
    let mut task = agent.launch(&Task::shell("cat; echo over").parameter("interactive", "true"))?;
    task.finished().await?;
    assert_eq!(task.stdout()?, "over\n");
    agent.end().await
}

#[tokio::test]
async fn a_terminal_that_an_option_asks_for_is_read_as_one() -> Result<()> {
    let engine = require_engine!(Ok(()));
    let agent = Supervised::new(&engine).await?;
    let mut task =
        agent.launch(&Task::shell("test -t 1 && echo out; echo err >&2").parameter("tty", "true"))?;
    task.finished().await?;
    assert_eq!(task.stdout()?, "out\r\nerr\r\n");
    agent.end().await
}
