//! The checks of one task: its health check, its check, and what they said so far.

use std::time::{Duration, SystemTime};

use checks::{
    Check, CheckNews, CheckOrder, CheckRunner, CheckState, CheckUpdate, Checker, EngineHealthWatch,
    EngineHealthWatcher, Target, Verdict,
};
use docker_engine::Inspection;
use mesos_containerizer::processes::ProcessId;
use mesos_types::{CheckSpec, ContainerId, HealthCheckSpec};
use serde::{Deserialize, Serialize};

use crate::composing::{Composing, Running};
use crate::machine::{Event, Health};
use crate::plan::Terms;

/// What a record keeps of the checks, so that the next process goes on with them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ChecksRecord {
    /// Of the health check.
    pub health: CheckState,
    /// What was told last of the task's health.
    pub healthy: Option<bool>,
    /// Of the check.
    pub check: CheckState,
}

/// What makes the checks of all tasks. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct CheckMakers {
    pub(crate) runner: CheckRunner,
    /// Docker's own health checks, which the engine makes.
    pub(crate) engine: Option<EngineHealthWatcher>,
}

/// The checks that a task asks for, and those under way.
#[derive(Debug)]
pub(crate) struct Checking {
    makers: CheckMakers,
    wanted: Wanted,
    health: Option<HealthCheck>,
    check: Option<Checker>,
}

/// Who says whether a task is healthy.
#[derive(Debug)]
enum HealthCheck {
    /// We do, as the task's health check says.
    Ours(Checker),
    /// The engine does, where the task has no other and its image or its parameters have asked for that.
    Engines(EngineHealthWatch),
}

/// What a task asks for.
#[derive(Debug, Clone)]
struct Wanted {
    health: Option<HealthCheckSpec>,
    check: Option<CheckSpec>,
}

/// Which of the two.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Which {
    Health,
    Check,
}

/// What follows from what a check told.
#[derive(Debug, PartialEq)]
pub(crate) enum Said {
    /// For the machine, with what a person reads.
    Event(Event, Option<String>),
    /// For people alone: a check could not be made.
    Note(String),
}

impl Checking {
    pub(crate) fn new(makers: CheckMakers, terms: &Terms) -> Self {
        let wanted = Wanted { health: terms.health_check.clone(), check: terms.check.clone() };
        Self { makers, wanted, health: None, check: None }
    }

    /// Starts what the task asks for, with what the record kept of it; `started_at` is when the container started.
    pub(crate) fn start(
        &mut self,
        containerizers: &Composing,
        id: ContainerId,
        running: &Running,
        record: &ChecksRecord,
    ) {
        let Wanted { health, check } = self.wanted.clone();
        let target = match running {
            Running::Docker(running) => {
                // It was read from the same bytes before.
                let Ok(inspection) = Inspection::from_json(&running.raw) else {
                    tracing::error!(
                        container = running.engine_id,
                        "an inspection cannot be read again: no checks"
                    );
                    return;
                };
                let watcher = self.makers.engine.as_ref().filter(|_| health.is_none());
                if let Some(watcher) = watcher.filter(|_| EngineHealthWatcher::applies_to(&inspection)) {
                    let watch = watcher.watch(&inspection.id, record.health.clone());
                    self.health = Some(HealthCheck::Engines(watch));
                }
                if health.is_none() && check.is_none() {
                    return;
                }
                let Some(docker) = containerizers.docker() else { return };
                Target::of(docker.engine(), &inspection)
            }
            Running::Plain(process) => {
                if health.is_none() && check.is_none() {
                    return;
                }
                // One that has ended meanwhile is not checked.
                let surroundings = containerizers.mesos().and_then(|mesos| mesos.surroundings(id));
                let Some(surroundings) = surroundings else { return };
                Target::of_process(ProcessId { pid: process.pid, start: process.start }, surroundings)
            }
        };
        let started_at = running.started_at();
        let running_for = SystemTime::now().duration_since(started_at).unwrap_or(Duration::ZERO);
        let start = |check, state: &CheckState| {
            let (target, state) = (target.clone(), state.clone());
            self.makers.runner.start(CheckOrder { check, target, state, running_for })
        };
        if let Some(spec) = health {
            self.health = Some(HealthCheck::Ours(start(Check::Health(spec), &record.health)));
        }
        self.check = check.map(|spec| start(Check::General(spec), &record.check));
    }

