//! Where the run lives: the sandbox that the agent made, and a directory of our own for what no container may see.
//!
//! ```text
//! <state_directory>/<container id>/lock           held by this process
//! <state_directory>/<container id>/supervision    our record, and the log cursors
//! ```
//!
//! The directory is removed when the task has ended, or by the guard after it has stopped the container. What is left
//! where both were killed is removed by a later executor: nobody reads the records of a run that has no process.

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use docker_containerizer::names;
use mesos_types::{AgentId, ContainerId};
use sandbox::{Owner, RunLock, RunLockError};
use task_supervisor::RunLayout;

/// Where our records are when the usual place is not ours to make: an agent that is not root.
const FALLBACK: &str = "/tmp/mesos-docker-executor";

/// The lock of a run.
const LOCK: &str = "lock";

/// How old the records of a run without a process are before they are removed: longer than a guard takes.
const ABANDONED: Duration = Duration::from_secs(60 * 60);

/// How many directories of other runs one executor looks at.
const LOOKS_AT: usize = 1000;

/// The place of this process's run.
#[derive(Debug)]
pub struct Place {
    /// The container's id: that of its name, or one of our own where the name has none.
    pub container_id: ContainerId,
    /// The sandbox, without links.
    pub sandbox: PathBuf,
    /// Who owns the sandbox, if not us.
    pub owner: Option<Owner>,
    /// The agent's work directory, as far as the sandbox's path tells it.
    pub work_dir: PathBuf,
    /// Our directory of all runs.
    pub root: PathBuf,
    state: PathBuf,
    lock: RunLock,
}

