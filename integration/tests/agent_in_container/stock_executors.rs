//! The executors in containers of a stock agent, which are carried on.

use anyhow::{Context as _, Result};
use integration::agent::{Agent, PATIENT, program, task};
use integration::executors::docker_executor_image;
use integration::mounts::UnmountOnDrop;
use integration::reference::{Cluster, Master};
use integration::{TestScope, eventually, require_engine, require_reference};
use serde_json::{Value, json};

use crate::rig::{LONG, SHORT};

/// The executors' containers that were made in a scope: a stock agent labels nothing.
async fn executors_containers(scope: &TestScope) -> Result<Vec<String>> {
    let listed = scope.client().await?.get("/containers/json?all=1").await?.json()?;
    let directory = scope.dir().display().to_string();
    let is_of_scope = |one: &&Value| {
        let mounts = one["Mounts"].as_array().into_iter().flatten();
        let mut sources = mounts.filter_map(|mount| mount["Source"].as_str());
        let name = one["Names"][0].as_str().unwrap_or_default();
        name.ends_with(".executor") && sources.any(|source| source.starts_with(&directory))
    };
    let found = listed.as_array().into_iter().flatten().filter(is_of_scope);
    Ok(found.filter_map(|one| one["Id"].as_str().map(str::to_owned)).collect())
}

/// A stock agent with `--docker_mesos_image` runs each executor in a container of its own. It is killed, and ours takes its
/// work directory over.
#[tokio::test(flavor = "multi_thread")]
async fn executors_in_containers_of_a_stock_agent_are_carried_on_and_cleaned_up() -> Result<()> {
    let engine = require_engine!(Ok(()));
    require_reference!(Ok(()));
    let scope = TestScope::new(&engine).await?;
    let carried = carry_over(&engine, &scope).await;
    let mut client = scope.client().await?;
    for left in executors_containers(&scope).await? {
        client.delete(&format!("/containers/{left}?force=1")).await?;
    }
    carried
}

async fn carry_over(engine: &integration::TestEngine, scope: &TestScope) -> Result<()> {
    let launcher_dir = program()?.parent().context("a directory of programs")?.to_owned();
    let image = docker_executor_image(engine.socket(), &launcher_dir).await?;
    let directory = scope.subdir("cluster")?.canonicalize()?;
    let flags =
        [format!("--docker_mesos_image={image}"), format!("--docker_socket={}", engine.socket().display())];
    let cluster = Cluster::start(&directory, &launcher_dir, &flags.each_ref().map(String::as_str)).await?;
    let _mounts = UnmountOnDrop::below(&directory);
    let gate = scope.subdir("gate")?;
    let mut task = task(scope, "while [ ! -e /gate/open ]; do sleep 0.05; done; echo after");
    task["container"]["volumes"] = json!([{ "container_path": "/gate", "host_path": gate, "mode": "RO" }]);
    task["task_id"] = json!({ "value": "carried" });
    let options: Vec<&str> = PATIENT.iter().chain(&["--calls", "--instances=2"]).copied().collect();
    let mut framework = cluster.framework(&task, &options).await?;
    framework.wait_for("TASK_RUNNING", 2, SHORT).await?;
    assert_eq!(
        executors_containers(scope).await?.len(),
        2,
        "the stock agent made no containers for executors"
    );

    let port = cluster.port();
    cluster.kill();
    // The cluster's master has its registry in `master` below its work directory, as one alone has it.
    let registry = scope.subdir("master")?;
    std::os::unix::fs::symlink(&directory, registry.join("registry"))?;
    let master = Master::start_at(port, &registry, &[]).await?;
    let own = [
        format!("--work_dir={}", directory.join("agents/0/work").display()),
        // The port is the agent's for good, and the master has it at the other address.
        "--ip=127.0.0.2".into(),
        format!("--port={port}"),
        "--resources=cpus:16;mem:4096;ports:[31000-31999]".into(),
        "--reconfiguration_policy=additive".into(),
        "--executor_reregistration_timeout=15secs".into(),
    ];
    let mut agent = Agent::prepare(scope, &master.address(), &own.each_ref().map(String::as_str))?;
    agent.launch()?;
    eventually("the agent to register again", SHORT, async || {
        Ok(agent.log_text().contains("reregistered agent_id").then_some(()))
    })
    .await?;
    framework.call(&json!({ "type": "KILL", "kill": { "task_id": { "value": "carried-0" } } })).await?;
    framework.wait_for("TASK_KILLED", 1, SHORT).await?;
    std::fs::write(gate.join("open"), "")?;
    let events = framework.end(LONG).await?;
    let told = events.by_task();
    assert_eq!(told["carried-0"], ["TASK_STARTING", "TASK_RUNNING", "TASK_KILLED"]);
    assert_eq!(told["carried-1"], ["TASK_STARTING", "TASK_RUNNING", "TASK_FINISHED"]);
    eventually("the executors' containers to be removed", SHORT, async || {
        Ok(executors_containers(scope).await?.is_empty().then_some(()))
    })
    .await?;
    agent.stop().await
}
