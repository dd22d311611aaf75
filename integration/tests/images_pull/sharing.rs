//! One pull for all who want the same, a bounded number of them, and small ones before big ones.

use std::collections::BTreeSet;
use std::time::Instant;

use anyhow::{Context as _, Result};
use docker_containerizer::PullSettings;
use docker_containerizer::images::PullClass;
use integration::engine::current_test;
use integration::supervised::{Layer, Options, PATIENCE, Registry, RegistryOptions, Supervised};
use integration::{Fault, FaultProxy, Rule, eventually, require_engine};
use mesos_proto::v1::TaskState;

use crate::{PROMPT, SECOND, SOME, forced, pulls, task, through, with};

#[tokio::test]
async fn twenty_tasks_of_one_image_make_one_pull() -> Result<()> {
    let engine = require_engine!(Ok(()));
    let proxy = FaultProxy::start(engine.socket()).await?;
    let agent = Supervised::with(&engine, through(proxy.socket(), pulls())).await?;
    let Some(registry) = Registry::start(agent.scope(), &current_test()).await? else { return Ok(()) };
    let registry = registry.behind_proxy().await?;
    let name = agent.scope().id();
    let layer = Layer::random(name, SOME)?;
    let image = registry.publish(name, "1", &[layer]).await?;
    let held = registry.proxy().add(Rule::new("GET", "*/blobs/*", Fault::Hang));

    let tasks = (0..20).map(|at| agent.launch(&task(&format!("t{at}"), &image)));
    let mut tasks = tasks.collect::<Result<Vec<_>>>()?;
    let containerizer = agent.containerizer();
    eventually("all to wait", PATIENCE, async || {
        Ok((containerizer.pull_counters().shared == 19).then_some(()))
    })
    .await?;
    registry.proxy().remove(held);
    for task in &mut tasks {
        task.finished().await?;
    }
    let creates = proxy.requests().iter().filter(|request| request.target.contains("/images/create")).count();
    assert_eq!(creates, 1);
    let counters = containerizer.pull_counters();
    assert_eq!((counters.begun, counters.succeeded, counters.running, counters.queued), (1, 1, 0, 0));
    agent.end().await
}

#[tokio::test]
async fn forty_images_are_pulled_within_the_cap() -> Result<()> {
    const CAP: usize = 3;
    let engine = require_engine!(Ok(()));
    let to_engine = FaultProxy::start(engine.socket()).await?;
    let settings = PullSettings { max_parallel: CAP, ..pulls() };
    let agent = Supervised::with(&engine, through(to_engine.socket(), settings)).await?;
    let Some(registry) = Registry::start(agent.scope(), &current_test()).await? else { return Ok(()) };
    let registry = registry.behind_proxy().await?;
    let name = agent.scope().id();
    let layer = Layer::random(name, 4096)?;
    let mut images = Vec::new();
    for tag in 0..40 {
        images.push(registry.publish(name, &tag.to_string(), std::slice::from_ref(&layer)).await?);
    }
    // The manifest is the first that a pull asks for: those that are held are the pulls that are with the engine.
    let held = registry.proxy().add(Rule::new("*", "*/manifests/*", Fault::Hang));
    let mut tasks = Vec::new();
    for (at, image) in images.iter().enumerate() {
        tasks.push(agent.launch(&task(&format!("t{at}"), image))?);
    }
    let containerizer = agent.containerizer();
    eventually("the cap to be reached", PATIENCE, async || {
        let counters = containerizer.pull_counters();
        Ok((counters.running == CAP && counters.queued == 40 - CAP).then_some(()))
    })
    .await?;
    eventually("the registry to be asked", PATIENCE, async || {
        Ok((registry.proxy().hits(held) == CAP).then_some(()))
    })
    .await?;
    registry.proxy().remove(held);
    for task in &mut tasks {
        task.finished().await?;
    }
    // As the engine's socket saw it, over all forty.
    assert_eq!(to_engine.most_at_once("/images/create"), CAP);
    assert_eq!(containerizer.pull_counters().succeeded, 40);
    agent.end().await
}

