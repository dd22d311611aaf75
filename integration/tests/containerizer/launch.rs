//! From accepted to running, and the table of containers.

use anyhow::{Context as _, Result};
use docker_containerizer::ContainerizerError;
use futures_util::future::try_join_all;
use integration::require_engine;
use integration::supervised::{Supervised, Task};
use mesos_proto::v1::TaskState;
use mesos_types::ContainerId;
use serde_json::Value;

/// Peer: DockerContainerizerTest.ROOT_DOCKER_Launch.
#[tokio::test]
async fn a_task_starts_and_runs_and_tells_where() -> Result<()> {
    let engine = require_engine!(Ok(()));
    let agent = Supervised::new(&engine).await?;
    let mut task = agent.launch(&Task::shell("sleep 1000"))?;

    task.starting().await?;
    let started = task.running().await?;

    let data: Value = serde_json::from_slice(started.status.data())?;
    let inspections = data.as_array().context("data is no array")?;
    assert_eq!(inspections.len(), 1);
    assert_eq!(inspections[0]["Name"], format!("/{}", task.name()));
    assert_eq!(inspections[0]["HostConfig"]["Privileged"], false);
    let status = started.status.container_status.context("no container_status")?;
    assert_eq!(status.container_id.context("no container_id")?.value, task.container_id().to_string());
    assert_eq!(status.network_infos.len(), 1);
    assert_eq!(status.network_infos[0].ip_addresses.len(), 1);

    task.kill().await?;
    let end = task.terminal().await?;
    assert_eq!(end.outcome.state, TaskState::TaskKilled);
    assert_eq!(task.states(), states("STARTING RUNNING KILLING KILLED"));
    agent.end().await
}

/// The data is the engine's own inspection: what a framework reads is there as the engine sent it.
#[tokio::test]
async fn the_data_of_running_is_the_engines_own_inspection() -> Result<()> {
    let engine = require_engine!(Ok(()));
    let agent = Supervised::new(&engine).await?;
    let mut task = agent.launch(&Task::shell("sleep 1000"))?;
    let started = task.running().await?;
    let told: Value = serde_json::from_slice(started.status.data())?;
    let now = agent.inspect(task.name()).await?;
    for key in ["Id", "Created", "Path", "Args", "Image", "Name", "HostConfig", "Config", "Mounts"] {
        assert_eq!(told[0][key], now[key], "{key}");
    }
    task.kill().await?;
    task.terminal().await?;
    agent.end().await
}

#[tokio::test]
async fn the_containers_are_those_whose_end_was_not_told() -> Result<()> {
    let engine = require_engine!(Ok(()));
    let agent = Supervised::new(&engine).await?;
    let containerizer = agent.containerizer().clone();
    assert_eq!(containerizer.containers(), []);
    let mut one = agent.launch(&Task::shell("sleep 1000"))?;
    let mut two = agent.launch(&Task::shell("sleep 1000"))?;
    let mut expected = [one.container_id(), two.container_id()];
    expected.sort();
    assert_eq!(containerizer.containers(), expected);

    let started = one.running().await?;
    let status = containerizer.status(one.container_id())?;
    assert_eq!(status.running.context("not running")?.engine_id, started.running.engine_id);
    two.running().await?;

    one.kill().await?;
    one.terminal().await?;
    assert_eq!(containerizer.containers(), [two.container_id()]);
    assert!(matches!(containerizer.status(one.container_id()), Err(ContainerizerError::Unknown(_))));
    two.kill().await?;
    two.terminal().await?;
    assert_eq!(containerizer.containers(), []);
    agent.end().await
}

#[tokio::test]
async fn an_id_is_launched_once() -> Result<()> {
    let engine = require_engine!(Ok(()));
    let agent = Supervised::new(&engine).await?;
    let first = agent.order(&Task::shell("sleep 1000"))?;
    let mut second = agent.order(&Task::shell("sleep 1000"))?;
    second.identity.container_id = first.identity.container_id;
    let container_id = first.identity.container_id;

    let mut task = agent.launch_order(first)?;
    let error = agent.launch_order(second).expect_err("the same id was launched twice");
    assert!(
        format!("{error:#}").contains(&format!("container {container_id} is already started")),
        "{error:#}"
    );

    // The first one is none the worse for it.
    task.running().await?;
    task.kill().await?;
    task.terminal().await?;
    agent.end().await
}

/// Peer: DockerContainerizerTest.ROOT_DOCKER_DestroyUnknownContainer.
#[tokio::test]
async fn destroying_an_unknown_container_does_nothing() -> Result<()> {
    let engine = require_engine!(Ok(()));
    let agent = Supervised::new(&engine).await?;
    let kill = docker_containerizer::Kill { grace: std::time::Duration::ZERO };
    assert!(agent.containerizer().destroy(ContainerId::random(), kill).is_none());
    agent.end().await
}

/// Peer: DockerContainerizerTest.ROOT_DOCKER_WaitUnknownContainer.
#[tokio::test]
async fn nobody_waits_for_an_unknown_container() -> Result<()> {
    let engine = require_engine!(Ok(()));
    let agent = Supervised::new(&engine).await?;
    assert!(agent.containerizer().wait(ContainerId::random()).is_none());
    agent.end().await
}

#[tokio::test(flavor = "multi_thread")]
async fn fifty_at_once_all_finish_and_each_has_its_own_output() -> Result<()> {
    let engine = require_engine!(Ok(()));
    let agent = Supervised::new(&engine).await?;
    let tasks: Vec<_> = (0..50)
        .map(|number| agent.launch(&Task::shell(&format!("echo number {number}"))))
        .collect::<Result<_>>()?;
    let ended = tasks.into_iter().enumerate().map(|(number, mut task)| async move {
        task.finished().await.with_context(|| format!("number {number}"))?;
        assert_eq!(task.states(), states("STARTING RUNNING FINISHED"), "number {number}");
        assert_eq!(task.stdout()?, format!("number {number}\n"));
        assert_eq!(task.stderr()?, "", "number {number}");
        anyhow::Ok(())
    });
    try_join_all(ended).await?;
    agent.end().await
}

/// Reads `RUNNING KILLED` as states.
pub(crate) fn states(names: &str) -> Vec<TaskState> {
    names.split(' ').map(|name| TaskState::from_str_name(&format!("TASK_{name}")).expect("a state")).collect()
}
