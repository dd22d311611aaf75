//! The agent's work directory, in the layout and encodings of stock Mesos 1.11, so that either agent can take over from
//! the other: paths, records, writes that survive a crash at any point, and the reading of it all at a start.
//!
//! ```text
//! work_dir/slaves/…        sandboxes; not read here
//! work_dir/meta/boot_id, resources/…
//!              slaves/latest → slaves/<agent>/slave.info, drain.config, operations/<uuid>/operation.updates,
//!                  frameworks/<id>/framework.{info,pid}, executors/<id>/executor.info, runs/latest → runs/<container>/
//!                      executor.sentinel, http.marker, pids/…, tasks/<id>/task.{info,updates}
//! ```
//!
//! | module | owns |
//! |---|---|
//! | [`layout`] | every path, made of valid ids only |
//! | [`record`] | the form of a file: length-prefixed messages, alone, in lists and in streams |
//! | [`stream`] | what the two streams of status updates hold: updates and their acknowledgements |
//! | [`store`] | one agent's hold on a work directory, and all writes |
//! | [`resources`] | the two-step commit of checkpointed resources and operations |
//! | [`boot`] | the id of the boot |
//! | [`recover`](mod@recover) | a whole work directory read into [`RecoveredState`] |
//!
//! The agent calls it: [`Store::open`] first, then [`recover()`](recover::recover), then the writes of [`Store`] as things happen.
//! Everything here blocks on the file system, and most writes wait for the disk: an asynchronous caller uses a thread
//! made for that. A relative path is never resolved through a symbolic link, the two `latest` links apart, of which only
//! the last component is used.

mod dir;
mod error;
mod later;

pub mod boot;
pub mod layout;
pub mod record;
pub mod recover;
pub mod resources;
pub mod store;
pub mod stream;

pub use boot::BootId;
pub use error::CheckpointError;
pub use layout::{AgentPaths, ExecutorPaths, FrameworkPaths, RunPaths, TaskPaths, WorkDir};
pub use recover::{RecoverError, RecoveredState, Strictness};
pub use resources::{CommitError, ResourceChange};
pub use store::{OpenError, Store, Sync, Together};
pub use stream::{StreamRecord, Streamed};
