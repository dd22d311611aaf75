//! The command line of the container.

use docker_engine::CreateBody;
use mesos_types::CommandSpec;

/// Sets ENTRYPOINT and CMD. Nothing is left null, so that the image's own count, and an ENTRYPOINT that is set clears
/// the image's CMD in the engine, as it does for `docker run --entrypoint`.
pub(super) fn apply(body: &mut CreateBody, command: &CommandSpec) {
    match command {
        CommandSpec::Shell(value) => {
            body.entrypoint = Some(vec!["/bin/sh".into()]);
            body.cmd = Some(vec!["-c".into(), value.clone()]);
        }
        CommandSpec::Arguments(arguments) => body.cmd = Some(arguments.clone()),
        CommandSpec::ImageDefault => {}
    }
}
