//! The swap: our agent takes the place of a stock one under running tasks, whose executors, processes of their own, are
//! asked to come back. And the way back.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use checkpoint::recover::{RecoveredAgent, recover};
use checkpoint::{BootId, Store, Strictness};
use integration::agent::{Agent, PATIENT, Scene, files};
use integration::executors::{self, Place, Protocol};
use integration::images::TestImage;
use integration::mounts::UnmountOnDrop;
use integration::reference::{Cluster, Framework, Master};
use integration::{TestScope, eventually, require_engine, require_reference};
use mesos_proto::{Message as _, v1};
use serde_json::{Value, json};

/// How long a framework's tasks may take in all.
const LONG: Duration = Duration::from_secs(150);

/// How long one thing may take.
const SHORT: Duration = Duration::from_secs(60);

/// A stock cluster with our executor in its launcher directory.
struct Stock {
    cluster: Cluster,
    directory: PathBuf,
    launcher_dir: PathBuf,
    flags: Vec<String>,
    mounts: UnmountOnDrop,
    scope: TestScope,
}

impl Stock {
    async fn start(scope: TestScope) -> Result<Self> {
        let launcher_dir = scope.subdir("launcher")?;
        for (name, package) in [("mesos-fetcher", "fetcher"), ("mesos-docker-executor", "docker-executor")] {
            let program = integration::agent::program()?.with_file_name(name);
            ensure!(program.is_file(), "{name} is not there: build it with 'cargo build -p {package}'");
            std::os::unix::fs::symlink(program, launcher_dir.join(name))?;
        }
        let directory = scope.subdir("cluster")?;
        let flags = vec![format!("--docker_socket={}", scope.engine().socket().display())];
        let cluster = Cluster::start(&directory, &launcher_dir, &borrowed(&flags)).await?;
        let mounts = UnmountOnDrop::below(&directory);
        Ok(Self { cluster, directory, launcher_dir, flags, mounts, scope })
    }

    fn work_dir(&self) -> PathBuf {
        self.directory.join("agents/0/work")
    }

    /// Kills it, and starts a master on its registry at its port, and our agent on its agent's work directory.
    async fn swap(self, flags: &[&str]) -> Result<(Scene, Rest)> {
        let port = self.cluster.port();
        let work_dir = self.work_dir().canonicalize()?;
        let Self { cluster, directory, launcher_dir, flags: stock_flags, mounts, scope } = self;
        cluster.kill();
        let stock = read(&Store::open(&work_dir)?)?;
        let registry = scope.subdir("master")?;
        std::os::unix::fs::symlink(&directory, registry.join("registry"))?;
        let master = Master::start_at(port, &registry, &[]).await?;
        let own = [
            format!("--work_dir={}", work_dir.display()),
            // The port is the agent's for good, and the master has it at the other address.
            "--ip=127.0.0.2".to_owned(),
            format!("--port={port}"),
            format!("--hostname={}", stock.info.hostname),
            resources_of(&stock)?,
            "--executor_reregistration_timeout=15secs".to_owned(),
        ];
        let flags: Vec<&str> = own.iter().map(String::as_str).chain(flags.iter().copied()).collect();
        let agent = Agent::prepare(&scope, &master.address(), &flags)?;
        let mut scene = Scene { master, agent, scope };
        scene.start_again().await?;
        ensure!(scene.master.agent().await?["id"] == stock.id.to_string(), "another agent id");
        Ok((scene, Rest { directory, launcher_dir, flags: stock_flags, port, _mounts: mounts }))
    }
}

/// What is left of a stock cluster that was swapped.
struct Rest {
    directory: PathBuf,
    launcher_dir: PathBuf,
    flags: Vec<String>,
    port: u16,
    _mounts: UnmountOnDrop,
}

fn borrowed(flags: &[String]) -> Vec<&str> {
    flags.iter().map(String::as_str).collect()
}

/// What is recorded in a work directory, strictly read.
fn read(store: &Store) -> Result<RecoveredAgent> {
    let state = recover(store, Strictness::Strict, &BootId::current()?)?;
    ensure!(state.errors == 0, "{:?}", state.findings);
    state.agent.context("no agent was recovered")
}

