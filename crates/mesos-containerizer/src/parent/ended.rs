//! How a command ended, as its parent leaves it in the run's state directory.

use std::io;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use sandbox::{Durability, SandboxError, read_bounded, write_atomic};
use serde::{Deserialize, Serialize};

/// The file's name in the state directory.
const FILE: &str = "plain-ended";

/// A file that holds the room for the other one, on a disk that the command may have filled.
const RESERVE: &str = "plain-reserve";

/// How large the reserve is, in bytes. The last lines of standard error take the most.
const RESERVED: usize = 32 << 10;

/// The longest file that is read, in bytes.
const LONGEST: u64 = 64 << 10;

/// How often the file is written again when there is no room.
const ATTEMPTS: u32 = 30;

/// The pause before that.
const PAUSE: Duration = Duration::from_secs(1);

/// The version of the file.
const VERSION: u32 = 1;

/// Its mode: standard error may have secrets.
const MODE: u32 = 0o600;

/// How a command ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ended {
    /// By itself.
    Exited {
        /// Its exit code.
        code: i32,
    },
    /// By a signal.
    Signalled {
        /// The signal.
        signal: i32,
    },
    /// It never began: the agent was gone, or it could not be executed.
    NeverStarted {
        /// Why.
        why: String,
    },
}

/// What is known of the end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct End {
    version: u32,
    /// How it ended.
    pub ended: Ended,
    /// When, in milliseconds since 1970.
    pub at_millis: u64,
    /// The last lines of standard error.
    pub last_errors: String,
    /// Whether the sandbox has all of the output.
    pub is_complete: bool,
    /// Whether it left a core dump. Parents of the first version do not say.
    #[serde(default)]
    pub dumped_core: bool,
}

impl End {
    /// An end of now.
    pub fn now(ended: Ended) -> Self {
        let at = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
        let at_millis = u64::try_from(at).unwrap_or(u64::MAX);
        Self {
            version: VERSION,
            ended,
            at_millis,
            last_errors: String::new(),
            is_complete: true,
            dumped_core: false,
        }
    }

    /// Holds room for the file, on a disk that may be full at the end.
    ///
    /// # Errors
    ///
    /// As the system gives them.
    pub(super) fn reserve(state: &Path) -> Result<(), SandboxError> {
        write_atomic(state, RESERVE, &vec![b'.'; RESERVED], MODE, Durability::Process)
    }

    /// Writes the file. On a full disk the reserve goes, then the last lines, then it waits a while for room.
    #[expect(clippy::disallowed_methods, reason = "nobody tells when a disk has room again")]
    pub(super) fn store(mut self, state: &Path) -> Result<(), SandboxError> {
        let mut result = self.write(state);
        let _ = std::fs::remove_file(state.join(RESERVE));
        for attempt in 0..ATTEMPTS {
            if !result.as_ref().is_err_and(SandboxError::is_no_space) {
                break;
            }
            match attempt {
                0 => {}
                1 => self.last_errors.clear(),
                _ => std::thread::sleep(PAUSE),
            }
            result = self.write(state);
        }
        result
    }

    fn write(&self, state: &Path) -> Result<(), SandboxError> {
        // A struct of text and numbers is always JSON.
        let bytes = serde_json::to_vec(self).unwrap_or_default();
        write_atomic(state, FILE, &bytes, MODE, Durability::Process)
    }

    /// Reads the file; `None` if there is none, as long as the parent lives and after it was killed.
    ///
    /// # Errors
    ///
    /// It cannot be read, or has no end in it.
    pub fn load(state: &Path) -> Result<Option<Self>, SandboxError> {
        let bytes = match read_bounded(&state.join(FILE), LONGEST) {
            Ok(bytes) => bytes,
            Err(error) if error.is_not_found() => return Ok(None),
            Err(error) => return Err(error),
        };
        let read: Result<Self, _> = serde_json::from_slice(&bytes);
        read.map(Some).map_err(|source| SandboxError::Io {
            operation: "read",
            path: state.join(FILE),
            source: io::Error::new(io::ErrorKind::InvalidData, source),
        })
    }

    /// Removes what an earlier parent left there.
    ///
    /// # Errors
    ///
    /// As the system gives them.
    pub fn clear(state: &Path) -> io::Result<()> {
        match std::fs::remove_file(state.join(FILE)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn an_end_is_read_as_it_was_written() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(End::load(dir.path()).unwrap(), None);
        End::reserve(dir.path()).unwrap();
        let signalled = End::now(Ended::Signalled { signal: 6 });
        let end = End { last_errors: "why\n".into(), dumped_core: true, ..signalled };
        end.clone().store(dir.path()).unwrap();
        assert_eq!(End::load(dir.path()).unwrap(), Some(end));
        let mode = std::fs::metadata(dir.path().join(FILE)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, MODE);
        assert!(!dir.path().join(RESERVE).exists());
        std::fs::write(dir.path().join(FILE), "{").unwrap();
        assert!(End::load(dir.path()).is_err());
        End::clear(dir.path()).unwrap();
        End::clear(dir.path()).unwrap();
        assert_eq!(End::load(dir.path()).unwrap(), None);
    }

    /// The files of a version that was rolled out are read by every later one.
    #[test]
    fn the_first_form_is_read() {
        let dir = tempfile::tempdir().unwrap();
        for (ended, expected) in [
            (r#"{"exited":{"code":3}}"#, Ended::Exited { code: 3 }),
            (r#"{"signalled":{"signal":15}}"#, Ended::Signalled { signal: 15 }),
            (r#"{"never_started":{"why":"x"}}"#, Ended::NeverStarted { why: "x".into() }),
        ] {
            let text = format!(
                r#"{{"version":1,"ended":{ended},"at_millis":5,"last_errors":"e","is_complete":true}}"#
            );
            std::fs::write(dir.path().join(FILE), text).unwrap();
            let end = End::load(dir.path()).unwrap().unwrap();
            assert_eq!((end.ended, end.dumped_core), (expected, false));
        }
    }
}
