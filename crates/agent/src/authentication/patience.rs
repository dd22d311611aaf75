//! Owns how long each try to authenticate may take.

use std::time::Duration;

/// The time that the tries get, one after the other: random between a shortest and a longest time, the longest growing
/// from try to try, as stock (`src/slave/slave.cpp`, `authenticate` and `_authenticate`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Patience {
    shortest: Duration,
    longest: Duration,
    spread: Duration,
}

impl Patience {
    /// Takes `--authentication_timeout_min`, `--authentication_timeout_max` and `--authentication_backoff_factor`.
    pub fn new(shortest: Duration, longest: Duration, factor: Duration) -> Self {
        Self { shortest, longest: longest.max(shortest), spread: factor.saturating_mul(2) }
    }

    /// The time of the next try; `random` is uniform in [0, 1).
    pub fn next(&mut self, random: f64) -> Duration {
        let spread = self.spread.min(self.longest - self.shortest);
        self.spread = self.spread.saturating_mul(2);
        self.shortest + spread.mul_f64(random.clamp(0.0, 1.0))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn the_spread_doubles_up_to_the_longest_time() {
        let mut patience = Patience::new(5 * SECOND, 60 * SECOND, SECOND);
        let longest: Vec<u64> = (0..8).map(|_| patience.next(1.0).as_secs()).collect();
        assert_eq!(longest, [7, 9, 13, 21, 37, 60, 60, 60]);
        assert_eq!(patience.next(0.0), 5 * SECOND);
    }

    proptest! {
        #[test]
        fn every_try_is_within_the_bounds(
            shortest in 0u64..100_000,
            longest in 0u64..100_000,
            factor in 0u64..u64::MAX / 1000,
            randoms in prop::collection::vec(0.0f64..1.0, 1..40),
        ) {
            let [shortest, longest, factor] = [shortest, longest, factor].map(Duration::from_millis);
            let mut patience = Patience::new(shortest, longest, factor);
            for random in randoms {
                let time = patience.next(random);
                prop_assert!(shortest <= time && time <= longest.max(shortest));
            }
        }
    }
}
