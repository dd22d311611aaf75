//! The error of everything that touches the work directory: what was tried, on which path, and why it failed.

use std::io;
use std::path::{Path, PathBuf};

use rustix::io::Errno;

/// A failed operation on a file of the work directory.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CheckpointError {
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
    /// The file system or the quota is full.
    #[error("cannot {operation} {path:?} (free disk space or raise the quota of its file system)")]
    NoSpace {
        /// What was tried, as a verb that fits before the path.
        operation: &'static str,
        /// On what.
        path: PathBuf,
        /// The system's words for it.
        source: io::Error,
    },
    /// The process may not.
    #[error("cannot {operation} {path:?} (run the agent as root, or let its user do this)")]
    NotPermitted {
        /// What was tried, as a verb that fits before the path.
        operation: &'static str,
        /// On what.
        path: PathBuf,
        /// The system's words for it.
        source: io::Error,
    },
    /// Something else than what belongs there: a symbolic link, a directory in a file's place, …
    #[error("cannot {operation} {path:?}: it is not {expected}")]
    Unexpected {
        /// What was tried, as a verb that fits before the path.
        operation: &'static str,
        /// On what.
        path: PathBuf,
        /// What is needed.
        expected: &'static str,
    },
    /// A path that is not below the work directory.
    #[error("cannot use {path:?}: it is not below the work directory {work_dir:?}")]
    NotBelow {
        /// The path.
        path: PathBuf,
        /// The work directory.
        work_dir: PathBuf,
    },
    /// A file or a record is larger than its reader accepts.
    #[error("cannot read {path:?}: it holds more than {max} bytes")]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// The bound, in bytes.
        max: u64,
    },
    /// The content is not what the file's name promises.
    #[error("{path:?} is damaged: {reason}")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The content does not decode.
    #[error("{path:?} is damaged: it holds no {message}")]
    Undecodable {
        /// The file.
        path: PathBuf,
        /// The message that belongs there.
        message: &'static str,
        /// What the decoder says.
        source: prost::DecodeError,
    },
    /// A `latest` link leads out of its directory.
    #[error("the link {path:?} points to {target:?}, which is outside of its directory")]
    Outside {
        /// The link.
        path: PathBuf,
        /// Where it points.
        target: PathBuf,
    },
}

impl CheckpointError {
    /// Sorts an error number into the variant that names its remedy.
    pub(crate) fn from_errno(operation: &'static str, path: impl Into<PathBuf>, errno: Errno) -> Self {
        let path = path.into();
        match errno {
            Errno::NOSPC | Errno::DQUOT => Self::NoSpace { operation, path, source: errno.into() },
            Errno::ACCESS | Errno::PERM => Self::NotPermitted { operation, path, source: errno.into() },
            Errno::LOOP => Self::Unexpected { operation, path, expected: "free of symbolic links" },
            _ => Self::Io { operation, path, source: errno.into() },
        }
    }

    /// Says whether the file or directory was simply not there.
    #[must_use]
    pub fn is_not_found(&self) -> bool {
        matches!(self, Self::Io { source, .. } if source.kind() == io::ErrorKind::NotFound)
    }

    /// The path that the failure is about.
    #[must_use]
    pub fn path(&self) -> &Path {
        match self {
            Self::Io { path, .. }
            | Self::NoSpace { path, .. }
            | Self::NotPermitted { path, .. }
            | Self::Unexpected { path, .. }
            | Self::NotBelow { path, .. }
            | Self::TooLarge { path, .. }
            | Self::Damaged { path, .. }
            | Self::Undecodable { path, .. }
            | Self::Outside { path, .. } => path,
        }
    }
}

/// Gives errors of the system their operation and path.
pub(crate) trait Context<T> {
    /// Names the operation and the path of a failure.
    fn context(self, operation: &'static str, path: impl Into<PathBuf>) -> Result<T, CheckpointError>;
}

impl<T> Context<T> for Result<T, Errno> {
    fn context(self, operation: &'static str, path: impl Into<PathBuf>) -> Result<T, CheckpointError> {
        self.map_err(|errno| CheckpointError::from_errno(operation, path, errno))
    }
}

impl<T> Context<T> for io::Result<T> {
    fn context(self, operation: &'static str, path: impl Into<PathBuf>) -> Result<T, CheckpointError> {
        self.map_err(|error| match Errno::from_io_error(&error) {
            Some(errno) => CheckpointError::from_errno(operation, path, errno),
            None => CheckpointError::Io { operation, path: path.into(), source: error },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[rstest::rstest]
    #[case::full(
        Errno::NOSPC,
        "cannot write \"/w/a\" (free disk space or raise the quota of its file system)"
    )]
    #[case::not_allowed(
        Errno::ACCESS,
        "cannot write \"/w/a\" (run the agent as root, or let its user do this)"
    )]
    #[case::a_link(Errno::LOOP, "cannot write \"/w/a\": it is not free of symbolic links")]
    #[case::another(Errno::IO, "cannot write \"/w/a\"")]
    fn a_failure_names_its_remedy(#[case] errno: Errno, #[case] expected: &str) {
        assert_eq!(CheckpointError::from_errno("write", "/w/a", errno).to_string(), expected);
    }
}
