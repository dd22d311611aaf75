//! The HTTP API of executors. With `--http_command_executor` the agent sets `MESOS_HTTP_COMMAND_EXECUTOR=1` for Docker
//! tasks too; stock's own executor ignores that, ours follows it.

use anyhow::{Result, ensure};
use integration::{require_engine, require_reference};

use crate::scene::{PATIENCE, Scene, address};

const AGENT: [&str; 3] =
    ["--http_command_executor", "--recovery_timeout=1mins", "--executor_reregistration_timeout=5secs"];

#[tokio::test]
async fn a_task_runs_over_http_with_the_same_statuses() -> Result<()> {
    let engine = require_engine!(Ok(()));
    require_reference!(Ok(()));
    let scene = Scene::start(&engine, &AGENT).await?;
    let events = scene.cluster.run(&scene.task("sleep 0.2; exit 3"), &["--expect=TASK_FAILED"]).await?;
    assert_eq!(events.states(), ["TASK_STARTING", "TASK_RUNNING", "TASK_FAILED"]);
    assert_eq!(address(events.status("TASK_RUNNING")?)?, "127.0.0.1");
    let log = std::fs::read_to_string(scene.work_dir.join("reference.log"))?;
    ensure!(log.contains("Received Subscribe request for HTTP executor"), "it was not over HTTP");
    let killed =
        scene.cluster.run(&scene.task("sleep 1000"), &["--kill-after=0.3", "--kill-grace=0"]).await?;
    assert_eq!(killed.last_status()?["state"], "TASK_KILLED");
    scene.end().await
}

/// A stock agent forgets the containers of HTTP executors when it restarts, so a task that is to outlive that is not
/// run over HTTP.
#[tokio::test]
async fn a_task_that_outlives_the_agent_is_not_run_over_http() -> Result<()> {
    let engine = require_engine!(Ok(()));
    require_reference!(Ok(()));
    let scene = Scene::start(&engine, &AGENT).await?;
    let line = "while [ ! -e /mnt/mesos/sandbox/go ]; do sleep 0.1; done";
    let options = ["--checkpoint", "--failover-timeout=600"];
    let mut framework = scene.cluster.framework(&scene.task(line), &options).await?;
    framework.wait_for("TASK_RUNNING", 1, PATIENCE).await?;
    let task_id = framework.events().task_id()?.to_owned();
    let scene = scene.restart(async |_| Ok(())).await?;
    std::fs::write(scene.sandbox(&task_id)?.join("go"), "")?;
    let events = framework.end(PATIENCE).await?;
    ensure!(events.last_status()?["message"] == "Container exited with status 0", "{events:?}");
    scene.end().await
}
