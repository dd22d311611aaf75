//! A stock master and agent with our programs in its launcher directory.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use integration::images::TestImage;
use integration::mounts::UnmountOnDrop;
use integration::reference::{Cluster, Events};
use integration::sweep::SCOPE_LABEL;
use integration::{TestEngine, TestScope, eventually};
use serde_json::{Value, json};

/// How long anything may take on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// A cluster of one test.
pub(crate) struct Scene {
    pub(crate) cluster: Cluster,
    /// The agent tells a task's end before it unmounts the volumes in its sandbox, and may be killed in between.
    mounts: UnmountOnDrop,
    pub(crate) scope: TestScope,
    pub(crate) work_dir: PathBuf,
    pub(crate) launcher_dir: PathBuf,
    flags: Vec<String>,
}

impl Scene {
    /// Starts a cluster, with these flags of the agent.
    pub(crate) async fn start(engine: &TestEngine, flags: &[&str]) -> Result<Self> {
        let scope = TestScope::new(engine).await?;
        let launcher_dir = launcher_dir(&scope)?;
        let work_dir = scope.subdir("cluster")?;
        let socket = format!("--docker_socket={}", engine.socket().display());
        let flags: Vec<String> = flags.iter().map(ToString::to_string).chain([socket]).collect();
        let cluster = Cluster::start(&work_dir, &launcher_dir, &borrowed(&flags)).await?;
        let mounts = UnmountOnDrop::below(&work_dir);
        Ok(Self { cluster, mounts, scope, work_dir, launcher_dir, flags })
    }

    /// Kills master and agent, and has something happen before they come back.
    pub(crate) async fn restart(self, meanwhile: impl AsyncFnOnce(&TestScope) -> Result<()>) -> Result<Self> {
        let Self { cluster, mounts, scope, work_dir, launcher_dir, flags } = self;
        let port = cluster.port();
        cluster.kill();
        meanwhile(&scope).await?;
        let cluster = Cluster::start_at(port, &work_dir, &launcher_dir, &borrowed(&flags)).await?;
        Ok(Self { cluster, mounts, scope, work_dir, launcher_dir, flags })
    }

    /// A task that runs this line.
    pub(crate) fn task(&self, line: &str) -> Value {
        self.task_with(TestImage::Busybox, json!({ "shell": true, "value": line }))
    }

    /// A task of this image and command, on the host's network.
    pub(crate) fn task_with(&self, image: TestImage, command: Value) -> Value {
        let label = json!({ "key": "label", "value": format!("{SCOPE_LABEL}={}", self.scope.id()) });
        json!({
            "name": "task",
            "container": {
                "type": "DOCKER",
                "docker": { "image": image.reference(), "network": "HOST", "parameters": [label] },
            },
            "command": command,
        })
    }

    /// A file of the sandbox of the only run of a task.
    pub(crate) fn read(&self, events: &Events, name: &str) -> Result<String> {
        let path = self.sandbox(events.task_id()?)?.join(name);
        std::fs::read_to_string(&path).with_context(|| format!("read {}", path.display()))
    }

    /// The sandbox of the only run of a task.
    pub(crate) fn sandbox(&self, task_id: &str) -> Result<PathBuf> {
        let mut sandboxes = self.cluster.sandboxes(task_id)?;
        ensure!(sandboxes.len() == 1, "one run, not {sandboxes:?}");
        Ok(sandboxes.remove(0))
    }

    /// The id of the process that runs a task, as the agent started it.
    pub(crate) fn executor(&self, task_id: &str) -> Result<i32> {
        let sandbox = self.sandbox(task_id)?;
        let container = sandbox.file_name().and_then(|name| name.to_str()).context("a container id")?;
        let found = processes_with(&format!("--container=mesos-{container}"))?;
        // A child that it has just made is like it until it runs its own program.
        let own: Vec<i32> =
            found.iter().copied().filter(|pid| parent(*pid).is_none_or(|up| !found.contains(&up))).collect();
        ensure!(own.len() == 1, "one executor, not {found:?}");
        Ok(own[0])
    }

    /// Waits until the task's container does not run.
    pub(crate) async fn stopped(&self, container: &str) -> Result<()> {
        let mut client = self.scope.client().await?;
        eventually("the container to stop", PATIENCE, async || {
            let answer = client.get(&format!("/containers/{container}/json")).await?;
            if answer.status() == 404 {
                return Ok(Some(()));
            }
            Ok((answer.json()?["State"]["Running"] == false).then_some(()))
        })
        .await
    }

    /// Ends the cluster, and waits until no executor of it is left.
    pub(crate) async fn end(self) -> Result<()> {
        let work_dir = self.work_dir.display().to_string();
        self.cluster.stop().await?;
        eventually("the executors to end", PATIENCE, async || {
            Ok(processes_with(&work_dir)?.is_empty().then_some(()))
        })
        .await?;
        drop(self.mounts);
        drop(self.scope);
        Ok(())
    }
}

/// A launcher directory with our programs.
fn launcher_dir(scope: &TestScope) -> Result<PathBuf> {
    let directory = scope.subdir("launcher")?;
    for (name, package) in [("mesos-fetcher", "fetcher"), ("mesos-docker-executor", "docker-executor")] {
        let program = integration::cli_run::program()?.with_file_name(name);
        ensure!(
            program.is_file(),
            "{} is not there: build it with 'cargo build -p {package}'",
            program.display()
        );
        std::os::unix::fs::symlink(program, directory.join(name))?;
    }
    Ok(directory)
}

/// The container of a status.
pub(crate) fn container_of(status: &Value) -> Result<String> {
    let id = status["container_status"]["container_id"]["value"].as_str().context("a container id")?;
    Ok(format!("mesos-{id}"))
}

/// What `data` of a status says: the inspection of one container.
pub(crate) fn inspection(status: &Value) -> Result<Value> {
    let data = STANDARD.decode(status["data"].as_str().context("data")?)?;
    let mut list: Vec<Value> = serde_json::from_slice(&data).context("a JSON array")?;
    ensure!(list.len() == 1, "one inspection, not {}", list.len());
    Ok(list.remove(0))
}

/// The first address in a status.
pub(crate) fn address(status: &Value) -> Result<&str> {
    let network = &status["container_status"]["network_infos"][0];
    network["ip_addresses"][0]["ip_address"].as_str().with_context(|| format!("no address: {status}"))
}

/// The processes that have this text in their arguments.
fn processes_with(text: &str) -> Result<Vec<i32>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/proc")? {
        let path = entry?.path();
        let Some(pid) = pid_of(&path) else { continue };
        // One that ends meanwhile has no arguments any more.
        let Ok(arguments) = std::fs::read(path.join("cmdline")) else { continue };
        let is_executor = arguments.starts_with(b"mesos-docker-executor\0");
        if is_executor && String::from_utf8_lossy(&arguments).contains(text) {
            found.push(pid);
        }
    }
    Ok(found)
}

fn parent(pid: i32) -> Option<i32> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    status.lines().find_map(|line| line.strip_prefix("PPid:"))?.trim().parse().ok()
}

fn pid_of(path: &Path) -> Option<i32> {
    path.file_name()?.to_str()?.parse().ok()
}

fn borrowed(flags: &[String]) -> Vec<&str> {
    flags.iter().map(String::as_str).collect()
}
