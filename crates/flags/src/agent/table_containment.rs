//! The flags about how tasks without an image are isolated.

use super::class::AgentFlag;
use crate::definition::FlagKind::{Bool, Count, Duration, Path, Text};

/// Names and defaults are those of Mesos 1.11's `src/slave/flags.cpp`, but for `launcher`, whose default stock finds out
/// too, and `cgroups_pids_limit`, which is ours.
pub(super) const CONTAINMENT: &[AgentFlag] = &[
    AgentFlag::new(
        "isolation",
        Text,
        Some("posix/cpu,posix/mem"),
        "What tasks without an image are isolated by, with commas between: posix/cpu, posix/mem, cgroups/cpu, cgroups/mem, cgroups/pids, filesystem/posix, disk/du, posix/rlimits, volume/sandbox_path. Others are refused with the remedy. See mesos-containerizer.md.",
    ),
    AgentFlag::new(
        "launcher",
        Text,
        None,
        "How tasks without an image are followed, to kill all of their processes: linux (by a control group, which nothing leaves by forking) or posix (as a tree of processes). Unset: linux where the agent may make control groups, else posix.",
    ),
    AgentFlag::new(
        "cgroups_hierarchy",
        Path,
        Some("/sys/fs/cgroup"),
        "Where control groups are mounted, v1, v2 or both, for tasks without an image.",
    ),
    AgentFlag::new(
        "cgroups_root",
        Text,
        Some("mesos"),
        "The control group above those of tasks without an image. Agents may share one.",
    ),
    AgentFlag::new(
        "cgroups_limit_swap",
        Bool,
        Some("false"),
        "With the isolator cgroups/mem: limits memory and swap together; with cgroups v2 such tasks get no swap.",
    ),
    AgentFlag::new(
        "cgroups_cpu_enable_pids_and_tids_count",
        Bool,
        Some("false"),
        "Counts processes and threads of tasks without an image in statistics.",
    ),
    AgentFlag::new(
        "cgroups_destroy_timeout",
        Duration,
        Some("1mins"),
        "How long the processes of a task without an image may take to be gone after SIGKILL, and its control groups after them.",
    ),
    AgentFlag::new(
        "cgroups_pids_limit",
        Count,
        None,
        "Processes and threads that one task without an image may have, where the kernel limits them (launcher linux, or isolator cgroups/pids). Unset: half of what the kernel has for all.",
    ),
    AgentFlag::new(
        "systemd_enable_support",
        Bool,
        Some("true"),
        "With launcher linux: takes tasks without an image, and the processes that supervise them, out of the agent's unit, so that they outlive a stop of it whatever its KillMode.",
    ),
    AgentFlag::new(
        "container_disk_watch_interval",
        Duration,
        Some("15secs"),
        "With the isolator disk/du: the pause between two looks at what a task without an image takes of the disk.",
    ),
    AgentFlag::new(
        "enforce_container_disk_quota",
        Bool,
        Some("false"),
        "With the isolator disk/du: stops a task without an image whose sandbox takes more than the task's disk, or one of its persistent volumes more than it has.",
    ),
];
