//! Dynamic reservations and persistent volumes with a stock master: made and removed by its operator's calls, used by tasks
//! of our agent, kept over its restarts. A volume is mounted into containers only, never on the host.

use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use integration::agent::{Agent, task};
use integration::reference::{Framework, Master};
use integration::{TestEngine, TestScope, eventually, require_engine, require_reference};
use serde_json::{Value, json};

/// How long a framework's tasks may take in all.
const LONG: Duration = Duration::from_secs(100);

/// How long one thing may take.
const SHORT: Duration = Duration::from_secs(60);

/// The options of a framework that takes reserved resources.
const OPTIONS: [&str; 3] = ["--role=team", "--capability=RESERVATION_REFINEMENT", "--timeout=90"];

/// A master, an agent of ours, and the scope that sweeps what they make.
struct Cluster {
    master: Master,
    agent: Agent,
    scope: TestScope,
}

impl Cluster {
    async fn start(engine: &TestEngine) -> Result<Self> {
        let scope = TestScope::new(engine).await?;
        let master = Master::start(&scope.subdir("master")?, &[]).await?;
        let agent = Agent::start(&scope, &master, &[]).await?;
        Ok(Self { master, agent, scope })
    }

    /// Makes an operator's call about resources of the agent, and waits until the master takes it: what is offered or in
    /// use at that moment, it refuses.
    async fn operate(&self, call: &str, list: &str, resource: Value) -> Result<()> {
        let agent = self.master.agent().await?;
        let body = json!({ "agent_id": { "value": agent["id"] }, list: [resource] });
        let message = json!({ "type": call.to_uppercase(), call: body });
        eventually(call, SHORT, async || Ok(self.master.call(&message).await.ok())).await
    }

    /// Reserves disk for the role and makes a volume of it.
    async fn make_volume(&self) -> Result<()> {
        self.operate("reserve_resources", "resources", reserved()).await?;
        self.operate("create_volumes", "volumes", volume()).await?;
        eventually("the volume's directory", SHORT, async || Ok(self.directory().is_dir().then_some(())))
            .await
    }

    /// Where stock keeps the volume.
    fn directory(&self) -> PathBuf {
        self.agent.work_dir().join("volumes/roles/team/data")
    }

    /// Waits until the task has written a file to the volume: that it runs does not say so.
    async fn written(&self, file: &str) -> Result<()> {
        let path = self.directory().join(file);
        let what = format!("the file {file} in the volume");
        eventually(&what, SHORT, async || {
            let is_written = std::fs::metadata(&path).is_ok_and(|found| found.len() > 0);
            Ok(is_written.then_some(()))
        })
        .await
    }

    /// A task that has the volume and runs this line.
    fn task(&self, line: &str) -> Value {
        let scalar =
            |name: &str, value: f64| json!({ "name": name, "type": "SCALAR", "scalar": { "value": value } });
        // Docker tasks start in the directory of their image.
        let mut task = task(&self.scope, &format!("cd $MESOS_SANDBOX; {line}"));
        task["resources"] = json!([scalar("cpus", 0.1), scalar("mem", 32.0), volume()]);
        task
    }

    async fn framework(&self, line: &str, more: &[&str]) -> Result<Framework> {
        let options: Vec<&str> = OPTIONS.iter().chain(more).copied().collect();
        self.master.framework(&self.task(line), &options).await
    }

    /// Runs a task that has the volume, to its end; answers its state and message.
    async fn run(&self, task: &Value) -> Result<(String, String)> {
        let events = self.master.framework(task, &OPTIONS).await?.end(LONG).await?;
        let status = events.last_status()?;
        let text = |name: &str| status[name].as_str().unwrap_or_default().to_owned();
        Ok((text("state"), text("message")))
    }

    async fn finishes(&self, task: &Value) -> Result<()> {
        let (state, message) = self.run(task).await?;
        ensure!(state == "TASK_FINISHED", "{state}: {message}; {}", self.stderr());
        Ok(())
    }

    /// What tasks wrote to their sandboxes, for the message of a test that fails.
    fn stderr(&self) -> String {
        let list = std::process::Command::new("find")
            .arg(self.agent.work_dir().join("slaves"))
            .args([
                "-name",
                "stderr",
                "-path",
                "*/runs/*",
                "-not",
                "-path",
                "*/latest/*",
                "-exec",
                "cat",
                "{}",
                ";",
            ])
            .output();
        list.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default()
    }

