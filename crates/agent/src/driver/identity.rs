//! What the agent says of itself, and whether it may keep the id that an earlier process had.

use std::collections::BTreeSet;
use std::net::SocketAddrV4;
use std::path::{Path, PathBuf};

use checkpoint::Store;
use checkpoint::recover::{Leftover, LeftoverReason, RecoveredState};
use docker_containerizer::chain;
use flags::AgentSettings;
use flags::agent::{ReconfigurationPolicy, Recover};
use mesos_proto::v1;
use mesos_proto::v1::agent_info::capability::Type as Capability;
use mesos_types::compatibility::{check_additive, check_equal};
use mesos_types::resource::apply_checkpointed;
use mesos_types::{ContainerId, ResourceSet};

use super::error::AgentError;
use super::open_runs::{Boot, OpenRun, accepted, known_runs, open_runs};
use crate::core::{Intent, Recovered};
use crate::resources::{Machine, agent_resources, prepare_disks};

/// Where stock's programs are when nobody says.
const LAUNCHER_DIR: &str = "/usr/libexec/mesos";

/// The capabilities whose whole obligation is met, in stock's order.
const CAPABILITIES: [Capability; 5] = [
    Capability::HierarchicalRole,
    Capability::MultiRole,
    Capability::ReservationRefinement,
    Capability::AgentDraining,
    Capability::TaskResourceLimits,
];

/// What is announced: what is built, less what `--agent_features` leaves out.
pub(super) fn capabilities(settings: &AgentSettings) -> Vec<Capability> {
    let wanted = settings.agent_features.as_ref();
    CAPABILITIES
        .into_iter()
        .filter(|capability| wanted.is_none_or(|wanted| wanted.contains(capability)))
        .collect()
}

/// Where the command of a generated executor is.
pub(super) fn launcher_dir(settings: &AgentSettings) -> PathBuf {
    settings.docker.fetch.launcher_dir.clone().unwrap_or_else(|| PathBuf::from(LAUNCHER_DIR))
}

/// The agent as the flags have it, without an id. Looks at the machine; blocks for that long.
///
/// # Errors
///
/// A flag that cannot be used.
pub(super) fn agent_info(
    settings: &AgentSettings,
    advertised: SocketAddrV4,
    work_dir: &Path,
) -> Result<v1::AgentInfo, AgentError> {
    let unusable = |flag, error: &dyn std::error::Error| AgentError::Flag { flag, why: chain(error) };
    let machine = Machine::look(work_dir);
    let resources = agent_resources(settings.resources.as_deref(), &settings.default_role, machine)
        .map_err(|error| unusable("resources", &error))?;
    prepare_disks(work_dir, &resources).map_err(|error| unusable("resources", &error))?;
    let attributes = mesos_types::attributes::parse(settings.attributes.as_deref().unwrap_or_default())
        .map_err(|error| unusable("attributes", &error))?;
    Ok(v1::AgentInfo {
        hostname: super::hostname::hostname(&settings.network, *advertised.ip()),
        port: Some(advertised.port().into()),
        resources: resources.to_protos(),
        attributes,
        domain: settings.domain.clone(),
        checkpoint: Some(true),
        ..Default::default()
    })
}

/// What an earlier process left, put together with what the flags say.
#[derive(Debug)]
pub(super) struct Reconciled {
    /// For the core.
    pub(super) recovered: Recovered,
    /// The runs that were not over.
    pub(super) open: Vec<OpenRun>,
    /// All runs of the checkpoint.
    pub(super) known: BTreeSet<ContainerId>,
    /// What nothing needs any more.
    pub(super) leftovers: Vec<Leftover>,
}

/// Puts what an earlier process left and what the flags say together. Blocks on the file system.
///
/// # Errors
///
/// The flags say something that the agent cannot become while it keeps its id.
pub(super) fn reconcile(
    settings: &AgentSettings,
    store: &Store,
    mut past: RecoveredState,
    info: v1::AgentInfo,
    since: f64,
) -> Result<Reconciled, AgentError> {
    let mut leftovers = std::mem::take(&mut past.leftovers);
    let changed = match &past.agent {
        None => false,
        Some(agent) => match keeps_id(settings, &agent.info, &info) {
            Ok(changed) => changed,
            Err(difference) if past.rebooted => {
                tracing::warn!(
                    difference,
                    "the machine was booted, and the agent is configured differently: it starts as a new agent"
                );
                store.forget_agent()?;
                for path in [agent.paths.work(), agent.paths.meta()] {
                    leftovers.push(Leftover { path: path.to_owned(), why: LeftoverReason::OtherAgent });
                }
                past.agent = None;
                false
            }
            Err(difference) => {
                return Err(AgentError::Incompatible { difference, latest: store.layout().latest_agent() });
            }
        },
    };
    let (total, checkpointed) = resources(store, &past, &info)?;
    let mut recovered = Recovered {
        total_resources: total.to_protos(),
        checkpointed_resources: checkpointed.to_protos(),
        info,
        changed,
        errors: past.errors,
        since,
        intent: match settings.recovery.recover {
            Recover::Reconnect => Intent::Reconnect,
            Recover::Cleanup => Intent::Cleanup,
        },
        ..Recovered::default()
    };
    let (mut open, mut known) = (Vec::new(), BTreeSet::new());
    let boot = if past.rebooted { Boot::Another } else { Boot::Same };
    if let Some(agent) = past.agent {
        open = open_runs(&agent, boot);
        known = known_runs(&agent);
        recovered.info.id = Some(v1::AgentId { value: agent.id.as_str().into() });
        recovered.agent_id = Some(agent.id);
        recovered.draining = agent.drain;
        recovered.accepted = accepted(&open);
        recovered.frameworks = agent.frameworks;
    }
    Ok(Reconciled { recovered, open, known, leftovers })
}

/// Whether the agent may keep its id, and if so, whether it has changed.
fn keeps_id(
    settings: &AgentSettings,
    recorded: &v1::AgentInfo,
    info: &v1::AgentInfo,
) -> Result<bool, String> {
    let equal = check_equal(recorded, info);
    match settings.recovery.reconfiguration_policy {
        ReconfigurationPolicy::Equal => equal.map(|()| false).map_err(|error| chain(&error)),
        ReconfigurationPolicy::Additive => match equal {
            Ok(()) => Ok(false),
            Err(_) => check_additive(recorded, info).map(|()| true).map_err(|error| chain(&error)),
        },
    }
}

/// The agent's resources with the checkpointed ones applied, and those alone. A commit that was cut short is repeated.
fn resources(
    store: &Store,
    past: &RecoveredState,
    info: &v1::AgentInfo,
) -> Result<(ResourceSet, ResourceSet), AgentError> {
    let not_ours = |error: &dyn std::error::Error| AgentError::Flag {
        flag: "resources",
        why: format!("the checkpointed reservations and volumes do not fit into it: {}", chain(error)),
    };
    let checkpointed =
        ResourceSet::from_protos(&past.resources.newest().resources).map_err(|error| not_ours(&error))?;
    let flags = ResourceSet::from_protos(&info.resources).map_err(|error| not_ours(&error))?;
    let total = apply_checkpointed(&flags, &checkpointed).map_err(|error| not_ours(&error))?;
    if past.resources.target.is_some() {
        super::disk::commit_resources(store, &ResourceSet::new(), &checkpointed)?;
    }
    Ok((total, checkpointed))
}
