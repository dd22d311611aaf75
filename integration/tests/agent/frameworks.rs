//! Frameworks: several at once, torn down, failed over, given up, and without checkpoints.

use anyhow::{Context as _, Result};
use integration::agent::{PATIENT, Scene};
use integration::reference::Framework;
use integration::{eventually, require_engine, require_reference};
use serde_json::{Value, json};

use crate::told::{LONG, SHORT, each, states};

/// How many statuses the master got from agents.
async fn statuses(scene: &Scene) -> Result<f64> {
    let metrics = scene.master.get("/metrics/snapshot").await?;
    metrics["master/messages_status_update"].as_f64().context("no count of statuses")
}

/// The tasks of several instances as a list, with ids that another process of the framework can name.
fn named(task: &Value, ids: &[&str]) -> Value {
    ids.iter()
        .map(|id| {
            let mut task = task.clone();
            task["task_id"] = json!({ "value": id });
            task
        })
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_teardown_stops_one_framework_and_tells_nothing_more() -> Result<()> {
    let engine = require_engine!(Ok(()));
    require_reference!(Ok(()));
    let scene = Scene::start(&engine, &[]).await?;
    let mut doomed = scene.framework(&scene.task("sleep 1000"), &["--instances=3", "--role=doomed"]).await?;
    let mut other =
        scene.framework(&scene.gated("exit 0")?, &["--instances=2", "--role=other", "--checkpoint"]).await?;
    doomed.wait_for("TASK_RUNNING", 3, SHORT).await?;
    other.wait_for("TASK_RUNNING", 2, SHORT).await?;
    let told = statuses(&scene).await?;

    doomed.tear_down(SHORT).await?;
    scene.runs(2).await?;
    eventually("one framework to be a completed one", SHORT, async || {
        let state = scene.agent.get(&scene.master, "/state").await?;
        let count = |name: &str| state[name].as_array().map(Vec::len);
        Ok(((count("frameworks"), count("completed_frameworks")) == (Some(1), Some(1))).then_some(()))
    })
    .await?;
    assert_eq!(statuses(&scene).await?, told, "a status of the torn down framework");

    scene.open_gate()?;
    let events = other.end(LONG).await?;
    assert_eq!(states(&events), each(2, &["TASK_STARTING", "TASK_RUNNING", "TASK_FINISHED"]));
    scene.nothing_left().await
}

#[tokio::test(flavor = "multi_thread")]
async fn several_frameworks_run_side_by_side() -> Result<()> {
    let engine = require_engine!(Ok(()));
    require_reference!(Ok(()));
    let scene = Scene::start(&engine, &[]).await?;
    // The same task ids in each: ids are of a framework.
    let tasks = named(&scene.task("echo $MESOS_FRAMEWORK_ID"), &["one", "two", "three"]);
    let roles = ["--role=*", "--role=team", "--role=team/sub"];
    let mut frameworks = Vec::new();
    for role in roles {
        frameworks.push(scene.framework(&tasks, &[role, "--checkpoint", "--timeout=140"]).await?);
    }
    for framework in frameworks {
        let events = framework.end(LONG).await?;
        assert_eq!(states(&events), each(3, &["TASK_STARTING", "TASK_RUNNING", "TASK_FINISHED"]));
    }
    scene.nothing_left().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_scheduler_that_comes_back_is_told_what_it_missed() -> Result<()> {
    let engine = require_engine!(Ok(()));
    require_reference!(Ok(()));
    let scene = Scene::start(&engine, &[]).await?;
    let ends = scene.gated("exit 4")?;
    let stays = scene.task("sleep 1000");
    let tasks = json!([named(&ends, &["ends"])[0], named(&stays, &["stays"])[0]]);
    let mut first = scene.framework(&tasks, &PATIENT).await?;
    first.wait_for("TASK_RUNNING", 2, SHORT).await?;
    let containers = scene.running().await?;
    let events = first.crash().await?;
    let framework_id = events.framework_id().context("no id")?;

    scene.open_gate()?;
    scene.runs(1).await?;
    let again = format!("--framework-id={framework_id}");
    let options: Vec<&str> = PATIENT.into_iter().chain([again.as_str(), "--expect=TASK_KILLED"]).collect();
    let mut second = scene.framework(&tasks, &options).await?;
    second.wait_for("TASK_FAILED", 1, SHORT).await?;
    second.wait_for("TASK_RUNNING", 1, SHORT).await?;
    let now = scene.running().await?;
    assert!(now.len() == 1 && containers.contains(&now[0]), "{now:?} of {containers:?}");
    second.kill_tasks()?;
    let events = second.end(LONG).await?;
    let status = events.statuses("TASK_FAILED")[0];
    assert_eq!(
        (&status["task_id"]["value"], &status["message"]),
        (&json!("ends"), &json!("Container exited with status 4"))
    );
    assert_eq!(events.tasks_in("TASK_KILLED").into_iter().collect::<Vec<_>>(), ["stays"]);
    scene.nothing_left().await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_tasks_of_a_scheduler_that_does_not_come_back_in_time_are_stopped() -> Result<()> {
    let engine = require_engine!(Ok(()));
    require_reference!(Ok(()));
    let scene = Scene::start(&engine, &[]).await?;
    let options = ["--checkpoint", "--failover-timeout=0.5", "--instances=2"];
    let mut framework = scene.framework(&scene.task("sleep 1000"), &options).await?;
    framework.wait_for("TASK_RUNNING", 2, SHORT).await?;
    framework.crash().await?;
    scene.nothing_left().await
}

#[tokio::test(flavor = "multi_thread")]
async fn only_a_framework_with_checkpoints_is_checkpointed() -> Result<()> {
    let engine = require_engine!(Ok(()));
    require_reference!(Ok(()));
    let scene = Scene::start(&engine, &[]).await?;
    let mut transient = scene.framework(&scene.gated("exit 0")?, &[]).await?;
    let mut lasting = scene.framework(&scene.gated("exit 0")?, &PATIENT).await?;
    transient.wait_for("TASK_RUNNING", 1, SHORT).await?;
    lasting.wait_for("TASK_RUNNING", 1, SHORT).await?;
    let agent = scene.agent.work_dir().join("meta/slaves").join(scene.agent.id()?).join("frameworks");
    let is_checkpointed = |framework: &Framework| {
        let events = framework.events();
        events.framework_id().is_some_and(|id| agent.join(id).join("framework.info").exists())
    };
    assert!(is_checkpointed(&lasting) && !is_checkpointed(&transient), "{}", agent.display());
    scene.open_gate()?;
    for framework in [transient, lasting] {
        let events = framework.end(LONG).await?;
        assert_eq!(states(&events), each(1, &["TASK_STARTING", "TASK_RUNNING", "TASK_FINISHED"]));
    }
    scene.nothing_left().await
}
