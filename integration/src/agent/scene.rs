//! A stock master and one agent of ours, with what tests of restarts look at again and again.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result};
use serde_json::{Value, json};

use super::{Agent, task};
use crate::reference::{Events, Framework, Master};
use crate::sweep::SCOPE_LABEL;
use crate::{TestEngine, TestScope, eventually};

/// How long one thing may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// How long a framework's tasks may take in all.
const LONG: Duration = Duration::from_secs(150);

/// The options of a framework that waits for an agent that is away.
pub const PATIENT: [&str; 3] = ["--checkpoint", "--failover-timeout=300", "--timeout=250"];

/// A master, an agent of ours, and the scope that sweeps what they make.
#[derive(Debug)]
pub struct Scene {
    /// The master.
    pub master: Master,
    /// The agent.
    pub agent: Agent,
    /// What sweeps; the last to go.
    pub scope: TestScope,
}

impl Scene {
    /// Starts both and waits until the agent has registered.
    ///
    /// # Errors
    ///
    /// One of them does not start.
    pub async fn start(engine: &TestEngine, flags: &[&str]) -> Result<Self> {
        Self::in_scope(TestScope::new(engine).await?, flags).await
    }

    /// As [`Scene::start`], in a scope that has something already.
    ///
    /// # Errors
    ///
    /// One of them does not start.
    pub async fn in_scope(scope: TestScope, flags: &[&str]) -> Result<Self> {
        Self::with_master(scope, &[], flags).await
    }

    /// As [`Scene::in_scope`], at a master with these flags.
    ///
    /// # Errors
    ///
    /// One of them does not start.
    pub async fn with_master(scope: TestScope, of_master: &[&str], flags: &[&str]) -> Result<Self> {
        let master = Master::start(&scope.subdir("master")?, of_master).await?;
        let agent = Agent::start(&scope, &master, flags).await?;
        Ok(Self { master, agent, scope })
    }

    /// A task of the scope: this line in a shell.
    pub fn task(&self, line: &str) -> Value {
        task(&self.scope, line)
    }

    /// A task that does something once [`Scene::open_gate`] was called.
    ///
    /// # Errors
    ///
    /// The gate's directory cannot be made.
    pub fn gated(&self, then: &str) -> Result<Value> {
        let mut task = self.task(&format!("while [ ! -e /gate/open ]; do sleep 0.05; done; {then}"));
        let gate = self.scope.subdir("gate")?;
        task["container"]["volumes"] =
            json!([{ "container_path": "/gate", "host_path": gate, "mode": "RO" }]);
        Ok(task)
    }

    /// Lets the tasks go on that wait at the gate.
    ///
    /// # Errors
    ///
    /// The file system's.
    pub fn open_gate(&self) -> Result<()> {
        std::fs::write(self.scope.subdir("gate")?.join("open"), "").context("open the gate")
    }

    /// Starts a framework with these options.
    ///
    /// # Errors
    ///
    /// It does not start.
    pub async fn framework(&self, task: &Value, options: &[&str]) -> Result<Framework> {
        self.master.framework(task, options).await
    }

    /// Runs a task, as a framework with these options, to its end.
    ///
    /// # Errors
    ///
    /// It does not end in time.
    pub async fn run(&self, task: &Value, options: &[&str]) -> Result<Events> {
        self.framework(task, options).await?.end(LONG).await
    }

    /// Starts a framework that waits for an agent that is away.
    ///
    /// # Errors
    ///
    /// It does not start.
    pub async fn patient(&self, task: &Value, more: &[&str]) -> Result<Framework> {
        let options: Vec<&str> = PATIENT.iter().chain(more).copied().collect();
        self.master.framework(task, &options).await
    }

    /// Kills the agent and starts it again, and waits until it has registered again.
    ///
    /// # Errors
    ///
    /// It does not.
    pub async fn crash(&mut self) -> Result<()> {
        self.agent.kill()?;
        self.start_again().await
    }

    /// Starts the agent again that has ended, and waits until it has registered.
    ///
    /// # Errors
    ///
    /// It does not.
    pub async fn start_again(&mut self) -> Result<()> {
        let times = self.registrations();
        self.agent.launch()?;
        self.registered(times + 1).await
    }

    /// How often the agent has registered, over all its starts.
    pub fn registrations(&self) -> usize {
        self.agent.log_text().matches("registered agent_id").count()
    }

    /// Waits until the agent has registered so often.
    ///
    /// # Errors
    ///
    /// It does not in time.
    pub async fn registered(&self, times: usize) -> Result<()> {
        let waited = eventually("the agent to register", PATIENCE, async || {
            // A new id is logged before it stands on the disk.
            Ok((self.registrations() >= times && self.agent.id().is_ok()).then_some(()))
        });
        waited.await.with_context(|| self.agent.log_text())
    }

