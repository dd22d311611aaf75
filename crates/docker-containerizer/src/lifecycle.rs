//! The life of a container, as one enum and one pure function.
//!
//! ```text
//! Preparing{fetch, pull} ──► Mounting ──► Starting ──► Running ──► Terminated
//!     │  kill, failure          │            │            │            ▲
//!     ▼                         ▼            ▼            ▼            │
//!     └──────► Terminated ◄─────┘            └► Destroying ◄┘ ─────────┘
//! ```
//!
//! Until `Starting` the engine holds nothing of ours, so a kill ends the life at once. From `Starting` on a container
//! may exist, and the life ends only when it is known to be stopped or gone. The driver (`driver`) owns a [`Life`],
//! feeds it what happened and performs the [`Action`] it is told; it decides nothing itself.

use std::fmt;

use containerizer::{Cause, Exit, Failure};

/// How far one of the two preparations is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Progress {
    /// It is under way.
    Pending,
    /// It is done.
    Done,
}

/// Where a container is in its life.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Life {
    /// URIs are fetched and the image is pulled.
    Preparing { fetch: Progress, pull: Progress },
    /// The places of the volumes are made.
    Mounting,
    /// The engine was asked to create or start the container.
    Starting,
    /// The container was seen started.
    Running,
    /// The container is being stopped or cleared away; holds why, and whether it was seen started.
    Destroying { cause: Cause, started: Started },
    /// The end, told exactly once.
    Terminated,
}

/// Whether a container was ever seen started.
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
    /// The image is present.
    Pulled,
    /// The places of the volumes exist.
    Mounted,
    /// The container was seen started.
    Started,
    /// A launch phase failed.
    Failed(Failure),
    /// Somebody wants it gone.
    Destroy(Cause),
    /// The container was seen stopped by itself, or by the stop that `Destroying` performs.
    Exited(Exit),
    /// The engine has no container of ours: it never came to be, or was cleared away before it ran.
    Cleared,
}

/// What the driver does next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Action {
    /// Nothing.
    None,
    /// Make the places of the volumes.
    Mount,
    /// Create and start the container.
    Start,
    /// Watch for the exit, follow the logs, tell the launch.
    Watch,
    /// Stop the container: signal, grace, SIGKILL.
    Stop,
    /// A launch ended with a container that may exist: look for it and clear it away.
    Clear,
    /// A stop is under way and its grace changed.
    Hasten,
    /// Tell the end, close what is open.
    End(End),
}

/// Why a life ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum End {
    /// A launch phase failed.
    Failed(Failure),
    /// It was destroyed before it ran.
    DestroyedBeforeStart(Cause),
    /// The container ran and stopped; the cause is there if it was destroyed.
    Exited(Exit, Option<Cause>),
}

/// An event that cannot happen in a state: a bug in the driver, reported and ignored.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("event {event} is illegal while a container is {life}")]
pub(crate) struct Illegal {
    life: String,
    event: String,
}

impl Life {
    /// A container whose launch was accepted.
    pub(crate) fn accepted() -> Self {
        Self::Preparing { fetch: Progress::Pending, pull: Progress::Pending }
    }

    /// A container that runs already and is adopted.
    pub(crate) fn adopted() -> Self {
        Self::Running
    }

