//! What an agent keeps on disk of its resources: those that are reserved at run time, and persistent volumes.

use super::one::{Resource, ResourceError};
use super::set::ResourceSet;

/// Whether a resource is kept in the agent's checkpoint (Mesos `needCheckpointing`).
pub fn needs_checkpoint(resource: &Resource) -> bool {
    resource.provider_id.is_none() && (resource.is_dynamically_reserved() || resource.is_persistent_volume())
}

/// The total of an agent whose flags give `flags` and whose checkpoint holds `checkpointed`
/// (Mesos `applyCheckpointedResources`).
///
/// # Errors
///
/// A resource that should not be in a checkpoint, or that is no part of what the flags give: the flags were changed.
pub fn apply_checkpointed(
    flags: &ResourceSet,
    checkpointed: &ResourceSet,
) -> Result<ResourceSet, ResourceError> {
    let mut total = flags.clone();
    for resource in checkpointed.iter() {
        if !needs_checkpoint(resource) {
            let reason = "it is in the checkpoint and neither reserved at run time nor a volume";
            return Err(ResourceError::new(resource.name(), reason));
        }
        let plain = as_flagged(resource);
        if !total.contains_one(&plain) {
            let reason = format!("{resource} of the checkpoint needs {plain}, and of {total} it is no part");
            return Err(ResourceError::new(resource.name(), reason));
        }
        total.subtract(&plain);
        total.add(resource.clone());
    }
    Ok(total)
}

/// What a resource was by the flags: without reservations of run time and without volume.
fn as_flagged(resource: &Resource) -> Resource {
    let mut plain = resource.without_volume();
    while plain.is_dynamically_reserved() {
        plain = plain.without_last_reservation();
    }
    plain
}
