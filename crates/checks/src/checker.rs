//! One check of one task: asks when its schedule says so, judges, and tells what changed.

use std::sync::Arc;
use std::time::Duration;

use mesos_proto::v1;
use mesos_types::{CheckSpec, HealthCheckSpec};
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::counts::{Counted, Counters};
use crate::judge::{Answer, Asked, CheckState, Health, Verdict, judge_general, judge_health};
use crate::output::sentence;
use crate::probe::Prober;
use crate::runner::{Shared, Turn};
use crate::schedule::{Action, Event, Schedule};
use crate::target::Target;

/// How many updates may wait to be taken; the check waits then, too.
const UPDATES: usize = 8;

/// The longest that is slept at once: timers of years are not exact.
const LONGEST_SLEEP: Duration = Duration::from_secs(24 * 3600);

/// A container that has been running for no longer than this has not been checked by another process.
const NEW: Duration = Duration::from_secs(1);

/// The exit code of a command that was killed with SIGKILL.
const KILLED: i32 = 137;

/// How long the end of a container may be behind a failure that it has caused; with a command that was killed it is
/// likelier.
const ENDING: Duration = Duration::from_millis(200);
const ENDING_WHEN_KILLED: Duration = Duration::from_secs(2);

/// What is checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Check {
    /// A health check: failures make the task unhealthy.
    Health(HealthCheckSpec),
    /// A check: results are told.
    General(CheckSpec),
}

/// A check to be made from now on.
#[derive(Debug)]
pub struct CheckOrder {
    /// What is checked.
    pub check: Check,
    /// The container.
    pub target: Target,
    /// What an earlier process kept of it; the default for a new one.
    pub state: CheckState,
    /// How long the container has been running: zero for a new one. The delay and the grace period count from its start.
    pub running_for: Duration,
}

/// What is told of a check, with what must be kept for the next process.
#[derive(Debug, Clone, PartialEq)]
pub struct CheckUpdate {
    /// What changed.
    pub news: CheckNews,
    /// What a record keeps from now on.
    pub state: CheckState,
}

/// What changed.
#[derive(Debug, Clone, PartialEq)]
pub enum CheckNews {
    /// The health check succeeded for the first time, or again after failures.
    Healthy,
    /// The health check failed, and it counts. Told for each failure.
    Unhealthy {
        /// How many in a row.
        consecutive_failures: u32,
        /// Whether the task is to be killed.
        verdict: Verdict,
        /// Why, in one line for people.
        why: String,
    },
    /// The result of the check is another than before.
    Status(Box<v1::CheckStatusInfo>),
    /// The check could not be made, and that is not the task's doing: told for the first of several in a row. A check
    /// (not a health check) has an empty result until it is made again.
    NotDone {
        /// Why, in one line for people.
        why: String,
    },
}

/// A check under way. Dropping it stops it; what it has begun is cleared away in the background.
#[derive(Debug)]
pub struct Checker {
    updates: mpsc::Receiver<CheckUpdate>,
    wish: watch::Sender<Wish>,
}

/// What the owner of the check wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wish {
    Run,
    Pause,
    Stop,
}

impl Checker {
    pub(crate) fn start(shared: Arc<Shared>, order: CheckOrder) -> Self {
        let (tell, updates) = mpsc::channel(UPDATES);
        let (wish, wishes) = watch::channel(Wish::Run);
        let now = Instant::now();
        let (probe, times, name) = match &order.check {
            Check::Health(spec) => (spec.probe.clone(), spec.times, "health"),
            Check::General(spec) => (spec.probe.clone(), spec.times, "check"),
        };
        let is_adopted = order.running_for >= NEW;
        let schedule = Schedule::new(&times, shared.settings.shortest_interval, order.running_for, now);
        let owner = Owner {
            prober: Prober::new(shared.clone(), order.target, probe, times.timeout, name, is_adopted),
            check: order.check,
            state: order.state,
            started: now,
            running_for: order.running_for,
            not_done: false,
            shared,
            tell,
            wishes,
        };
        tokio::spawn(owner.run(schedule));
        Self { updates, wish }
    }

