//! An agent that is killed and comes back: the executor waits for it, and nothing that happened meanwhile is lost.

use anyhow::{Result, ensure};
use integration::{require_engine, require_reference};
use serde_json::json;

use crate::scene::{PATIENCE, Scene, container_of};

/// How a framework outlives its master.
const LASTING: [&str; 2] = ["--checkpoint", "--failover-timeout=600"];

/// An agent that does not wait long for executors, and executors that do not wait long for an agent.
const AGENT: [&str; 2] = ["--recovery_timeout=1mins", "--executor_reregistration_timeout=5secs"];

#[tokio::test]
async fn a_task_goes_on_over_a_restart_of_the_agent() -> Result<()> {
    let engine = require_engine!(Ok(()));
    require_reference!(Ok(()));
    let scene = Scene::start(&engine, &AGENT).await?;
    let line = "while [ ! -e /mnt/mesos/sandbox/go ]; do sleep 0.1; done";
    let mut framework = scene.cluster.framework(&scene.task(line), &LASTING).await?;
    framework.wait_for("TASK_RUNNING", 1, PATIENCE).await?;
    let task_id = framework.events().task_id()?.to_owned();
    let executor = scene.executor(&task_id)?;
    let scene = scene.restart(async |_| Ok(())).await?;
    assert_eq!(scene.executor(&task_id)?, executor);
    std::fs::write(scene.sandbox(&task_id)?.join("go"), "")?;
    let events = framework.end(PATIENCE).await?;
    let end = events.last_status()?;
    ensure!(
        end["state"] == "TASK_FINISHED" && end["message"] == "Container exited with status 0",
        "{events:?}"
    );
    scene.end().await
}

/// The container ends while nobody listens.
#[tokio::test]
async fn an_end_while_the_agent_is_away_is_told_when_it_is_back() -> Result<()> {
    let engine = require_engine!(Ok(()));
    require_reference!(Ok(()));
    let scene = Scene::start(&engine, &AGENT).await?;
    let mut framework = scene
        .cluster
        .framework(&scene.task("sleep 1000"), &[&LASTING[..], &["--expect=TASK_FAILED"]].concat())
        .await?;
    framework.wait_for("TASK_RUNNING", 1, PATIENCE).await?;
    let container = container_of(framework.events().status("TASK_RUNNING")?)?;
    let scene = scene
        .restart(async |scope| {
            let path = format!("/containers/{container}/kill");
            scope.client().await?.post_empty(&path).await?.ok()?;
            Ok(())
        })
        .await?;
    let events = framework.end(PATIENCE).await?;
    let end = events.last_status()?;
    let message = end["message"].as_str().unwrap_or_default();
    ensure!(
        end["state"] == "TASK_FAILED" && message.starts_with("Container exited with status 137"),
        "{events:?}"
    );
    scene.end().await
}

/// An agent that does not come back in time.
#[tokio::test]
async fn a_container_ends_when_the_recovery_timeout_is_over() -> Result<()> {
    let engine = require_engine!(Ok(()));
    require_reference!(Ok(()));
    let scene = Scene::start(&engine, &["--recovery_timeout=1secs"]).await?;
    let mut task = scene.task("sleep 1000");
    task["kill_policy"] = json!({ "grace_period": { "nanoseconds": 0 } });
    let mut framework = scene.cluster.framework(&task, &LASTING).await?;
    framework.wait_for("TASK_RUNNING", 1, PATIENCE).await?;
    let container = container_of(framework.events().status("TASK_RUNNING")?)?;
    let stopped = async |scope: &integration::TestScope| {
        let mut client = scope.client().await?;
        integration::eventually("the container to stop", PATIENCE, async || {
            let answer = client.get(&format!("/containers/{container}/json")).await?.json()?;
            Ok((answer["State"]["Running"] == false).then_some(()))
        })
        .await
    };
    let scene = scene.restart(stopped).await?;
    drop(framework);
    scene.end().await
}
