//! What the agent does. The driver performs actions in their order, so that what is written stands on the disk before
//! what follows is sent or started.

use std::time::Duration;

use mesos_proto::{internal, v1};
use mesos_types::resource::ResourceLimits;
use mesos_types::{ContainerId, ExecutorId, FrameworkId, TaskId};

use super::event::Run;
use crate::model::Peer;

/// Something to do.
#[derive(Debug, Clone, PartialEq)]
pub enum Action {
    /// Keeps a connection to a process, whose end is told.
    Link(String),
    /// Shows our credentials to the master.
    Authenticate(String),
    /// Sends a message to the master; holds its address.
    Send(String, Box<ToMaster>),
    /// Writes below the work directory. The driver ends the process where this fails: who cannot write cannot promise.
    Write(Box<Write>),
    /// Takes the directories of a pending task from the garbage collector: its framework's and executor's, and of an
    /// executor that is there already, in this run, that of an earlier task of its id. Answered by `Event::Unscheduled`.
    Unschedule(FrameworkId, ExecutorId, TaskId, Option<Run>),
    /// Gives directories to the garbage collector whose time begins now, however long ago they were made: stock touches
    /// them first too (`Slave::removeExecutor`).
    Collect(Garbage),
    /// Gives directories to the garbage collector that an earlier process had given to its own: their time goes on.
    CollectAgain(Garbage),
    /// Sends a message to an executor's program; dropped where it does not listen any more.
    ToExecutor(Peer, Box<ToExecutor>),
    /// Ends an executor's stream once what was sent before is written. Nothing is done for one that speaks libprocess.
    ClosePeer(Peer),
    /// Launches a task, answered by `Event::Task`, or an executor, answered by `Event::Container`.
    Launch(Box<Launch>),
    /// Changes what a container may use; answered by `ContainerEvent::Updated`. One that is being adopted is waited for.
    UpdateContainer {
        /// Which.
        container_id: ContainerId,
        /// Names this update in its answer.
        token: u64,
        /// What the executor and its tasks that have not ended hold.
        resources: Vec<v1::Resource>,
        /// What they may burst to.
        limits: ResourceLimits,
    },
    /// Stops a container, whatever phase it is in; without a grace, with the task's own.
    Kill(ContainerId, Option<Duration>),
    /// Ends the process.
    Exit(Exit),
}

/// What the garbage collector gets, with the records beside it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Garbage {
    /// The records of a task.
    Task(Run, TaskId),
    /// A run that has ended.
    Run(Run),
    /// An executor without runs.
    Executor(FrameworkId, ExecutorId),
    /// A framework without executors.
    Framework(FrameworkId),
}

/// A task or an executor to launch.
#[derive(Debug, Clone, PartialEq)]
pub struct Launch {
    /// Which run it is.
    pub run: Run,
    /// What is launched.
    pub what: Launched,
    /// The framework's capability TASK_KILLING_STATE.
    pub task_killing: bool,
    /// Whether the run outlives this process.
    pub checkpoint: bool,
    /// Who owns the sandbox.
    pub user: Option<String>,
}

/// What is launched.
#[derive(Debug, Clone, PartialEq)]
#[expect(clippy::large_enum_variant, reason = "it is boxed wherever it is kept")]
pub enum Launched {
    /// A command task, supervised in this process.
    Task(v1::TaskInfo),
    /// An executor, whose program speaks to us.
    Executor(Box<ExecutorLaunch>),
}

/// An executor to launch.
#[derive(Debug, Clone, PartialEq)]
pub struct ExecutorLaunch {
    /// Its framework.
    pub framework: v1::FrameworkInfo,
    /// The executor; `container` is that of `--default_container_info` where it has none of its own. Its resources are
    /// its own ones.
    pub executor: v1::ExecutorInfo,
    /// What it and the tasks that wait for it hold.
    pub resources: Vec<v1::Resource>,
    /// What they may burst to.
    pub limits: ResourceLimits,
}

/// A message to an executor's program, as those who speak libprocess read it.
#[derive(Debug, Clone, PartialEq)]
#[expect(clippy::large_enum_variant, reason = "it is boxed wherever it is kept")]
pub enum ToExecutor {
    /// It is known now. The container's id is for those who speak HTTP.
    Registered(internal::ExecutorRegisteredMessage, ContainerId),
    /// It is known again; only for those who speak libprocess.
    Reregistered(internal::ExecutorReregisteredMessage),
    /// It shall register again; only for those who speak libprocess.
    Reconnect(internal::ReconnectExecutorMessage),
    /// A task to run.
    Run(internal::RunTaskMessage),
    /// A task to stop.
    Kill(internal::KillTaskMessage),
    /// A status is safe with us.
    Acknowledge(internal::StatusUpdateAcknowledgementMessage),
    /// Data of the framework.
    Message(internal::FrameworkToExecutorMessage),
    /// It shall stop its tasks and end.
    Shutdown,
    /// Something that it said cannot be used; only for those who speak HTTP.
    Error(String),
}

/// A message to the master, or what is sent as one is: to a scheduler.
#[derive(Debug, Clone, PartialEq)]
pub enum ToMaster {
    /// Who has no id asks for one.
    Register(internal::RegisterSlaveMessage),
    /// Who has one tells what it runs.
    Reregister(internal::ReregisterSlaveMessage),
    /// What became of a task.
    Status(internal::StatusUpdateMessage),
    /// An executor is gone.
    ExitedExecutor(internal::ExitedExecutorMessage),
    /// Data of an executor for its framework; goes to the scheduler itself where it listens.
    FrameworkMessage(internal::ExecutorToFrameworkMessage),
    /// The agent leaves for good.
    Unregister(internal::UnregisterSlaveMessage),
}

/// Something to write below the work directory.
#[derive(Debug, Clone, PartialEq)]
#[expect(clippy::large_enum_variant, reason = "it is boxed wherever it is kept")]
pub enum Write {
    /// `slave.info` and `latest`.
    Agent(v1::AgentInfo),
    /// `framework.info` and `framework.pid`.
    Framework(FrameworkId, v1::FrameworkInfo, Option<String>),
    /// `executor.info`, whether it was generated, and the directory of the run.
    Executor(Run, v1::ExecutorInfo, bool),
    /// `task.info`.
    Task(Run, TaskId, v1::Task),
    /// A record of `task.updates`.
    Update(Run, TaskId, internal::StatusUpdateRecord),
    /// `libprocess.pid`: where an executor's program listens.
    ExecutorPid(Run, String),
    /// `http.marker`: an executor's program has subscribed.
    HttpMarker(Run),
    /// `executor.sentinel`.
    Sentinel(Run),
    /// The removal of `latest`: the next start is a new agent's.
    Forget,
    /// `drain.config`, or its removal.
    Drain(Option<v1::DrainConfig>),
    /// The dynamic reservations and persistent volumes, with the volumes' directories.
    Resources(Vec<v1::Resource>),
}

impl Write {
    /// Whether it is one of the many of tasks, which wait for the disk together.
    pub(crate) fn is_of_a_task(&self) -> bool {
        match self {
            Self::Framework(..)
            | Self::Executor(..)
            | Self::Task(..)
            | Self::Update(..)
            | Self::ExecutorPid(..)
            | Self::HttpMarker(_)
            | Self::Sentinel(_) => true,
            Self::Agent(_) | Self::Forget | Self::Drain(_) | Self::Resources(_) => false,
        }
    }
}

/// Why the process ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Exit {
    /// It was asked to.
    Asked,
    /// It cannot go on; holds why, for a person.
    Failed(String),
}
