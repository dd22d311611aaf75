//! Owns what the tests of logs, adoption and faults stand on: a supervisor whose engine-side log caps, rotation, work
//! directory and deadlines a test chooses, several of which may share a work directory as a process and its successor
//! do, and the check of numbered lines.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use docker_containerizer::logs::LogSettings;
use docker_containerizer::request::{EngineLog, RequestSettings};
use docker_containerizer::{Containerizer, Identity, Running, Settings, Termination};
use docker_engine::{Deadlines, Engine, EngineOptions};
use mesos_proto::v1::TaskState;
use mesos_types::ContainerId;
use sandbox::RotationPolicy;
use task_supervisor::{
    Adoption, KillRequest, Outcome, RunLayout, Supervisor, SupervisorSettings, TaskHandle, TaskKilling,
    TaskOrder, Update,
};
use tokio::time::timeout;

use crate::supervised::{PATIENCE, Task, settings};

/// How our own lines in a log begin.
pub const MARK: &str = "[mesos-agent] ";

/// What a test chooses.
#[derive(Debug, Clone)]
pub struct RigOptions {
    /// The size of the engine's log files, in bytes.
    pub engine_file_size: u64,
    /// How many of them it keeps.
    pub engine_files: u32,
    /// The rotation of the sandbox's files.
    pub rotation: RotationPolicy,
    /// The deadlines of engine calls.
    pub deadlines: Deadlines,
    /// How long the engine may take to tell an exit that the process showed.
    pub exit_deadline: Duration,
    /// How long the end of a log may take.
    pub drain_deadline: Duration,
    /// The grace of a kill.
    pub grace: Duration,
}

/// A supervisor, as one process has it.
#[derive(Debug)]
pub struct Rig {
    supervisor: Supervisor,
    work_dir: PathBuf,
    agent_id: String,
}

/// A task that a rig launched or adopted, and what was heard of it.
#[derive(Debug)]
pub struct Run {
    handle: TaskHandle,
    container_id: ContainerId,
    states: Vec<TaskState>,
}

/// How a task ended.
#[derive(Debug)]
pub struct Ended {
    /// What the terminal status says.
    pub outcome: Outcome,
    /// How the container ended.
    pub termination: Termination,
}

/// What a log of numbered lines holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Numbers {
    /// How many numbered lines there are.
    pub lines: u64,
    /// The last number.
    pub last: u64,
    /// How many marked gaps there are.
    pub gaps: u64,
}

impl Default for RigOptions {
    fn default() -> Self {
        Self {
            engine_file_size: 10 << 20,
            engine_files: 3,
            rotation: RotationPolicy::UNLIMITED,
            deadlines: Deadlines::default(),
            exit_deadline: Duration::from_secs(30),
            drain_deadline: Duration::from_secs(60),
            grace: Duration::from_secs(3),
        }
    }
}

impl Rig {
    /// Makes a supervisor on the engine behind `socket`.
    ///
    /// # Errors
    ///
    /// The engine doesn't answer.
    pub async fn new(socket: &Path, agent_id: &str, work_dir: &Path, options: RigOptions) -> Result<Self> {
        let mut engine = EngineOptions::new(socket);
        engine.deadlines = options.deadlines;
        let engine = Engine::connect(engine).await.context("connect to the engine")?;
        let usual = settings::docker(work_dir);
        let docker = Settings {
            request: RequestSettings {
                engine_log: EngineLog {
                    max_size: options.engine_file_size,
                    max_files: options.engine_files,
                    ..usual.request.engine_log
                },
                ..usual.request
            },
            logs: LogSettings { rotation: options.rotation },
            drain_deadline: options.drain_deadline,
            exit_deadline: options.exit_deadline,
            ..usual
        };
        let containerizer = Containerizer::new(engine, docker).await.context("make the containerizer")?;
        let work_dir = work_dir.canonicalize().context("find the work directory")?;
        let settings = SupervisorSettings { default_grace: options.grace, ..settings::supervisor(&work_dir) };
        let supervisor = Supervisor::new(containerizer, settings);
        Ok(Self { supervisor, work_dir, agent_id: agent_id.to_owned() })
    }

    /// Returns the containerizer.
    pub fn containerizer(&self) -> &Containerizer {
        self.supervisor.docker().expect("it was made with one")
    }

    /// Returns the canonical work directory.
    pub fn work_dir(&self) -> &Path {
        &self.work_dir
    }

    /// Chooses the identity of a run of a task.
    ///
    /// # Errors
    ///
    /// A task id that is none.
    pub fn identity(&self, task: &Task) -> Result<Identity> {
        let task_id = &task.info().task_id.value;
        Ok(Identity {
            agent_id: self.agent_id.parse()?,
            framework_id: "framework".parse()?,
            executor_id: task_id.parse()?,
            task_id: task_id.parse()?,
            container_id: ContainerId::random(),
        })
    }

