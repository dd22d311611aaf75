//! The agent's log and its level, which operators may raise for a while (`Logging` of libprocess' `logging.cpp`).
//!
//! Levels are those of stock's `GLOG_v`: 0 is what the flags say, 1 tells of traffic, 2 and more of everything that this
//! agent does. The libraries below it stay at info in any case: they would log headers and bodies, and so secrets.

mod lines;

use std::fmt;
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, fmt as format, reload};

use lines::Lines;
pub use lines::LogEnd;

/// Libraries whose chatter nobody may ask for.
const QUIET: [&str; 9] =
    ["bollard", "h2", "hyper", "hyper_util", "mio", "reqwest", "rustls", "tokio_util", "want"];

/// The client of ZooKeeper, whose lines below errors hold the session's password, and tell what the detector tells, too.
const ZOOKEEPER: &str = "zookeeper_client=error";

/// The longest time for which the level stays raised.
const LONGEST: Duration = Duration::from_hours(24 * 7);

/// Changes the level of the log. Cheap to clone.
#[derive(Debug, Clone)]
pub struct LogControl {
    inner: Arc<Inner>,
}

struct Inner {
    apply: Box<dyn Fn(u32) + Send + Sync>,
    state: Mutex<State>,
}

#[derive(Debug, Clone, Copy)]
struct State {
    level: u32,
    /// When the level goes back; a newer wish replaces it.
    until: Option<Instant>,
}

impl LogControl {
    /// A control of something that takes a level.
    pub fn new(apply: impl Fn(u32) + Send + Sync + 'static) -> Self {
        let state = Mutex::new(State { level: 0, until: None });
        Self { inner: Arc::new(Inner { apply: Box::new(apply), state }) }
    }

    /// The level now.
    pub fn level(&self) -> u32 {
        self.state().level
    }

    /// Raises the level; after `duration`, at most a week, it goes back to 0. A newer call replaces an older one. Needs a
    /// tokio runtime.
    pub fn set(&self, level: u32, duration: Duration) {
        let until = Instant::now() + duration.min(LONGEST);
        *self.state() = State { level, until: Some(until) };
        (self.inner.apply)(level);
        tracing::info!(level, seconds = duration.min(LONGEST).as_secs(), "the level of the log was changed");
        let control = self.clone();
        tokio::spawn(async move {
            tokio::time::sleep_until(until).await;
            control.go_back(until);
        });
    }

    /// Goes back to level 0, unless a newer wish came.
    fn go_back(&self, until: Instant) {
        let mut state = self.state();
        if state.until == Some(until) {
            *state = State { level: 0, until: None };
            (self.inner.apply)(0);
        }
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.inner.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Inner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inner").field("state", &self.state).finish_non_exhaustive()
    }
}

/// Logs to standard error from now on, at `base` (directives of `tracing_subscriber`). Once in a process. Who logs does not
/// wait for the reader there: `queued` lines do, and more are lost. The other answer is to be dropped at the end of the
/// process.
pub fn log_to_stderr(base: &str, queued: NonZeroUsize) -> (LogControl, LogEnd) {
    let (layer, handle) = reload::Layer::new(filter(base, 0));
    let is_terminal = std::io::IsTerminal::is_terminal(&std::io::stderr());
    let (writer, end) = Lines::to(std::io::stderr(), queued);
    let lines = format::layer().with_writer(writer).with_ansi(is_terminal).log_internal_errors(false);
    tracing_subscriber::registry().with(layer).with(lines).init();
    let base = base.to_owned();
    let control = LogControl::new(move |level| {
        // It fails only when the subscriber is gone, and with it the log.
        let _ = handle.reload(filter(&base, level));
    });
    (control, end)
}

/// What is logged at a level.
fn filter(base: &str, level: u32) -> EnvFilter {
    let word = match level {
        0 => {
            // A part of the client that is named would win over the client.
            let others =
                base.split(',').filter(|directive| !directive.trim().starts_with("zookeeper_client"));
            return EnvFilter::new(others.chain([ZOOKEEPER]).collect::<Vec<_>>().join(","));
        }
        1 => "debug",
        _ => "trace",
    };
    let quiet: String = QUIET.iter().map(|library| format!(",{library}=info")).collect();
    EnvFilter::new(format!("{word}{quiet},{ZOOKEEPER}"))
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    fn control() -> (LogControl, mpsc::Receiver<u32>) {
        let (send, applied) = mpsc::channel();
        let control = LogControl::new(move |level| send.send(level).unwrap());
        (control, applied)
    }

    #[tokio::test(start_paused = true)]
    async fn a_level_goes_back_after_its_time() {
        let (control, applied) = control();
        assert_eq!(control.level(), 0);
        control.set(2, Duration::from_secs(10));
        assert_eq!(control.level(), 2);
        tokio::time::sleep(Duration::from_secs(11)).await;
        assert_eq!(control.level(), 0);
        assert_eq!(applied.try_iter().collect::<Vec<_>>(), [2, 0]);
    }

    #[tokio::test(start_paused = true)]
    async fn the_newest_wish_counts() {
        let (control, applied) = control();
        control.set(1, Duration::from_secs(10));
        control.set(3, Duration::from_secs(100));
        tokio::time::sleep(Duration::from_secs(50)).await;
        assert_eq!(control.level(), 3);
        control.set(1, Duration::from_secs(10));
        tokio::time::sleep(Duration::from_secs(11)).await;
        assert_eq!(control.level(), 0);
        tokio::time::sleep(Duration::from_secs(100)).await;
        assert_eq!(applied.try_iter().collect::<Vec<_>>(), [1, 3, 1, 0]);
    }

    #[tokio::test(start_paused = true)]
    async fn no_time_is_too_long() {
        let (control, _applied) = control();
        control.set(1, Duration::MAX);
        tokio::time::sleep(LONGEST + Duration::from_secs(1)).await;
        assert_eq!(control.level(), 0);
    }

    #[test]
    fn libraries_stay_quiet_at_every_level() {
        for level in [1, 2, 9] {
            let text = filter("warn", level).to_string();
            for library in QUIET {
                assert!(text.split(',').any(|directive| directive == format!("{library}=info")), "{text}");
            }
        }
    }

    #[test]
    fn the_client_of_zookeeper_tells_errors_only() {
        for base in ["warn", "debug", "zookeeper_client=trace", "info,zookeeper_client::session=debug"] {
            for level in [0, 1, 2] {
                let text = filter(base, level).to_string();
                let of_client = text.split(',').filter(|directive| directive.starts_with("zookeeper_client"));
                assert_eq!(of_client.collect::<Vec<_>>(), [ZOOKEEPER], "{text}");
            }
        }
        assert!(filter("warn", 0).to_string().split(',').any(|directive| directive == "warn"));
    }
}
