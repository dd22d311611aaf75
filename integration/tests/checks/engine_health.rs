//! Docker's own HEALTHCHECK, from one subscription for all tasks.

use anyhow::{Context as _, Result, bail};
use checks::{CheckNews, CheckState, EngineHealthWatch, EngineHealthWatcher};
use integration::{Fault, FaultProxy, Rule, require_engine};
use serde_json::json;
use tokio::time::timeout;

use crate::lab::{Container, Lab, PATIENCE, settings};

async fn told(watch: &mut EngineHealthWatch) -> Result<CheckNews> {
    let update = timeout(PATIENCE, watch.next()).await.context("nothing was told")?;
    Ok(update.context("the watch has ended")?.news)
}

async fn with_check(lab: &Lab, name: &str) -> Result<Container> {
    let config = json!({
        "HostConfig": { "NetworkMode": "none" },
        "Healthcheck": { "Test": ["CMD-SHELL", "cat /tmp/state"], "Interval": 1_000_000_000_u64, "Retries": 1 },
    });
    lab.container_with(name, "exec sleep 100000", config).await
}

async fn exec(lab: &Lab, container: &Container, line: &str) -> Result<()> {
    let request = docker_engine::ExecRequest::new(["sh", "-c", line]);
    let result = lab.engine.exec(&container.id, &request, PATIENCE).await?;
    assert_eq!(result.exit_code, 0);
    Ok(())
}

fn is_unhealthy(news: &CheckNews) -> bool {
    matches!(news, CheckNews::Unhealthy { .. })
}

/// Also over a break of the subscription, which is one for all containers.
#[tokio::test]
async fn verdicts_of_all_containers_come_from_one_subscription() -> Result<()> {
    let engine = require_engine!(Ok(()));
    let proxy = FaultProxy::start(engine.socket()).await?;
    let lab = Lab::through(&engine, proxy.socket(), settings()).await?;
    let watcher = EngineHealthWatcher::new(lab.engine.clone());
    let (one, two) = (with_check(&lab, "one").await?, with_check(&lab, "two").await?);
    assert!(EngineHealthWatcher::applies_to(&one.inspection));
    let mut first = watcher.watch(&one.id, CheckState::default());
    let mut second = watcher.watch(&two.id, CheckState::default());
    let CheckNews::Unhealthy { why, .. } = told(&mut first).await? else { bail!("unhealthy") };
    assert!(why.starts_with("Docker HEALTHCHECK failed") && why.contains("/tmp/state"), "{why}");
    assert!(is_unhealthy(&told(&mut second).await?));
    exec(&lab, &one, "touch /tmp/state").await?;
    assert_eq!(told(&mut first).await?, CheckNews::Healthy);
    let subscriptions =
        || proxy.requests().iter().filter(|request| request.target.contains("/events")).count();
    assert_eq!(subscriptions(), 1);

    // What happens while nobody listens is found afterwards.
    let away = proxy.add(Rule::new("GET", "/events", Fault::error(503, "away")));
    proxy.cut_all();
    exec(&lab, &two, "touch /tmp/state").await?;
    integration::eventually("attempts to subscribe", PATIENCE, async || {
        Ok((proxy.hits(away) >= 1).then_some(()))
    })
    .await?;
    proxy.remove(away);
    assert_eq!(told(&mut second).await?, CheckNews::Healthy);

    // Nothing is told twice: the state says what was told.
    drop(first);
    let state = CheckState { succeeded: true, ..CheckState::default() };
    let mut again = watcher.watch(&one.id, state);
    exec(&lab, &one, "rm /tmp/state").await?;
    assert!(is_unhealthy(&told(&mut again).await?));
    drop((second, again));
    lab.end().await
}

/// The engine does not answer for a container whose lock it holds.
#[tokio::test]
async fn a_container_that_cannot_be_looked_at_hides_no_other() -> Result<()> {
    let engine = require_engine!(Ok(()));
    let proxy = FaultProxy::start(engine.socket()).await?;
    let lab = Lab::through(&engine, proxy.socket(), settings()).await?;
    let watcher = EngineHealthWatcher::new(lab.engine.clone());
    let (one, two) = (with_check(&lab, "one").await?, with_check(&lab, "two").await?);
    // The first in the order of their ids.
    let (stuck, other) = if one.id < two.id { (one, two) } else { (two, one) };
    let hang = proxy.add(Rule::new("GET", &format!("/containers/{}/json", stuck.id), Fault::Hang));
    let mut hidden = watcher.watch(&stuck.id, CheckState::default());
    integration::eventually(
        "a look that hangs",
        PATIENCE,
        async || Ok((proxy.hits(hang) >= 1).then_some(())),
    )
    .await?;
    let mut seen = watcher.watch(&other.id, CheckState::default());
    assert!(is_unhealthy(&told(&mut seen).await?));
    exec(&lab, &other, "touch /tmp/state").await?;
    assert_eq!(told(&mut seen).await?, CheckNews::Healthy);
    assert_eq!(proxy.hits(hang), 1, "it still hangs");
    proxy.clear();
    assert!(is_unhealthy(&told(&mut hidden).await?));
    lab.end().await
}
