//! Times as stock prints them (`Timer` of libprocess' `metrics/timer.hpp`, `Statistics` of `statistics.hpp`).

use std::time::Duration;

use super::sample::Samples;

/// The parts of a hundred that are printed, with stock's names of them.
const PERCENTILES: [(&str, f64); 6] =
    [("p50", 0.5), ("p90", 0.9), ("p95", 0.95), ("p99", 0.99), ("p999", 0.999), ("p9999", 0.9999)];

/// Sets a timer in milliseconds: the newest time under its name, and below it the statistics of all of them. Without a
/// time there is nothing to say.
pub(super) fn set_timer(samples: &mut Samples, name: &str, times: impl Iterator<Item = Duration>) {
    let mut times: Vec<f64> = times.map(|time| time.as_secs_f64() * 1000.0).collect();
    let Some(newest) = times.last().copied() else { return };
    samples.set(name, newest);
    samples.count(format!("{name}/count"), times.len() as u64);
    times.sort_by(f64::total_cmp);
    if let (Some(least), Some(most)) = (times.first(), times.last()) {
        samples.set(format!("{name}/min"), *least);
        samples.set(format!("{name}/max"), *most);
    }
    for (part, fraction) in PERCENTILES {
        samples.set(format!("{name}/{part}"), percentile(&times, fraction));
    }
}

/// The value below which a part of the sorted values lies, by linear interpolation between its neighbours.
#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "there are at most some thousand values, so positions are small and not negative"
)]
pub(super) fn percentile(sorted: &[f64], fraction: f64) -> f64 {
    let position = fraction * sorted.len().saturating_sub(1) as f64;
    let below = position.floor() as usize;
    let lower = sorted.get(below).copied().unwrap_or_default();
    let upper = sorted.get(below + 1).copied().unwrap_or(lower);
    lower + (position - position.floor()) * (upper - lower)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn percentiles_lie_between_neighbours() {
        let values = [0.0, 10.0, 20.0, 30.0, 40.0];
        for (fraction, expected) in [(0.0, 0.0), (0.5, 20.0), (0.9, 36.0), (0.99, 39.6), (1.0, 40.0)] {
            assert!((percentile(&values, fraction) - expected).abs() < 1e-9, "{fraction}");
        }
        assert!((percentile(&[7.0], 0.99) - 7.0).abs() < 1e-9);
    }

    #[test]
    fn a_timer_has_the_newest_time_and_its_statistics() {
        let mut samples = Samples::default();
        set_timer(&mut samples, "t_ms", std::iter::empty());
        assert_eq!(samples, Samples::default());
        set_timer(&mut samples, "t_ms", [30, 10, 20].into_iter().map(Duration::from_millis));
        let expected =
            [("t_ms", 20.0), ("t_ms/count", 3.0), ("t_ms/max", 30.0), ("t_ms/min", 10.0), ("t_ms/p50", 20.0)];
        for (name, value) in expected {
            assert_eq!(samples.get(name), Some(value), "{name}");
        }
        assert_eq!(samples.iter().count(), 10);
    }

    proptest! {
        #[test]
        fn a_percentile_is_within_the_values(mut values in prop::collection::vec(0.0..1e6, 1..50), fraction in 0.0..=1.0) {
            values.sort_by(f64::total_cmp);
            let value = percentile(&values, fraction);
            prop_assert!(values[0] <= value && value <= values[values.len() - 1]);
        }
    }
}
