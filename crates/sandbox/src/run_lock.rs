//! The lock of a run or an agent: held by one process, let go by the kernel when that process ends, however it ends.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::fs::{CWD, FlockOperation, Mode, OFlags, flock, ftruncate, openat};
use rustix::io::Errno;

use crate::error::{Context, SandboxError};

/// How long to try against processes that only look whether the lock is held. That takes them microseconds, unless
/// the scheduler stops one of them in the middle of it.
const PATIENCE: Duration = Duration::from_secs(5);

/// The pause between two attempts against them.
const PAUSE: Duration = Duration::from_millis(1);

/// The longest process id written into a lock file, with its newline.
const MAX_PID: u64 = 32;

/// Flags of a lock file's open. A FIFO in its place must not block, and no child inherits the lock.
const LOCK: OFlags = OFlags::NOFOLLOW.union(OFlags::NONBLOCK).union(OFlags::NOCTTY).union(OFlags::CLOEXEC);

/// A lock on a file, held until it is dropped.
///
/// The file stays: removing it would let two processes lock two files of one name. Whoever removes the directory does
/// so while holding the lock.
#[derive(Debug)]
pub struct RunLock {
    file: File,
}

impl Drop for RunLock {
    fn drop(&mut self) {
        // Closing would do, but for a child between its fork and its exec, which has the descriptor for a moment.
        let _ = flock(&self.file, FlockOperation::Unlock);
    }
}

/// Another process has the lock.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{path:?} is locked by {}", holder.map_or("another process".to_owned(), |pid| format!("process {pid}")))]
pub struct Held {
    /// The lock file.
    pub path: PathBuf,
    /// The holder's process id, as it wrote it, in its own pid namespace.
    pub holder: Option<u32>,
}

/// Why a lock could not be had.
#[derive(Debug, thiserror::Error)]
pub enum RunLockError {
    /// Another process has it.
    #[error(transparent)]
    Held(#[from] Held),
    /// The lock file could not be used.
    #[error(transparent)]
    File(#[from] SandboxError),
}

impl RunLock {
    /// Takes the lock, without waiting for another holder. The file is created with mode 0600 where it is missing.
    ///
    /// Somebody who only looks may be in the way for a moment. That is waited for, with a bound.
    ///
    /// # Errors
    ///
    /// [`RunLockError::Held`] names the holder; [`RunLockError::File`] when the lock file cannot be opened or is no
    /// regular file.
    pub fn acquire(path: &Path) -> Result<RunLock, RunLockError> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let file = open(path, LOCK | OFlags::RDWR | OFlags::CREATE)?;
            match try_lock(&file).context("lock", path)? {
                Attempt::Locked if is_at(&file, path) => {
                    note_holder(&file).context("write", path)?;
                    return Ok(RunLock { file });
                }
                // The file was replaced between our open and our lock. The next round opens the new one.
                Attempt::Locked => {}
                Attempt::Watched => std::thread::park_timeout(PAUSE),
                Attempt::Held => return Err(held(path, &file).into()),
            }
            if Instant::now() > deadline {
                return Err(Held { path: path.to_owned(), holder: None }.into());
            }
        }
    }

    /// Says whether some process, this one included, holds the lock. A missing file is not locked.
    ///
    /// # Errors
    ///
    /// When the lock file cannot be opened or is no regular file.
    pub fn is_held(path: &Path) -> Result<bool, SandboxError> {
        let file = match open(path, LOCK | OFlags::RDONLY) {
            Err(error) if error.is_not_found() => return Ok(false),
            result => result?,
        };
        match flock(&file, FlockOperation::NonBlockingLockShared) {
            Ok(()) => {
                // Given back at once for the sake of who takes it now.
                let _ = flock(&file, FlockOperation::Unlock);
                Ok(false)
            }
            Err(Errno::WOULDBLOCK) => Ok(true),
            Err(errno) => Err(SandboxError::from_errno("lock", path, errno)),
        }
    }

    /// The process id that the present or last holder wrote into the lock file, if any.
    #[must_use]
    pub fn holder(path: &Path) -> Option<u32> {
        read_holder(&open(path, LOCK | OFlags::RDONLY).ok()?)
    }
}

enum Attempt {
    Locked,
    /// Only processes that look whether it is held are in the way.
    Watched,
    Held,
}

/// Tries an exclusive lock. Those who look take a shared one for a moment, which an exclusive holder would refuse.
fn try_lock(file: &File) -> Result<Attempt, Errno> {
    match flock(file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => return Ok(Attempt::Locked),
        Err(Errno::WOULDBLOCK) => {}
        Err(errno) => return Err(errno),
    }
    match flock(file, FlockOperation::NonBlockingLockShared) {
        Ok(()) => flock(file, FlockOperation::Unlock).map(|()| Attempt::Watched),
        Err(Errno::WOULDBLOCK) => Ok(Attempt::Held),
        Err(errno) => Err(errno),
    }
}

fn open(path: &Path, flags: OFlags) -> Result<File, SandboxError> {
    let file = File::from(openat(CWD, path, flags, Mode::RUSR | Mode::WUSR).context("open lock", path)?);
    let metadata = file.metadata().context("look at lock", path)?;
    if metadata.is_file() {
        return Ok(file);
    }
    let source = io::Error::new(io::ErrorKind::InvalidInput, "not a regular file");
    Err(SandboxError::Io { operation: "open lock", path: path.to_owned(), source })
}

/// Whether the path still names this file.
fn is_at(file: &File, path: &Path) -> bool {
    match (file.metadata(), path.symlink_metadata()) {
        (Ok(ours), Ok(there)) => (ours.dev(), ours.ino()) == (there.dev(), there.ino()),
        _ => false,
    }
}

fn note_holder(file: &File) -> io::Result<()> {
    ftruncate(file, 0)?;
    std::os::unix::fs::FileExt::write_all_at(file, format!("{}\n", std::process::id()).as_bytes(), 0)
}

fn held(path: &Path, file: &File) -> Held {
    Held { path: path.to_owned(), holder: read_holder(file) }
}

fn read_holder(file: &File) -> Option<u32> {
    let mut text = String::new();
    file.take(MAX_PID).read_to_string(&mut text).ok()?;
    text.trim().parse().ok()
}
