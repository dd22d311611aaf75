//! What no request may do, checked on the finished request, so that no parameter or alias gets around it.

use docker_engine::CreateBody;
use mesos_types::FieldError;

use crate::labels::{self, Labels};

/// The longest label set that a request may carry, in bytes, so that listing containers stays cheap.
const LARGEST_LABELS: usize = 256 * 1024;

/// Checks the request of the container that `own` labels.
///
/// # Errors
///
/// The field that breaks a rule.
pub(super) fn check(body: &CreateBody, own: &Labels) -> Result<(), FieldError> {
    let ours = own.to_map().map_err(|error| FieldError::new("work_dir", error.to_string()))?;
    let foreign = body.labels.iter().filter(|(key, value)| ours.get(*key) != Some(value));
    labels::check_foreign(foreign.map(|(key, _)| key.as_str())).map_err(|label| {
        FieldError::new("container.docker.parameters", format!("a task may not set the label {label}"))
            .hint(format!("labels under {} tell the agent whose a container is", labels::PREFIX))
    })?;
    if ours.iter().any(|(key, value)| body.labels.get(key) != Some(value)) {
        return Err(FieldError::new("container.docker.parameters", "a label of the agent was taken away"));
    }
    let size: usize = body.labels.iter().map(|(key, value)| key.len() + value.len()).sum();
    if size > LARGEST_LABELS {
        return Err(FieldError::new("container.docker.parameters", format!("the labels are {size} bytes"))
            .hint(format!("at most {LARGEST_LABELS} bytes are taken")));
    }
    if body.host_config.auto_remove {
        return Err(FieldError::new(
            "container.docker.parameters",
            "a container that removes itself has no exit code",
        )
        .hint("remove the parameter rm"));
    }
    Ok(())
}
