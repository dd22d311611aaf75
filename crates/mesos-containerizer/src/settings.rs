//! What the flags say about plain containers.

use std::path::PathBuf;
use std::time::Duration;

use containerizer::LogSettings;
use fetcher::agent::Fetcher;

use crate::isolation::Containment;

/// What the flags say about plain containers.
#[derive(Debug, Clone)]
pub struct Settings {
    /// How they are isolated.
    pub containment: Containment,
    /// How the sandbox's log files are kept.
    pub logs: LogSettings,
    /// How long somebody who looks on may let the end of a task wait for its output (`--docker_log_drain_timeout`).
    pub drain_deadline: Duration,
    /// What fetches the tasks' URIs.
    pub fetcher: Fetcher,
    /// Where the program `mesos-containerizer` is looked for when it is not beside our own (`--launcher_dir`).
    pub launcher_dir: Option<PathBuf>,
    /// The work directory, below which persistent volumes are.
    pub work_dir: PathBuf,
}
