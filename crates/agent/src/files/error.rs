//! Why a file is not shown.

use sandbox::SandboxError;

/// What went wrong, sorted as stock sorts it (`FilesError` of `src/files/files.hpp`).
#[derive(Debug, thiserror::Error)]
pub enum FilesError {
    /// The path is not attached, or nothing is there.
    #[error("not found")]
    NotFound,
    /// The path means something that is not shown.
    #[error("{0}")]
    Invalid(String),
    /// The file system failed.
    #[error("cannot show {path:?}")]
    Failed {
        /// The virtual path.
        path: String,
        /// Why.
        source: SandboxError,
    },
}

impl FilesError {
    /// Sorts what the sandbox said of the virtual path.
    pub(super) fn of(path: &str, error: SandboxError) -> Self {
        match error {
            error if error.is_not_found() || is_below_a_file(&error) => Self::NotFound,
            SandboxError::Symlink { .. } => {
                Self::Invalid(format!("'{path}' is inaccessible: a link leads out of the directory"))
            }
            SandboxError::Unexpected { found, expected, .. } => {
                Self::Invalid(format!("'{path}' is inaccessible: it is {found}, expected {expected}"))
            }
            SandboxError::TooManyEntries { most, .. } => Self::Invalid(format!(
                "'{path}' has more than {most} entries, which are too many to list (raise --http_max_listed_files)"
            )),
            source => Self::Failed { path: path.to_owned(), source },
        }
    }
}

/// Whether a component in the middle of the path is a file.
fn is_below_a_file(error: &SandboxError) -> bool {
    matches!(error, SandboxError::Io { source, .. } if source.kind() == std::io::ErrorKind::NotADirectory)
}
