//! Making a task end: by the framework, by its teardown, by the agent.

use std::time::Duration;

use anyhow::{Result, ensure};
use integration::reference::Events;
use integration::{eventually, require_engine, require_reference};
use serde_json::json;

use crate::scene::{PATIENCE, Scene, container_of};

/// Ignores SIGTERM.
const STUBBORN: &str = "trap '' TERM; while :; do sleep 0.1; done";

/// Ends with 0 on SIGTERM, and says when it does so.
const POLITE: &str = "trap 'exit 0' TERM; touch /mnt/mesos/sandbox/ready; while :; do sleep 0.1; done";

/// Runs a polite task until it is killed.
async fn killed(scene: &Scene, options: &[&str]) -> Result<Events> {
    let options = [&["--expect=TASK_KILLED"], options].concat();
    let mut framework = scene.cluster.framework(&scene.task(POLITE), &options).await?;
    framework.wait_for("TASK_RUNNING", 1, PATIENCE).await?;
    let ready = scene.sandbox(framework.events().task_id()?)?.join("ready");
    eventually("the task to be ready", PATIENCE, async || Ok(ready.exists().then_some(()))).await?;
    framework.kill_tasks()?;
    framework.end(PATIENCE).await
}

/// Peer: DockerContainerizerTest.ROOT_DOCKER_Kill.
#[tokio::test]
async fn a_grace_of_one_and_a_half_seconds_is_kept() -> Result<()> {
    let engine = require_engine!(Ok(()));
    require_reference!(Ok(()));
    let scene = Scene::start(&engine, &[]).await?;
    let mut task = scene.task(STUBBORN);
    task["kill_policy"] = json!({ "grace_period": { "nanoseconds": 1_500_000_000_u64 } });
    let events = scene.cluster.run(&task, &["--kill-after=0.5"]).await?;
    let took = events.between("KILL", "TASK_KILLED")?;
    ensure!((Duration::from_millis(1500)..Duration::from_secs(30)).contains(&took), "{took:?}");
    let end = events.last_status()?;
    ensure!(
        end["message"].as_str().unwrap_or_default().starts_with("Container exited with status 137"),
        "{end}"
    );
    scene.stopped(&container_of(end)?).await?;
    scene.end().await
}

/// Peer: DockerContainerizerTest.ROOT_DOCKER_TaskKillingCapability.
#[tokio::test]
async fn killing_is_told_to_a_framework_that_takes_it_and_to_no_other() -> Result<()> {
    let engine = require_engine!(Ok(()));
    require_reference!(Ok(()));
    let scene = Scene::start(&engine, &[]).await?;
    let with = killed(&scene, &["--capability=TASK_KILLING_STATE"]).await?;
    assert_eq!(with.states(), ["TASK_STARTING", "TASK_RUNNING", "TASK_KILLING", "TASK_KILLED"]);
    let without = killed(&scene, &[]).await?;
    assert_eq!(without.states(), ["TASK_STARTING", "TASK_RUNNING", "TASK_KILLED"]);
    scene.end().await
}

/// Peer: DockerContainerizerTest.ROOT_DOCKER_NoTransitionFromKillingToFinished.
#[tokio::test]
async fn a_killed_task_that_exits_with_0_is_killed_not_finished() -> Result<()> {
    let engine = require_engine!(Ok(()));
    require_reference!(Ok(()));
    let scene = Scene::start(&engine, &[]).await?;
    let events = killed(&scene, &["--capability=TASK_KILLING_STATE"]).await?;
    assert_eq!(events.last_status()?["message"], "Container exited with status 0");
    ensure!(!events.states().contains(&"TASK_FINISHED"), "{events:?}");
    scene.end().await
}

/// Peer: DockerContainerizerTest.ROOT_DOCKER_OverrideKillPolicy.
#[tokio::test]
async fn a_kill_brings_its_own_grace_and_a_later_one_shortens_it() -> Result<()> {
    let engine = require_engine!(Ok(()));
    require_reference!(Ok(()));
    let scene = Scene::start(&engine, &[]).await?;
    let mut task = scene.task(STUBBORN);
    task["kill_policy"] = json!({ "grace_period": { "nanoseconds": 600_000_000_000_u64 } });
    let events = scene.cluster.run(&task, &["--kill-after=0.3", "--kill-grace=0.2"]).await?;
    assert_eq!(events.last_status()?["state"], "TASK_KILLED");
    // The framework kills again a second later.
    let later =
        scene.cluster.run(&task, &["--kill-after=0.3", "--kill-grace=600", "--kill-grace=0.2"]).await?;
    assert_eq!(later.last_status()?["state"], "TASK_KILLED");
    let took = later.between("KILL", "TASK_KILLED")?;
    ensure!((Duration::from_secs(1)..PATIENCE).contains(&took), "{took:?}");
    scene.end().await
}

#[tokio::test]
async fn a_framework_that_goes_takes_its_container_along() -> Result<()> {
    let engine = require_engine!(Ok(()));
    require_reference!(Ok(()));
    let scene = Scene::start(&engine, &[]).await?;
    let mut framework = scene.cluster.framework(&scene.task(STUBBORN), &[]).await?;
    framework.wait_for("TASK_RUNNING", 1, PATIENCE).await?;
    let container = container_of(framework.events().status("TASK_RUNNING")?)?;
    framework.tear_down(PATIENCE).await?;
    scene.stopped(&container).await?;
    scene.end().await
}

/// Without checkpointing the task is the agent's, and goes with it.
#[tokio::test]
async fn an_agent_that_goes_takes_the_containers_of_frameworks_without_checkpointing_along() -> Result<()> {
    let engine = require_engine!(Ok(()));
    require_reference!(Ok(()));
    let scene = Scene::start(&engine, &["--executor_shutdown_grace_period=1secs"]).await?;
    let mut framework = scene.cluster.framework(&scene.task(STUBBORN), &[]).await?;
    framework.wait_for("TASK_RUNNING", 1, PATIENCE).await?;
    let container = container_of(framework.events().status("TASK_RUNNING")?)?;
    let scene = scene.restart(async |_| Ok(())).await?;
    scene.stopped(&container).await?;
    drop(framework);
    scene.end().await
}
