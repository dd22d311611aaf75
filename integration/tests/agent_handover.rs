//! Work directories change hands: ours recovers what a stock agent left, and a stock agent what ours left after a real run.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use checkpoint::recover::{RecoveredAgent, recover};
use checkpoint::{BootId, Store, Strictness};
use integration::agent::{Agent, Scene, files, free_port, states};
use integration::reference::{Cluster, Master, get};
use integration::{TestScope, eventually, require_engine, require_reference};
use mesos_proto::v1::TaskState;
use serde_json::{Value, json};

/// How long a framework's tasks may take in all.
const LONG: Duration = Duration::from_secs(150);

/// How long one thing may take.
const SHORT: Duration = Duration::from_secs(60);

/// Where the recorded agent had its work directory.
const RECORDED_AT: &str = "/var/lib/mesosd/agent";

/// The agent of the recordings.
const RECORDED: &str = "6367cdae-ead1-4771-9bcc-29bc2086ffc2-S1";

/// Its resources.
const RESOURCES: &str = "--resources=cpus:64;mem:65536;disk:100000;ports:[31000-32000]";

/// What is recorded in a work directory, strictly read.
fn read(store: &Store) -> Result<RecoveredAgent> {
    let state = recover(store, Strictness::Strict, &BootId::current()?)?;
    ensure!(state.errors == 0, "{:?}", state.findings);
    state.agent.context("no agent was recovered")
}

/// Unpacks a work directory that a stock agent wrote, as if its agent had listened at this port.
fn unpack(name: &str, into: &Path, port: u16) -> Result<()> {
    let path = format!("../crates/checkpoint/tests/data/stock-1.11-{name}.tar.gz");
    let file = std::fs::File::open(Path::new(env!("CARGO_MANIFEST_DIR")).join(path))?;
    tar::Archive::new(flate2::read::GzDecoder::new(file)).unpack(into)?;
    relink(into, into)?;
    let store = Store::open(into)?;
    let mut agent = read(&store)?;
    agent.info.port = Some(port.into());
    store.write_agent(&agent.paths, &agent.info)?;
    Ok(())
}

/// Makes the links of an unpacked work directory point into it.
fn relink(directory: &Path, root: &Path) -> Result<()> {
    for entry in std::fs::read_dir(directory)? {
        let path: PathBuf = entry?.path();
        if path.is_symlink() {
            let target = path.read_link()?;
            std::fs::remove_file(&path)?;
            std::os::unix::fs::symlink(root.join(target.strip_prefix(RECORDED_AT)?), &path)?;
        } else if path.is_dir() {
            relink(&path, root)?;
        }
    }
    Ok(())
}

