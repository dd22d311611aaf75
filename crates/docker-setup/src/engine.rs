//! How the engine is reached.

use std::path::Path;

use docker_containerizer::{CredentialError, OperatorConfig};
use docker_engine::EngineOptions;
use flags::DockerSettings;

/// How the engine on a socket is talked to: deadlines, how much at once, the operator's headers.
///
/// # Errors
///
/// A `--docker_config` that has become unusable.
pub fn engine_options(
    settings: &DockerSettings,
    socket: &Path,
    operator: Option<&OperatorConfig>,
) -> Result<EngineOptions, CredentialError> {
    let mut options = EngineOptions::new(socket.to_owned());
    if let Some(operator) = operator {
        options.headers = operator.headers()?;
    }
    let deadlines = &settings.deadlines;
    options.deadlines.create = deadlines.create;
    options.deadlines.start = deadlines.start;
    options.deadlines.inspect = deadlines.inspect;
    options.deadlines.remove = deadlines.remove;
    options.max_creates_in_flight = settings.docker_max_parallel_launches.get();
    options.max_starts_in_flight = settings.docker_max_parallel_launches.get();
    Ok(options)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deadlines_and_bounds_are_those_of_the_flags() {
        let pairs = [("docker_create_timeout", "7secs"), ("docker_max_parallel_launches", "3")];
        let settings = DockerSettings::from_pairs(pairs).unwrap().settings;
        let options = engine_options(&settings, Path::new("/run/docker.sock"), None).unwrap();
        assert_eq!(options.deadlines.create, std::time::Duration::from_secs(7));
        assert_eq!((options.max_creates_in_flight, options.max_starts_in_flight), (3, 3));
    }
}
