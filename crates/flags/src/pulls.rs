//! The flags about pulling images.

use std::num::NonZeroUsize;
use std::time::Duration;

use crate::values::{parse_duration, quote};

/// `--docker_pull_policy`: when images are pulled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DockerPullPolicy {
    /// `if-not-present`.
    IfNotPresent,
    /// `always`.
    Always,
    /// `prefer-cached`.
    PreferCached,
}

/// How images are pulled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DockerPullSettings {
    /// `--docker_pull_policy`.
    pub policy: DockerPullPolicy,
    /// `--docker_max_parallel_pulls`.
    pub max_parallel: NonZeroUsize,
    /// `--docker_max_queued_pulls`.
    pub max_queued: NonZeroUsize,
    /// `--docker_pull_quick_time`, at least a second.
    pub quick: Duration,
    /// `--docker_pull_timeout`; `None` while the pull makes progress.
    pub timeout: Option<Duration>,
    /// `--docker_pull_inactivity_timeout`.
    pub inactivity: Duration,
    /// `--docker_pull_max_retries`, 0 to 100.
    pub max_retries: u32,
    /// `--docker_pull_backoff` and `--docker_pull_max_backoff`; the first is not longer than the second.
    pub backoff: (Duration, Duration),
    /// `--docker_pull_rate_limit_backoff` and `--docker_pull_max_rate_limit_backoff`, likewise.
    pub rate_limit_backoff: (Duration, Duration),
    /// `--docker_pull_negative_ttl`; zero remembers nothing.
    pub negative_ttl: Duration,
    /// `--docker_pull_negative_cache_size`.
    pub negative_size: NonZeroUsize,
}

/// One of the policies by its name.
pub(crate) fn policy(text: &str) -> Result<DockerPullPolicy, String> {
    match text {
        "if-not-present" => Ok(DockerPullPolicy::IfNotPresent),
        "always" => Ok(DockerPullPolicy::Always),
        "prefer-cached" => Ok(DockerPullPolicy::PreferCached),
        _ => Err(format!("{} is none of if-not-present, always and prefer-cached", quote(text))),
    }
}

/// A deadline, where zero is none.
pub(crate) fn timeout(text: &str) -> Result<Option<Duration>, String> {
    parse_duration(text).map(|duration| Some(duration).filter(|duration| !duration.is_zero()))
}

/// How long a pull is quick: less than a second is no time to find out how big an image is.
pub(crate) fn quick(text: &str) -> Result<Duration, String> {
    match parse_duration(text)? {
        short if short < Duration::from_secs(1) => Err("the time must be at least 1secs".to_owned()),
        duration => Ok(duration),
    }
}

/// How often something may be tried again.
pub(crate) fn retries(text: &str) -> Result<u32, String> {
    let retries = text.parse().ok().filter(|retries| *retries <= 100);
    retries.ok_or_else(|| format!("{} is not a whole number from 0 to 100", quote(text)))
}

/// A first pause and a longest one, which is at least as long.
pub(crate) fn pauses(from: Duration, to: Duration) -> (Duration, Duration) {
    (from.min(to), to)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::docker::DockerSettings;

    fn load(pairs: &[(&str, &str)]) -> Result<DockerPullSettings, String> {
        let loaded = DockerSettings::from_pairs(pairs.iter().copied());
        loaded.map(|loaded| loaded.settings.pulls).map_err(|error| error.to_string())
    }

    #[test]
    fn the_defaults_end_no_pull_that_makes_progress() {
        let pulls = load(&[]).unwrap();
        assert_eq!(pulls.policy, DockerPullPolicy::IfNotPresent);
        assert_eq!((pulls.max_parallel.get(), pulls.max_queued.get()), (4, 1000));
        assert_eq!((pulls.timeout, pulls.inactivity), (None, Duration::from_secs(120)));
        assert_eq!((pulls.quick, pulls.max_retries), (Duration::from_secs(10), 3));
        assert_eq!(pulls.backoff, (Duration::from_secs(2), Duration::from_secs(30)));
        assert_eq!(pulls.rate_limit_backoff, (Duration::from_secs(60), Duration::from_secs(600)));
        assert_eq!((pulls.negative_ttl, pulls.negative_size.get()), (Duration::from_secs(30), 256));
    }

    #[test]
    fn every_flag_is_read() {
        let pulls = load(&[
            ("docker_pull_policy", "prefer-cached"),
            ("docker_max_parallel_pulls", "2"),
            ("docker_max_queued_pulls", "7"),
            ("docker_pull_quick_time", "3secs"),
            ("docker_pull_timeout", "5mins"),
            ("docker_pull_inactivity_timeout", "4secs"),
            ("docker_pull_max_retries", "0"),
            ("docker_pull_backoff", "9secs"),
            ("docker_pull_max_backoff", "8secs"),
            ("docker_pull_rate_limit_backoff", "2mins"),
            ("docker_pull_max_rate_limit_backoff", "3mins"),
            ("docker_pull_negative_ttl", "0secs"),
            ("docker_pull_negative_cache_size", "1"),
        ])
        .unwrap();
        assert_eq!(pulls.policy, DockerPullPolicy::PreferCached);
        assert_eq!((pulls.max_parallel.get(), pulls.max_queued.get()), (2, 7));
        assert_eq!(
            (pulls.timeout, pulls.inactivity),
            (Some(Duration::from_secs(300)), Duration::from_secs(4))
        );
        assert_eq!((pulls.quick, pulls.max_retries), (Duration::from_secs(3), 0));
        assert_eq!(pulls.backoff, (Duration::from_secs(8), Duration::from_secs(8)));
        assert_eq!(pulls.rate_limit_backoff, (Duration::from_secs(120), Duration::from_secs(180)));
        assert_eq!((pulls.negative_ttl, pulls.negative_size.get()), (Duration::ZERO, 1));
        assert_eq!(load(&[("docker_pull_timeout", "0secs")]).unwrap().timeout, None);
    }

    #[test]
    fn a_value_that_is_none_is_refused_by_name() {
        for (flag, value) in [
            ("docker_pull_policy", "never"),
            ("docker_max_parallel_pulls", "0"),
            ("docker_pull_inactivity_timeout", "0secs"),
            ("docker_pull_max_retries", "101"),
            ("docker_pull_timeout", "soon"),
            ("docker_pull_quick_time", "999ms"),
            ("docker_pull_backoff", "0secs"),
        ] {
            let error = load(&[(flag, value)]).unwrap_err();
            assert!(error.contains(flag), "{error}");
        }
    }
}
