//! The runs that were not over when the earlier process ended, with what the disk says of each.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::SystemTime;

use checkpoint::Store;
use checkpoint::recover::{
    RecoveredAgent, RecoveredExecutor, RecoveredFramework, RecoveredRun, RecoveredTask,
};
use docker_containerizer::chain;
use mesos_proto::{Message as _, v1};
use mesos_types::{AgentId, ContainerId};
use task_supervisor::RecordStore;

use super::adoption::{Known, Plan, Program, plan};
use super::kind::Kind;
use super::tasks::Tasks;
use crate::core::Run;
use crate::model::is_terminal;

/// A run that was not over when the earlier process ended.
#[derive(Debug)]
pub(super) struct OpenRun {
    pub(super) run: Run,
    pub(super) kind: Kind,
    /// Whether the agent made the executor up for a command task.
    pub(super) is_generated: bool,
    pub(super) plan: Plan,
    pub(super) framework: v1::FrameworkInfo,
    pub(super) executor: v1::ExecutorInfo,
    /// The state that the stream of its task has last; staging without any.
    pub(super) told: v1::TaskState,
    pub(super) known: Known,
    pub(super) sandbox_user: Option<String>,
    pub(super) sandbox: PathBuf,
    /// Where its records are.
    pub(super) state: PathBuf,
    /// The executor's process, of one that a stock agent launched.
    pub(super) forked: Option<ForkedPid>,
    /// What the executor and its tasks that have not ended hold.
    pub(super) resources: Vec<v1::Resource>,
}

/// A process' number as a stock agent has written it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ForkedPid {
    pub(super) pid: u32,
    /// When it was written, which is just after the process was made.
    pub(super) written: Option<SystemTime>,
}

/// Whether the machine was booted since the earlier process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Boot {
    /// It was not: process ids mean what they meant.
    Same,
    /// It was.
    Another,
}

/// The runs that were not over, with what is known of each. Blocks on the file system.
pub(super) fn open_runs(agent: &RecoveredAgent, boot: Boot) -> Vec<OpenRun> {
    let mut open = Vec::new();
    for framework in &agent.frameworks {
        for executor in &framework.executors {
            let Some(run) = executor.latest_run().filter(|run| !run.completed) else { continue };
            open.extend(open_run(framework, executor, run, boot));
        }
    }
    open
}

/// All runs of which the checkpoint tells, also those that are over: what the engine has of them is ours.
pub(super) fn known_runs(agent: &RecoveredAgent) -> BTreeSet<ContainerId> {
    let executors = agent.frameworks.iter().flat_map(|framework| &framework.executors);
    executors.flat_map(|executor| &executor.runs).map(|run| run.id).collect()
}

/// `None` for a run of which nothing is left to do: the one task of an executor without a program has ended.
fn open_run(
    framework: &RecoveredFramework,
    executor: &RecoveredExecutor,
    run: &RecoveredRun,
    boot: Boot,
) -> Option<OpenRun> {
    let known = match RecordStore::new(run.paths.meta()).read() {
        Ok(record) => Known::Record(Box::new(record)),
        Err(error) if error.is_missing() => Known::Nothing,
        Err(error) => Known::Unreadable(chain(&error)),
    };
    let live = run.tasks.iter().find(|task| is_live(task));
    let program = program(executor, run, live, boot);
    // The core waits for one that has subscribed, also after another boot, unless a record of ours says better.
    let has_program = !executor.generated
        || program == Program::Started
        || (program == Program::Rebooted && !matches!(known, Known::Record(_)));
    if live.is_none() && !has_program {
        return None;
    }
    let told = live.and_then(|task| task.updates.updates.last()).map(|update| update.status.state());
    let own = executor.info.command.as_ref().and_then(|command| command.user.clone());
    // Whoever supervised a command task tells of it, also after another boot; what a stock agent's executor has done it
    // tells itself.
    let is_ours = executor.generated && (program == Program::None || matches!(known, Known::Record(_)));
    let kind = if is_ours { Kind::Task } else { Kind::Executor };
    let plan = plan(&known, program, kind);
    Some(OpenRun {
        run: Run {
            framework_id: framework.id.clone(),
            executor_id: executor.id.clone(),
            container_id: run.id,
        },
        is_generated: executor.generated,
        kind,
        plan,
        framework: framework.info.clone(),
        executor: executor.info.clone(),
        told: told.unwrap_or(v1::TaskState::TaskStaging),
        known,
        sandbox_user: Some(own.unwrap_or_else(|| framework.info.user.clone())),
        sandbox: run.paths.sandbox().to_owned(),
        state: run.paths.meta().to_owned(),
        forked: run.forked_pid.map(|pid| ForkedPid {
            pid,
            written: std::fs::metadata(run.paths.forked_pid()).and_then(|file| file.modified()).ok(),
        }),
        resources: held(executor, run),
    })
}

