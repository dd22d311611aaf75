//! What the attempts that are with the engine say of each other: whose layers come, and whose only wait there. Pure.
//!
//! The engine downloads a few layers at a time over all pulls (its `max-concurrent-downloads`, 3 by default), in the
//! order in which they were asked for. A layer that has to wait is told as "Waiting", once; then nothing comes until
//! its first bytes. So a good pull may be silent for as long as the layers of others take, and its silence must not
//! count while these come. What counts:
//!
//! 1. A line of the attempt itself is progress.
//! 2. While all that an attempt still needs waits in the engine, and another attempt of ours has a layer under way, the
//!    clock stands. That other one has a clock of its own, so the wait ends.
//! 3. A layer that was asked for later, and comes, shows that an earlier one has its place: it waits for its registry,
//!    and its clock runs from there.
//!
//! Pulls that others make of the same engine are not seen here.

use std::collections::HashMap;
use std::time::Duration;

use docker_engine::PullProgress;
use tokio::time::Instant;

use super::lanes::PullId;
use super::tally::{PullTotals, Tally};

/// By how much one layer has to be asked for later than another for their order to be known: the lines of two pulls come
/// on two connections.
const ORDERED: Duration = Duration::from_secs(1);

/// The attempts under way.
#[derive(Debug, Default)]
pub(crate) struct Flow {
    attempts: HashMap<PullId, Attempt>,
}

#[derive(Debug)]
struct Attempt {
    tally: Tally,
    /// Since when its silence counts.
    quiet_since: Instant,
    lines: Lines,
    place: Place,
}

/// Whether an attempt has said anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lines {
    None,
    Some,
}

/// What the lines of others show about a layer that waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Unknown,
    /// Its turn has come: one that was asked for later is under way.
    Given,
}

impl Attempt {
    /// Whether all that it needs waits for its turn in the engine.
    fn is_held(&self) -> bool {
        self.place == Place::Unknown && self.tally.is_waiting()
    }

    /// Whether others may wait for one of its layers.
    fn holds(&self) -> bool {
        self.tally.is_receiving() || (self.place == Place::Given && self.tally.is_waiting())
    }
}

impl Flow {
    /// An attempt begins.
    pub(crate) fn begin(&mut self, id: PullId, now: Instant) {
        self.settle(now);
        let attempt =
            Attempt { tally: Tally::default(), quiet_since: now, lines: Lines::None, place: Place::Unknown };
        self.attempts.insert(id, attempt);
    }

    /// Takes a line of an attempt; answers how far it is.
    pub(crate) fn take(&mut self, id: PullId, line: PullProgress, now: Instant) -> PullTotals {
        self.settle(now);
        // Pulls may share a layer: then the engine has it once, in the place of the first that asked.
        let asked = self.attempts.values().filter_map(|attempt| attempt.tally.waits_since(&line.layer)).min();
        let Some(attempt) = self.attempts.get_mut(&id) else { return PullTotals::default() };
        attempt.quiet_since = now;
        attempt.lines = Lines::Some;
        let waited = attempt.tally.waits_since(&line.layer).is_some();
        let layer = line.layer.clone();
        attempt.tally.take(line, now);
        let begins = waited && attempt.tally.waits_since(&layer).is_none();
        if begins {
            attempt.place = Place::Unknown;
        }
        let totals = PullTotals { held: attempt.is_held(), ..attempt.tally.totals() };
        if let Some(asked) = asked.filter(|_| begins) {
            for other in self.attempts.values_mut().filter(|other| other.is_held()) {
                if other.tally.first_waits_since().is_some_and(|since| since + ORDERED < asked) {
                    other.place = Place::Given;
                    other.quiet_since = now;
                }
            }
        }
        totals
    }

    /// Since when the silence of an attempt counts, up to now.
    pub(crate) fn quiet_since(&mut self, id: PullId, now: Instant) -> Option<Instant> {
        self.settle(now);
        self.attempts.get(&id).map(|attempt| attempt.quiet_since)
    }

    /// Whether all that an attempt still needs waits in the engine.
    pub(crate) fn is_held(&self, id: PullId) -> bool {
        self.attempts.get(&id).is_some_and(Attempt::is_held)
    }

    /// Whether more than half of an image has come, so that it would be a waste to begin it anew.
    pub(crate) fn is_past_half(&self, id: PullId) -> bool {
        self.attempts.get(&id).is_some_and(|attempt| attempt.tally.is_past_half())
    }

    /// An attempt is over; tells whether the engine said anything in it.
    pub(crate) fn end(&mut self, id: PullId, now: Instant) -> Lines {
        self.settle(now);
        self.attempts.remove(&id).map_or(Lines::None, |attempt| attempt.lines)
    }

