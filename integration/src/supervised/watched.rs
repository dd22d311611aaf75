//! Owns what a test hears of one task: its statuses in order, each waited for with a deadline, and its sandbox.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use docker_containerizer::{Running, Termination};
use mesos_proto::v1::{TaskState, TaskStatus};
use mesos_types::ContainerId;
use task_supervisor::{KillRequest, Outcome, TaskHandle, Update};
use tokio::time::{Instant, timeout_at};

use super::PATIENCE;
use crate::eventually;

/// A launched task.
#[derive(Debug)]
pub struct Watched {
    handle: TaskHandle,
    container_id: ContainerId,
    name: String,
    statuses: Vec<TaskStatus>,
    warnings: Vec<String>,
    /// The terminal status, as long as the end of the updates is still waited for.
    ended: Option<Box<Terminal>>,
}

/// TASK_RUNNING, and what it was made of.
#[derive(Debug)]
pub struct Started {
    /// The status.
    pub status: TaskStatus,
    /// What the containerizer saw.
    pub running: Running,
}

/// The terminal status, and what it was made of.
#[derive(Debug)]
pub struct Terminal {
    /// The status.
    pub status: TaskStatus,
    /// What it says.
    pub outcome: Outcome,
    /// How the container ended.
    pub termination: Termination,
}

impl Watched {
    pub(super) fn new(handle: TaskHandle, container_id: ContainerId, name: String) -> Self {
        Self { handle, container_id, name, statuses: Vec::new(), warnings: Vec::new(), ended: None }
    }

    /// Returns the container's id.
    pub fn container_id(&self) -> ContainerId {
        self.container_id
    }

    /// Returns the container's name on the engine.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the sandbox.
    pub fn sandbox(&self) -> PathBuf {
        self.handle.layout.sandbox().to_owned()
    }

    /// Returns every status heard so far.
    pub fn statuses(&self) -> &[TaskStatus] {
        &self.statuses
    }

    /// Returns the states heard so far, in order.
    pub fn states(&self) -> Vec<TaskState> {
        self.statuses.iter().map(TaskStatus::state).collect()
    }

    /// Returns the engine's warnings heard so far.
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// Waits for TASK_STARTING.
    ///
    /// # Errors
    ///
    /// Another status comes first, or none in time.
    pub async fn starting(&mut self) -> Result<TaskStatus> {
        self.expect(TaskState::TaskStarting).await
    }

    /// Waits for TASK_KILLING.
    ///
    /// # Errors
    ///
    /// Another status comes first, or none in time.
    pub async fn killing(&mut self) -> Result<TaskStatus> {
        self.expect(TaskState::TaskKilling).await
    }

