//! What is told of a task that runs, and how it is checked.

use flags::{DockerMask, DockerSettings};
use task_supervisor::{CheckSettings, MaskedVariables};

/// Whose values are masked in statuses (`--docker_mask_environment`).
pub fn masked(settings: &DockerSettings) -> MaskedVariables {
    match settings.supervision.mask {
        DockerMask::Secrets => MaskedVariables::Secrets,
        DockerMask::All => MaskedVariables::All,
        DockerMask::None => MaskedVariables::None,
    }
}

/// How checks are made.
pub fn check_settings(settings: &DockerSettings) -> CheckSettings {
    let settings = &settings.supervision;
    let mut checks = CheckSettings::default();
    checks.commands_at_once = settings.check_commands;
    checks.connections_at_once = settings.check_connections;
    checks.shortest_interval = settings.check_interval;
    checks.longest_turn = settings.check_turn;
    checks.engine_deadline = settings.check_engine;
    checks
}