    /// Kills the agent, does something to what it left, starts it again and waits until it knows the master again.
    async fn crash(&mut self, meanwhile: impl FnOnce(&Agent) -> Result<()>) -> Result<()> {
        self.agent.kill()?;
        meanwhile(&self.agent)?;
        let registered = self.agent.log_text().len();
        self.agent.launch()?;
        eventually("the agent to be registered again", SHORT, async || {
            let log = self.agent.log_text();
            Ok(log.get(registered..).is_some_and(|log| log.contains("registered")).then_some(()))
        })
        .await?;
        self.master.agent().await.map(drop)
    }

    /// The resources that the master has reserved for the role, as it prints them.
    async fn reservations(&self) -> Result<Vec<Value>> {
        let agent = self.master.agent().await?;
        Ok(agent["reserved_resources_full"]["team"].as_array().cloned().unwrap_or_default())
    }
}

fn reserved() -> Value {
    json!({
        "name": "disk", "type": "SCALAR", "scalar": { "value": 64 },
        "reservations": [{ "type": "DYNAMIC", "role": "team" }],
    })
}

fn volume() -> Value {
    let mut volume = reserved();
    volume["disk"] = json!({
        "persistence": { "id": "data" },
        "volume": { "container_path": "data", "mode": "RW" },
    });
    volume
}

/// Mounts of this machine below a directory.
fn mounts_below(directory: &std::path::Path) -> Result<Vec<String>> {
    let table = std::fs::read_to_string("/proc/self/mountinfo")?;
    let at = |line: &&str| {
        line.split(' ').nth(4).is_some_and(|at| std::path::Path::new(at).starts_with(directory))
    };
    Ok(table.lines().filter(at).map(str::to_owned).collect())
}