    /// Puts the clocks that stand forward.
    fn settle(&mut self, now: Instant) {
        if self.attempts.values().any(Attempt::holds) {
            for attempt in self.attempts.values_mut().filter(|attempt| attempt.is_held()) {
                attempt.quiet_since = now;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    /// A flow, and the seconds since its start.
    struct Story {
        flow: Flow,
        start: Instant,
    }

    impl Story {
        fn new() -> Self {
            Self { flow: Flow::default(), start: Instant::now() }
        }

        fn at(&self, seconds: u32) -> Instant {
            self.start + seconds * SECOND
        }

        fn begin(&mut self, id: PullId, seconds: u32) {
            self.flow.begin(id, self.at(seconds));
        }

        fn line(&mut self, id: PullId, layer: &str, status: &str, seconds: u32) -> PullTotals {
            let (current, total) =
                if status == "Downloading" { (Some(u64::from(seconds)), Some(1000)) } else { (None, None) };
            let line = PullProgress { layer: layer.into(), status: status.into(), current, total };
            self.flow.take(id, line, self.at(seconds))
        }

        /// For how many seconds it was silent.
        fn quiet(&mut self, id: PullId, seconds: u32) -> u64 {
            let now = self.at(seconds);
            now.duration_since(self.flow.quiet_since(id, now).unwrap()).as_secs()
        }
    }

    /// A big pull has the engine's places, and a small one waits behind it.
    fn behind_a_big_one() -> Story {
        let mut story = Story::new();
        story.begin(1, 0);
        story.begin(2, 5);
        story.line(1, "a", "Downloading", 1);
        story.line(2, "s", "Pulling fs layer", 5);
        assert!(story.line(2, "s", "Waiting", 5).held);
        story
    }

    #[test]
    fn the_clock_stands_while_the_layers_of_others_come_and_then_runs() {
        let mut story = behind_a_big_one();
        assert_eq!(story.quiet(2, 500), 0);
        assert_eq!(story.quiet(1, 500), 499, "the clock of the one that has the place runs");
        story.line(1, "a", "Download complete", 600);
        assert_eq!(story.quiet(2, 650), 50);
        story.line(2, "s", "Downloading", 660);
        assert_eq!(story.quiet(2, 670), 10);
    }

    /// The one that it waited for went silent and was ended: from then on it has all of its own time.
    #[test]
    fn the_silence_of_one_is_not_that_of_those_behind_it() {
        let mut story = behind_a_big_one();
        let end = story.at(121);
        assert_eq!(story.flow.end(1, end), Lines::Some);
        assert_eq!(story.quiet(2, 130), 9);
    }

    #[test]
    fn a_layer_that_has_its_place_and_gets_no_bytes_is_found_out_by_a_later_one() {
        let mut story = behind_a_big_one();
        story.begin(3, 20);
        story.line(3, "t", "Waiting", 20);
        story.line(3, "t", "Downloading", 30);
        assert_eq!(story.quiet(2, 40), 10);
        story.line(1, "a", "Downloading", 90);
        assert_eq!(story.quiet(2, 100), 70);
        // What comes of an earlier one shows nothing of a later one.
        story.begin(4, 100);
        story.line(4, "u", "Waiting", 100);
        story.line(2, "s", "Downloading", 101);
        assert_eq!(story.quiet(4, 140), 0);
    }

    #[test]
    fn a_layer_that_two_share_is_as_old_as_the_first_who_asked_for_it() {
        let mut story = Story::new();
        for id in 1..=4 {
            story.begin(id, 0);
        }
        story.line(1, "a", "Downloading", 0);
        story.line(2, "shared", "Waiting", 1);
        story.line(3, "own", "Waiting", 10);
        story.line(4, "shared", "Waiting", 20);
        story.line(4, "shared", "Downloading", 30);
        assert_eq!(story.quiet(3, 50), 0);
    }

    #[test]
    fn who_asks_its_registry_or_unpacks_is_not_held() {
        let mut story = Story::new();
        story.begin(1, 0);
        story.begin(2, 0);
        assert_eq!(story.quiet(2, 7), 7, "nothing was said yet");
        story.line(1, "a", "Downloading", 7);
        assert!(!story.line(2, "b", "Pulling fs layer", 7).held);
        story.line(2, "c", "Waiting", 7);
        assert_eq!(story.quiet(2, 20), 13, "a registry that does not answer");
        assert!(story.line(2, "b", "Download complete", 20).held);
        assert!(!story.line(2, "b", "Extracting", 20).held);
        assert!(story.line(2, "b", "Pull complete", 21).held);
        assert!(!story.line(2, "c", "Pull complete", 22).held);
        assert_eq!(story.quiet(2, 30), 8);
    }

    #[test]
    fn an_attempt_tells_whether_the_engine_said_anything() {
        let mut story = Story::new();
        let now = story.at(0);
        story.begin(1, 0);
        assert_eq!(story.flow.end(1, now), Lines::None);
        story.begin(1, 0);
        story.line(1, "latest", "Pulling from team/app", 0);
        assert_eq!(story.flow.end(1, now), Lines::Some);
        assert_eq!(story.flow.quiet_since(1, now), None);
    }
}
