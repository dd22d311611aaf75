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
    /// Whether Docker tasks are run at all (`--containerizers`).
    pub docker: Docker,
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

/// Whether `--containerizers` names `docker`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Docker {
    /// Tasks with a Docker image run.
    Enabled,
    /// They are refused.
    Disabled,
}