    /// Makes no more checks; what was told before may still be taken.
    pub(crate) fn pause(&mut self) {
        match &self.health {
            Some(HealthCheck::Ours(checker)) => checker.pause(),
            Some(HealthCheck::Engines(_)) => self.health = None,
            None => {}
        }
        if let Some(checker) = &self.check {
            checker.pause();
        }
    }

    /// Ends all checks. What they have begun is cleared away in the background.
    pub(crate) fn stop(&mut self) {
        self.health = None;
        self.check = None;
    }

    /// Waits for what a check tells.
    ///
    /// # Cancel safety
    ///
    /// May be dropped and called again; nothing is lost.
    pub(crate) async fn next(&mut self) -> (Which, CheckUpdate) {
        loop {
            let (which, update) = tokio::select! {
                update = next_health(&mut self.health) => (Which::Health, update),
                update = next_of(&mut self.check) => (Which::Check, update),
            };
            match (which, update) {
                (which, Some(update)) => return (which, update),
                (Which::Health, None) => self.health = None,
                (Which::Check, None) => self.check = None,
            }
        }
    }
}

impl ChecksRecord {
    /// Keeps what a check has told; answers what follows.
    pub(crate) fn take(&mut self, which: Which, update: CheckUpdate) -> Said {
        match which {
            Which::Health => self.health = update.state,
            Which::Check => self.check = update.state,
        }
        match update.news {
            CheckNews::Healthy => Said::Event(Event::Health(Health::Healthy), None),
            CheckNews::Unhealthy { verdict, why, .. } => {
                let health = match verdict {
                    Verdict::Lives => Health::Unhealthy,
                    Verdict::Kill => Health::Failing,
                };
                Said::Event(Event::Health(health), Some(why))
            }
            CheckNews::Status(status) => Said::Event(Event::Checked(*status), None),
            CheckNews::NotDone { why } => Said::Note(why),
        }
    }
}

async fn next_health(health: &mut Option<HealthCheck>) -> Option<CheckUpdate> {
    match health {
        Some(HealthCheck::Ours(checker)) => checker.next().await,
        Some(HealthCheck::Engines(watch)) => watch.next().await,
        None => std::future::pending().await,
    }
}

async fn next_of(checker: &mut Option<Checker>) -> Option<CheckUpdate> {
    match checker {
        Some(checker) => checker.next().await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unhealthy(verdict: Verdict) -> CheckNews {
        CheckNews::Unhealthy { consecutive_failures: 2, verdict, why: "no answer".into() }
    }

    #[rstest::rstest]
    #[case::healthy(CheckNews::Healthy, Said::Event(Event::Health(Health::Healthy), None))]
    #[case::unhealthy(
        unhealthy(Verdict::Lives),
        Said::Event(Event::Health(Health::Unhealthy), Some("no answer".into()))
    )]
    #[case::too_often(
        unhealthy(Verdict::Kill),
        Said::Event(Event::Health(Health::Failing), Some("no answer".into()))
    )]
    #[case::not_done(CheckNews::NotDone { why: "engine".into() }, Said::Note("engine".into()))]
    fn what_is_told_is_kept_and_followed(#[case] news: CheckNews, #[case] expected: Said) {
        let state = CheckState { consecutive_failures: 2, ..CheckState::default() };
        let mut record = ChecksRecord::default();
        assert_eq!(record.take(Which::Health, CheckUpdate { news, state: state.clone() }), expected);
        assert_eq!(record, ChecksRecord { health: state, ..ChecksRecord::default() });
    }
}
