//! Stopping a container: SIGTERM to its tree, the grace, SIGKILL to all that is left, until nothing is.
//!
//! As `os::killtree` of Mesos the stop signal goes to every process of the tree, and one that was stopped is continued so
//! that it can take it. [`plan`] decides, [`Stopping`] performs.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use containerizer::{View, blocking, chain};
use rustix::process::Signal;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until};

use crate::isolation::Contained;
use crate::order::Running;
use crate::subject::Subject;

/// The pauses between two kills of a tree.
const PAUSES: [Duration; 5] = [
    Duration::from_millis(20),
    Duration::from_millis(50),
    Duration::from_millis(100),
    Duration::from_millis(500),
    Duration::from_secs(2),
];

/// After how many kills in a row that found nothing more to kill the parent itself is killed: it has had time to write how
/// the command ended, on a disk that was full. One that still waits for a process is left to wait: without it, what does not
/// die at once, as one that waits for a device, could not be found any more.
const PARENT_TOO: usize = 25;

/// What is sent next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Signals {
    /// SIGTERM.
    Stop,
    /// SIGKILL.
    Kill,
}

/// Whether a kill has found processes of the container, but for its parent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Found {
    /// It has, or may have overlooked some.
    Somebody,
    /// There is none.
    Nobody,
}

/// A stop under way; lives as long as the end has not been seen.
#[derive(Debug)]
pub(crate) struct Stopping<'a> {
    pub(crate) subject: &'a Subject,
    pub(crate) contained: &'a Contained,
    /// Whether the stop signal was sent; kept over changes of the grace.
    pub(crate) delivered: AtomicBool,
    /// Where that is told.
    pub(crate) view: &'a watch::Sender<View<Running>>,
}

/// What to send now, with this much of the grace left.
fn plan(left: Duration, signalled: bool) -> Option<Signals> {
    match (left.is_zero(), signalled) {
        (true, _) => Some(Signals::Kill),
        (false, true) => None,
        (false, false) => Some(Signals::Stop),
    }
}

impl Stopping<'_> {
    /// Sends signals until it is dropped; the caller races it with the end, and begins a new one when the grace changes.
    /// `deadline` is when SIGKILL follows.
    ///
    /// # Cancel safety
    ///
    /// May be dropped.
    pub(crate) async fn perform(&self, deadline: Instant) -> std::convert::Infallible {
        // The parent gives what the command leaves behind the same time.
        blocking(|| self.subject.tell_grace(deadline.saturating_duration_since(Instant::now())));
        let (mut kills, mut idle) = (0_usize, 0_usize);
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            match plan(left, self.delivered.load(Ordering::Relaxed)) {
                None => sleep_until(deadline).await,
                Some(Signals::Stop) => {
                    let count = blocking(|| {
                        let count = self.subject.signal(Signal::TERM)?;
                        // Who was continued a moment ago needs it no more.
                        let _ = self.subject.signal(Signal::CONT);
                        std::io::Result::Ok(count)
                    });
                    match count {
                        Ok(count) => tracing::debug!(count, "SIGTERM was sent"),
                        Err(error) => {
                            tracing::warn!(error = chain(&error), "SIGTERM is sent again");
                            sleep(PAUSES[3].min(left)).await;
                            continue;
                        }
                    }
                    self.delivered.store(true, Ordering::Relaxed);
                    self.view.send_if_modified(|view| !std::mem::replace(&mut view.signalled, true));
                }
                Some(Signals::Kill) => {
                    let found = self.kill().await;
                    let pause = PAUSES[kills.min(PAUSES.len() - 1)];
                    kills = kills.saturating_add(1);
                    idle = if found == Found::Nobody { idle.saturating_add(1) } else { 0 };
                    if idle > PARENT_TOO {
                        blocking(|| self.subject.kill_parent());
                    }
                    sleep(pause).await;
                }
            }
        }
    }

    async fn kill(&self) -> Found {
        // The control groups first, where nothing forks away from the kill, then what is in none.
        let groups = self.contained.kill_all().await;
        if let Err(error) = &groups {
            tracing::warn!(error = chain(error), "a container is killed again");
        }
        let tree = blocking(|| self.subject.kill());
        tracing::debug!(?tree, "SIGKILL was sent");
        if groups.is_ok() && matches!(tree, Ok(0)) { Found::Nobody } else { Found::Somebody }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[rstest::rstest]
    #[case::first_the_stop_signal(5, false, Some(Signals::Stop))]
    #[case::then_the_rest_of_the_grace(5, true, None)]
    #[case::then_sigkill(0, true, Some(Signals::Kill))]
    #[case::no_grace_is_sigkill_at_once(0, false, Some(Signals::Kill))]
    fn signals_follow_the_grace(
        #[case] left: u64,
        #[case] signalled: bool,
        #[case] expected: Option<Signals>,
    ) {
        assert_eq!(plan(Duration::from_secs(left), signalled), expected);
    }
}
