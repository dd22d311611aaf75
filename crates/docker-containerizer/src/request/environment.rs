//! The environment of the container, sorted by name as stock passes it.

use std::collections::BTreeMap;

use mesos_types::{EnvVar, FieldError};

use super::RequestInput;

/// The overlay wins over the task's own variables, and what Mesos tells the task wins over both. The operator's proxies
/// give way to all of them, as with the docker client, where each spelling of a name counts by itself.
pub(super) fn environment(input: &RequestInput<'_>, name: &str) -> Result<Vec<String>, FieldError> {
    let mut variables: BTreeMap<&str, &str> = input.settings.proxies.iter().collect();
    let given = input.task.environment.iter().chain(input.overlay);
    variables.extend(given.map(|variable: &EnvVar| (variable.name(), variable.value())));
    variables.insert("MESOS_SANDBOX", &input.settings.sandbox_directory);
    variables.insert("MESOS_CONTAINER_NAME", name);
    if let Some(role) = &input.task.resources.allocation_role {
        variables.insert("MESOS_ALLOCATION_ROLE", role);
    }
    for (name, value) in &variables {
        EnvVar::new("command.environment", name, value)?;
    }
    Ok(variables.into_iter().map(|(name, value)| format!("{name}={value}")).collect())
}
