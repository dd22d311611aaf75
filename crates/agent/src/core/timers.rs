//! What the core waits for, as deadlines that it is asked about.

use std::collections::BTreeMap;
use std::time::Duration;

use mesos_types::ContainerId;

/// A thing that is due some time. Each is armed at most once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Timer {
    /// The next (re-)registration.
    Register,
    /// No ping came for too long.
    Ping,
    /// Tasks that must end before the process takes too long.
    Leave,
    /// An executor did not come up.
    ExecutorRegistration(ContainerId),
    /// An executor did not end when it was asked to.
    ExecutorShutdown(ContainerId),
    /// Executors of an earlier process had their time to come back.
    Reregistration,
    /// Those that did not are asked again.
    Reconnect,
}

/// The armed timers, with times since the process started.
#[derive(Debug, Clone, Default)]
pub(super) struct Timers {
    due: BTreeMap<Timer, Duration>,
}

impl Timers {
    /// Arms a timer, or moves it.
    pub(super) fn arm(&mut self, timer: Timer, at: Duration) {
        self.due.insert(timer, at);
    }

    /// Disarms a timer.
    pub(super) fn disarm(&mut self, timer: Timer) {
        self.due.remove(&timer);
    }

    /// The next deadline.
    pub(super) fn next(&self) -> Option<Duration> {
        self.due.values().min().copied()
    }

    /// Takes one timer that is due, the earliest first.
    pub(super) fn take_due(&mut self, now: Duration) -> Option<Timer> {
        let (&timer, _) = self.due.iter().filter(|(_, at)| **at <= now).min_by_key(|(_, at)| **at)?;
        self.due.remove(&timer);
        Some(timer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_earliest_comes_first_and_once() {
        let second = Duration::from_secs;
        let mut timers = Timers::default();
        timers.arm(Timer::Ping, second(5));
        timers.arm(Timer::Register, second(3));
        assert_eq!(timers.next(), Some(second(3)));
        assert_eq!(timers.take_due(second(2)), None);
        assert_eq!(timers.take_due(second(9)), Some(Timer::Register));
        timers.arm(Timer::Ping, second(20));
        assert_eq!(timers.take_due(second(9)), None);
        timers.disarm(Timer::Ping);
        assert_eq!(timers.next(), None);
    }
}