/// What the checkpoint says of the executor's program. After a boot the process ids are gone from it, so one whose task
/// has told something, or that has subscribed, is known to have been started by that.
fn program(
    executor: &RecoveredExecutor,
    run: &RecoveredRun,
    live: Option<&RecoveredTask>,
    boot: Boot,
) -> Program {
    let has_told = live.is_some_and(|task| !task.updates.updates.is_empty());
    let has_spoken = run.libprocess_pid.is_some() || run.http;
    match boot {
        Boot::Same if run.forked_pid.is_some() || has_spoken => Program::Started,
        Boot::Another if has_spoken || has_told || (!executor.generated && !run.tasks.is_empty()) => {
            Program::Rebooted
        }
        Boot::Same | Boot::Another => Program::None,
    }
}

fn is_live(task: &RecoveredTask) -> bool {
    !task.updates.updates.iter().any(|update| is_terminal(update.status.state()))
}

/// What the executor and its tasks that have not ended hold.
fn held(executor: &RecoveredExecutor, run: &RecoveredRun) -> Vec<v1::Resource> {
    let tasks = run.tasks.iter().filter(|task| is_live(task)).flat_map(|task| &task.info.resources);
    executor.info.resources.iter().chain(tasks).cloned().collect()
}

/// Takes kills of the open runs from now on: the core may decide on them as soon as it knows of the runs.
pub(super) fn enter(tasks: &Tasks, open: &[OpenRun]) {
    for run in open {
        tasks.enter(&run.run);
    }
}

/// Makes the sandboxes of the open runs their executors' newest again: an agent that was killed just after it had written
/// a task may not have come to that. Blocks on the file system.
pub(super) fn point_to_sandboxes(store: &Store, agent_id: &AgentId, open: &[OpenRun]) {
    for OpenRun { run, .. } in open {
        let agent = store.layout().agent(agent_id);
        let executor = agent.framework(&run.framework_id).executor(&run.executor_id);
        if let Err(error) = store.point_to_sandbox(&executor, &executor.run(run.container_id)) {
            tracing::warn!(container_id = %run.container_id, error = chain(&error), "runs/latest was not made");
        }
    }
}

/// The tasks of the open runs that this process supervises, as they were received.
pub(super) fn accepted(open: &[OpenRun]) -> BTreeMap<ContainerId, v1::TaskInfo> {
    let ours = open.iter().filter(|run| run.kind == Kind::Task);
    ours.filter_map(|run| Some((run.run.container_id, run.task()?))).collect()
}

impl OpenRun {
    /// The task of its record, or the executor that was launched as one.
    pub(super) fn task(&self) -> Option<v1::TaskInfo> {
        match &self.known {
            Known::Record(record) => v1::TaskInfo::decode(record.task_info.as_slice()).ok(),
            Known::Nothing | Known::Unreadable(_) => None,
        }
    }

    /// Whether what becomes of it can be found out without the engine.
    pub(super) fn is_plain(&self) -> bool {
        matches!(self.known, Known::Record(_)) && self.task().is_some_and(|task| !is_docker(&task))
    }
}

/// Whether a task runs in a container of the engine.
pub(super) fn is_docker(task: &v1::TaskInfo) -> bool {
    let container = task.container.as_ref();
    container.is_some_and(|container| container.r#type() == v1::container_info::Type::Docker)
}