    /// Waits for the next status, whatever it says.
    ///
    /// # Errors
    ///
    /// None comes in time.
    pub async fn next_status(&mut self) -> Result<TaskStatus> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            match self.next(deadline, "a status").await? {
                Update::Status(status) | Update::Running(status, _) | Update::Terminal(status, _, _) => {
                    return Ok(*status);
                }
                _ => {}
            }
        }
    }

    /// Waits for TASK_RUNNING; TASK_STARTING may come before it.
    ///
    /// # Errors
    ///
    /// The task ends first, or it doesn't run in time.
    pub async fn running(&mut self) -> Result<Started> {
        let (status, running) = self.runs().await?;
        let running = running.docker().cloned().context("it has no image")?;
        Ok(Started { status, running })
    }

    /// As [`Watched::running`], of a task with an image or without.
    ///
    /// # Errors
    ///
    /// The task ends first, or it doesn't run in time.
    pub async fn runs(&mut self) -> Result<(TaskStatus, task_supervisor::Running)> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            match self.next(deadline, "TASK_RUNNING").await? {
                Update::Running(status, running) => return Ok((*status, *running)),
                Update::Terminal(_, outcome, _) => {
                    bail!("{:?} before TASK_RUNNING: {}", outcome.state, outcome.message)
                }
                _ => {}
            }
        }
    }

    /// Waits for the terminal status, whatever comes before it; nothing may come after it. May be given up and called
    /// again.
    ///
    /// # Errors
    ///
    /// None comes in time.
    pub async fn terminal(&mut self) -> Result<Terminal> {
        self.terminal_within(PATIENCE).await
    }

    /// As [`Watched::terminal`], within a time.
    ///
    /// # Errors
    ///
    /// None comes in time.
    pub async fn terminal_within(&mut self, within: Duration) -> Result<Terminal> {
        let deadline = Instant::now() + within;
        while self.ended.is_none() {
            if let Update::Terminal(status, outcome, termination) =
                self.next(deadline, "the terminal status").await?
            {
                let (status, outcome, termination) = (*status, *outcome, *termination);
                self.ended = Some(Box::new(Terminal { status, outcome, termination }));
            }
        }
        let after =
            timeout_at(deadline, self.handle.updates.recv()).await.context("the updates do not end")?;
        ensure!(after.is_none(), "after the terminal status came {after:?}");
        self.ended.take().map(|ended| *ended).context("it has ended")
    }

    /// Waits for TASK_FINISHED.
    ///
    /// # Errors
    ///
    /// The task ends otherwise; its message and the end of its stderr are told.
    pub async fn finished(&mut self) -> Result<Terminal> {
        let terminal = self.terminal().await?;
        ensure!(
            terminal.outcome.state == TaskState::TaskFinished,
            "{:?}: {}; stderr: {}",
            terminal.outcome.state,
            terminal.outcome.message,
            terminal.termination.last_errors
        );
        Ok(terminal)
    }

    /// Asks to stop the task, with the task's own grace.
    ///
    /// # Errors
    ///
    /// The task has ended.
    pub async fn kill(&self) -> Result<()> {
        self.send_kill(None).await
    }

    /// Asks to stop the task with another grace.
    ///
    /// # Errors
    ///
    /// The task has ended.
    pub async fn kill_within(&self, grace: Duration) -> Result<()> {
        self.send_kill(Some(grace)).await
    }

    /// Reads a file of the sandbox.
    ///
    /// # Errors
    ///
    /// It is not there.
    pub fn read(&self, file: &str) -> Result<String> {
        let path = self.sandbox().join(file);
        let bytes = std::fs::read(&path).with_context(|| format!("read {}", path.display()))?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    /// Reads the output.
    ///
    /// # Errors
    ///
    /// It is not there.
    pub fn stdout(&self) -> Result<String> {
        self.read("stdout")
    }

    /// Reads the errors.
    ///
    /// # Errors
    ///
    /// They are not there.
    pub fn stderr(&self) -> Result<String> {
        self.read("stderr")
    }

    /// Waits until a line is in the output.
    ///
    /// # Errors
    ///
    /// It isn't there in time; what is there is told.
    pub async fn says(&self, line: &str) -> Result<()> {
        let found = eventually(&format!("{line:?} in stdout"), PATIENCE, async || {
            let text = self.stdout().unwrap_or_default();
            Ok(text.lines().any(|found| found == line).then_some(()))
        })
        .await;
        found.with_context(|| format!("stdout is {:?}", self.stdout()))
    }

    async fn send_kill(&self, grace: Option<Duration>) -> Result<()> {
        self.handle.kills.send(KillRequest::new(grace)).await.context("the task takes no kill")
    }

    async fn expect(&mut self, state: TaskState) -> Result<TaskStatus> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let status = match self.next(deadline, state.as_str_name()).await? {
                Update::Status(status) | Update::Running(status, _) | Update::Terminal(status, _, _) => {
                    *status
                }
                _ => continue,
            };
            ensure!(
                status.state() == state,
                "{:?} instead of {state:?}: {:?}",
                status.state(),
                status.message
            );
            return Ok(status);
        }
    }

    async fn next(&mut self, deadline: Instant, what: &str) -> Result<Update> {
        let update = timeout_at(deadline, self.handle.updates.recv())
            .await
            .with_context(|| format!("waited in vain for {what}; heard {:?}", self.states()))?
            .with_context(|| format!("the updates ended before {what}; heard {:?}", self.states()))?;
        match &update {
            Update::Status(status) | Update::Running(status, _) | Update::Terminal(status, _, _) => {
                self.statuses.push((**status).clone());
            }
            Update::Warning(warning) => self.warnings.push(warning.clone()),
            _ => {}
        }
        Ok(update)
    }
}
