//! The task that owns the schedule. Whoever talks to it never waits for a disk: it is told what to schedule and goes on.

use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use sandbox::Removed;
use tokio::sync::{mpsc, oneshot};
use tokio::task::{Id, JoinError, JoinSet};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until};

use super::disk::{age, disk_usage, touch};
use super::remove::{RemovalError, Remover};
use super::schedule::{Schedule, Unscheduled, max_allowed_age};

/// Commands that wait to be read. Far more than the directories of a thousand tasks that end at once.
const QUEUE: usize = 16_384;

/// How the collector works.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct GcSettings {
    /// How old a directory gets on an empty disk (`--gc_delay`).
    pub delay: Duration,
    /// The fraction of the disk that is to stay free (`--gc_disk_headroom`).
    pub headroom: f64,
    /// The pause between two looks at the disk (`--disk_watch_interval`).
    pub disk_watch_interval: Duration,
    /// Removals at once; at least one.
    pub removals: usize,
}

impl Default for GcSettings {
    fn default() -> Self {
        Self {
            delay: Duration::from_secs(7 * 24 * 3600),
            headroom: 0.1,
            disk_watch_interval: Duration::from_secs(60),
            removals: 2,
        }
    }
}

/// What was counted since the start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct GcCounters {
    /// Directories that were removed (`gc/path_removals_succeeded`).
    pub succeeded: u64,
    /// Directories that were not, or not in full (`gc/path_removals_failed`).
    pub failed: u64,
    /// Directories that are scheduled or being removed (`gc/path_removals_pending`).
    pub pending: u64,
    /// How old a directory may get at present (`slave/executor_directory_max_allowed_age_secs`).
    pub max_allowed_age: Duration,
}

/// The collector does not take it: it has ended, or has far too much to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the garbage collector does not answer")]
pub struct CollectorGone;

/// A handle on the collector's task. Once all handles are gone the task ends, after the removals under way.
#[derive(Debug, Clone)]
pub struct Collector {
    commands: mpsc::Sender<Command>,
    shared: Arc<Shared>,
}

#[derive(Debug)]
enum Command {
    Schedule { path: PathBuf, since: Since },
    Unschedule { paths: Vec<PathBuf>, done: oneshot::Sender<()> },
}

/// From when on a directory's age counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Since {
    LastChange,
    Now,
}

#[derive(Debug, Default)]
struct Shared {
    succeeded: AtomicU64,
    failed: AtomicU64,
    pending: AtomicU64,
    max_allowed_age_ms: AtomicU64,
}

impl Collector {
    /// Starts the task, which removes below the canonical `work_dir`. Needs a tokio runtime.
    #[must_use]
    pub fn start(work_dir: &Path, settings: GcSettings) -> Self {
        Self::start_telling(work_dir, settings, |_| {})
    }

    /// As [`Collector::start`]; `gone` hears of each directory that was removed, in full or in part. It must not block.
    #[must_use]
    pub fn start_telling(
        work_dir: &Path,
        settings: GcSettings,
        gone: impl Fn(&Path) + Send + 'static,
    ) -> Self {
        let (commands, receiver) = mpsc::channel(QUEUE);
        let shared = Arc::new(Shared::default());
        shared.allow(settings.delay);
        let worker = Worker {
            settings: GcSettings { removals: settings.removals.max(1), ..settings },
            work_dir: work_dir.to_owned(),
            remover: Remover::new(work_dir),
            started: Instant::now(),
            schedule: Schedule::default(),
            removals: JoinSet::new(),
            removing: HashMap::new(),
            waiting: Vec::new(),
            shared: Arc::clone(&shared),
            gone: Box::new(gone),
        };
        tokio::spawn(worker.run(receiver));
        Self { commands, shared }
    }

    /// Schedules a directory that nobody needs. Its age counts from its last change. Does not wait.
    ///
    /// # Errors
    ///
    /// [`CollectorGone`]; the directory is found again at the next start.
    pub fn schedule(&self, path: PathBuf) -> Result<(), CollectorGone> {
        self.send(Command::Schedule { path, since: Since::LastChange })
    }

    /// Schedules a directory as if it were changed now.
    ///
    /// # Errors
    ///
    /// [`CollectorGone`]; the directory is found again at the next start.
    pub fn schedule_from_now(&self, path: PathBuf) -> Result<(), CollectorGone> {
        self.send(Command::Schedule { path, since: Since::Now })
    }

    /// Takes directories off the schedule: they are needed again. Returns once none of them is being removed. May be
    /// dropped, which changes nothing.
    ///
    /// # Errors
    ///
    /// [`CollectorGone`]: nothing is known of them, and they must not be used.
    pub async fn unschedule(&self, paths: Vec<PathBuf>) -> Result<(), CollectorGone> {
        let (done, answer) = oneshot::channel();
        self.send(Command::Unschedule { paths, done })?;
        answer.await.map_err(|_| CollectorGone)
    }

    /// What was counted.
    #[must_use]
    pub fn counters(&self) -> GcCounters {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        GcCounters {
            succeeded: read(&self.shared.succeeded),
            failed: read(&self.shared.failed),
            pending: read(&self.shared.pending),
            max_allowed_age: Duration::from_millis(read(&self.shared.max_allowed_age_ms)),
        }
    }

    fn send(&self, command: Command) -> Result<(), CollectorGone> {
        self.commands.try_send(command).map_err(|_| CollectorGone)
    }
}

