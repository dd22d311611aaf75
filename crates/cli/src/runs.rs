//! Runs in a work directory: who owns which tasks, and how a second program reaches the owner.
//!
//! ```text
//! <work_dir>/runs/<framework id>/lock       held by the process that supervises the run's tasks
//! <work_dir>/runs/<framework id>/control    its socket: kills go there, so that it reports TASK_KILLED
//! <work_dir>/slaves/..., meta/slaves/...    sandboxes and records, as an agent has them
//! ```
//!
//! Each `mesos-docker run` is a framework of its own, so labels tell which run a container belongs to.

use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use mesos_types::FrameworkId;
use rustix::fs::{Mode, OFlags, open};
use sandbox::RunLock;
use serde::{Deserialize, Serialize};
use tokio::net::UnixListener;

use crate::failure::Failure;

/// The directory of runs.
const RUNS: &str = "runs";

/// The lock of a run.
const LOCK: &str = "lock";

/// The socket of a run.
const CONTROL: &str = "control";

/// What a second program asks of a run's owner: one JSON line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Request {
    /// Kill the task in this container, with the task's own grace or another.
    Kill {
        /// The container's id.
        container_id: String,
        /// Another grace, in milliseconds.
        grace_ms: Option<u64>,
    },
}

/// What the owner answers: one JSON line, once the task has ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Reply {
    /// The task ended in this state.
    Ended {
        /// The state's name, such as `TASK_KILLED`.
        state: String,
    },
    /// The run has no such task, or it ended before.
    Unknown,
}

/// A run of this process.
#[derive(Debug)]
pub(crate) struct OwnedRun {
    pub(crate) framework_id: FrameworkId,
    dir: PathBuf,
    _lock: RunLock,
}

impl OwnedRun {
    /// Begins a run: takes its lock.
    ///
    /// # Errors
    ///
    /// The work directory cannot be written to.
    pub(crate) fn begin(work_dir: &Path) -> Result<Self, Failure> {
        let id = format!("run-{}", &uuid::Uuid::new_v4().simple().to_string()[..12]);
        let framework_id: FrameworkId =
            id.parse().map_err(|error| Failure::of("cannot make a run's id", &error))?;
        Self::own(work_dir, framework_id)
    }

    /// Takes over a run whose owner is gone.
    ///
    /// # Errors
    ///
    /// Another process owns it.
    pub(crate) fn own(work_dir: &Path, framework_id: FrameworkId) -> Result<Self, Failure> {
        let dir = dir_of(work_dir, &framework_id);
        std::fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&dir)
            .map_err(|error| Failure::of(format!("cannot make {}", dir.display()), &error))?;
        let lock = RunLock::acquire(&dir.join(LOCK)).map_err(|error| {
            Failure::of(format!("the run {framework_id} cannot be owned"), &error)
                .hint("another mesos-docker supervises it; use mesos-docker kill to end it")
        })?;
        Ok(Self { framework_id, dir, _lock: lock })
    }

    /// Opens the control socket. A path may be longer than a socket's address takes, so it is bound by descriptor.
    ///
    /// # Errors
    ///
    /// The file system's.
    pub(crate) fn listen(&self) -> io::Result<UnixListener> {
        let path = self.dir.join(CONTROL);
        match std::fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let (dir, path) = short_path(&self.dir)?;
        let listener = UnixListener::bind(path);
        drop(dir);
        listener
    }

    /// Ends the run: the socket goes; the lock goes with this value.
    pub(crate) fn end(self) {
        if let Err(error) = std::fs::remove_file(self.dir.join(CONTROL)) {
            tracing::debug!(%error, "the control socket was gone");
        }
    }
}

/// The directory of a run.
pub(crate) fn dir_of(work_dir: &Path, framework_id: &FrameworkId) -> PathBuf {
    work_dir.join(RUNS).join(framework_id.as_str())
}

/// Whether a process supervises the run.
pub(crate) fn is_owned(work_dir: &Path, framework_id: &FrameworkId) -> bool {
    RunLock::is_held(&dir_of(work_dir, framework_id).join(LOCK)).unwrap_or(false)
}

/// A short path of the control socket in `dir`, valid as long as the descriptor lives.
pub(crate) fn short_path(dir: &Path) -> io::Result<(std::os::fd::OwnedFd, PathBuf)> {
    use std::os::fd::AsRawFd;

    let fd = open(dir, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
    let path = PathBuf::from(format!("/proc/self/fd/{}/{CONTROL}", fd.as_fd().as_raw_fd()));
    Ok((fd, path))
}
