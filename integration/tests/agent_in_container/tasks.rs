//! What is different for tasks.

use anyhow::{Result, ensure};
use integration::agent::task;
use integration::{eventually, require_engine, require_reference};
use serde_json::json;

use crate::rig::{LONG, SHORT, Scene};
use crate::set_up::without_bind;

#[tokio::test(flavor = "multi_thread")]
async fn without_the_hosts_processes_the_engine_tells_what_tasks_use_and_how_they_end() -> Result<()> {
    let engine = require_engine!(Ok(()));
    require_reference!(Ok(()));
    let scene = Scene::new(&engine, &["--docker_no_host_pid"]).await?;
    let mut request = scene.agent.request();
    request["HostConfig"]["PidMode"] = json!("");
    request["HostConfig"]["CapAdd"] = json!([]);
    without_bind(&mut request, "/sys/fs/cgroup");
    scene.agent.start(&request).await?;
    scene.agent.registered(&scene.master).await?;
    let busy = "i=0; while [ $i -lt 200000 ]; do i=$((i+1)); done; while [ ! -e /gate/open ]; do sleep 0.05; done; exit 7";
    let mut framework = scene.patient(&scene.gated(busy)?, &["--expect=TASK_FAILED"]).await?;
    framework.wait_for("TASK_RUNNING", 1, SHORT).await?;
    eventually("its usage", SHORT, async || {
        let page = scene.agent.get("/monitor/statistics").await?;
        let statistics = &page[0]["statistics"];
        let used = statistics["cpus_user_time_secs"].as_f64().unwrap_or_default();
        let memory = statistics["mem_total_bytes"].as_f64().unwrap_or_default();
        let limit = statistics["mem_limit_bytes"].as_f64().unwrap_or_default();
        Ok((used > 0.0 && memory > 0.0 && limit > memory).then_some(()))
    })
    .await?;
    scene.agent.remove().await?;
    scene.agent.start(&request).await?;
    scene.agent.registered(&scene.master).await?;
    scene.open_gate()?;
    let events = framework.end(LONG).await?;
    assert_eq!(events.states(), ["TASK_STARTING", "TASK_RUNNING", "TASK_FAILED"]);
    assert_eq!(events.last_status()?["message"], "Container exited with status 7");
    // A kill reaches a task that ignores the signal, by the engine alone.
    let stubborn = task(&scene.scope, "trap '' TERM; while :; do sleep 0.1; done");
    let events = scene.patient(&stubborn, &["--kill-after=0", "--kill-grace=1"]).await?.end(LONG).await?;
    assert_eq!(events.states().last(), Some(&"TASK_KILLED"));
    scene.end().await
}

/// It would end with the agent's container.
#[tokio::test(flavor = "multi_thread")]
async fn a_task_without_an_image_is_refused() -> Result<()> {
    let engine = require_engine!(Ok(()));
    require_reference!(Ok(()));
    let scene = Scene::new(&engine, &[]).await?;
    scene.start().await?;
    let plain = json!({ "name": "plain", "command": { "value": "sleep 1000" } });
    let events = scene.master.framework(&plain, &["--expect=TASK_FAILED"]).await?.end(LONG).await?;
    let end = events.last_status()?;
    let message = end["message"].as_str().unwrap_or_default();
    ensure!(message.contains("would end with it") && message.contains("container.docker.image"), "{end}");
    scene.end().await
}
