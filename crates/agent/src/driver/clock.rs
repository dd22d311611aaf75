//! The two clocks of the core.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::time::Instant;

use crate::core::Now;

/// As good as never.
const FAR: Duration = Duration::from_secs(365 * 24 * 3600);

/// Reads both clocks at once.
#[derive(Debug, Clone, Copy)]
pub(super) struct Clock {
    started: Instant,
}

impl Clock {
    /// A clock that starts now.
    pub(super) fn start() -> Self {
        Self { started: Instant::now() }
    }

    /// What both say.
    pub(super) fn now(self) -> Now {
        Now { elapsed: self.started.elapsed(), unix: unix() }
    }

    /// When so much time has passed since the start; a time that the system cannot tell is far away.
    pub(super) fn at(self, elapsed: Duration) -> Instant {
        self.started.checked_add(elapsed).unwrap_or_else(|| Instant::now() + FAR)
    }
}

/// The time since 1970 in seconds.
pub(crate) fn unix() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64())
}