/// Our agent in a recorded work directory, registered.
async fn taken_over(scope: TestScope, name: &str) -> Result<Scene> {
    let port = free_port()?;
    let master = Master::start(&scope.subdir("master")?, &[]).await?;
    let agent = Agent::prepare(&scope, &master.address(), &[&format!("--port={port}"), RESOURCES])?;
    unpack(name, agent.work_dir(), port)?;
    let mut scene = Scene { master, agent, scope };
    scene.start_again().await?;
    Ok(scene)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_of_stock_and_its_finished_task_are_kept() -> Result<()> {
    let engine = require_engine!(Ok(()));
    require_reference!(Ok(()));
    let mut scene = taken_over(TestScope::new(&engine).await?, "02-finished").await?;
    for _ in 0..2 {
        assert_eq!(scene.master.agent().await?["id"], RECORDED);
        let state = scene.agent.get(&scene.master, "/state").await?;
        assert_eq!((&state["id"], &state["frameworks"]), (&json!(RECORDED), &json!([])));
        let framework = &state["completed_frameworks"][0];
        let task = &framework["completed_executors"][0]["completed_tasks"][0];
        assert_eq!(
            (&task["id"], &task["state"]),
            (&json!("f02-echo"), &json!("TASK_FINISHED")),
            "{framework}"
        );
        // What ours leaves is what ours reads.
        scene.crash().await?;
    }
    // It is of use.
    let events = scene.patient(&scene.task("true"), &[]).await?.end(LONG).await?;
    assert_eq!(states(&events), ["TASK_STARTING", "TASK_RUNNING", "TASK_FINISHED"]);
    scene.nothing_left().await
}

/// The recorded agent's executor ended with the machine it was recorded on: its task is told failed, until that is
/// acknowledged.
#[tokio::test(flavor = "multi_thread")]
async fn a_task_of_stock_from_before_a_boot_is_told_failed_again_and_again() -> Result<()> {
    let engine = require_engine!(Ok(()));
    require_reference!(Ok(()));
    let mut scene = taken_over(TestScope::new(&engine).await?, "02-running").await?;
    assert_eq!(scene.agent.id()?, RECORDED);
    let store_of = files(scene.agent.work_dir(), "task.updates");
    assert_eq!(store_of.len(), 1);
    // The framework is gone, so nobody acknowledges: the master hears of it from each process of ours.
    for _ in 0..2 {
        eventually("the master to hear of the task", SHORT, async || {
            let tasks = scene.master.get("/tasks").await?;
            let told = tasks["tasks"].as_array().context("tasks")?;
            let has_failed = |task: &Value| task["id"] == "f02-echo" && task["state"] == "TASK_FAILED";
            Ok(told.iter().any(has_failed).then_some(()))
        })
        .await?;
        let state = scene.agent.get(&scene.master, "/state").await?;
        let executor = &state["frameworks"][0]["executors"][0];
        // As stock, what has ended stands with what is over, acknowledged or not.
        let task = &executor["completed_tasks"][0];
        assert_eq!((&task["id"], &task["state"]), (&json!("f02-echo"), &json!("TASK_FAILED")), "{executor}");
        scene.crash().await?;
    }
    Ok(())
}

/// The flag `--resources` for what an agent was.
fn resources_of(agent: &RecoveredAgent) -> Result<String> {
    let mut words = Vec::new();
    for resource in &agent.info.resources {
        let value = match (&resource.scalar, &resource.ranges) {
            (Some(scalar), _) => scalar.value.to_string(),
            (None, Some(ranges)) => {
                let ranges = ranges.range.iter().map(|range| format!("{}-{}", range.begin, range.end));
                format!("[{}]", ranges.collect::<Vec<_>>().join(","))
            }
            (None, None) => continue,
        };
        words.push(format!("{}:{value}", resource.name));
    }
    Ok(format!("--resources={}", words.join(";")))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stock_agent_takes_over_what_ours_ran() -> Result<()> {
    let engine = require_engine!(Ok(()));
    require_reference!(Ok(()));
    let scope = TestScope::new(&engine).await?;
    let (cluster_dir, launcher_dir) = (scope.subdir("cluster")?, scope.subdir("launcher")?);
    let work_dir = cluster_dir.join("agents/0/work");
    let socket = format!("--docker_socket={}", engine.socket().display());
    let flags = [socket.as_str(), "--docker_kill_orphans=false", "--docker_remove_delay=1hrs"];
    let cluster = Cluster::start(&cluster_dir, &launcher_dir, &flags).await?;
    let port = cluster.port();
    cluster.stop().await?;

    // Ours takes the stock agent's place, at a master of its own, and runs tasks that end in several ways.
    let stock = read(&Store::open(&work_dir)?)?;
    let master = Master::start(&scope.subdir("master")?, &[]).await?;
    let flags_of_ours = [
        format!("--work_dir={}", work_dir.canonicalize()?.display()),
        format!("--port={port}"),
        format!("--hostname={}", stock.info.hostname),
        resources_of(&stock)?,
    ];
    let flags_of_ours: Vec<&str> = flags_of_ours.iter().map(String::as_str).collect();
    let agent = Agent::prepare(&scope, &master.address(), &flags_of_ours)?;
    let mut scene = Scene { master, agent, scope };
    scene.start_again().await?;
    assert_eq!(scene.master.agent().await?["id"], stock.id.to_string());
    for line in ["true", "exit 3"] {
        scene.patient(&scene.task(line), &[]).await?.end(LONG).await?;
    }
    let mut framework = scene.patient(&scene.gated("true")?, &[]).await?;
    framework.wait_for("TASK_RUNNING", 1, SHORT).await?;
    let running = framework.events().task_id()?.to_owned();
    scene.agent.kill()?;
    framework.crash().await?;
    let ours = read(&Store::open(&work_dir)?)?;
    assert_eq!((&ours.id, ours.frameworks.len()), (&stock.id, 3));

    // The stock agent, which is strict, is the same agent, knows the tasks, and tells of them.
    let cluster = Cluster::start_at(port, &cluster_dir, &launcher_dir, &flags).await?;
    let slaves = cluster.get("/slaves").await?;
    assert_eq!(slaves["slaves"][0]["id"], stock.id.to_string());
    let state =
        eventually("the stock agent's state", SHORT, async || Ok(get(port, "/slave(1)/state").await.ok()))
            .await?;
    assert_eq!(state["id"], stock.id.to_string());
    let mut ended = Vec::new();
    for framework in state["completed_frameworks"].as_array().context("completed frameworks")? {
        for executor in framework["completed_executors"].as_array().context("executors")? {
            let tasks = executor["completed_tasks"].as_array().context("tasks")?;
            ended.extend(tasks.iter().filter_map(|task| task["state"].as_str().map(str::to_owned)));
        }
    }
    ended.sort();
    assert_eq!(ended, ["TASK_FAILED", "TASK_FINISHED"], "{state}");
    // What still ran has no executor that it could talk to.
    let updates = files(&work_dir.join("meta"), "task.updates");
    let of_running =
        updates.iter().find(|path| path.to_string_lossy().contains(&running)).context("its updates")?;
    let before = std::fs::metadata(of_running)?.len();
    cluster.stop().await?;
    let after = read(&Store::open(&work_dir)?)?;
    let told = after.frameworks.iter().flat_map(|framework| &framework.executors).find_map(|executor| {
        let task = executor.latest_run()?.tasks.iter().find(|task| task.id.as_str() == running)?;
        task.updates.updates.last().map(|update| update.status.state())
    });
    ensure!(told.is_some_and(|state| state != TaskState::TaskRunning), "{told:?} in {before} bytes");
    Ok(())
}
