//! What a container uses, read from its control groups (`DockerContainerizerProcess::usage`), v1 and v2.

use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

use mesos_types::{Limit, Megabytes, Millicpus, TaskLimits, TaskResources};

use crate::cgroup::{CgroupError, Cgroups, keyed, read};
use crate::request::CpuQuota;

/// Units of `cpuacct.stat`: the kernel's USER_HZ, which is 100 on every architecture that Docker runs on.
const TICKS_PER_SECOND: f64 = 100.0;

/// What a container uses (`ResourceStatistics`); an absent value could not be read or does not apply.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Usage {
    /// When it was read, in seconds since 1970.
    pub timestamp: f64,
    /// CPU time in user mode, in seconds.
    pub cpus_user_time_secs: f64,
    /// CPU time in the kernel, in seconds.
    pub cpus_system_time_secs: f64,
    /// The CPU limit, in CPUs.
    pub cpus_limit: Option<f64>,
    /// The CPU request, in CPUs.
    pub cpus_soft_limit: Option<f64>,
    /// Quota periods so far.
    pub cpus_nr_periods: Option<u32>,
    /// Periods in which the quota was used up.
    pub cpus_nr_throttled: Option<u32>,
    /// How long the container was held back, in seconds.
    pub cpus_throttled_time_secs: Option<f64>,
    /// Anonymous memory, in bytes.
    pub mem_rss_bytes: u64,
    /// All memory charged to the container, in bytes.
    pub mem_total_bytes: Option<u64>,
    /// The memory limit, in bytes.
    pub mem_limit_bytes: Option<u64>,
    /// The memory request, in bytes, where a limit is set.
    pub mem_soft_limit_bytes: Option<u64>,
    /// Processes and threads.
    pub processes: Option<u32>,
}

/// The host's own amounts, for limits that are infinite.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Host {
    pub(crate) cpus: f64,
    pub(crate) memory: u64,
}

/// Reads what the groups say, and adds what was asked for.
///
/// # Errors
///
/// A group that is gone, as it is once the container has stopped, or a file without the value needed.
pub(crate) fn read_usage(
    cgroups: &Cgroups,
    requests: &TaskResources,
    limits: &TaskLimits,
    quota: CpuQuota,
    host: Host,
) -> Result<Usage, CgroupError> {
    let mut usage = match cgroups {
        Cgroups::V1 { cpu, cpuacct, memory } => {
            let mut usage = parse_v1(
                &Text::of(cpuacct.join("cpuacct.stat"))?,
                &Text::of(cpu.join("cpu.stat"))?,
                &Text::of(memory.join("memory.stat"))?,
            )?;
            usage.mem_total_bytes = number(&memory.join("memory.usage_in_bytes"));
            usage
        }
        Cgroups::V2 { unified } => {
            let mut usage =
                parse_v2(&Text::of(unified.join("cpu.stat"))?, &Text::of(unified.join("memory.stat"))?)?;
            usage.mem_total_bytes = number(&unified.join("memory.current"));
            usage.processes = number(&unified.join("pids.current")).and_then(|n| u32::try_from(n).ok());
            usage
        }
    };
    usage.timestamp = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64());
    bounds(&mut usage, requests, limits, quota, host);
    Ok(usage)
}

/// A file's text with its path, for messages.
struct Text {
    path: PathBuf,
    text: String,
}

impl Text {
    fn of(path: PathBuf) -> Result<Self, CgroupError> {
        let text = read(&path)?;
        Ok(Self { path, text })
    }

    fn get(&self, key: &'static str) -> Result<u64, CgroupError> {
        let value = keyed(&self.text).get(key).copied();
        value.ok_or_else(|| CgroupError::Missing { path: self.path.clone(), what: key })
    }

    fn find(&self, key: &str) -> Option<u64> {
        keyed(&self.text).get(key).copied()
    }
}

fn parse_v1(cpuacct: &Text, cpu: &Text, memory: &Text) -> Result<Usage, CgroupError> {
    Ok(Usage {
        cpus_user_time_secs: real(cpuacct.get("user")?) / TICKS_PER_SECOND,
        cpus_system_time_secs: real(cpuacct.get("system")?) / TICKS_PER_SECOND,
        cpus_nr_periods: cpu.find("nr_periods").map(small),
        cpus_nr_throttled: cpu.find("nr_throttled").map(small),
        cpus_throttled_time_secs: cpu.find("throttled_time").map(|ns| real(ns) / 1e9),
        mem_rss_bytes: memory.get("rss")?,
        ..Usage::default()
    })
}

