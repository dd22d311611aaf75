//! Control groups, v1 and v2: where they are, what their files say, and what a task's resources are in their units.
//!
//! | module | owns |
//! |---|---|
//! | `hierarchy` | `/proc/<pid>/cgroup` and `/proc/self/mountinfo` |
//! | `process` | the groups of a process |
//! | `statistics` | what a group uses |
//! | `amounts` | resources and limits in the kernel's units |
//!
//! `docker-containerizer` reads the groups that an engine made, `mesos-containerizer` makes its own. No daemon call.

pub mod amounts;
mod hierarchy;
mod process;
mod statistics;

pub use hierarchy::{Membership, Mounted, Mounts, UNIFIED};
pub use process::{CgroupError, Cgroups, belongs_to};
pub use statistics::{Host, add_bounds, add_cpu, add_memory, add_pids, count, keyed, now_in_seconds};

/// Whether a CPU request limits the CPU time of a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CpuQuota {
    /// Only a limit does.
    FromLimit,
    /// The request does where no limit is set (`--cgroups_enable_cfs`).
    FromRequest,
}

/// Which generation of control groups a directory belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Version {
    /// One hierarchy for each controller, or for a few.
    V1,
    /// One hierarchy for all.
    V2,
}
