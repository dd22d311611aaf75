//! Owns the arithmetic of the benchmarks: medians, their intervals, and the interval of a ratio of medians. Pure.

use std::time::Duration;

/// How many resamples an interval of a ratio is made from.
const RESAMPLES: usize = 4000;
/// Where the generator starts: the same samples give the same interval.
const SEED: u64 = 0x9e37_79b9_7f4a_7c15;

/// A value and the interval in which its true one is, with 95 % confidence.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Estimate {
    /// The value that was measured.
    pub value: f64,
    /// The lower end of the interval.
    pub low: f64,
    /// The upper end of the interval.
    pub high: f64,
}

/// Returns durations in milliseconds.
pub fn milliseconds(durations: &[Duration]) -> Vec<f64> {
    durations.iter().map(|duration| duration.as_secs_f64() * 1000.0).collect()
}

/// Returns the median; `None` of nothing.
pub fn median(samples: &[f64]) -> Option<f64> {
    let mut sorted = samples.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    match sorted.len() {
        0 => None,
        length if length % 2 == 1 => Some(sorted[middle]),
        _ => Some(f64::midpoint(sorted[middle - 1], sorted[middle])),
    }
}

/// Returns the median and its interval from order statistics: no assumption on how the samples are spread. With fewer
/// than six samples the interval is all of them.
pub fn median_estimate(samples: &[f64]) -> Option<Estimate> {
    let value = median(samples)?;
    let mut sorted = samples.to_vec();
    sorted.sort_by(f64::total_cmp);
    let rank = lower_rank(sorted.len());
    Some(Estimate { value, low: sorted[rank], high: sorted[sorted.len() - 1 - rank] })
}

/// Returns the largest index whose order statistic is below the median with at least 97.5 % confidence, or 0.
fn lower_rank(length: usize) -> usize {
    // P(Binomial(n, 1/2) <= k), summed up until it passes 2.5 %. Factors are kept as logarithms: 2^-n underflows.
    let n = length as f64;
    let mut log_term = -n * std::f64::consts::LN_2;
    let mut sum = log_term.exp();
    let mut rank = 0;
    while sum <= 0.025 && rank + 1 < length {
        let k = rank as f64;
        log_term += ((n - k) / (k + 1.0)).ln();
        sum += log_term.exp();
        if sum <= 0.025 {
            rank += 1;
        }
    }
    rank
}

/// Returns the ratio of the medians of `ours` over `theirs`, with a percentile bootstrap interval.
pub fn ratio_estimate(ours: &[f64], theirs: &[f64]) -> Option<Estimate> {
    let value = median(ours)? / median(theirs)?;
    let mut generator = SplitMix(SEED);
    let mut ratios: Vec<f64> = (0..RESAMPLES)
        .filter_map(|_| Some(median(&generator.resample(ours))? / median(&generator.resample(theirs))?))
        .collect();
    ratios.sort_by(f64::total_cmp);
    let tail = RESAMPLES / 40;
    Some(Estimate { value, low: ratios[tail], high: ratios[RESAMPLES - 1 - tail] })
}

/// The SplitMix64 generator; good enough to draw samples, and the same on every machine.
struct SplitMix(u64);

impl SplitMix {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn resample(&mut self, samples: &[f64]) -> Vec<f64> {
        let length = samples.len() as u64;
        (0..length).filter_map(|_| usize::try_from(self.next() % length).ok()).map(|at| samples[at]).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians_are_in_the_middle() {
        assert_eq!(median(&[]), None);
        assert_eq!(median(&[3.0]), Some(3.0));
        assert_eq!(median(&[9.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(&[9.0, 1.0, 2.0, 4.0]), Some(3.0));
    }

    #[test]
    fn ranks_are_those_of_the_sign_test() {
        // From the usual tables of the sign test at 5 %, two-sided: the number of the lower order statistic, from 1.
        for (length, number) in [(6, 1), (9, 2), (12, 3), (20, 6), (30, 10), (60, 22), (100, 40)] {
            assert_eq!(lower_rank(length) + 1, number, "n = {length}");
        }
        for length in 1..6 {
            assert_eq!(lower_rank(length), 0, "n = {length}");
        }
    }

    #[test]
    fn a_ratio_has_an_interval_that_holds_it_and_narrows_with_more_samples() {
        let spread =
            |count: u32, base: f64| -> Vec<f64> { (0..count).map(|at| base + f64::from(at % 10)).collect() };
        let few = ratio_estimate(&spread(10, 210.0), &spread(10, 100.0)).expect("an estimate");
        let many = ratio_estimate(&spread(200, 210.0), &spread(200, 100.0)).expect("an estimate");
        for estimate in [few, many] {
            assert!(estimate.low <= estimate.value && estimate.value <= estimate.high, "{estimate:?}");
            assert!((estimate.value - 214.5 / 104.5).abs() < 1e-9, "{estimate:?}");
        }
        assert!(many.high - many.low < few.high - few.low);
        assert_eq!(ratio_estimate(&[], &[1.0]), None);
    }
}
