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
use sandbox::{RunLock, RunLockError};
use serde::{Deserialize, Serialize};
use tokio::net::UnixListener;

use crate::failure::Failure;

/// The directory of runs.
const RUNS: &str = "runs";

/// How the id of a run begins: it is the framework id of its tasks.
const PREFIX: &str = "run-";

/// How many hexadecimal digits follow it.
const ID_LENGTH: usize = 12;

/// How often a run is tried whose directory goes away meanwhile.
const CLAIMS: usize = 8;

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

/// Who supervises a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ownership {
    /// A process, by the id that it wrote, if it could.
    Owned(Option<u32>),
    /// Nobody: its process ended.
    Orphaned,
}

/// What became of the wish to own a run.
#[derive(Debug)]
pub(crate) enum Claim {
    /// It is ours now.
    Ours(OwnedRun),
    /// A process has it, this one where it wrote its id.
    Held(Option<u32>),
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
    pub(crate) fn begin(work_dir: &Path, framework_id: FrameworkId) -> Result<Self, Failure> {
        match Self::claim(work_dir, &framework_id)? {
            Claim::Ours(run) => Ok(run),
            Claim::Held(_) => Err(Failure::ours(format!("the run {framework_id} exists already"))),
        }
    }

    /// Takes a run whose owner is gone, or says who has it. The run's directory is made where it is missing.
    ///
    /// # Errors
    ///
    /// The work directory cannot be written to.
    pub(crate) fn claim(work_dir: &Path, framework_id: &FrameworkId) -> Result<Claim, Failure> {
        let dir = dir_of(work_dir, framework_id);
        for _ in 0..CLAIMS {
            std::fs::DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(&dir)
                .map_err(|error| Failure::of(format!("cannot make {}", dir.display()), &error))?;
            match RunLock::acquire(&dir.join(LOCK)) {
                Ok(lock) => {
                    return Ok(Claim::Ours(Self { framework_id: framework_id.clone(), dir, _lock: lock }));
                }
                Err(RunLockError::Held(held)) => return Ok(Claim::Held(held.holder)),
                // A cleanup removed the directory between our two steps.
                Err(RunLockError::File(error)) if error.is_not_found() => {}
                Err(error) => {
                    return Err(Failure::of(format!("the run {framework_id} cannot be owned"), &error));
                }
            }
        }
        Err(Failure::ours(format!(
            "the run {framework_id} cannot be owned: its directory is removed again and again"
        )))
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

/// A new run's id.
///
/// # Errors
///
/// None in practice: the form is a valid id.
pub(crate) fn new_id() -> Result<FrameworkId, Failure> {
    let id = format!("{PREFIX}{}", &uuid::Uuid::new_v4().simple().to_string()[..ID_LENGTH]);
    id.parse().map_err(|error| Failure::of("cannot make a run's id", &error))
}

/// Reads a framework's id if it is that of a run of ours. What an agent has in the same work directory is not.
pub(crate) fn parse_id(id: &str) -> Option<FrameworkId> {
    let digits = id.strip_prefix(PREFIX)?;
    let is_ours = digits.len() == ID_LENGTH && digits.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    if is_ours { id.parse().ok() } else { None }
}

/// Who supervises the run. A lock that cannot be looked at counts as held, so that nothing is done to the run.
pub(crate) fn ownership(work_dir: &Path, framework_id: &FrameworkId) -> Ownership {
    let lock = dir_of(work_dir, framework_id).join(LOCK);
    match RunLock::is_held(&lock) {
        Ok(false) => Ownership::Orphaned,
        Ok(true) => Ownership::Owned(RunLock::holder(&lock)),
        Err(error) => {
            tracing::warn!(error = crate::failure::chain(&error), "a run's lock cannot be looked at");
            Ownership::Owned(None)
        }
    }
}

/// The directory of all runs.
pub(crate) fn all(work_dir: &Path) -> PathBuf {
    work_dir.join(RUNS)
}

/// A short path of the control socket in `dir`, valid as long as the descriptor lives.
pub(crate) fn short_path(dir: &Path) -> io::Result<(std::os::fd::OwnedFd, PathBuf)> {
    use std::os::fd::AsRawFd;

    let fd = open(dir, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
    let path = PathBuf::from(format!("/proc/self/fd/{}/{CONTROL}", fd.as_fd().as_raw_fd()));
    Ok((fd, path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[rstest::rstest]
    #[case("run-0123456789ab", true)]
    #[case("run-0123456789AB", false)]
    #[case("run-0123456789a", false)]
    #[case("run-0123456789abc", false)]
    #[case("20150813-043313-16777343-5050-1234-0000", false)]
    #[case("run-../../../etc", false)]
    fn only_ids_of_our_form_are_runs_of_ours(#[case] id: &str, #[case] is_ours: bool) {
        assert_eq!(parse_id(id).is_some(), is_ours);
    }

    #[test]
    fn a_run_has_one_owner_at_a_time() {
        let dir = tempfile::tempdir().unwrap();
        let id = new_id().unwrap();
        assert_eq!(parse_id(id.as_str()), Some(id.clone()));
        assert_eq!(ownership(dir.path(), &id), Ownership::Orphaned);
        let run = OwnedRun::begin(dir.path(), id.clone()).unwrap();
        assert_eq!(ownership(dir.path(), &id), Ownership::Owned(Some(std::process::id())));
        assert!(matches!(OwnedRun::claim(dir.path(), &id).unwrap(), Claim::Held(Some(_))));
        run.end();
        assert!(matches!(OwnedRun::claim(dir.path(), &id).unwrap(), Claim::Ours(_)));
    }
}
