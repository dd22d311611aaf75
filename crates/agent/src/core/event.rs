//! What happens to the agent.

use std::time::Duration;

use mesos_proto::{executor, internal, v1};
use mesos_types::{ContainerId, ExecutorId, FrameworkId, TaskId};

use super::recovery::Recovered;
use crate::model::Peer;

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
    /// The container of an executor with a peer told something.
    Container(Run, ContainerEvent),
    /// An executor's program says something.
    Executor(Box<ExecutorCall>),
    /// The connection to an executor's program broke, or its stream was closed.
    PeerGone(Peer),
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
}

/// What becomes of the container of an executor whose program speaks to us.
#[derive(Debug)]
pub enum ContainerEvent {
    /// The fetch or the pull goes on.
    Progress,
    /// The pull waits for its turn.
    Waiting,
    /// Its program was started.
    Up,
    /// Answers `Action::UpdateContainer` of this token; an error is a chain of causes.
    Updated {
        /// Which of them.
        token: u64,
        /// What came of it.
        result: Result<(), String>,
    },
    /// It is gone.
    Terminated(Box<Gone>),
    /// The launch failed, or it cannot be carried on after a restart; nothing of it is left. Holds the chain of causes.
    Refused(String),
    /// An earlier process did not come to launch it.
    NeverLaunched,
}

/// The end of an executor's container (`ContainerTermination` in `include/mesos/slave/containerizer.proto`).
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Gone {
    /// As wait(2) encodes it; none where nobody knows.
    pub status: Option<i32>,
    /// What its tasks came to, where the containerizer knows better than that they failed.
    pub state: Option<v1::TaskState>,
    /// Why it ended, where that is not of its own.
    pub reason: Option<v1::task_status::Reason>,
    /// The same for a person.
    pub message: Option<String>,
    /// What ran out.
    pub limitation: Option<v1::TaskResourceLimitation>,
}

/// What an executor's program says. Who calls it has checked that both ids can be used.
#[derive(Debug)]
pub struct ExecutorCall {
    /// Whose executor it says to be.
    pub framework_id: FrameworkId,
    /// Which it says to be.
    pub executor_id: ExecutorId,
    /// Where answers go.
    pub peer: Peer,
    /// What it says.
    pub call: Call,
}

/// The words of executors' programs, of both protocols.
#[derive(Debug)]
pub enum Call {
    /// One that speaks libprocess is there.
    Register,
    /// The same, after a restart of the agent.
    Reregister {
        /// The tasks of which no status was acknowledged.
        tasks: Vec<v1::TaskInfo>,
        /// The updates that were not acknowledged.
        updates: Vec<internal::StatusUpdate>,
    },
    /// One that speaks HTTP is there, for the first time or again.
    Subscribe {
        /// The tasks of which no status was acknowledged.
        tasks: Vec<v1::TaskInfo>,
        /// The updates that were not acknowledged.
        updates: Vec<executor::call::Update>,
    },
    /// What became of a task. `slave_id` may be unset: those who speak HTTP do not tell it.
    Update(Box<internal::StatusUpdate>),
    /// Data for the framework.
    Message(Vec<u8>),
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
