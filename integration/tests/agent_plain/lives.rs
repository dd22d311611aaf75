//! A task from its launch to its end, in the sandbox and in what is told.

use anyhow::{Context as _, Result};
use integration::agent::states;
use integration::{require_engine, require_reference};
use marathon_app::{BuildContext, PortPool};
use mesos_proto::json::{Names, to_json_set};
use mesos_proto::v1;
use rstest::rstest;
use serde_json::{Value, json};

use crate::lab::{LONG, Lab, SHORT, message, plain};

/// The task of the app definition without a container, as Marathon makes it.
fn basic() -> Result<Value> {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/basic-0.json");
    let text = std::fs::read_to_string(&path).with_context(|| path.display().to_string())?;
    let apps = marathon_app::parse_value(&serde_json::from_str(&text)?)?;
    let app = apps.first().context("no app")?;
    let mut context = BuildContext {
        host: "127.0.0.1".into(),
        agent_id: "filled in by the framework".into(),
        version: "2015-02-03T12:30:00.000Z".into(),
        task_ids: &mut |id: &marathon_app::AppId| id.task_id("run"),
        host_ports: &mut PortPool::new([31000..=31999]),
        service_ports: &mut PortPool::new([PortPool::DEFAULT_SERVICE_PORTS]),
    };
    let infos: Vec<v1::TaskInfo> = marathon_app::build_tasks(app, app.instances, &mut context)?;
    Ok(infos.iter().map(|info| to_json_set(info, Names::V1)).collect::<Vec<_>>().into())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_example_without_a_container_prints_until_it_is_killed() -> Result<()> {
    let engine = require_engine!(Ok(()));
    require_reference!(Ok(()));
    let lab = Lab::start(&engine, &[]).await?;
    let options = ["--expect=TASK_KILLED", "--capability=TASK_KILLING_STATE", "--timeout=140"];
    let mut framework = lab.scene.framework(&basic()?, &options).await?;
    framework.wait_for("TASK_RUNNING", 1, SHORT).await?;
    lab.says(&framework, "Hello Marathon\n").await?;
    framework.kill_tasks()?;
    let events = framework.end(LONG).await?;
    assert_eq!(states(&events), ["TASK_STARTING", "TASK_RUNNING", "TASK_KILLING", "TASK_KILLED"]);
    let written = lab.stdout(&events)?;
    assert!(written.lines().all(|line| line == "Hello Marathon"), "{written}");
    lab.nothing_left().await
}

/// A container that names no image is none.
#[rstest]
#[case::no_container(None)]
#[case::of_type_mesos(Some(json!({ "type": "MESOS" })))]
#[tokio::test(flavor = "multi_thread")]
async fn a_task_tells_its_whole_life_and_where_it_runs(#[case] container: Option<Value>) -> Result<()> {
    let engine = require_engine!(Ok(()));
    require_reference!(Ok(()));
    let lab = Lab::start(&engine, &[]).await?;
    let mut task = plain("echo to out; echo to err >&2; pwd");
    if let Some(container) = container {
        task["container"] = container;
    }
    let (events, status) = lab.ends_as(&task, "TASK_FINISHED").await?;
    assert_eq!(states(&events), ["TASK_STARTING", "TASK_RUNNING", "TASK_FINISHED"]);
    assert_eq!(message(&status), "Command exited with status 0");
    assert_eq!(status["source"], "SOURCE_EXECUTOR");
    let running = events.status("TASK_RUNNING")?;
    assert_eq!(running["executor_id"]["value"], events.task_id()?);
    let of_container = &running["container_status"];
    assert_eq!(of_container["network_infos"][0]["ip_addresses"][0]["ip_address"], "127.0.0.1");
    let id = of_container["container_id"]["value"].as_str().context("no container")?;
    let sandbox = lab.scene.sandbox(&events, events.task_id()?)?;
    assert_eq!(sandbox.file_name().and_then(|name| name.to_str()), Some(id));
    assert_eq!(lab.stdout(&events)?, format!("to out\n{}\n", sandbox.display()));
    assert_eq!(std::fs::read_to_string(sandbox.join("stderr"))?, "to err\n");
    lab.nothing_left().await
}

#[rstest]
#[case::code("exit 7", "Command exited with status 7")]
#[case::signal("kill -SEGV $$", "Command terminated with signal Segmentation fault")]
#[case::not_there("exec /not/there", "Command exited with status 127")]
#[tokio::test(flavor = "multi_thread")]
async fn a_failure_is_told_as_it_was(#[case] line: &str, #[case] told: &str) -> Result<()> {
    let engine = require_engine!(Ok(()));
    require_reference!(Ok(()));
    let lab = Lab::start(&engine, &[]).await?;
    let (_, status) = lab.ends_as(&plain(line), "TASK_FAILED").await?;
    assert!(message(&status).starts_with(told), "{status}");
    lab.nothing_left().await
}

#[tokio::test(flavor = "multi_thread")]
async fn arguments_without_a_shell_are_those_of_the_program() -> Result<()> {
    let engine = require_engine!(Ok(()));
    require_reference!(Ok(()));
    let lab = Lab::start(&engine, &[]).await?;
    let mut task = plain("printf");
    task["command"]["shell"] = json!(false);
    task["command"]["arguments"] = json!(["printf", "%s|", "two words", "$HOME", ""]);
    let (events, _) = lab.ends_as(&task, "TASK_FINISHED").await?;
    assert_eq!(lab.stdout(&events)?, "two words|$HOME||");

    task["command"]["value"] = json!("/not/there");
    let (_, status) = lab.ends_as(&task, "TASK_FAILED").await?;
    assert_eq!(status["reason"], "REASON_CONTAINER_LAUNCH_FAILED");
    assert!(message(&status).contains("cannot execute /not/there: No such file or directory"), "{status}");
    lab.nothing_left().await
}
