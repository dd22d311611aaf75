//! The HTTP API of executors (`Http::executor` in `src/slave/http.cpp`; `src/executor/executor.cpp` is the other side).
//!
//! | module | owns |
//! |---|---|
//! | [`call`] | what an executor says, read and validated |
//! | [`event`] | what it is told, as a record of its stream |

pub mod call;
pub mod event;

pub use call::{Asked, CallError};

/// How messages are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// With the field names of v1.
    Json,
    /// As protobuf.
    Protobuf,
}

impl Form {
    /// The media type.
    pub fn media_type(self) -> &'static str {
        match self {
            Self::Json => "application/json",
            Self::Protobuf => "application/x-protobuf",
        }
    }
}
