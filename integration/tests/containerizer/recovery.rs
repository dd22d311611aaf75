//! What a process finds and takes over after the one before it has gone. That one is a runtime of its own here, which is
//! shut down with everything that followed the containers; `tests/adoption.rs` does it with a process that is killed.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::{Context as _, Result};
use docker_containerizer::names::container_name;
use docker_containerizer::{Ending, Exit, Identity, Unknown};
use integration::images::TestImage;
use integration::require_engine;
use integration::supervised::{PATIENCE, Supervised, Task};
use mesos_proto::v1::TaskState;
use mesos_types::ContainerId;
use task_supervisor::Update;

use crate::launch::states;

/// Launches a task from a runtime that is shut down once the task runs.
fn launched_before(agent: &Supervised, task: &Task) -> Result<Identity> {
    let order = agent.order(task)?;
    let identity = order.identity.clone();
    std::thread::scope(|scope| {
        let before = scope.spawn(|| {
            let runtime =
                tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
            runtime.block_on(async {
                let supervisor = agent.another().await?;
                let mut handle = supervisor.launch(supervisor.prepare(order)?)?;
                let running = async {
                    loop {
                        let update = handle.updates.recv().await.context("the task ended")?;
                        if matches!(update, Update::Running(..)) {
                            return anyhow::Ok(());
                        }
                    }
                };
                tokio::time::timeout(PATIENCE, running).await.context("the task does not run")?
            })?;
            runtime.shutdown_timeout(PATIENCE);
            anyhow::Ok(())
        });
        before.join().map_err(|_| anyhow::anyhow!("the process before panicked"))?
    })?;
    Ok(identity)
}

