//! The life of a plain container, as one enum and one pure function.
//!
//! ```text
//! Fetching ──► Mounting ──► Starting ──► Running ──► Terminated
//!     │            │            │           │            ▲
//!     │ kill, failure           ▼           ▼            │
//!     └────────────┴──────► Destroying ─────┴────────────┘
//! ```
//!
//! Until `Starting` there is no process of ours but the fetch, which has its own end, so a kill ends the life at once.
//! From there on it ends when nothing of the container is left. The driver feeds a [`Life`] what happened and performs
//! what it is told.

use std::fmt;

use containerizer::{Cause, Exit, Failure};

/// Where a container is in its life.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Life {
    /// URIs are fetched.
    Fetching,
    /// The places of the volumes are made.
    Mounting,
    /// The parent is started, and the command.
    Starting,
    /// The command was executed.
    Running,
    /// It is being stopped or cleared away; holds why, and whether the command was executed.
    Destroying { cause: Cause, started: Started },
    /// The end, told exactly once.
    Terminated,
}

/// Whether a command was ever executed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Started {
    Yes,
    No,
}

/// What happened to a container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Event {
    /// All URIs are in the sandbox.
    Fetched,
    /// The places of the volumes exist.
    Mounted,
    /// The command was executed.
    Started,
    /// A launch phase failed; nothing is left of it.
    Failed(Failure),
    /// Somebody wants it gone.
    Destroy(Cause),
    /// The command ran, and nothing is left of it.
    Exited(Exit),
}

/// What the driver does next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Action {
    /// Go on.
    None,
    /// Stop the container.
    Stop,
    /// Tell the end.
    End(End),
}

/// Why a life ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum End {
    /// A launch phase failed.
    Failed(Failure),
    /// It was destroyed before it ran.
    DestroyedBeforeStart,
    /// It ran and ended.
    Exited(Exit),
}

/// An event that cannot happen in a state: a bug in the driver, reported and ignored.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("event {event} is illegal while a container is {life}")]
pub(crate) struct Illegal {
    life: &'static str,
    event: &'static str,
}

impl Life {
    /// Applies an event: the next state and what to do.
    ///
    /// # Errors
    ///
    /// [`Illegal`], with the state unchanged.
    pub(crate) fn step(&mut self, event: Event) -> Result<Action, Illegal> {
        use Started::{No, Yes};

        let illegal = Illegal { life: self.name(), event: event.name() };
        let (next, action) = match (&*self, event) {
            (Self::Fetching, Event::Fetched) => (Self::Mounting, Action::None),
            (Self::Mounting, Event::Mounted) => (Self::Starting, Action::None),
            (Self::Fetching | Self::Mounting | Self::Starting, Event::Failed(failure)) => {
                (Self::Terminated, Action::End(End::Failed(failure)))
            }
            (Self::Fetching | Self::Mounting, Event::Destroy(_)) => {
                (Self::Terminated, Action::End(End::DestroyedBeforeStart))
            }
            (Self::Starting, Event::Started) => (Self::Running, Action::None),
            (Self::Starting, Event::Destroy(cause)) => {
                (Self::Destroying { cause, started: No }, Action::None)
            }
            (Self::Running, Event::Destroy(cause)) => {
                (Self::Destroying { cause, started: Yes }, Action::Stop)
            }
            (Self::Running | Self::Destroying { started: Yes, .. }, Event::Exited(exit)) => {
                (Self::Terminated, Action::End(End::Exited(exit)))
            }
            // The start that was under way came through after the kill.
            (Self::Destroying { cause, started: No }, Event::Started) => {
                (Self::Destroying { cause: cause.clone(), started: Yes }, Action::Stop)
            }
            (Self::Destroying { started: No, .. }, Event::Failed(_)) => {
                (Self::Terminated, Action::End(End::DestroyedBeforeStart))
            }
            (Self::Destroying { cause, started }, Event::Destroy(later)) => {
                let next = Self::Destroying { cause: cause.clone().joined(later), started: *started };
                (next, if *started == Yes { Action::Stop } else { Action::None })
            }
            // The caller of a second destroy gets the same end.
            (Self::Terminated, Event::Destroy(_)) => (Self::Terminated, Action::None),

            (Self::Fetching, Event::Mounted | Event::Started | Event::Exited(_))
            | (Self::Mounting, Event::Fetched | Event::Started | Event::Exited(_))
            | (Self::Starting, Event::Fetched | Event::Mounted | Event::Exited(_))
            | (Self::Running, Event::Fetched | Event::Mounted | Event::Started | Event::Failed(_))
            | (Self::Destroying { started: No, .. }, Event::Fetched | Event::Mounted | Event::Exited(_))
            | (
                Self::Destroying { started: Yes, .. },
                Event::Fetched | Event::Mounted | Event::Started | Event::Failed(_),
            )
            | (
                Self::Terminated,
                Event::Fetched | Event::Mounted | Event::Started | Event::Failed(_) | Event::Exited(_),
            ) => return Err(illegal),
        };
        *self = next;
        Ok(action)
    }

