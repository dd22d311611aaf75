//! When an image is pulled, and what runs when the registry is down.

use anyhow::{Context as _, Result};
use docker_containerizer::{PullPolicy, PullSettings};
use integration::engine::current_test;
use integration::images::TestImage;
use integration::supervised::{Layer, PATIENCE, Registry, Supervised};
use integration::{Fault, FaultProxy, Rule, eventually, require_engine};
use mesos_proto::v1::TaskState;
use mesos_proto::v1::task_status::Reason;

use crate::{PROMPT, SOME, forced, pulls, task, through, with};

/// What the image's layer is called inside it.
const LIST: &str = "ls /random";

#[tokio::test]
async fn a_forced_pull_picks_up_a_moved_tag() -> Result<()> {
    let engine = require_engine!(Ok(()));
    let agent = Supervised::with(&engine, with(pulls())).await?;
    let Some(registry) = Registry::start(agent.scope(), &current_test()).await? else { return Ok(()) };
    let name = agent.scope().id();
    let layers = [Layer::random(&format!("{name}1"), 4096)?, Layer::random(&format!("{name}2"), 4096)?];
    let image = registry.publish(name, "moves", &layers[..1]).await?;
    let listed = async |id: &str, forced: bool| {
        let task = crate::Task::shell(LIST).id(id).image_named(&image);
        let task = task.docker(|docker| docker.force_pull_image = Some(forced));
        let mut task = agent.launch(&task)?;
        task.finished().await?;
        task.stdout()
    };
    let first = listed("first", true).await?;
    registry.publish(name, "moves", &layers[1..]).await?;
    assert_eq!(listed("cached", false).await?, first, "an image that is there was pulled");
    let second = listed("second", true).await?;
    assert_ne!(second, first);
    assert_eq!(listed("again", false).await?, second);
    agent.end().await
}

#[tokio::test]
async fn with_the_policy_always_every_launch_asks_the_registry() -> Result<()> {
    let engine = require_engine!(Ok(()));
    let settings = PullSettings { policy: PullPolicy::Always, ..pulls() };
    let agent = Supervised::with(&engine, with(settings)).await?;
    let Some(registry) = Registry::start(agent.scope(), &current_test()).await? else { return Ok(()) };
    let registry = registry.behind_proxy().await?;
    let name = agent.scope().id();
    let image = registry.publish(name, "1", &[]).await?;
    for pulls in 1..=2 {
        agent.launch(&task(&format!("t{pulls}"), &image))?.finished().await?;
        assert_eq!(agent.containerizer().pull_counters().begun, pulls);
    }
    agent.end().await
}

#[tokio::test]
async fn with_prefer_cached_a_forced_pull_starts_while_the_registry_is_down() -> Result<()> {
    let engine = require_engine!(Ok(()));
    let settings = PullSettings { policy: PullPolicy::PreferCached, ..pulls() };
    let agent = Supervised::with(&engine, with(settings)).await?;
    let Some(registry) = Registry::start(agent.scope(), &current_test()).await? else { return Ok(()) };
    let mut registry = registry.behind_proxy().await?;
    let name = agent.scope().id();
    let image = registry.publish(name, "1", &[]).await?;
    agent.launch(&forced("up", &image))?.finished().await?;
    assert_eq!(agent.containerizer().pull_counters().succeeded, 1);

    registry.proxy_mut().go_down().await?;
    let mut down = agent.launch(&forced("down", &image))?;
    down.finished().await?;
    let stderr = down.stderr()?;
    assert!(stderr.contains("warning: ") && stderr.contains("connection refused"), "{stderr}");
    assert!(stderr.contains("the image on this host is used"), "{stderr}");

    registry.proxy_mut().come_back().await?;
    let refusing = registry.proxy().add(Rule::new("*", "*/manifests/*", Fault::Replace(503, "{}".into())));
    agent.launch(&forced("failing", &image))?.finished().await?;
    registry.proxy().remove(refusing);

    // A registry that answers that there is no such image is not down.
    let gone = registry.reference(name, "gone");
    let end = agent.launch(&forced("gone", &gone))?.terminal().await?;
    assert_eq!(end.outcome.state, TaskState::TaskFailed);
    agent.end().await
}

/// It is the engine that was lost, and not the registry: the launch waits for it as any other.
#[tokio::test]
async fn with_prefer_cached_a_lost_engine_is_waited_for() -> Result<()> {
    let engine = require_engine!(Ok(()));
    let to_engine = FaultProxy::start(engine.socket()).await?;
    let settings = PullSettings { policy: PullPolicy::PreferCached, ..pulls() };
    let agent = Supervised::with(&engine, through(to_engine.socket(), settings)).await?;
    let Some(registry) = Registry::start(agent.scope(), &current_test()).await? else { return Ok(()) };
    let image = registry.publish(agent.scope().id(), "1", &[]).await?;
    agent.launch(&task("first", &image))?.finished().await?;
    let cut = to_engine.add(Rule::new("POST", "/images/create", Fault::CutAnswer).times(1));
    let mut lost = agent.launch(&forced("lost", &image))?;
    lost.finished().await?;
    assert_eq!(to_engine.hits(cut), 1);
    assert_eq!(agent.containerizer().pull_counters().retried, 1);
    let stderr = lost.stderr()?;
    assert!(!stderr.contains("the image on this host is used"), "{stderr}");
    agent.end().await
}

