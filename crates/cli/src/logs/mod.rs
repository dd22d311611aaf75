//! `mesos-docker logs`: a task's output from its sandbox.
//!
//! | module | owns |
//! |---|---|
//! | `print` | reading both streams and printing what is new |
//! | `feed` | the output of a task that was taken over, as it comes |
//! | `watch` | waking up when a directory changes |

mod feed;
mod print;
mod watch;

pub(crate) use feed::Feed;
pub(crate) use print::logs;