    /// The state's name as messages show it.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Fetching => "fetching",
            Self::Mounting => "mounting",
            Self::Starting => "starting",
            Self::Running => "running",
            Self::Destroying { .. } => "destroying",
            Self::Terminated => "terminated",
        }
    }
}

impl Event {
    fn name(&self) -> &'static str {
        match self {
            Self::Fetched => "fetched",
            Self::Mounted => "mounted",
            Self::Started => "started",
            Self::Failed(_) => "failed",
            Self::Destroy(_) => "destroy",
            Self::Exited(_) => "exited",
        }
    }
}

impl fmt::Display for Life {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use containerizer::Kill;
    use proptest::prelude::*;

    use super::*;

    fn kill(seconds: u64) -> Cause {
        Cause::Killed(Kill { grace: Duration::from_secs(seconds) })
    }

    fn failure() -> Failure {
        Failure::new("start", "E")
    }

    fn destroying(started: Started) -> Life {
        Life::Destroying { cause: kill(1), started }
    }

    #[rstest::rstest]
    #[case::fetched(Life::Fetching, Event::Fetched, Life::Mounting, Action::None)]
    #[case::mounted(Life::Mounting, Event::Mounted, Life::Starting, Action::None)]
    #[case::started(Life::Starting, Event::Started, Life::Running, Action::None)]
    #[case::failed(
        Life::Starting,
        Event::Failed(failure()),
        Life::Terminated,
        Action::End(End::Failed(failure()))
    )]
    #[case::ended(
        Life::Running,
        Event::Exited(Exit::Code(1)),
        Life::Terminated,
        Action::End(End::Exited(Exit::Code(1)))
    )]
    #[case::killed_while_fetching(
        Life::Fetching,
        Event::Destroy(kill(1)),
        Life::Terminated,
        Action::End(End::DestroyedBeforeStart)
    )]
    #[case::killed_while_starting(
        Life::Starting,
        Event::Destroy(kill(1)),
        destroying(Started::No),
        Action::None
    )]
    #[case::and_it_failed(
        destroying(Started::No),
        Event::Failed(failure()),
        Life::Terminated,
        Action::End(End::DestroyedBeforeStart)
    )]
    #[case::and_it_started(destroying(Started::No), Event::Started, destroying(Started::Yes), Action::Stop)]
    #[case::killed(Life::Running, Event::Destroy(kill(1)), destroying(Started::Yes), Action::Stop)]
    #[case::killed_again(
        destroying(Started::Yes),
        Event::Destroy(kill(1)),
        destroying(Started::Yes),
        Action::Stop
    )]
    #[case::killed_too_late(Life::Terminated, Event::Destroy(kill(1)), Life::Terminated, Action::None)]
    fn moves(#[case] mut life: Life, #[case] event: Event, #[case] next: Life, #[case] action: Action) {
        assert_eq!(life.step(event), Ok(action));
        assert_eq!(life, next);
    }

    fn events() -> impl Strategy<Value = Vec<Event>> {
        let one = prop_oneof![
            Just(Event::Fetched),
            Just(Event::Mounted),
            Just(Event::Started),
            Just(Event::Failed(failure())),
            (0u64..3).prop_map(|seconds| Event::Destroy(kill(seconds))),
            Just(Event::Exited(Exit::Code(0))),
        ];
        proptest::collection::vec(one, 0..20)
    }

    proptest! {
        /// One end at most and nothing after it, no run after a kill that came before the start was told, and an illegal
        /// event changes nothing.
        #[test]
        fn a_life_has_one_end(events in events()) {
            let mut life = Life::Fetching;
            let (mut ends, mut was_started) = (0, false);
            for event in events {
                let before = life.clone();
                match life.step(event.clone()) {
                    Ok(Action::End(end)) => {
                        ends += 1;
                        prop_assert_eq!(matches!(end, End::Exited(_)), was_started);
                        prop_assert_eq!(&life, &Life::Terminated);
                    }
                    Ok(action) => {
                        was_started |= event == Event::Started;
                        prop_assert!(action != Action::Stop || was_started);
                    }
                    Err(_) => prop_assert_eq!(&life, &before),
                }
            }
            prop_assert!(ends <= 1);
        }
    }
}
