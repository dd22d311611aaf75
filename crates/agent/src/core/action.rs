//! What the agent does. The driver performs actions in their order, so that what is written stands on the disk before
//! what follows is sent or started.

use std::time::Duration;

use mesos_proto::{internal, v1};
use mesos_types::{ContainerId, ExecutorId, FrameworkId, TaskId};

use super::event::Run;

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
    /// Takes the directories of a pending task's framework and executor from the garbage collector; answered by
    /// `Event::Unscheduled`.
    Unschedule(FrameworkId, ExecutorId, TaskId),
    /// Gives directories to the garbage collector whose time begins now, however long ago they were made: stock touches
    /// them first too (`Slave::removeExecutor`).
    Collect(Garbage),
    /// Gives directories to the garbage collector that an earlier process had given to its own: their time goes on.
    CollectAgain(Garbage),
    /// Launches a task; answered by `Event::Task`.
    Launch(Box<Launch>),
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

/// A task to launch.
#[derive(Debug, Clone, PartialEq)]
pub struct Launch {
    /// Which run it is.
    pub run: Run,
    /// The task.
    pub info: v1::TaskInfo,
    /// The framework's capability TASK_KILLING_STATE.
    pub task_killing: bool,
    /// Whether the run outlives this process.
    pub checkpoint: bool,
    /// Who owns the sandbox.
    pub user: Option<String>,
}

/// A message to the master.
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
