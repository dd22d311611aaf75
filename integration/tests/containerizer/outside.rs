//! What others do to a task's container, past us.

use anyhow::{Context as _, Result};
use docker_containerizer::{Ending, Exit, RemovalDelay, Unknown};
use docker_engine::{AnonymousVolumes, Force, ListFilter, ListScope};
use integration::images::TestImage;
use integration::supervised::{Options, PATIENCE, Supervised, Task};
use integration::sweep::SCOPE_LABEL;
use integration::{Fault, FaultProxy, Rule, eventually, require_engine};
use mesos_proto::v1::TaskState;

use crate::launch::states;

/// The engine tells the exit code before it forgets the container, so that the code alone looks like a kill.
#[tokio::test]
async fn a_container_that_somebody_removed_has_failed() -> Result<()> {
    let engine = require_engine!(Ok(()));
    let agent = Supervised::new(&engine).await?;
    let mut task = agent.launch(&Task::shell("sleep 1000"))?;
    task.running().await?;
    let mut client = agent.scope().client().await?;
    client.delete(&format!("/containers/{}?force=1&v=1", task.name())).await?.ok()?;
    let end = task.terminal().await?;
    assert_eq!(end.outcome.state, TaskState::TaskFailed);
    let ending = end.termination.ending;
    let told = [Exit::Code(137), Exit::Unknown(Unknown::RemovedOutside)].map(Ending::Exited);
    assert!(told.contains(&ending), "{ending:?}");
    assert!(end.status.message().contains("removed from outside"), "{}", end.status.message());
    assert_eq!(task.states(), states("STARTING RUNNING FAILED"));
    agent.end().await
}

/// The wait is cut whenever it begins, so that only a look at the engine can tell, and the container is gone by then.
#[tokio::test]
async fn a_container_that_was_removed_unseen_is_told_as_removed_from_outside() -> Result<()> {
    let engine = require_engine!(Ok(()));
    let proxy = FaultProxy::start(engine.socket()).await?;
    let agent = Supervised::with(&engine, Options::through(proxy.socket())).await?;
    let cut = proxy.add(Rule::new("POST", "/containers/*/wait", Fault::Cut));
    let mut task = agent.launch(&Task::shell("sleep 1000"))?;
    task.running().await?;
    eventually("a wait that is cut", PATIENCE, async || Ok((proxy.hits(cut) > 0).then_some(()))).await?;
    let hang = proxy.add(Rule::new("GET", "/containers/*/json", Fault::Hang));
    let mut client = agent.scope().client().await?;
    client.delete(&format!("/containers/{}?force=1&v=1", task.name())).await?.ok()?;
    proxy.remove(hang);
    let end = task.terminal().await?;
    assert_eq!(end.outcome.state, TaskState::TaskFailed);
    assert_eq!(end.termination.ending, Ending::Exited(Exit::Unknown(Unknown::RemovedOutside)));
    assert!(end.status.message().contains("removed from outside"), "{}", end.status.message());
    agent.end().await
}

#[tokio::test]
async fn a_container_that_somebody_killed_has_failed_with_137() -> Result<()> {
    let engine = require_engine!(Ok(()));
    let agent = Supervised::new(&engine).await?;
    let mut task = agent.launch(&Task::shell("sleep 1000"))?;
    task.running().await?;
    let mut client = agent.scope().client().await?;
    client.post_empty(&format!("/containers/{}/kill", task.name())).await?.ok()?;
    let end = task.terminal().await?;
    assert_eq!((end.outcome.state, end.outcome.exit_code), (TaskState::TaskFailed, 137));
    assert_eq!(end.status.message(), "Container exited with status 137 (SIGKILL)");
    agent.end().await
}

#[tokio::test]
async fn a_container_that_somebody_stopped_has_its_own_exit_code() -> Result<()> {
    let engine = require_engine!(Ok(()));
    let agent = Supervised::new(&engine).await?;
    let line = "trap 'exit 5' TERM; echo ready; while :; do sleep 0.1; done";
    let mut task = agent.launch(&Task::shell(line))?;
    task.running().await?;
    task.says("ready").await?;
    let mut client = agent.scope().client().await?;
    client.post_empty(&format!("/containers/{}/stop?t=60", task.name())).await?.ok()?;
    let end = task.terminal().await?;
    assert_eq!((end.outcome.state, end.outcome.exit_code), (TaskState::TaskFailed, 5));
    agent.end().await
}

/// A name that somebody else took is theirs: the launch fails, and the container with that name stays.
#[tokio::test]
async fn a_container_that_is_not_ours_is_not_touched_though_it_has_our_name() -> Result<()> {
    let engine = require_engine!(Ok(()));
    let agent = Supervised::new(&engine).await?;
    let order = agent.order(&Task::shell("true"))?;
    let name = format!("mesos-{}-{}", order.identity.agent_id.as_str(), order.identity.container_id);
    let mut client = agent.scope().client().await?;
    let body = serde_json::json!({
        "Image": "mesos-test/busybox:latest", "Cmd": ["true"], "Labels": agent.scope().labels(),
    });
    client.post(&format!("/containers/create?name={name}"), &body).await?.ok()?;

    let mut task = agent.launch_order(order)?;
    assert_eq!(task.name(), name);
    let end = task.terminal().await?;
    assert_eq!(end.outcome.state, TaskState::TaskFailed);
    assert!(end.status.message().contains("already in use"), "{}", end.status.message());
    agent.containerizer().settled().await;
    client.get(&format!("/containers/{name}/json")).await?.ok()?;
    client.delete(&format!("/containers/{name}?force=1&v=1")).await?.ok()?;
    agent.end().await
}

