//! The table of pulls under way: who waits for which, whose turn it is, and what was refused a moment ago.
//!
//! Everything in it is sync and short, so it stands under one plain lock that is never held across an await.

use std::collections::HashMap;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::counters::PullCounters;
use super::failure::{PullClass, PullError};
use super::flow::Flow;
use super::key::PullKey;
use super::lanes::{Entry, Lanes, PullId, Turn};
use super::negative::NegativeCache;
use super::news::PullNews;
use super::settings::PullSettings;

/// What a pull is told about its turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Signal {
    /// Wait.
    Wait,
    /// Begin.
    Go,
    /// Stop, and wait again.
    Aside,
}

/// The table.
#[derive(Debug)]
pub(crate) struct Table {
    settings: PullSettings,
    /// The pulls that may be joined.
    pulls: HashMap<PullKey, Shared>,
    lanes: Lanes,
    /// How far the attempts are.
    pub(crate) flow: Flow,
    /// How each pull is told its turn; of all that have a place or wait for one.
    signals: HashMap<PullId, watch::Sender<Signal>>,
    /// For how long pulls ran in vain, since they were set aside for others.
    lost: HashMap<PullId, Duration>,
    negative: NegativeCache,
    counters: PullCounters,
    next: PullId,
}

/// A pull that may be joined.
#[derive(Debug)]
struct Shared {
    id: PullId,
    waiters: usize,
    news: watch::Receiver<PullNews>,
    stop: CancellationToken,
}

/// What joining came to.
#[derive(Debug)]
pub(crate) enum Joined {
    /// Somebody pulls it already.
    Others(PullId, watch::Receiver<PullNews>),
    /// The caller is the first; it has to start the pull's owner.
    First(PullId, watch::Receiver<Signal>, CancellationToken),
}

impl Table {
    pub(crate) fn new(settings: PullSettings) -> Self {
        Self {
            settings,
            pulls: HashMap::new(),
            lanes: Lanes::new(settings.max_parallel, settings.quick),
            flow: Flow::default(),
            signals: HashMap::new(),
            lost: HashMap::new(),
            negative: NegativeCache::new(settings.negative),
            counters: PullCounters::default(),
            next: 0,
        }
    }

    /// Joins the pull of `key`, or begins one with the news that `news` will bring.
    ///
    /// # Errors
    ///
    /// A refusal from a moment ago, or a full queue.
    pub(crate) fn join(
        &mut self,
        key: &PullKey,
        image: &str,
        news: &watch::Receiver<PullNews>,
        now: Instant,
    ) -> Result<Joined, PullError> {
        if let Some(shared) = self.pulls.get_mut(key) {
            shared.waiters += 1;
            self.counters.shared += 1;
            return Ok(Joined::Others(shared.id, shared.news.clone()));
        }
        if let Some(refusal) = self.negative.get(key, now) {
            self.counters.remembered += 1;
            return Err(refusal);
        }
        let waiting = self.signals.len().saturating_sub(self.lanes.running());
        if waiting >= self.settings.max_queued {
            return Err(PullError::QueueFull { image: image.to_owned(), waiting });
        }
        let id = self.next;
        self.next += 1;
        self.counters.begun += 1;
        let stop = CancellationToken::new();
        let shared = Shared { id, waiters: 1, news: news.clone(), stop: stop.clone() };
        self.pulls.insert(key.clone(), shared);
        let (signal, signals) = watch::channel(Signal::Wait);
        self.signals.insert(id, signal);
        self.lanes.enter(id, Entry::Fresh);
        self.give(now);
        Ok(Joined::First(id, signals, stop))
    }

    /// A waiter leaves; the last one stops the pull.
    pub(crate) fn leave(&mut self, key: &PullKey, id: PullId) {
        let Some(shared) = self.pulls.get_mut(key).filter(|shared| shared.id == id) else { return };
        shared.waiters -= 1;
        if shared.waiters == 0 {
            shared.stop.cancel();
            // Who comes now begins a pull of its own.
            self.pulls.remove(key);
            self.counters.abandoned += 1;
        }
    }

    /// An attempt failed: the pull gives its place to the next one. Answers how it comes back.
    pub(crate) fn failed(&mut self, id: PullId, class: PullClass, now: Instant) -> Entry {
        self.counters.count_failure(class);
        let entry = self.lanes.entry_of(id);
        self.lanes.leave(id);
        self.give(now);
        entry
    }

    /// A pull that was set aside after so long stands in its queue again.
    pub(crate) fn set_aside(&mut self, id: PullId, ran: Duration, now: Instant) {
        *self.lost.entry(id).or_default() += ran;
        self.counters.set_aside += 1;
        self.enter(id, Entry::Long, now);
    }

    /// For how long a pull ran in vain so far.
    pub(crate) fn lost(&self, id: PullId) -> Duration {
        self.lost.get(&id).copied().unwrap_or_default()
    }

    /// A pull comes back for another attempt.
    pub(crate) fn again(&mut self, id: PullId, entry: Entry, now: Instant) {
        self.counters.retried += 1;
        self.enter(id, entry, now);
    }

    /// A pull is over: nobody joins it any more.
    pub(crate) fn ended(&mut self, key: &PullKey, id: PullId, result: &Result<(), PullError>, now: Instant) {
        if self.pulls.get(key).is_some_and(|shared| shared.id == id) {
            self.pulls.remove(key);
        }
        match result {
            Ok(()) => {
                self.counters.succeeded += 1;
                self.negative.remove(key);
            }
            Err(error) if error.class().is_some_and(PullClass::is_final) => {
                self.negative.put(key.clone(), error.clone(), now);
            }
            Err(_) => {}
        }
    }

    /// The owner of a pull is gone, however it ended.
    pub(crate) fn gone(&mut self, key: &PullKey, id: PullId, now: Instant) {
        if self.pulls.get(key).is_some_and(|shared| shared.id == id) {
            self.pulls.remove(key);
        }
        self.signals.remove(&id);
        self.flow.end(id, now);
        self.lost.remove(&id);
        self.lanes.leave(id);
        self.give(now);
    }

    /// Tells the pulls whose turn it is.
    pub(crate) fn give(&mut self, now: Instant) {
        for turn in self.lanes.turns(now, |id| self.flow.is_past_half(id)) {
            let (id, signal) = match turn {
                Turn::Go(id) => (id, Signal::Go),
                Turn::Aside(id) => (id, Signal::Aside),
            };
            if let Some(sender) = self.signals.get(&id) {
                sender.send_replace(signal);
            }
        }
    }

    pub(crate) fn counters(&self) -> PullCounters {
        let running = self.lanes.running();
        PullCounters { running, queued: self.signals.len().saturating_sub(running), ..self.counters }
    }

    fn enter(&mut self, id: PullId, entry: Entry, now: Instant) {
        if let Some(signal) = self.signals.get(&id) {
            signal.send_replace(Signal::Wait);
        }
        self.lanes.enter(id, entry);
        self.give(now);
    }
}
