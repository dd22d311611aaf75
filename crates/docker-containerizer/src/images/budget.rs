//! How long one waiter still waits: pure. Time in the queue does not count.

use std::time::Duration;

use tokio::time::Instant;

/// The rest of a waiter's time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Budget {
    whole: Option<Duration>,
    left: Option<Duration>,
    /// Since when it runs; `None` while the pull is in the queue.
    running: Option<Instant>,
}

/// Whether a waiter's time runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Clock {
    Runs,
    Stands,
}

impl Budget {
    /// `None` is without an end.
    pub(crate) fn new(whole: Option<Duration>) -> Self {
        Self { whole, left: whole, running: None }
    }

    /// Takes note of what the pull does from now on; answers when the time is up, if it ever is.
    pub(crate) fn set(&mut self, clock: Clock, now: Instant) -> Option<Instant> {
        let left = self.left.as_mut()?;
        if let Some(since) = self.running.take() {
            *left = left.saturating_sub(now.duration_since(since));
        }
        match clock {
            Clock::Stands => None,
            Clock::Runs => {
                self.running = Some(now);
                now.checked_add(*left)
            }
        }
    }

    /// Gives back time that was taken from the waiter: of an attempt that ended for the sake of others.
    pub(crate) fn give_back(&mut self, time: Duration, now: Instant) {
        self.set(Clock::Stands, now);
        if let (Some(left), Some(whole)) = (self.left.as_mut(), self.whole) {
            *left = left.saturating_add(time).min(whole);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn only_the_time_out_of_the_queue_counts() {
        let start = Instant::now();
        let mut budget = Budget::new(Some(10 * SECOND));
        assert_eq!(budget.set(Clock::Stands, start), None);
        assert_eq!(budget.set(Clock::Runs, start + 100 * SECOND), Some(start + 110 * SECOND));
        assert_eq!(budget.set(Clock::Runs, start + 104 * SECOND), Some(start + 110 * SECOND));
        assert_eq!(budget.set(Clock::Stands, start + 106 * SECOND), None);
        assert_eq!(budget.set(Clock::Runs, start + 200 * SECOND), Some(start + 204 * SECOND));
        assert_eq!(budget.set(Clock::Runs, start + 300 * SECOND), Some(start + 300 * SECOND));
    }

    #[test]
    fn what_is_given_back_is_never_more_than_there_was() {
        let start = Instant::now();
        let mut budget = Budget::new(Some(10 * SECOND));
        budget.set(Clock::Runs, start);
        budget.give_back(4 * SECOND, start + 6 * SECOND);
        assert_eq!(budget.set(Clock::Runs, start + 20 * SECOND), Some(start + 28 * SECOND));
        budget.give_back(100 * SECOND, start + 21 * SECOND);
        assert_eq!(budget.set(Clock::Runs, start + 30 * SECOND), Some(start + 40 * SECOND));
        let mut endless = Budget::new(None);
        endless.give_back(SECOND, start);
        assert_eq!(endless.set(Clock::Runs, start), None);
    }

    #[test]
    fn without_a_limit_or_with_one_beyond_time_there_is_no_end() {
        let now = Instant::now();
        assert_eq!(Budget::new(None).set(Clock::Runs, now), None);
        assert_eq!(Budget::new(Some(Duration::MAX)).set(Clock::Runs, now), None);
    }
}
