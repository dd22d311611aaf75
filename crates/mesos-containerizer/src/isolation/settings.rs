//! What the agent's flags say about the isolation of plain containers.

use std::num::NonZeroU64;
use std::path::PathBuf;
use std::time::Duration;

use containerizer::cgroups::CpuQuota;
use mesos_types::{Isolation, Launcher};

pub use crate::cgroups::Swap;

/// What the agent's flags say about the isolation of plain containers.
#[derive(Debug, Clone)]
pub struct ContainmentSettings {
    /// `--isolation`.
    pub isolation: Isolation,
    /// `--launcher`; `None` is linux where it works, else posix.
    pub launcher: Option<Launcher>,
    /// Where hierarchies are mounted (`--cgroups_hierarchy`).
    pub hierarchy: PathBuf,
    /// The group above those of containers, without a slash before it (`--cgroups_root`).
    pub root: PathBuf,
    /// Whether a CPU request is a cap too (`--cgroups_enable_cfs`).
    pub quota: CpuQuota,
    /// Whether memory is limited with swap (`--cgroups_limit_swap`).
    pub swap: Swap,
    /// How many processes and threads a container may have (`--cgroups_pids_limit`); `None` is half of what the kernel
    /// has for all, so that one fork bomb leaves the machine alive and no honest task sees a limit.
    pub pids_limit: Option<NonZeroU64>,
    /// Whether threads are counted in statistics (`--cgroups_cpu_enable_pids_and_tids_count`).
    pub count_threads: bool,
    /// Whether containers leave the agent's unit (`--systemd_enable_support`).
    pub systemd: SystemdGroups,
    /// How long the processes of a container may take to be gone (`--cgroups_destroy_timeout`).
    pub destroy_timeout: Duration,
    /// The agent's canonical work directory, by which it knows its groups from those of another agent.
    pub work_dir: PathBuf,
    /// `disk/du`.
    pub disk: DiskSettings,
}

/// Whether containers leave the agent's unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SystemdGroups {
    /// They do, so that stopping the unit leaves them alone.
    Own,
    /// They stay in it.
    Agents,
}

/// How the use of disks is looked after.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DiskSettings {
    /// The pause between two looks at a container (`--container_disk_watch_interval`).
    pub interval: Duration,
    /// `--enforce_container_disk_quota`.
    pub enforcement: Enforcement,
}

/// What becomes of a container that takes more than it has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Enforcement {
    /// It is destroyed.
    Destroy,
    /// It is reported.
    Report,
}
