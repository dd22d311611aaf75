//! What happens to the agent.

use std::time::Duration;

use mesos_proto::{internal, v1};
use mesos_types::{ContainerId, ExecutorId, FrameworkId, TaskId};

use super::recovery::Recovered;

/// When something happens. Both clocks are read once per event, outside the core.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Now {
    /// Since the process started; never goes back.
    pub elapsed: Duration,
    /// Since 1970, in seconds; what statuses say.
    pub unix: f64,
}

/// Something that happened.
#[derive(Debug)]
pub enum Event {
    /// What an earlier process left is known.
    Recovered(Box<Recovered>),
    /// The detector saw a leading master, or none.
    Detected(Option<Box<v1::MasterInfo>>),
    /// The connection to a linked process broke.
    Exited(String),
    /// A libprocess message came; holds the sender's address.
    Message(String, Box<Message>),
    /// The master of this address knows who we are.
    Authenticated(String),
    /// Something ended without which the agent cannot go on; says what.
    Failed(String),
    /// A timer is due.
    Tick,
    /// The garbage collector lets go of the directories of a pending task.
    Unscheduled(FrameworkId, TaskId),
    /// A task told a status, or how far its launch is.
    Task(Run, Box<TaskEvent>),
    /// The process is asked to end: tasks go on (SIGTERM, SIGINT), or are stopped (SIGUSR1).
    Stop(StopWish),
}

/// Which run a task event is about.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Run {
    /// The framework.
    pub framework_id: FrameworkId,
    /// The executor.
    pub executor_id: ExecutorId,
    /// The container.
    pub container_id: ContainerId,
}

/// What a task's supervision tells.
#[derive(Debug)]
pub enum TaskEvent {
    /// The fetch or the pull goes on.
    Progress,
    /// The pull waits for its turn.
    Waiting,
    /// A status between the first and the last.
    Status(v1::TaskStatus),
    /// The terminal status: the container is gone.
    Ended(v1::TaskStatus),
    /// The launch was refused; nothing of it is left. Holds the chain of causes.
    Refused(String),
    /// An earlier process did not come to launch it.
    NeverLaunched,
    /// An agent of another kind launched it with an executor that we cannot talk to; its container is gone.
    NotOurs,
}

/// How the process shall end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StopWish {
    /// Tasks go on without us.
    Leave,
    /// The agent unregisters and stops its tasks first.
    Unregister,
}

/// The messages that the agent takes.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "it is boxed wherever it is kept")]
pub enum Message {
    /// See §3.3 of the agent's protocol.
    Registered(internal::SlaveRegisteredMessage),
    /// The answer to a re-registration.
    Reregistered(internal::SlaveReregisteredMessage),
    /// The master looks whether we live. It was answered already.
    Ping(internal::PingSlaveMessage),
    /// A task to run.
    RunTask(Box<internal::RunTaskMessage>),
    /// A group of tasks to run.
    RunTaskGroup(Box<internal::RunTaskGroupMessage>),
    /// A task to stop.
    KillTask(internal::KillTaskMessage),
    /// A status arrived at its framework.
    Acknowledged(internal::StatusUpdateAcknowledgementMessage),
    /// A framework changed or its scheduler moved.
    UpdateFramework(internal::UpdateFrameworkMessage),
    /// A framework ended.
    ShutdownFramework(internal::ShutdownFrameworkMessage),
    /// An executor to stop.
    ShutdownExecutor(internal::ShutdownExecutorMessage),
    /// The agent shall end.
    Shutdown(internal::ShutdownMessage),
    /// Data for an executor.
    FrameworkToExecutor(internal::FrameworkToExecutorMessage),
    /// The list of dynamic reservations and persistent volumes changed.
    CheckpointResources(internal::CheckpointResourcesMessage),
    /// The agent shall be drained.
    Drain(internal::DrainSlaveMessage),
}

impl Message {
    /// Its name, for the log.
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Registered(_) => "SlaveRegistered",
            Self::Reregistered(_) => "SlaveReregistered",
            Self::Ping(_) => "PingSlave",
            Self::RunTask(_) => "RunTask",
            Self::RunTaskGroup(_) => "RunTaskGroup",
            Self::KillTask(_) => "KillTask",
            Self::Acknowledged(_) => "StatusUpdateAcknowledgement",
            Self::UpdateFramework(_) => "UpdateFramework",
            Self::ShutdownFramework(_) => "ShutdownFramework",
            Self::ShutdownExecutor(_) => "ShutdownExecutor",
            Self::Shutdown(_) => "Shutdown",
            Self::FrameworkToExecutor(_) => "FrameworkToExecutor",
            Self::CheckpointResources(_) => "CheckpointResources",
            Self::Drain(_) => "DrainSlave",
        }
    }
}
