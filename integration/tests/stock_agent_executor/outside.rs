//! What people and the kernel do to an executor or its container.

use anyhow::{Context as _, Result, ensure};
use integration::{eventually, require_engine, require_reference};
use rustix::process::{Pid, Signal, kill_process};

use crate::scene::{PATIENCE, Scene, container_of};

/// Stock leaves the container running for six hours (`wire/recorded` 05d).
///
/// Peer: Own.ExecutorCrash.
#[tokio::test]
async fn an_executor_that_is_killed_does_not_leave_its_container() -> Result<()> {
    ends_with_its_executor(Signal::KILL).await
}

#[tokio::test]
async fn an_executor_that_is_told_to_end_stops_its_container_first() -> Result<()> {
    ends_with_its_executor(Signal::TERM).await
}

async fn ends_with_its_executor(signal: Signal) -> Result<()> {
    let engine = require_engine!(Ok(()));
    require_reference!(Ok(()));
    let scene = Scene::start(&engine, &[]).await?;
    let task = scene.task("trap '' TERM; while :; do sleep 0.1; done");
    let mut framework = scene.cluster.framework(&task, &["--expect=TASK_FAILED"]).await?;
    framework.wait_for("TASK_RUNNING", 1, PATIENCE).await?;
    let events = framework.events();
    let executor = scene.executor(events.task_id()?)?;
    kill_process(Pid::from_raw(executor).context("its process id")?, signal)?;
    let events = framework.end(PATIENCE).await?;
    let end = events.last_status()?;
    // The agent tells it, who sees that its executor is gone.
    ensure!(end["state"] == "TASK_FAILED" && end["source"] == "SOURCE_AGENT", "{end}");
    scene.stopped(&container_of(events.status("TASK_RUNNING")?)?).await?;
    scene.end().await
}

#[tokio::test]
async fn a_guard_that_is_killed_is_replaced_and_the_next_one_guards() -> Result<()> {
    let engine = require_engine!(Ok(()));
    require_reference!(Ok(()));
    let scene = Scene::start(&engine, &[]).await?;
    let mut framework = scene.cluster.framework(&scene.task("sleep 1000"), &["--expect=TASK_FAILED"]).await?;
    framework.wait_for("TASK_RUNNING", 1, PATIENCE).await?;
    let events = framework.events();
    let executor = scene.executor(events.task_id()?)?;
    let guard = || {
        let children = std::fs::read_to_string(format!("/proc/{executor}/task/{executor}/children"))?;
        Ok::<_, anyhow::Error>(children.trim().parse::<i32>().ok())
    };
    let first = eventually("a guard", PATIENCE, async || guard()).await?;
    kill_process(Pid::from_raw(first).context("its process id")?, Signal::KILL)?;
    eventually("another guard", PATIENCE, async || Ok(guard()?.filter(|next| *next != first))).await?;
    let said = || scene.read(&events, "stderr");
    eventually("it to be said", PATIENCE, async || Ok(said()?.contains("the guard had ended").then_some(())))
        .await?;
    kill_process(Pid::from_raw(executor).context("its process id")?, Signal::KILL)?;
    framework.end(PATIENCE).await?;
    scene.stopped(&container_of(events.status("TASK_RUNNING")?)?).await?;
    scene.end().await
}

#[tokio::test]
async fn a_container_that_is_killed_from_outside_is_told_with_its_code() -> Result<()> {
    let engine = require_engine!(Ok(()));
    require_reference!(Ok(()));
    let scene = Scene::start(&engine, &[]).await?;
    let mut framework = scene.cluster.framework(&scene.task("sleep 1000"), &["--expect=TASK_FAILED"]).await?;
    framework.wait_for("TASK_RUNNING", 1, PATIENCE).await?;
    let container = container_of(framework.events().status("TASK_RUNNING")?)?;
    let path = format!("/containers/{container}/kill");
    scene.scope.client().await?.post_empty(&path).await?.ok()?;
    let events = framework.end(PATIENCE).await?;
    let end = events.last_status()?;
    ensure!(
        end["message"].as_str().unwrap_or_default().starts_with("Container exited with status 137"),
        "{end}"
    );
    scene.end().await
}
