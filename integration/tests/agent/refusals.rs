//! What this agent does not run, or not with its flags, is refused by name, with the remedy.

use anyhow::{Context as _, Result};
use integration::agent::Scene;
use integration::{eventually, require_engine, require_reference};
use rstest::rstest;
use serde_json::{Value, json};

use crate::told::{SHORT, WHOLE_LIFE, each, states};

fn without_image(mut task: Value) -> Value {
    task.as_object_mut().and_then(|task| task.remove("container"));
    task
}

fn with_mesos_container(mut task: Value) -> Value {
    task["container"] = json!({ "type": "MESOS" });
    task
}

fn with_executor(mut task: Value) -> Value {
    task.as_object_mut().and_then(|task| task.remove("command"));
    task.as_object_mut().and_then(|task| task.remove("container"));
    task["executor"] =
        json!({ "type": "CUSTOM", "executor_id": { "value": "own" }, "command": { "value": "true" } });
    task
}

/// Without an image on an agent with the Docker containerizer alone, and in a group: told by what is lacking. Nothing was
/// launched, so partition awareness changes nothing.
#[rstest]
#[case::no_container(without_image, &[], "docker: it has no container", "add mesos to --containerizers")]
#[case::mesos_container(with_mesos_container, &[], "docker: its container is of type MESOS", "add mesos to --containerizers")]
#[case::own_executor(with_executor, &[], "docker: it has no container", "add mesos to --containerizers")]
#[case::group(without_image, &["--group"], "task_group: this agent runs no task groups", "launch each task by itself")]
#[case::aware_group(without_image, &["--group", "--capability=PARTITION_AWARE"], "task_group: this agent runs no task groups", "launch each task by itself")]
#[tokio::test(flavor = "multi_thread")]
async fn it_is_refused_by_name(
    #[case] change: fn(Value) -> Value,
    #[case] options: &[&str],
    #[case] what: &str,
    #[case] remedy: &str,
) -> Result<()> {
    let engine = require_engine!(Ok(()));
    require_reference!(Ok(()));
    let scene = Scene::start(&engine, &[]).await?;
    let task = change(scene.task("true"));
    let options = [options, &["--checkpoint", "--expect=TASK_FAILED"]].concat();
    let events = scene.run(&task, &options).await?;
    assert_eq!(states(&events), each(1, &["TASK_FAILED"]));
    let status = events.last_status()?;
    assert_eq!(
        (&status["reason"], &status["source"]),
        (&json!("REASON_CONTAINER_LAUNCH_FAILED"), &json!("SOURCE_AGENT"))
    );
    let message = status["message"].as_str().context("no message")?;
    assert!(message.contains(what) && message.contains(remedy), "{message}");
    // The master gets what the task and its executor held back, and the agent goes on.
    eventually("the resources of the task", SHORT, async || {
        let used = scene.master.agent().await?["used_resources"]["cpus"].as_f64();
        Ok((used == Some(0.0)).then_some(()))
    })
    .await?;
    let events = scene.run(&scene.task("true"), &[]).await?;
    assert_eq!(states(&events), each(1, &WHOLE_LIFE));
    scene.nothing_left().await
}
