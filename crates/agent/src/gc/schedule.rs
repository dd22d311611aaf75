//! What is removed when. Pure: times are those of the caller's clock since the start of the process, which never goes
//! back.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// What taking a directory off the schedule found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unscheduled {
    /// It was scheduled, and no longer is.
    Taken,
    /// It was not scheduled.
    NotScheduled,
    /// It is being removed right now.
    Removing,
}

/// The directories that nobody needs.
#[derive(Debug, Default)]
pub struct Schedule {
    due: BTreeMap<PathBuf, Duration>,
    order: BTreeSet<(Duration, PathBuf)>,
    removing: BTreeSet<PathBuf>,
    /// What is due until then is due now, because the disk is full.
    horizon: Duration,
}

impl Schedule {
    /// Schedules a directory that was last touched `age` ago for removal when it is `delay` old
    /// (`GarbageCollectorProcess::schedule`). One that is scheduled already gets the new time; one that is being removed
    /// stays so.
    pub fn schedule(&mut self, path: PathBuf, age: Duration, delay: Duration, now: Duration) {
        if self.removing.contains(&path) {
            return;
        }
        self.unschedule(&path);
        let at = now.saturating_add(delay.saturating_sub(age));
        self.order.insert((at, path.clone()));
        self.due.insert(path, at);
    }

    /// Takes a directory off the schedule: it is needed again.
    pub fn unschedule(&mut self, path: &Path) -> Unscheduled {
        match self.due.remove_entry(path) {
            Some((path, at)) => {
                self.order.remove(&(at, path));
                Unscheduled::Taken
            }
            None if self.removing.contains(path) => Unscheduled::Removing,
            None => Unscheduled::NotScheduled,
        }
    }

    /// Takes at most `limit` of what is due, the longest due first. It counts as being removed until
    /// [`Schedule::finished`].
    pub fn take(&mut self, now: Duration, limit: usize) -> Vec<PathBuf> {
        let mut taken = Vec::new();
        while taken.len() < limit && self.next_due().is_some_and(|at| at <= now.max(self.horizon)) {
            let Some((_, path)) = self.order.pop_first() else { break };
            self.due.remove(&path);
            self.removing.insert(path.clone());
            taken.push(path);
        }
        taken
    }

    /// Makes due what has at most `delay − allowed_age` left, because the disk is full
    /// (`GarbageCollectorProcess::prune`).
    pub fn prune(&mut self, delay: Duration, allowed_age: Duration, now: Duration) {
        self.horizon = now.saturating_add(delay.saturating_sub(allowed_age));
    }

    /// A removal ended, however it did. What could not be removed is not tried again before the next start, as stock
    /// does.
    pub fn finished(&mut self, path: &Path) {
        self.removing.remove(path);
    }

    /// When the next directory is due.
    #[must_use]
    pub fn next_due(&self) -> Option<Duration> {
        self.order.first().map(|(at, _)| *at)
    }

    /// Directories that are scheduled or being removed (`gc/path_removals_pending`).
    #[must_use]
    pub fn pending(&self) -> usize {
        self.due.len() + self.removing.len()
    }
}

