//! What a group uses, from its files.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use mesos_types::{Limit, Megabytes, Millicpus, TaskLimits, TaskResources};

use super::process::{CgroupError, read};
use super::{CpuQuota, Version};
use crate::usage::Usage;

/// Units of `cpuacct.stat`: the kernel's USER_HZ, which is 100 on every architecture that Docker runs on.
const TICKS_PER_SECOND: f64 = 100.0;

/// The host's own amounts, for limits that are infinite.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Host {
    /// Its CPUs.
    pub cpus: f64,
    /// Its memory, in bytes.
    pub memory: u64,
}

/// Now, in seconds since 1970.
pub fn now_in_seconds() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64())
}

/// Adds the CPU time of a group, and how it was held back; `accounting` and `cpu` differ with v1 only.
///
/// # Errors
///
/// A group that is gone, or a file without the value needed.
pub fn add_cpu(
    usage: &mut Usage,
    version: Version,
    accounting: &Path,
    cpu: &Path,
) -> Result<(), CgroupError> {
    let stat = match version {
        Version::V1 => {
            let accounting = Text::of(accounting.join("cpuacct.stat"))?;
            usage.cpus_user_time_secs = real(accounting.get("user")?) / TICKS_PER_SECOND;
            usage.cpus_system_time_secs = real(accounting.get("system")?) / TICKS_PER_SECOND;
            Text::of(cpu.join("cpu.stat"))?
        }
        Version::V2 => {
            let stat = Text::of(cpu.join("cpu.stat"))?;
            usage.cpus_user_time_secs = real(stat.get("user_usec")?) / 1e6;
            usage.cpus_system_time_secs = real(stat.get("system_usec")?) / 1e6;
            stat
        }
    };
    usage.cpus_nr_periods = stat.find("nr_periods").map(small);
    usage.cpus_nr_throttled = stat.find("nr_throttled").map(small);
    usage.cpus_throttled_time_secs = match version {
        Version::V1 => stat.find("throttled_time").map(|ns| real(ns) / 1e9),
        Version::V2 => stat.find("throttled_usec").map(|us| real(us) / 1e6),
    };
    Ok(())
}

/// Adds the memory that is charged to a group.
///
/// # Errors
///
/// A group that is gone, or a file without the value needed.
pub fn add_memory(usage: &mut Usage, version: Version, memory: &Path) -> Result<(), CgroupError> {
    let stat = Text::of(memory.join("memory.stat"))?;
    match version {
        Version::V1 => {
            // The plain names leave out the groups that a task made below its own.
            let hierarchical = |total, own| stat.find(total).or_else(|| stat.find(own));
            usage.mem_rss_bytes = match stat.find("total_rss") {
                Some(rss) => rss,
                None => stat.get("rss")?,
            };
            usage.mem_file_bytes = hierarchical("total_cache", "cache");
            usage.mem_mapped_file_bytes = hierarchical("total_mapped_file", "mapped_file");
            usage.mem_swap_bytes = hierarchical("total_swap", "swap");
            usage.mem_total_bytes = count(&memory.join("memory.usage_in_bytes"));
        }
        Version::V2 => {
            usage.mem_rss_bytes = stat.get("anon")?;
            usage.mem_file_bytes = stat.find("file");
            usage.mem_mapped_file_bytes = stat.find("file_mapped");
            usage.mem_swap_bytes = count(&memory.join("memory.swap.current"));
            usage.mem_total_bytes = count(&memory.join("memory.current"));
        }
    }
    Ok(())
}

/// Adds the number of processes and threads of a group, where the kernel counts them.
pub fn add_pids(usage: &mut Usage, pids: &Path) {
    usage.processes = count(&pids.join("pids.current")).map(small);
}

