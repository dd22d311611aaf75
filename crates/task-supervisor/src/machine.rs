//! The supervision of a task, as one enum and one pure function.
//!
//! ```text
//! Staging ──prepared──► Starting ──started──► Running ──terminated──► Ended
//!    │                     │                    │                       ▲
//!    │ kill                │ kill               │ kill, too long,       │
//!    ▼                     ▼                    ▼ unhealthy             │
//!    └───────────────────► Killing ◄────────────┘ ──────terminated──────┘
//! ```
//!
//! Source: `src/docker/executor.cpp` (`launchTask`, `_killTask`, `taskHealthUpdated`, `reaped`). The loop of a task
//! (`task_loop`) owns a [`Machine`], feeds it what happened and performs the [`Action`]s in their order; it decides nothing
//! itself. What cannot happen in a state, or comes too late for it, changes nothing.

use std::time::Duration;

use mesos_proto::v1;

use crate::order::TaskKilling;
use crate::outcome::KillCause;

/// Where a task is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Life {
    /// The launch was accepted; nothing was told.
    Staging,
    /// TASK_STARTING was told: image and files are there.
    Starting,
    /// TASK_RUNNING was told.
    Running,
    /// The container is being stopped.
    Killing(Killing),
    /// The terminal status was told. The end.
    Ended,
}

/// A kill under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Killing {
    /// Who wanted it first; the others change the grace at most.
    pub(crate) cause: KillCause,
    /// The grace that it has, from when it got that.
    pub(crate) grace: Duration,
}

/// What happened to a task.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Event {
    /// Image and files are there.
    Prepared,
    /// The container was seen started; for an adopted task it was seen again.
    Started,
    /// Somebody wants the task to end, with a grace other than its own if there is one.
    Kill(KillCause, Option<Duration>),
    /// The task has run for its longest time.
    TimeUp,
    /// The health check says this.
    Health(Health),
    /// The check says this.
    Checked(v1::CheckStatusInfo),
    /// The container's process is gone; how it ended is still to be told.
    Gone,
    /// The container is known to be stopped, or never to have run.
    Terminated,
}

/// What a health check says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Health {
    /// The task is healthy.
    Healthy,
    /// It is not.
    Unhealthy,
    /// It was not too often, and is to be killed.
    Failing,
}

/// What the loop does next.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Action {
    /// Record that the container was started, unless an earlier process has.
    NoteStarted,
    /// Tell this.
    Tell(News),
    /// Let the longest time of the task run.
    Limit,
    /// Let it run no more.
    Unlimit,
    /// Begin with the checks, or go on with those of an earlier process.
    StartChecks,
    /// Check no more, for as long as the container still is.
    PauseChecks,
    /// The checks are over.
    StopChecks,
    /// Record the kill; then stop the container, with this grace from now on.
    Stop(Killing),
}

/// What is told of a task.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum News {
    /// TASK_STARTING.
    Starting,
    /// TASK_RUNNING for the first time.
    Running,
    /// TASK_RUNNING, since it turned healthy or not.
    Health(bool),
    /// TASK_RUNNING, since its check says this.
    Checked(v1::CheckStatusInfo),
    /// TASK_KILLING.
    Killing,
    /// The terminal status.
    Terminal,
}

/// The supervision of one task.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Machine {
    life: Life,
    task_killing: TaskKilling,
    /// The task's own grace.
    grace: Duration,
}

impl Machine {
    /// A task that was accepted.
    pub(crate) fn accepted(task_killing: TaskKilling, grace: Duration) -> Self {
        Self { life: Life::Staging, task_killing, grace }
    }

    /// A task of an earlier process, and what is told at once.
    ///
    /// `is_running` is what the record says, `killing` its kill. `told` is the last state that the framework is sure to
    /// hear; without it what the record says was told.
    pub(crate) fn adopted(
        task_killing: TaskKilling,
        grace: Duration,
        is_running: bool,
        killing: Option<Killing>,
        told: Option<v1::TaskState>,
    ) -> (Self, Vec<Action>) {
        use v1::TaskState::{TaskKilling as ToldKilling, TaskRunning, TaskStaging, TaskStarting};

        let life = match (killing, told) {
            (Some(killing), _) => Life::Killing(killing),
            // The record of the kill was not written: the disk was full.
            (None, Some(ToldKilling)) => Life::Killing(Killing { cause: KillCause::Framework, grace }),
            (None, Some(TaskStaging)) => Life::Staging,
            (None, Some(TaskStarting)) => Life::Starting,
            (None, Some(TaskRunning)) => Life::Running,
            (None, _) if is_running => Life::Running,
            (None, _) => Life::Starting,
        };
        let machine = Self { life, task_killing, grace };
        let is_untold = matches!(told, Some(told) if told != ToldKilling && told != TaskStaging);
        let late = match (killing, life) {
            (Some(killing), _) if is_untold => machine.announcement(killing.cause),
            (None, Life::Killing(killing)) => Some(Action::Stop(killing)),
            (Some(_) | None, _) => None,
        };
        (machine, late.into_iter().collect())
    }

