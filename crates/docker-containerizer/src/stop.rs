//! Stopping a container: stop signal, grace, SIGKILL by the engine, SIGKILL by pid, until the exit is seen.
//!
//! Departs from `docker stop`, which stock uses: its grace counts whole seconds only, and a daemon that hangs keeps it
//! waiting. The signals are ours and the timer is ours; [`plan`] decides, [`Stopping`] performs.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use docker_engine::{Engine, EngineError, ErrorKind};
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use crate::driver::View;
use crate::exit::Process;

/// How often a signal that had no effect is sent again.
const REPEAT: Duration = Duration::from_secs(5);

/// When a stop signal that the engine did not take is sent again.
const RETRY: Duration = Duration::from_secs(1);

/// How long the engine may take for a SIGKILL before the process is killed past it.
const ENGINE_KILL: Duration = Duration::from_secs(2);

/// What is sent next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Signal {
    /// The image's stop signal.
    Stop,
    /// SIGKILL.
    Kill,
}

/// A stop under way; lives as long as the exit has not been seen.
#[derive(Debug)]
pub(crate) struct Stopping<'a> {
    pub(crate) engine: &'a Engine,
    /// The engine's id of the container.
    pub(crate) id: &'a str,
    /// The container's STOPSIGNAL, SIGTERM if it names none.
    pub(crate) stop_signal: &'a str,
    pub(crate) process: Option<&'a Process>,
    /// Whether the engine has taken the stop signal; kept over changes of the grace.
    pub(crate) delivered: AtomicBool,
    /// Where that is told.
    pub(crate) view: &'a watch::Sender<View>,
}

/// What to send now, and when to look again, with this much of the grace left.
fn plan(left: Duration, signalled: bool) -> (Option<Signal>, Duration) {
    if left.is_zero() {
        (Some(Signal::Kill), REPEAT)
    } else if signalled {
        (None, left)
    } else {
        (Some(Signal::Stop), left)
    }
}

impl Stopping<'_> {
    /// Sends signals until it is dropped; the caller races it with the exit, and begins a new one when the grace
    /// changes. `deadline` is when SIGKILL follows.
    ///
    /// # Cancel safety
    ///
    /// May be dropped: a signal in flight may still arrive, and the next stop sends it again.
    pub(crate) async fn perform(&self, deadline: Instant) -> std::convert::Infallible {
        let mut kills = 0_u32;
        loop {
            let signalled = self.delivered.load(Ordering::Relaxed);
            let now = Instant::now();
            let (signal, pause) = plan(deadline.saturating_duration_since(now), signalled);
            match signal {
                None => sleep_until(now + pause).await,
                Some(Signal::Stop) => {
                    // The grace runs while the engine delivers the signal, and does not wait for it.
                    tokio::select! {
                        result = self.engine.kill(self.id, self.stop_signal, self.engine.deadlines().kill) => {
                            let is_taken = result.as_ref().map_or_else(is_over, |()| true);
                            self.delivered.store(is_taken, Ordering::Relaxed);
                            self.view.send_if_modified(|view| is_taken && !std::mem::replace(&mut view.signalled, true));
                            self.note(Signal::Stop, result);
                            if !is_taken {
                                sleep_until(deadline.min(Instant::now() + RETRY)).await;
                            }
                        }
                        () = sleep_until(deadline) => {}
                    }
                }
                Some(Signal::Kill) => {
                    self.kill(kills).await;
                    kills = kills.saturating_add(1);
                    sleep_until(Instant::now() + pause).await;
                }
            }
        }
    }

    /// Sends SIGKILL by the engine, and past it where it does not take it, or took it `before` without effect.
    async fn kill(&self, before: u32) {
        let result = self.engine.kill(self.id, "SIGKILL", ENGINE_KILL).await;
        let missed = result.as_ref().is_err_and(|error| !is_over(error));
        self.note(Signal::Kill, result);
        if (missed || before > 0)
            && let Some(process) = self.process
        {
            match process.kill() {
                Ok(()) => tracing::warn!(container = self.id, "killed the process past the engine"),
                Err(error) => tracing::debug!(container = self.id, %error, "the process could not be killed"),
            }
        }
    }

    fn note(&self, signal: Signal, result: Result<(), EngineError>) {
        match result {
            Ok(()) => tracing::debug!(container = self.id, ?signal, "sent"),
            Err(error) if is_over(&error) => {
                tracing::debug!(container = self.id, ?signal, "was stopped already")
            }
            Err(error) => {
                tracing::warn!(
                    container = self.id,
                    ?signal,
                    error = crate::chain(&error),
                    "a signal was not delivered"
                );
            }
        }
    }
}

/// Whether the error says that there is nothing left to stop.
fn is_over(error: &EngineError) -> bool {
    matches!(error.kind(), ErrorKind::NotFound { .. } | ErrorKind::NotRunning { .. })
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    #[rstest::rstest]
    #[case::first_the_stop_signal(ms(7400), false, (Some(Signal::Stop), ms(7400)))]
    #[case::then_the_rest_of_the_grace(ms(7000), true, (None, ms(7000)))]
    #[case::then_sigkill(ms(0), true, (Some(Signal::Kill), REPEAT))]
    #[case::no_grace_is_sigkill_at_once(ms(0), false, (Some(Signal::Kill), REPEAT))]
    fn signals_follow_the_grace(
        #[case] left: Duration,
        #[case] signalled: bool,
        #[case] expected: (Option<Signal>, Duration),
    ) {
        assert_eq!(plan(left, signalled), expected);
    }
}
