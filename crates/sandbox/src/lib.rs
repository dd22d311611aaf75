//! Safe files in a hostile place.
//!
//! A sandbox is the directory of one run. It is mounted writable into containers whose processes run as root,
//! while our own root process creates, truncates, appends to, reads and removes files in it. Every open below a
//! sandbox goes through this crate, which follows these rules:
//!
//! * A path is a [`RelPath`], and it is resolved from the sandbox's own descriptor, never through a symbolic
//!   link, never above the sandbox.
//! * An existing file is first pinned without opening it, then looked at, and opened only when it is a regular
//!   file with one link. Nothing blocks on a FIFO and no device is ever touched.
//! * What we create, we create exclusively.
//! * A log file is matched to the stored device and inode before it is truncated or continued.
//! * Removal walks directory descriptors and stops at mounts.
//!
//! Rooms: [`Sandbox`] is the directory, [`LogFile`] writes one of its streams with rotation and an exact cursor,
//! [`LogReader`] and [`last_lines`] read them back, [`remove_all`] removes it, after
//! [`detach_mounts`] where something may still be mounted. [`Place`] and [`Staged`] put what was
//! fetched or unpacked there, [`Sandbox::view`] shows it to a reader outside. [`RunLock`] and [`write_atomic`]
//! are for the directories beside it, which no container sees.
//!
//! Everything here is a short blocking call on a local file. The crate knows neither Docker nor an async runtime:
//! the containerizer, the task supervisor and the command line call it.

mod aside;
mod atomic_file;
mod directory;
mod error;
mod handover;
mod log;
mod mounts;
mod node;
mod place;
mod rel_path;
mod removal;
mod resolve;
mod run_lock;
mod staged;
mod unmount;
mod view;

pub use atomic_file::{Durability, is_temporary, read_bounded, remove_temporaries, write_atomic};
pub use directory::{Resolved, ResolvedKind, Sandbox};
pub use error::SandboxError;
pub use handover::Handover;
pub use log::{
    LogFile, LogPosition, LogReader, ReadOutcome, ResumeOutcome, Resumed, RotateOutcome, RotationPolicy,
    StartAt, last_lines,
};
pub use node::{Found, InvalidOwner, Kind, Owner};
pub use place::{FileId, MadeDirectory, Modified, PinnedFile, Place};
pub use rel_path::{RelPath, RelPathError};
pub use removal::{Removed, remove_all};
pub use run_lock::{Held, RunLock, RunLockError};
pub use staged::Staged;
pub use unmount::detach_mounts;
pub use view::{Entry, Viewed, ViewedDirectory, view_own_file};
