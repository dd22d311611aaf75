//! The control groups of a process.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::hierarchy::{Membership, Mounts, UNIFIED};
use super::statistics::{add_bounds, add_cpu, add_memory, add_pids, keyed, now_in_seconds};
use super::{CpuQuota, Host, Version};
use crate::usage::Usage;
use mesos_types::{TaskLimits, TaskResources};

/// The control groups of one container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cgroups {
    /// One directory for each controller.
    V1 {
        /// Of `cpu`.
        cpu: PathBuf,
        /// Of `cpuacct`.
        cpuacct: PathBuf,
        /// Of `memory`.
        memory: PathBuf,
    },
    /// One directory for all.
    V2 {
        /// That one.
        unified: PathBuf,
    },
}

/// Why the control groups of a process are not known.
#[derive(Debug, thiserror::Error)]
pub enum CgroupError {
    /// A file cannot be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file does not say what is needed.
    #[error("{} has no {what}", path.display())]
    Missing {
        /// The file.
        path: PathBuf,
        /// What is not in it.
        what: &'static str,
    },
    /// The process is in the root group, as a process that is about to go is.
    #[error("process {pid} is in the root control group")]
    Root {
        /// The process.
        pid: u32,
    },
}

impl Cgroups {
    /// Finds the groups of the process `pid`.
    ///
    /// # Errors
    ///
    /// A process that is gone or in the root group, or a hierarchy that is not mounted.
    pub fn of(pid: u32) -> Result<Self, CgroupError> {
        let path = PathBuf::from(format!("/proc/{pid}/cgroup"));
        let groups = Membership::parse(&read(&path)?);
        let mounts = Mounts::parse(&read(Path::new("/proc/self/mountinfo"))?);
        let find = |controller: &'static str| -> Result<PathBuf, CgroupError> {
            let missing = || CgroupError::Missing { path: path.clone(), what: controller };
            let group = groups.get(controller).ok_or_else(missing)?;
            if group == "/" {
                return Err(CgroupError::Root { pid });
            }
            let mount = mounts.get(controller).ok_or_else(missing)?;
            Ok(mount.place(group))
        };
        if groups.get("memory").is_some() && groups.get("cpuacct").is_some() {
            return Ok(Self::V1 { cpu: find("cpu")?, cpuacct: find("cpuacct")?, memory: find("memory")? });
        }
        Ok(Self::V2 { unified: find(UNIFIED)? })
    }

    /// How often the kernel killed a process of the group for memory; `None` where the kernel does not count.
    pub fn oom_kills(&self) -> Option<u64> {
        let path = match self {
            Self::V1 { memory, .. } => memory.join("memory.oom_control"),
            Self::V2 { unified } => unified.join("memory.events"),
        };
        keyed(&fs::read_to_string(path).ok()?).get("oom_kill").copied()
    }

    /// Reads what the groups say, and adds what was asked for.
    ///
    /// # Errors
    ///
    /// A group that is gone, as it is once the container has stopped, or a file without the value needed.
    pub fn usage(
        &self,
        requests: &TaskResources,
        limits: &TaskLimits,
        quota: CpuQuota,
        host: Host,
    ) -> Result<Usage, CgroupError> {
        let mut usage = Usage { timestamp: now_in_seconds(), ..Usage::default() };
        match self {
            Self::V1 { cpu, cpuacct, memory } => {
                add_cpu(&mut usage, Version::V1, cpuacct, cpu)?;
                add_memory(&mut usage, Version::V1, memory)?;
            }
            Self::V2 { unified } => {
                add_cpu(&mut usage, Version::V2, unified, unified)?;
                add_memory(&mut usage, Version::V2, unified)?;
                add_pids(&mut usage, unified);
            }
        }
        add_bounds(&mut usage, requests, limits, quota, host);
        Ok(usage)
    }
}

/// Whether the process `pid` is in a control group that is named after the container `id`.
pub fn belongs_to(pid: u32, id: &str) -> bool {
    read(Path::new(&format!("/proc/{pid}/cgroup")))
        .is_ok_and(|text| Membership::parse(&text).iter().any(|(_, group)| group.contains(id)))
}

/// Reads a small file as text.
pub(super) fn read(path: &Path) -> Result<String, CgroupError> {
    fs::read_to_string(path).map_err(|source| CgroupError::Read { path: path.to_owned(), source })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_own_groups_are_found() {
        let pid = std::process::id();
        match Cgroups::of(pid) {
            Ok(_) | Err(CgroupError::Root { .. }) => {}
            Err(error) => assert!(matches!(error, CgroupError::Missing { .. }), "{error}"),
        }
        assert!(!belongs_to(pid, "no such container"));
    }
}
