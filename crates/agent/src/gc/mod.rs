//! Garbage collection: directories that nobody needs are removed when they are old, or earlier when the disk is full
//! (`src/slave/gc.cpp`, `Slave::checkDiskUsage`).
//!
//! ```text
//! a run, executor, framework ends ──► scheduled ──► --gc_delay after it was last touched ──► removed
//!                                        └─ every --disk_watch_interval: sooner, the fuller the disk is
//! ```
//!
//! | module | owns |
//! |---|---|
//! | `schedule` | what is removed when; pure |
//! | `disk` | how full the disk is, how old a directory is |
//! | `remove` | one removal: nothing mounted, no link followed, nothing outside of the work directory |
//! | `collector` | the task that owns the schedule, and the bounded removals |
//!
//! The driver calls [`Collector`]; no removal and no look at the disk is ever in the way of anything else.

mod collector;
mod disk;
mod remove;
mod schedule;

#[cfg(test)]
mod tests;

pub use collector::{Collector, CollectorGone, GcCounters, GcSettings};
pub use disk::{age, disk_usage, touch};
pub use remove::{RemovalError, Remover};
pub use schedule::{Schedule, Unscheduled, max_allowed_age};