/// The flag `--resources` for what an agent was.
fn resources_of(agent: &RecoveredAgent) -> Result<String> {
    let resources = serde_json::to_value(
        agent
            .info
            .resources
            .iter()
            .filter_map(|resource| {
                let value = match (&resource.scalar, &resource.ranges) {
                    (Some(scalar), _) => scalar.value.to_string(),
                    (None, Some(ranges)) => {
                        let ranges =
                            ranges.range.iter().map(|range| format!("{}-{}", range.begin, range.end));
                        format!("[{}]", ranges.collect::<Vec<_>>().join(","))
                    }
                    (None, None) => return None,
                };
                Some(format!("{}:{value}", resource.name))
            })
            .collect::<Vec<_>>(),
    )?;
    let words: Vec<&str> = resources.as_array().context("a list")?.iter().filter_map(Value::as_str).collect();
    Ok(format!("--resources={}", words.join(";")))
}

/// A task of the scope that waits for a gate of its own.
fn gated(scope: &TestScope, gate: &Path, then: &str) -> Value {
    let mut task = integration::agent::task(
        scope,
        &format!("while [ ! -e /gate/open ]; do sleep 0.05; done; echo after; {then}"),
    );
    task["container"]["volumes"] = json!([{ "container_path": "/gate", "host_path": gate, "mode": "RO" }]);
    task
}

/// The states that each task told.
fn told(framework: &Framework) -> Vec<Vec<String>> {
    framework.events().by_task().into_values().collect()
}

/// The processes of executors below a directory.
fn executors(directory: &Path) -> Result<Vec<String>> {
    let text = directory.display().to_string();
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/proc")? {
        // One that ends meanwhile has no arguments any more.
        let Ok(arguments) = std::fs::read(entry?.path().join("cmdline")) else { continue };
        let arguments = String::from_utf8_lossy(&arguments).replace('\0', " ");
        if arguments.starts_with("mesos-docker-executor") && arguments.contains(&text) {
            found.push(arguments);
        }
    }
    Ok(found)
}

/// The executors are processes of another agent program.
///
/// Peer: SlaveRecoveryTest.ReconnectExecutor.
#[tokio::test(flavor = "multi_thread")]
async fn tasks_go_on_and_their_ends_are_told_as_they_are() -> Result<()> {
    let engine = require_engine!(Ok(()));
    require_reference!(Ok(()));
    let stock = Stock::start(TestScope::new(&engine).await?).await?;
    let gate = stock.scope.subdir("gate")?;
    let mut ends = Vec::new();
    for then in ["true", "exit 3"] {
        let task = gated(&stock.scope, &gate, then);
        ends.push(stock.cluster.framework(&task, &PATIENT[..2]).await?);
    }
    let task = gated(&stock.scope, &stock.scope.subdir("closed")?, "true");
    let mut killed = stock.cluster.framework(&task, &PATIENT[..2]).await?;
    for framework in ends.iter_mut().chain([&mut killed]) {
        framework.wait_for("TASK_RUNNING", 1, SHORT).await?;
    }
    let before = executors(&stock.directory)?;
    assert_eq!(before.len(), 3, "{before:?}");

    let (scene, rest) = stock.swap(&[]).await?;
    let running = scene.running().await?;
    assert_eq!(running.len(), 3, "{running:?}");
    for framework in ends.iter().chain([&killed]) {
        assert_eq!(told(framework), [["TASK_STARTING", "TASK_RUNNING"]], "a status that it should not");
    }
    let state = scene.master.get("/state").await?;
    assert_eq!(state["frameworks"].as_array().map(Vec::len), Some(3), "{state}");

    killed.kill_tasks()?;
    let events = killed.end(LONG).await?;
    assert_eq!(
        events.by_task().into_values().collect::<Vec<_>>(),
        [["TASK_STARTING", "TASK_RUNNING", "TASK_KILLED"]]
    );
    std::fs::write(gate.join("open"), "")?;
    let failed = ends.remove(1).end(LONG).await?;
    let finished = ends.remove(0).end(LONG).await?;
    assert_eq!(finished.statuses("TASK_FINISHED").len(), 1, "{:?}", finished.summary());
    let statuses = failed.statuses("TASK_FAILED");
    assert_eq!(statuses.len(), 1, "{:?}", failed.summary());
    assert_eq!(statuses[0]["message"], "Container exited with status 3", "{}", statuses[0]);
    for sandbox in files(&rest.directory.join("agents/0/work/slaves"), "stdout") {
        let text = std::fs::read_to_string(&sandbox)?;
        assert!(text.matches("after").count() <= 1, "{text}");
    }
    eventually("the executors to end", SHORT, async || {
        Ok(executors(&rest.directory)?.is_empty().then_some(()))
    })
    .await?;
    scene.nothing_left().await?;

    Ok(())
}

