//! The pull manager: one pull per reference, platform and credentials, shared by all tasks that wait for it.
//!
//! ```text
//! waiter ─ join ─┐                 ┌──────────────── owner, one per pull ────────────────┐
//! waiter ─ join ─┼─► table (lock) ─┤ Queued ─► Pulling ─► Done                           │
//! waiter ─ join ─┘                 │    ▲         │  │ failed, may pass                 │
//!                                  │    └─ aside ─┘  └─► Paused ─► Queued               │
//!                                  └─────────────────────────────────────────────────────┘
//! ```
//!
//! The owner is a task of the runtime; it pulls, decides with `retry` what follows a failure, and publishes what is
//! known in a `watch` channel. A waiter follows the channel with a deadline of its own and may be dropped at any
//! time; the last one to leave stops the owner, which drops the engine's request, which cancels the pull in the engine.
//!
//! An attempt that is silent for `--docker_pull_inactivity_timeout` is ended here and not in the engine's client: whether
//! its silence counts depends on the other attempts; see `flow`.

use std::error::Error as StdError;
use std::fmt;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use docker_engine::{Engine, ErrorKind, ImageRef, PullOptions, PullProgress};
use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::budget::{Budget, Clock};
use super::counters::PullCounters;
use super::failure::{PullClass, PullError};
use super::flow::Lines;
use super::key::PullKey;
use super::lanes::PullId;
use super::news::{PullNews, PullStage};
use super::policy::Fallback;
use super::retry::Attempts;
use super::settings::PullSettings;
use super::table::{Joined, Signal, Table};
use super::tally::PullTotals;
use super::times::ImageTimes;

/// How often a waiter looks at a pull that tells nothing new, and a silent pull is looked at.
const LOOK: Duration = Duration::from_secs(1);

/// Where the lines of an attempt go.
pub(crate) type Tap = Box<dyn FnMut(PullProgress) + Send>;

/// One attempt at the engine. Dropping it cancels the pull in the engine.
type Attempt = Pin<Box<dyn Future<Output = Result<(), AttemptFailure>> + Send>>;

/// What makes attempts.
type Attempting = dyn Fn(&PullKey, &ImageRef, Tap) -> Attempt + Send + Sync;

/// How an attempt failed.
#[derive(Debug)]
pub(crate) struct AttemptFailure {
    pub(crate) class: PullClass,
    /// How long the registry wants to be left alone.
    pub(crate) retry_after: Option<Duration>,
    pub(crate) source: Arc<dyn StdError + Send + Sync>,
}

/// The pulls of one containerizer. Cheap to clone.
#[derive(Clone)]
pub(crate) struct PullManager {
    inner: Arc<Inner>,
}

struct Inner {
    settings: PullSettings,
    tasks: TaskTracker,
    attempting: Box<Attempting>,
    table: Mutex<Table>,
    times: Mutex<ImageTimes>,
}

/// How one attempt ended.
#[derive(Debug)]
struct Ended {
    how: How,
    took: Duration,
    /// Whether the engine said anything.
    lines: Lines,
}

#[derive(Debug)]
enum How {
    Done,
    Failed(AttemptFailure),
    /// It made room for others.
    Aside,
}

/// An attempt of which nothing came for too long.
#[derive(Debug, thiserror::Error)]
enum Silence {
    #[error("cannot pull image {image}: no answer within {}s", after.as_secs_f64())]
    OfRegistry { image: String, after: Duration },
    #[error(
        "cannot pull image {image}: no answer within {}s: the engine keeps its layers waiting (max-concurrent-downloads) \
         and tells of no others",
        after.as_secs_f64()
    )]
    OfEngine { image: String, after: Duration },
}

/// One who waits. Dropping it leaves.
struct Waiter<'a> {
    inner: &'a Arc<Inner>,
    key: &'a PullKey,
    id: PullId,
    news: watch::Receiver<PullNews>,
}

/// The owner of one pull.
struct Owner {
    inner: Arc<Inner>,
    key: PullKey,
    id: PullId,
    image: ImageRef,
    news: Arc<watch::Sender<PullNews>>,
    signals: watch::Receiver<Signal>,
}

impl PullManager {
    /// Pulls with an engine. Owners are spawned on `tasks`.
    pub(crate) fn new(engine: Engine, settings: PullSettings, tasks: TaskTracker) -> Self {
        Self::attempting(settings, tasks, move |key, image, tap| {
            let (engine, key, image) = (engine.clone(), key.clone(), image.clone());
            Box::pin(async move {
                // The owner's own clock ends it.
                let options =
                    PullOptions { total: None, inactivity: Duration::MAX, platform: key.platform() };
                engine.pull(&image, key.credentials(), options, tap).await.map_err(|error| AttemptFailure {
                    class: PullClass::of(&error),
                    retry_after: match error.kind() {
                        ErrorKind::RateLimited { retry_after, .. } => *retry_after,
                        _ => None,
                    },
                    source: Arc::new(error),
                })
            })
        })
    }