    /// Where the task is.
    pub(crate) fn life(&self) -> Life {
        self.life
    }

    /// Applies an event: what to do, in this order.
    pub(crate) fn step(&mut self, event: Event) -> Vec<Action> {
        use Action::{Limit, NoteStarted, StartChecks, StopChecks, Tell, Unlimit};

        match (self.life, event) {
            (Life::Staging, Event::Prepared) => {
                self.life = Life::Starting;
                vec![Tell(News::Starting)]
            }
            // The container was seen before we heard that it was prepared.
            (Life::Staging, Event::Started) => {
                self.life = Life::Running;
                vec![NoteStarted, Tell(News::Starting), Tell(News::Running), Limit, StartChecks]
            }
            (Life::Starting, Event::Started) => {
                self.life = Life::Running;
                vec![NoteStarted, Tell(News::Running), Limit, StartChecks]
            }
            // The earlier process has told it.
            (Life::Running, Event::Started) => vec![NoteStarted, Limit, StartChecks],
            // RUNNING never follows KILLING, and the next process must know that there is a container.
            (Life::Killing(_), Event::Started) => vec![NoteStarted],

            (Life::Staging | Life::Starting | Life::Running, Event::Kill(cause, grace)) => {
                self.kill(Killing { cause, grace: grace.unwrap_or(self.grace) })
            }
            (Life::Killing(under_way), Event::Kill(_, grace)) => {
                self.kill_again(under_way, grace.unwrap_or(self.grace))
            }
            (Life::Running, Event::TimeUp) => {
                let killing = Killing { cause: KillCause::CompletionTime, grace: Duration::ZERO };
                self.life = Life::Killing(killing);
                vec![Action::Stop(killing)]
            }

            (life, Event::Health(health)) if life.hears_checks() => {
                let mut actions = vec![Tell(News::Health(health == Health::Healthy))];
                if (life, health) == (Life::Running, Health::Failing) {
                    let killing = Killing { cause: KillCause::HealthCheck, grace: self.grace };
                    actions.extend(self.kill(killing));
                }
                actions
            }
            (life, Event::Checked(info)) if life.hears_checks() => vec![Tell(News::Checked(info))],

            // It has ended by itself, in time, and was as healthy as it was.
            (Life::Running | Life::Killing(_), Event::Gone) => vec![Unlimit, StopChecks],

            (Life::Staging | Life::Starting | Life::Running | Life::Killing(_), Event::Terminated) => {
                self.life = Life::Ended;
                vec![StopChecks, Tell(News::Terminal)]
            }

            // Before the container runs there is no check and no limit; a check's word may come after the kill, and what
            // was prepared too.
            (
                Life::Staging | Life::Starting | Life::Killing(_),
                Event::TimeUp | Event::Health(_) | Event::Checked(_),
            )
            | (Life::Starting | Life::Running | Life::Killing(_), Event::Prepared)
            | (Life::Running, Event::Health(_) | Event::Checked(_))
            | (Life::Staging | Life::Starting, Event::Gone)
            | (
                Life::Ended,
                Event::Prepared
                | Event::Started
                | Event::Kill(..)
                | Event::TimeUp
                | Event::Health(_)
                | Event::Checked(_)
                | Event::Gone
                | Event::Terminated,
            ) => Vec::new(),
        }
    }

    /// Begins a kill.
    fn kill(&mut self, killing: Killing) -> Vec<Action> {
        // Before TASK_STARTING the agent has the task, and no executor could send TASK_KILLING.
        let announcement = match self.life {
            Life::Staging => None,
            Life::Starting | Life::Running | Life::Killing(_) | Life::Ended => {
                self.announcement(killing.cause)
            }
        };
        self.life = Life::Killing(killing);
        let mut actions = vec![Action::Unlimit, Action::PauseChecks, Action::Stop(killing)];
        actions.extend(announcement);
        actions
    }

    /// Gives a kill under way another grace. A kill that is repeated does not begin anew: Marathon repeats its kills
    /// more often than some graces end. No grace is left to a task whose time is up.
    fn kill_again(&mut self, under_way: Killing, grace: Duration) -> Vec<Action> {
        if grace == under_way.grace || under_way.cause == KillCause::CompletionTime {
            return Vec::new();
        }
        let killing = Killing { grace, ..under_way };
        self.life = Life::Killing(killing);
        vec![Action::Stop(killing)]
    }

    /// TASK_KILLING, where the framework takes it; stock tells none of a task whose time is up.
    fn announcement(&self, cause: KillCause) -> Option<Action> {
        let is_told = self.task_killing == TaskKilling::Sent && cause != KillCause::CompletionTime;
        is_told.then_some(Action::Tell(News::Killing))
    }
}

impl Life {
    /// Whether what a check says is told: of a task that runs, and of one whose time is up until it is gone, as in stock.
    fn hears_checks(self) -> bool {
        match self {
            Self::Running => true,
            Self::Killing(killing) => killing.cause == KillCause::CompletionTime,
            Self::Staging | Self::Starting | Self::Ended => false,
        }
    }
}

#[cfg(test)]
mod tests;