/// Peer: DockerContainerizerTest.ROOT_DOCKER_Recover.
#[tokio::test(flavor = "multi_thread")]
async fn a_container_of_an_earlier_process_is_found_and_taken_over() -> Result<()> {
    let engine = require_engine!(Ok(()));
    let agent = Supervised::new(&engine).await?;
    let line = "i=0; until [ -e $MESOS_SANDBOX/enough ]; do i=$((i+1)); echo line $i; sleep 0.02; done; echo end $i; exit 6";
    let identity = launched_before(&agent, &Task::shell(line))?;

    let found = agent.containerizer().recover(agent.work_dir(), &BTreeSet::new()).await?;
    assert_eq!(found.iter().map(|found| found.container_id).collect::<Vec<_>>(), [identity.container_id]);
    assert_eq!(found[0].labels.as_ref().map(|labels| &labels.identity), Some(&identity));
    assert_eq!(found[0].state, "running");

    let mut task = agent.adopt(&identity).await?;
    assert_eq!(agent.containerizer().containers(), [identity.container_id]);
    assert!(agent.containerizer().usage(identity.container_id).is_ok());
    task.says("line 50").await?;
    std::fs::write(task.sandbox().join("enough"), "")?;
    let end = task.terminal().await?;
    // What was told by the process before is not told again.
    assert_eq!(task.states(), states("FAILED"));
    assert_eq!(end.termination.ending, Ending::Exited(Exit::Code(6)));

    // Each line once and in order, over both processes.
    let output = task.stdout()?;
    let lines: Vec<_> = output.lines().collect();
    let count = lines.len() - 1;
    let expected =
        (1..=count).map(|i| format!("line {i}")).chain([format!("end {count}")]).collect::<Vec<_>>();
    assert_eq!(lines, expected);
    agent.end().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_that_ended_while_nobody_watched_has_its_own_exit_code_and_output() -> Result<()> {
    let engine = require_engine!(Ok(()));
    let agent = Supervised::new(&engine).await?;
    let line = "until [ -e $MESOS_SANDBOX/end ]; do sleep 0.02; done; echo alone; exit 9";
    let identity = launched_before(&agent, &Task::shell(line))?;
    let sandbox = task_supervisor::RunLayout::of(agent.work_dir(), &identity).sandbox().to_owned();
    std::fs::write(sandbox.join("end"), "")?;
    let name = container_name(&identity.agent_id, identity.container_id);
    integration::eventually("the end of the container", PATIENCE, async || {
        Ok((agent.inspect(&name).await?["State"]["Status"] == "exited").then_some(()))
    })
    .await?;

    let mut task = agent.adopt(&identity).await?;
    let end = task.terminal().await?;
    assert_eq!((end.outcome.state, end.outcome.exit_code), (TaskState::TaskFailed, 9));
    assert_eq!(task.stdout()?, "alone\n");
    agent.end().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_that_was_taken_over_can_be_killed() -> Result<()> {
    let engine = require_engine!(Ok(()));
    let agent = Supervised::new(&engine).await?;
    let identity = launched_before(&agent, &Task::shell("sleep 1000"))?;
    let mut task = agent.adopt(&identity).await?;
    task.kill_within(Duration::ZERO).await?;
    let end = task.terminal().await?;
    assert_eq!((end.outcome.state, end.outcome.exit_code), (TaskState::TaskKilled, 137));
    agent.end().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_container_that_vanished_meanwhile_is_told_as_removed_from_outside() -> Result<()> {
    let engine = require_engine!(Ok(()));
    let agent = Supervised::new(&engine).await?;
    let vanished = launched_before(&agent, &Task::shell("echo seen; sleep 1000"))?;
    let stays = launched_before(&agent, &Task::shell("sleep 1000"))?;
    let name = container_name(&vanished.agent_id, vanished.container_id);
    agent.scope().client().await?.delete(&format!("/containers/{name}?force=1&v=1")).await?.ok()?;

    let mut gone = agent.adopt(&vanished).await?;
    let mut here = agent.adopt(&stays).await?;
    let end = gone.terminal().await?;
    assert_eq!(end.outcome.state, TaskState::TaskFailed);
    assert_eq!(end.termination.ending, Ending::Exited(Exit::Unknown(Unknown::RemovedOutside)));
    assert!(end.status.message().contains("removed from outside"), "{}", end.status.message());

    here.kill_within(Duration::ZERO).await?;
    assert_eq!(here.terminal().await?.outcome.exit_code, 137);
    agent.end().await
}

/// Peer: DockerContainerizerTest.ROOT_DOCKER_KillOrphanContainers.
///
/// Stock takes every `mesos-<uuid>` for its own; ours leaves alone what another work directory or nobody's label owns.
#[tokio::test(flavor = "multi_thread")]
async fn an_orphan_is_removed_and_what_is_not_ours_stays() -> Result<()> {
    let engine = require_engine!(Ok(()));
    let agent = Supervised::new(&engine).await?;
    let other = Supervised::new(&engine).await?;
    let mut theirs = other.launch(&Task::shell("sleep 1000"))?;
    theirs.running().await?;
    let orphan = launched_before(&agent, &Task::shell("sleep 1000"))?;

    let found = agent.containerizer().recover(agent.work_dir(), &BTreeSet::new()).await?;
    assert_eq!(found.iter().map(|found| found.container_id).collect::<Vec<_>>(), [orphan.container_id]);
    agent.containerizer().remove_orphan(&found[0].engine_id).await.map_err(anyhow::Error::msg)?;
    let status = agent
        .scope()
        .client()
        .await?
        .get(&format!("/containers/{}/json", found[0].engine_id))
        .await?
        .status();
    assert_eq!(status, 404);

    assert_eq!(other.inspect(theirs.name()).await?["State"]["Running"], true);
    theirs.kill_within(Duration::ZERO).await?;
    theirs.terminal().await?;
    other.end().await?;
    agent.end().await
}

/// Peer: DockerContainerizerTest.ROOT_DOCKER_SkipRecoverMalformedUUID.
#[tokio::test]
async fn what_only_looks_like_ours_is_not_found() -> Result<()> {
    let engine = require_engine!(Ok(()));
    let agent = Supervised::new(&engine).await?;
    let mut client = agent.scope().client().await?;
    let unlabelled = ContainerId::random();
    for name in [
        format!("mesos-{}-malformedUUID", agent.scope().id()),
        format!("mesos-{}.{unlabelled}", agent.scope().id()),
    ] {
        let body = serde_json::json!({
            "Image": TestImage::Busybox.reference(), "Cmd": ["true"], "Labels": agent.scope().labels(),
        });
        client.post(&format!("/containers/create?name={name}"), &body).await?.ok()?;
    }
    let containerizer = agent.containerizer();
    assert_eq!(containerizer.recover(agent.work_dir(), &BTreeSet::new()).await?, []);
    // A stock agent of the same work directory made it: the checkpoint says so.
    let found = containerizer.recover(agent.work_dir(), &BTreeSet::from([unlabelled])).await?;
    assert_eq!(found.iter().map(|found| found.container_id).collect::<Vec<_>>(), [unlabelled]);
    assert_eq!(agent.scope().sweep().await?.containers.len(), 2);
    agent.end().await
}
