//! What is told of pulls: in the sandbox, in statuses, in updates.

use anyhow::{Context as _, Result};
use docker_containerizer::PullStage;
use integration::engine::current_test;
use integration::images::TestImage;
use integration::supervised::{Layer, Registry, Supervised};
use integration::{Fault, Rule, require_engine};
use mesos_proto::v1::TaskStatus;
use task_supervisor::{IMAGE_DIGEST_LABEL, Update};

use crate::{SECOND, SOME, Task, pulls, task, with};

/// Returns the image that a status tells.
fn image_of(status: &TaskStatus) -> Option<&str> {
    let labels = &status.labels.as_ref()?.labels;
    labels.iter().find(|label| label.key == IMAGE_DIGEST_LABEL)?.value.as_deref()
}

/// The digest is the one that the registry gave with the manifest, and by which the same image can be had again.
#[tokio::test]
async fn the_digest_that_ran_is_in_every_status_from_running_on() -> Result<()> {
    let engine = require_engine!(Ok(()));
    let agent = Supervised::with(&engine, with(pulls())).await?;
    let Some(registry) = Registry::start(agent.scope(), &current_test()).await? else { return Ok(()) };
    let name = agent.scope().id();
    let image = registry.publish(name, "1", &[]).await?;
    let mut launched = agent.launch(&task("told", &image))?;
    let started = launched.running().await?;
    let digest = image_of(&started.status).context("no image in TASK_RUNNING")?.to_owned();
    assert!(digest.starts_with(&format!("{}/{name}@sha256:", registry.host())), "{digest}");
    let end = launched.finished().await?;
    assert_eq!(image_of(&end.status), Some(digest.as_str()));
    let starting = &launched.statuses()[0];
    assert_eq!(image_of(starting), None, "nothing ran at TASK_STARTING");
    // It is a reference: the same image runs by it.
    agent.launch(&task("by-digest", &digest))?.finished().await?;
    agent.end().await
}

#[tokio::test]
async fn an_image_that_no_registry_knows_is_told_by_its_id() -> Result<()> {
    let engine = require_engine!(Ok(()));
    let agent = Supervised::with(&engine, with(pulls())).await?;
    let image = TestImage::StopSignal.reference();
    let path = format!("/images/{image}/json");
    let known = agent.scope().client().await?.get(&path).await?.ok()?.json()?;
    let mut launched = agent.launch(&task("loaded", image))?;
    let started = launched.running().await?;
    assert_eq!(image_of(&started.status), known["Id"].as_str());
    launched.finished().await?;
    agent.end().await
}

/// Bytes and layers reach every waiter, and a long pull its sandbox, while it goes on and at its end.
#[tokio::test]
async fn progress_is_told_to_all_who_wait() -> Result<()> {
    let engine = require_engine!(Ok(()));
    let agent = Supervised::with(&engine, with(pulls())).await?;
    let Some(registry) = Registry::start(agent.scope(), &current_test()).await? else { return Ok(()) };
    let registry = registry.behind_proxy().await?;
    let name = agent.scope().id();
    let image = registry.publish(name, "1", &[Layer::random(name, SOME)?]).await?;
    // About fifteen seconds: long enough for one line on the way.
    registry.proxy().add(Rule::new("GET", "*/blobs/*", Fault::Drip(14 << 10, SECOND / 10)));
    let mut order = agent.order(&Task::shell("true").id("listens").image_named(&image))?;
    order.tap = None;
    let prepared = agent.supervisor().prepare(order)?;
    let mut listens = agent.supervisor().launch(prepared)?;
    let mut waits = agent.launch(&task("waits", &image))?;

    let mut seen = Vec::new();
    while let Some(update) = listens.updates.recv().await {
        match update {
            Update::Pull(news) => seen.push(news),
            Update::Terminal(_, outcome, _) => assert_eq!(outcome.exit_code, 0, "{outcome:?}"),
            _ => {}
        }
    }
    waits.finished().await?;
    let receiving =
        seen.iter().filter(|news| news.totals.bytes > 0 && news.totals.bytes_total >= SOME as u64);
    assert!(receiving.count() > 3, "{seen:?}");
    assert!(seen.iter().any(|news| news.totals.layers == 2), "{seen:?}");
    assert!(matches!(seen.last().map(|news| &news.stage), Some(PullStage::Done(Ok(())))), "{seen:?}");
    let first = std::fs::read_to_string(listens.layout.sandbox().join("stderr"))?;
    for stderr in [first, waits.stderr()?] {
        let lines = |part: &str| stderr.lines().filter(|line| line.contains(part)).count();
        assert!((1..=3).contains(&lines("is being pulled: ")), "{stderr}");
        assert_eq!(lines("was pulled in "), 1, "{stderr}");
        assert!(stderr.contains(" of 2 layers"), "{stderr}");
    }
    agent.end().await
}
