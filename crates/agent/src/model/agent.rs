//! The agent itself.

use std::collections::BTreeMap;
use std::path::PathBuf;

use mesos_proto::v1;
use mesos_types::{AgentId, FrameworkId};

use super::counters::Counters;
use super::framework::Framework;
use super::ring::Ring;

/// How many completed frameworks are remembered (`MAX_COMPLETED_FRAMEWORKS`).
const COMPLETED_FRAMEWORKS: usize = 50;

/// Everything that the agent knows.
#[derive(Debug, Clone)]
pub struct Agent {
    /// How far it is.
    pub phase: Phase,
    /// What the master knows of it; `id` is unset before the first registration. The resources are those of the flags,
    /// in the form with reservations.
    pub info: v1::AgentInfo,
    /// Its id, once the master gave it one.
    pub id: Option<AgentId>,
    /// Its libprocess address, `slave(1)@ip:port`.
    pub pid: String,
    /// When the process started, in seconds since 1970.
    pub start_time: f64,
    /// The work directory, canonical.
    pub work_dir: PathBuf,
    /// The leading master, if there is one.
    pub master: Option<Master>,
    /// What is announced to the master.
    pub capabilities: Vec<v1::agent_info::capability::Type>,
    /// What it has: the resources of the flags with the checkpointed ones applied.
    pub total_resources: Vec<v1::Resource>,
    /// The dynamically reserved ones and the persistent volumes among them.
    pub checkpointed_resources: Vec<v1::Resource>,
    /// The version of its resources: new with every process.
    pub resource_version: uuid::Uuid,
    /// Whether it is drained.
    pub draining: Option<Draining>,
    /// The frameworks that have tasks here.
    pub frameworks: BTreeMap<FrameworkId, Framework>,
    /// Those that are gone.
    pub completed_frameworks: Ring<Framework>,
    /// What was counted.
    pub counters: Counters,
    /// How long the recovery took, in seconds, once it is done.
    pub recovery_time_secs: Option<f64>,
    /// How far the recovery is.
    pub recovery: Recovery,
}

/// How far the recovery of an earlier process' executors is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Recovery {
    /// What it left is being read; nothing is known of executors, and none may speak yet.
    Reading,
    /// Executors have a while to come back; those who speak HTTP may subscribe.
    Reconnecting,
    /// It is over.
    Done,
}

/// How far the agent is (`Slave::State`).
///
/// ```text
/// Recovering ──► Disconnected ◄──► Running
///      └──────────────┴───────────────┴──► Terminating
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// It takes stock of what an earlier process left.
    Recovering,
    /// It is not registered with the leading master, or there is none.
    Disconnected,
    /// It is registered.
    Running,
    /// It stops its tasks and ends.
    Terminating,
}

/// The leading master.
#[derive(Debug, Clone, PartialEq)]
pub struct Master {
    /// Its libprocess address, `master@ip:port`.
    pub pid: String,
    /// The name of its host, if it told one.
    pub hostname: Option<String>,
    /// What it can do; a master that was not detected but named tells nothing.
    pub capabilities: Vec<v1::master_info::capability::Type>,
}

/// A drain under way.
#[derive(Debug, Clone, PartialEq)]
pub struct Draining {
    /// What the operator asked for.
    pub config: v1::DrainConfig,
    /// When it began, in seconds since 1970.
    pub started: f64,
}

impl Agent {
    /// An agent that has not looked at its past yet.
    pub fn new(
        info: v1::AgentInfo,
        pid: String,
        work_dir: PathBuf,
        start_time: f64,
        resource_version: uuid::Uuid,
    ) -> Self {
        Self {
            phase: Phase::Recovering,
            id: None,
            pid,
            start_time,
            work_dir,
            master: None,
            capabilities: Vec::new(),
            total_resources: info.resources.clone(),
            info,
            checkpointed_resources: Vec::new(),
            resource_version,
            draining: None,
            frameworks: BTreeMap::new(),
            completed_frameworks: Ring::new(COMPLETED_FRAMEWORKS),
            counters: Counters::default(),
            recovery_time_secs: None,
            recovery: Recovery::Reading,
        }
    }

    /// What executors and their live tasks hold, each resource as it was told; callers add them up.
    pub fn allocated(&self) -> impl Iterator<Item = &v1::Resource> {
        self.frameworks
            .values()
            .flat_map(|framework| framework.executors.values())
            .flat_map(|executor| executor.allocated())
    }
}
