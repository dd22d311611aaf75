//! The output of containers: from the log driver ([`LogReader`]) and straight from the process ([`AttachReader`]).
//!
//! Both come as frames with an 8-byte head, split here without copying more than what lies across two reads.

mod attach;
mod frame;
mod reader;

pub use attach::{AttachFrame, AttachReader, Terminal};
pub use frame::OutputStream;
pub use reader::{Follow, LogFrame, LogReader, LogRequest};

pub(crate) use frame::{FrameKind, FrameSplitter};
