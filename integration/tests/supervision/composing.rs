//! The containerizers as one: a destroy that comes at any moment of a launch, ids that are in use, ids that nobody knows.

use std::time::Duration;

use anyhow::{Context as _, Result};
use docker_containerizer::{Ending, Kill};
use integration::supervised::{Options, PATIENCE, Supervised, Task};
use integration::{Fault, FaultProxy, Rule, eventually, require_engine};
use mesos_proto::v1::TaskState;
use mesos_types::ContainerId;
use task_supervisor::{ComposingError, SuperviseError};

const NOW: Kill = Kill { grace: Duration::ZERO };

/// A launch is destroyed before any containerizer has it: it fails, none is asked further, and the engine never hears of
/// it.
///
/// Peer: ComposingContainerizerTest.DestroyDuringUnsupportedLaunchLoop.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_launch_that_is_destroyed_before_it_is_taken_is_given_to_none() -> Result<()> {
    let engine = require_engine!(Ok(()));
    let proxy = FaultProxy::start(engine.socket()).await?;
    let agent = Supervised::with(&engine, Options::through(proxy.socket())).await?;
    let composed = agent.supervisor().containerizer();

    // While members are asked.
    let id = ContainerId::random();
    let launching = composed.claim(id)?;
    assert!(composed.destroy(id, NOW).is_none(), "no member has it");
    let chosen = composed.choose(&launching, Task::shell("true").info().container.as_ref());
    assert_eq!(chosen.unwrap_err().to_string(), "Container was destroyed while launching");
    drop(launching);

    // After one has said that it would take it.
    let creates = proxy.add(Rule::new("POST", "/containers/create", Fault::Hang));
    let prepared = agent.supervisor().prepare(agent.order(&Task::shell("true"))?)?;
    let id = prepared.container_id();
    assert!(composed.destroy(id, NOW).is_none(), "no member has it");
    let refused = agent.supervisor().launch(prepared).expect_err("it was destroyed");
    assert!(
        matches!(refused, SuperviseError::Containerizer(ComposingError::Destroyed(other)) if other == id),
        "{refused:?}"
    );
    assert!(composed.wait(id).is_none());
    assert_eq!(proxy.hits(creates), 0, "the engine was asked for a container");
    // The id is free again.
    drop(composed.claim(id)?);
    agent.end().await
}

/// A container is destroyed while its containerizer launches it: the launch was accepted, the destroy ends it, and nothing
/// is left.
///
/// Peer: ComposingContainerizerTest.DestroyDuringSupportedLaunchLoop.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_container_is_destroyed_while_its_containerizer_launches_it() -> Result<()> {
    let engine = require_engine!(Ok(()));
    let proxy = FaultProxy::start(engine.socket()).await?;
    let agent = Supervised::with(&engine, Options::through(proxy.socket())).await?;
    let composed = agent.supervisor().containerizer().clone();
    let late = proxy.add(Rule::new("POST", "/containers/create", Fault::Hang));
    let task = agent.launch(&Task::shell("sleep 1000"))?;
    eventually("the create under way", PATIENCE, async || Ok((proxy.hits(late) > 0).then_some(()))).await?;

    let mut destroyed = composed.destroy(task.container_id(), NOW).context("a member has it")?;
    proxy.remove(late);
    let end = destroyed.terminated().await.context("it has an end")?;
    assert!(matches!(end.ending, Ending::DestroyedBeforeStart(_)), "{:?}", end.ending);
    assert!(composed.wait(task.container_id()).is_none());
    assert!(agent.inspect(task.name()).await.is_err(), "the engine has a container");
    let mut task = task;
    assert_eq!(task.terminal().await?.outcome.state, TaskState::TaskKilled);
    agent.end().await
}

/// A container that runs is destroyed through its containerizer, a second launch of its id is refused as long as it is
/// there, and its id is nobody's after its end.
///
/// Peer: ComposingContainerizerTest.DestroyAfterLaunchLoop.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_container_that_runs_is_destroyed_through_the_one_that_has_it() -> Result<()> {
    let engine = require_engine!(Ok(()));
    let agent = Supervised::new(&engine).await?;
    let composed = agent.supervisor().containerizer().clone();
    let order = agent.order(&Task::shell("sleep 1000"))?;
    let (identity, info) = (order.identity.clone(), order.info.clone());
    let mut task = agent.launch_order(order)?;
    task.running().await?;
    let id = identity.container_id;
    assert!(composed.status(id)?.is_some());
    assert!(composed.usage(id)?.mem_rss_bytes < 1 << 30);

    let again = task_supervisor::TaskOrder::new(identity, info, task_supervisor::TaskKilling::Sent);
    let refused = agent.supervisor().prepare(again).expect_err("the id is in use");
    assert_eq!(refused.to_string(), format!("container {id} is already started"));

    let (mut waited, mut destroyed) =
        (composed.wait(id).context("it is known")?, composed.destroy(id, NOW).context("it is known")?);
    let ends = (waited.terminated().await, destroyed.terminated().await);
    let (Some(waited), Some(destroyed)) = ends else { anyhow::bail!("no end") };
    assert_eq!(waited, destroyed);
    assert!(matches!(destroyed.ending, Ending::Exited(_)), "{:?}", destroyed.ending);
    task.terminal().await?;
    assert!(composed.wait(id).is_none() && composed.destroy(id, NOW).is_none());
    assert!(matches!(composed.status(id), Err(ComposingError::Unknown(_))));
    agent.end().await
}

/// Peer: ComposingContainerizerTest.DestroyUnknownContainer, ComposingContainerizerTest.WaitUnknownContainer.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_nobody_knows_needs_no_end_and_has_none() -> Result<()> {
    let engine = require_engine!(Ok(()));
    let agent = Supervised::new(&engine).await?;
    let composed = agent.supervisor().containerizer();
    let id = ContainerId::random();
    assert!(composed.destroy(id, NOW).is_none());
    assert!(composed.wait(id).is_none());
    composed.update(id, Default::default(), Default::default()).await?;
    assert!(matches!(composed.usage(id), Err(ComposingError::Unknown(_))));
    // A destroy of before says nothing about a launch that comes later.
    assert!(!composed.claim(id)?.is_destroyed());
    agent.end().await
}

/// None takes it: what each said, and what the operator can do, is in the refusal.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_task_that_no_containerizer_takes_is_refused_with_what_each_said() -> Result<()> {
    let engine = require_engine!(Ok(()));
    let agent = Supervised::new(&engine).await?;
    let refusal = agent.refusal(&Task::shell("true").change(|info| info.container = None))?;
    assert!(
        refusal.starts_with("None of the enabled containerizers (docker) could create a container"),
        "{refusal}"
    );
    assert!(
        refusal.contains("docker: it has no container") && refusal.contains("--containerizers"),
        "{refusal}"
    );
    agent.end().await
}
