//! How a container ended: what `wait` and `destroy` answer, and what a task's terminal status is made of.
//!
//! What is said of an engine is of Docker's; a container without one has it `Throughout`.

use std::fmt;
use std::time::Duration;

use mesos_types::Megabytes;

/// How a container's process ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Exit {
    /// The exit code; of an engine's container also 128 + n for signal n.
    Code(i64),
    /// The signal that ended a process which we can wait for ourselves.
    Signal(i32),
    /// The container is known to be gone, its exit code is not.
    Unknown(Unknown),
}

/// Why an exit code is not known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unknown {
    /// Somebody else removed the container.
    RemovedOutside,
    /// Somebody else restarted the container, so that the run we knew is over.
    RestartedOutside,
    /// The process is gone and the engine did not tell its exit code in time.
    EngineMissedIt,
    /// The process that watched it for us was killed, and knew the exit status alone.
    WatcherKilled,
    /// The machine was restarted under it.
    Rebooted,
    /// It was started by an agent that is not ours, and only its parent can know.
    NotOurs,
}

/// A launch phase that failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    phase: &'static str,
    message: String,
    exit_code: Option<i64>,
}

/// The wish to stop a container.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Kill {
    /// How long the container may take after the stop signal before SIGKILL.
    pub grace: Duration,
}

/// Why a container is being destroyed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cause {
    /// Somebody asked for it.
    Killed(Kill),
    /// Its launch failed and it may exist.
    LaunchFailed(Failure),
}

/// What ran out, if something did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Limitation {
    /// The kernel killed a process of the container for memory.
    Memory {
        /// The limit, if there was one.
        limit: Option<Megabytes>,
        /// The most that it ever took, in bytes, where somebody counts that.
        peak: Option<u64>,
    },
    /// The sandbox, or a persistent volume, took more of the disk than the task has (isolator `disk/du`).
    Disk {
        /// What it took, in bytes.
        used: u64,
        /// What it may take, in bytes.
        quota: u64,
    },
}

/// In which phase a container was destroyed before it ran.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// While its URIs were fetched.
    Fetching,
    /// While its image was pulled.
    Pulling,
    /// While the places of its volumes were made.
    Mounting,
    /// While the engine created or started it.
    Starting,
}

/// How a container ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ending {
    /// It never ran: a launch phase failed.
    LaunchFailed(Failure),
    /// It never ran: it was destroyed in this phase.
    DestroyedBeforeStart(Phase),
    /// It ran and stopped.
    Exited(Exit),
}

/// The end of a container (`ContainerTermination` of the containerizer interface).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Termination {
    /// How it ended.
    pub ending: Ending,
    /// The last kill, if it was destroyed.
    pub killed: Option<Kill>,
    /// What ran out.
    pub limitation: Option<Limitation>,
    /// The engine's own sentence about the end, if it had one.
    pub engine_error: Option<String>,
    /// Whether the engine was there when it ended.
    pub engine: EngineSeen,
    /// The last lines of standard error, bounded, for a person who reads why a task failed.
    pub last_errors: String,
    /// Whether the sandbox has all of the output.
    pub logs: LogsEnd,
    /// Whether a signal ended it that left a core dump. An engine does not tell.
    pub dumped_core: bool,
}

/// Whether the engine was there when a container ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EngineSeen {
    /// It was, as far as we saw.
    Throughout,
    /// It could not be reached between our last sight of the running container and our first of the stopped one. With
    /// live-restore its containers do not depend on it.
    Away,
    /// As before, and it stops its containers when it ends: it has no live-restore. The exit code is that of the stop.
    Ended,
}

/// Whether the sandbox has all of the container's output.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogsEnd {
    /// Everything that the engine kept is in the sandbox.
    Complete,
    /// The engine could not be read to the end within the deadline, or a file could not be written.
    Incomplete,
}

impl Termination {
    /// An end of which no more is known: no kill, no limit, all of the output.
    pub fn new(ending: Ending) -> Self {
        Self {
            ending,
            killed: None,
            limitation: None,
            engine_error: None,
            engine: EngineSeen::Throughout,
            last_errors: String::new(),
            logs: LogsEnd::Complete,
            dumped_core: false,
        }
    }
}

impl Failure {
    /// A failure of `phase` (a verb such as `pull`) with the whole chain of causes as `message`.
    pub fn new(phase: &'static str, message: impl Into<String>) -> Self {
        Self { phase, message: message.into(), exit_code: None }
    }

    /// Adds the exit code that `docker run` would have ended with (125, 126, 127).
    #[must_use]
    pub fn exit_code(mut self, code: i64) -> Self {
        self.exit_code = Some(code);
        self
    }

    /// The phase that failed.
    pub fn phase(&self) -> &'static str {
        self.phase
    }

    /// The chain of causes in one line.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// The exit code that `docker run` would have ended with.
    pub fn docker_run_code(&self) -> i64 {
        self.exit_code.unwrap_or(125)
    }
}

impl Cause {
    /// A later kill counts over the one before; a kill counts over a failed launch, as TASK_KILLED over TASK_FAILED.
    #[must_use]
    pub fn joined(self, later: Self) -> Self {
        match (self, later) {
            (kill @ Self::Killed(_), Self::LaunchFailed(_)) => kill,
            (_, later) => later,
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl fmt::Display for Unknown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::RemovedOutside => "the container was removed from outside",
            Self::RestartedOutside => "the container was restarted from outside",
            Self::EngineMissedIt => "the process ended and the engine did not report its exit",
            Self::WatcherKilled => "the process that watched it was killed",
            Self::Rebooted => "the machine was restarted",
            Self::NotOurs => "another agent started it, and its exit status was told to its parent alone",
        })
    }
}
