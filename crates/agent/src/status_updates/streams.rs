//! Streams of updates of any kind: in order, one at a time, again until acknowledged (`status_update_manager_process.hpp`,
//! `task_status_update_manager.cpp`).
//!
//! ```text
//! update ──► append to the file ──► wait for the ones before ──► head: send, send again after 10 s, 20 s, … 10 min
//!                                                                  └─ acknowledged ──► append to the file ──► next
//! ```
//!
//! A pure machine: it has no file, no clock and no socket. What is to be done comes out as [`Want`]s, in the order in
//! which it must be done; times are those of the caller's clock, which never goes back.
//!
//! Stock keeps all that it ever received, in memory. Here
//! - an update of a stream that has too many waiting takes the place of an older one that tells the same state (or, if
//!   there is none, of the oldest that is not sent yet); a terminal update and the head are never given up. The file
//!   says of the one given up that it was acknowledged, so that a restart agrees;
//! - of the acknowledged updates only the ids of the last ones are remembered, which is what repeats are known by;
//! - streams that are not on disk are limited in number.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use checkpoint::recover::RecoveredUpdates;
use checkpoint::{StreamRecord, Streamed};
use uuid::Uuid;

/// The times and bounds of streams.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StreamSettings {
    /// When the head is sent for the second time (`STATUS_UPDATE_RETRY_INTERVAL_MIN`). Doubles with each time.
    pub first_retry: Duration,
    /// The longest pause between two sends (`STATUS_UPDATE_RETRY_INTERVAL_MAX`).
    pub longest_retry: Duration,
    /// Updates of one stream that wait, the head included; at least 2.
    pub max_waiting: usize,
    /// Acknowledged updates of one stream whose repeats are known.
    pub remembered: usize,
    /// Streams that are not on disk.
    pub max_in_memory: usize,
}

impl Default for StreamSettings {
    fn default() -> Self {
        Self {
            first_retry: Duration::from_secs(10),
            longest_retry: Duration::from_secs(600),
            max_waiting: 256,
            remembered: 256,
            max_in_memory: 16_384,
        }
    }
}

/// Where a stream is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Durability<P> {
    /// In memory: a restart forgets it.
    Memory,
    /// In the file of this place.
    Disk(P),
}

/// What is to be done.
#[derive(Debug, Clone, PartialEq)]
pub enum Want<K, P, U> {
    /// Append to the stream's file, before anything that follows.
    Append(P, K, StreamRecord<U>),
    /// Send.
    Forward {
        /// Whose it is.
        key: K,
        /// The head of the stream.
        update: U,
        /// The newest update of the stream.
        newest: U,
    },
    /// The last word was said and heard: the stream is gone.
    Closed(K),
}

/// What became of an update that came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Taken {
    /// It is in its stream.
    New,
    /// It came before; whoever sent it is told again that it arrived.
    Repeated,
    /// It follows a terminal one, and is dropped.
    AfterTheLast,
    /// It has no id of 16 bytes, and is dropped.
    WithoutId,
    /// There are too many streams that are not on disk; it is dropped.
    TooManyStreams,
}

impl Taken {
    /// Whether it need not be told again: it is kept, or can never be of use.
    #[must_use]
    pub fn is_safe(self) -> bool {
        match self {
            Self::New | Self::Repeated | Self::AfterTheLast => true,
            Self::WithoutId | Self::TooManyStreams => false,
        }
    }
}

/// What became of an acknowledgement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Heard {
    /// It was for the head.
    Head,
    /// It came before.
    Repeated,
    /// It is for no update that was sent.
    Unexpected,
    /// There is no such stream.
    NoStream,
}

/// What became of a stream that was found on disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Replayed {
    /// Something waits, or may follow.
    Open,
    /// The last word was said and heard.
    Complete,
}

/// What was counted since the start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct StreamCounters {
    /// Updates that were given up because too many waited.
    pub given_up: u64,
    /// Updates that were dropped: without an id, after a terminal one, or in too many streams.
    pub dropped: u64,
    /// Acknowledgements for no update that was sent.
    pub unexpected_acknowledgements: u64,
    /// Sends after the first one of an update.
    pub retries: u64,
}

/// All streams of one kind.
#[derive(Debug)]
pub struct Streams<K, P, U> {
    settings: StreamSettings,
    streams: BTreeMap<K, Stream<P, U>>,
    /// When heads are sent again. Empty while paused.
    due: BTreeSet<(Duration, K)>,
    running: bool,
    in_memory: usize,
    counters: StreamCounters,
}

#[derive(Debug)]
struct Stream<P, U> {
    durability: Durability<P>,
    waiting: VecDeque<U>,
    /// The ids of the last acknowledged ones, oldest first.
    acknowledged: VecDeque<Uuid>,
    retry: Option<Retry>,
}

