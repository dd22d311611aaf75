//! What plain containers are isolated by: `--isolation`, `--launcher` and the flags of control groups, made into what is
//! done for each container.
//!
//! | module | owns |
//! |---|---|
//! | `settings` | what the flags say |
//! | `containment` | what this machine can do of it, found at the start of the agent; new and adopted containers |
//! | `contained` | one container: limits, usage, the end of its memory or disk, its kill |
//! | `processes` | what the processes of a container use, where no group counts it |
//! | `sweep` | groups that an agent left behind which was killed |
//! | `error` | why not |
//!
//! The containerizer's launch calls [`Containment::contain`] before it forks and [`Contained::enter`] while the command
//! waits, its driver the rest.

mod contained;
mod containment;
mod error;
mod processes;
mod settings;
mod sweep;
#[cfg(test)]
mod tests;

pub use contained::Contained;
pub use containment::Containment;
pub use error::ContainmentError;
pub use settings::{ContainmentSettings, DiskSettings, Enforcement, Swap, SystemdGroups};
pub use sweep::Swept;
