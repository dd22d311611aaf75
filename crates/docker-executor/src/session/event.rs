//! What happens to a session, and what it wants done.

use std::time::Duration;

use mesos_proto::v1;
use mesos_proto::v1::TaskState;
use mesos_proto::v1::task_status::Reason;
use mesos_types::TaskId;
use task_supervisor::{KillCause, TaskKilling};

/// What happens.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// The agent can be spoken to, for the first time or again.
    Connected,
    /// The connection to the agent broke, or could not be made.
    Lost,
    /// The agent says something.
    Agent(AgentEvent),
    /// The task has a new status; a terminal one when its container is known to be stopped.
    Status(Box<v1::TaskStatus>),
    /// A timer that was armed is due.
    Due(Timer),
    /// Somebody wants this process to end (SIGTERM): the agent that destroys the container, or a person.
    Terminate,
}

/// What an agent says.
#[derive(Debug, Clone, PartialEq)]
pub enum AgentEvent {
    /// We are registered, with the framework where the agent says it.
    Welcome(Option<Box<v1::FrameworkInfo>>),
    /// Launch a task.
    Launch(Box<v1::TaskInfo>, Option<Box<v1::FrameworkInfo>>),
    /// Kill a task, with another grace than its own if there is one.
    Kill(String, Option<Duration>),
    /// The status with this uuid has arrived.
    Acknowledged(Vec<u8>),
    /// The framework sends bytes, of which nothing is known.
    Message,
    /// End.
    Shutdown,
    /// The agent gives up on us.
    Error(String),
}

/// What a session waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Timer {
    /// The agent's return.
    Recovery,
    /// The acknowledgement of the terminal status.
    Acknowledgement,
}

/// What is to be done, in order.
#[derive(Debug, Clone, PartialEq)]
pub enum Action {
    /// Tell the agent.
    Call(Call),
    /// Launch the task.
    Launch(Box<v1::TaskInfo>, TaskKilling),
    /// Stop the task's container with this grace; a later one counts instead of an earlier.
    Kill(Duration, KillCause),
    /// Make a status, and give it back as [`Event::Status`].
    Tell(Tell),
    /// Wake the session so much later, instead of when the timer was armed for before.
    Arm(Timer, Duration),
    /// Forget a timer.
    Disarm(Timer),
    /// End the process.
    Exit(Exit),
}

/// What is told to the agent.
#[derive(Debug, Clone, PartialEq)]
pub enum Call {
    /// Register.
    Join(Join),
    /// A status.
    Update(Box<v1::TaskStatus>),
}

/// A registration, with what an agent that was restarted may not know.
#[derive(Debug, Clone, PartialEq)]
pub struct Join {
    /// Whether no agent has ever answered one.
    pub is_first: bool,
    /// The tasks without any acknowledged status.
    pub tasks: Vec<v1::TaskInfo>,
    /// The statuses without an acknowledgement, in order.
    pub updates: Vec<v1::TaskStatus>,
}

/// A status of a task that does not run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tell {
    /// The task.
    pub task_id: String,
    /// Its state.
    pub state: TaskState,
    /// Why.
    pub reason: Option<Reason>,
    /// For people.
    pub message: String,
}

/// How the process ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// All was told.
    Stopped,
    /// The agent went away, or gave up on us.
    Aborted,
    /// By a signal.
    Terminated,
}

impl Exit {
    /// The exit code: stock's, and for a signal the shell's.
    pub fn code(self) -> u8 {
        match self {
            Self::Stopped => 0,
            Self::Aborted => 1,
            Self::Terminated => 143,
        }
    }
}

impl Tell {
    /// The refusal of a task beside the one that there is, in stock's words.
    pub(super) fn second(task_id: String) -> Self {
        Self {
            task_id,
            state: TaskState::TaskFailed,
            reason: None,
            message: "Attempted to run multiple tasks using a \"docker\" executor".into(),
        }
    }

    /// The end of a task that was killed before it came.
    pub(super) fn killed_before_launch(task_id: String) -> Self {
        Self {
            task_id,
            state: TaskState::TaskKilled,
            reason: Some(Reason::TaskKilledDuringLaunch),
            message: "Killed before it was launched".into(),
        }
    }

    /// The refusal of a task whose id is none.
    pub(super) fn no_id(task_id: String, why: &mesos_types::IdError) -> Self {
        Self {
            task_id,
            state: TaskState::TaskFailed,
            reason: None,
            message: format!("Failed to create docker run options: task_id: {why}"),
        }
    }
}

/// Whether an id can be one of a task.
pub(super) fn check_id(task_id: &str) -> Result<(), mesos_types::IdError> {
    task_id.parse::<TaskId>().map(drop)
}
