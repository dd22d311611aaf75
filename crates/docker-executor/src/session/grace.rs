//! How long a task may take to stop when the agent wants us gone.

use std::time::Duration;

/// What stock leaves for itself of the agent's patience: two seconds (`shutdown` in `src/docker/executor.cpp`).
const MARGIN: Duration = Duration::from_secs(2);

/// The grace of a task for a shutdown within `patience`, after which the agent destroys the container. Stock's, and half
/// of a patience that is shorter than four seconds, of which stock's two would leave little or nothing.
pub fn shutdown_grace(patience: Duration) -> Duration {
    patience - MARGIN.min(patience / 2)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[rstest::rstest]
    #[case(5000, 3000)]
    #[case(4000, 2000)]
    #[case(3500, 1750)]
    #[case(1000, 500)]
    #[case(0, 0)]
    fn the_grace_ends_before_the_agents_patience(#[case] patience: u64, #[case] grace: u64) {
        assert_eq!(shutdown_grace(Duration::from_millis(patience)), Duration::from_millis(grace));
    }

    proptest! {
        #[test]
        fn a_longer_patience_is_never_a_shorter_grace(a: u64, b: u64) {
            let (short, long) = (Duration::from_nanos(a.min(b)), Duration::from_nanos(a.max(b)));
            prop_assert!(shutdown_grace(short) <= shutdown_grace(long));
            prop_assert!(shutdown_grace(long) <= long);
        }
    }
}
