//! Owns when the absence of ZooKeeper, or of a leader, is told: when it begins, at intervals, and when it ends. Pure.

use std::time::Duration;

use tokio::time::Instant;

/// What is missing, since when, and when it was told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Absence(Option<Times>);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Times {
    since: Instant,
    told: Instant,
}

impl Absence {
    /// Notes that it is missing; gives how long it has been where that is to be told now.
    pub(super) fn continues(&mut self, now: Instant, interval: Duration) -> Option<Duration> {
        match &mut self.0 {
            None => {
                self.0 = Some(Times { since: now, told: now });
                Some(Duration::ZERO)
            }
            Some(times) if now.duration_since(times.told) >= interval => {
                times.told = now;
                Some(now.duration_since(times.since))
            }
            Some(_) => None,
        }
    }

    /// Notes that it is back; gives how long it was missing, if it was.
    pub(super) fn ends(&mut self, now: Instant) -> Option<Duration> {
        self.0.take().map(|times| now.duration_since(times.since))
    }

    /// When it is to be told next.
    pub(super) fn next(&self, interval: Duration) -> Option<Instant> {
        self.0.map(|times| times.told + interval)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_absence_is_told_at_once_at_intervals_and_at_its_end() {
        const SECOND: Duration = Duration::from_secs(1);
        let start = Instant::now();
        let mut absence = Absence::default();
        assert_eq!(absence.ends(start), None);
        assert_eq!(absence.next(60 * SECOND), None);
        let told: Vec<Option<u64>> = [0, 2, 59, 60, 61, 119, 130, 180, 190]
            .map(|at| absence.continues(start + at * SECOND, 60 * SECOND).map(|since| since.as_secs()))
            .into();
        assert_eq!(told, [Some(0), None, None, Some(60), None, None, Some(130), None, Some(190)]);
        assert_eq!(absence.next(60 * SECOND), Some(start + 250 * SECOND));
        assert_eq!(absence.ends(start + 200 * SECOND), Some(200 * SECOND));
        assert_eq!(absence.continues(start + 300 * SECOND, 60 * SECOND), Some(Duration::ZERO));
    }
}
