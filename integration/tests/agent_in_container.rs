//! Our `mesos-agent` in a container (`--docker_mesos_image`): tasks outlive it, and a wrong set-up is refused with the
//! option that is missing.

use std::os::fd::AsFd as _;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use integration::agent::{Agent, Contained, PATIENT, files, program, task};
use integration::executors::docker_executor_image;
use integration::images::TestImage;
use integration::mounts::UnmountOnDrop;
use integration::reference::{Cluster, Framework, Master};
use integration::sweep::SCOPE_LABEL;
use integration::{
    PrivateEngine, TestScope, eventually, require_engine, require_private_engine, require_reference,
};
use rstest::rstest;
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use serde_json::{Value, json};

/// How long a framework's tasks may take in all.
const LONG: Duration = Duration::from_secs(150);

/// How long one thing may take.
const SHORT: Duration = Duration::from_secs(60);

/// Writes rising numbers until the gate is open, and the last one again.
const COUNT: &str =
    "i=0; while [ ! -e /gate/open ]; do i=$((i+1)); echo $i; usleep 20000; done; echo last $i";

/// A master, and an agent's container that is not started.
struct Scene {
    agent: Contained,
    master: Master,
    scope: TestScope,
}

impl Scene {
    /// With `--docker_mesos_image`, and these flags.
    async fn new(engine: &integration::TestEngine, flags: &[&str]) -> Result<Self> {
        let mut scene = Self::without_flag(engine, flags).await?;
        let flag = format!("--docker_mesos_image={}", scene.agent.image());
        scene.agent.add_flag(&flag);
        Ok(scene)
    }

    async fn without_flag(engine: &integration::TestEngine, flags: &[&str]) -> Result<Self> {
        let scope = TestScope::new(engine).await?;
        let master = Master::start(&scope.subdir("master")?, &[]).await?;
        let agent = Contained::prepare(&scope, &master.address(), flags).await?;
        Ok(Self { agent, master, scope })
    }

    async fn start(&self) -> Result<()> {
        self.agent.start(&self.agent.request()).await?;
        self.agent.registered(&self.master).await
    }

    async fn patient(&self, task: &Value, more: &[&str]) -> Result<Framework> {
        let options: Vec<&str> = PATIENT.iter().chain(more).copied().collect();
        self.master.framework(task, &options).await
    }

    /// A task that does something with a gate.
    fn gated(&self, line: &str) -> Result<Value> {
        let mut task = task(&self.scope, line);
        let gate = self.scope.subdir("gate")?;
        task["container"]["volumes"] =
            json!([{ "container_path": "/gate", "host_path": gate, "mode": "RO" }]);
        Ok(task)
    }

    fn open_gate(&self) -> Result<()> {
        std::fs::write(self.scope.subdir("gate")?.join("open"), "").context("open the gate")
    }

    /// The engine's ids of the tasks' containers that run, sorted.
    async fn running(&self) -> Result<Vec<String>> {
        let listed = self.scope.client().await?.get("/containers/json").await?.json()?;
        let is_task = |one: &&Value| {
            let name = one["Names"][0].as_str().unwrap_or_default();
            one["Labels"][SCOPE_LABEL] == self.scope.id() && name.starts_with("/mesos-")
        };
        let tasks = listed.as_array().into_iter().flatten().filter(is_task);
        let mut ids: Vec<String> = tasks.filter_map(|one| one["Id"].as_str().map(str::to_owned)).collect();
        ids.sort();
        Ok(ids)
    }

    /// Stops and removes the agent, and waits until nothing else is left.
    async fn end(self) -> Result<()> {
        self.agent.stop().await?;
        self.agent.remove().await?;
        eventually("the removal of all containers", SHORT, async || {
            Ok(self.scope.assert_clean().await.is_ok().then_some(()))
        })
        .await
    }
}