    /// Launches a task.
    ///
    /// # Errors
    ///
    /// It is refused.
    pub fn launch(&self, task: &Task) -> Result<Run> {
        self.launch_as(task, self.identity(task)?)
    }

    /// Launches a task under an identity.
    ///
    /// # Errors
    ///
    /// It is refused.
    pub fn launch_as(&self, task: &Task, identity: Identity) -> Result<Run> {
        let mut info = task.info().clone();
        info.agent_id.value.clone_from(&self.agent_id);
        let container_id = identity.container_id;
        let prepared = self.supervisor.prepare(TaskOrder::new(identity, info, TaskKilling::Sent))?;
        Ok(Run { handle: self.supervisor.launch(prepared)?, container_id, states: Vec::new() })
    }

    /// Takes over a run.
    ///
    /// # Errors
    ///
    /// As the supervisor's `adopt`.
    pub async fn adopt(&self, layout: RunLayout) -> Result<Run> {
        let container_id = container_id_of(layout.sandbox())?;
        let handle = timeout(PATIENCE, self.supervisor.adopt(layout, Adoption::new(TaskKilling::Sent)))
            .await
            .context("adoption takes too long")??;
        Ok(Run { handle, container_id, states: Vec::new() })
    }

    /// Waits until all containers have ended and are removed.
    ///
    /// # Errors
    ///
    /// They don't in time.
    pub async fn settled(&self) -> Result<()> {
        timeout(PATIENCE, self.containerizer().settled()).await.context("containers did not settle")?;
        let known = self.containerizer().containers();
        ensure!(known.is_empty(), "the containerizer still knows {known:?}");
        Ok(())
    }
}

impl Run {
    /// Returns the container's id.
    pub fn container_id(&self) -> ContainerId {
        self.container_id
    }

    /// Returns where the run lives.
    pub fn layout(&self) -> &RunLayout {
        &self.handle.layout
    }

    /// Returns the states heard so far.
    pub fn states(&self) -> &[TaskState] {
        &self.states
    }

    /// Waits for TASK_RUNNING.
    ///
    /// # Errors
    ///
    /// The task ends first, or nothing comes in time.
    pub async fn running(&mut self) -> Result<Running> {
        loop {
            match self.next(PATIENCE).await? {
                Update::Running(_, running) => return running.docker().cloned().context("it has no image"),
                Update::Terminal(_, outcome, _) => {
                    bail!("{:?} before it ran: {}", outcome.state, outcome.message)
                }
                _ => {}
            }
        }
    }

    /// Waits for the terminal status; nothing may come after it.
    ///
    /// # Errors
    ///
    /// None comes in time.
    pub async fn ended(&mut self) -> Result<Ended> {
        self.ended_within(PATIENCE).await
    }

    /// As [`Run::ended`], within a time.
    ///
    /// # Errors
    ///
    /// None comes in time.
    pub async fn ended_within(&mut self, within: Duration) -> Result<Ended> {
        loop {
            if let Update::Terminal(_, outcome, termination) = self.next(within).await? {
                let after =
                    timeout(PATIENCE, self.handle.updates.recv()).await.context("the updates do not end")?;
                ensure!(after.is_none(), "after the terminal status came {after:?}");
                return Ok(Ended { outcome: *outcome, termination: *termination });
            }
        }
    }

    /// Waits for TASK_FINISHED.
    ///
    /// # Errors
    ///
    /// The task ends otherwise.
    pub async fn finished(&mut self) -> Result<Ended> {
        let ended = self.ended().await?;
        let outcome = &ended.outcome;
        ensure!(outcome.state == TaskState::TaskFinished, "{:?}: {}", outcome.state, outcome.message);
        Ok(ended)
    }

    /// Asks to stop the task; `None` is the grace of the rig.
    ///
    /// # Errors
    ///
    /// The task has ended.
    pub async fn kill(&self, grace: Option<Duration>) -> Result<()> {
        self.handle.kills.send(KillRequest::new(grace)).await.context("the task takes no kill")
    }

    /// Says whether no status waits to be heard.
    pub fn is_quiet(&mut self) -> bool {
        self.handle.updates.try_recv().is_err()
    }

    /// Reads a stream from the oldest rotated file to the newest.
    ///
    /// # Errors
    ///
    /// It is not there.
    pub fn read(&self, stream: &str) -> Result<Vec<u8>> {
        read_stream(self.layout().sandbox(), stream)
    }

    async fn next(&mut self, within: Duration) -> Result<Update> {
        let update = timeout(within, self.handle.updates.recv())
            .await
            .with_context(|| format!("no status within {within:?}; heard {:?}", self.states))?
            .with_context(|| format!("the updates ended; heard {:?}", self.states))?;
        if let Update::Status(status) | Update::Running(status, _) | Update::Terminal(status, _, _) = &update
        {
            self.states.push(status.state());
        }
        Ok(update)
    }
}