/// How old a directory may get while the disk is full to the fraction `usage`: all of `delay` on an empty disk, nothing
/// once less than `headroom` is free (`Slave::age`). Fractions are of 1; what is no number counts as a full disk.
#[must_use]
pub fn max_allowed_age(delay: Duration, headroom: f64, usage: f64) -> Duration {
    let share = 1.0 - headroom - usage;
    if share.is_finite() { delay.mul_f64(share.clamp(0.0, 1.0)) } else { Duration::ZERO }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const DAY: Duration = Duration::from_secs(24 * 3600);
    const WEEK: Duration = Duration::from_secs(7 * 24 * 3600);

    fn paths(names: &[&str]) -> Vec<PathBuf> {
        names.iter().map(PathBuf::from).collect()
    }

    #[rstest::rstest]
    #[case(0.1, 0.0, 0.9)]
    #[case(0.1, 0.5, 0.4)]
    #[case(0.1, 0.9, 0.0)]
    #[case(0.1, 1.0, 0.0)]
    #[case(0.0, 0.0, 1.0)]
    #[case(0.1, f64::NAN, 0.0)]
    #[case(-5.0, 0.0, 1.0)]
    fn the_fuller_the_disk_the_younger_what_is_removed(
        #[case] headroom: f64,
        #[case] usage: f64,
        #[case] share: f64,
    ) {
        let allowed = max_allowed_age(WEEK, headroom, usage);
        assert!((allowed.as_secs_f64() - share * WEEK.as_secs_f64()).abs() < 1.0, "{allowed:?}");
    }

    /// What GarbageCollectorTest.Schedule asserts, over more cases.
    #[test]
    fn a_directory_is_due_when_it_is_old_enough() {
        let mut schedule = Schedule::default();
        schedule.schedule("new".into(), Duration::ZERO, WEEK, DAY);
        schedule.schedule("old".into(), 6 * DAY, WEEK, DAY);
        schedule.schedule("ancient".into(), 60 * DAY, WEEK, DAY);
        assert_eq!(schedule.pending(), 3);
        assert_eq!(schedule.next_due(), Some(DAY));
        assert_eq!(schedule.take(DAY, 100), paths(&["ancient"]));
        assert_eq!(schedule.take(2 * DAY, 100), paths(&["old"]));
        assert_eq!(schedule.take(WEEK, 100), paths(&[]));
        assert_eq!(schedule.pending(), 3, "what is being removed is pending too");
        assert_eq!(schedule.take(WEEK + DAY, 100), paths(&["new"]));
        for path in ["new", "old", "ancient"] {
            schedule.finished(Path::new(path));
        }
        assert_eq!((schedule.pending(), schedule.next_due()), (0, None));
    }

    /// What GarbageCollectorTest.Unschedule asserts.
    #[test]
    fn a_directory_that_is_needed_again_stays() {
        let mut schedule = Schedule::default();
        schedule.schedule("a".into(), Duration::ZERO, DAY, Duration::ZERO);
        assert_eq!(schedule.unschedule(Path::new("a")), Unscheduled::Taken);
        assert_eq!(schedule.unschedule(Path::new("a")), Unscheduled::NotScheduled);
        assert_eq!(schedule.unschedule(Path::new("b")), Unscheduled::NotScheduled);
        assert_eq!(schedule.take(WEEK, 100), paths(&[]));
        schedule.schedule("a".into(), Duration::ZERO, DAY, Duration::ZERO);
        assert_eq!(schedule.take(DAY, 100), paths(&["a"]));
        assert_eq!(schedule.unschedule(Path::new("a")), Unscheduled::Removing);
    }

    #[test]
    fn the_last_schedule_of_a_directory_counts() {
        let mut schedule = Schedule::default();
        schedule.schedule("a".into(), Duration::ZERO, DAY, Duration::ZERO);
        schedule.schedule("a".into(), Duration::ZERO, WEEK, Duration::ZERO);
        assert_eq!((schedule.pending(), schedule.take(DAY, 100)), (1, paths(&[])));
        assert_eq!(schedule.take(WEEK, 100), paths(&["a"]));
        schedule.schedule("a".into(), Duration::ZERO, DAY, WEEK);
        assert_eq!(schedule.pending(), 1, "what is being removed is not scheduled again");
        assert_eq!(schedule.next_due(), None);
    }

    /// What GarbageCollectorTest.Prune asserts.
    #[test]
    fn a_full_disk_removes_sooner() {
        let mut schedule = Schedule::default();
        for (name, age) in [("a", 0), ("b", 2), ("c", 4), ("d", 6)] {
            schedule.schedule(name.into(), age * DAY, WEEK, Duration::ZERO);
        }
        schedule.prune(WEEK, WEEK, Duration::ZERO);
        assert_eq!(schedule.take(Duration::ZERO, 9), paths(&[]));
        schedule.prune(WEEK, 3 * DAY, Duration::ZERO);
        assert_eq!(schedule.take(Duration::ZERO, 1), paths(&["d"]));
        assert_eq!(schedule.unschedule(Path::new("c")), Unscheduled::Taken, "it has not begun");
        assert_eq!(schedule.take(Duration::ZERO, 9), paths(&[]));
        schedule.prune(WEEK, Duration::ZERO, Duration::ZERO);
        assert_eq!(schedule.take(Duration::ZERO, 9), paths(&["b", "a"]));
    }

    proptest! {
        /// Whatever is scheduled is taken once, unless it was taken off before, and never before its time.
        #[test]
        fn everything_is_taken_once(
            entries in prop::collection::vec((0_u8..12, 0_u64..100, prop::bool::ANY), 0..40),
            steps in prop::collection::vec(0_u64..40, 1..20),
        ) {
            let delay = Duration::from_secs(100);
            let mut schedule = Schedule::default();
            let mut expected = std::collections::BTreeMap::new();
            for (name, age, off) in entries {
                let path = PathBuf::from(name.to_string());
                schedule.schedule(path.clone(), Duration::from_secs(age), delay, Duration::ZERO);
                expected.insert(path.clone(), delay - Duration::from_secs(age));
                if off {
                    prop_assert_eq!(schedule.unschedule(&path), Unscheduled::Taken);
                    expected.remove(&path);
                }
            }
            let mut now = Duration::ZERO;
            for step in steps {
                now += Duration::from_secs(step);
                for path in schedule.take(now, 100) {
                    let at = expected.remove(&path);
                    prop_assert!(at.is_some_and(|at| at <= now), "{path:?} {at:?} {now:?}");
                }
                prop_assert!(expected.values().all(|at| *at > now));
                prop_assert_eq!(schedule.next_due(), expected.values().min().copied());
            }
        }
    }
}
