//! The supervising parent of a plain container: the program `mesos-containerizer run`.
//!
//! There is one for each container. It is the parent of the command and, as a subreaper, of everything that the command
//! starts, however it is started. It copies the output into the sandbox, knows the exit status, and kills what is left
//! when the command has ended. The agent that started it may be killed and replaced meanwhile: the next one finds it by
//! the record, waits for its end by its pidfd, and reads what it leaves behind ([`ended`]).
//!
//! ```text
//! order ──► fork ──► wait for "go" ──► execute ──► copy output, reap ──► kill the rest ──► write the end
//!              └─ agent gone: kill, write that it never started
//! ```
//!
//! It has one thread, no runtime, no environment and no descriptor that is not its own, and blocks all signals: only
//! SIGKILL ends it, and then SIGKILL ends the command.
//!
//! | module | owns |
//! |---|---|
//! | `program` | the order of things |
//! | `messages` | what is said at the start |
//! | `command`, `limits`, `execute` | the command's process until it is executed |
//! | `supervise` | the command while it runs, and the end of its tree |
//! | `output`, `tap` | where its output goes |
//! | `told` | what the agent says later |
//! | `ended` | how it ended, on disk |

pub(crate) mod command;
mod execute;
mod limits;
mod output;
mod program;
mod supervise;

pub mod ended;
pub mod messages;
pub mod tap;
pub mod told;

pub(crate) use program::close_others;
pub use program::{MODE, main};
