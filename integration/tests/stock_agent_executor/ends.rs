//! Tasks that end by themselves: their statuses, output and environment.

use anyhow::{Result, ensure};
use integration::images::TestImage;
use integration::{require_engine, require_reference};
use serde_json::json;

use crate::scene::{Scene, address, container_of, inspection};

/// Peer: DockerContainerizerTest.ROOT_DOCKER_Launch.
#[tokio::test]
async fn a_task_that_finishes_tells_all_that_frameworks_read() -> Result<()> {
    let engine = require_engine!(Ok(()));
    require_reference!(Ok(()));
    let scene = Scene::start(&engine, &[]).await?;
    let mut task = scene.task("sleep 0.2");
    task["container"]["docker"]["network"] = json!("BRIDGE");
    let events = scene.cluster.run(&task, &[]).await?;
    assert_eq!(events.states(), ["TASK_STARTING", "TASK_RUNNING", "TASK_FINISHED"]);
    let running = events.status("TASK_RUNNING")?;
    let inspection = inspection(running)?;
    assert_eq!(inspection["Name"], format!("/{}", container_of(running)?));
    assert_eq!(address(running)?, inspection["NetworkSettings"]["Networks"]["bridge"]["IPAddress"]);
    let end = events.last_status()?;
    assert_eq!(end["message"], "Container exited with status 0");
    assert_eq!(end["source"], "SOURCE_EXECUTOR");
    scene.end().await
}

#[tokio::test]
async fn a_task_that_fails_tells_its_code_and_its_last_words() -> Result<()> {
    let engine = require_engine!(Ok(()));
    require_reference!(Ok(()));
    let scene = Scene::start(&engine, &[]).await?;
    let events = scene.cluster.run(&scene.task("echo alas >&2; exit 3"), &["--expect=TASK_FAILED"]).await?;
    let end = events.last_status()?;
    ensure!(end["state"] == "TASK_FAILED" && end.get("reason").is_none(), "{end}");
    let message = end["message"].as_str().unwrap_or_default();
    ensure!(message.starts_with("Container exited with status 3") && message.contains("alas"), "{message}");
    // The host's network has no address of its own; the agent adds its.
    assert_eq!(address(events.status("TASK_RUNNING")?)?, "127.0.0.1");
    scene.end().await
}

/// The fetcher has written to the same files before.
///
/// Peer: DockerContainerizerTest.ROOT_DOCKER_Logs.
#[tokio::test]
async fn each_stream_has_its_file_behind_what_the_fetcher_wrote() -> Result<()> {
    let engine = require_engine!(Ok(()));
    require_reference!(Ok(()));
    let scene = Scene::start(&engine, &[]).await?;
    let file = scene.scope.dir().join("fetched.txt");
    std::fs::write(&file, "by the fetcher")?;
    let mut task = scene.task("cat /mnt/mesos/sandbox/fetched.txt; echo of the task >&2");
    task["command"]["uris"] = json!([{ "value": file.display().to_string() }]);
    let events = scene.cluster.run(&task, &[]).await?;
    assert_eq!(scene.read(&events, "stdout")?, "by the fetcher");
    let stderr = scene.read(&events, "stderr")?;
    let fetched = stderr.find("Successfully fetched all URIs");
    let ours = stderr.find("registered with the agent");
    let own = stderr.find("of the task");
    ensure!(fetched.is_some() && fetched < ours && ours < own, "{stderr}");
    scene.end().await
}

/// Peer: DockerContainerizerTest.ROOT_DOCKER_Default_CMD.
/// Peer: DockerContainerizerTest.ROOT_DOCKER_Default_CMD_Override.
/// Peer: DockerContainerizerTest.ROOT_DOCKER_Default_CMD_Args.
#[tokio::test]
async fn the_image_decides_what_the_task_leaves_open() -> Result<()> {
    let engine = require_engine!(Ok(()));
    require_reference!(Ok(()));
    let scene = Scene::start(&engine, &[]).await?;
    for (command, said) in [
        (json!({ "shell": false }), "inky\n"),
        (json!({ "shell": false, "value": "uptime" }), "uptime\n"),
        (json!({ "shell": false, "arguments": ["one", "two"] }), "one two\n"),
    ] {
        let events = scene.cluster.run(&scene.task_with(TestImage::Inky, command), &[]).await?;
        assert_eq!(scene.read(&events, "stdout")?, said);
    }
    scene.end().await
}