/// Adds requests and limits as stock reports them.
pub fn add_bounds(
    usage: &mut Usage,
    requests: &TaskResources,
    limits: &TaskLimits,
    quota: CpuQuota,
    host: Host,
) {
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

/// Reads a file of lines `key value`.
pub fn keyed(text: &str) -> BTreeMap<&str, u64> {
    let pair = |line: &'_ str| line.split_once(' ').and_then(|(_, value)| value.trim().parse().ok());
    text.lines().filter_map(|line| Some((line.split_once(' ')?.0, pair(line)?))).collect()
}

/// Reads a file that holds one number; `None` if it is not there or says something else, such as `max`.
pub fn count(path: &Path) -> Option<u64> {
    read(path).ok()?.trim().parse().ok()
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
        self.find(key).ok_or_else(|| CgroupError::Missing { path: self.path.clone(), what: key })
    }

    fn find(&self, key: &str) -> Option<u64> {
        let value = |line: &str| line.strip_prefix(key)?.strip_prefix(' ')?.trim().parse().ok();
        self.text.lines().find_map(value)
    }
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

    fn group(files: &[(&str, &str)]) -> tempfile::TempDir {
        let group = tempfile::tempdir().unwrap();
        for (name, text) in files {
            std::fs::write(group.path().join(name), text).unwrap();
        }
        group
    }

    #[test]
    fn v1_files_are_read() {
        let group = group(&[
            ("cpuacct.stat", "user 150\nsystem 25\n"),
            ("cpu.stat", "nr_periods 10\nnr_throttled 2\nthrottled_time 1500000000\n"),
            ("memory.stat", "cache 1\nrss 4096\nmapped_file 0\n"),
            ("memory.usage_in_bytes", "8192\n"),
            ("pids.current", "3\n"),
        ]);
        let mut usage = Usage::default();
        add_cpu(&mut usage, Version::V1, group.path(), group.path()).unwrap();
        add_memory(&mut usage, Version::V1, group.path()).unwrap();
        add_pids(&mut usage, group.path());
        assert_eq!((usage.cpus_user_time_secs, usage.cpus_system_time_secs), (1.5, 0.25));
        assert_eq!((usage.cpus_nr_periods, usage.cpus_throttled_time_secs), (Some(10), Some(1.5)));
        assert_eq!((usage.mem_rss_bytes, usage.mem_file_bytes), (4096, Some(1)));
        assert_eq!((usage.mem_total_bytes, usage.processes), (Some(8192), Some(3)));
    }

    #[test]
    fn groups_that_a_task_made_below_its_own_count_too() {
        let group = group(&[("memory.stat", "cache 1\nrss 4096\ntotal_cache 5\ntotal_rss 8192\n")]);
        let mut usage = Usage::default();
        add_memory(&mut usage, Version::V1, group.path()).unwrap();
        assert_eq!((usage.mem_rss_bytes, usage.mem_file_bytes), (8192, Some(5)));
    }

    /// As a Linux 6.1 host with the unified hierarchy prints them.
    #[test]
    fn v2_files_are_read() {
        let group = group(&[
            (
                "cpu.stat",
                "usage_usec 1750000\nuser_usec 1500000\nsystem_usec 250000\nnr_periods 10\nnr_throttled 2\nthrottled_usec 1500000\n",
            ),
            ("memory.stat", "anon 4096\nfile 100\nfile_mapped 50\n"),
            ("memory.current", "5000\n"),
            ("memory.swap.current", "7\n"),
            ("pids.current", "4\n"),
        ]);
        let mut usage = Usage::default();
        add_cpu(&mut usage, Version::V2, group.path(), group.path()).unwrap();
        add_memory(&mut usage, Version::V2, group.path()).unwrap();
        add_pids(&mut usage, group.path());
        assert_eq!((usage.cpus_user_time_secs, usage.cpus_system_time_secs), (1.5, 0.25));
        assert_eq!((usage.cpus_nr_throttled, usage.cpus_throttled_time_secs), (Some(2), Some(1.5)));
        assert_eq!((usage.mem_rss_bytes, usage.mem_file_bytes), (4096, Some(100)));
        assert_eq!((usage.mem_total_bytes, usage.mem_swap_bytes), (Some(5000), Some(7)));
        assert_eq!(usage.processes, Some(4));
    }

    #[test]
    fn a_file_without_the_value_names_both() {
        let group = group(&[("cpu.stat", "")]);
        let mut usage = Usage::default();
        let error = add_cpu(&mut usage, Version::V2, group.path(), group.path()).unwrap_err().to_string();
        assert!(error.ends_with("/cpu.stat has no user_usec"), "{error}");
    }

    #[test]
    fn counters_are_read_by_key() {
        let text = "low 0\nhigh 3\nmax 12\noom 1\noom_kill 2\nodd\nworse x\n";
        assert_eq!(keyed(text)["oom_kill"], 2);
        assert_eq!(keyed(text).len(), 5);
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
        add_bounds(&mut usage, &requests, &limits, CpuQuota::FromLimit, Host { cpus: 8.0, memory: 1 << 34 });
        assert_eq!((usage.cpus_soft_limit, usage.cpus_limit), (Some(1.0), Some(2.0)));
        assert_eq!((usage.mem_soft_limit_bytes, usage.mem_limit_bytes), (Some(1 << 30), Some(1 << 34)));
    }
}