/// As docs/migration.md has it: drained, stopped, and the stock agent started in the same place, where it is the same agent.
#[tokio::test(flavor = "multi_thread")]
async fn the_way_back_is_a_drain() -> Result<()> {
    let engine = require_engine!(Ok(()));
    require_reference!(Ok(()));
    let stock = Stock::start(TestScope::new(&engine).await?).await?;
    let (scene, rest) = stock.swap(&[]).await?;
    let mut framework = scene.patient(&scene.task("exec sleep 1000"), &[]).await?;
    framework.wait_for("TASK_RUNNING", 1, SHORT).await?;
    let agent_id = json!({ "value": scene.agent.id()? });
    let grace = json!({ "nanoseconds": 1_000_000_000 });
    scene
        .master
        .call(&json!({ "type": "DRAIN_AGENT", "drain_agent": { "agent_id": agent_id, "max_grace_period": grace } }))
        .await?;
    let end = framework.end(LONG).await?;
    assert_eq!(end.last_status()?["reason"], "REASON_AGENT_DRAINING", "{:?}", end.summary());
    eventually("the end of the drain", SHORT, async || {
        let agents = scene.master.get("/slaves").await?;
        Ok((agents["slaves"][0]["drain_info"]["state"] == "DRAINED").then_some(()))
    })
    .await?;

    let id = scene.agent.id()?;
    let Scene { master, mut agent, scope } = scene;
    agent.stop().await?;
    drop(master);
    let cluster =
        Cluster::start_at(rest.port, &rest.directory, &rest.launcher_dir, &borrowed(&rest.flags)).await?;
    let back = cluster.get("/slaves").await?["slaves"][0].clone();
    assert_eq!((&back["id"], &back["drain_info"]["state"]), (&json!(id), &json!("DRAINED")), "{back}");
    let agent_id = json!({ "agent_id": agent_id });
    cluster.call(&json!({ "type": "REACTIVATE_AGENT", "reactivate_agent": agent_id })).await?;
    let events = cluster.run(&integration::agent::task(&scope, "exit 0"), &[]).await?;
    assert_eq!(events.last_status()?["state"], "TASK_FINISHED", "{:?}", events.summary());
    cluster.stop().await?;
    drop(scope);
    Ok(())
}

/// Executors that died while no agent was there: their tasks fail, their containers go, and nobody else's do.
#[tokio::test(flavor = "multi_thread")]
async fn an_executor_that_died_meanwhile_takes_its_container_along() -> Result<()> {
    let engine = require_engine!(Ok(()));
    require_reference!(Ok(()));
    let stock = Stock::start(TestScope::new(&engine).await?).await?;
    let task = gated(&stock.scope, &stock.scope.subdir("closed")?, "true");
    let mut framework = stock.cluster.framework(&task, &PATIENT[..2]).await?;
    framework.wait_for("TASK_RUNNING", 1, SHORT).await?;
    let pid_file = files(&stock.work_dir().join("meta"), "forked.pid");
    let pid = std::fs::read_to_string(pid_file.first().context("a forked.pid")?)?.trim().parse::<i32>()?;
    let pid = rustix::process::Pid::from_raw(pid).context("a process id")?;
    // Its guard would stop the container with it; both are gone when a machine runs out of memory.
    rustix::process::kill_process_group(pid, rustix::process::Signal::KILL)?;
    let (scene, _rest) = stock.swap(&[]).await?;
    let events = framework.end(LONG).await?;
    let states: Vec<Vec<String>> = events.by_task().into_values().collect();
    assert_eq!(states, [["TASK_STARTING", "TASK_RUNNING", "TASK_FAILED"]]);
    assert_eq!(events.statuses("TASK_FAILED")[0]["reason"], "REASON_EXECUTOR_TERMINATED");
    scene.nothing_left().await
}

