//! When a check asks: a pure state machine. The checker tells it what happened and does what it answers.
//!
//! ```text
//!            due            turn             ended
//! Waiting ────────► Queued ──────► Asking ─────────► Waiting (one interval after the end)
//!    │                 │              │
//!    └── pause ────────┴──────────────┴─► Paused ── resume ─► Waiting
//! any ── stop ─► Stopped
//! ```
//!
//! The first check is due one delay after the start of the task; the next one an interval after the end of the one
//! before, as in stock (`scheduleNext` in `src/checks/checker_process.cpp`).

use std::time::Duration;

use mesos_types::CheckTimes;
use tokio::time::Instant;

/// When one check asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Schedule {
    interval: Duration,
    state: State,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Waiting { due: Instant },
    Queued { due: Instant },
    Asking,
    Paused,
    Stopped,
}

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Event {
    /// The time has come.
    Due,
    /// It is this check's turn.
    Turn,
    /// The asking is over.
    Ended,
    /// The task is being killed.
    Pause,
    /// It goes on after all.
    Resume,
    /// The task is over, or nobody listens.
    Stop,
}

/// What follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Action {
    /// Wait until this time.
    Wait(Instant),
    /// Wait for a turn.
    Queue,
    /// Ask; it was due this long ago.
    Ask {
        /// The time in the queue.
        late: Duration,
    },
    /// Go on with what is under way.
    Continue,
    /// Give up what is under way, and wait to be told.
    Rest,
    /// Give up what is under way, and end.
    End,
}

/// An event that cannot happen in this state: a bug of the caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{event:?} cannot happen while {state}")]
pub(crate) struct Illegal {
    event: Event,
    state: &'static str,
}

impl Schedule {
    /// The schedule of a task that has been running for this long. `shortest` is the least time between two checks.
    pub(crate) fn new(times: &CheckTimes, shortest: Duration, running_for: Duration, now: Instant) -> Self {
        let due = now + times.delay.saturating_sub(running_for);
        Self { interval: times.interval.max(shortest), state: State::Waiting { due } }
    }

    /// What to do in this state.
    pub(crate) fn action(&self) -> Action {
        match self.state {
            State::Waiting { due } => Action::Wait(due),
            State::Queued { .. } => Action::Queue,
            State::Asking => Action::Continue,
            State::Paused => Action::Rest,
            State::Stopped => Action::End,
        }
    }

