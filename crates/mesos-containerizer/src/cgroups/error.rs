//! What went wrong with a control group.

use std::io;
use std::path::{Path, PathBuf};

/// An operation on a control group that failed.
#[derive(Debug, thiserror::Error)]
#[error("cannot {operation} {}", path.display())]
pub struct CgroupsError {
    /// What was tried, as a verb.
    pub operation: &'static str,
    /// The file or directory.
    pub path: PathBuf,
    /// Why not.
    pub source: io::Error,
}

impl CgroupsError {
    pub(crate) fn of(operation: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self { operation, path: path.to_owned(), source }
    }

    /// Whether the group is not there.
    pub(crate) fn is_gone(&self) -> bool {
        // A file of a group that is removed while it is open answers ENODEV.
        self.source.kind() == io::ErrorKind::NotFound
            || self.source.raw_os_error() == Some(rustix::io::Errno::NODEV.raw_os_error())
    }
}
