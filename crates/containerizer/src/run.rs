//! Where a run lives, how its container goes, and what is told of a launch.

use std::path::PathBuf;
use std::time::Duration;

/// Where a run lives on the host.
#[derive(Debug, Clone)]
pub struct RunPaths {
    /// The sandbox, which the container sees. It exists.
    pub sandbox: PathBuf,
    /// The directory of our own records of the run, which no container sees. It exists.
    pub state: PathBuf,
}

/// Whether a container that is being stopped has had its stop signal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum StopSignal {
    /// It is sent when the container is stopped.
    #[default]
    Due,
    /// An earlier process has sent it: some programs take a second one as a wish to end at once.
    Sent,
}

/// How long a stopped container is kept for people to look at (`--docker_remove_delay`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RemovalDelay {
    /// It is removed this long after its end.
    After(Duration),
    /// It stays; the caller removes it.
    Never,
}

/// What every containerizer tells of a launch while it goes on.
#[derive(Debug, Clone)]
pub enum Progress {
    /// How far the fetch of a URI is.
    Fetch(Box<fetcher::progress::Event>),
    /// All that the container needs is there: TASK_STARTING.
    Prepared,
}
