//! A master, an agent's container, and tasks that count.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use integration::agent::{Contained, PATIENT, task};
use integration::reference::{Framework, Master};
use integration::sweep::SCOPE_LABEL;
use integration::{TestScope, eventually};
use serde_json::{Value, json};

/// How long a framework's tasks may take in all.
pub(crate) const LONG: Duration = Duration::from_secs(150);

/// How long one thing may take.
pub(crate) const SHORT: Duration = Duration::from_secs(60);

/// Writes rising numbers until the gate is open, and the last one again.
pub(crate) const COUNT: &str =
    "i=0; while [ ! -e /gate/open ]; do i=$((i+1)); echo $i; usleep 20000; done; echo last $i";

/// A master, and an agent's container that is not started.
pub(crate) struct Scene {
    pub(crate) agent: Contained,
    pub(crate) master: Master,
    pub(crate) scope: TestScope,
}

impl Scene {
    /// With `--docker_mesos_image`, and these flags.
    pub(crate) async fn new(engine: &integration::TestEngine, flags: &[&str]) -> Result<Self> {
        let mut scene = Self::without_flag(engine, flags).await?;
        let flag = format!("--docker_mesos_image={}", scene.agent.image());
        scene.agent.add_flag(&flag);
        Ok(scene)
    }

    pub(crate) async fn without_flag(engine: &integration::TestEngine, flags: &[&str]) -> Result<Self> {
        let scope = TestScope::new(engine).await?;
        let master = Master::start(&scope.subdir("master")?, &[]).await?;
        let agent = Contained::prepare(&scope, &master.address(), flags).await?;
        Ok(Self { agent, master, scope })
    }

    pub(crate) async fn start(&self) -> Result<()> {
        self.agent.start(&self.agent.request()).await?;
        self.agent.registered(&self.master).await
    }

    pub(crate) async fn patient(&self, task: &Value, more: &[&str]) -> Result<Framework> {
        let options: Vec<&str> = PATIENT.iter().chain(more).copied().collect();
        self.master.framework(task, &options).await
    }

    /// A task that does something with a gate.
    pub(crate) fn gated(&self, line: &str) -> Result<Value> {
        let mut task = task(&self.scope, line);
        let gate = self.scope.subdir("gate")?;
        task["container"]["volumes"] =
            json!([{ "container_path": "/gate", "host_path": gate, "mode": "RO" }]);
        Ok(task)
    }

    pub(crate) fn open_gate(&self) -> Result<()> {
        std::fs::write(self.scope.subdir("gate")?.join("open"), "").context("open the gate")
    }

    /// The engine's ids of the tasks' containers that run, sorted.
    pub(crate) async fn running(&self) -> Result<Vec<String>> {
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
    pub(crate) async fn end(self) -> Result<()> {
        self.agent.stop().await?;
        self.agent.remove().await?;
        eventually("the removal of all containers", SHORT, async || {
            Ok(self.scope.assert_clean().await.is_ok().then_some(()))
        })
        .await
    }
}

/// Expects each number once and in order, and the last line to say how many.
pub(crate) fn check_count(path: &Path) -> Result<usize> {
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
pub(crate) async fn goes_on(path: &Path) -> Result<()> {
    let before = std::fs::metadata(path)?.len();
    eventually("the task's output to grow", SHORT, async || {
        Ok((std::fs::metadata(path)?.len() > before).then_some(()))
    })
    .await
}
