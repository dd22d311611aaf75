//! Where the output of a container goes.

use bytes::Bytes;
use sandbox::RotationPolicy;
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;

/// One of the two streams of a container.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum StreamName {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

/// How the sandbox's log files are kept (`--docker_log_max_size`, `--docker_log_max_files`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogSettings {
    /// When a file is rotated, and how many are kept.
    pub rotation: RotationPolicy,
}

/// Where a copy of the output goes besides the files: a bounded channel; a receiver that is gone is forgotten.
pub type LogTap = mpsc::Sender<LogChunk>;

/// Where the output of a container goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OutputTarget {
    /// Into the files `stdout` and `stderr` of the sandbox, and to the tap.
    #[default]
    Sandbox,
    /// As [`OutputTarget::Sandbox`], behind what is in the files: an agent that is not ours has made them.
    SandboxGoesOn,
    /// To the tap alone, for a host that has its own place for it. What is told of ours meanwhile goes there too, as long
    /// as there is room.
    Tap,
}

/// A piece of output, in the order in which it reached the files.
#[derive(Debug, Clone)]
pub struct LogChunk {
    /// Its stream.
    pub stream: StreamName,
    /// The bytes as the container wrote them.
    pub bytes: Bytes,
}
