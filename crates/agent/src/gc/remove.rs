//! One removal. Blocks on the file system, for long where there is much to remove.

use std::io;
use std::path::{Path, PathBuf};

use sandbox::{Removed, SandboxError, detach_mounts, remove_all};

/// The trees of a work directory in which there is anything to remove.
const TREES: [&str; 3] = ["slaves", "meta/slaves", "meta/quarantine"];

/// Removes directories below one work directory, and no others.
#[derive(Debug, Clone)]
pub struct Remover {
    work_dir: PathBuf,
}

/// Why a directory was not removed, or not all of it.
#[derive(Debug, thiserror::Error)]
pub enum RemovalError {
    /// It is not one of those that may be removed.
    #[error("refusing to remove {path:?}: it is no directory of a task below {work_dir:?}")]
    NotOurs {
        /// The directory.
        path: PathBuf,
        /// The work directory.
        work_dir: PathBuf,
    },
    /// The way to it could not be looked at.
    #[error("cannot look at {path:?}")]
    Look {
        /// The directory that holds it.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Something is mounted below it and could not be unmounted. Nothing was removed.
    #[error("cannot unmount what is mounted below {path:?}")]
    Mounted {
        /// The directory.
        path: PathBuf,
        /// Which mount, and why.
        source: SandboxError,
    },
    /// Something in it could not be removed; the rest is.
    #[error("cannot remove {path:?}")]
    Remove {
        /// The directory.
        path: PathBuf,
        /// What was first, and why.
        source: SandboxError,
    },
}

impl Remover {
    /// Removes below a canonical work directory.
    #[must_use]
    pub fn new(work_dir: impl Into<PathBuf>) -> Self {
        Self { work_dir: work_dir.into() }
    }

    /// Unmounts what is mounted below a directory and removes it with all that is in it. One that is not there is no
    /// error. Symbolic links are removed, never followed.
    ///
    /// # Errors
    ///
    /// See [`RemovalError`].
    pub fn remove(&self, path: &Path) -> Result<Removed, RemovalError> {
        if !self.is_there(path)? {
            return Ok(Removed::default());
        }
        let failed = |source: SandboxError| {
            let of_a_mount = source.path() != path;
            let path = path.to_owned();
            if of_a_mount {
                RemovalError::Mounted { path, source }
            } else {
                RemovalError::Remove { path, source }
            }
        };
        for mount in detach_mounts(path).map_err(failed)? {
            tracing::warn!(?mount, "a mount was left below a directory that is removed, and is unmounted");
        }
        remove_all(path).map_err(|source| RemovalError::Remove { path: path.to_owned(), source })
    }

    /// Says whether there is such a directory, and refuses one that may not be removed, also when a link on the way
    /// leads to another place.
    fn is_there(&self, path: &Path) -> Result<bool, RemovalError> {
        let refused = || RemovalError::NotOurs { path: path.to_owned(), work_dir: self.work_dir.clone() };
        let below = path.strip_prefix(&self.work_dir).map_err(|_| refused())?;
        let in_a_tree = TREES
            .iter()
            .any(|tree| below.strip_prefix(tree).is_ok_and(|rest| rest.components().next().is_some()));
        let plain = below.components().all(|part| matches!(part, std::path::Component::Normal(_)));
        let parent = path.parent().filter(|_| in_a_tree && plain).ok_or_else(refused)?;
        match parent.canonicalize() {
            Ok(canonical) if canonical == parent => Ok(true),
            Ok(_) => Err(refused()),
            Err(source) if source.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(source) => Err(RemovalError::Look { path: parent.to_owned(), source }),
        }
    }
}
