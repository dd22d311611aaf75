//! The bounds of the HTTP side.

use std::num::NonZeroUsize;
use std::time::Duration;

use flags::agent::Rate;

/// Bounds, each of which a flag can change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpSettings {
    /// How many requests are answered at once; the next one waits.
    pub max_requests: NonZeroUsize,
    /// How long a request waits for its turn, for its rate limit, or for the core to answer, before it gets a 503.
    pub patience: Duration,
    /// How large the body of a request may be, in bytes.
    pub max_body: usize,
    /// How large the body of an executor's call may be, in bytes.
    pub max_executor_call: usize,
    /// How many downloads of files are sent at once; the next one gets a 503.
    pub max_downloads: NonZeroUsize,
    /// How long a client may take over the body of a request, or take nothing of a download, before it is given up.
    pub stall: Duration,
    /// How many entries of a directory are listed; a larger one is refused.
    pub max_listed_files: usize,
    /// How often the metrics may be asked for.
    pub metrics_rate: Option<Rate>,
    /// How often the statistics may be asked for.
    pub statistics_rate: Option<Rate>,
    /// How long what was read of containers is good, so that many clients read it once.
    pub statistics_age: Duration,
    /// How many containers' control groups are read at once.
    pub statistics_parallel: NonZeroUsize,
}

impl Default for HttpSettings {
    fn default() -> Self {
        const fn count(count: usize) -> NonZeroUsize {
            match NonZeroUsize::new(count) {
                Some(count) => count,
                None => NonZeroUsize::MIN,
            }
        }
        Self {
            max_requests: count(64),
            patience: Duration::from_secs(10),
            max_body: 4 << 20,
            max_executor_call: 16 << 20,
            max_downloads: count(64),
            stall: Duration::from_mins(1),
            max_listed_files: 100_000,
            metrics_rate: Some(Rate::TWO_A_SECOND),
            statistics_rate: Some(Rate::TWO_A_SECOND),
            statistics_age: Duration::from_millis(500),
            statistics_parallel: count(4),
        }
    }
}
