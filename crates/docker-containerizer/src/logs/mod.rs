//! Exact logs: what a container writes reaches the sandbox's `stdout` and `stderr` once each and in order.
//!
//! ```text
//! engine ──logs?follow──► Follower ──► Matcher (deliver or skip) ──► LogFiles (sandbox) ──► tap
//!                                                                        │
//!                                                                        └──► CursorStore: where to go on
//! ```
//!
//! The cursor is the time stamp of the last frame in the files, how many frames had that stamp, and the place in each
//! file. It is stored behind the files: after a crash the files are cut back to the cursor and the engine is read from
//! there, so nothing is doubled. Used by the driver of a container (`driver`).

mod cursor;
mod files;
mod follower;
mod lag;
mod matcher;
mod notes;
mod patience;
mod plan;
mod reader;
mod torn;

pub use containerizer::{LogChunk, LogSettings, LogTap, OutputTarget, StreamName};
pub use cursor::{CursorStore, Cursors};
pub use matcher::{Mark, Marks};

pub(crate) use files::LogFiles;
pub(crate) use follower::{Drained, Follower, Source};
pub(crate) use notes::{NoteSender, Notes, notes};