/// Expects each number once and in order, and the last line to say how many.
fn check_count(path: &Path) -> Result<usize> {
    let text = std::fs::read_to_string(path)?;
    let mut lines: Vec<&str> = text.lines().collect();
    let last = lines.pop().with_context(|| format!("{} is empty", path.display()))?;
    for (number, line) in lines.iter().enumerate() {
        ensure!(*line == (number + 1).to_string(), "line {} of {} is {line:?}", number + 1, path.display());
    }
    ensure!(last == format!("last {}", lines.len()), "the last of {} lines is {last:?}", lines.len() + 1);
    Ok(lines.len())
}

/// Waits until a task has written more than it had.
async fn goes_on(path: &Path) -> Result<()> {
    let before = std::fs::metadata(path)?.len();
    eventually("the task's output to grow", SHORT, async || {
        Ok((std::fs::metadata(path)?.len() > before).then_some(()))
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn tasks_go_on_while_the_container_is_stopped_removed_and_replaced_twice() -> Result<()> {
    let engine = require_engine!(Ok(()));
    require_reference!(Ok(()));
    let scene = Scene::new(&engine, &[]).await?;
    scene.start().await?;
    let mut framework = scene.patient(&scene.gated(COUNT)?, &["--instances=3"]).await?;
    framework.wait_for("TASK_RUNNING", 3, SHORT).await?;
    let running = scene.running().await?;
    assert_eq!(running.len(), 3);
    let told = framework.events().states().len();
    let outputs = files(scene.agent.work_dir(), "stdout");
    assert_eq!(outputs.len(), 3);

    // As `docker compose up` and unit files do it.
    scene.agent.stop().await?;
    assert_eq!(scene.running().await?, running, "a task was touched by the stop");
    scene.agent.remove().await?;
    scene.start().await?;
    for output in &outputs {
        goes_on(output).await?;
    }
    // As an impatient person does it.
    scene.agent.remove().await?;
    assert_eq!(scene.running().await?, running, "a task was touched by the removal");
    scene.start().await?;
    for output in &outputs {
        goes_on(output).await?;
    }
    // A restart of the same container.
    scene.agent.stop().await?;
    scene.agent.start_again().await?;
    for output in &outputs {
        goes_on(output).await?;
    }
    assert_eq!(scene.running().await?, running, "the tasks were not adopted");
    assert_eq!(
        framework.events().states().len(),
        told,
        "a status was told: {:?}",
        framework.events().summary()
    );

    scene.open_gate()?;
    let events = framework.end(LONG).await?;
    for (task, states) in events.by_task() {
        assert_eq!(states, ["TASK_STARTING", "TASK_RUNNING", "TASK_FINISHED"], "{task}");
    }
    for output in &outputs {
        ensure!(check_count(output)? > 10, "a task has hardly run");
    }
    scene.end().await
}

/// The host's network of a private engine's containers is a namespace of its own, where the master and the frameworks must
/// be, too.
fn inside(
    engine: PrivateEngine,
    test: impl AsyncFnOnce(PrivateEngine) -> Result<()> + Send + 'static,
) -> Result<()> {
    let entered = std::thread::spawn(move || {
        let dockerd = engine.dockerd_pid().context("dockerd does not run")?;
        let namespace = std::fs::File::open(format!("/proc/{}/ns/net", dockerd.as_raw_nonzero()))?;
        move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network))?;
        // Its threads are children of this one, so they are in the namespace as well.
        tokio::runtime::Runtime::new()?.block_on(test(engine))
    });
    entered.join().expect("no panic")
}

/// The reason why the directory of the engine's socket is mounted and not the socket.
#[tokio::test(flavor = "multi_thread")]
async fn the_engine_restarts_under_the_agents_container() -> Result<()> {
    require_private_engine!(Ok(()));
    require_reference!(Ok(()));
    let private = PrivateEngine::start_with(&["--bridge=none"]).await?;
    tokio::task::spawn_blocking(move || inside(private, restart_the_engine)).await?
}

async fn restart_the_engine(mut private: PrivateEngine) -> Result<()> {
    let scene = Scene::new(&private.engine()?, &[]).await?;
    scene.start().await?;
    let mut framework = scene.patient(&scene.gated(COUNT)?, &["--instances=2"]).await?;
    framework.wait_for("TASK_RUNNING", 2, SHORT).await?;
    let running = scene.running().await?;
    let told = framework.events().states().len();
    let outputs = files(scene.agent.work_dir(), "stdout");
    let process = scene.agent.process().await?;

    for crash in [true, false] {
        if crash {
            private.kill_dockerd().await?;
        } else {
            private.stop_dockerd().await?;
        }
        // An agent that waited for its engine there would not answer.
        scene.agent.get("/state").await?;
        private.start_dockerd().await?;
        for output in &outputs {
            goes_on(output).await?;
        }
        // It reaches the engine that is there now.
        let next = task(&scene.scope, "exit 3");
        let events = scene.patient(&next, &["--expect=TASK_FAILED"]).await?.end(LONG).await?;
        assert_eq!(events.states(), ["TASK_STARTING", "TASK_RUNNING", "TASK_FAILED"]);
        assert_eq!(events.last_status()?["message"], "Container exited with status 3");
    }
    assert_eq!(scene.agent.process().await?, process, "the agent was started again");
    assert_eq!(scene.running().await?, running, "a task was touched");
    assert_eq!(framework.events().states().len(), told, "{:?}", framework.events().summary());

    scene.open_gate()?;
    let events = framework.end(LONG).await?;
    for (task, states) in events.by_task() {
        assert_eq!(states, ["TASK_STARTING", "TASK_RUNNING", "TASK_FINISHED"], "{task}");
    }
    for output in &outputs {
        ensure!(check_count(output)? > 10, "a task has hardly run");
    }
    scene.end().await?;
    private.remove()
}

/// What is wrong with a set-up.
#[derive(Clone, Copy)]
enum Wrong {
    Network,
    Pids,
    Cgroups,
    CgroupNames,
    NoWorkDir,
    OtherWorkDir,
    Volume,
    SocketFile,
    NoSocket,
}

impl Wrong {
    /// Makes a right request so; `sockets` is the directory of the engine's socket.
    fn make(self, request: &mut Value, work_dir: &str, sockets: &str) {
        match self {
            Self::Network => request["HostConfig"]["NetworkMode"] = json!("none"),
            Self::Pids => request["HostConfig"]["PidMode"] = json!(""),
            Self::Cgroups => without_bind(request, "/sys/fs/cgroup"),
            Self::CgroupNames => request["HostConfig"]["CgroupnsMode"] = json!("private"),
            Self::NoWorkDir => without_bind(request, work_dir),
            Self::OtherWorkDir => {
                without_bind(request, work_dir);
                with_bind(request, format!("{work_dir}-elsewhere:{work_dir}"));
            }
            Self::Volume => {
                without_bind(request, work_dir);
                request["Volumes"] = json!({ work_dir: {} });
            }
            Self::SocketFile => {
                without_bind(request, &format!("{sockets}:"));
                with_bind(request, format!("{sockets}/docker.sock:{sockets}/docker.sock"));
            }
            Self::NoSocket => without_bind(request, &format!("{sockets}:")),
        }
    }
}

fn without_bind(request: &mut Value, of: &str) {
    let binds = request["HostConfig"]["Binds"].as_array_mut().expect("binds");
    let before = binds.len();
    binds.retain(|bind| !bind.as_str().is_some_and(|bind| bind.starts_with(of)));
    assert_eq!(binds.len() + 1, before, "no bind of {of}");
}

fn with_bind(request: &mut Value, bind: String) {
    request["HostConfig"]["Binds"].as_array_mut().expect("binds").push(bind.into());
}

#[rstest]
#[case::network(Wrong::Network, "--network=host")]
#[case::pids(Wrong::Pids, "--pid=host")]
#[case::cgroups(Wrong::Cgroups, "-v /sys/fs/cgroup:/sys/fs/cgroup:ro")]
#[case::cgroup_names(Wrong::CgroupNames, "--cgroupns=host")]
#[case::no_work_dir(Wrong::NoWorkDir, "-v WORK_DIR:WORK_DIR")]
#[case::other_work_dir(Wrong::OtherWorkDir, "-v WORK_DIR:WORK_DIR")]
#[case::volume(Wrong::Volume, "-v WORK_DIR:WORK_DIR")]
#[case::socket_file(Wrong::SocketFile, "-v SOCKETS:SOCKETS")]
#[case::no_socket(Wrong::NoSocket, "-v SOCKETS:SOCKETS")]
#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_set_up_is_refused_with_the_option_that_is_missing(
    #[case] wrong: Wrong,
    #[case] option: &str,
) -> Result<()> {
    let engine = require_engine!(Ok(()));
    require_reference!(Ok(()));
    let scene = Scene::new(&engine, &[]).await?;
    let work_dir = scene.agent.work_dir().display().to_string();
    let sockets = engine.socket().parent().context("a directory")?.display().to_string();
    let mut request = scene.agent.request();
    wrong.make(&mut request, &work_dir, &sockets);
    scene.agent.start(&request).await?;
    let ended = scene.agent.ended().await?;
    let line = ended.log.lines().find(|line| line.starts_with("mesos-agent: "));
    let line = line.with_context(|| format!("no line for a person: {}", ended.log))?;
    assert_eq!(ended.status, 1, "{line}");
    let option = option.replace("SOCKETS", &sockets).replace("WORK_DIR", &work_dir);
    ensure!(line.contains(&format!("{option} (")), "{option:?} is not in {line}");
    ensure!(line.matches(" (").count() == 1, "more than one option is named: {line}");
    ensure!(files(scene.agent.work_dir(), "slave.info").is_empty(), "it registered");
    scene.agent.remove().await
}

