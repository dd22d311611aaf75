//! Why plain containers cannot be isolated as the flags say.

use std::path::PathBuf;
use std::time::Duration;

use mesos_types::ContainerId;

use crate::cgroups::{CgroupsError, KillError};

/// Why plain containers cannot be isolated as the flags say.
#[derive(Debug, thiserror::Error)]
pub enum ContainmentError {
    /// The mounts cannot be listed.
    #[error("cannot find the control groups of this machine")]
    Detect(#[source] CgroupsError),
    /// A controller is in no hierarchy.
    #[error(
        "{flag} needs the control group controller {controller}, which is not mounted below {}; mount it, name its place \
         with --cgroups_hierarchy, or {without}",
        hierarchy.display()
    )]
    NotMounted {
        /// The flag that asks for it.
        flag: &'static str,
        /// The controller.
        controller: &'static str,
        /// Where it was looked for.
        hierarchy: PathBuf,
        /// How to do without.
        without: &'static str,
    },
    /// The groups may not be changed.
    #[error(
        "{flag} needs control groups that the agent may change: run it as root, in a container with /sys/fs/cgroup mounted \
         writable and --cgroupns=host, or {without}"
    )]
    Forbidden {
        /// The flag that asks for it.
        flag: &'static str,
        /// How to do without.
        without: &'static str,
        /// What was refused.
        source: CgroupsError,
    },
    /// The groups of a container cannot be made or written.
    #[error("cannot put container {id} under control groups")]
    Contain {
        /// The container.
        id: ContainerId,
        /// Why.
        source: CgroupsError,
    },
    /// The limits of a container cannot be changed.
    #[error("cannot change the limits of container {id}")]
    Update {
        /// The container.
        id: ContainerId,
        /// Why.
        source: CgroupsError,
    },
    /// What a container uses cannot be read.
    #[error("cannot read what container {id} uses")]
    Usage {
        /// The container.
        id: ContainerId,
        /// Why.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// Processes of a container are left.
    #[error("cannot kill all processes of container {id}")]
    Kill {
        /// The container.
        id: ContainerId,
        /// Why.
        source: KillError,
    },
    /// The groups of a container are left.
    #[error("cannot remove the control groups of container {id} within {after:?}")]
    Remove {
        /// The container.
        id: ContainerId,
        /// How long it was tried.
        after: Duration,
        /// Why.
        source: CgroupsError,
    },
}
