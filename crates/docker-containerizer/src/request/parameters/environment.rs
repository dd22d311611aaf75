//! Variables and labels.

use super::draft::Draft;
use super::error::Bad;
use super::files::{self, Use};

/// The variables that Mesos tells a task; no parameter changes them, since the task finds its sandbox by them.
const OURS: [&str; 2] = ["MESOS_SANDBOX", "MESOS_CONTAINER_NAME"];

/// Reads `env`.
///
/// The client fills in `NAME` alone from its own environment, which is the agent's: no task may read that.
pub(super) fn env(draft: &mut Draft<'_>, value: &str) -> Result<(), Bad> {
    let (name, _) = value.split_once('=').ok_or_else(|| {
        Bad::because("NAME alone would take the value from the agent's environment; write NAME=value")
    })?;
    if name.is_empty() {
        return Err(Bad::Form);
    }
    if OURS.contains(&name) {
        return Err(Bad::because(format!("{name} tells the task where it is")));
    }
    set(&mut draft.body.env, name, value);
    Ok(())
}

/// Sets a variable, in the place of one with its name.
fn set(env: &mut Vec<String>, name: &str, entry: &str) {
    let same = |entry: &String| entry.split_once('=').is_some_and(|(other, _)| other == name);
    match env.iter_mut().find(|entry| same(entry)) {
        Some(found) => entry.clone_into(found),
        None => env.push(entry.to_owned()),
    }
}

/// Reads `label`: a key without white space, and a value or none.
pub(super) fn label(draft: &mut Draft<'_>, value: &str) -> Result<(), Bad> {
    let (key, value) = value.split_once('=').unwrap_or((value, ""));
    let bare = key.trim_start_matches([' ', '\t']);
    if bare.is_empty() || bare.contains([' ', '\t']) {
        return Err(Bad::Form);
    }
    draft.body.labels.insert(key.to_owned(), value.to_owned());
    Ok(())
}

/// Reads `annotation`.
pub(super) fn annotation(draft: &mut Draft<'_>, value: &str) -> Result<(), Bad> {
    let (key, value) = value.split_once('=').unwrap_or((value, ""));
    if key.is_empty() {
        return Err(Bad::Form);
    }
    draft.body.host_config.annotations.insert(key.to_owned(), value.to_owned());
    Ok(())
}

/// Reads `env-file`.
pub(super) fn env_file(draft: &mut Draft<'_>, value: &str) -> Result<(), Bad> {
    files::in_sandbox(draft, value, Use::Environment)
}

/// Reads `label-file`.
pub(super) fn label_file(draft: &mut Draft<'_>, value: &str) -> Result<(), Bad> {
    files::in_sandbox(draft, value, Use::Labels)
}
