//! Where a container's logs are up to, and the small file that holds it.

use std::path::{Path, PathBuf};

use sandbox::{Durability, LogPosition, SandboxError};
use serde::{Deserialize, Serialize};

use super::matcher::Marks;

/// The file in a run's state directory.
const FILE: &str = "log-cursors";

/// The largest cursor file that is read, in bytes.
const LARGEST: u64 = 64 * 1024;

/// The version of the file's form.
const SCHEMA: u32 = 1;

/// How far the logs of a container are: what was delivered, and where it ends in the files.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cursors {
    schema: u32,
    /// The last frames that are in the files.
    pub marks: Marks,
    /// Where the last frame of standard output ends.
    pub stdout: LogPosition,
    /// Where the last frame of standard error ends.
    pub stderr: LogPosition,
    /// Whether the tail was closed after the exit, so that nothing is left to read.
    pub complete: bool,
}

/// Where cursors are kept: one small file in the run's state directory, replaced as a whole.
///
/// It is not synced to the disk: a cursor matters after a crash of this process, and a machine that lost power has
/// lost the container as well.
#[derive(Debug, Clone)]
pub struct CursorStore {
    dir: PathBuf,
}

impl Cursors {
    /// Cursors at the end of two files that hold nothing of the engine's log.
    pub fn fresh(stdout: LogPosition, stderr: LogPosition) -> Self {
        Self { schema: SCHEMA, marks: Marks::default(), stdout, stderr, complete: false }
    }
}

impl CursorStore {
    /// The store in a run's state directory, which must exist.
    pub fn new(dir: &Path) -> Self {
        Self { dir: dir.to_owned() }
    }

    /// Replaces the stored cursors. Blocks on the file system.
    ///
    /// # Errors
    ///
    /// The file system's error with the path.
    pub fn store(&self, cursors: &Cursors) -> Result<(), SandboxError> {
        let bytes = serde_json::to_vec(cursors).unwrap_or_default();
        sandbox::write_atomic(&self.dir, FILE, &bytes, 0o600, Durability::Process)
    }

    /// Reads the stored cursors; `None` if there are none or they cannot be read, which costs a marked gap at most.
    /// Blocks on the file system.
    pub fn load(&self) -> Option<Cursors> {
        let path = self.dir.join(FILE);
        let bytes = match sandbox::read_bounded(&path, LARGEST) {
            Ok(bytes) => bytes,
            Err(error) => {
                tracing::debug!(path = %path.display(), error = crate::chain(&error), "no log cursors to resume from");
                return None;
            }
        };
        match serde_json::from_slice::<Cursors>(&bytes) {
            Ok(cursors) if cursors.schema == SCHEMA => Some(cursors),
            Ok(cursors) => {
                tracing::warn!(path = %path.display(), schema = cursors.schema, "log cursors of another version are not used");
                None
            }
            Err(error) => {
                tracing::warn!(path = %path.display(), %error, "log cursors cannot be read and are not used");
                None
            }
        }
    }
}