#[derive(Debug, Clone, Copy)]
struct Retry {
    at: Duration,
    pause: Duration,
}

impl<P, U: Streamed> Stream<P, U> {
    fn new(durability: Durability<P>) -> Self {
        Self { durability, waiting: VecDeque::new(), acknowledged: VecDeque::new(), retry: None }
    }

    fn has(&self, uuid: Uuid) -> bool {
        self.acknowledged.contains(&uuid)
            || self.waiting.iter().any(|update| update.update_id() == Some(uuid))
    }

    fn remember(&mut self, uuid: Uuid, limit: usize) {
        self.acknowledged.push_back(uuid);
        while self.acknowledged.len() > limit {
            self.acknowledged.pop_front();
        }
    }

    /// Takes an update out that can be done without, when more than `limit` wait.
    fn give_up(&mut self, limit: usize) -> Option<Uuid> {
        if self.waiting.len() <= limit {
            return None;
        }
        // Neither the head nor the newest.
        let pairs = self.waiting.iter().zip(self.waiting.iter().skip(1)).enumerate().skip(1);
        let mut candidates = pairs.filter(|(_, (this, _))| !this.is_terminal());
        let oldest = candidates.clone().next();
        let (at, _) = candidates.find(|(_, (this, next))| this.same_state(next)).or(oldest)?;
        self.waiting.remove(at).and_then(|update| update.update_id())
    }
}

impl<K: Ord + Clone, P: Clone, U: Streamed> Streams<K, P, U> {
    /// No streams, and paused: nothing is sent before [`Streams::resume`].
    #[must_use]
    pub fn new(settings: StreamSettings) -> Self {
        let settings = StreamSettings { max_waiting: settings.max_waiting.max(2), ..settings };
        Self {
            settings,
            streams: BTreeMap::new(),
            due: BTreeSet::new(),
            running: false,
            in_memory: 0,
            counters: StreamCounters::default(),
        }
    }

    /// Takes an update. A stream stays where its first update put it.
    pub fn update(
        &mut self,
        key: K,
        update: U,
        durability: Durability<P>,
        now: Duration,
    ) -> (Taken, Vec<Want<K, P, U>>) {
        let taken = self.judge(&key, &update, &durability);
        let mut wants = Vec::new();
        if taken != Taken::New {
            self.counters.dropped += u64::from(taken != Taken::Repeated);
            return (taken, wants);
        }
        let limit = self.settings.max_waiting;
        let in_memory = &mut self.in_memory;
        let stream = self.streams.entry(key.clone()).or_insert_with(|| {
            *in_memory += usize::from(matches!(durability, Durability::Memory));
            Stream::new(durability)
        });
        if let Durability::Disk(place) = &stream.durability {
            wants.push(Want::Append(place.clone(), key.clone(), StreamRecord::Update(update.clone())));
        }
        stream.waiting.push_back(update);
        if let Some(uuid) = stream.give_up(limit) {
            self.counters.given_up += 1;
            stream.remember(uuid, self.settings.remembered);
            if let Durability::Disk(place) = &stream.durability {
                wants.push(Want::Append(place.clone(), key.clone(), StreamRecord::Acknowledged(uuid)));
            }
        }
        if stream.waiting.len() == 1 {
            let pause = self.settings.first_retry;
            wants.extend(self.send(&key, pause, now));
        }
        (Taken::New, wants)
    }

    /// Takes an acknowledgement.
    pub fn acknowledge(&mut self, key: &K, uuid: Uuid, now: Duration) -> (Heard, Vec<Want<K, P, U>>) {
        let mut wants = Vec::new();
        let Some(stream) = self.streams.get_mut(key) else { return (Heard::NoStream, wants) };
        let is_head = stream.waiting.front().is_some_and(|head| head.update_id() == Some(uuid));
        let Some(head) = stream.waiting.pop_front_if(|_| is_head) else {
            if stream.acknowledged.contains(&uuid) {
                return (Heard::Repeated, wants);
            }
            self.counters.unexpected_acknowledgements += 1;
            return (Heard::Unexpected, wants);
        };
        stream.remember(uuid, self.settings.remembered);
        if let Some(retry) = stream.retry.take() {
            self.due.remove(&(retry.at, key.clone()));
        }
        if let Durability::Disk(place) = &stream.durability {
            wants.push(Want::Append(place.clone(), key.clone(), StreamRecord::Acknowledged(uuid)));
        }
        if head.is_terminal() {
            self.remove(key);
            wants.push(Want::Closed(key.clone()));
        } else {
            wants.extend(self.send(key, self.settings.first_retry, now));
        }
        (Heard::Head, wants)
    }