    fn attempting(
        settings: PullSettings,
        tasks: TaskTracker,
        attempting: impl Fn(&PullKey, &ImageRef, Tap) -> Attempt + Send + Sync + 'static,
    ) -> Self {
        let table = Mutex::new(Table::new(settings));
        let times = Mutex::default();
        Self { inner: Arc::new(Inner { settings, tasks, attempting: Box::new(attempting), table, times }) }
    }

    /// What the flags say.
    pub(crate) fn settings(&self) -> &PullSettings {
        &self.inner.settings
    }

    /// What happened so far.
    pub(crate) fn counters(&self) -> PullCounters {
        self.inner.table().counters()
    }

    /// How long launches took to have their image.
    pub(crate) fn image_times(&self) -> ImageTimes {
        self.inner.times.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Adds the time of a launch that has its image now.
    pub(crate) fn record_image_time(&self, took: Duration) {
        let mut times = self.inner.times.lock().unwrap_or_else(PoisonError::into_inner);
        times.record(Instant::now(), took);
    }

    /// Waits for a pull of `image`, joining one that is under way; `told` hears of it at least once a second. A waiter
    /// with something to fall back on leaves at the first failure that sends it there, and does not wait for retries.
    ///
    /// # Errors
    ///
    /// How the pull failed, a refusal of a moment ago, or the waiter's own deadline.
    ///
    /// # Cancel safety
    ///
    /// May be dropped at any time; the pull goes on if others wait for it, and is cancelled in the engine otherwise.
    pub(crate) async fn pull(
        &self,
        key: &PullKey,
        image: &ImageRef,
        fallback: Fallback,
        told: impl FnMut(&PullNews) + Send,
    ) -> Result<(), PullError> {
        self.join(key, image)?.wait(self.inner.settings.timeout, &image.familiar(), fallback, told).await
    }

    fn join<'a>(&'a self, key: &'a PullKey, image: &ImageRef) -> Result<Waiter<'a>, PullError> {
        let first = PullNews { stage: PullStage::Queued, totals: PullTotals::default() };
        let (sender, receiver) = watch::channel(first);
        let joined = self.inner.table().join(key, &image.familiar(), &receiver, Instant::now())?;
        let (id, news) = match joined {
            Joined::Others(id, news) => (id, news),
            Joined::First(id, signals, stop) => {
                let owner = Owner {
                    inner: self.inner.clone(),
                    key: key.clone(),
                    id,
                    image: image.clone(),
                    news: Arc::new(sender),
                    signals,
                };
                self.inner.tasks.spawn(owner.run(stop));
                (id, receiver)
            }
        };
        Ok(Waiter { inner: &self.inner, key, id, news })
    }
}

impl fmt::Debug for PullManager {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PullManager").field("settings", &self.inner.settings).finish_non_exhaustive()
    }
}

impl Inner {
    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends when an attempt was silent for too long. It looks now and then, for the others move its clock.
    async fn silent(&self, id: PullId, image: &ImageRef) -> AttemptFailure {
        let after = self.settings.inactivity;
        loop {
            let now = Instant::now();
            let since = self.table().flow.quiet_since(id, now).unwrap_or(now);
            let until = since.checked_add(after);
            if until.is_some_and(|until| until <= now) {
                break;
            }
            let look = now + LOOK;
            sleep_until(until.map_or(look, |until| until.min(look))).await;
        }
        let (image, is_held) = (image.familiar(), self.table().flow.is_held(id));
        let silence = match is_held {
            true => Silence::OfEngine { image, after },
            false => Silence::OfRegistry { image, after },
        };
        AttemptFailure { class: PullClass::Network, retry_after: None, source: Arc::new(silence) }
    }
}

impl Waiter<'_> {
    async fn wait(
        mut self,
        timeout: Option<Duration>,
        image: &str,
        fallback: Fallback,
        mut told: impl FnMut(&PullNews) + Send,
    ) -> Result<(), PullError> {
        let mut budget = Budget::new(timeout);
        let mut given_back = self.inner.table().lost(self.id);
        let mut last = None;
        loop {
            let news = self.news.borrow_and_update().clone();
            told(&news);
            let lost = self.inner.table().lost(self.id);
            if lost > given_back {
                budget.give_back(lost - given_back, Instant::now());
                given_back = lost;
            }
            let clock = match &news.stage {
                PullStage::Done(result) => return result.clone(),
                PullStage::Paused { error, .. } => {
                    if error.class().is_some_and(|class| fallback.takes(class)) {
                        return Err(error.clone());
                    }
                    last = Some(Box::new(error.clone()));
                    Clock::Runs
                }
                PullStage::Queued => Clock::Stands,
                PullStage::Pulling => Clock::Runs,
            };
            let now = Instant::now();
            let deadline = budget.set(clock, now);
            let look = now + LOOK;
            tokio::select! {
                changed = self.news.changed() => {
                    if changed.is_err() && !matches!(self.news.borrow().stage, PullStage::Done(_)) {
                        return Err(PullError::Abandoned { image: image.to_owned() });
                    }
                }
                () = sleep_until(deadline.map_or(look, |deadline| deadline.min(look))) => {
                    if deadline.is_some_and(|deadline| deadline <= Instant::now()) {
                        let after = timeout.unwrap_or_default();
                        return Err(PullError::TimedOut { image: image.to_owned(), after, last });
                    }
                }
            }
        }
    }
}

