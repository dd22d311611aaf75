//! `mesos-docker logs`: a task's output from its sandbox.
//!
//! | module | owns |
//! |---|---|
//! | `print` | reading both streams and printing what is new |
//! | `watch` | waking up when a directory changes |

mod print;
mod watch;

pub(crate) use print::logs;