    /// Takes an event and answers what follows.
    pub(crate) fn step(self, event: Event, now: Instant) -> Result<(Self, Action), Illegal> {
        let to = |state: State| {
            let next = Self { state, ..self };
            Ok((next, next.action()))
        };
        let illegal = |state| Err(Illegal { event, state });
        let later = State::Waiting { due: now + self.interval };
        match (self.state, event) {
            (_, Event::Stop) => to(State::Stopped),
            (State::Stopped, _) => to(State::Stopped),
            (_, Event::Pause) => to(State::Paused),

            (State::Waiting { due }, Event::Due) => to(State::Queued { due }),
            (State::Waiting { .. }, Event::Resume) => to(self.state),
            (State::Waiting { .. }, Event::Turn | Event::Ended) => illegal("waiting"),

            (State::Queued { due }, Event::Turn) => {
                let late = now.saturating_duration_since(due);
                Ok((Self { state: State::Asking, ..self }, Action::Ask { late }))
            }
            (State::Queued { .. }, Event::Resume) => to(self.state),
            (State::Queued { .. }, Event::Due | Event::Ended) => illegal("queued"),

            (State::Asking, Event::Ended) => to(later),
            (State::Asking, Event::Resume) => to(self.state),
            (State::Asking, Event::Due | Event::Turn) => illegal("asking"),

            (State::Paused, Event::Resume) => to(later),
            // The end of an asking that the pause gave up.
            (State::Paused, Event::Ended) => to(State::Paused),
            (State::Paused, Event::Due | Event::Turn) => illegal("paused"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const fn secs(secs: u64) -> Duration {
        Duration::from_secs(secs)
    }

    fn times() -> CheckTimes {
        CheckTimes { delay: secs(15), interval: secs(10), timeout: Some(secs(1)) }
    }

    fn at(start: Instant, state: &str) -> Schedule {
        let fresh = Schedule::new(&times(), secs(1), secs(0), start);
        let state = match state {
            "waiting" => State::Waiting { due: start + secs(15) },
            "queued" => State::Queued { due: start + secs(15) },
            "asking" => State::Asking,
            "paused" => State::Paused,
            _ => State::Stopped,
        };
        Schedule { state, ..fresh }
    }

    /// Every state with every event, 100 seconds after the start.
    #[rstest::rstest]
    #[case("waiting", Event::Due, Some("queue"))]
    #[case("waiting", Event::Turn, None)]
    #[case("waiting", Event::Ended, None)]
    #[case("waiting", Event::Pause, Some("rest"))]
    #[case("waiting", Event::Resume, Some("wait 15"))]
    #[case("waiting", Event::Stop, Some("end"))]
    #[case("queued", Event::Due, None)]
    #[case("queued", Event::Turn, Some("ask 85"))]
    #[case("queued", Event::Ended, None)]
    #[case("queued", Event::Pause, Some("rest"))]
    #[case("queued", Event::Resume, Some("queue"))]
    #[case("queued", Event::Stop, Some("end"))]
    #[case("asking", Event::Due, None)]
    #[case("asking", Event::Turn, None)]
    #[case("asking", Event::Ended, Some("wait 110"))]
    #[case("asking", Event::Pause, Some("rest"))]
    #[case("asking", Event::Resume, Some("continue"))]
    #[case("asking", Event::Stop, Some("end"))]
    #[case("paused", Event::Due, None)]
    #[case("paused", Event::Turn, None)]
    #[case("paused", Event::Ended, Some("rest"))]
    #[case("paused", Event::Pause, Some("rest"))]
    #[case("paused", Event::Resume, Some("wait 110"))]
    #[case("paused", Event::Stop, Some("end"))]
    #[case("stopped", Event::Due, Some("end"))]
    #[case("stopped", Event::Turn, Some("end"))]
    #[case("stopped", Event::Ended, Some("end"))]
    #[case("stopped", Event::Pause, Some("end"))]
    #[case("stopped", Event::Resume, Some("end"))]
    #[case("stopped", Event::Stop, Some("end"))]
    #[tokio::test(start_paused = true)]
    async fn every_state_answers_every_event(
        #[case] state: &str,
        #[case] event: Event,
        #[case] expected: Option<&str>,
    ) {
        let start = Instant::now();
        let said = at(start, state).step(event, start + secs(100)).ok().map(|(_, action)| match action {
            Action::Wait(due) => format!("wait {}", (due - start).as_secs()),
            Action::Queue => "queue".to_owned(),
            Action::Ask { late } => format!("ask {}", late.as_secs()),
            Action::Continue => "continue".to_owned(),
            Action::Rest => "rest".to_owned(),
            Action::End => "end".to_owned(),
        });
        assert_eq!(said.as_deref(), expected);
    }

    #[tokio::test(start_paused = true)]
    async fn the_delay_counts_from_the_start_of_the_task() {
        let now = Instant::now();
        let due = |ran| Schedule::new(&times(), secs(1), ran, now).action();
        assert_eq!(due(secs(0)), Action::Wait(now + secs(15)));
        assert_eq!(due(secs(6)), Action::Wait(now + secs(9)));
        assert_eq!(due(secs(600)), Action::Wait(now));
    }

    #[tokio::test(start_paused = true)]
    async fn an_interval_of_nothing_is_the_shortest_one() {
        let now = Instant::now();
        let times = CheckTimes { delay: secs(0), interval: secs(0), timeout: None };
        let schedule = Schedule::new(&times, secs(1), secs(0), now);
        let (schedule, _) = schedule.step(Event::Due, now).unwrap();
        let (schedule, action) = schedule.step(Event::Turn, now).unwrap();
        assert_eq!(action, Action::Ask { late: secs(0) });
        assert_eq!(schedule.step(Event::Ended, now).unwrap().1, Action::Wait(now + secs(1)));
    }

    proptest! {
        /// Whatever happens, two askings are at least an interval apart, and none follows a pause or a stop.
        #[test]
        fn askings_keep_their_distance(events in prop::collection::vec(0..6_usize, 0..60)) {
            let all = [Event::Due, Event::Turn, Event::Ended, Event::Pause, Event::Resume, Event::Stop];
            let start = Instant::now();
            let mut schedule = Schedule::new(&times(), secs(1), secs(0), start);
            let (mut now, mut ended, mut stopped, mut paused) = (start, None::<Instant>, false, false);
            for event in events {
                let event = all[event];
                now += secs(1);
                if let Action::Wait(due) = schedule.action() && event == Event::Due {
                    now = now.max(due);
                }
                let Ok((next, action)) = schedule.step(event, now) else { continue };
                schedule = next;
                stopped |= event == Event::Stop;
                paused = (paused || event == Event::Pause) && event != Event::Resume;
                if event == Event::Ended { ended = Some(now); }
                if let Action::Ask { .. } = action {
                    prop_assert!(!stopped && !paused);
                    prop_assert!(ended.is_none_or(|ended| now - ended >= secs(10)));
                }
            }
        }
    }
}