    /// Waits for the next change. `None` after it was stopped, or once the container has ended.
    ///
    /// # Cancel safety
    ///
    /// May be dropped and called again; nothing is lost.
    pub async fn next(&mut self) -> Option<CheckUpdate> {
        self.updates.recv().await
    }

    /// Makes no more checks until told otherwise, and kills a command that is under way: the task is being killed.
    /// Updates that were told before may still be taken.
    pub fn pause(&self) {
        self.wish
            .send_if_modified(|wish| *wish == Wish::Run && std::mem::replace(wish, Wish::Pause) == Wish::Run);
    }

    /// Goes on after a pause, one interval from now.
    pub fn resume(&self) {
        self.wish.send_if_modified(|wish| {
            *wish == Wish::Pause && std::mem::replace(wish, Wish::Run) == Wish::Pause
        });
    }

    /// Stops it and waits until all that it has begun is cleared away, or the engine has had its time for that.
    pub async fn stop(mut self) {
        self.wish.send_replace(Wish::Stop);
        while self.updates.recv().await.is_some() {}
    }
}

/// The owner of the check.
struct Owner {
    shared: Arc<Shared>,
    prober: Prober,
    check: Check,
    state: CheckState,
    started: Instant,
    running_for: Duration,
    /// Whether the last one could not be made.
    not_done: bool,
    tell: mpsc::Sender<CheckUpdate>,
    wishes: watch::Receiver<Wish>,
}

impl Owner {
    async fn run(mut self, mut schedule: Schedule) {
        let shared = self.shared.clone();
        let mut action = schedule.action();
        loop {
            let event = match action {
                Action::Wait(due) => tokio::select! {
                    biased;
                    event = wished(&mut self.wishes) => event,
                    () = until(due) => Event::Due,
                },
                Action::Queue => {
                    tokio::select! {
                        biased;
                        event = wished(&mut self.wishes) => event,
                        turn = shared.turn(self.prober.kind()) => {
                            // The turn is kept to the end of the asking at the most, also when that is given up.
                            match schedule.step(Event::Turn, Instant::now()) {
                                Ok((next, Action::Ask { late })) => {
                                    schedule = next;
                                    shared.counters.waited(late);
                                    self.ask(turn).await
                                }
                                Ok((_, _)) | Err(_) => Event::Stop,
                            }
                        }
                    }
                }
                Action::Rest | Action::Continue | Action::Ask { .. } => wished(&mut self.wishes).await,
                Action::End => break,
            };
            (schedule, action) = match schedule.step(event, Instant::now()) {
                Ok(step) => step,
                Err(illegal) => {
                    tracing::error!(%illegal, "a check ignored an event");
                    (schedule, schedule.action())
                }
            };
        }
        self.prober.clear().await;
    }

    /// Asks once and tells what follows; answers what happened to the asking.
    async fn ask(&mut self, mut turn: Turn<'_>) -> Event {
        let shared = self.shared.clone();
        let _asking = Counted::new(&shared.counters.asking);
        Counters::add(&shared.counters.begun);
        let given_up = CancellationToken::new();
        let (asked, wish) = {
            let mut asking = std::pin::pin!(self.prober.ask(&given_up, &mut turn));
            tokio::select! {
                biased;
                asked = &mut asking => (asked, None),
                event = stopped_or_paused(&mut self.wishes) => {
                    given_up.cancel();
                    (asking.await, Some(event))
                }
            }
        };
        // What follows is not to keep others waiting: the owner of this check may be slow to take its news.
        turn.end();
        if let Some(event) = wish {
            return event;
        }
        // A task that has ended fails its checks; that is told by its end.
        if !is_success(&asked) && self.ends_now(&asked).await {
            return Event::Stop;
        }
        for update in self.judge(asked) {
            let told = tokio::select! {
                biased;
                event = stopped_or_paused(&mut self.wishes) => return event,
                told = self.tell.send(update) => told,
            };
            if told.is_err() {
                return Event::Stop;
            }
        }
        Event::Ended
    }

