//! What no preset allows: what would take the container away from the agent.

use docker_engine::CreateBody;
use mesos_types::FieldError;

use crate::labels::{self, Labels};

/// The field that a task sets such things with.
const FIELD: &str = "container.docker.parameters";

/// The longest label set that a request may carry, in bytes, so that listing containers stays cheap.
pub(crate) const LARGEST_LABELS: usize = 256 * 1024;

/// Checks the request of the container that `own` labels.
///
/// # Errors
///
/// The field that breaks a rule.
pub(crate) fn check(body: &CreateBody, own: &Labels) -> Result<(), FieldError> {
    let ours = own.to_map().map_err(|error| FieldError::new("work_dir", error.to_string()))?;
    let foreign = body.labels.iter().filter(|(key, value)| ours.get(*key) != Some(value));
    let of_volumes = body.host_config.mounts.iter().filter_map(|mount| mount.volume_options.as_ref());
    let of_volumes = of_volumes.flat_map(|options| options.labels.keys());
    let keys = foreign.map(|(key, _)| key).chain(of_volumes).chain(body.host_config.annotations.keys());
    labels::check_foreign(keys.map(String::as_str)).map_err(|label| {
        FieldError::new(FIELD, format!("a task may not set the label {label}"))
            .hint(format!("labels under {} tell the agent whose a container is", labels::PREFIX))
    })?;
    if ours.iter().any(|(key, value)| body.labels.get(key) != Some(value)) {
        return Err(FieldError::new(FIELD, "a label of the agent was taken away"));
    }
    let size: usize = body.labels.iter().map(|(key, value)| key.len() + value.len()).sum();
    if size > LARGEST_LABELS {
        return Err(FieldError::new(FIELD, format!("the labels are {size} bytes"))
            .hint(format!("at most {LARGEST_LABELS} bytes are taken")));
    }
    if body.host_config.auto_remove {
        return Err(FieldError::new(FIELD, "a container that removes itself has no exit code")
            .hint("remove the parameter rm"));
    }
    let restart = body.host_config.restart_policy.as_ref().map_or("", |policy| &policy.name);
    if !matches!(restart, "" | "no") {
        return Err(FieldError::new(FIELD, "a container that the engine starts again has no end")
            .hint("remove the parameter restart"));
    }
    Ok(())
}
