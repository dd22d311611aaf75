//! What the flags say to the core.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::path::PathBuf;
use std::time::Duration;

/// The core's settings.
#[derive(Debug, Clone)]
pub struct CoreSettings {
    /// How long the first registration waits at most (`--registration_backoff_factor`).
    pub registration_backoff: Duration,
    /// Whether the agent shows credentials before it registers.
    pub authentication: Authentication,
    /// How long an executor may take to come up (`--executor_registration_timeout`).
    pub executor_registration_timeout: Duration,
    /// How long tasks that cannot outlive the process get when it ends (`--executor_shutdown_grace_period`).
    pub executor_shutdown_grace: Duration,
    /// How many completed executors of a framework are remembered (`--max_completed_executors_per_framework`).
    pub max_completed_executors: usize,
    /// Where the command of a generated executor lives (`--launcher_dir`).
    pub launcher_dir: PathBuf,
    /// Whether sandboxes belong to the tasks' users (`--switch_user`).
    pub switch_user: SwitchUser,
    /// The address that a status tells of a container without its own.
    pub ip: Ipv4Addr,
    /// A second one, told beside it (`--ip6`).
    pub ip6: Option<Ipv6Addr>,
    /// Whether tasks without an image outlive the agent.
    pub plain: Plain,
    /// Which limits tasks without an image may have (`--isolation`).
    pub plain_limits: PlainLimits,
    /// The container of those who have none of their own (`--default_container_info`).
    pub default_container: Option<mesos_proto::v1::ContainerInfo>,
    /// How long executors have to come back after a restart of the agent (`--executor_reregistration_timeout`).
    pub executor_reregistration_timeout: Duration,
    /// How often those who speak libprocess are asked to (`--executor_reregistration_retry_interval`); once, if unset.
    pub executor_reregistration_retry: Option<Duration>,
}

/// Whether the agent shows credentials.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Authentication {
    /// It registers at once.
    No,
    /// It authenticates first.
    Required,
}

/// Whether sandboxes belong to the tasks' users.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SwitchUser {
    /// To the task's user, or its framework's.
    Yes,
    /// To whoever runs the agent.
    No,
}

/// Whether tasks and executors without an image outlive the agent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Plain {
    /// They do.
    OutlivesAgent,
    /// They are refused as the agent runs in a container (`--docker_mesos_image`), with which they would end.
    EndsWithAgent,
}

/// Which limits `--isolation` can hold a task without an image to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PlainLimits {
    /// Whether `cgroups/cpu` is there.
    pub cpus: bool,
    /// Whether `cgroups/mem` is there.
    pub mem: bool,
}
