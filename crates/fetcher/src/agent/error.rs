//! Why a fetch failed, in stock's words where it has some.

use std::io;
use std::path::PathBuf;

use crate::uri::UriError;

/// Why the URIs of a task are not in its sandbox.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FetchError {
    /// A URI or an output file that is refused before anything is started.
    #[error("Could not fetch")]
    Invalid(#[from] UriError),
    /// The user cannot be told from another.
    #[error(
        "Failed to chown the files of the task to user '{user}': {why}; name another in \
         command.user"
    )]
    Chown {
        /// The user.
        user: String,
        /// The system's words.
        why: String,
    },
    /// The child's program is not there.
    #[error(
        "Could not fetch URIs: failed to find mesos-fetcher at {path:?}; install it there, or name its directory \
         with --launcher_dir"
    )]
    NoProgram {
        /// Where it was looked for.
        path: PathBuf,
    },
    /// What the child must be told is more than Linux passes on.
    #[error(
        "Could not fetch URIs: they take {bytes} bytes, and Linux passes at most {most} to a process; fetch an archive"
    )]
    TooLong {
        /// The size of the request.
        bytes: usize,
        /// What there is room for.
        most: usize,
    },
    /// The child could not be started or followed.
    #[error("Could not fetch URIs: cannot {operation} {path:?}")]
    Child {
        /// What was tried.
        operation: &'static str,
        /// The program.
        path: PathBuf,
        /// Why it failed.
        source: io::Error,
    },
    /// The child failed.
    #[error("Failed to fetch all URIs for container '{container_id}': {status}{}", after_colon(.why))]
    Failed {
        /// The container.
        container_id: String,
        /// How the child ended: `exited with status 1`.
        status: String,
        /// What the child said was wrong.
        why: Option<String>,
    },
    /// The fetch was killed.
    #[error("the fetch was killed")]
    Killed,
}

fn after_colon(why: &Option<String>) -> String {
    why.as_ref().map(|why| format!(": {why}")).unwrap_or_default()
}
