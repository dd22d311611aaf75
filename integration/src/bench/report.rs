//! Owns how results are told: a table for people, JSON for programs. The first side is the one the others are compared
//! with.

use std::fmt::Write as _;

use serde_json::{Value, json};

use super::launch::{Burst, Sequence};
use super::stats::{Estimate, median_estimate, milliseconds, ratio_estimate};

/// The budget of a launch after another, as a ratio to the bare API.
pub const SEQUENTIAL_BUDGET: f64 = 1.05;
/// The budget of many launches at once, as a ratio to the bare API at its best concurrency.
pub const AT_ONCE_BUDGET: f64 = 1.10;

/// All results of one run.
#[derive(Debug, Default)]
pub struct Report {
    /// Sequential launches, side by side for each network.
    pub sequences: Vec<Sequence>,
    /// The trials for the best concurrency.
    pub trials: Vec<Burst>,
    /// The repetitions at the best concurrency.
    pub bursts: Vec<Burst>,
}

/// One line of the comparison.
struct Row {
    what: String,
    side: &'static str,
    samples: Vec<f64>,
    /// The first side's samples of the same measurement; `None` for the first side itself.
    base: Option<Vec<f64>>,
    budget: f64,
}

impl Report {
    /// Returns the table.
    pub fn table(&self) -> String {
        let mut text = String::new();
        // Writing into a String cannot fail.
        let _ = writeln!(
            text,
            "{:<34} {:<10} {:>4} {:>24}  ratio to the bare API",
            "what", "side", "n", "median ms (95 %)"
        );
        for row in self.rows() {
            let Some(median) = median_estimate(&row.samples) else { continue };
            let _ = write!(
                text,
                "{:<34} {:<10} {:>4} {:>24}",
                row.what,
                row.side,
                row.samples.len(),
                format!("{:.1} ({:.1}-{:.1})", median.value, median.low, median.high),
            );
            if let Some(ratio) = row.ratio() {
                let verdict = if ratio.value <= row.budget { "within" } else { "OVER" };
                let _ = write!(
                    text,
                    "  {:.3} ({:.3}-{:.3}), {verdict} the budget of {:.2}",
                    ratio.value, ratio.low, ratio.high, row.budget
                );
            }
            text.push('\n');
        }
        if !self.trials.is_empty() {
            text.push_str("\nconcurrency trials, one burst each:\n");
            for trial in &self.trials {
                let total = milliseconds(&trial.took).into_iter().sum::<f64>();
                let _ = writeln!(
                    text,
                    "  {:<10} {:<7} {:>3} at a time: {total:.0} ms",
                    trial.side, trial.network, trial.concurrency
                );
            }
        }
        text
    }

    /// Returns everything as JSON, each sample included.
    pub fn json(&self) -> Value {
        let results: Vec<_> = self
            .rows()
            .map(|row| {
                json!({
                    "what": row.what,
                    "side": row.side,
                    "samples_ms": row.samples,
                    "median_ms": median_estimate(&row.samples).map(Estimate::json),
                    "ratio": row.ratio().map(Estimate::json),
                    "budget": row.base.is_some().then_some(row.budget),
                })
            })
            .collect();
        let trials: Vec<_> = self
            .trials
            .iter()
            .map(|trial| {
                json!({
                    "side": trial.side,
                    "network": trial.network.mode(),
                    "concurrency": trial.concurrency,
                    "took_ms": milliseconds(&trial.took),
                })
            })
            .collect();
        json!({ "results": results, "trials": trials })
    }

    /// Tells whether every ratio is within its budget; true when only one side ran.
    pub fn within_budget(&self) -> bool {
        self.rows().all(|row| row.ratio().is_none_or(|ratio| ratio.value <= row.budget))
    }

    fn rows(&self) -> impl Iterator<Item = Row> {
        let sequences = self.sequences.iter().map(|sequence| {
            let first = self.sequences.iter().find(|other| other.network == sequence.network);
            Row {
                what: format!("launch, {}", sequence.network),
                side: sequence.side,
                samples: milliseconds(&sequence.took),
                base: first
                    .filter(|first| first.side != sequence.side)
                    .map(|first| milliseconds(&first.took)),
                budget: SEQUENTIAL_BUDGET,
            }
        });
        let bursts = self.bursts.iter().map(|burst| {
            let first = self.bursts.iter().find(|other| other.network == burst.network);
            Row {
                what: format!("at once, {}, {} at a time", burst.network, burst.concurrency),
                side: burst.side,
                samples: milliseconds(&burst.took),
                base: first.filter(|first| first.side != burst.side).map(|first| milliseconds(&first.took)),
                budget: AT_ONCE_BUDGET,
            }
        });
        sequences.chain(bursts)
    }
}

impl Row {
    fn ratio(&self) -> Option<Estimate> {
        ratio_estimate(&self.samples, self.base.as_deref()?)
    }
}

impl Estimate {
    fn json(self) -> Value {
        json!({ "value": self.value, "low": self.low, "high": self.high })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::side::Network;
    use super::*;

    fn sequence(side: &'static str, network: Network, milliseconds: u64) -> Sequence {
        Sequence { side, network, took: vec![Duration::from_millis(milliseconds); 60] }
    }

    #[test]
    fn a_side_is_compared_with_the_first_one_on_the_same_network() {
        let sequences = vec![
            sequence("bare API", Network::Host, 100),
            sequence("ours", Network::Host, 104),
            sequence("bare API", Network::Bridge, 200),
            sequence("ours", Network::Bridge, 220),
        ];
        let report = Report { sequences, ..Report::default() };
        let ratios: Vec<_> =
            report.rows().map(|row| row.ratio().map(|ratio| (ratio.value * 100.0).round() / 100.0)).collect();
        assert_eq!(ratios, [None, Some(1.04), None, Some(1.1)]);
        assert!(!report.within_budget());
        let table = report.table();
        assert!(
            table.contains("1.040 (1.040-1.040), within") && table.contains("1.100 (1.100-1.100), OVER"),
            "{table}"
        );
        assert_eq!(report.json()["results"].as_array().map(Vec::len), Some(4));
    }

    #[test]
    fn one_side_alone_is_no_verdict() {
        let report =
            Report { sequences: vec![sequence("bare API", Network::Host, 100)], ..Report::default() };
        assert!(report.within_budget());
        assert!(!report.table().contains("budget"), "{}", report.table());
    }
}