    /// Puts a stream back that was found on disk. Nothing is sent before [`Streams::resume`].
    pub fn replay(&mut self, key: K, place: P, found: &RecoveredUpdates<U>) -> Replayed {
        if found.is_complete() {
            return Replayed::Complete;
        }
        let mut stream = Stream::new(Durability::Disk(place));
        for update in &found.updates {
            match update.update_id() {
                Some(uuid) if found.acknowledged.contains(&uuid) => {
                    stream.remember(uuid, self.settings.remembered);
                }
                Some(uuid) if stream.has(uuid) => {}
                _ => stream.waiting.push_back(update.clone()),
            }
        }
        self.remove(&key);
        self.streams.insert(key, stream);
        Replayed::Open
    }

    /// Sends nothing any more: there is no master.
    pub fn pause(&mut self) {
        self.running = false;
        self.due.clear();
        for stream in self.streams.values_mut() {
            stream.retry = None;
        }
    }

    /// Sends the head of every stream, as if for the first time.
    pub fn resume(&mut self, now: Duration) -> Vec<Want<K, P, U>> {
        self.pause();
        self.running = true;
        let keys: Vec<K> = self.streams.keys().cloned().collect();
        keys.iter().filter_map(|key| self.send(key, self.settings.first_retry, now)).collect()
    }

    /// When the next head is to be sent again.
    #[must_use]
    pub fn next_due(&self) -> Option<Duration> {
        self.due.first().map(|(at, _)| *at)
    }

    /// Sends again what was not acknowledged in time.
    pub fn due(&mut self, now: Duration) -> Vec<Want<K, P, U>> {
        let mut wants = Vec::new();
        while self.next_due().is_some_and(|at| at <= now) {
            let Some((_, key)) = self.due.pop_first() else { break };
            let last = self.streams.get(&key).and_then(|stream| stream.retry);
            let pause = last.map_or(self.settings.first_retry, |retry| retry.pause.saturating_mul(2));
            self.counters.retries += 1;
            wants.extend(self.send(&key, pause.min(self.settings.longest_retry), now));
        }
        wants
    }

    /// Drops a stream: what it tells is of something that is no more.
    pub fn drop_one(&mut self, key: &K) {
        self.remove(key);
    }

    /// Drops the streams whose keys match: nobody waits for them any more.
    pub fn drop_where(&mut self, matches: impl Fn(&K) -> bool) {
        let keys: Vec<K> = self.streams.keys().filter(|key| matches(key)).cloned().collect();
        for key in &keys {
            self.remove(key);
        }
    }

    /// Whether an update of a stream came before, as far back as is remembered.
    #[must_use]
    pub fn knows(&self, key: &K, uuid: Uuid) -> bool {
        self.streams.get(key).is_some_and(|stream| stream.has(uuid))
    }

    /// The update that is sent, or waits to be.
    #[must_use]
    pub fn head(&self, key: &K) -> Option<&U> {
        self.streams.get(key)?.waiting.front()
    }

    /// The newest update that was not acknowledged.
    #[must_use]
    pub fn newest(&self, key: &K) -> Option<&U> {
        self.streams.get(key)?.waiting.back()
    }

    /// How many streams there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.streams.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.streams.is_empty()
    }

    /// What was counted.
    #[must_use]
    pub fn counters(&self) -> StreamCounters {
        self.counters
    }

    fn judge(&self, key: &K, update: &U, durability: &Durability<P>) -> Taken {
        let Some(uuid) = update.update_id() else { return Taken::WithoutId };
        match self.streams.get(key) {
            Some(stream) if stream.has(uuid) => Taken::Repeated,
            Some(stream) if stream.waiting.back().is_some_and(Streamed::is_terminal) => Taken::AfterTheLast,
            Some(_) => Taken::New,
            None if matches!(durability, Durability::Memory)
                && self.in_memory >= self.settings.max_in_memory =>
            {
                Taken::TooManyStreams
            }
            None => Taken::New,
        }
    }

    /// Sends the head of a stream, unless paused, and notes when to send it again.
    fn send(&mut self, key: &K, pause: Duration, now: Duration) -> Option<Want<K, P, U>> {
        let stream = self.streams.get_mut(key).filter(|_| self.running)?;
        let (head, newest) = (stream.waiting.front()?, stream.waiting.back()?);
        let retry = Retry { at: now.saturating_add(pause), pause };
        let want = Want::Forward { key: key.clone(), update: head.clone(), newest: newest.clone() };
        if let Some(old) = stream.retry.replace(retry) {
            self.due.remove(&(old.at, key.clone()));
        }
        self.due.insert((retry.at, key.clone()));
        Some(want)
    }

    fn remove(&mut self, key: &K) {
        let Some(stream) = self.streams.remove(key) else { return };
        if let Some(retry) = stream.retry {
            self.due.remove(&(retry.at, key.clone()));
        }
        if matches!(stream.durability, Durability::Memory) {
            self.in_memory = self.in_memory.saturating_sub(1);
        }
    }
}