impl Drop for Waiter<'_> {
    fn drop(&mut self) {
        self.inner.table().leave(self.key, self.id);
    }
}

impl Owner {
    /// Pulls until it is done, or nobody waits any more.
    async fn run(mut self, stop: CancellationToken) {
        let result = tokio::select! {
            biased;
            () = stop.cancelled() => None,
            result = self.attempts() => Some(result),
        };
        let Some(result) = result else { return };
        // Nobody may join a pull that is over, so it leaves the table before its end is told.
        self.inner.table().ended(&self.key, self.id, &result, Instant::now());
        self.tell(PullStage::Done(result));
    }

    async fn attempts(&mut self) -> Result<(), PullError> {
        let mut attempts = Attempts::default();
        let mut away = Duration::ZERO;
        loop {
            let Ended { how, took, lines } = self.attempt().await;
            let AttemptFailure { class, retry_after, source } = match how {
                How::Done => return Ok(()),
                How::Failed(failure) => failure,
                How::Aside => {
                    self.tell(PullStage::Queued);
                    self.inner.table().set_aside(self.id, took, Instant::now());
                    continue;
                }
            };
            let entry = self.inner.table().failed(self.id, class, Instant::now());
            let is_still_away =
                class == PullClass::EngineAway && lines == Lines::None && away > Duration::ZERO;
            away = match (class, lines) {
                (PullClass::EngineAway, Lines::None) => away + took,
                // It was there in between.
                _ => Duration::ZERO,
            };
            let retry = &self.inner.settings.retry;
            let pause = attempts.after(class, retry_after, away, retry, chance());
            let image = self.image.familiar();
            let error = PullError::Failed { image, attempts: attempts.failed.max(1), class, source };
            if !is_still_away {
                // Told to everybody who waits, and in each sandbox.
                tracing::info!(
                    image = self.image.familiar(),
                    class = class.name(),
                    pause_ms = pause.map(|pause| pause.as_millis()),
                    error = crate::chain(&error),
                    "an attempt to pull an image failed"
                );
            }
            let Some(pause) = pause else { return Err(error) };
            self.tell(PullStage::Paused { error, pause });
            sleep(pause).await;
            away += pause;
            self.tell(PullStage::Queued);
            self.inner.table().again(self.id, entry, Instant::now());
        }
    }

    /// Waits for its turn and pulls.
    async fn attempt(&mut self) -> Ended {
        // The word to make room may have replaced the word to begin before this task was run.
        if self.turn(|signal| signal != Signal::Wait).await == Signal::Aside {
            return Ended { how: How::Aside, took: Duration::ZERO, lines: Lines::None };
        }
        let since = Instant::now();
        self.inner.table().flow.begin(self.id, since);
        self.news.send_modify(|news| (news.stage, news.totals) = (PullStage::Pulling, PullTotals::default()));
        let (inner, id, news) = (self.inner.clone(), self.id, self.news.clone());
        let tap = Box::new(move |line| {
            let totals = inner.table().flow.take(id, line, Instant::now());
            news.send_if_modified(|news| std::mem::replace(&mut news.totals, totals) != totals);
        });
        let attempt = (self.inner.attempting)(&self.key, &self.image, tap);
        let (inner, image) = (self.inner.clone(), self.image.clone());
        let silent = inner.silent(self.id, &image);
        let grown = async {
            // From now on it is a big one, and may have to make room.
            sleep(inner.settings.quick).await;
            inner.table().give(Instant::now());
            std::future::pending::<()>().await;
        };
        let how = tokio::select! {
            ended = attempt => ended.map_or_else(How::Failed, |()| How::Done),
            failure = silent => How::Failed(failure),
            _ = self.turn(|signal| signal == Signal::Aside) => How::Aside,
            () = grown => How::Aside,
        };
        let now = Instant::now();
        let lines = self.inner.table().flow.end(self.id, now);
        Ended { how, took: now.duration_since(since), lines }
    }

    /// Waits for a signal. The table holds the sender for as long as this pull is in it.
    async fn turn(&mut self, is_wanted: impl Fn(Signal) -> bool) -> Signal {
        let signal = self.signals.wait_for(|signal| is_wanted(*signal)).await.map(|signal| *signal);
        match signal {
            Ok(signal) => signal,
            Err(_) => std::future::pending().await,
        }
    }

    fn tell(&self, stage: PullStage) {
        self.news.send_modify(|news| news.stage = stage);
    }
}

impl Drop for Owner {
    fn drop(&mut self) {
        self.inner.table().gone(&self.key, self.id, Instant::now());
    }
}

/// A number from 0 to 1, of which it only matters that processes have different ones.
fn chance() -> f64 {
    use std::hash::{BuildHasher as _, RandomState};

    let random = RandomState::new().hash_one(std::process::id());
    f64::from(u32::try_from(random >> 32).unwrap_or(u32::MAX)) / f64::from(u32::MAX)
}

#[cfg(test)]
mod tests;