/// As in a pod of Kubernetes: the network is another container's, and with it the files by which one's own may be known.
#[tokio::test(flavor = "multi_thread")]
async fn the_hosts_network_may_be_lent_by_another_container() -> Result<()> {
    let engine = require_engine!(Ok(()));
    require_reference!(Ok(()));
    let scene = Scene::new(&engine, &[]).await?;
    let lender = scene.scope.name("lender");
    let mut client = scene.scope.client().await?;
    let pause = json!({
        "Image": TestImage::Busybox.reference(),
        "Cmd": ["sleep", "1000"],
        "Labels": scene.scope.labels(),
        "HostConfig": { "NetworkMode": "host" },
    });
    client.post(&format!("/containers/create?name={lender}"), &pause).await?.json()?;
    client.post_empty(&format!("/containers/{lender}/start")).await?.ok()?;
    let mut request = scene.agent.request();
    request["HostConfig"]["NetworkMode"] = format!("container:{lender}").into();
    scene.agent.start(&request).await?;
    scene.agent.registered(&scene.master).await?;
    let (log, name) = (scene.agent.log().await?, scene.agent.name());
    ensure!(log.contains("the agent runs in a container") && log.contains(name), "not {name}: {log}");
    scene.agent.remove().await?;

    // What it sees of itself then is the lender's alone. No guess is made.
    request["HostConfig"]["CgroupnsMode"] = json!("private");
    scene.agent.start(&request).await?;
    let ended = scene.agent.ended().await?;
    ensure!(ended.status == 1 && ended.log.contains("start it with --cgroupns=host"), "{}", ended.log);
    scene.agent.remove().await?;
    client.delete(&format!("/containers/{lender}?force=1")).await?.ok().map(drop)
}