/// `--recover=cleanup` ends what a stock agent launched, with its containers, and then itself.
#[tokio::test(flavor = "multi_thread")]
async fn a_cleanup_ends_executors_of_stock_too() -> Result<()> {
    let engine = require_engine!(Ok(()));
    require_reference!(Ok(()));
    let stock = Stock::start(TestScope::new(&engine).await?).await?;
    let task = gated(&stock.scope, &stock.scope.subdir("closed")?, "true");
    let mut framework = stock.cluster.framework(&task, &PATIENT[..2]).await?;
    framework.wait_for("TASK_RUNNING", 1, SHORT).await?;
    let (mut scene, rest) = stock.swap(&[]).await?;
    scene.agent.kill()?;
    scene.agent.set_flag("--recover=cleanup");
    scene.agent.launch()?;
    scene.agent.ended().await?;
    scene.nothing_left().await?;
    assert_eq!(executors(&rest.directory)?, Vec::<String>::new());
    framework.crash().await?;
    Ok(())
}

/// An agent without the Docker containerizer could not remove the container of such a task. It says so and ends; the task
/// and its executor go on, until an agent with it carries them to their end.
#[tokio::test(flavor = "multi_thread")]
async fn an_agent_without_the_engine_leaves_tasks_of_stock_that_have_an_image_alone() -> Result<()> {
    let engine = require_engine!(Ok(()));
    require_reference!(Ok(()));
    let stock = Stock::start(TestScope::new(&engine).await?).await?;
    let gate = stock.scope.subdir("gate")?;
    let mut framework = stock.cluster.framework(&gated(&stock.scope, &gate, "exit 5"), &PATIENT[..2]).await?;
    framework.wait_for("TASK_RUNNING", 1, SHORT).await?;
    let (mut scene, rest) = stock.swap(&[]).await?;
    scene.agent.kill()?;
    scene.agent.set_flag("--containerizers=mesos");
    scene.agent.launch()?;
    assert_eq!(scene.agent.ended().await?.code(), Some(1));
    let log = scene.agent.log_text();
    ensure!(log.contains("add docker to --containerizers"), "{log}");
    assert_eq!(executors(&rest.directory)?.len(), 1, "its executor was ended");
    scene.agent.set_flag("--containerizers=docker");
    scene.start_again().await?;
    std::fs::write(gate.join("open"), "")?;
    let events = framework.end(LONG).await?;
    let states: Vec<Vec<String>> = events.by_task().into_values().collect();
    assert_eq!(states, [["TASK_STARTING", "TASK_RUNNING", "TASK_FAILED"]]);
    let message = events.statuses("TASK_FAILED")[0]["message"].clone();
    assert_eq!(message, "Container exited with status 5");
    scene.nothing_left().await
}

/// The executor's id, which is its first task's too.
const ID: &str = "several";

/// A framework with a custom executor in a container that runs these tasks.
async fn with_executor(stock: &Stock, tasks: &[&str]) -> Result<Framework> {
    let executor = executors::executor(&stock.scope, ID, Protocol::V0, Place::Container).await?;
    let infos: Vec<Value> =
        tasks.iter().map(|id| executors::task(&executor, id, &serde_json::json!({}))).collect();
    let options = [&PATIENT[..2], &["--calls"][..]].concat();
    let mut framework = stock.cluster.framework(&infos.into(), &options).await?;
    framework.wait_for("TASK_RUNNING", tasks.len(), SHORT).await?;
    Ok(framework)
}