/// Peer: DockerTest.ROOT_DOCKER_interface.
#[tokio::test]
async fn a_container_is_listed_while_it_runs_known_until_it_is_removed_and_then_gone() -> Result<()> {
    let engine = require_engine!(Ok(()));
    let agent = Supervised::new(&engine).await?;
    let verbs = agent.containerizer().engine().clone();
    let is_listed = async |id: &str, scope| {
        let filter = ListFilter {
            labels: vec![format!("{SCOPE_LABEL}={}", agent.scope().id())],
            scope,
            ..ListFilter::default()
        };
        anyhow::Ok(verbs.list(&filter, PATIENCE).await?.iter().any(|listed| listed.id == id))
    };
    for (suffix, stop_first) in [("stopped", true), ("forced", false)] {
        let id = agent.scope().run(suffix, TestImage::Busybox, &["sleep", "1000"]).await?;
        let now = verbs.inspect(&id, PATIENCE).await?.context("not there")?;
        assert_eq!(now.id, id);
        assert_eq!(now.name.trim_start_matches('/'), agent.scope().name(suffix));
        assert!(now.state.running && now.state.pid.is_some());
        assert!(is_listed(&id, ListScope::Running).await? && is_listed(&id, ListScope::All).await?);

        if stop_first {
            verbs.kill(&id, "SIGKILL", PATIENCE).await?;
            assert_eq!(verbs.wait_not_running(&id, PATIENCE).await?.exit_code, 137);
            assert!(!is_listed(&id, ListScope::Running).await? && is_listed(&id, ListScope::All).await?);
            let then = verbs.inspect(&id, PATIENCE).await?.context("not there")?;
            assert_eq!((&then.id, &then.name), (&now.id, &now.name));
            assert!(!then.state.running && then.state.pid.is_none());
        }
        verbs.remove(&id, Force::Yes, AnonymousVolumes::Remove, PATIENCE).await?;
        assert!(!is_listed(&id, ListScope::All).await?);
        assert!(verbs.inspect(&id, PATIENCE).await?.is_none());
    }
    agent.end().await
}

/// The run that we watched is over, whatever the engine began afterwards; that goes too.
#[tokio::test]
async fn a_container_that_somebody_restarted_has_failed_and_goes() -> Result<()> {
    let engine = require_engine!(Ok(()));
    let agent = Supervised::new(&engine).await?;
    let mut task = agent.launch(&Task::shell("sleep 1000"))?;
    task.running().await?;
    let mut client = agent.scope().client().await?;
    // Our removal may come between its two halves, and then the engine complains.
    client.post_empty(&format!("/containers/{}/restart?t=0", task.name())).await?;
    let end = task.terminal().await?;
    assert_eq!(end.outcome.state, TaskState::TaskFailed);
    assert_eq!(task.states(), states("STARTING RUNNING FAILED"));
    agent.end().await
}

/// Where stopped containers are kept for a while, nothing but our own look ends what somebody restarted.
#[tokio::test]
async fn a_restarted_container_does_not_run_any_more_when_the_end_is_told() -> Result<()> {
    let engine = require_engine!(Ok(()));
    let agent =
        Supervised::with(&engine, Options { removal: RemovalDelay::Never, ..Options::default() }).await?;
    let mut task = agent.launch(&Task::shell("sleep 1000"))?;
    task.running().await?;
    let mut client = agent.scope().client().await?;
    // Our kill may come between its two halves, and then the engine complains.
    client.post_empty(&format!("/containers/{}/restart?t=0", task.name())).await?;
    assert_eq!(task.terminal().await?.outcome.state, TaskState::TaskFailed);
    let now = agent.inspect(task.name()).await?;
    assert_eq!(now["State"]["Running"], false, "{}", now["State"]);
    client.delete(&format!("/containers/{}?force=1&v=1", task.name())).await?.ok()?;
    agent.end().await
}

#[tokio::test]
async fn a_container_that_somebody_paused_can_be_killed() -> Result<()> {
    let engine = require_engine!(Ok(()));
    let agent = Supervised::new(&engine).await?;
    let mut task = agent.launch(&Task::shell("sleep 1000"))?;
    task.running().await?;
    let mut client = agent.scope().client().await?;
    client.post_empty(&format!("/containers/{}/pause", task.name())).await?.ok()?;
    task.kill_within(std::time::Duration::from_millis(500)).await?;
    let end = task.terminal().await?;
    assert_eq!((end.outcome.state, end.outcome.exit_code), (TaskState::TaskKilled, 137));
    agent.end().await
}