/// Peer: `DockerContainerizerTest.ROOT_DOCKER_LaunchWithPersistentVolumes`.
#[tokio::test(flavor = "multi_thread")]
async fn a_volume_keeps_its_content_until_it_is_destroyed() -> Result<()> {
    let engine = require_engine!(Ok(()));
    require_reference!(Ok(()));
    let cluster = Cluster::start(&engine).await?;
    cluster.make_volume().await?;

    cluster.finishes(&cluster.task("echo kept > data/file && cat $MESOS_SANDBOX/data/file")).await?;
    assert_eq!(std::fs::read_to_string(cluster.directory().join("file"))?, "kept\n");

    // As Marathon's applications have it: a volume whose host path is the persistent volume's place in the sandbox.
    let mut marathons = cluster.task("grep kept /db/file && echo more > /db/more && grep more data/more");
    marathons["container"]["volumes"] =
        json!([{ "container_path": "/db", "host_path": "data", "mode": "RW" }]);
    cluster.finishes(&marathons).await?;
    assert_eq!(std::fs::read_to_string(cluster.directory().join("more"))?, "more\n");

    let mut read_only = cluster.task("cat data/file && ! touch data/new && [ ! -e data/new ]");
    read_only["resources"][2]["disk"]["volume"]["mode"] = json!("RO");
    cluster.finishes(&read_only).await?;

    let mut elsewhere = cluster.task("cat /deep/inside/file");
    elsewhere["resources"][2]["disk"]["volume"]["container_path"] = json!("/deep/inside");
    cluster.finishes(&elsewhere).await?;

    cluster.operate("destroy_volumes", "volumes", volume()).await?;
    let directory = cluster.directory();
    eventually("the volume's directory to go", SHORT, async || Ok((!directory.exists()).then_some(())))
        .await?;
    cluster.operate("unreserve_resources", "resources", reserved()).await?;
    assert!(cluster.reservations().await?.is_empty());

    let options: Vec<&str> = OPTIONS.iter().chain(&["--timeout=5"]).copied().collect();
    let told = cluster.master.framework(&cluster.task("true"), &options).await?.end(LONG).await?;
    assert_eq!(told.last_status()?["state"], "TASK_ERROR");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_volume_becomes_its_tasks_users() -> Result<()> {
    let engine = require_engine!(Ok(()));
    require_reference!(Ok(()));
    let cluster = Cluster::start(&engine).await?;
    cluster.make_volume().await?;
    let mut nobodys = cluster.task("echo mine > data/file");
    nobodys["command"]["user"] = json!("nobody");
    cluster.finishes(&nobodys).await?;
    assert_eq!(std::fs::metadata(cluster.directory())?.uid(), 65534);
    cluster.finishes(&cluster.task("cat data/file")).await?;
    assert_eq!(std::fs::metadata(cluster.directory())?.uid(), 0);
    // What is in it stays as it was.
    assert_eq!(std::fs::read_to_string(cluster.directory().join("file"))?, "mine\n");
    Ok(())
}

/// Peer: `DockerContainerizerTest.ROOT_DOCKER_RecoverPersistentVolumes`.
#[tokio::test(flavor = "multi_thread")]
async fn a_task_keeps_its_volume_while_the_agent_is_killed() -> Result<()> {
    let engine = require_engine!(Ok(()));
    require_reference!(Ok(()));
    let mut cluster = Cluster::start(&engine).await?;
    cluster.make_volume().await?;
    let line = "echo first > data/first; until [ -e data/go ]; do sleep 0.1; done; echo last > data/last";
    let mut framework = cluster.framework(line, &["--checkpoint", "--failover-timeout=80"]).await?;
    framework.wait_for("TASK_RUNNING", 1, SHORT).await?;
    cluster.written("first").await?;
    cluster.crash(|_| Ok(())).await?;
    assert_eq!(mounts_below(cluster.agent.work_dir())?, Vec::<String>::new());
    // The agent did not make it anew.
    assert_eq!(std::fs::read_to_string(cluster.directory().join("first"))?, "first\n");
    std::fs::write(cluster.directory().join("go"), "")?;
    let events = framework.end(LONG).await?;
    assert_eq!(events.last_status()?["state"], "TASK_FINISHED");
    assert_eq!(std::fs::read_to_string(cluster.directory().join("last"))?, "last\n");
    Ok(())
}

/// Peer: `DockerContainerizerTest.ROOT_DOCKER_RecoverOrphanedPersistentVolumes`.
#[tokio::test(flavor = "multi_thread")]
async fn an_orphan_goes_and_its_volume_stays() -> Result<()> {
    let engine = require_engine!(Ok(()));
    require_reference!(Ok(()));
    let mut cluster = Cluster::start(&engine).await?;
    cluster.make_volume().await?;
    let mut framework = cluster
        .framework("echo kept > data/file; sleep 1000", &["--checkpoint", "--failover-timeout=80"])
        .await?;
    framework.wait_for("TASK_RUNNING", 1, SHORT).await?;
    cluster.written("file").await?;
    let frameworks =
        cluster.agent.work_dir().join("meta/slaves").join(cluster.agent.id()?).join("frameworks");
    cluster.crash(|_| std::fs::remove_dir_all(&frameworks).context("forget the frameworks")).await?;
    let scope = &cluster.scope;
    eventually("the orphan to go", SHORT, async || {
        Ok(scope.leftovers().await?.containers.is_empty().then_some(()))
    })
    .await?;
    assert_eq!(mounts_below(cluster.agent.work_dir())?, Vec::<String>::new());
    assert_eq!(std::fs::read_to_string(cluster.directory().join("file"))?, "kept\n");
    drop(framework);
    Ok(())
}

/// Peer: `SlaveRecoveryTest.CheckpointedResources`.
#[tokio::test(flavor = "multi_thread")]
async fn reservations_and_volumes_outlive_agent_and_master() -> Result<()> {
    let engine = require_engine!(Ok(()));
    require_reference!(Ok(()));
    let mut cluster = Cluster::start(&engine).await?;
    cluster.make_volume().await?;
    let before = cluster.reservations().await?;
    ensure!(before.len() == 1 && before[0]["disk"]["persistence"]["id"] == "data", "{before:?}");
    let id = cluster.agent.id()?;
    std::fs::write(cluster.directory().join("file"), "kept\n")?;

    // A master that starts anew knows of them only what the agent tells.
    cluster.agent.kill()?;
    cluster.master.restart().await?;
    cluster.agent.launch()?;
    cluster.master.agent().await.with_context(|| cluster.agent.log_text())?;
    assert_eq!(cluster.agent.id()?, id);
    assert_eq!(cluster.reservations().await?, before);
    let state = cluster.agent.get(&cluster.master, "/state").await?;
    assert_eq!(state["reserved_resources_full"]["team"][0]["disk"]["persistence"]["id"], "data");
    cluster.finishes(&cluster.task("grep kept data/file")).await
}