/// Both places are taken by images that drip; the small one begins all the same, and both big ones end well.
#[tokio::test]
async fn a_small_image_does_not_wait_behind_big_ones() -> Result<()> {
    let engine = require_engine!(Ok(()));
    let settings = PullSettings { max_parallel: 2, quick: SECOND, ..pulls() };
    let agent = Supervised::with(&engine, with(settings)).await?;
    let Some(registry) = Registry::start(agent.scope(), &current_test()).await? else { return Ok(()) };
    let registry = registry.behind_proxy().await?;
    let name = agent.scope().id();
    let mut big = Vec::new();
    for at in 0..2 {
        let repository = format!("{name}/big{at}");
        let layer = Layer::random(&repository, SOME)?;
        let image = registry.publish(&repository, "1", &[layer]).await?;
        let rule = Rule::new("GET", &format!("/{repository}/blobs/*"), Fault::Drip(64, SECOND));
        let rule = registry.proxy().add(rule);
        big.push((agent.launch(&task(&format!("big{at}"), &image))?, rule));
    }
    let containerizer = agent.containerizer();
    eventually("both big ones to be pulled", PATIENCE, async || {
        let asked = |at: usize| registry.asked(&format!("{name}/big{at}"), "blobs") > 0;
        Ok((asked(0) && asked(1)).then_some(()))
    })
    .await?;
    let small = registry.publish(&format!("{name}/small"), "1", &[Layer::random("small", 4096)?]).await?;
    agent.launch(&task("small", &small))?.finished().await?;
    assert_eq!(containerizer.pull_counters().set_aside, 1);
    assert_eq!(containerizer.pull_counters().succeeded, 1, "a big one was done before");
    for (mut task, rule) in big {
        registry.proxy().remove(rule);
        registry.proxy().cut_all();
        task.finished().await?;
    }
    agent.end().await
}

/// The engine downloads three layers at a time over all pulls. Those of a big image have these places, and a small one is
/// silent behind them for longer than silence is allowed; that is not a failure, and is told.
#[tokio::test]
async fn a_small_image_outlives_its_wait_in_the_engine_behind_a_big_one() -> Result<()> {
    let engine = require_engine!(Ok(()));
    let limit = SECOND * 5;
    let settings = PullSettings { inactivity: limit, ..pulls() };
    let agent = Supervised::with(&engine, with(settings)).await?;
    let Some(registry) = Registry::start(agent.scope(), &current_test()).await? else { return Ok(()) };
    let registry = registry.behind_proxy().await?;
    let name = agent.scope().id();
    let repository = format!("{name}/big");
    let layers = (0..4).map(|at| Layer::random(&format!("{repository}{at}"), SOME));
    let big = registry.publish(&repository, "1", &layers.collect::<Result<Vec<_>>>()?).await?;
    // A line for each hundredth of a layer comes about twice a second.
    let drip = Rule::new("GET", &format!("/{repository}/blobs/*"), Fault::Drip(16 << 10, SECOND / 3));
    let drip = registry.proxy().add(drip);
    let mut big = agent.launch(&task("big", &big))?;
    let containerizer = agent.containerizer();
    eventually("the layers of the big one", PATIENCE, async || {
        Ok((registry.proxy().hits(drip) >= 4).then_some(()))
    })
    .await?;
    let repository = format!("{name}/small");
    let small = registry.publish(&repository, "1", &[Layer::random(&repository, 4096)?]).await?;
    let since = Instant::now();
    let mut small = agent.launch(&task("small", &small))?;
    eventually("the small one to be silent for longer than the limit", PATIENCE, async || {
        let counters = containerizer.pull_counters();
        assert_eq!((counters.retried, counters.failed_of(PullClass::Network)), (0, 0), "it was ended");
        Ok((since.elapsed() > limit * 2).then_some(()))
    })
    .await?;
    registry.proxy().remove(drip);
    registry.proxy().cut_all();
    small.finished().await?;
    big.finished().await?;
    let counters = containerizer.pull_counters();
    assert_eq!((counters.retried, counters.succeeded), (0, 2));
    agent.end().await
}