/// Why a run has no place.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PlaceError {
    /// The sandbox is not there.
    #[error("cannot find the sandbox {}", path.display())]
    Sandbox {
        /// As the agent gave it.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Our directory cannot be made.
    #[error("cannot make the directory {} for our records; --state_directory names another", path.display())]
    State {
        /// The directory.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Our directory is not ours.
    #[error("the directory {} for our records is not ours alone; --state_directory names another", path.display())]
    Foreign {
        /// The directory.
        path: PathBuf,
    },
    /// Another process runs this container.
    #[error("cannot lock the run")]
    Lock(#[from] RunLockError),
}

impl Place {
    /// Takes the place of the run of `container`, whose sandbox the agent made. Blocks on the file system.
    ///
    /// # Errors
    ///
    /// The sandbox is not there, or our directory cannot be made.
    pub fn take(
        container: &str,
        sandbox: &Path,
        agent_id: &AgentId,
        root: &Path,
    ) -> Result<Self, PlaceError> {
        let missing = |source| PlaceError::Sandbox { path: sandbox.to_owned(), source };
        // A link where the sandbox's own path has a colon, which a volume of the docker client cannot have.
        let real = sandbox.canonicalize().map_err(missing)?;
        let metadata = fs::metadata(&real).map_err(missing)?;
        let root = own_directory(root).or_else(|error| match error {
            PlaceError::State { .. } if !rustix::process::geteuid().is_root() => {
                own_directory(&PathBuf::from(format!("{FALLBACK}-{}", rustix::process::geteuid().as_raw())))
            }
            error => Err(error),
        })?;
        let container_id = names::parse(container).map_or_else(ContainerId::random, |name| name.container_id);
        sweep(&root, ABANDONED);
        let state = own_directory(&root.join(container_id.to_string()))?;
        let lock = RunLock::acquire(&state.join(LOCK))?;
        Ok(Self {
            container_id,
            owner: Owner::new(metadata.uid(), metadata.gid()).ok().filter(|_| metadata.uid() != 0),
            work_dir: work_dir_of(&real, agent_id),
            sandbox: real,
            root,
            state,
            lock,
        })
    }

    /// The run as the supervisor takes it.
    pub fn layout(&self) -> RunLayout {
        RunLayout::at(self.sandbox.clone(), self.state.clone())
    }

    /// Removes our records. Blocks on the file system.
    pub fn leave(self) {
        if let Err(error) = fs::remove_dir_all(&self.state) {
            tracing::warn!(path = %self.state.display(), %error, "the records of the run were not removed");
        }
        drop(self.lock);
    }
}

/// Removes the records of runs that ended `age` ago without anybody to remove them.
fn sweep(root: &Path, age: Duration) {
    let Ok(entries) = fs::read_dir(root) else { return };
    for entry in entries.flatten().take(LOOKS_AT) {
        let path = entry.path();
        // Neither a file that somebody put there nor a directory of another kind is ours.
        let is_run = entry.file_name().to_str().is_some_and(|name| name.parse::<ContainerId>().is_ok());
        let metadata = fs::symlink_metadata(path.join(LOCK)).ok().filter(fs::Metadata::is_file);
        let modified = metadata.and_then(|metadata| metadata.modified().ok());
        let is_old = modified.and_then(|at| at.elapsed().ok()).is_some_and(|old| old >= age);
        if !is_run || !is_old {
            continue;
        }
        // Held by the process of the run for as long as it lives.
        let Ok(lock) = RunLock::acquire(&path.join(LOCK)) else { continue };
        if let Err(error) = fs::remove_dir_all(&path) {
            tracing::debug!(path = %path.display(), %error, "abandoned records were not removed");
        }
        drop(lock);
    }
}

/// Makes a directory that only we can enter, or sees that it is one.
fn own_directory(path: &Path) -> Result<PathBuf, PlaceError> {
    let failed = |source| PlaceError::State { path: path.to_owned(), source };
    DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(failed)?;
    let metadata = fs::symlink_metadata(path).map_err(failed)?;
    let is_ours = metadata.is_dir() && metadata.uid() == rustix::process::geteuid().as_raw();
    if !is_ours || metadata.mode() & 0o022 != 0 {
        return Err(PlaceError::Foreign { path: path.to_owned() });
    }
    path.canonicalize().map_err(failed)
}

/// The agent's work directory: what comes before `slaves/<agent id>/frameworks` (`src/slave/paths.cpp`). For a sandbox of
/// another form it is the sandbox's parent, so that the host policy still has a place that tasks must not mount.
fn work_dir_of(sandbox: &Path, agent_id: &AgentId) -> PathBuf {
    let below = Path::new("slaves").join(agent_id.as_str());
    let found = sandbox.ancestors().find(|ancestor| ancestor.ends_with(&below)).and_then(Path::parent);
    let found = found.and_then(Path::parent).or_else(|| sandbox.parent());
    found.unwrap_or(sandbox).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONTAINER: &str = "mesos-f6a82b9d-c49c-4dae-92bc-e1de75e242c6";

    fn agent() -> AgentId {
        "20150813-043313-16777343-5050-1234-S0".parse().unwrap()
    }

    #[test]
    fn the_place_is_the_agents_sandbox_and_a_directory_of_ours() {
        let dir = tempfile::tempdir().unwrap();
        let base = dir.path().canonicalize().unwrap();
        let run =
            base.join("work/slaves").join(agent().as_str()).join("frameworks/F/executors/test:colon/runs/c");
        fs::create_dir_all(&run).unwrap();
        let link = base.join("link");
        std::os::unix::fs::symlink(&run, &link).unwrap();
        let root = base.join("state");
        let place = Place::take(CONTAINER, &link, &agent(), &root).unwrap();
        assert_eq!((&place.sandbox, &place.work_dir), (&run, &base.join("work")));
        assert_eq!(place.container_id.to_string(), CONTAINER.strip_prefix("mesos-").unwrap());
        assert_eq!(fs::metadata(place.layout().state()).unwrap().mode() & 0o777, 0o700);
        // Two processes for one container are a mistake of whoever starts them.
        assert!(matches!(Place::take(CONTAINER, &link, &agent(), &root), Err(PlaceError::Lock(_))));
        place.leave();
        assert_eq!(fs::read_dir(&root).unwrap().count(), 0);
    }

    #[test]
    fn the_records_of_runs_without_a_process_are_removed() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("state");
        let take = |container: &str| Place::take(container, dir.path(), &agent(), &root).unwrap();
        let abandoned = take("mesos-00000000-0000-4000-8000-000000000001");
        let state = abandoned.state.clone();
        drop(abandoned);
        let held = take(CONTAINER);
        fs::create_dir(root.join("else")).unwrap();
        fs::write(root.join("else").join(LOCK), "").unwrap();
        sweep(&root, ABANDONED);
        assert!(state.is_dir(), "it may just have ended, and its guard be busy");
        sweep(&root, Duration::ZERO);
        assert!(!state.exists() && held.state.is_dir() && root.join("else").is_dir());
    }

    #[test]
    fn a_directory_that_others_can_write_is_not_used() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("state");
        fs::create_dir(&root).unwrap();
        fs::set_permissions(&root, std::os::unix::fs::PermissionsExt::from_mode(0o777)).unwrap();
        let error = Place::take(CONTAINER, dir.path(), &agent(), &root).unwrap_err();
        assert!(matches!(error, PlaceError::Foreign { .. }), "{error}");
        let missing = Place::take(CONTAINER, &dir.path().join("none"), &agent(), &root).unwrap_err();
        assert!(missing.to_string().contains("none"), "{missing}");
    }

    #[rstest::rstest]
    #[case("/w/slaves/A/frameworks/F/executors/e/runs/c", "/w")]
    #[case("/w/slaves/A/docker/links/c", "/w")]
    #[case("/somewhere/else", "/somewhere")]
    fn the_work_directory_is_read_from_the_sandbox(#[case] sandbox: &str, #[case] work_dir: &str) {
        assert_eq!(work_dir_of(Path::new(sandbox), &"A".parse().unwrap()), Path::new(work_dir));
    }
}
