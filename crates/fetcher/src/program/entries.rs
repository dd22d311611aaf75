//! Files of the cache, as one fetch sees them. Several items may share one: it is downloaded once.

use std::collections::HashMap;
use std::fs::File;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use sandbox::{RelPath, Sandbox, SandboxError};
use tokio::sync::OnceCell;

/// The cache's directory of this fetch's user.
#[derive(Debug)]
pub(super) struct Entries {
    directory: Sandbox,
    filled: Mutex<HashMap<RelPath, Arc<OnceCell<()>>>>,
}

impl Entries {
    pub(super) fn new(directory: Sandbox) -> Entries {
        Entries { directory, filled: Mutex::default() }
    }

    /// The directory, to put a file there.
    pub(super) fn directory(&self) -> &Sandbox {
        &self.directory
    }

    /// Where a file of the cache is.
    pub(super) fn path(&self, file: &RelPath) -> PathBuf {
        self.directory.path().join(file)
    }

    /// Opens a file of the cache. A link or anything else that the user's own processes put there is refused.
    pub(super) fn open(&self, file: &RelPath) -> Result<File, SandboxError> {
        self.directory.open_file(file)
    }

    /// What is set once somebody has seen to it that a file is there.
    pub(super) fn filled(&self, file: &RelPath) -> Arc<OnceCell<()>> {
        let mut filled = self.filled.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(filled.entry(file.clone()).or_default())
    }
}
