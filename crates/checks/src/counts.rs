//! The numbers of a process's checks.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// What the checks of a process have done so far, for metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct CheckCounts {
    /// Checks that were begun.
    pub begun: u64,
    /// Checks that the task failed.
    pub failed: u64,
    /// Failed checks that were not answered in time.
    pub timed_out: u64,
    /// Checks that could not be made: the engine's failures and ours, which are no verdict on a task.
    pub not_done: u64,
    /// Checks that waited more than 100 ms for their turn.
    pub late: u64,
    /// How long all checks together waited for their turn.
    pub waited: Duration,
    /// The longest that one waited.
    pub waited_most: Duration,
    /// Checks that wait for their turn now.
    pub queued: u64,
    /// Checks that are being made now.
    pub asking: u64,
    /// Commands that were killed: they had not ended in time, or their task was being killed.
    pub killed_commands: u64,
    /// Commands that could not be killed yet; their checks are not made again before they are gone.
    pub left_commands: u64,
    /// How often the namespace thread did not come back from a namespace and was replaced.
    pub replaced_threads: u64,
}

/// A wait that is told as late.
const LATE: Duration = Duration::from_millis(100);

/// The numbers, as they are counted.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) begun: AtomicU64,
    pub(crate) failed: AtomicU64,
    pub(crate) timed_out: AtomicU64,
    pub(crate) not_done: AtomicU64,
    pub(crate) late: AtomicU64,
    waited_us: AtomicU64,
    waited_most_us: AtomicU64,
    pub(crate) queued: AtomicU64,
    pub(crate) asking: AtomicU64,
    pub(crate) killed_commands: AtomicU64,
    pub(crate) left_commands: AtomicU64,
    pub(crate) replaced_threads: AtomicU64,
}

/// Adds one to a number for as long as it lives.
#[derive(Debug)]
pub(crate) struct Counted<'a>(&'a AtomicU64);

impl<'a> Counted<'a> {
    pub(crate) fn new(number: &'a AtomicU64) -> Self {
        number.fetch_add(1, Ordering::Relaxed);
        Self(number)
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Counters {
    /// Counts one more.
    pub(crate) fn add(number: &AtomicU64) {
        number.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts a wait for a turn.
    pub(crate) fn waited(&self, wait: Duration) {
        let us = u64::try_from(wait.as_micros()).unwrap_or(u64::MAX);
        self.waited_us.fetch_add(us, Ordering::Relaxed);
        self.waited_most_us.fetch_max(us, Ordering::Relaxed);
        if wait > LATE {
            Self::add(&self.late);
        }
    }

    pub(crate) fn read(&self) -> CheckCounts {
        let get = |number: &AtomicU64| number.load(Ordering::Relaxed);
        CheckCounts {
            begun: get(&self.begun),
            failed: get(&self.failed),
            timed_out: get(&self.timed_out),
            not_done: get(&self.not_done),
            late: get(&self.late),
            waited: Duration::from_micros(get(&self.waited_us)),
            waited_most: Duration::from_micros(get(&self.waited_most_us)),
            queued: get(&self.queued),
            asking: get(&self.asking),
            killed_commands: get(&self.killed_commands),
            left_commands: get(&self.left_commands),
            replaced_threads: get(&self.replaced_threads),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_wait_is_late() {
        let counters = Counters::default();
        counters.waited(Duration::from_millis(100));
        counters.waited(Duration::from_millis(250));
        {
            let _one = Counted::new(&counters.asking);
            assert_eq!(counters.read().asking, 1);
        }
        let read = counters.read();
        assert_eq!((read.late, read.asking), (1, 0));
        assert_eq!((read.waited.as_millis(), read.waited_most.as_millis()), (350, 250));
    }
}
