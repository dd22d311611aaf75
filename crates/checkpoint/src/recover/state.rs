//! What a work directory says: the types that a start hands to the agent.

use std::collections::HashSet;
use std::path::PathBuf;

use mesos_proto::internal::{StatusUpdate, UpdateOperationStatusMessage};
use mesos_proto::v1::{AgentInfo, DrainConfig, ExecutorInfo, FrameworkInfo, Resource, Task};
use mesos_types::{AgentId, ContainerId, ExecutorId, FrameworkId, TaskId};
use uuid::Uuid;

use crate::boot::BootId;
use crate::error::CheckpointError;
use crate::layout::{AgentPaths, ExecutorPaths, FrameworkPaths, RunPaths, TaskPaths};
use crate::resources::ResourceState;
use crate::stream::Streamed;

/// Everything that a work directory says.
#[derive(Debug, Default)]
pub struct RecoveredState {
    /// The boot in which the agent ran last, where it is known.
    pub boot: Option<BootId>,
    /// Whether the machine was booted since. Process ids were forgotten then.
    pub rebooted: bool,
    /// The checkpointed resources and operations.
    pub resources: RecoveredResources,
    /// The agent id in use; `None` starts as a new agent.
    pub agent: Option<RecoveredAgent>,
    /// Directories that nothing needs any more: those of other agent ids, and those of what was skipped. They are
    /// scheduled for removal. Meta and work directories alike.
    pub leftovers: Vec<Leftover>,
    /// What was passed over or put right, in the order in which it was found; each is worth a line in the log.
    pub findings: Vec<Finding>,
    /// How many parts could not be read (`slave/recovery_errors`). Zero when strict.
    pub errors: u64,
}

/// A directory that nothing needs any more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leftover {
    /// The directory.
    pub path: PathBuf,
    /// Why.
    pub why: LeftoverReason,
}

/// Why a directory is of no use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LeftoverReason {
    /// It belongs to an agent id that is no longer in use. Its age counts from now.
    OtherAgent,
    /// What it belongs to could not be recovered.
    Skipped,
    /// It holds what earlier starts could not read.
    Quarantine,
}

/// Something that was passed over or put right.
#[derive(Debug)]
pub struct Finding {
    /// On what.
    pub path: PathBuf,
    /// What.
    pub what: FindingKind,
}

/// What was found.
#[derive(Debug)]
pub enum FindingKind {
    /// Nothing was written there, as after a crash at the wrong moment; what depends on it is skipped.
    Missing,
    /// A stream or list ended in the middle of a record; the end was cut off.
    Cut {
        /// Bytes that were cut off.
        bytes: u64,
    },
    /// It could not be read and was moved aside.
    Quarantined {
        /// Where it is now; `None` when it could not be moved.
        to: Option<PathBuf>,
        /// Why it could not be read.
        why: CheckpointError,
    },
    /// A name that no id has.
    UnknownName,
    /// A `latest` link points to where the work directory was before it was moved here.
    Moved {
        /// Where it points.
        target: PathBuf,
    },
    /// A temporary file of a write that was cut short was removed.
    TemporaryRemoved,
    /// A process id of an earlier boot was removed.
    StalePidRemoved,
}

/// Checkpointed resources and operations, in both forms.
#[derive(Debug, Default, Clone, PartialEq)]
pub struct RecoveredResources {
    /// The committed state; `None` when the agent never had any.
    pub committed: Option<CommittedResources>,
    /// A commit that was under way: it is to be committed again before anything else.
    pub target: Option<ResourceState>,
}

/// Committed resources.
#[derive(Debug, Clone, PartialEq)]
pub enum CommittedResources {
    /// Of an agent since 1.5.
    State(ResourceState),
    /// Of an older one, in the form of its time.
    List(Vec<Resource>),
}

impl RecoveredResources {
    /// The state to go on from: the target of an unfinished commit, else what is committed.
    #[must_use]
    pub fn newest(&self) -> ResourceState {
        match (&self.target, &self.committed) {
            (Some(target), _) => target.clone(),
            (None, Some(CommittedResources::State(state))) => state.clone(),
            (None, Some(CommittedResources::List(resources))) => {
                ResourceState { operations: Vec::new(), resources: resources.clone() }
            }
            (None, None) => ResourceState::default(),
        }
    }
}