/// The states of a task, each once.
fn states(framework: &Framework, task: &str) -> Vec<String> {
    framework.events().by_task().remove(task).unwrap_or_default()
}

/// Its container is watched, and tells how it ended.
#[tokio::test(flavor = "multi_thread")]
async fn a_custom_executor_in_a_container_comes_back_and_its_end_is_seen() -> Result<()> {
    let engine = require_engine!(Ok(()));
    require_reference!(Ok(()));
    let stock = Stock::start(TestScope::new(&engine).await?).await?;
    let mut framework = with_executor(&stock, &[ID, "other"]).await?;
    let (scene, _rest) = stock.swap(&[]).await?;
    scene.logged("by=\"its container\"").await?;
    assert_eq!(scene.running().await?.len(), 1);
    framework.call(&executors::message(ID, "finish other")).await?;
    eventually("the end of a task", SHORT, async || {
        Ok((states(&framework, "other") == ["TASK_RUNNING", "TASK_FINISHED"]).then_some(()))
    })
    .await?;
    framework.call(&executors::message(ID, "exit 3")).await?;
    let events = framework.end(LONG).await?;
    assert_eq!(events.by_task()[ID], ["TASK_RUNNING", "TASK_FAILED"]);
    let last = events.last_status()?;
    assert_eq!(last["reason"], "REASON_EXECUTOR_TERMINATED");
    assert_eq!(last["message"], "Container exited with status 3", "{last}");
    scene.nothing_left().await
}

/// As an agent in a container leaves them: the executor of a command task in `mesos-<id>.executor`, its task in
/// `mesos-<id>`, which goes with it.
#[tokio::test(flavor = "multi_thread")]
async fn an_executor_in_a_container_of_its_own_takes_its_tasks_container_along() -> Result<()> {
    let engine = require_engine!(Ok(()));
    require_reference!(Ok(()));
    let stock = Stock::start(TestScope::new(&engine).await?).await?;
    let mut framework = with_executor(&stock, &[ID]).await?;
    let run = files(&stock.work_dir().join("meta"), "libprocess.pid").pop().context("a libprocess.pid")?;
    let run = run.parent().and_then(Path::parent).context("a run")?;
    let name = format!("mesos-{}", run.file_name().context("a container id")?.to_string_lossy());
    let generated = run.parent().and_then(Path::parent).context("an executor")?;
    let mut client = stock.scope.client().await?;
    client.post_empty(&format!("/containers/{name}/rename?name={name}.executor")).await?.ok()?;
    let body = serde_json::json!({
        "Image": TestImage::Busybox.reference(), "Cmd": ["sleep", "1000"], "Labels": stock.scope.labels(),
        "HostConfig": { "NetworkMode": "host" },
    });
    client.post(&format!("/containers/create?name={name}"), &body).await?.ok()?;
    client.post_empty(&format!("/containers/{name}/start")).await?.ok()?;
    std::fs::write(generated.join("executor_generated_for_command_task"), "1")?;
    // A command task names no executor: the master knows of none.
    let path = run.join("tasks").join(ID).join("task.info");
    let bytes = std::fs::read(&path)?;
    let mut task = v1::Task::decode(bytes.get(4..).context("a task")?)?;
    task.executor_id = None;
    let length = u32::try_from(task.encoded_len())?;
    std::fs::write(&path, [&length.to_ne_bytes()[..], &task.encode_to_vec()].concat())?;
    let (scene, _rest) = stock.swap(&[]).await?;
    scene.logged("by=\"its container\"").await?;
    assert_eq!(scene.running().await?.len(), 2);
    assert_eq!(states(&framework, ID), ["TASK_RUNNING"]);
    framework.call(&executors::message(ID, "exit 0")).await?;
    let events = framework.end(LONG).await?;
    assert_eq!(events.by_task()[ID], ["TASK_RUNNING", "TASK_FAILED"]);
    scene.nothing_left().await
}
