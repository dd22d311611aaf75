//! When a failed pull is tried again: pure, with the chance as an argument.

use std::time::Duration;

use super::failure::PullClass;

/// How long a pull waits for an engine that is away, in all.
pub(crate) const ENGINE_AWAY: Duration = Duration::from_secs(600);

/// The pause between attempts at an engine that is away.
const ENGINE_PAUSE: Duration = Duration::from_secs(1);

/// How failed pulls are tried again (`--docker_pull_max_retries` and the flags after it).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetrySettings {
    /// How often a pull is tried again after failures that may pass. An engine that is away does not count.
    pub max_retries: u32,
    /// The pauses after a registry that could not be reached.
    pub network: Backoff,
    /// The pauses after a registry that wants fewer pulls.
    pub rate_limit: Backoff,
}

/// Pauses that double from one to the next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backoff {
    /// The first pause.
    pub from: Duration,
    /// The longest pause.
    pub to: Duration,
}

/// What one pull has met so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Attempts {
    /// Attempts that ended in an answer of the registry or the lack of one.
    pub(crate) failed: u32,
    network: u32,
    rate_limited: u32,
}

impl Default for RetrySettings {
    fn default() -> Self {
        Self {
            max_retries: 3,
            network: Backoff { from: Duration::from_secs(2), to: Duration::from_secs(30) },
            rate_limit: Backoff { from: Duration::from_secs(60), to: Duration::from_secs(600) },
        }
    }
}

impl Backoff {
    /// The pause after the `nth` failure (from 0): doubled each time up to the longest, and shortened by up to a
    /// fifth by `chance` (0 to 1), so that those who failed together do not come back together.
    fn pause(self, nth: u32, chance: f64) -> Duration {
        let doubled = self.from.saturating_mul(2u32.saturating_pow(nth));
        doubled.min(self.to).mul_f64(1.0 - 0.2 * chance.clamp(0.0, 1.0))
    }

    /// As [`Backoff::pause`], lengthened: a registry that named a minimum is never asked earlier.
    fn pause_from_minimum(self, nth: u32, chance: f64) -> Duration {
        let doubled = self.from.saturating_mul(2u32.saturating_pow(nth));
        doubled.min(self.to).mul_f64(1.0 + 0.2 * chance.clamp(0.0, 1.0))
    }
}

impl Attempts {
    /// Counts a failure, and says after which pause the pull is tried again; `None` when it is not. `away` is for how
    /// long the engine has been away without a break: the attempts of which it said nothing, and the pauses between.
    pub(crate) fn after(
        &mut self,
        class: PullClass,
        retry_after: Option<Duration>,
        away: Duration,
        settings: &RetrySettings,
        chance: f64,
    ) -> Option<Duration> {
        match class {
            PullClass::EngineAway => return (away < ENGINE_AWAY).then_some(ENGINE_PAUSE),
            PullClass::NotFound | PullClass::Denied | PullClass::DiskFull | PullClass::Engine => {
                self.failed += 1;
                return None;
            }
            PullClass::RateLimited | PullClass::Network => self.failed += 1,
        }
        if self.failed > settings.max_retries {
            return None;
        }
        let pause = if class == PullClass::RateLimited {
            self.rate_limited += 1;
            settings.rate_limit.pause_from_minimum(self.rate_limited - 1, chance)
        } else {
            self.network += 1;
            settings.network.pause(self.network - 1, chance)
        };
        Some(retry_after.map_or(pause, |asked| pause.max(asked.min(settings.rate_limit.to))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn settings(max_retries: u32) -> RetrySettings {
        RetrySettings { max_retries, ..RetrySettings::default() }
    }

    fn pauses(classes: &[PullClass], settings: &RetrySettings) -> Vec<Option<u64>> {
        let mut attempts = Attempts::default();
        let after = |class: &PullClass| attempts.after(*class, None, Duration::ZERO, settings, 0.0);
        classes.iter().map(after).map(|pause| pause.map(|pause| pause.as_secs())).collect()
    }

    #[rstest::rstest]
    #[case::network([PullClass::Network; 6].to_vec(), 5, vec![Some(2), Some(4), Some(8), Some(16), Some(30), None])]
    #[case::rate_limit([PullClass::RateLimited; 6].to_vec(), 5,
        vec![Some(60), Some(120), Some(240), Some(480), Some(600), None])]
    #[case::each_has_its_own(vec![PullClass::Network, PullClass::RateLimited, PullClass::Network], 3,
        vec![Some(2), Some(60), Some(4)])]
    #[case::no_retries(vec![PullClass::Network], 0, vec![None])]
    #[case::the_engine_does_not_count(vec![PullClass::EngineAway, PullClass::EngineAway, PullClass::Network], 1,
        vec![Some(1), Some(1), Some(2)])]
    #[case::not_found(vec![PullClass::NotFound], 9, vec![None])]
    #[case::denied(vec![PullClass::Denied], 9, vec![None])]
    #[case::disk_full(vec![PullClass::DiskFull], 9, vec![None])]
    #[case::engine(vec![PullClass::Engine], 9, vec![None])]
    fn only_what_may_pass_is_tried_again(
        #[case] classes: Vec<PullClass>,
        #[case] retries: u32,
        #[case] expected: Vec<Option<u64>>,
    ) {
        assert_eq!(pauses(&classes, &settings(retries)), expected);
    }

    #[test]
    fn an_engine_that_stays_away_is_given_up() {
        let mut attempts = Attempts::default();
        let mut after = |away| attempts.after(PullClass::EngineAway, None, away, &settings(3), 0.0);
        assert!(after(ENGINE_AWAY - SECOND).is_some());
        assert_eq!(after(ENGINE_AWAY), None);
    }

    #[test]
    fn a_registry_that_names_a_time_is_not_asked_earlier_nor_waited_for_for_ever() {
        let after = |asked| {
            Attempts::default().after(PullClass::RateLimited, Some(asked), Duration::ZERO, &settings(3), 0.0)
        };
        assert_eq!(after(90 * SECOND), Some(90 * SECOND));
        assert_eq!(after(SECOND), Some(60 * SECOND));
        assert_eq!(after(Duration::MAX), Some(600 * SECOND));
    }

    proptest! {
        #[test]
        fn a_pause_is_bounded_and_the_retries_end(
            classes in prop::collection::vec(prop::sample::select(vec![PullClass::Network, PullClass::RateLimited]), 1..40),
            retries in 0u32..20,
            chance in 0.0f64..=1.0,
        ) {
            let settings = settings(retries);
            let mut attempts = Attempts::default();
            let mut tried = 0;
            for class in classes {
                let Some(pause) = attempts.after(class, None, Duration::ZERO, &settings, chance) else { break };
                tried += 1;
                if class == PullClass::RateLimited {
                    prop_assert!(pause >= settings.rate_limit.from, "earlier than a minute: {pause:?}");
                }
                prop_assert!(pause >= settings.network.from.mul_f64(0.8));
                prop_assert!(pause <= settings.rate_limit.to.mul_f64(1.2));
            }
            prop_assert!(tried <= retries);
        }
    }
}