fn parse_v2(cpu: &Text, memory: &Text) -> Result<Usage, CgroupError> {
    Ok(Usage {
        cpus_user_time_secs: real(cpu.get("user_usec")?) / 1e6,
        cpus_system_time_secs: real(cpu.get("system_usec")?) / 1e6,
        cpus_nr_periods: cpu.find("nr_periods").map(small),
        cpus_nr_throttled: cpu.find("nr_throttled").map(small),
        cpus_throttled_time_secs: cpu.find("throttled_usec").map(|us| real(us) / 1e6),
        mem_rss_bytes: memory.get("anon")?,
        ..Usage::default()
    })
}

/// Adds requests and limits as stock reports them.
fn bounds(usage: &mut Usage, requests: &TaskResources, limits: &TaskLimits, quota: CpuQuota, host: Host) {
    usage.cpus_soft_limit = requests.cpus.map(Millicpus::as_cpus);
    usage.cpus_limit = match limits.cpus {
        Some(Limit::Finite(limit)) => Some(limit.as_cpus()),
        Some(Limit::Infinite) => Some(host.cpus),
        None if quota == CpuQuota::FromRequest => requests.cpus.map(Millicpus::as_cpus),
        None => None,
    };
    usage.mem_limit_bytes = match limits.mem {
        Some(Limit::Finite(limit)) => Some(limit.bytes()),
        Some(Limit::Infinite) => Some(host.memory),
        None => requests.mem.map(Megabytes::bytes),
    };
    if limits.mem.is_some() {
        usage.mem_soft_limit_bytes = requests.mem.map(Megabytes::bytes);
    }
}

fn number(path: &std::path::Path) -> Option<u64> {
    read(path).ok()?.trim().parse().ok()
}

#[expect(clippy::cast_precision_loss, reason = "seconds and bytes are reported as doubles on the wire")]
fn real(value: u64) -> f64 {
    value as f64
}

fn small(value: u64) -> u32 {
    u32::try_from(value).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str) -> Text {
        Text { path: "recorded".into(), text: text.into() }
    }

    #[test]
    fn v1_files_are_read() {
        let usage = parse_v1(
            &text("user 150\nsystem 25\n"),
            &text("nr_periods 10\nnr_throttled 2\nthrottled_time 1500000000\n"),
            &text("cache 1\nrss 4096\nmapped_file 0\n"),
        )
        .unwrap();
        assert_eq!((usage.cpus_user_time_secs, usage.cpus_system_time_secs), (1.5, 0.25));
        assert_eq!((usage.cpus_nr_periods, usage.cpus_throttled_time_secs), (Some(10), Some(1.5)));
        assert_eq!(usage.mem_rss_bytes, 4096);
    }

    /// As a Linux 6.1 host with the unified hierarchy prints them.
    #[test]
    fn v2_files_are_read() {
        let cpu = "usage_usec 1750000\nuser_usec 1500000\nsystem_usec 250000\nnr_periods 10\nnr_throttled 2\nthrottled_usec 1500000\n";
        let usage = parse_v2(&text(cpu), &text("anon 4096\nfile 100\n")).unwrap();
        assert_eq!((usage.cpus_user_time_secs, usage.cpus_system_time_secs), (1.5, 0.25));
        assert_eq!((usage.cpus_nr_throttled, usage.cpus_throttled_time_secs), (Some(2), Some(1.5)));
        assert_eq!(usage.mem_rss_bytes, 4096);
    }

    #[test]
    fn a_file_without_the_value_names_both() {
        let error = parse_v2(&text(""), &text("")).unwrap_err().to_string();
        assert_eq!(error, "recorded has no user_usec");
    }

    #[test]
    fn limits_are_reported_as_stock_reports_them() {
        let requests = TaskResources {
            cpus: Some(Millicpus(1000)),
            mem: Some(Megabytes(1024)),
            ..TaskResources::default()
        };
        let limits = TaskLimits { cpus: Some(Limit::Finite(Millicpus(2000))), mem: Some(Limit::Infinite) };
        let mut usage = Usage::default();
        bounds(&mut usage, &requests, &limits, CpuQuota::FromLimit, Host { cpus: 8.0, memory: 1 << 34 });
        assert_eq!((usage.cpus_soft_limit, usage.cpus_limit), (Some(1.0), Some(2.0)));
        assert_eq!((usage.mem_soft_limit_bytes, usage.mem_limit_bytes), (Some(1 << 30), Some(1 << 34)));
    }
}
