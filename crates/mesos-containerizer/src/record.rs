//! The record of a container's processes, from which the next agent finds them.
//!
//! It is written when the command's process is there and waits, before the word that starts it. Numbers of processes are
//! recorded with their start times, and the system's run: what has another is another.

use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use sandbox::{Durability, SandboxError, read_bounded, write_atomic};
use serde::{Deserialize, Serialize};

use crate::cgroups::GroupDirs;
use crate::processes::ProcessId;

/// The file's name in the run's state directory.
const FILE: &str = "plain-processes";

/// The longest file that is read, in bytes.
const LONGEST: u64 = 64 << 10;

/// The version of the file.
const VERSION: u32 = 1;

/// Its mode.
const MODE: u32 = 0o600;

/// The processes of a container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Record {
    version: u32,
    /// The run of the system.
    pub(crate) boot_id: String,
    /// The supervising parent.
    pub(crate) parent: ProcessId,
    /// The command.
    pub(crate) command: ProcessId,
    /// The container's control groups.
    #[serde(default)]
    pub(crate) groups: GroupDirs,
    /// When it was made, in milliseconds since 1970.
    started_at_millis: u64,
}

impl Record {
    pub(crate) fn new(boot_id: String, parent: ProcessId, command: ProcessId, groups: GroupDirs) -> Self {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let started_at_millis = u64::try_from(since.as_millis()).unwrap_or(u64::MAX);
        Self { version: VERSION, boot_id, parent, command, groups, started_at_millis }
    }

    /// When the command was started.
    pub(crate) fn started_at(&self) -> SystemTime {
        UNIX_EPOCH.checked_add(Duration::from_millis(self.started_at_millis)).unwrap_or(UNIX_EPOCH)
    }

    /// Writes the record. Not for a loss of power, which nothing that it tells of survives.
    pub(crate) fn store(&self, state: &Path) -> Result<(), SandboxError> {
        // A struct of text and numbers is always JSON.
        let bytes = serde_json::to_vec(self).unwrap_or_default();
        write_atomic(state, FILE, &bytes, MODE, Durability::Process)
    }

    /// Takes the record away, if there is one.
    pub(crate) fn remove(state: &Path) -> Result<(), SandboxError> {
        match std::fs::remove_file(state.join(FILE)) {
            Err(source) if source.kind() != std::io::ErrorKind::NotFound => {
                Err(SandboxError::Io { operation: "remove", path: state.join(FILE), source })
            }
            Ok(()) | Err(_) => Ok(()),
        }
    }

    /// Reads the record; `None` if there is none.
    pub(crate) fn load(state: &Path) -> Result<Option<Self>, SandboxError> {
        let bytes = match read_bounded(&state.join(FILE), LONGEST) {
            Ok(bytes) => bytes,
            Err(error) if error.is_not_found() => return Ok(None),
            Err(error) => return Err(error),
        };
        let read: Result<Self, _> = serde_json::from_slice(&bytes);
        read.map(Some).map_err(|source| SandboxError::Io {
            operation: "read",
            path: state.join(FILE),
            source: std::io::Error::new(std::io::ErrorKind::InvalidData, source),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The file of the first version is read by every later one.
    #[test]
    fn a_record_is_read_as_it_was_written() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(Record::load(dir.path()).unwrap(), None);
        let id = |pid, start| ProcessId { pid, start };
        let record = Record::new("b".into(), id(7, 70), id(8, 80), GroupDirs::default());
        record.store(dir.path()).unwrap();
        assert_eq!(Record::load(dir.path()).unwrap().as_ref(), Some(&record));
        assert!(record.started_at().elapsed().unwrap() < Duration::from_secs(60));
        let first = r#"{"version":1,"boot_id":"b","parent":{"pid":7,"start":70},"command":{"pid":8,"start":80},"groups":[],"started_at_millis":1}"#;
        std::fs::write(dir.path().join(FILE), first).unwrap();
        let read = Record::load(dir.path()).unwrap().unwrap();
        assert_eq!((read.parent, read.command), (id(7, 70), id(8, 80)));
        std::fs::write(dir.path().join(FILE), "{}").unwrap();
        assert!(Record::load(dir.path()).is_err());
    }
}
