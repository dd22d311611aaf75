//! Load and memory of the host (`System` of libprocess' `system.hpp`).

use std::num::NonZeroUsize;

use nix::sys::sysinfo::sysinfo;
use serde_json::{Value, json};

use super::sample::Samples;

/// What the kernel says of the host.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct HostStats {
    /// CPUs that are online.
    pub cpus: usize,
    /// The load over 1, 5 and 15 minutes.
    pub load: (f64, f64, f64),
    /// Memory, in bytes.
    pub mem_total: u64,
    /// Memory that is free, in bytes; caches are not.
    pub mem_free: u64,
}

impl HostStats {
    /// Asks the kernel. `None` when it does not tell.
    pub fn read() -> Option<Self> {
        let info = sysinfo().ok()?;
        Some(Self {
            cpus: std::thread::available_parallelism().map_or(1, NonZeroUsize::get),
            load: info.load_average(),
            mem_total: info.ram_total(),
            mem_free: info.ram_unused(),
        })
    }

    /// As `/system/stats.json` has it.
    pub fn json(&self) -> Value {
        json!({
            "avg_load_15min": self.load.2,
            "avg_load_1min": self.load.0,
            "avg_load_5min": self.load.1,
            "cpus_total": self.cpus,
            "mem_free_bytes": self.mem_free,
            "mem_total_bytes": self.mem_total,
        })
    }

    /// As the metrics have it.
    pub(super) fn set(&self, samples: &mut Samples) {
        samples.count("system/cpus_total", self.cpus as u64);
        samples.set("system/load_1min", self.load.0);
        samples.set("system/load_5min", self.load.1);
        samples.set("system/load_15min", self.load.2);
        samples.count("system/mem_total_bytes", self.mem_total);
        samples.count("system/mem_free_bytes", self.mem_free);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The members and types of a stock 1.11.0 agent.
    #[test]
    fn the_json_has_stocks_members() {
        let stock: Value = serde_json::from_str(include_str!("../../tests/data/http/system.json")).unwrap();
        let ours = HostStats::read().unwrap().json();
        let kinds = |value: &Value| {
            let mut kinds: Vec<_> = value
                .as_object()
                .unwrap()
                .iter()
                .map(|(name, value)| (name.clone(), value.is_f64()))
                .collect();
            kinds.sort();
            kinds
        };
        assert_eq!(kinds(&ours), kinds(&stock));
        assert!(ours["mem_free_bytes"].as_u64() < ours["mem_total_bytes"].as_u64());
    }
}
