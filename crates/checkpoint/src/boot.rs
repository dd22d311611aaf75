//! The id of the boot: after another one, no process id of a checkpoint means anything (`os::bootId`).

use std::fmt;
use std::path::Path;

use crate::dir::Dir;
use crate::error::CheckpointError;

/// Where the kernel tells it.
const KERNEL: &str = "/proc/sys/kernel/random";

/// The longest file, in bytes. The kernel's id is a UUID.
const LONGEST: u64 = 4096;

/// The id of a boot, without surrounding white space.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BootId(String);

impl BootId {
    /// Reads the id of the running kernel's boot.
    ///
    /// # Errors
    ///
    /// When `/proc` does not tell it.
    pub fn current() -> Result<Self, CheckpointError> {
        let missing = || CheckpointError::Damaged {
            path: Path::new(KERNEL).join("boot_id"),
            reason: "it is missing or empty".to_owned(),
        };
        Self::read(&Dir::open_root(Path::new(KERNEL))?)?.ok_or_else(missing)
    }

    /// An id as it stands in a file; `None` for one of white space alone.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim_matches(['\0', ' ', '\t', '\r', '\n']);
        (!text.is_empty()).then(|| Self(text.to_owned()))
    }

    /// The id as it is written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Reads `boot_id` in a directory; `None` when it is missing or empty.
    pub(crate) fn read(dir: &Dir) -> Result<Option<Self>, CheckpointError> {
        let bytes = dir.read("boot_id", LONGEST)?;
        Ok(bytes.and_then(|bytes| Self::parse(&String::from_utf8_lossy(&bytes))))
    }
}

impl fmt::Display for BootId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
