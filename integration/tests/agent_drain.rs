//! An operator drains our `mesos-agent` through a stock master: its tasks are stopped, also over restarts.

use std::time::Duration;

use anyhow::Result;
use integration::agent::{Scene, files};
use integration::reference::Framework;
use integration::{eventually, require_engine, require_reference};
use serde_json::{Value, json};

/// How long a framework's tasks may take in all.
const LONG: Duration = Duration::from_secs(150);

/// How long one thing may take.
const SHORT: Duration = Duration::from_secs(60);

/// A framework whose task only SIGKILL ends.
async fn stubborn(scene: &Scene, more: &[&str]) -> Result<Framework> {
    let task = scene.task("trap '' TERM; while :; do sleep 0.1; done");
    let mut framework = scene.patient(&task, more).await?;
    framework.wait_for("TASK_RUNNING", 1, SHORT).await?;
    Ok(framework)
}

/// Drains as an operator does, with a grace of this many seconds.
async fn drain(scene: &Scene, seconds: u64, mark_gone: bool) -> Result<()> {
    let call = json!({ "type": "DRAIN_AGENT", "drain_agent": {
        "agent_id": { "value": scene.agent.id()? },
        "max_grace_period": { "nanoseconds": seconds * 1_000_000_000 },
        "mark_gone": mark_gone,
    } });
    scene.master.call(&call).await
}

/// Waits until nothing of the drain is left here and the master says that it is done.
async fn is_drained(scene: &Scene) -> Result<()> {
    eventually("the end of the drain", SHORT, async || {
        let is_over = files(scene.agent.work_dir(), "drain.config").is_empty();
        let agents = scene.master.get("/slaves").await?;
        Ok((is_over && agents["slaves"][0]["drain_info"]["state"] == "DRAINED").then_some(()))
    })
    .await
}

fn reasons(status: &Value) -> (&Value, &Value) {
    (&status["state"], &status["reason"])
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drain_stops_the_tasks_also_over_a_restart() -> Result<()> {
    let engine = require_engine!(Ok(()));
    require_reference!(Ok(()));
    let mut scene = Scene::start(&engine, &[]).await?;
    let framework = stubborn(&scene, &["--capability=TASK_KILLING_STATE"]).await?;
    drain(&scene, 4, false).await?;
    eventually("the drain on the disk", SHORT, async || {
        Ok((files(scene.agent.work_dir(), "drain.config").len() == 1).then_some(()))
    })
    .await?;
    scene.agent.kill()?;
    scene.agent.launch()?;
    let events = framework.end(LONG).await?;
    assert_eq!(reasons(events.last_status()?), (&json!("TASK_KILLED"), &json!("REASON_AGENT_DRAINING")));
    is_drained(&scene).await?;
    scene.nothing_left().await?;
    // It is done, and stays so.
    scene.crash().await?;
    is_drained(&scene).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drain_that_was_asked_for_while_the_agent_was_away_is_made_up_for() -> Result<()> {
    let engine = require_engine!(Ok(()));
    require_reference!(Ok(()));
    let mut scene = Scene::start(&engine, &[]).await?;
    let framework = stubborn(&scene, &[]).await?;
    scene.agent.kill()?;
    drain(&scene, 1, false).await?;
    scene.agent.launch()?;
    let events = framework.end(LONG).await?;
    assert_eq!(reasons(events.last_status()?), (&json!("TASK_KILLED"), &json!("REASON_AGENT_DRAINING")));
    is_drained(&scene).await?;
    scene.nothing_left().await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_that_is_marked_gone_after_its_drain_ends_and_comes_back_as_another() -> Result<()> {
    let engine = require_engine!(Ok(()));
    require_reference!(Ok(()));
    let mut scene = Scene::start(&engine, &[]).await?;
    let id = scene.agent.id()?;
    let framework = stubborn(&scene, &["--capability=PARTITION_AWARE"]).await?;
    drain(&scene, 1, true).await?;
    let events = framework.end(LONG).await?;
    let told = reasons(events.last_status()?);
    assert_eq!(told, (&json!("TASK_GONE_BY_OPERATOR"), &json!("REASON_AGENT_DRAINING")));
    let status = scene.agent.ended().await?;
    assert!(status.success(), "{status}: {}", scene.agent.log_text());
    scene.nothing_left().await?;
    scene.start_again().await?;
    assert_ne!(scene.agent.id()?, id);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_without_tasks_is_drained_at_once() -> Result<()> {
    let engine = require_engine!(Ok(()));
    require_reference!(Ok(()));
    let scene = Scene::start(&engine, &[]).await?;
    let capabilities = scene.master.agent().await?["capabilities"].clone();
    assert!(
        capabilities.as_array().is_some_and(|all| all.contains(&json!("AGENT_DRAINING"))),
        "{capabilities}"
    );
    drain(&scene, 1, false).await?;
    is_drained(&scene).await
}
