//! The verdicts of Docker's own HEALTHCHECK, for tasks that ask for it, from one subscription for all tasks.
//!
//! ```text
//! events of the engine (health_status) ─┐
//! a task that is new                    ├─► inspect the container ─► what it says is told, where it changed
//! a subscription that broke and is back ┘
//! ```
//!
//! An event only says where to look: the inspection is the truth, so nothing is missed over a break, and events that
//! come late tell nothing twice. Containers are looked at beside each other: one whose inspection hangs, as it does while
//! the engine holds its lock, keeps no other from being looked at, and is looked at again later. The engine itself counts
//! failures and its start period (`health-retries`, `health-start-period`); an unhealthy task is told as such and not
//! killed for it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use docker_engine::{Engine, EngineHealth, EngineHealthStatus, EventFilter, Inspection};
use tokio::sync::{Notify, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

use crate::checker::{CheckNews, CheckUpdate};
use crate::judge::{CheckState, Verdict};
use crate::output::last_words;

/// The pauses between attempts to subscribe.
const FIRST_PAUSE: Duration = Duration::from_millis(200);
const LAST_PAUSE: Duration = Duration::from_secs(30);

/// When a container is looked at again that could not be looked at.
const NEXT_LOOK: Duration = Duration::from_secs(5);

/// How many containers are looked at at once.
const LOOKS: usize = 8;

/// Follows the health of containers. Cheap to clone; clones share the subscription.
#[derive(Debug, Clone)]
pub struct EngineHealthWatcher {
    shared: Arc<Shared>,
}

/// The health of one container, as the engine judges it. Dropping it ends the watch.
#[derive(Debug)]
pub struct EngineHealthWatch {
    id: String,
    number: u64,
    seen: watch::Receiver<Option<Seen>>,
    state: CheckState,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    engine: Engine,
    watched: Mutex<Watched>,
    /// There is a new container to look at.
    added: Notify,
}

#[derive(Debug, Default)]
struct Watched {
    containers: BTreeMap<String, Entry>,
    /// Whether a task of the runtime follows the events.
    is_followed: bool,
    /// How many watches there were.
    watches: u64,
}

#[derive(Debug)]
struct Entry {
    tell: watch::Sender<Option<Seen>>,
    /// Which watch it belongs to.
    number: u64,
    /// When it is to be looked at; none until something happens.
    due: Option<Instant>,
    /// Whether it is being looked at.
    is_looked_at: bool,
}

/// How a subscription ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ended {
    /// Nobody watches any more.
    Over,
    /// The engine ended it, as when it goes down.
    Broken,
}

/// A verdict.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Seen {
    Healthy,
    Unhealthy(String),
}

impl EngineHealthWatcher {
    /// A watcher for the containers of this engine. Starts nothing.
    pub fn new(engine: Engine) -> Self {
        let watched = Mutex::default();
        Self { shared: Arc::new(Shared { engine, watched, added: Notify::new() }) }
    }

    /// Says whether the engine checks the health of a container: its task has asked for it, or the operator.
    pub fn applies_to(inspection: &Inspection) -> bool {
        inspection.state.health.is_some()
    }

    /// Follows the health of a container, by its engine id, of which this much was told before. The first watch starts
    /// the subscription, and the last one ends it.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime.
    pub fn watch(&self, id: &str, state: CheckState) -> EngineHealthWatch {
        let (tell, seen) = watch::channel(None);
        let (is_followed, number) = {
            let mut watched = self.shared.lock();
            watched.watches += 1;
            let number = watched.watches;
            watched.containers.insert(id.to_owned(), Entry::new(tell, number));
            (std::mem::replace(&mut watched.is_followed, true), number)
        };
        if !is_followed {
            tokio::spawn(follow(self.shared.clone()));
        }
        self.shared.added.notify_one();
        EngineHealthWatch { id: id.to_owned(), number, seen, state, shared: self.shared.clone() }
    }
}

impl EngineHealthWatch {
    /// Waits for the next change of the verdict, in the form of a health check's news. `None` when the runtime ends.
    ///
    /// # Cancel safety
    ///
    /// May be dropped and called again. Of verdicts that change faster than they are taken the last one counts.
    pub async fn next(&mut self) -> Option<CheckUpdate> {
        loop {
            self.seen.changed().await.ok()?;
            let seen = self.seen.borrow_and_update().clone()?;
            let state = &mut self.state;
            let news = match seen {
                Seen::Healthy if state.succeeded && state.consecutive_failures == 0 => continue,
                Seen::Healthy => {
                    *state = CheckState { succeeded: true, ..CheckState::default() };
                    CheckNews::Healthy
                }
                Seen::Unhealthy(_) if state.consecutive_failures > 0 => continue,
                Seen::Unhealthy(why) => {
                    state.consecutive_failures = 1;
                    CheckNews::Unhealthy { consecutive_failures: 1, verdict: Verdict::Lives, why }
                }
            };
            return Some(CheckUpdate { news, state: state.clone() });
        }
    }
}