/// Peer: DockerContainerizerTest.ROOT_DOCKER_DestroyWhilePulling.
///
/// Departs from stock, which waits for the pull and tells TASK_FAILED.
#[tokio::test]
async fn the_pull_goes_on_for_those_who_stay_and_stops_with_the_last() -> Result<()> {
    let engine = require_engine!(Ok(()));
    let agent = Supervised::with(&engine, with(pulls())).await?;
    let Some(registry) = Registry::start(agent.scope(), &current_test()).await? else { return Ok(()) };
    let registry = registry.behind_proxy().await?;
    let name = agent.scope().id();
    let image = registry.publish(name, "1", &[Layer::random(name, SOME)?]).await?;
    let held = registry.proxy().add(Rule::new("GET", "*/blobs/*", Fault::Hang));
    let mut killed = agent.launch(&task("killed", &image))?;
    let mut stays = agent.launch(&task("stays", &image))?;
    let containerizer = agent.containerizer();
    eventually("both to wait", PATIENCE, async || {
        Ok((containerizer.pull_counters().shared == 1 && registry.proxy().hits(held) > 0).then_some(()))
    })
    .await?;
    killed.kill().await?;
    let end = killed.terminal_within(PROMPT).await.context("the kill waits for the pull")?;
    assert_eq!(end.outcome.state, TaskState::TaskKilled);
    assert_eq!(containerizer.pull_counters().running, 1);
    registry.proxy().remove(held);
    stays.finished().await?;
    let counters = containerizer.pull_counters();
    assert_eq!((counters.begun, counters.abandoned, counters.succeeded), (1, 0, 1));

    // Nobody else waits for this one.
    let again = registry.proxy().add(Rule::new("*", "*/manifests/*", Fault::Hang));
    let mut last = agent.launch(&forced("last", &image))?;
    eventually("the pull", PATIENCE, async || Ok((registry.proxy().hits(again) > 0).then_some(()))).await?;
    last.kill().await?;
    let end = last.terminal_within(PROMPT).await.context("the kill waits for the pull")?;
    assert_eq!(end.outcome.state, TaskState::TaskKilled);
    eventually("the pull to stop", PATIENCE, async || {
        Ok((containerizer.pull_counters().running == 0).then_some(()))
    })
    .await?;
    assert_eq!(containerizer.pull_counters().abandoned, 1);
    agent.end().await
}

/// Peer: DockerTest.ROOT_DOCKER_CancelPull.
///
/// The engine hangs up on the registry when nobody waits for the pull any more.
#[tokio::test]
async fn a_pull_that_is_left_is_stopped_in_the_engine() -> Result<()> {
    let engine = require_engine!(Ok(()));
    let agent = Supervised::with(&engine, Options::default()).await?;
    let silent = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await?;
    let image = format!("{}/silent:1", silent.local_addr()?);
    let mut left = agent.launch(&task("left", &image))?;
    let (mut connection, _) = tokio::time::timeout(PATIENCE, silent.accept()).await??;
    left.kill().await?;
    left.terminal_within(PROMPT).await?;
    let mut request = Vec::new();
    let read = tokio::io::AsyncReadExt::read_to_end(&mut connection, &mut request);
    tokio::time::timeout(PATIENCE, read).await.context("the engine still waits for the registry")??;
    agent.end().await
}

/// Both tasks bring credentials of their own into their sandboxes, of two users whom the registry knows.
#[tokio::test]
async fn two_tasks_with_different_credentials_make_two_pulls() -> Result<()> {
    let engine = require_engine!(Ok(()));
    let to_engine = FaultProxy::start(engine.socket()).await?;
    let agent = Supervised::with(&engine, through(to_engine.socket(), pulls())).await?;
    let users = ["ann", "bob"].map(|user| (user.to_owned(), format!("{user}?>~")));
    let options = RegistryOptions { users: users.to_vec(), ..RegistryOptions::default() };
    let started = Registry::start_with(agent.scope(), &current_test(), options).await?;
    let Some(registry) = started else { return Ok(()) };
    let registry = registry.behind_proxy().await?;
    let name = agent.scope().id();
    let image = registry.publish(name, "1", &[Layer::random(name, 4096)?]).await?;
    // The third one has the credentials of the first, and shares its pull.
    let brought = [&users[0], &users[1], &users[0]];
    let look = to_engine.add(Rule::new("GET", "/images/*/json", Fault::Hang));
    let held = registry.proxy().add(Rule::new("*", "*/manifests/*", Fault::Hang));
    let mut tasks = Vec::new();
    for (at, (user, password)) in brought.into_iter().enumerate() {
        let task = agent.launch(&task(&format!("t{at}"), &image))?;
        let host = image.split('/').next().context("a host")?;
        let config = serde_json::json!({ host: { "username": user, "password": password } });
        std::fs::write(task.sandbox().join(".dockercfg"), config.to_string())?;
        tasks.push(task);
    }
    to_engine.remove(look);
    let containerizer = agent.containerizer();
    eventually("both pulls and the one who joins", PATIENCE, async || {
        let counters = containerizer.pull_counters();
        Ok((counters.begun == 2 && counters.shared == 1).then_some(()))
    })
    .await?;
    registry.proxy().remove(held);
    for task in &mut tasks {
        task.finished().await?;
    }
    let shown: BTreeSet<_> = to_engine
        .requests()
        .iter()
        .filter(|request| request.target.contains("/images/create"))
        .filter_map(|request| request.headers.get("x-registry-auth").map(str::to_owned))
        .collect();
    assert_eq!(shown.len(), 2, "two pulls with two headers");
    agent.end().await
}
