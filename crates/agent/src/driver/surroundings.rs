//! The container that the agent runs in, if it does: looked at once an engine answers, before anything is recovered.

use std::path::{Path, PathBuf};

use docker_engine::{Engine, EngineError};
use flags::AgentSettings;

use crate::in_container::{Found, HostPids, Lookout, SetupError, surroundings};

/// What the flags say of it.
pub(super) fn lookout(settings: &AgentSettings, work_dir: &Path) -> Lookout {
    let docker = &settings.docker;
    Lookout {
        work_dir: work_dir.to_owned(),
        socket: docker.docker_socket.clone(),
        host_pids: host_pids(settings),
        image: docker.docker_mesos_image.clone(),
    }
}

/// Whether the agent looks at the host's processes.
pub(super) fn host_pids(settings: &AgentSettings) -> HostPids {
    if settings.docker.docker_no_host_pid { HostPids::NotNeeded } else { HostPids::Needed }
}

/// Looks, and tells what there is to tell. Answers where the host has the engine's socket, if another place than here.
///
/// # Errors
///
/// The outer one is the engine's, which may be asked again. The inner one is to end the start.
///
/// # Cancel safety
///
/// May be dropped.
pub(super) async fn look(
    engine: &Engine,
    lookout: &Lookout,
    policy: &str,
) -> Result<Result<Option<PathBuf>, SetupError>, EngineError> {
    let found = match surroundings(engine, lookout).await? {
        Ok(Some(found)) => found,
        Ok(None) => {
            if let Some(image) = &lookout.image {
                tracing::warn!(image, "--docker_mesos_image changes nothing: the agent runs in no container");
            }
            return Ok(Ok(None));
        }
        Err(error) => return Ok(Err(error)),
    };
    tell(&found, lookout, policy);
    Ok(Ok(found.socket_on_host.filter(|on_host| *on_host != lookout.socket)))
}

fn tell(found: &Found, lookout: &Lookout, policy: &str) {
    let Found { name, image, lacking, .. } = found;
    tracing::info!(container = name, image, "the agent runs in a container");
    for missing in lacking {
        tracing::warn!(container = name, "the agent's container lacks {missing}");
    }
    if lookout.host_pids == HostPids::NotNeeded {
        tracing::warn!(
            "--docker_no_host_pid: usage is asked of the engine, exits are told by the engine alone, and HTTP and TCP \
             checks reach tasks by their addresses, from outside"
        );
    }
    if lookout.image.is_none() {
        tracing::warn!(
            container = name,
            "tasks and executors without a Docker image run in the agent's container and end with it; \
             --docker_mesos_image refuses them"
        );
    }
    if policy != "permissive" {
        tracing::warn!(
            policy,
            "--docker_policy judges the host's paths by their names: links on the host are not seen from a container"
        );
    }
}
