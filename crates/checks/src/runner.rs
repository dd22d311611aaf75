//! What all checks of a process share: turns, the namespace thread, settings, counters.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Semaphore, SemaphorePermit};

use crate::checker::{CheckOrder, Checker};
use crate::counts::{CheckCounts, Counted, Counters};
use crate::opener::Opener;
use crate::probe::{Resolver, TlsOfChecks};

/// How many threads look through all processes of the host at once.
const LOOKERS: usize = 2;

/// How checks are made. Start from the default and change fields.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct CheckSettings {
    /// How many commands of checks are started in containers at once. The engine begins to fail with more than some 20 a second.
    pub commands_at_once: NonZeroUsize,
    /// How many HTTP and TCP checks are made at once.
    pub connections_at_once: NonZeroUsize,
    /// The least time between the end of a check and the next one of the same task, whatever its interval says.
    pub shortest_interval: Duration,
    /// How long a check may keep others waiting: one that takes longer goes on without its turn. No task's server or
    /// command that hangs, with a long timeout or none, keeps another task from being checked.
    pub longest_turn: Duration,
    /// How long one call to the engine may take: making a command, starting it, asking how it is.
    pub engine_deadline: Duration,
}

impl Default for CheckSettings {
    fn default() -> Self {
        Self {
            commands_at_once: const { NonZeroUsize::new(8).unwrap() },
            connections_at_once: const { NonZeroUsize::new(64).unwrap() },
            shortest_interval: Duration::from_millis(100),
            longest_turn: Duration::from_secs(5),
            engine_deadline: Duration::from_secs(30),
        }
    }
}

/// Makes checks. Cheap to clone; clones share everything.
#[derive(Debug, Clone)]
pub struct CheckRunner {
    shared: Arc<Shared>,
}

/// What checks share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) settings: CheckSettings,
    pub(crate) counters: Arc<Counters>,
    pub(crate) opener: Opener,
    pub(crate) tls: TlsOfChecks,
    pub(crate) resolver: Resolver,
    /// Both queues are first in, first out, and a task waits in them at most twice: with its health check and its
    /// check. So no task keeps another from its turn.
    commands: Semaphore,
    connections: Semaphore,
    /// Who may look through all processes.
    lookers: Arc<Semaphore>,
}

/// The right to ask, which ends when it is dropped or before.
#[derive(Debug)]
pub(crate) struct Turn<'a>(Option<SemaphorePermit<'a>>);

impl Turn<'_> {
    /// Lets the next one ask.
    pub(crate) fn end(&mut self) {
        self.0 = None;
    }

    /// Whether it has ended.
    pub(crate) fn has_ended(&self) -> bool {
        self.0.is_none()
    }
}

/// What a check needs a turn for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Command,
    Connection,
}

impl CheckRunner {
    /// A runner with these settings. Starts nothing.
    pub fn new(settings: CheckSettings) -> Self {
        Self { shared: Arc::new(Shared::new(settings)) }
    }

    /// Starts to check a task, in the background.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime.
    pub fn start(&self, order: CheckOrder) -> Checker {
        Checker::start(self.shared.clone(), order)
    }

    /// The numbers so far.
    pub fn counts(&self) -> CheckCounts {
        self.shared.counters.read()
    }
}

impl Shared {
    pub(crate) fn new(settings: CheckSettings) -> Self {
        let counters: Arc<Counters> = Arc::default();
        let turns = |most: NonZeroUsize| Semaphore::new(most.get().min(Semaphore::MAX_PERMITS));
        Self {
            settings,
            opener: Opener::new(counters.clone()),
            counters,
            tls: TlsOfChecks::default(),
            resolver: Resolver::default(),
            commands: turns(settings.commands_at_once),
            connections: turns(settings.connections_at_once),
            lookers: Arc::new(Semaphore::new(LOOKERS)),
        }
    }

    /// Looks through all processes, on a thread of its own: a look at a process waits for the locks of its memory. `None`
    /// if that takes too long.
    pub(crate) async fn look_through<T: Send + 'static>(
        &self,
        look: impl FnOnce() -> T + Send + 'static,
    ) -> Option<T> {
        let looking = async {
            let turn = self.lookers.clone().acquire_owned().await.ok()?;
            let looking = tokio::task::spawn_blocking(move || {
                // The turn is over when the look is, whoever waits for it.
                let _turn = turn;
                look()
            });
            looking.await.ok()
        };
        tokio::time::timeout(self.settings.engine_deadline, looking).await.ok().flatten()
    }

    /// Waits for a turn. May be dropped: the place in the queue is given up.
    pub(crate) async fn turn(&self, kind: Kind) -> Turn<'_> {
        let turns = match kind {
            Kind::Command => &self.commands,
            Kind::Connection => &self.connections,
        };
        let _queued = Counted::new(&self.counters.queued);
        match turns.acquire().await {
            Ok(permit) => Turn(Some(permit)),
            // The semaphores are never closed.
            Err(_) => std::future::pending().await,
        }
    }
}
