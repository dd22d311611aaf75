//! What ends a pull, and what does not.

use std::time::Instant;

use anyhow::{Context as _, Result};
use docker_containerizer::PullSettings;
use docker_containerizer::images::RetrySettings;
use integration::engine::current_test;
use integration::supervised::{Layer, PATIENCE, Registry, Supervised};
use integration::{Fault, FaultProxy, Rule, eventually, require_engine};
use mesos_proto::v1::TaskState;
use mesos_proto::v1::task_status::Reason;

use crate::{PROMPT, SECOND, SOME, pulls, task, through, with};

/// Settings without a second try, so that a deadline ends the task.
fn strict(settings: PullSettings) -> PullSettings {
    PullSettings { retry: RetrySettings { max_retries: 0, ..settings.retry }, ..settings }
}

/// The layer takes several times the limit, and the engine tells of its progress all along.
#[tokio::test]
async fn a_dripping_layer_outlives_the_inactivity_limit() -> Result<()> {
    let engine = require_engine!(Ok(()));
    let settings = strict(PullSettings { inactivity: SECOND * 5, ..pulls() });
    let agent = Supervised::with(&engine, with(settings)).await?;
    let Some(registry) = Registry::start(agent.scope(), &current_test()).await? else { return Ok(()) };
    let registry = registry.behind_proxy().await?;
    let name = agent.scope().id();
    let image = registry.publish(name, "1", &[Layer::random(name, SOME)?]).await?;
    // Some 2 MiB in pieces of 12 KiB, ten a second: about seventeen seconds.
    let drip = Fault::Drip(12 << 10, SECOND / 10);
    registry.proxy().add(Rule::new("GET", "*/blobs/*", drip));
    let since = Instant::now();
    agent.launch(&task("drips", &image))?.finished().await?;
    assert!(since.elapsed() > SECOND * 12, "it did not drip: {:?}", since.elapsed());
    agent.end().await
}

#[tokio::test]
async fn a_layer_that_stops_dripping_ends_by_the_inactivity_limit() -> Result<()> {
    let engine = require_engine!(Ok(()));
    let settings = strict(PullSettings { inactivity: SECOND * 3, ..pulls() });
    let agent = Supervised::with(&engine, with(settings)).await?;
    let Some(registry) = Registry::start(agent.scope(), &current_test()).await? else { return Ok(()) };
    let registry = registry.behind_proxy().await?;
    let name = agent.scope().id();
    let image = registry.publish(name, "1", &[Layer::random(name, SOME)?]).await?;
    let stall = registry.proxy().add(Rule::new("GET", "*/blobs/*", Fault::StallBody(1 << 10)));
    let mut task = agent.launch(&task("stalls", &image))?;
    eventually("the layer", PATIENCE, async || Ok((registry.proxy().hits(stall) > 0).then_some(()))).await?;
    let since = Instant::now();
    let end = task.terminal().await?;
    assert_eq!(end.status.reason(), Reason::ContainerLaunchFailed);
    assert!(end.status.message().contains("no answer within 3s"), "{}", end.status.message());
    assert!(since.elapsed() < SECOND * 30, "it took {:?}", since.elapsed());
    agent.end().await
}

/// It stalls once, and the next attempt goes through.
#[tokio::test]
async fn a_registry_that_hangs_is_asked_again() -> Result<()> {
    let engine = require_engine!(Ok(()));
    let agent = Supervised::with(&engine, with(PullSettings { inactivity: SECOND * 5, ..pulls() })).await?;
    let Some(registry) = Registry::start(agent.scope(), &current_test()).await? else { return Ok(()) };
    let registry = registry.behind_proxy().await?;
    let name = agent.scope().id();
    let image = registry.publish(name, "1", &[]).await?;
    let hang = registry.proxy().add(Rule::new("*", "*/manifests/*", Fault::Hang).times(1));
    let mut task = agent.launch(&task("hangs", &image))?;
    task.finished().await?;
    assert_eq!(registry.proxy().hits(hang), 1);
    assert!(agent.containerizer().pull_counters().retried >= 1);
    let stderr = task.stderr()?;
    assert!(stderr.contains("no answer within 5s") && stderr.contains("tried again in"), "{stderr}");
    agent.end().await
}

/// A layer that makes progress for ever ends by the limit for the whole, and only by that.
#[tokio::test]
async fn a_task_waits_for_its_image_as_long_as_the_pull_timeout_says() -> Result<()> {
    let engine = require_engine!(Ok(()));
    let settings = PullSettings { timeout: Some(SECOND * 4), ..pulls() };
    let agent = Supervised::with(&engine, with(settings)).await?;
    let Some(registry) = Registry::start(agent.scope(), &current_test()).await? else { return Ok(()) };
    let registry = registry.behind_proxy().await?;
    let name = agent.scope().id();
    let image = registry.publish(name, "1", &[Layer::random(name, SOME)?]).await?;
    registry.proxy().add(Rule::new("GET", "*/blobs/*", Fault::Drip(64, SECOND / 10)));
    let mut task = agent.launch(&task("slow", &image))?;
    let end = task.terminal().await?;
    assert_eq!(end.outcome.state, TaskState::TaskFailed);
    let message = end.status.message();
    assert!(message.contains("within 4s") && message.contains("--docker_pull_timeout"), "{message}");
    assert_eq!(agent.containerizer().pull_counters().abandoned, 1);
    agent.end().await
}

/// Peer: HungDockerTest.ROOT_DOCKER_InspectHungDuringPull.
///
/// Departs from stock, whose executor has to register in time: the launch waits for the engine, and a kill ends it.
#[tokio::test]
async fn a_kill_ends_a_launch_whose_image_is_pulled_and_cannot_be_looked_at() -> Result<()> {
    let engine = require_engine!(Ok(()));
    let to_engine = FaultProxy::start(engine.socket()).await?;
    let agent = Supervised::with(&engine, through(to_engine.socket(), pulls())).await?;
    let Some(registry) = Registry::start(agent.scope(), &current_test()).await? else { return Ok(()) };
    let name = agent.scope().id();
    let image = registry.publish(name, "1", &[]).await?;
    // The first look finds nothing; the one after the pull hangs.
    let hang = to_engine.add(Rule::new("GET", "/images/*/json", Fault::Hang).after(1));
    let mut killed = agent.launch(&task("killed", &image))?;
    eventually("the look", PATIENCE, async || Ok((to_engine.hits(hang) > 0).then_some(()))).await?;
    assert_eq!(agent.containerizer().pull_counters().succeeded, 1);
    killed.kill().await?;
    let end = killed.terminal_within(PROMPT).await.context("the kill waits for the engine")?;
    assert_eq!(end.outcome.state, TaskState::TaskKilled);
    assert_eq!(end.status.reason(), Reason::TaskKilledDuringLaunch);
    agent.end().await
}