impl Shared {
    fn allow(&self, age: Duration) {
        let age = u64::try_from(age.as_millis()).unwrap_or(u64::MAX);
        self.max_allowed_age_ms.store(age, Ordering::Relaxed);
    }
}

struct Worker {
    settings: GcSettings,
    work_dir: PathBuf,
    remover: Remover,
    started: Instant,
    schedule: Schedule,
    removals: JoinSet<Result<Removed, RemovalError>>,
    removing: HashMap<Id, PathBuf>,
    /// Who waits for the end of which removals.
    waiting: Vec<(BTreeSet<PathBuf>, oneshot::Sender<()>)>,
    shared: Arc<Shared>,
    /// Who hears of each directory that was removed.
    gone: Box<dyn Fn(&Path) + Send>,
}

impl Worker {
    async fn run(mut self, mut commands: mpsc::Receiver<Command>) {
        let mut watch = interval(self.settings.disk_watch_interval.max(Duration::from_millis(1)));
        watch.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let has_room = self.start_removals();
            let due = self.schedule.next_due().filter(|_| has_room);
            let until = self.started.checked_add(due.unwrap_or_default());
            tokio::select! {
                command = commands.recv() => match command {
                    Some(command) => self.command(command).await,
                    None => break,
                },
                Some(ended) = self.removals.join_next_with_id() => self.ended(ended),
                _ = watch.tick() => self.look_at_the_disk().await,
                () = sleep_until(until.unwrap_or_else(Instant::now)), if due.is_some() && until.is_some() => {}
            }
            self.count();
        }
        while let Some(ended) = self.removals.join_next_with_id().await {
            self.ended(ended);
        }
    }

    async fn command(&mut self, command: Command) {
        match command {
            Command::Schedule { path, since } => {
                let looked_at = path.clone();
                let age = tokio::task::spawn_blocking(move || match since {
                    Since::Now => touch(&looked_at).map(|()| Duration::ZERO),
                    Since::LastChange => age(&looked_at),
                });
                // A directory that cannot be looked at is not there, or its removal will tell.
                let age = age.await.ok().and_then(Result::ok).unwrap_or_default();
                tracing::debug!(?path, ?age, "a directory is scheduled for removal");
                self.schedule.schedule(path, age, self.settings.delay, self.started.elapsed());
            }
            Command::Unschedule { paths, done } => {
                let removing: BTreeSet<PathBuf> = paths
                    .into_iter()
                    .filter(|path| self.schedule.unschedule(path) == Unscheduled::Removing)
                    .collect();
                self.waiting.push((removing, done));
                self.answer();
            }
        }
    }

    /// Starts what is due, as far as there is room, and says whether some is left.
    fn start_removals(&mut self) -> bool {
        let room = self.settings.removals.saturating_sub(self.removals.len());
        for path in self.schedule.take(self.started.elapsed(), room) {
            tracing::info!(?path, "a directory is removed");
            let (remover, removed) = (self.remover.clone(), path.clone());
            let removal = self.removals.spawn_blocking(move || remover.remove(&removed));
            self.removing.insert(removal.id(), path);
        }
        self.removals.len() < self.settings.removals
    }

    fn ended(&mut self, ended: Result<(Id, Result<Removed, RemovalError>), JoinError>) {
        let (id, counter) = match &ended {
            Ok((id, Ok(_))) => (*id, &self.shared.succeeded),
            Ok((id, Err(_))) => (*id, &self.shared.failed),
            Err(error) => (error.id(), &self.shared.failed),
        };
        counter.fetch_add(1, Ordering::Relaxed);
        let Some(path) = self.removing.remove(&id) else { return };
        (self.gone)(&path);
        match ended {
            Ok((_, Ok(removed))) => {
                tracing::debug!(?path, removed.files, removed.directories, "a directory is gone");
            }
            Ok((_, Err(error))) => {
                let source = std::error::Error::source(&error).map(ToString::to_string);
                tracing::warn!(?path, %error, source, "a directory is not removed, or not in full");
            }
            Err(error) => tracing::error!(?path, %error, "the removal of a directory ended early"),
        }
        self.schedule.finished(&path);
        for (removing, _) in &mut self.waiting {
            removing.remove(&path);
        }
        self.answer();
    }

    /// Answers who has nothing left to wait for.
    fn answer(&mut self) {
        let (ready, waiting): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.waiting).into_iter().partition(|(removing, _)| removing.is_empty());
        self.waiting = waiting;
        for (_, done) in ready {
            // Whoever asked may have gone.
            let _ = done.send(());
        }
    }

    /// Removes sooner what is scheduled, the fuller the disk is. Nothing changes when the disk cannot be asked.
    async fn look_at_the_disk(&mut self) {
        let work_dir = self.work_dir.clone();
        match tokio::task::spawn_blocking(move || disk_usage(&work_dir)).await {
            Ok(Ok(usage)) => {
                let allowed = max_allowed_age(self.settings.delay, self.settings.headroom, usage);
                tracing::debug!(usage, ?allowed, "the disk was looked at");
                self.shared.allow(allowed);
                self.schedule.prune(self.settings.delay, allowed, self.started.elapsed());
            }
            Ok(Err(error)) => tracing::warn!(work_dir = ?self.work_dir, %error, "cannot look at the disk"),
            Err(error) => tracing::error!(%error, "the look at the disk ended early"),
        }
    }

    fn count(&self) {
        let pending = u64::try_from(self.schedule.pending()).unwrap_or(u64::MAX);
        self.shared.pending.store(pending, Ordering::Relaxed);
    }
}