    /// Waits until the agent's log has this text.
    ///
    /// # Errors
    ///
    /// It does not in time.
    pub async fn logged(&self, text: &str) -> Result<()> {
        eventually(&format!("the line {text:?}"), PATIENCE, async || {
            Ok(self.agent.log_text().contains(text).then_some(()))
        })
        .await
    }

    /// The engine's ids of the scope's containers that run, sorted.
    ///
    /// # Errors
    ///
    /// The engine does not answer.
    pub async fn running(&self) -> Result<Vec<String>> {
        running(&self.scope).await
    }

    /// Waits until so many containers of the scope run.
    ///
    /// # Errors
    ///
    /// They do not in time.
    pub async fn runs(&self, count: usize) -> Result<()> {
        eventually(&format!("{count} containers to run"), PATIENCE, async || {
            Ok((self.running().await?.len() == count).then_some(()))
        })
        .await
    }

    /// Waits until nothing of the test is on the engine.
    ///
    /// # Errors
    ///
    /// Something stays.
    pub async fn nothing_left(&self) -> Result<()> {
        eventually("the removal of all containers", PATIENCE, async || {
            Ok(self.scope.assert_clean().await.is_ok().then_some(()))
        })
        .await
    }

    /// The executor's directory of the only framework's task.
    ///
    /// # Errors
    ///
    /// It is not there.
    pub fn executor(&self, framework_id: &str, task_id: &str) -> Result<PathBuf> {
        let agent = self.agent.work_dir().join("slaves").join(self.agent.id()?);
        Ok(agent.join("frameworks").join(framework_id).join("executors").join(task_id))
    }

    /// The newest sandbox of an executor of the only framework.
    ///
    /// # Errors
    ///
    /// There is none.
    pub fn sandbox(&self, events: &Events, executor_id: &str) -> Result<PathBuf> {
        let framework_id = events.framework_id().context("the framework never subscribed")?;
        let latest = self.executor(framework_id, executor_id)?.join("runs/latest");
        latest.canonicalize().with_context(|| format!("{}", latest.display()))
    }

    /// The sandboxes of all runs of an executor of the only framework.
    ///
    /// # Errors
    ///
    /// They cannot be listed.
    pub fn sandboxes(&self, events: &Events, executor_id: &str) -> Result<Vec<PathBuf>> {
        let framework_id = events.framework_id().context("the framework never subscribed")?;
        let entries = std::fs::read_dir(self.executor(framework_id, executor_id)?.join("runs"))?;
        let entries = entries.collect::<Result<Vec<_>, _>>()?;
        Ok(entries.iter().map(std::fs::DirEntry::path).filter(|path| !path.is_symlink()).collect())
    }

    /// A file of a task's newest sandbox.
    ///
    /// # Errors
    ///
    /// It cannot be read.
    pub fn output(&self, events: &Events, task_id: &str, name: &str) -> Result<String> {
        let framework_id = events.framework_id().context("the framework never subscribed")?;
        let path = self.executor(framework_id, task_id)?.join("runs/latest").join(name);
        std::fs::read_to_string(&path).with_context(|| format!("read {}", path.display()))
    }
}

/// The engine's ids of a scope's containers that run, sorted.
///
/// # Errors
///
/// The engine does not answer.
pub async fn running(scope: &TestScope) -> Result<Vec<String>> {
    let listed = scope.client().await?.get("/containers/json").await?.json()?;
    let containers = listed.as_array().context("a list")?;
    let ours = containers.iter().filter(|one| one["Labels"][SCOPE_LABEL] == scope.id());
    let mut ids: Vec<String> = ours.filter_map(|one| one["Id"].as_str().map(str::to_owned)).collect();
    ids.sort();
    Ok(ids)
}

/// The states that the only task told; one told again with the same uuid, as after a restart, stands there once.
pub fn states(events: &Events) -> Vec<String> {
    events.by_task().into_values().flatten().collect()
}

/// The terminal states that each task told, one told again with the same uuid counted once.
pub fn ends(events: &Events) -> Vec<(String, Vec<String>)> {
    let is_end = |state: &String| {
        !["TASK_STAGING", "TASK_STARTING", "TASK_RUNNING", "TASK_KILLING"].contains(&state.as_str())
    };
    let tasks = events.by_task().into_iter();
    tasks.map(|(task, states)| (task, states.into_iter().filter(is_end).collect())).collect()
}

/// The files of this name below a directory.
pub fn files(directory: &Path, name: &str) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(directory) else { return Vec::new() };
    let of_entry = |entry: std::fs::DirEntry| match entry.file_type() {
        Ok(kind) if kind.is_dir() => files(&entry.path(), name),
        Ok(_) if entry.file_name() == name => vec![entry.path()],
        _ => Vec::new(),
    };
    entries.filter_map(Result::ok).flat_map(of_entry).collect()
}