impl Drop for EngineHealthWatch {
    fn drop(&mut self) {
        let mut watched = self.shared.lock();
        // The same container may be watched anew already.
        if watched.containers.get(&self.id).is_some_and(|entry| entry.number == self.number) {
            watched.containers.remove(&self.id);
        }
        drop(watched);
        self.shared.added.notify_one();
    }
}

impl Shared {
    fn lock(&self) -> std::sync::MutexGuard<'_, Watched> {
        self.watched.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Looks at a container that is watched, and tells what it says.
    async fn look(self: Arc<Self>, id: String) {
        let inspected = self.engine.inspect(&id, self.engine.deadlines().inspect).await;
        let mut watched = self.lock();
        let Some(entry) = watched.containers.get_mut(&id) else { return };
        entry.is_looked_at = false;
        match inspected {
            Ok(inspection) => {
                let seen = inspection.and_then(|inspection| inspection.state.health).and_then(verdict);
                entry
                    .tell
                    .send_if_modified(|told| seen.is_some() && std::mem::replace(told, seen.clone()) != seen);
            }
            Err(error) => {
                tracing::warn!(container = id, %error, "the health of a container is asked again");
                entry.due = Some(Instant::now() + NEXT_LOOK);
            }
        }
    }

    /// So many of the containers that are to be looked at now; and when the next is to be.
    fn due(&self, most: usize) -> (Vec<String>, Option<Instant>) {
        let (now, mut ids, mut next) = (Instant::now(), Vec::new(), None::<Instant>);
        for (id, entry) in &mut self.lock().containers {
            let Some(due) = entry.due.filter(|_| !entry.is_looked_at) else { continue };
            if due > now {
                next = Some(next.map_or(due, |next| next.min(due)));
            } else if ids.len() < most {
                (entry.due, entry.is_looked_at) = (None, true);
                ids.push(id.clone());
            }
        }
        (ids, next)
    }

    /// Something happened to a container.
    fn touch(&self, id: &str) {
        if let Some(entry) = self.lock().containers.get_mut(id) {
            entry.due = Some(Instant::now());
        }
    }

    /// All are to be looked at: nobody knows what has happened to them.
    fn touch_all(&self) {
        for entry in self.lock().containers.values_mut() {
            (entry.due, entry.is_looked_at) = (Some(Instant::now()), false);
        }
    }

    /// Whether nobody watches any more; then the subscription ends, and the next watch starts another.
    fn is_over(&self) -> bool {
        let mut watched = self.lock();
        watched.is_followed = !watched.containers.is_empty();
        !watched.is_followed
    }
}

impl Entry {
    fn new(tell: watch::Sender<Option<Seen>>, number: u64) -> Self {
        Self { tell, number, due: Some(Instant::now()), is_looked_at: false }
    }
}

/// Follows the engine's events for as long as somebody watches.
async fn follow(shared: Arc<Shared>) {
    let mut pause = FIRST_PAUSE;
    loop {
        if shared.is_over() {
            return;
        }
        let since = Instant::now();
        match subscribed(&shared).await {
            Ok(Ended::Over) => return,
            Ok(Ended::Broken) => tracing::debug!("the engine ended the events"),
            Err(error) => tracing::warn!(%error, "the health of containers is followed again"),
        }
        shared.touch_all();
        if since.elapsed() > LAST_PAUSE {
            pause = FIRST_PAUSE;
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(LAST_PAUSE);
    }
}

/// Follows one subscription to its end. What is looked at after it began is not missed by it.
async fn subscribed(shared: &Arc<Shared>) -> Result<Ended, docker_engine::EngineError> {
    let filter = EventFilter {
        kinds: vec!["container".into()],
        actions: vec!["health_status".into()],
        ..EventFilter::default()
    };
    let mut events = shared.engine.events(&filter, shared.engine.deadlines().stream_head).await?;
    let mut looks = JoinSet::new();
    loop {
        if shared.is_over() {
            return Ok(Ended::Over);
        }
        let (ids, next) = shared.due(LOOKS.saturating_sub(looks.len()));
        for id in ids {
            looks.spawn(shared.clone().look(id));
        }
        tokio::select! {
            event = events.next_event() => match event {
                Some(Ok(event)) => shared.touch(&event.id),
                Some(Err(error)) => return Err(error),
                None => return Ok(Ended::Broken),
            },
            Some(_) = looks.join_next() => {}
            () = shared.added.notified() => {}
            () = sleep_until(next.unwrap_or_else(Instant::now)), if next.is_some() => {}
        }
    }
}

fn verdict(health: EngineHealth) -> Option<Seen> {
    match health.status {
        EngineHealthStatus::Starting => None,
        EngineHealthStatus::Healthy => Some(Seen::Healthy),
        EngineHealthStatus::Unhealthy => {
            let said = health.last.map(|(code, output)| {
                let words = last_words(output.as_bytes(), b"");
                let colon = if words.is_empty() { "" } else { ": " };
                format!(" with status {code}{colon}{words}")
            });
            Some(Seen::Unhealthy(format!(
                "Docker HEALTHCHECK failed {} times in a row, the last{}",
                health.failing_streak,
                said.unwrap_or_else(|| " without a result".to_owned())
            )))
        }
    }
}