/// The example starts an agent that lacks nothing: `run` as it is, with a `docker` that labels what it makes.
#[tokio::test(flavor = "multi_thread")]
async fn the_example_starts_an_agent() -> Result<()> {
    let engine = require_engine!(Ok(()));
    require_reference!(Ok(()));
    let scene = Scene::new(&engine, &[]).await?;
    let programs = scene.scope.subdir("bin")?;
    let docker = programs.join("docker");
    let line = format!(
        "#!/bin/sh\nPATH=${{PATH#*:}}\n[ \"$1\" = run ] || exit 9\nshift\nexec docker -H unix://{} run --label {SCOPE_LABEL}={} \"$@\"\n",
        engine.socket().display(),
        scene.scope.id()
    );
    std::fs::write(&docker, line)?;
    std::fs::set_permissions(&docker, std::os::unix::fs::PermissionsExt::from_mode(0o755))?;
    let path = format!("{}:{}", programs.display(), std::env::var("PATH").context("PATH")?);
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("../packaging/container/run");
    let said = tokio::process::Command::new(example)
        .args(scene.agent.flags_of_the_example())
        .env("PATH", path)
        .env("NAME", scene.agent.name())
        .env("IMAGE", scene.agent.image())
        .env("WORK_DIR", scene.agent.work_dir())
        .env("SOCKET_DIRECTORY", engine.socket().parent().context("a directory")?)
        .output()
        .await?;
    ensure!(said.status.success(), "{}", String::from_utf8_lossy(&said.stderr));
    scene.agent.registered(&scene.master).await?;
    let log = scene.agent.log().await?;
    ensure!(!log.contains("lacks"), "{log}");
    let events = scene.patient(&task(&scene.scope, "exit 0"), &[]).await?.end(LONG).await?;
    assert_eq!(events.states(), ["TASK_STARTING", "TASK_RUNNING", "TASK_FINISHED"]);
    scene.end().await
}

