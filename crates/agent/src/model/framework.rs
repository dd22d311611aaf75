//! A framework, its executors and its tasks that no executor has yet.

use std::collections::BTreeMap;

use mesos_proto::v1;
use mesos_proto::v1::framework_info::capability::Type as Capability;
use mesos_types::{ExecutorId, FrameworkId, TaskId};

use super::executor::Executor;
use super::ring::Ring;
use super::task::{LiveTask, PendingTask};

/// How many completed executors of a framework are remembered (`MAX_COMPLETED_EXECUTORS_PER_FRAMEWORK`).
const COMPLETED_EXECUTORS: usize = 150;

/// A framework that has tasks here.
#[derive(Debug, Clone, PartialEq)]
pub struct Framework {
    /// Its id.
    pub id: FrameworkId,
    /// What it says of itself.
    pub info: v1::FrameworkInfo,
    /// Where its scheduler listens, if it speaks libprocess.
    pub pid: Option<String>,
    /// Whether it is being torn down.
    pub phase: FrameworkPhase,
    /// The tasks that no executor has yet, in the order of their arrival.
    pub pending: Vec<PendingTask>,
    /// Its executors.
    pub executors: BTreeMap<ExecutorId, Executor>,
    /// Those that are gone, all their statuses acknowledged.
    pub completed_executors: Ring<Executor>,
}

/// Whether a framework is being torn down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FrameworkPhase {
    /// It is not.
    Running,
    /// Its executors are stopped, and nothing more is told of its tasks.
    Terminating,
}

impl Framework {
    /// A new framework without executors.
    pub fn new(id: FrameworkId, info: v1::FrameworkInfo, pid: Option<String>) -> Self {
        Self {
            id,
            info,
            pid,
            phase: FrameworkPhase::Running,
            pending: Vec::new(),
            executors: BTreeMap::new(),
            completed_executors: Ring::new(COMPLETED_EXECUTORS),
        }
    }

    /// The same, remembering at most `bound` completed executors.
    #[must_use]
    pub fn remembering(self, bound: usize) -> Self {
        Self { completed_executors: Ring::new(bound), ..self }
    }

    /// Whether it announced a capability.
    pub fn has(&self, capability: Capability) -> bool {
        has(&self.info, capability)
    }

    /// Whether its tasks outlive the agent's process.
    pub fn is_checkpointed(&self) -> bool {
        self.info.checkpoint()
    }

    /// The executor that has the task, queued, launched or terminated, and the task.
    pub fn live_task(&self, id: &TaskId) -> Option<(&Executor, &LiveTask)> {
        self.executors.values().find_map(|executor| Some((executor, executor.task(id)?)))
    }

    /// Whether this executor, or an earlier run of it, has had the task to its acknowledged end.
    pub fn has_completed(&self, executor_id: &ExecutorId, id: &TaskId) -> bool {
        let runs = self.executors.get(executor_id).into_iter().chain(self.completed_executors.iter());
        runs.filter(|executor| executor.id == *executor_id)
            .any(|executor| executor.completed_tasks.iter().any(|task| task.task_id.value == id.as_str()))
    }

    /// The task, if no executor has it yet.
    pub fn pending_task(&self, id: &TaskId) -> Option<&PendingTask> {
        self.pending.iter().find(|task| task.id == *id)
    }

    /// Whether it has nothing left here, so that it can be forgotten (`Framework::idle`).
    pub fn is_idle(&self) -> bool {
        self.pending.is_empty() && self.executors.is_empty()
    }
}

/// Whether a framework announced a capability.
fn has(info: &v1::FrameworkInfo, capability: Capability) -> bool {
    info.capabilities.iter().any(|announced| announced.r#type() == capability)
}
