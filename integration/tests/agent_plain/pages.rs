//! A task without an image on the agent's pages: what it uses, what it is, and its sandbox.

use anyhow::{Context as _, Result, ensure};
use integration::{eventually, require_engine, require_reference};
use serde_json::json;

use crate::lab::{Lab, SHORT, plain};

#[tokio::test(flavor = "multi_thread")]
async fn a_task_is_told_of_everywhere() -> Result<()> {
    let engine = require_engine!(Ok(()));
    require_reference!(Ok(()));
    let lab = Lab::start(&engine, &["--isolation=cgroups/cpu,cgroups/mem,cgroups/pids"]).await?;
    // Time is counted in ticks, so the task is busy until some are.
    let task = plain("echo hello; echo busy; until [ -e ../enough ]; do :; done; exec sleep 600");
    let framework = lab.scene.framework(&task, &["--timeout=100"]).await?;
    lab.says(&framework, "busy").await?;
    let get = async |path: &str| lab.scene.agent.get(&lab.scene.master, path).await;

    let state = eventually("the task to run in /state", SHORT, async || {
        let state = get("/state").await?;
        let told = state.pointer("/frameworks/0/executors/0/tasks/0/state").cloned();
        Ok((told == Some(json!("TASK_RUNNING"))).then_some(state))
    })
    .await?;
    let executor = &state["frameworks"][0]["executors"][0];
    let events = framework.events();
    let id = events.task_id()?;
    assert_eq!(executor["id"], id);
    let directory = executor["directory"].as_str().context("a sandbox")?.to_owned();
    let container = executor["container"].as_str().context("a container")?.to_owned();
    assert_eq!(lab.scene.sandbox(&events, id)?.display().to_string(), directory);

    let framework_id = events.framework_id().context("no framework")?;
    let latest = format!("/frameworks/{framework_id}/executors/{id}/runs/latest");
    for path in [&directory, &latest] {
        let listed = get(&format!("/files/browse?path={path}")).await?;
        let names: Vec<_> =
            listed.as_array().context("a list")?.iter().map(|file| file["path"].clone()).collect();
        assert_eq!(names, [json!(format!("{path}/stderr")), json!(format!("{path}/stdout"))]);
        let read = get(&format!("/files/read?path={path}/stdout&offset=0")).await?;
        assert_eq!(read, json!({ "data": "hello\nbusy\n", "offset": 0 }));
    }

    let statistics = eventually("time of the processor", SHORT, async || {
        let statistics = get("/monitor/statistics").await?;
        let used = &statistics[0]["statistics"];
        let busy = used["cpus_user_time_secs"].as_f64().unwrap_or(0.0)
            + used["cpus_system_time_secs"].as_f64().unwrap_or(0.0);
        Ok((busy > 0.0).then_some(statistics))
    })
    .await?;
    // Not in the sandbox, whose files are told above.
    let above = std::path::Path::new(&directory).parent().context("a directory")?;
    std::fs::write(above.join("enough"), "")?;
    let used = &statistics[0]["statistics"];
    ensure!(statistics[0]["executor_id"] == id, "{statistics}");
    ensure!(
        used["mem_rss_bytes"].as_u64() > Some(0) && used["timestamp"].as_f64() > Some(0.0),
        "{statistics}"
    );
    ensure!(
        used["mem_limit_bytes"].as_u64() > Some(0) && used["cpus_soft_limit"].as_f64() > Some(0.0),
        "{statistics}"
    );
    let containers = get("/containers").await?;
    let shown = &containers[0];
    ensure!(shown["container_id"] == container.as_str() && shown["executor_id"] == id, "{containers}");
    ensure!(shown["status"]["container_id"]["value"] == container.as_str(), "{containers}");

    let metrics = get("/metrics/snapshot").await?;
    for name in ["slave/tasks_running", "slave/executors_running"] {
        ensure!(metrics[name] == json!(1.0), "{name}: {}", metrics[name]);
    }
    framework.tear_down(SHORT).await?;
    eventually("the task among those that are over", SHORT, async || {
        let state = get("/state").await?;
        let over =
            state.pointer("/completed_frameworks/0/completed_executors/0/completed_tasks/0/state").cloned();
        Ok(over.is_some().then_some(()))
    })
    .await?;
    lab.nothing_left().await
}
