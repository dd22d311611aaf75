//! Commands beside a container's own: those of its checks.
//!
//! Stock's executors run them as children of their own, in the container. Here each has a small helper, this crate's
//! program once more, which starts it, waits for it, and ends it with all that it has started:
//!
//! ```text
//! agent ──Order──► helper ──fork──► the command waits behind a gate
//!       ◄─Forked──                  the agent puts it into the container's control groups
//!       ──Go─────►                  the gate opens
//!       ◄─Started─ or ◄─Failed─
//!       ◄─Ended───                  its wait status, and the last of its output
//! ```
//!
//! The socket between them is the command's lifeline: when the agent closes its side, or is no more, the helper kills the
//! command and its descendants, none of which can leave the helper's tree (it is their subreaper), and ends. So nothing
//! of a check outlives its timeout, its task, or the agent. Being in the container's control groups, a command is bound by
//! the container's limits and killed with it.
//!
//! What a command that ended by itself has left behind is the container's own where control groups contain it, and is
//! killed where none do.
//!
//! | module | owns |
//! |---|---|
//! | `messages` | what agent and helper say to each other |
//! | `client` | the agent's side |
//! | `helper` | the program's side |

mod client;
mod helper;
mod messages;

pub use client::{Aside, AsideEnd, AsideError, AsideOrder, Surroundings};
pub use helper::{MODE, main};
