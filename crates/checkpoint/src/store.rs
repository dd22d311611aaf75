//! One agent's hold on a work directory, and all of its writes.
//!
//! A file is replaced whole: temporary file in the same directory, sync, rename, sync of the directory. A stream is
//! appended to. Files are readable by us alone, as stock's are; its `task.updates` are not (0644), though a container's
//! environment is in them, so ours are. Directories have stock's modes.

use std::ffi::OsStr;
use std::io::Write;
use std::path::{Component, Path, PathBuf};

use mesos_proto::internal::StatusUpdateRecord;
use mesos_proto::v1::{AgentInfo, DrainConfig, ExecutorInfo, FrameworkInfo, Task};
use prost::Message;
use rustix::fs::{Mode, OFlags, ftruncate};
use sandbox::{RunLock, RunLockError};

use crate::boot::BootId;
use crate::dir::Dir;
use crate::error::{CheckpointError, Context};
use crate::later::Later;
use crate::layout::{AgentPaths, ExecutorPaths, FrameworkPaths, RunPaths, TaskPaths, WorkDir};
use crate::record;
use crate::stream::Streamed;

/// The mode of directories that are made on the way.
const DIRECTORY_MODE: Mode = Mode::from_raw_mode(0o755);

/// The mode of a run's directory.
const RUN_MODE: Mode = Mode::from_raw_mode(0o750);

/// The pid that stands for a scheduler that speaks HTTP.
const HTTP_SCHEDULER: &str = "@0.0.0.0:0";

/// Whether an append waits for the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sync {
    /// It survives the end of this process, not a power cut.
    Process,
    /// It survives a power cut.
    Disk,
}

/// A work directory in use by this process, and by no other agent.
#[derive(Debug)]
pub struct Store {
    layout: WorkDir,
    root: Dir,
    _lock: RunLock,
}

/// Writes that wait for the disk together. Dropped without [`Together::settle`], which tells of errors, it waits as well.
#[derive(Debug)]
pub struct Together(Later);

impl Together {
    /// Waits for the disk.
    ///
    /// # Errors
    ///
    /// Those of the file system; any of the writes may be missing then.
    pub fn settle(self) -> Result<(), CheckpointError> {
        self.0.end()
    }
}

impl Drop for Together {
    fn drop(&mut self) {
        // Whoever drops it has an error to tell already.
        let _ = self.0.end();
    }
}

/// Why a work directory cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// It cannot be made or opened.
    #[error(
        "cannot use the work directory {path:?} (name another one with --work_dir, or give access to this one)"
    )]
    Unusable {
        /// The directory.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// Another agent uses it.
    #[error(
        "the work directory {work_dir:?} is in use by {} (stop that agent, or name another directory with --work_dir)",
        holder.map_or("another agent".to_owned(), |pid| format!("the agent with pid {pid}"))
    )]
    Held {
        /// The directory.
        work_dir: PathBuf,
        /// The other agent's process id, as it wrote it, in its own pid namespace.
        holder: Option<u32>,
    },
    /// The lock file cannot be used.
    #[error("cannot lock the work directory {work_dir:?}")]
    Lock {
        /// The directory.
        work_dir: PathBuf,
        /// Why.
        source: sandbox::SandboxError,
    },
    /// A directory in it cannot be made or opened.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
}

impl Store {
    /// Takes a work directory, which is made where it is missing. The layout has its canonical path.
    ///
    /// # Errors
    ///
    /// [`OpenError::Held`] names the agent that has it.
    pub fn open(work_dir: &Path) -> Result<Self, OpenError> {
        let unusable = |source| OpenError::Unusable { path: work_dir.to_owned(), source };
        std::fs::create_dir_all(work_dir).map_err(unusable)?;
        let canonical = work_dir.canonicalize().map_err(unusable)?;
        let root = Dir::open_root(&canonical)?;
        root.make_child(OsStr::new("meta"), DIRECTORY_MODE)?;
        let layout = WorkDir::new(canonical);
        let lock = RunLock::acquire(&layout.lock()).map_err(|error| {
            let work_dir = layout.root().to_owned();
            match error {
                RunLockError::Held(held) => OpenError::Held { work_dir, holder: held.holder },
                RunLockError::File(source) => OpenError::Lock { work_dir, source },
            }
        })?;
        Ok(Self { layout, root, _lock: lock })
    }

    /// The paths.
    #[must_use]
    pub fn layout(&self) -> &WorkDir {
        &self.layout
    }

    /// Writes the agent's SlaveInfo, and makes it the one that the next start finds.
    ///
    /// # Errors
    ///
    /// Those of the file system; the agent must not go on as registered then.
    pub fn write_agent(&self, paths: &AgentPaths, info: &AgentInfo) -> Result<(), CheckpointError> {
        self.write_message(&paths.info(), info)?;
        self.point(&self.layout.latest_agent(), paths.meta())
    }

    /// Lets go of the agent id: the next start finds none (`rm meta/slaves/latest`).
    ///
    /// # Errors
    ///
    /// Those of the file system.
    pub fn forget_agent(&self) -> Result<(), CheckpointError> {
        self.remove(&self.layout.latest_agent())
    }

