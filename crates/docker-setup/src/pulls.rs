//! How images are pulled.

use std::time::Duration;

use docker_containerizer::images::{Backoff, NegativeSettings, PullPolicy, PullSettings, RetrySettings};
use flags::{DockerPullPolicy, DockerPullSettings};

/// What the flags say about pulls.
pub fn pull_settings(pulls: &DockerPullSettings) -> PullSettings {
    let backoff = |(from, to): (Duration, Duration)| Backoff { from, to };
    PullSettings {
        policy: match pulls.policy {
            DockerPullPolicy::IfNotPresent => PullPolicy::IfNotPresent,
            DockerPullPolicy::Always => PullPolicy::Always,
            DockerPullPolicy::PreferCached => PullPolicy::PreferCached,
        },
        max_parallel: pulls.max_parallel.get(),
        max_queued: pulls.max_queued.get(),
        quick: pulls.quick,
        timeout: pulls.timeout,
        inactivity: pulls.inactivity,
        retry: RetrySettings {
            max_retries: pulls.max_retries,
            network: backoff(pulls.backoff),
            rate_limit: backoff(pulls.rate_limit_backoff),
        },
        negative: NegativeSettings { ttl: pulls.negative_ttl, size: pulls.negative_size.get() },
    }
}
