//! A whole work directory read at a start (`slave::state::recover`).
//!
//! Strict, the first part that cannot be read ends it, with the path and the remedy. Otherwise that part is moved to
//! `meta/quarantine`, what depends on it is skipped, and the rest goes on. What a crash of the agent may leave is no
//! error in either case: a file that was never written, a stream that ends in the middle of a record, a temporary file.
//!
//! Reading also puts right: the cut end of a stream is cut off, temporary files are removed, and after a reboot the
//! process ids of executors, so that a reused pid is never taken for one of them.

mod agent;
mod reader;
mod resources;
mod state;
mod updates;

use std::path::PathBuf;

pub use state::{
    CommittedResources, Finding, FindingKind, Leftover, LeftoverReason, RecoveredAgent, RecoveredExecutor,
    RecoveredFramework, RecoveredOperation, RecoveredResources, RecoveredRun, RecoveredState, RecoveredTask,
    RecoveredUpdates,
};

use crate::boot::BootId;
use crate::error::CheckpointError;
use crate::store::Store;
use reader::Reader;

/// What to do about a part that cannot be read (`--strict`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Strictness {
    /// End there.
    Strict,
    /// Move it aside and go on.
    Lenient,
}

/// A work directory that cannot be recovered.
#[derive(Debug, thiserror::Error)]
#[error(
    "cannot recover the agent's state (repair or remove what is named below; or start with --no-strict, which moves \
     it aside and goes on without it; or start as a new agent: stop this machine's tasks and remove {latest:?})"
)]
pub struct RecoverError {
    /// The link whose removal makes a new agent.
    pub latest: PathBuf,
    /// What could not be read, and why.
    #[source]
    pub source: CheckpointError,
}

/// Reads the work directory that `store` holds. `boot` is the id of the running kernel's boot. Blocks.
///
/// # Errors
///
/// [`RecoverError`] for the first part that cannot be read when strict; otherwise only when a directory cannot be
/// listed or changed at all.
pub fn recover(store: &Store, strictness: Strictness, boot: &BootId) -> Result<RecoveredState, RecoverError> {
    let mut reader = Reader::new(store, strictness);
    reader.work_dir(boot).map_err(|source| RecoverError { latest: store.layout().latest_agent(), source })
}
