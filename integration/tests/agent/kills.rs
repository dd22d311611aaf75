//! A task is killed in each phase of its life.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use integration::agent::Scene;
use integration::reference::{Events, Framework};
use integration::supervised::Registry;
use integration::web::{Page, Reply};
use integration::{Fault, Rule, TestScope, WebServer, eventually, require_engine, require_reference};
use serde_json::{Value, json};

use crate::told::{LONG, SHORT, all_end_once, each, states};

const KILLED: &str = "--expect=TASK_KILLED";

/// Kills the tasks of a framework and returns what it told to its end.
async fn killed(framework: Framework) -> Result<Events> {
    framework.kill_tasks()?;
    framework.end(LONG).await
}

/// That every task was told to be killed before it started.
fn never_started(events: &Events, tasks: usize) -> Result<()> {
    let told = states(events);
    ensure!(told == each(tasks, &["TASK_KILLED"]), "{told:?}");
    for status in events.statuses("TASK_KILLED") {
        ensure!(status["reason"] == "REASON_TASK_KILLED_DURING_LAUNCH", "{status}");
    }
    Ok(())
}

fn with_image(mut task: Value, image: &str) -> Value {
    task["container"]["docker"]["image"] = json!(image);
    task
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kill_that_races_the_launch_ends_each_task_once() -> Result<()> {
    let engine = require_engine!(Ok(()));
    require_reference!(Ok(()));
    let scene = Scene::start(&engine, &[]).await?;
    let options = ["--instances=20", KILLED];
    let framework = scene.framework(&scene.task("sleep 1000"), &options).await?;
    eventually("the launch", SHORT, async || {
        Ok((framework.events().of_kind("LAUNCHED").len() == 20).then_some(()))
    })
    .await?;
    let events = killed(framework).await?;
    all_end_once(&events, 20, "TASK_KILLED");
    scene.nothing_left().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kill_ends_a_pull_and_one_that_waits_for_its_turn() -> Result<()> {
    let engine = require_engine!(Ok(()));
    require_reference!(Ok(()));
    let scope = TestScope::new(&engine).await?;
    let Some(registry) = Registry::start(&scope, &integration::engine::current_test()).await? else {
        return Ok(());
    };
    let registry = registry.behind_proxy().await?;
    let held = registry.proxy().add(Rule::new("*", "*/manifests/*", Fault::Hang));
    let pulled = registry.reference("kills/pulled", "1");
    let queued = registry.reference("kills/queued", "1");
    let scene = Scene::in_scope(scope, &["--docker_max_parallel_pulls=1"]).await?;
    let pulling = scene.framework(&with_image(scene.task("true"), &pulled), &[KILLED]).await?;
    eventually("the pull", SHORT, async || {
        Ok((registry.asked("kills/pulled", "manifests") > 0).then_some(()))
    })
    .await?;
    let waiting = scene.framework(&with_image(scene.task("true"), &queued), &[KILLED]).await?;
    eventually("the second task at the agent", SHORT, async || {
        let metrics = scene.agent.get(&scene.master, "/metrics/snapshot").await?;
        Ok((metrics["slave/tasks_staging"] == 2.0).then_some(()))
    })
    .await?;
    never_started(&killed(waiting).await?, 1)?;
    assert_eq!(registry.asked("kills/queued", "manifests"), 0, "it was not queued");
    never_started(&killed(pulling).await?, 1)?;
    registry.proxy().remove(held);
    scene.nothing_left().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kill_ends_a_fetch() -> Result<()> {
    let engine = require_engine!(Ok(()));
    require_reference!(Ok(()));
    let server = WebServer::start().await?;
    let uri = server.serve("/slow", Page::new(vec![b'x'; 1 << 16]).replies([Reply::Stall(1 << 10)]));
    let programs = integration::fetch::launcher_dir()?;
    let scene = Scene::start(&engine, &[&format!("--launcher_dir={}", programs.display())]).await?;
    let mut task = scene.task("true");
    task["command"]["uris"] = json!([{ "value": uri, "extract": false }]);
    let framework = scene.framework(&task, &[KILLED]).await?;
    eventually("the fetch", SHORT, async || Ok((server.count("GET", "/slow") > 0).then_some(()))).await?;
    never_started(&killed(framework).await?, 1)?;
    scene.nothing_left().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_running_task_has_its_own_grace_to_end_by_itself() -> Result<()> {
    let engine = require_engine!(Ok(()));
    require_reference!(Ok(()));
    let scene = Scene::start(&engine, &[]).await?;
    let mut task = scene.task("trap 'echo asked; exit 0' TERM; echo ready; while :; do sleep 0.05; done");
    task["kill_policy"] = json!({ "grace_period": { "nanoseconds": 100_000_000_000_u64 } });
    let mut framework = scene.framework(&task, &[KILLED]).await?;
    framework.wait_for("TASK_RUNNING", 1, SHORT).await?;
    let events = framework.events();
    let stdout = || scene.output(&events, events.task_id()?, "stdout");
    eventually("the trap", SHORT, async || Ok(stdout()?.contains("ready").then_some(()))).await?;
    let told = killed(framework).await?;
    assert_eq!(states(&told), each(1, &["TASK_STARTING", "TASK_RUNNING", "TASK_KILLED"]));
    assert_eq!(stdout()?, "ready\nasked\n");
    scene.nothing_left().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_kill_shortens_the_grace_of_the_first() -> Result<()> {
    let engine = require_engine!(Ok(()));
    require_reference!(Ok(()));
    let scene = Scene::start(&engine, &[]).await?;
    let mut stubborn = scene.task("trap '' TERM; while :; do sleep 0.1; done");
    stubborn["kill_policy"] = json!({ "grace_period": { "nanoseconds": 1_000_000_000_000_u64 } });
    // The first kill has the task's own policy replaced by another that is far too long as well.
    let options =
        ["--kill-after=0.1", "--kill-grace=900", "--kill-grace=0.5", "--capability=TASK_KILLING_STATE"];
    let events = scene.run(&stubborn, &options).await?;
    let life = ["TASK_STARTING", "TASK_RUNNING", "TASK_KILLING", "TASK_KILLED"];
    assert_eq!(states(&events), each(1, &life));
    let took = events.between("TASK_RUNNING", "TASK_KILLED")?;
    assert!(took < Duration::from_secs(50), "{took:?}");
    let message = events.last_status()?["message"].as_str().context("no message")?;
    assert!(message.starts_with("Container exited with status 137"), "{message}");
    scene.nothing_left().await
}