/// No registry knows ids, so there is nothing to pull whatever is forced.
#[tokio::test]
async fn an_image_that_is_named_by_its_id_is_never_pulled() -> Result<()> {
    let engine = require_engine!(Ok(()));
    let settings = PullSettings { policy: PullPolicy::Always, ..pulls() };
    let agent = Supervised::with(&engine, with(settings)).await?;
    let path = format!("/images/{}/json", TestImage::Busybox.reference());
    let known = agent.scope().client().await?.get(&path).await?.ok()?.json()?;
    let id = known["Id"].as_str().context("the image has no id")?;
    agent.launch(&task("always", id))?.finished().await?;
    agent.launch(&forced("forced", id))?.finished().await?;
    let absent = format!("sha256:{}", "0".repeat(64));
    let end = agent.launch(&task("absent", &absent))?.terminal().await?;
    assert!(end.status.message().contains("is named by its id and is not on this host"));
    assert_eq!(end.outcome.state, TaskState::TaskFailed);
    agent.end().await
}

/// A prune takes the image right after the pull, before anybody looked at it.
#[tokio::test]
async fn an_image_that_vanishes_right_after_its_pull_is_pulled_again() -> Result<()> {
    let engine = require_engine!(Ok(()));
    let to_engine = FaultProxy::start(engine.socket()).await?;
    let agent = Supervised::with(&engine, through(to_engine.socket(), pulls())).await?;
    let Some(registry) = Registry::start(agent.scope(), &current_test()).await? else { return Ok(()) };
    let image = registry.publish(agent.scope().id(), "1", &[]).await?;
    // The first look finds nothing, in truth.
    let gone = Fault::Replace(404, serde_json::json!({ "message": "No such image" }).to_string());
    let gone = to_engine.add(Rule::new("GET", "/images/*/json", gone).after(1).times(1));
    let mut task = agent.launch(&task("pruned", &image))?;
    task.finished().await?;
    assert_eq!(to_engine.hits(gone), 1);
    assert_eq!(agent.containerizer().pull_counters().begun, 2);
    let stderr = task.stderr()?;
    assert!(stderr.contains("was removed meanwhile and is pulled again"), "{stderr}");
    agent.end().await
}

/// Without an image on the host there is nothing to fall back to: the retries count, and their end.
#[tokio::test]
async fn with_prefer_cached_a_missing_image_is_pulled_with_all_retries() -> Result<()> {
    let engine = require_engine!(Ok(()));
    let settings = PullSettings { policy: PullPolicy::PreferCached, ..pulls() };
    let agent = Supervised::with(&engine, with(settings)).await?;
    let Some(registry) = Registry::start(agent.scope(), &current_test()).await? else { return Ok(()) };
    let registry = registry.behind_proxy().await?;
    let name = agent.scope().id();
    let image = registry.publish(name, "1", &[]).await?;
    registry.proxy().add(Rule::new("*", "*/manifests/*", Fault::Replace(500, "{}".into())).times(2));
    agent.launch(&forced("later", &image))?.finished().await?;
    assert!(agent.containerizer().pull_counters().retried >= 1);
    agent.end().await
}

/// The image goes between the look and the create; the pull that follows is one like any other, and a kill ends it.
#[tokio::test]
async fn a_kill_ends_the_pull_of_an_image_that_vanished() -> Result<()> {
    let engine = require_engine!(Ok(()));
    let to_engine = FaultProxy::start(engine.socket()).await?;
    let agent = Supervised::with(&engine, through(to_engine.socket(), pulls())).await?;
    let Some(registry) = Registry::start(agent.scope(), &current_test()).await? else { return Ok(()) };
    let registry = registry.behind_proxy().await?;
    let name = agent.scope().id();
    let image = registry.publish(name, "1", &[Layer::random(name, SOME)?]).await?;
    let present = format!("/images/{}/json", TestImage::Busybox.reference());
    let stored = agent.scope().client().await?.get(&present).await?.ok()?.text();
    to_engine.add(Rule::new("GET", "/images/*/json", Fault::Replace(200, stored)).times(1));
    let held = registry.proxy().add(Rule::new("*", "*/manifests/*", Fault::Hang));

    let mut task = agent.launch(&task("vanished", &image))?;
    eventually("the pull", PATIENCE, async || Ok((registry.proxy().hits(held) > 0).then_some(()))).await?;
    let stderr = task.stderr()?;
    assert!(stderr.contains("was removed meanwhile and is pulled again"), "{stderr}");
    task.kill().await?;
    let end = task.terminal_within(PROMPT).await?;
    assert_eq!(end.outcome.state, TaskState::TaskKilled);
    assert_eq!(end.status.reason(), Reason::TaskKilledDuringLaunch);
    agent.end().await
}
