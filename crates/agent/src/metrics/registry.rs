//! The one place that is asked for all metrics.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use super::host::HostStats;
use super::sample::Samples;

/// Reads the counters of one part of the agent. Quick: it is run for every request.
pub struct Collector(Box<dyn Fn(&mut Samples) + Send + Sync>);

/// Who is asked when somebody wants the metrics. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Metrics {
    collectors: Arc<Mutex<Vec<Collector>>>,
}

impl Collector {
    /// A collector from a function.
    pub fn new(collect: impl Fn(&mut Samples) + Send + Sync + 'static) -> Self {
        Self(Box::new(collect))
    }
}

impl fmt::Debug for Collector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Collector")
    }
}

impl Metrics {
    /// Adds a part of the agent, once it is there.
    pub fn add(&self, collector: Collector) {
        self.collectors.lock().unwrap_or_else(PoisonError::into_inner).push(collector);
    }

    /// Adds everything but the model's numbers to those.
    pub fn collect(&self, samples: &mut Samples) {
        for collector in self.collectors.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            (collector.0)(samples);
        }
        if let Some(host) = HostStats::read() {
            host.set(samples);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_may_be_added_at_any_time() {
        let metrics = Metrics::default();
        let mut samples = Samples::default();
        metrics.collect(&mut samples);
        assert!(samples.get("system/cpus_total").unwrap() >= 1.0);
        assert_eq!(samples.get("gc/path_removals_pending"), None);
        metrics.add(Collector::new(|samples| samples.count("gc/path_removals_pending", 3)));
        metrics.collect(&mut samples);
        assert_eq!(samples.get("gc/path_removals_pending"), Some(3.0));
    }

    #[test]
    fn what_is_no_number_is_left_out() {
        let mut samples = Samples::default();
        samples.set("a", f64::NAN);
        samples.set("b", f64::INFINITY);
        samples.set("c", 1.0);
        assert_eq!(samples.iter().collect::<Vec<_>>(), [("c", 1.0)]);
    }
}
