//! A task from its launch to its end, in the sandbox and in what is told.

use anyhow::{Context as _, Result};
use integration::agent::Scene;
use integration::{require_engine, require_reference};
use serde_json::json;

use crate::told::{WHOLE_LIFE, each, states};

#[tokio::test(flavor = "multi_thread")]
async fn a_task_runs_to_its_end_and_its_output_is_in_the_sandbox() -> Result<()> {
    let engine = require_engine!(Ok(()));
    require_reference!(Ok(()));
    let scene = Scene::start(&engine, &[]).await?;
    let events = scene.run(&scene.task("echo to out; echo to err >&2"), &[]).await?;
    assert_eq!(states(&events), each(1, &WHOLE_LIFE));

    let task_id = events.task_id()?;
    let running = events.statuses("TASK_RUNNING")[0];
    assert_eq!(running["executor_id"]["value"], task_id);
    assert_eq!(running["source"], "SOURCE_EXECUTOR");
    assert_eq!(running["container_status"]["network_infos"][0]["ip_addresses"][0]["ip_address"], "127.0.0.1");
    let container_id =
        running["container_status"]["container_id"]["value"].as_str().context("no container")?;

    let framework_id = events.framework_id().context("no framework")?;
    let runs = scene.executor(framework_id, task_id)?.join("runs");
    let sandbox = runs.join(container_id);
    assert_eq!(std::fs::read_link(runs.join("latest"))?, sandbox);
    assert_eq!(std::fs::read_to_string(sandbox.join("stdout"))?, "to out\n");
    assert!(std::fs::read_to_string(sandbox.join("stderr"))?.ends_with("to err\n"));
    scene.nothing_left().await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_exit_code_and_a_missing_image_are_told() -> Result<()> {
    let engine = require_engine!(Ok(()));
    require_reference!(Ok(()));
    let scene = Scene::start(&engine, &[]).await?;
    let events = scene.run(&scene.task("exit 3"), &[]).await?;
    assert_eq!(events.last_status()?["state"], "TASK_FAILED");
    assert_eq!(events.last_status()?["message"], "Container exited with status 3");

    let mut missing = scene.task("true");
    missing["container"]["docker"]["image"] = json!("mesos-test/not-there:1");
    let events = scene.run(&missing, &[]).await?;
    let status = events.last_status()?;
    assert_eq!(
        (&status["state"], &status["reason"]),
        (&json!("TASK_FAILED"), &json!("REASON_CONTAINER_LAUNCH_FAILED"))
    );
    scene.nothing_left().await
}
