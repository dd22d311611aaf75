//! What a caller hands over for a launch or an adoption, and what it hears meanwhile.

use std::path::PathBuf;
use std::time::SystemTime;

use containerizer::{Identity, LogTap, Progress, RunPaths, StopSignal};
use mesos_types::{EnvVar, PlainTaskSpec};
use sandbox::Owner;
use tokio::sync::mpsc;

/// A container to launch.
#[derive(Debug)]
pub struct LaunchOrder {
    /// Whose it is.
    pub identity: Identity,
    /// The task.
    pub task: PlainTaskSpec,
    /// What the environment has besides what the task gives itself, which wins.
    pub overlay: Vec<EnvVar>,
    /// Where the run lives.
    pub paths: RunPaths,
    /// Who the command runs as and who owns the files in the sandbox; `None` leaves both with us.
    pub owner: Option<Owner>,
    /// Where a copy of the output goes.
    pub tap: Option<LogTap>,
    /// Where the launch's progress is told.
    pub progress: Option<mpsc::Sender<Progress>>,
}

/// A container to take over: one that an earlier process launched.
#[derive(Debug)]
pub struct AdoptOrder {
    /// Whose it is.
    pub identity: Identity,
    /// The task.
    pub task: PlainTaskSpec,
    /// As of its launch.
    pub overlay: Vec<EnvVar>,
    /// Whether it has had its stop signal.
    pub stop_signal: StopSignal,
    /// Where the run lives.
    pub paths: RunPaths,
    /// As of its launch.
    pub owner: Option<Owner>,
}

/// A process to take over that an agent which is not ours started: nobody of ours is its parent.
#[derive(Debug)]
pub struct ForeignOrder {
    /// Whose it is.
    pub identity: Identity,
    /// What it may use, and its volumes.
    pub task: PlainTaskSpec,
    /// The process' number, as the other agent recorded it.
    pub pid: u32,
    /// Whether it has had its stop signal.
    pub stop_signal: StopSignal,
    /// Its sandbox on the host, by which the process is known.
    pub sandbox: PathBuf,
}

/// A container that was seen started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Running {
    /// Its first process: the command.
    pub pid: u32,
    /// When that was started, in clock ticks since the system's start: with the number it is nobody else's.
    pub start: u64,
    /// When it was started.
    pub started_at: SystemTime,
}