    /// Applies an event: the next state and what to do.
    ///
    /// # Errors
    ///
    /// [`Illegal`], with the state unchanged.
    pub(crate) fn step(&mut self, event: Event) -> Result<Action, Illegal> {
        use Progress::{Done, Pending};

        let illegal = |life: &Self, event: &Event| {
            Err(Illegal { life: life.name().into(), event: event.name().into() })
        };
        let (next, action) = match (&*self, event) {
            (Self::Preparing { fetch: Pending, pull: Pending }, Event::Fetched) => {
                (Self::Preparing { fetch: Done, pull: Pending }, Action::None)
            }
            (Self::Preparing { fetch: Pending, pull: Pending }, Event::Pulled) => {
                (Self::Preparing { fetch: Pending, pull: Done }, Action::None)
            }
            (Self::Preparing { fetch: Pending, pull: Done }, Event::Fetched)
            | (Self::Preparing { fetch: Done, pull: Pending }, Event::Pulled) => {
                (Self::Mounting, Action::Mount)
            }
            (Self::Mounting, Event::Mounted) => (Self::Starting, Action::Start),
            (Self::Preparing { .. } | Self::Mounting, Event::Failed(failure)) => {
                (Self::Terminated, Action::End(End::Failed(failure)))
            }
            (Self::Preparing { .. } | Self::Mounting, Event::Destroy(cause)) => {
                (Self::Terminated, Action::End(End::DestroyedBeforeStart(cause)))
            }

            (Self::Starting, Event::Started) => (Self::Running, Action::Watch),
            (Self::Starting, Event::Failed(failure)) => (
                Self::Destroying { cause: Cause::LaunchFailed(failure), started: Started::No },
                Action::Clear,
            ),
            (Self::Starting, Event::Destroy(cause)) => {
                (Self::Destroying { cause, started: Started::No }, Action::None)
            }

            (Self::Running, Event::Exited(exit)) => (Self::Terminated, Action::End(End::Exited(exit, None))),
            (Self::Running, Event::Destroy(cause)) => {
                (Self::Destroying { cause, started: Started::Yes }, Action::Stop)
            }

            // The start that was under way came through after the kill.
            (Self::Destroying { cause, started: Started::No }, Event::Started) => {
                (Self::Destroying { cause: cause.clone(), started: Started::Yes }, Action::Stop)
            }
            (Self::Destroying { cause, started: Started::No }, Event::Failed(_)) => {
                (Self::Destroying { cause: cause.clone(), started: Started::No }, Action::Clear)
            }
            (Self::Destroying { cause, started: Started::No }, Event::Cleared) => {
                let end = match cause {
                    Cause::LaunchFailed(failure) => End::Failed(failure.clone()),
                    cause => End::DestroyedBeforeStart(cause.clone()),
                };
                (Self::Terminated, Action::End(end))
            }
            (Self::Destroying { cause, started }, Event::Destroy(later)) => {
                (Self::Destroying { cause: cause.clone().joined(later), started: *started }, Action::Hasten)
            }
            (Self::Destroying { cause, started: Started::Yes }, Event::Exited(exit)) => {
                (Self::Terminated, Action::End(End::Exited(exit, Some(cause.clone()))))
            }

            // The caller of a second destroy gets the same end.
            (Self::Terminated, Event::Destroy(_)) => (Self::Terminated, Action::None),

            (
                life @ Self::Preparing { .. },
                event @ (Event::Fetched
                | Event::Pulled
                | Event::Mounted
                | Event::Started
                | Event::Exited(_)
                | Event::Cleared),
            ) => return illegal(life, &event),
            (
                life @ Self::Mounting,
                event @ (Event::Fetched | Event::Pulled | Event::Started | Event::Exited(_) | Event::Cleared),
            ) => return illegal(life, &event),
            (
                life @ Self::Starting,
                event @ (Event::Fetched | Event::Pulled | Event::Mounted | Event::Exited(_) | Event::Cleared),
            ) => return illegal(life, &event),
            (
                life @ Self::Running,
                event @ (Event::Fetched
                | Event::Pulled
                | Event::Mounted
                | Event::Started
                | Event::Failed(_)
                | Event::Cleared),
            ) => return illegal(life, &event),
            (
                life @ Self::Destroying { started: Started::No, .. },
                event @ (Event::Fetched | Event::Pulled | Event::Mounted | Event::Exited(_)),
            ) => return illegal(life, &event),
            (
                life @ Self::Destroying { started: Started::Yes, .. },
                event @ (Event::Fetched
                | Event::Pulled
                | Event::Mounted
                | Event::Started
                | Event::Failed(_)
                | Event::Cleared),
            ) => return illegal(life, &event),
            (
                life @ Self::Terminated,
                event @ (Event::Fetched
                | Event::Pulled
                | Event::Mounted
                | Event::Started
                | Event::Failed(_)
                | Event::Exited(_)
                | Event::Cleared),
            ) => return illegal(life, &event),
        };
        *self = next;
        Ok(action)
    }

    /// The state's name as metrics and messages show it.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Preparing { fetch: Progress::Pending, .. } => "fetching",
            Self::Preparing { .. } => "pulling",
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
            Self::Pulled => "pulled",
            Self::Mounted => "mounted",
            Self::Started => "started",
            Self::Failed(_) => "failed",
            Self::Destroy(_) => "destroy",
            Self::Exited(_) => "exited",
            Self::Cleared => "cleared",
        }
    }
}

impl fmt::Display for Life {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests;
