//! Resources as masters of all ages send and take them, and the agent's own total of them
//! (`protobuf::injectAllocationInfo` in `src/common/protobuf_utils.cpp`, `Slave::checkpointResourcesMessage`).
//!
//! Inside, resources have the form with a list of reservations. What is sent to the master or written to the disk has
//! the older form where all of the message can be said in it.

use mesos_proto::v1::framework_info::capability::Type as Capability;
use mesos_proto::{internal, v1};
use mesos_types::resource::format::{downgrade, upgrade};
use mesos_types::resource::{ResourceError, ResourceSet, apply_checkpointed, needs_checkpoint};

use super::action::{Action, Exit, Write};
use super::state::State;

/// Brings a task that arrived into our form: every resource says which role it is allocated to, as a framework with one
/// role does not.
///
/// # Errors
///
/// A resource that cannot be understood.
pub(super) fn receive_task(
    framework: &v1::FrameworkInfo,
    task: &mut v1::TaskInfo,
) -> Result<(), ResourceError> {
    let has_roles =
        framework.capabilities.iter().any(|capability| capability.r#type() == Capability::MultiRole);
    if !has_roles {
        let executor = task.executor.iter_mut().flat_map(|executor| &mut executor.resources);
        for resource in task.resources.iter_mut().chain(executor) {
            resource.allocation_info.get_or_insert_with(|| v1::resource::AllocationInfo {
                role: Some(framework.role().to_owned()),
            });
        }
    }
    upgrade(task)
}

/// A copy in the form of the master and of the disk.
pub(crate) fn outward<M: mesos_types::resource::HoldsResources>(mut message: M) -> M {
    downgrade(&mut message);
    message
}

/// The reserved or persistent resources of a task that the agent does not have, for a person.
pub(super) fn unknown_checkpointed(task: &v1::TaskInfo, total: &[v1::Resource]) -> Option<String> {
    let executor = task.executor.iter().flat_map(|executor| &executor.resources);
    let Ok(wanted) = ResourceSet::from_protos(task.resources.iter().chain(executor)) else { return None };
    let wanted = wanted.unallocated().filter(needs_checkpoint);
    let total = ResourceSet::from_protos(total).unwrap_or_default();
    if total.contains(&wanted) { None } else { Some(wanted.to_string()) }
}

impl State {
    /// What the agent says of itself, in our form: a message is brought into the master's as a whole.
    pub(super) fn announced_info(&self) -> v1::AgentInfo {
        v1::AgentInfo { checkpoint: Some(true), ..self.agent.info.clone() }
    }

    /// The master's list of reserved and persistent resources replaces ours.
    pub(super) fn checkpoint_resources(
        &mut self,
        message: internal::CheckpointResourcesMessage,
        out: &mut Vec<Action>,
    ) {
        let applied = ResourceSet::from_protos(&message.resources).and_then(|checkpointed| {
            let flags = ResourceSet::from_protos(&self.agent.info.resources)?;
            Ok((apply_checkpointed(&flags, &checkpointed)?, checkpointed))
        });
        let (total, checkpointed) = match applied {
            Ok(applied) => applied,
            // Stock aborts: what the master believes in from now on, we do not have.
            Err(error) => {
                out.push(Action::Exit(Exit::Failed(format!(
                    "cannot take the master's list of reserved resources: {error}"
                ))));
                return;
            }
        };
        self.agent.total_resources = total.to_protos();
        let checkpointed_resources = checkpointed.to_protos();
        // Masters send the list with every re-registration.
        if checkpointed_resources == self.agent.checkpointed_resources {
            return;
        }
        tracing::info!(resources = %checkpointed, "reservations and volumes changed");
        self.agent.checkpointed_resources = checkpointed_resources;
        let write = Write::Resources(self.agent.checkpointed_resources.clone());
        out.push(Action::Write(Box::new(write)));
    }
}
