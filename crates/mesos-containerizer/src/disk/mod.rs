//! What plain containers take of the disk (isolator `disk/du`).
//!
//! | module | owns |
//! |---|---|
//! | `walk` | adding up one directory, at a bounded cost |
//! | `quota` | which directories of a task may take how much |
//! | `watch` | one walker for all containers, one directory after the other |

mod quota;
mod walk;
mod watch;

pub(crate) use watch::DiskWatch;