    /// Whether the container has ended, or ends at this moment: when its first process is killed, the kernel ends all
    /// others before it, and a check with them.
    async fn ends_now(&self, asked: &Asked) -> bool {
        let patience = match asked {
            Asked::Answered(Answer::ExitCode(KILLED), _) => ENDING_WHEN_KILLED,
            _ => ENDING,
        };
        let since = Instant::now();
        loop {
            if self.prober.has_ended() {
                return true;
            }
            if since.elapsed() >= patience {
                return false;
            }
            tokio::time::sleep(ENDING / 10).await;
        }
    }

    /// Makes news of what came of asking.
    fn judge(&mut self, asked: Asked) -> Vec<CheckUpdate> {
        let counters = &self.shared.counters;
        let name = self.prober.name();
        let was_not_done = std::mem::replace(&mut self.not_done, matches!(asked, Asked::NotDone(_)));
        let mut news = Vec::new();
        let (answer, is_healthy, why) = match asked {
            Asked::Aborted => return Vec::new(),
            Asked::NotDone(why) => {
                Counters::add(&counters.not_done);
                let why = sentence(&why);
                if was_not_done {
                    tracing::debug!(check = name, why, "a check could not be made again");
                } else {
                    tracing::warn!(check = name, why, "a check could not be made");
                    news.push(CheckNews::NotDone { why: format!("{name} check could not be made: {why}") });
                }
                (None, None, String::new())
            }
            Asked::Unanswered(why) => (None, Some(false), sentence(&why)),
            Asked::Answered(answer, why) => (Some(answer), Some(answer.is_healthy()), sentence(&why)),
        };
        if is_healthy == Some(false) {
            Counters::add(&counters.failed);
            tracing::debug!(check = name, why, "a check failed");
        }
        match &self.check {
            Check::Health(spec) => {
                let ran = self.running_for + self.started.elapsed();
                let health = is_healthy.and_then(|healthy| judge_health(spec, &mut self.state, healthy, ran));
                news.extend(health.map(|health| match health {
                    Health::Healthy => CheckNews::Healthy,
                    Health::Unhealthy { consecutive, verdict } => CheckNews::Unhealthy {
                        consecutive_failures: consecutive,
                        verdict,
                        why: format!("{name} health check failed: {why}"),
                    },
                }));
            }
            Check::General(spec) => {
                let status = judge_general(spec, &mut self.state, answer);
                news.extend(status.map(|status| CheckNews::Status(Box::new(status))));
            }
        }
        news.into_iter().map(|news| CheckUpdate { news, state: self.state.clone() }).collect()
    }
}

fn is_success(asked: &Asked) -> bool {
    matches!(asked, Asked::Answered(answer, _) if answer.is_healthy())
}

/// Waits for the next wish.
async fn wished(wishes: &mut watch::Receiver<Wish>) -> Event {
    match wishes.changed().await {
        Ok(()) => match *wishes.borrow_and_update() {
            Wish::Run => Event::Resume,
            Wish::Pause => Event::Pause,
            Wish::Stop => Event::Stop,
        },
        // The checker was dropped.
        Err(_) => Event::Stop,
    }
}

/// Waits for a wish that ends what is under way.
async fn stopped_or_paused(wishes: &mut watch::Receiver<Wish>) -> Event {
    loop {
        let event = wished(wishes).await;
        if event != Event::Resume {
            return event;
        }
    }
}

async fn until(due: Instant) {
    while let left = due.saturating_duration_since(Instant::now())
        && !left.is_zero()
    {
        tokio::time::sleep(left.min(LONGEST_SLEEP)).await;
    }
}
