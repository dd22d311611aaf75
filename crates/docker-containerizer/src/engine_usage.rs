//! What a container uses, as the engine says: for an agent that cannot see the containers' control groups.

use std::collections::BTreeMap;

use containerizer::Usage;
use containerizer::cgroups::now_in_seconds;
use docker_engine::Stats;
use mesos_types::ContainerId;

use crate::containerizer::{Containerizer, ContainerizerError};

const NS: f64 = 1e9;

impl Containerizer {
    /// What a container uses, with one call of the engine. [`Containerizer::usage`] needs none, where control groups are
    /// visible.
    ///
    /// # Errors
    ///
    /// An unknown id, a container that does not run, or what the engine says.
    ///
    /// # Cancel safety
    ///
    /// May be dropped.
    pub async fn usage_from_engine(&self, id: ContainerId) -> Result<Usage, ContainerizerError> {
        let engine_id = self.engine_id(id)?;
        let engine = self.engine();
        let stats = engine.stats(&engine_id, engine.deadlines().inspect).await.map_err(|source| {
            ContainerizerError::Engine { what: "read the usage of", container_id: id, source }
        })?;
        if has_stopped(&stats) {
            return Err(ContainerizerError::NotRunning(id));
        }
        let mut usage = usage_of(&stats);
        self.add_bounds(id, &mut usage);
        Ok(usage)
    }
}

/// Of a container that has stopped the engine tells zeros: a reader would see its CPU time go back.
fn has_stopped(stats: &Stats) -> bool {
    stats.memory_bytes.is_none() && stats.pids.is_none() && stats.cpu_user_ns == 0 && stats.cpu_system_ns == 0
}

/// What a sample says, in our terms. The names of the memory's parts tell the generation of control groups.
#[expect(
    clippy::cast_precision_loss,
    reason = "times of containers are far below 2^53 ns of precision needed"
)]
fn usage_of(stats: &Stats) -> Usage {
    let small = |count: u64| u32::try_from(count).unwrap_or(u32::MAX);
    let part = |names: [&str; 3]| first_of(&stats.memory, names);
    Usage {
        timestamp: now_in_seconds(),
        cpus_user_time_secs: stats.cpu_user_ns as f64 / NS,
        cpus_system_time_secs: stats.cpu_system_ns as f64 / NS,
        cpus_nr_periods: Some(small(stats.periods)),
        cpus_nr_throttled: Some(small(stats.throttled_periods)),
        cpus_throttled_time_secs: Some(stats.throttled_ns as f64 / NS),
        mem_rss_bytes: part(["total_rss", "rss", "anon"]).unwrap_or_default(),
        mem_total_bytes: stats.memory_bytes,
        mem_file_bytes: part(["total_cache", "cache", "file"]),
        mem_mapped_file_bytes: part(["total_mapped_file", "mapped_file", "file_mapped"]),
        mem_swap_bytes: part(["total_swap", "swap", "swap"]),
        ..Usage::default()
    }
}

fn first_of(values: &BTreeMap<String, u64>, names: [&str; 3]) -> Option<u64> {
    names.iter().find_map(|name| values.get(*name)).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(memory: &[(&str, u64)]) -> Usage {
        let mut stats = Stats::default();
        stats.cpu_user_ns = 1_500_000_000;
        stats.memory_bytes = Some(900);
        stats.memory = memory.iter().map(|(name, bytes)| ((*name).to_owned(), *bytes)).collect();
        usage_of(&stats)
    }

    #[test]
    fn zeros_are_not_told() {
        let mut stats = Stats::default();
        assert!(has_stopped(&stats));
        stats.pids = Some(1);
        assert!(!has_stopped(&stats));
        stats = Stats::default();
        stats.cpu_system_ns = 1;
        assert!(!has_stopped(&stats));
    }

    #[test]
    fn both_generations_of_control_groups_are_read() {
        let v1 = sample(&[("rss", 1), ("total_rss", 5), ("total_cache", 6), ("total_mapped_file", 7)]);
        assert_eq!((v1.mem_rss_bytes, v1.mem_file_bytes, v1.mem_mapped_file_bytes), (5, Some(6), Some(7)));
        let v2 = sample(&[("anon", 5), ("file", 6), ("file_mapped", 7)]);
        assert_eq!((v2.mem_rss_bytes, v2.mem_file_bytes, v2.mem_mapped_file_bytes), (5, Some(6), Some(7)));
        assert!((v2.cpus_user_time_secs - 1.5).abs() < 1e-9);
        assert_eq!((v2.mem_total_bytes, v2.mem_swap_bytes), (Some(900), None));
    }
}
