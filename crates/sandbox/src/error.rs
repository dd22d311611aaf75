//! The error of everything that touches a sandbox: what was tried, on which path, and why it was refused.

use std::io;
use std::path::{Path, PathBuf};

use rustix::io::Errno;

use crate::node::Found;
use crate::removal::Removed;

/// A refused or failed operation on a file of a sandbox, or on one of our own files beside it.
///
/// Paths are printed escaped, because their names may have been chosen by a task.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SandboxError {
    /// A system call failed.
    #[error("cannot {operation} {path:?}")]
    Io {
        /// What was tried, as a verb that fits before the path.
        operation: &'static str,
        /// On what.
        path: PathBuf,
        /// Why it failed.
        source: io::Error,
    },
    /// The file system or the owner's quota is full.
    #[error("cannot {operation} {path:?} (free disk space or raise the quota of its file system)")]
    NoSpace {
        /// What was tried, as a verb that fits before the path.
        operation: &'static str,
        /// On what.
        path: PathBuf,
        /// The system's words for it.
        source: io::Error,
    },
    /// A component of the path is a symbolic link.
    #[error(
        "cannot {operation} {path:?}: it is a symbolic link, and links below a sandbox are never followed"
    )]
    Symlink {
        /// What was tried, as a verb that fits before the path.
        operation: &'static str,
        /// The link itself.
        path: PathBuf,
    },
    /// Something else than what is needed is there: a FIFO, a device, a file with several links, ...
    #[error("cannot {operation} {path:?}: it is {found}, expected {expected}")]
    Unexpected {
        /// What was tried, as a verb that fits before the path.
        operation: &'static str,
        /// On what.
        path: PathBuf,
        /// What is there.
        found: Found,
        /// What is needed.
        expected: &'static str,
    },
    /// A directory that must be new or empty holds something.
    #[error("cannot {operation} {path:?}: the directory is there and not empty")]
    NotEmpty {
        /// What was tried, as a verb that fits before the path.
        operation: &'static str,
        /// On what.
        path: PathBuf,
    },
    /// The path now names another directory than the one that was opened.
    #[error("cannot {operation} {path:?}: the directory was replaced by another one")]
    Moved {
        /// What was tried, as a verb that fits before the path.
        operation: &'static str,
        /// The directory's path.
        path: PathBuf,
    },
    /// A file system is mounted inside the directory to remove.
    #[error("cannot {operation} {path:?}: a file system is mounted there (unmount it first)")]
    Mounted {
        /// What was tried, as a verb that fits before the path.
        operation: &'static str,
        /// The mount point.
        path: PathBuf,
    },
    /// A removal went as far as it could, and something is left.
    #[error(
        "cannot remove all of {path:?}: removed {} files and {} directories, then some were left",
        removed.files,
        removed.directories
    )]
    Incomplete {
        /// The directory that was to be removed.
        path: PathBuf,
        /// What was removed.
        removed: Removed,
        /// The first thing that could not be removed, and why.
        #[source]
        first: Box<SandboxError>,
    },
    /// A file is larger than its reader accepts.
    #[error("cannot read {path:?}: it is larger than {max} bytes")]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// The bound, in bytes.
        max: u64,
    },
    /// A directory holds more than its reader accepts.
    #[error("cannot {operation} {path:?}: it has more than {most} entries")]
    TooManyEntries {
        /// What was tried, as a verb that fits before the path.
        operation: &'static str,
        /// The directory.
        path: PathBuf,
        /// The bound.
        most: usize,
    },
    /// A name that must be one path component is not.
    #[error("cannot use {name:?} as a file name in {path:?}: it must be one component of 1 to 200 bytes")]
    InvalidName {
        /// The directory.
        path: PathBuf,
        /// The refused name.
        name: String,
    },
}

impl SandboxError {
    /// Sorts an error number into the variant that names its remedy.
    pub(crate) fn from_errno(
        operation: &'static str,
        path: impl Into<PathBuf>,
        errno: Errno,
    ) -> SandboxError {
        let path = path.into();
        match errno {
            Errno::NOSPC | Errno::DQUOT => SandboxError::NoSpace { operation, path, source: errno.into() },
            Errno::LOOP => SandboxError::Symlink { operation, path },
            _ => SandboxError::Io { operation, path, source: errno.into() },
        }
    }

    /// Sorts an error of the standard library the same way.
    pub(crate) fn from_io(
        operation: &'static str,
        path: impl Into<PathBuf>,
        error: io::Error,
    ) -> SandboxError {
        match Errno::from_io_error(&error) {
            Some(errno) => SandboxError::from_errno(operation, path, errno),
            None => SandboxError::Io { operation, path: path.into(), source: error },
        }
    }

    /// Says whether the file or directory was simply not there.
    #[must_use]
    pub fn is_not_found(&self) -> bool {
        matches!(self, SandboxError::Io { source, .. } if source.kind() == io::ErrorKind::NotFound)
    }

    /// Says whether space or quota ran out, so that the same call may succeed later.
    #[must_use]
    pub fn is_no_space(&self) -> bool {
        matches!(self, SandboxError::NoSpace { .. })
    }

    /// Says whether the name to create was already taken.
    #[must_use]
    pub fn is_already_exists(&self) -> bool {
        matches!(self, SandboxError::Io { source, .. } if source.kind() == io::ErrorKind::AlreadyExists)
    }

    /// The path that the operation was about.
    #[must_use]
    pub fn path(&self) -> &Path {
        match self {
            SandboxError::Io { path, .. }
            | SandboxError::NoSpace { path, .. }
            | SandboxError::Symlink { path, .. }
            | SandboxError::Unexpected { path, .. }
            | SandboxError::NotEmpty { path, .. }
            | SandboxError::Moved { path, .. }
            | SandboxError::Mounted { path, .. }
            | SandboxError::Incomplete { path, .. }
            | SandboxError::TooLarge { path, .. }
            | SandboxError::TooManyEntries { path, .. }
            | SandboxError::InvalidName { path, .. } => path,
        }
    }
}

/// Gives errors of the system their operation and path.
pub(crate) trait Context<T> {
    /// Names the operation and the path of a failure.
    fn context(self, operation: &'static str, path: impl Into<PathBuf>) -> Result<T, SandboxError>;
}

impl<T> Context<T> for Result<T, Errno> {
    fn context(self, operation: &'static str, path: impl Into<PathBuf>) -> Result<T, SandboxError> {
        self.map_err(|errno| SandboxError::from_errno(operation, path, errno))
    }
}

impl<T> Context<T> for io::Result<T> {
    fn context(self, operation: &'static str, path: impl Into<PathBuf>) -> Result<T, SandboxError> {
        self.map_err(|error| SandboxError::from_io(operation, path, error))
    }
}