    /// Writes how the agent is being drained, or that it no longer is.
    ///
    /// # Errors
    ///
    /// Those of the file system.
    pub fn write_drain_config(
        &self,
        paths: &AgentPaths,
        config: Option<&DrainConfig>,
    ) -> Result<(), CheckpointError> {
        match config {
            Some(config) => self.write_message(&paths.drain_config(), config),
            None => self.remove(&paths.drain_config()),
        }
    }

    /// Writes a framework and its scheduler's UPID, `None` for one that speaks HTTP.
    ///
    /// # Errors
    ///
    /// Those of the file system.
    pub fn write_framework(
        &self,
        paths: &FrameworkPaths,
        info: &FrameworkInfo,
        pid: Option<&str>,
    ) -> Result<(), CheckpointError> {
        self.write_message(&paths.info(), info)?;
        self.write_text(&paths.pid(), pid.unwrap_or(HTTP_SCHEDULER))
    }

    /// Writes an executor: as it is launched, with the resources of its own.
    ///
    /// # Errors
    ///
    /// Those of the file system.
    pub fn write_executor(
        &self,
        paths: &ExecutorPaths,
        info: &ExecutorInfo,
        generated: bool,
    ) -> Result<(), CheckpointError> {
        self.write_message(&paths.info(), info)?;
        self.write_text(&paths.generated(), if generated { "1" } else { "0" })
    }

    /// Makes the directory of a run's records and makes it the executor's newest.
    ///
    /// # Errors
    ///
    /// Those of the file system.
    pub fn create_run(&self, executor: &ExecutorPaths, run: &RunPaths) -> Result<(), CheckpointError> {
        self.parent(run.meta(), Missing::Make)?
            .make_child(run.meta().file_name().unwrap_or_default(), RUN_MODE)?;
        self.point(&executor.latest_meta(), run.meta())
    }

    /// Writes the process id of an executor, so that a stock agent that takes the directory over can watch it.
    ///
    /// # Errors
    ///
    /// Those of the file system.
    pub fn write_forked_pid(&self, run: &RunPaths, pid: u32) -> Result<(), CheckpointError> {
        self.write_text(&run.forked_pid(), &pid.to_string())
    }

    /// Writes the UPID of an executor that registered over libprocess. It is not rewritten when it registers again.
    ///
    /// # Errors
    ///
    /// Those of the file system; the executor must not be answered then.
    pub fn write_executor_pid(&self, run: &RunPaths, upid: &str) -> Result<(), CheckpointError> {
        self.write_text(&run.libprocess_pid(), upid)
    }

    /// Marks the executor of a run as one that speaks HTTP, at its first subscription.
    ///
    /// # Errors
    ///
    /// Those of the file system; the executor must not be answered then.
    pub fn write_http_marker(&self, run: &RunPaths) -> Result<(), CheckpointError> {
        self.write(&run.http_marker(), &[])
    }

    /// Lets the writes that follow wait for the disk together: at [`Together::settle`], or when they have become many.
    /// What must not happen before they stand is done afterwards. Not for a commit of resources, whose steps wait for
    /// each other.
    #[must_use]
    pub fn later(&self) -> Together {
        let later = self.root.later().clone();
        later.begin();
        Together(later)
    }

    /// Makes a sandbox the executor's newest. The sandbox itself is made by whoever runs the task.
    ///
    /// # Errors
    ///
    /// Those of the file system.
    pub fn point_to_sandbox(&self, executor: &ExecutorPaths, run: &RunPaths) -> Result<(), CheckpointError> {
        self.point(&executor.latest_work(), run.sandbox())
    }

    /// Writes a task, before it is queued or launched. The updates of an earlier task of this id, whose end was
    /// acknowledged, go first: behind them the next start would take the new task for one that has ended.
    ///
    /// # Errors
    ///
    /// Those of the file system.
    pub fn write_task(&self, paths: &TaskPaths, task: &Task) -> Result<(), CheckpointError> {
        self.remove(&paths.updates())?;
        self.write_message(&paths.info(), task)
    }

    /// Appends to a task's stream of updates. Only what cannot be made again waits for the disk: a terminal update. A
    /// lost acknowledgement costs one more delivery of the same update.
    ///
    /// # Errors
    ///
    /// Those of the file system; the update must be neither forwarded nor acknowledged then.
    pub fn append_task_update(
        &self,
        paths: &TaskPaths,
        record: &StatusUpdateRecord,
    ) -> Result<(), CheckpointError> {
        let sync = match &record.update {
            Some(update) if update.is_terminal() => Sync::Disk,
            Some(_) | None => Sync::Process,
        };
        self.append(&paths.updates(), record, sync)
    }

    /// Marks a run as over, so that the next start does not look for its executor.
    ///
    /// # Errors
    ///
    /// Those of the file system.
    pub fn complete_run(&self, run: &RunPaths) -> Result<(), CheckpointError> {
        self.write(&run.sentinel(), &[])
    }

    /// Writes the boot id, once recovery is done.
    ///
    /// # Errors
    ///
    /// Those of the file system.
    pub fn write_boot_id(&self, boot: &BootId) -> Result<(), CheckpointError> {
        self.write_text(&self.layout.boot_id(), boot.as_str())
    }