/// Peer: DockerContainerizerTest.ROOT_DOCKER_MaxCompletionTime.
#[tokio::test]
async fn a_task_that_runs_longer_than_it_may_fails() -> Result<()> {
    let engine = require_engine!(Ok(()));
    require_reference!(Ok(()));
    let scene = Scene::start(&engine, &[]).await?;
    let mut task = scene.task("sleep 1000");
    task["max_completion_time"] = json!({ "nanoseconds": 1_500_000_000_u64 });
    let events = scene.cluster.run(&task, &["--expect=TASK_FAILED"]).await?;
    let end = events.last_status()?;
    assert_eq!(
        (&end["state"], &end["reason"]),
        (&json!("TASK_FAILED"), &json!("REASON_MAX_COMPLETION_TIME_REACHED"))
    );
    assert_eq!(events.states(), ["TASK_STARTING", "TASK_RUNNING", "TASK_FAILED"]);
    scene.end().await
}

#[tokio::test]
async fn a_task_sees_its_own_environment_and_none_of_the_executors() -> Result<()> {
    let engine = require_engine!(Ok(()));
    require_reference!(Ok(()));
    let variables = "--executor_environment_variables={\"OPERATOR\":\"1\"}";
    let scene = Scene::start(&engine, &[variables]).await?;
    let mut task = scene.task("env");
    task["command"]["environment"] = json!({ "variables": [{ "name": "OWN", "value": "a=b" }] });
    let events = scene.cluster.run(&task, &[]).await?;
    let environment = scene.read(&events, "stdout")?;
    let container = container_of(events.status("TASK_RUNNING")?)?;
    for line in [
        "OWN=a=b".to_owned(),
        "MESOS_SANDBOX=/mnt/mesos/sandbox".to_owned(),
        format!("MESOS_CONTAINER_NAME={container}"),
        "MESOS_ALLOCATION_ROLE=*".to_owned(),
    ] {
        ensure!(environment.lines().any(|found| found == line), "no {line} in {environment}");
    }
    for name in ["OPERATOR", "MESOS_SLAVE_PID", "MESOS_DIRECTORY", "LIBPROCESS_PORT"] {
        ensure!(!environment.contains(&format!("{name}=")), "{name} is in {environment}");
    }
    scene.end().await
}

/// Stock's own words, and the field that is wrong.
#[tokio::test]
async fn a_task_that_cannot_be_translated_fails_by_name() -> Result<()> {
    let engine = require_engine!(Ok(()));
    require_reference!(Ok(()));
    let scene = Scene::start(&engine, &[]).await?;
    let mut task = scene.task("true");
    task["container"]["docker"]["parameters"] = json!([{ "key": "no-such-option", "value": "1" }]);
    let events = scene.cluster.run(&task, &["--expect=TASK_FAILED"]).await?;
    let message = events.last_status()?["message"].as_str().unwrap_or_default().to_owned();
    ensure!(message.starts_with("Failed to create docker run options: "), "{message}");
    ensure!(message.contains("no-such-option"), "{message}");
    scene.end().await
}

/// A path with a colon, for which the agent gives a link.
///
/// Peer: DockerContainerizerTest.ROOT_DOCKER_LaunchSandboxWithColon.
#[tokio::test]
async fn a_sandbox_path_may_have_colons() -> Result<()> {
    let engine = require_engine!(Ok(()));
    require_reference!(Ok(()));
    let scene = Scene::start(&engine, &[]).await?;
    let mut task = scene.task("echo here >/mnt/mesos/sandbox/written");
    task["task_id"] = json!({ "value": "test:colon" });
    let events = scene.cluster.run(&task, &[]).await?;
    assert_eq!(scene.read(&events, "written")?, "here\n");
    scene.end().await
}
