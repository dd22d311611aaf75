//! What the flags say about pulls.

use std::time::Duration;

use super::negative::NegativeSettings;
use super::policy::PullPolicy;
use super::retry::RetrySettings;

/// How images are pulled. Made from the flags `--docker_pull_*`, `--docker_max_parallel_pulls` and
/// `--docker_max_queued_pulls`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PullSettings {
    /// When images are pulled.
    pub policy: PullPolicy,
    /// How many pulls are with the engine at once, at least 1.
    pub max_parallel: usize,
    /// How many wait for that.
    pub max_queued: usize,
    /// How long a pull runs before it counts as a big one; see `lanes`.
    pub quick: Duration,
    /// How long a task waits for its image, without the time in the queue; `None` is as long as the pull goes on.
    pub timeout: Option<Duration>,
    /// How long a pull may show no progress.
    pub inactivity: Duration,
    /// How failures that may pass are tried again.
    pub retry: RetrySettings,
    /// How long refusals are remembered.
    pub negative: NegativeSettings,
}

impl Default for PullSettings {
    fn default() -> Self {
        Self {
            policy: PullPolicy::default(),
            max_parallel: 4,
            max_queued: 1000,
            quick: Duration::from_secs(10),
            timeout: None,
            inactivity: Duration::from_secs(120),
            retry: RetrySettings::default(),
            negative: NegativeSettings::default(),
        }
    }
}
