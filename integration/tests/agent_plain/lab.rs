//! A master and an agent whose tasks without an image are below a control group of the test, and what is looked at again
//! and again.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use integration::agent::Scene;
use integration::reference::{Events, Framework};
use integration::{TestEngine, TestScope, eventually};
use serde_json::{Value, json};

/// How long a framework's tasks may take in all.
pub(crate) const LONG: Duration = Duration::from_secs(150);

/// How long one thing may take.
pub(crate) const SHORT: Duration = Duration::from_secs(60);

/// Where the control groups are.
const CGROUPS: &str = "/sys/fs/cgroup";

/// What a scope's directory has besides what tasks make.
const KNOWN: [&str; 5] = ["agent", "agent-cache", "agent.log", "gate", "master"];

/// A master, and an agent that takes tasks with and without an image.
pub(crate) struct Lab {
    pub(crate) scene: Scene,
    root: String,
}

impl Lab {
    /// Starts both. The flags are the agent's, besides the lab's own.
    pub(crate) async fn start(engine: &TestEngine, flags: &[&str]) -> Result<Self> {
        Self::in_scope(TestScope::new(engine).await?, flags).await
    }

    /// As [`Lab::start`], in a scope that has something already.
    pub(crate) async fn in_scope(scope: TestScope, flags: &[&str]) -> Result<Self> {
        let root = scope.cgroups_root();
        let groups = format!("--cgroups_root={root}");
        let own = [groups.as_str(), "--containerizers=docker,mesos"];
        let name = |flag: &str| flag.split('=').next().unwrap_or(flag).to_owned();
        let given: Vec<String> = flags.iter().map(|flag| name(flag)).collect();
        let kept = own.into_iter().filter(|flag| !given.contains(&name(flag)));
        let flags: Vec<&str> = kept.chain(flags.iter().copied()).collect();
        Ok(Self { scene: Scene::in_scope(scope, &flags).await?, root })
    }

    /// A task that does something once the gate is open.
    pub(crate) fn gated(&self, then: &str) -> Result<Value> {
        let gate = self.scene.scope.subdir("gate")?;
        Ok(plain(&format!("while [ ! -e {}/open ]; do sleep 0.2; done; {then}", gate.display())))
    }

    /// Starts one such task, as a framework that waits for an agent that is away, and waits until it runs.
    pub(crate) async fn waiting(&self, then: &str) -> Result<Framework> {
        let mut framework = self.scene.patient(&self.gated(then)?, &[]).await?;
        framework.wait_for("TASK_RUNNING", 1, SHORT).await?;
        Ok(framework)
    }

    /// Runs one task to its end and returns its last status; with what it told, if not this state.
    pub(crate) async fn ends_as(&self, task: &Value, state: &str) -> Result<(Events, Value)> {
        let events = self.scene.run(task, &["--checkpoint", "--timeout=140"]).await?;
        let status = events.last_status()?.clone();
        ensure!(status["state"] == state, "{status}: {}", self.scene.agent.log_text());
        Ok((events, status))
    }

    /// What the only task has written to its `stdout` so far.
    pub(crate) fn stdout(&self, events: &Events) -> Result<String> {
        self.scene.output(events, events.task_id()?, "stdout")
    }

    /// Waits until the only task has written this.
    pub(crate) async fn says(&self, framework: &Framework, text: &str) -> Result<()> {
        eventually(&format!("the output {text:?}"), SHORT, async || {
            let events = framework.events();
            Ok(self.stdout(&events).is_ok_and(|all| all.contains(text)).then_some(()))
        })
        .await
    }

    /// The command lines of the processes that belong to tasks without an image: the supervising ones by the container's
    /// id that they are given, all others by what the agent gives them.
    pub(crate) fn processes(&self) -> Vec<String> {
        let runs = ids(&self.scene.agent.work_dir().join("slaves"));
        let work_dir = format!("={}/", self.scene.agent.work_dir().display());
        let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
        let of = |entry: std::fs::DirEntry| {
            entry.file_name().to_str()?.parse::<u32>().ok()?;
            let read = |name: &str| {
                std::fs::read(entry.path().join(name))
                    .ok()
                    .map(|all| String::from_utf8_lossy(&all).into_owned())
            };
            let line = read("cmdline").filter(|line| !line.is_empty())?;
            let is_parent = line.contains("mesos-containerizer\0") && runs.iter().any(|id| line.contains(id));
            // A container of the engine has the sandbox at another place.
            let is_task = || {
                read("environ").is_some_and(|all| {
                    all.split('\0').any(|one| one.starts_with("MESOS_DIRECTORY=") && one.contains(&work_dir))
                })
            };
            (is_parent || is_task()).then(|| line.replace('\0', " "))
        };
        entries.filter_map(of).collect()
    }

    /// The groups of containers, in all hierarchies.
    pub(crate) fn groups(&self) -> Vec<PathBuf> {
        let hierarchies = std::fs::read_dir(CGROUPS).into_iter().flatten().flatten();
        let roots = hierarchies.map(|entry| entry.path().join(&self.root));
        let groups = roots.filter_map(|root| std::fs::read_dir(root).ok()).flatten().flatten();
        let groups = groups.map(|entry| entry.path());
        groups.filter(|path| path.is_dir() && !path.ends_with("supervisors")).collect()
    }

    /// Waits until no process of a task without an image is left.
    pub(crate) async fn no_processes(&self) -> Result<()> {
        let gone = eventually("the end of all processes", SHORT, async || {
            Ok(self.processes().is_empty().then_some(()))
        });
        gone.await.with_context(|| format!("{:?}", self.processes()))
    }

    /// Waits until no process, no control group, no container is left, and nothing outside of the work directory.
    pub(crate) async fn nothing_left(&self) -> Result<()> {
        self.no_processes().await?;
        let gone =
            eventually("the end of all groups", SHORT, async || Ok(self.groups().is_empty().then_some(())));
        gone.await.with_context(|| format!("{:?}", self.groups()))?;
        for entry in std::fs::read_dir(self.scene.scope.dir())? {
            let name = entry?.file_name();
            ensure!(KNOWN.iter().any(|known| name == *known), "{name:?} is left");
        }
        self.scene.nothing_left().await
    }
}

/// A task without an image: this line in a shell.
pub(crate) fn plain(line: &str) -> Value {
    json!({ "name": "test", "command": { "shell": true, "value": line } })
}

/// The task with this id.
pub(crate) fn named(mut task: Value, id: &str) -> Value {
    task["task_id"] = json!({ "value": id });
    task
}

/// The message of a status.
pub(crate) fn message(status: &Value) -> &str {
    status["message"].as_str().unwrap_or_default()
}

/// The names of all runs below a directory.
fn ids(directory: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(directory).into_iter().flatten().flatten();
    let directories = entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
    directories
        .flat_map(|entry| {
            if directory.ends_with("runs") {
                return vec![entry.file_name().to_string_lossy().into_owned()];
            }
            ids(&entry.path())
        })
        .collect()
}