    /// Appends a record to a stream, which is made where it is missing. A write that fails half-way is undone.
    ///
    /// # Errors
    ///
    /// Those of the file system.
    pub fn append(&self, path: &Path, record: &impl Message, sync: Sync) -> Result<(), CheckpointError> {
        let bytes = self.encoded(path, record::encode(record))?;
        let dir = self.parent(path, Missing::Make)?;
        let name = path.file_name().unwrap_or_default();
        let new = !dir.exists(name)?;
        let flags = OFlags::WRONLY | OFlags::APPEND | OFlags::CREATE;
        let Some(mut file) = dir.open_file(name, flags)? else {
            return Err(CheckpointError::from_errno("open", path, rustix::io::Errno::NOENT));
        };
        let before = file.metadata().context("look at", path)?.len();
        if let Err(error) = file.write_all(&bytes) {
            // What follows half a record could not be read.
            ftruncate(&file, before).context("undo a write to", path)?;
            return Err(error).context("append to", path);
        }
        if sync == Sync::Disk {
            dir.sync_appended(name, &file)?;
            if new {
                dir.sync()?;
            }
        }
        Ok(())
    }

    /// Replaces a file by one message.
    ///
    /// # Errors
    ///
    /// Those of the file system.
    pub fn write_message(&self, path: &Path, message: &impl Message) -> Result<(), CheckpointError> {
        self.write(path, &self.encoded(path, record::encode(message))?)
    }

    /// Replaces a file by a list of messages.
    ///
    /// # Errors
    ///
    /// Those of the file system.
    pub fn write_list<M: Message>(&self, path: &Path, messages: &[M]) -> Result<(), CheckpointError> {
        self.write(path, &self.encoded(path, record::encode_list(messages))?)
    }

    /// Replaces a file by a text, to which no newline is added.
    ///
    /// # Errors
    ///
    /// Those of the file system.
    pub fn write_text(&self, path: &Path, text: &str) -> Result<(), CheckpointError> {
        self.write(path, text.as_bytes())
    }

    /// Replaces a file. Directories on the way are made.
    ///
    /// # Errors
    ///
    /// Those of the file system. The file has its old content then.
    pub fn write(&self, path: &Path, bytes: &[u8]) -> Result<(), CheckpointError> {
        self.parent(path, Missing::Make)?.replace(path.file_name().unwrap_or_default(), bytes)
    }

    /// Replaces a symbolic link. It always points to the old or the new target.
    ///
    /// # Errors
    ///
    /// Those of the file system.
    pub fn point(&self, link: &Path, target: &Path) -> Result<(), CheckpointError> {
        self.parent(link, Missing::Make)?.replace_link(link.file_name().unwrap_or_default(), target)
    }

    /// Renames a file over another one in the same directory.
    ///
    /// # Errors
    ///
    /// Those of the file system.
    pub(crate) fn rename(&self, from: &Path, to: &Path) -> Result<(), CheckpointError> {
        let name = |path: &'_ Path| path.file_name().unwrap_or_default().to_owned();
        self.parent(from, Missing::Make)?.rename(name(from), &name(to))
    }

    /// Removes a file or a link. One that is not there is no error.
    ///
    /// # Errors
    ///
    /// Those of the file system.
    pub fn remove(&self, path: &Path) -> Result<(), CheckpointError> {
        match self.parent(path, Missing::Refuse) {
            Ok(dir) => dir.remove(path.file_name().unwrap_or_default()),
            Err(error) if error.is_not_found() => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Opens the directory that a path is in.
    fn parent(&self, path: &Path, missing: Missing) -> Result<Dir, CheckpointError> {
        self.directory(path.parent().unwrap_or(Path::new("")), missing)
    }

    /// Opens a directory below the root, one component after the other.
    pub(crate) fn directory(&self, path: &Path, missing: Missing) -> Result<Dir, CheckpointError> {
        let not_below =
            || CheckpointError::NotBelow { path: path.to_owned(), work_dir: self.layout.root().to_owned() };
        let below = path.strip_prefix(self.layout.root()).map_err(|_| not_below())?;
        let mut dir = None;
        for component in below.components() {
            let Component::Normal(name) = component else { return Err(not_below()) };
            let from = dir.as_ref().unwrap_or(&self.root);
            dir = Some(match missing {
                Missing::Make => from.make_child(name, DIRECTORY_MODE)?,
                Missing::Refuse => from.child(name)?.ok_or_else(|| {
                    CheckpointError::from_errno("open directory", path, rustix::io::Errno::NOENT)
                })?,
            });
        }
        dir.ok_or_else(not_below)
    }

    fn encoded(
        &self,
        path: &Path,
        bytes: Result<Vec<u8>, record::TooLong>,
    ) -> Result<Vec<u8>, CheckpointError> {
        bytes.map_err(|error| CheckpointError::Damaged { path: path.to_owned(), reason: error.to_string() })
    }
}

/// What to do about a directory that is not there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Missing {
    Make,
    Refuse,
}
