//! Our `mesos-agent` dies while a task's launch is under way: the launch is made again, or the kill that stopped it holds.

use std::time::Duration;

use anyhow::{Context as _, Result};
use integration::agent::{Scene, files, states};
use integration::{Fault, FaultProxy, Rule, eventually, require_engine, require_reference};
use serde_json::{Value, json};

/// How long a framework's tasks may take in all.
const LONG: Duration = Duration::from_secs(150);

/// How long one thing may take.
const SHORT: Duration = Duration::from_secs(60);

/// Stock gives such a task up (`SlaveRecoveryTest.RecoverUnregisteredExecutor`); ours has all that a launch needs.
#[rstest::rstest]
#[case("/containers/create")]
#[case("/containers/*/start")]
#[tokio::test(flavor = "multi_thread")]
async fn a_launch_that_was_cut_short_is_made_again(#[case] path: &str) -> Result<()> {
    let engine = require_engine!(Ok(()));
    require_reference!(Ok(()));
    let proxy = FaultProxy::start(engine.socket()).await?;
    let flag = format!("--docker_socket={}", proxy.socket().display());
    let mut scene = Scene::start(&engine, &[&flag]).await?;
    let rule = proxy.add(Rule::new("POST", path, Fault::Hang));
    let framework = scene.patient(&scene.task("echo ran"), &[]).await?;
    eventually("the launch", SHORT, async || Ok((proxy.hits(rule) > 0).then_some(()))).await?;
    scene.agent.kill()?;
    // What hung reaches the engine after its sender's end, or never.
    proxy.clear();
    scene.start_again().await?;
    let events = framework.end(LONG).await?;
    assert_eq!(states(&events), ["TASK_STARTING", "TASK_RUNNING", "TASK_FINISHED"]);
    assert_eq!(scene.output(&events, events.task_id()?, "stdout")?, "ran\n", "it ran once");
    scene.nothing_left().await
}

/// Peer: `SlaveRecoveryTest.KillQueuedTaskDuringExecutorRegistration`.
#[tokio::test(flavor = "multi_thread")]
async fn a_task_that_was_killed_before_it_ran_is_told_and_stays_dead() -> Result<()> {
    let engine = require_engine!(Ok(()));
    require_reference!(Ok(()));
    let proxy = FaultProxy::start(engine.socket()).await?;
    let flag = format!("--docker_socket={}", proxy.socket().display());
    let mut scene = Scene::start(&engine, &[&flag]).await?;
    let rule = proxy.add(Rule::new("POST", "/containers/create", Fault::Hang));
    let framework = scene.patient(&scene.task("echo ran"), &[]).await?;
    eventually("the launch", SHORT, async || Ok((proxy.hits(rule) > 0).then_some(()))).await?;
    framework.kill_tasks()?;
    let record = files(scene.agent.work_dir(), "supervision").pop().context("a record")?;
    eventually("the kill on the disk", SHORT, async || {
        let record: Value = serde_json::from_slice(&std::fs::read(&record)?)?;
        Ok((!record["kill"].is_null()).then_some(()))
    })
    .await?;
    scene.agent.kill()?;
    // What hung reaches the engine after its sender's end, or never.
    proxy.clear();
    scene.start_again().await?;
    let events = framework.end(LONG).await?;
    assert_eq!(states(&events), ["TASK_STARTING", "TASK_KILLED"]);
    scene.nothing_left().await?;
    let state = scene.agent.get(&scene.master, "/state").await?;
    assert_eq!(state["frameworks"], json!([]));
    Ok(())
}
