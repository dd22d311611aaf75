//! Processes of this machine by number and start time, and the trees that they make.
//!
//! Used on both sides: by the parent, for what its command leaves behind, and by the agent, which kills what it cannot
//! reach by a control group. Everything here is a short blocking read of `/proc`.
//!
//! | module | owns |
//! |---|---|
//! | `stat` | what `/proc/<pid>/stat` says, and the boot |
//! | `tree` | who descends from whom; pure |
//! | `signal` | signals that reach the process that was meant, or nobody |
//! | `kill` | killing a tree that forks meanwhile |

mod kill;
mod signal;
mod stat;
mod tree;

pub use kill::kill_tree;
pub use signal::{signal_all, signal_one};
pub use stat::{ProcessId, Stat, all, boot_id, look, try_look};
pub(crate) use stat::{is_gone, read};
pub use tree::{descendants, of_session};
