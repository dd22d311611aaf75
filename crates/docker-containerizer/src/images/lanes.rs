//! Who may pull now: a bounded number of pulls, and a small image that never waits behind big ones for long. Pure.
//!
//! ```text
//! arrive ──► fresh queue ──► running ──(has run for `quick`)──► long, up to cap - 1
//!                              │  ▲                               ▲
//!             set aside, once, │  └─ fresh or long queue ─────────┘
//!             if others wait   └──► long queue
//! ```
//!
//! How big an image is shows only as it is pulled, so a pull counts as big ("long") once it has run for `quick`
//! (`--docker_pull_quick_time`). The rule:
//!
//! 1. At most `cap` pulls run.
//! 2. At most `cap - 1` of them are long, so one place is never held by a long pull while others wait. A pull that has
//!    run for `quick` becomes long where it is if there is room among the long, and no set-aside pull waits for it.
//! 3. Otherwise it goes on only until a fresh pull waits: then it is set aside. The engine is told to stop it (layers
//!    that are complete stay), and it waits, before all later ones, for a place among the long. That happens to a pull
//!    once at most, since a long pull runs to its end. One that has run for six times `quick` and has more than half of
//!    its bytes is spared, for it would lose more than those who wait could win.
//! 4. A free place goes to the first set-aside pull if there is room among the long, else to the first fresh one.
//!
//! So the k-th fresh pull in the queue begins within `k * quick`, however big the others are, unless the one that holds
//! the last place is spared: then it waits for the end of that one or of any other. Set-aside pulls wait for each other
//! only. With a cap of 1 there is no second place, and pulls run one by one in the order in which they came.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use tokio::time::Instant;

/// For how many times `quick` a pull may be set aside however far it is.
const WINDOW: u32 = 6;

/// Names a pull.
pub(crate) type PullId = u64;

/// The places and the queues.
#[derive(Debug)]
pub(crate) struct Lanes {
    cap: usize,
    quick: Duration,
    fresh: VecDeque<PullId>,
    long: VecDeque<PullId>,
    running: BTreeMap<PullId, Run>,
}

/// A pull that has a place.
#[derive(Debug, Clone, Copy)]
struct Run {
    since: Instant,
    stand: Stand,
}

/// How a pull that has a place stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stand {
    /// It has not run for `quick`, or has and nobody waits.
    Quick,
    /// It runs to its end.
    Long,
    /// It was told to stop, and holds its place until it has.
    Leaving,
}

/// How a pull comes back to the queues.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Entry {
    /// As one of which nothing is known.
    Fresh,
    /// As one that is known to be big.
    Long,
}

/// What is to be told to a pull.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Turn {
    /// It may begin.
    Go(PullId),
    /// It is to stop, and to come back with [`Entry::Long`].
    Aside(PullId),
}

impl Lanes {
    /// `cap` places, at least one.
    pub(crate) fn new(cap: usize, quick: Duration) -> Self {
        Self {
            cap: cap.max(1),
            quick,
            fresh: VecDeque::new(),
            long: VecDeque::new(),
            running: BTreeMap::new(),
        }
    }

    /// Puts a pull into its queue; it has no place now.
    pub(crate) fn enter(&mut self, id: PullId, entry: Entry) {
        self.leave(id);
        match entry {
            // A place among the long that cannot be is none to wait for.
            Entry::Long if self.cap > 1 => self.long.push_back(id),
            Entry::Long | Entry::Fresh => self.fresh.push_back(id),
        }
    }

    /// Takes a pull out of its place or its queue.
    pub(crate) fn leave(&mut self, id: PullId) {
        self.running.remove(&id);
        self.fresh.retain(|waiting| *waiting != id);
        self.long.retain(|waiting| *waiting != id);
    }

    /// How a pull that failed now would come back.
    pub(crate) fn entry_of(&self, id: PullId) -> Entry {
        match self.running.get(&id).map(|run| run.stand) {
            Some(Stand::Long | Stand::Leaving) => Entry::Long,
            Some(Stand::Quick) | None => Entry::Fresh,
        }
    }

    /// Gives out what there is to give. Called after every change, and when a pull has run for `quick`. `is_past_half`
    /// tells of a pull that runs whether it has more than half of its bytes.
    pub(crate) fn turns(&mut self, now: Instant, is_past_half: impl Fn(PullId) -> bool) -> Vec<Turn> {
        let mut turns = Vec::new();
        loop {
            self.settle(now);
            if self.running.len() >= self.cap {
                break;
            }
            let (id, stand) = match (self.has_long_room(), self.long.front(), self.fresh.front()) {
                (true, Some(id), _) => (*id, Stand::Long),
                (_, _, Some(id)) => (*id, Stand::Quick),
                (false, _, None) | (true, None, None) => break,
            };
            self.leave(id);
            self.running.insert(id, Run { since: now, stand });
            turns.push(Turn::Go(id));
        }
        // One place for the first who waits; the next one's time comes when that one is given.
        let is_leaving = self.running.values().any(|run| run.stand == Stand::Leaving);
        if !self.fresh.is_empty() && !is_leaving && self.cap > 1 {
            let (cap, quick) = (self.cap, self.quick);
            let may_go = |id: PullId, run: &Run| {
                let ran = now.duration_since(run.since);
                let is_spared = ran >= quick.saturating_mul(WINDOW) && is_past_half(id);
                run.stand == Stand::Quick && ran >= quick && !is_spared
            };
            if self.running.len() >= cap
                && let Some((id, run)) = self.running.iter_mut().filter(|(id, run)| may_go(**id, run)).last()
            {
                run.stand = Stand::Leaving;
                turns.push(Turn::Aside(*id));
            }
        }
        turns
    }

    /// How many pulls have a place.
    pub(crate) fn running(&self) -> usize {
        self.running.len()
    }

    /// Pulls that have run for `quick` become long where there is room.
    fn settle(&mut self, now: Instant) {
        if !self.long.is_empty() {
            return;
        }
        let quick = self.quick;
        let mut room = self.long_room();
        for run in self.running.values_mut() {
            if room > 0 && run.stand == Stand::Quick && now.duration_since(run.since) >= quick {
                run.stand = Stand::Long;
                room -= 1;
            }
        }
    }

    fn has_long_room(&self) -> bool {
        self.long_room() > 0
    }

    fn long_room(&self) -> usize {
        let long = self.running.values().filter(|run| run.stand == Stand::Long).count();
        (self.cap - 1).saturating_sub(long)
    }
}

#[cfg(test)]
mod tests;