/// Reads a stream of a sandbox from the oldest rotated file to the newest.
///
/// # Errors
///
/// It is not there.
pub fn read_stream(sandbox: &Path, stream: &str) -> Result<Vec<u8>> {
    let mut all = Vec::new();
    let rotated =
        (1..).map(|number| sandbox.join(format!("{stream}.{number}"))).take_while(|path| path.exists());
    let mut paths: Vec<_> = rotated.collect();
    paths.reverse();
    paths.push(sandbox.join(stream));
    for path in paths {
        all.extend(std::fs::read(&path).with_context(|| format!("read {}", path.display()))?);
    }
    Ok(all)
}

/// Finds the runs below a work directory.
///
/// # Errors
///
/// A directory that can't be read.
pub fn runs_below(work_dir: &Path) -> Result<Vec<RunLayout>> {
    let mut runs = Vec::new();
    for agent in entries(&work_dir.join("slaves"))? {
        for framework in entries(&agent.join("frameworks"))? {
            for executor in entries(&framework.join("executors"))? {
                for run in entries(&executor.join("runs"))? {
                    if run.is_symlink() {
                        continue;
                    }
                    let executor_id = name_of(&executor)?;
                    runs.push(RunLayout::of(
                        work_dir,
                        &Identity {
                            agent_id: name_of(&agent)?.parse()?,
                            framework_id: name_of(&framework)?.parse()?,
                            task_id: executor_id.parse()?,
                            executor_id: executor_id.parse()?,
                            container_id: container_id_of(&run)?,
                        },
                    ));
                }
            }
        }
    }
    Ok(runs)
}

/// Checks that the lines of `log` which begin with `prefix` are numbered from 1 on without a gap, a double or disorder;
/// a gap is allowed where one of our lines says so. Only our lines may stand between them.
///
/// # Errors
///
/// The first line that is wrong, with the ones around it.
pub fn check_numbers(log: &[u8], prefix: &str) -> Result<Numbers> {
    let mut numbers = Numbers::default();
    let mut is_gap = false;
    let text = String::from_utf8_lossy(log);
    for line in text.lines() {
        if let Some(note) = line.strip_prefix(MARK) {
            let is_missing =
                note.contains("output is missing here") || note.contains("output may be missing here");
            is_gap |= is_missing;
            numbers.gaps += u64::from(is_missing);
            continue;
        }
        let number = line.strip_prefix(prefix).and_then(|rest| rest.trim().parse::<u64>().ok());
        let number =
            number.with_context(|| format!("{line:?} after number {} is no numbered line", numbers.last))?;
        let is_next = number == numbers.last + 1 || (is_gap && number > numbers.last);
        ensure!(is_next, "number {number} after {} (gap marked: {is_gap})", numbers.last);
        numbers.last = number;
        numbers.lines += 1;
        is_gap = false;
    }
    Ok(numbers)
}

/// Checks that a log holds the numbers 1 to `last`, each once, and nothing else.
///
/// # Errors
///
/// The first line that is wrong.
pub fn check_all_numbers(log: &[u8], prefix: &str, last: u64) -> Result<()> {
    let numbers = check_numbers(log, prefix)?;
    ensure!(numbers == Numbers { lines: last, last, gaps: 0 }, "{numbers:?} instead of {last} lines");
    Ok(())
}

fn entries(dir: &Path) -> Result<Vec<PathBuf>> {
    let read = match std::fs::read_dir(dir) {
        Ok(read) => read,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error).with_context(|| format!("read {}", dir.display())),
    };
    read.map(|entry| Ok(entry?.path())).collect()
}

fn name_of(path: &Path) -> Result<&str> {
    path.file_name().and_then(|name| name.to_str()).context("a directory without a name")
}

fn container_id_of(run: &Path) -> Result<ContainerId> {
    name_of(run)?.parse().with_context(|| format!("the container id of {}", run.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbered_lines_are_checked() {
        let gap = "[mesos-agent] output is missing here: why";
        for (log, expected) in [
            (String::new(), Some((0, 0, 0))),
            ("n 1\nn 2\n".into(), Some((2, 2, 0))),
            (format!("n 1\n{gap}\nn 7\n"), Some((2, 7, 1))),
            (format!("n 1\n{MARK}else\nn 2\n"), Some((2, 2, 0))),
            ("n 1\nn 3\n".into(), None),
            ("n 1\nn 1\n".into(), None),
            (format!("n 5\n{gap}\nn 4\n"), None),
            ("n 1\nn 2n 3\n".into(), None),
            (format!("n 1\n{MARK}else\nn 3\n"), None),
        ] {
            let found = check_numbers(log.as_bytes(), "n ").ok().map(|n| (n.lines, n.last, n.gaps));
            assert_eq!(found, expected, "{log:?}");
        }
    }
}
