//! What an agent and the helper of a command say to each other, framed as [`crate::parent::messages`] has it.

use serde::{Deserialize, Serialize};

use crate::parent::messages::{Order as Command, StartFailure};

/// What a helper is to start.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Order {
    /// The command. What concerns logs and records has no effect.
    pub(super) command: Command,
    /// What becomes of what it leaves behind when it ends by itself.
    pub(super) leftovers: Leftovers,
    /// How many bytes are kept of each stream of its output, its last ones.
    pub(super) kept: usize,
}

/// What becomes of what a command leaves behind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Leftovers {
    /// It stays: the container's control groups hold it.
    Stay,
    /// It is killed.
    Kill,
}

/// What a helper says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Told {
    /// The command's process is there and waits.
    Forked {
        /// Its number.
        pid: u32,
    },
    /// The command was executed.
    Started,
    /// It was not, and there is no process.
    Failed(StartFailure),
    /// It ended, and what it left behind is cleared away as the order says.
    Ended(Ended),
}

/// The end of a command.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Ended {
    /// How, as `wait(2)` has it.
    pub(super) status: i32,
    /// The last of its standard output.
    pub(super) stdout: Vec<u8>,
    /// The last of its standard error.
    pub(super) stderr: Vec<u8>,
}