/// What is said of how it is started is the same everywhere.
#[test]
fn the_examples_give_the_same_options() -> Result<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let options = [
        "--network=host",
        "--pid=host",
        "--cgroupns=host",
        "--cap-add=SYS_ADMIN",
        "--cap-add=SYS_PTRACE",
        "-v /sys/fs/cgroup:/sys/fs/cgroup:ro",
        "--stop-timeout=30",
    ];
    for name in
        ["container/run", "container/mesos-agent-container.service", "../docs/agent-in-a-container.md"]
    {
        let text = std::fs::read_to_string(root.join("packaging").join(name))?;
        for option in options {
            ensure!(text.contains(option), "{option} is not in {name}");
        }
    }
    let compose = std::fs::read_to_string(root.join("packaging/container/compose.yaml"))?;
    for line in [
        "network_mode: host",
        "pid: host",
        "cgroup: host",
        "cap_add: [SYS_ADMIN, SYS_PTRACE]",
        "- /sys/fs/cgroup:/sys/fs/cgroup:ro",
        "stop_grace_period: 30s",
        "- /var/run:/var/run",
    ] {
        ensure!(compose.lines().any(|found| found.trim() == line), "{line} is not in compose.yaml");
    }
    Ok(())
}

/// Without the flag an operator is told, and the agent runs.
#[tokio::test(flavor = "multi_thread")]
async fn without_the_flag_what_is_missing_is_a_line_in_the_log() -> Result<()> {
    let engine = require_engine!(Ok(()));
    require_reference!(Ok(()));
    let scene = Scene::without_flag(&engine, &[]).await?;
    let mut request = scene.agent.request();
    request["HostConfig"]["PidMode"] = json!("");
    request["HostConfig"]["CapAdd"] = json!([]);
    scene.agent.start(&request).await?;
    scene.agent.registered(&scene.master).await?;
    let log = scene.agent.log().await?;
    for option in ["--pid=host (", "--cap-add=SYS_ADMIN (", "--cap-add=SYS_PTRACE ("] {
        ensure!(log.contains(&format!("lacks {option}")), "{option} is not in {log}");
    }
    let events =
        scene.patient(&task(&scene.scope, "exit 3"), &["--expect=TASK_FAILED"]).await?.end(LONG).await?;
    assert_eq!(events.last_status()?["message"], "Container exited with status 3");
    scene.end().await
}

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
