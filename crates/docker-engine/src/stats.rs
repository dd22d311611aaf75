//! What a container uses, as the engine measures it: for callers who cannot see the container's control groups.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Deserialize;

use crate::engine::Engine;
use crate::error::{EngineError, Op};
use crate::path;
use crate::serde_null::nullable;
use crate::transport::Call;
use crate::version::ApiVersion;

/// Since when the engine answers with one sample instead of two with a pause between them.
const ONE_SHOT: ApiVersion = ApiVersion::new(1, 41);

/// One sample of what a container uses.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Stats {
    /// CPU time in user mode, in nanoseconds.
    pub cpu_user_ns: u64,
    /// CPU time in the kernel, in nanoseconds.
    pub cpu_system_ns: u64,
    /// Quota periods so far.
    pub periods: u64,
    /// Periods in which the quota was used up.
    pub throttled_periods: u64,
    /// How long the container was held back, in nanoseconds.
    pub throttled_ns: u64,
    /// All memory charged to the container, in bytes; `None` where the engine does not say.
    pub memory_bytes: Option<u64>,
    /// The lines of `memory.stat`, under the names of the host's generation of control groups.
    pub memory: BTreeMap<String, u64>,
    /// Its processes and threads, where the host counts them.
    pub pids: Option<u64>,
}

impl Engine {
    /// Reads what a running container uses (`GET /containers/{id}/stats`). Engines before API 1.41 take a second or two.
    ///
    /// # Errors
    ///
    /// `NotFound`, and as every read. Of a container that has stopped the engine tells zeros.
    pub async fn stats(&self, id: &str, deadline: Duration) -> Result<Stats, EngineError> {
        let one_shot = if self.api() >= ONE_SHOT { "&one-shot=1" } else { "" };
        let call = Call::get(path::container(id, &format!("/stats?stream=0{one_shot}")));
        let wire: Wire = self.call_json(Op::Stats, id, deadline, &call).await?;
        Ok(wire.into())
    }
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Wire {
    #[serde(deserialize_with = "nullable")]
    cpu_stats: Cpu,
    #[serde(deserialize_with = "nullable")]
    memory_stats: Memory,
    #[serde(deserialize_with = "nullable")]
    pids_stats: Pids,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Cpu {
    cpu_usage: CpuUsage,
    throttling_data: Throttling,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct CpuUsage {
    usage_in_usermode: u64,
    usage_in_kernelmode: u64,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Throttling {
    periods: u64,
    throttled_periods: u64,
    throttled_time: u64,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Memory {
    usage: Option<u64>,
    #[serde(deserialize_with = "nullable")]
    stats: BTreeMap<String, u64>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Pids {
    current: Option<u64>,
}

impl From<Wire> for Stats {
    fn from(wire: Wire) -> Self {
        let Wire { cpu_stats: Cpu { cpu_usage, throttling_data }, memory_stats, pids_stats } = wire;
        Self {
            cpu_user_ns: cpu_usage.usage_in_usermode,
            cpu_system_ns: cpu_usage.usage_in_kernelmode,
            periods: throttling_data.periods,
            throttled_periods: throttling_data.throttled_periods,
            throttled_ns: throttling_data.throttled_time,
            memory_bytes: memory_stats.usage,
            memory: memory_stats.stats,
            pids: pids_stats.current,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Stats {
        serde_json::from_str::<Wire>(text).unwrap().into()
    }

    #[test]
    fn an_answer_is_read() {
        let stats = read(
            r#"{"read":"2026-11-21T20:00:00Z","pids_stats":{"current":3},
            "cpu_stats":{"cpu_usage":{"total_usage":9,"percpu_usage":[9],"usage_in_kernelmode":4,"usage_in_usermode":5},
              "online_cpus":2,"throttling_data":{"periods":7,"throttled_periods":6,"throttled_time":8}},
            "memory_stats":{"usage":100,"max_usage":200,"stats":{"total_rss":50,"rss":40},"limit":300}}"#,
        );
        assert_eq!((stats.cpu_user_ns, stats.cpu_system_ns, stats.pids), (5, 4, Some(3)));
        assert_eq!((stats.periods, stats.throttled_periods, stats.throttled_ns), (7, 6, 8));
        assert_eq!((stats.memory_bytes, stats.memory["total_rss"]), (Some(100), 50));
    }

    /// What the engine answers for a container that has stopped.
    #[test]
    fn an_answer_without_values_is_read() {
        let text =
            r#"{"pids_stats":{},"cpu_stats":{"cpu_usage":{"total_usage":0}},"memory_stats":{"stats":null}}"#;
        assert_eq!(read(text), Stats::default());
        assert_eq!(read(r#"{"memory_stats":null}"#), Stats::default());
    }
}