/// The agent id in use and what is below it.
#[derive(Debug)]
pub struct RecoveredAgent {
    /// The id.
    pub id: AgentId,
    /// Its directories.
    pub paths: AgentPaths,
    /// The SlaveInfo it registered with.
    pub info: AgentInfo,
    /// How it is being drained.
    pub drain: Option<DrainConfig>,
    /// The streams of operations.
    pub operations: Vec<RecoveredOperation>,
    /// The frameworks that can be recovered.
    pub frameworks: Vec<RecoveredFramework>,
}

/// An operation's stream.
#[derive(Debug)]
pub struct RecoveredOperation {
    /// The operation.
    pub uuid: Uuid,
    /// What its stream holds.
    pub updates: RecoveredUpdates<UpdateOperationStatusMessage>,
}

/// A framework.
#[derive(Debug)]
pub struct RecoveredFramework {
    /// Its id.
    pub id: FrameworkId,
    /// Its directories.
    pub paths: FrameworkPaths,
    /// Its FrameworkInfo.
    pub info: FrameworkInfo,
    /// Its scheduler's UPID; `None` for one that speaks HTTP.
    pub pid: Option<String>,
    /// Its executors that can be recovered.
    pub executors: Vec<RecoveredExecutor>,
}

/// An executor.
#[derive(Debug)]
pub struct RecoveredExecutor {
    /// Its id.
    pub id: ExecutorId,
    /// Its directories.
    pub paths: ExecutorPaths,
    /// Its ExecutorInfo.
    pub info: ExecutorInfo,
    /// Whether the agent made it for a command task.
    pub generated: bool,
    /// The newest run. It is in `runs`.
    pub latest: ContainerId,
    /// All runs that are there, sorted by id.
    pub runs: Vec<RecoveredRun>,
}

impl RecoveredExecutor {
    /// The newest run.
    #[must_use]
    pub fn latest_run(&self) -> Option<&RecoveredRun> {
        self.runs.iter().find(|run| run.id == self.latest)
    }
}

/// A run of an executor.
#[derive(Debug)]
pub struct RecoveredRun {
    /// The container.
    pub id: ContainerId,
    /// Its directories. An in-process run has its `supervision` record in the meta one.
    pub paths: RunPaths,
    /// Whether it is over (`executor.sentinel`).
    pub completed: bool,
    /// The executor's process id. In-process runs have none.
    pub forked_pid: Option<u32>,
    /// The executor's UPID, of one that speaks libprocess. In-process runs have none.
    pub libprocess_pid: Option<String>,
    /// Whether the executor speaks HTTP.
    pub http: bool,
    /// Its tasks that can be recovered.
    pub tasks: Vec<RecoveredTask>,
}

/// A task.
#[derive(Debug)]
pub struct RecoveredTask {
    /// Its id.
    pub id: TaskId,
    /// Its directory.
    pub paths: TaskPaths,
    /// The task as it was accepted: its state is that of then.
    pub info: Task,
    /// What its stream of updates holds.
    pub updates: RecoveredUpdates<StatusUpdate>,
}

/// What a stream of updates holds.
#[derive(Debug, Clone, PartialEq)]
pub struct RecoveredUpdates<U> {
    /// The updates in the order of their coming, without what nobody needs of those that were acknowledged.
    pub updates: Vec<U>,
    /// The acknowledged ones.
    pub acknowledged: HashSet<Uuid>,
}

impl<U> Default for RecoveredUpdates<U> {
    fn default() -> Self {
        Self { updates: Vec::new(), acknowledged: HashSet::new() }
    }
}

impl<U: Streamed> RecoveredUpdates<U> {
    /// The updates that were not acknowledged, in order.
    pub fn pending(&self) -> impl Iterator<Item = &U> {
        self.updates
            .iter()
            .filter(|update| !update.update_id().is_some_and(|uuid| self.acknowledged.contains(&uuid)))
    }

    /// Whether the last word was said and heard.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        let heard = |update: &U| update.update_id().is_some_and(|uuid| self.acknowledged.contains(&uuid));
        self.updates.iter().any(|update| update.is_terminal() && heard(update))
    }
}
