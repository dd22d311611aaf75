//! What this agent cannot run, by name and with the remedy.
//!
//! Only what follows from how the agent is set up is judged here; the containerizers judge each container when its launch
//! is prepared, and their refusal is told in the same words to the same end.

use mesos_proto::v1;
use mesos_proto::v1::container_info::Type;
use mesos_proto::v1::executor_info::Type as ExecutorType;

use super::run::Grouped;
use super::settings::{CoreSettings, Plain, PlainLimits};

/// Why a task cannot run here; `grouped` says whether it came in a group.
pub(super) fn unsupported(task: &v1::TaskInfo, grouped: Grouped, settings: &CoreSettings) -> Option<String> {
    if grouped == Grouped::Yes {
        return Some(
            "task_group: this agent runs no task groups; launch each task by itself, with LAUNCH".into(),
        );
    }
    match (&task.executor, &task.command) {
        (Some(executor), _) => {
            if executor.r#type() == ExecutorType::Default {
                return Some(
                    "executor.type DEFAULT: this agent has no default executor; use task.command, or an \
                     executor of type CUSTOM with a command"
                        .into(),
                );
            }
            if executor.command.is_none() && !names_docker(executor.container.as_ref()) {
                return Some("executor.command: the executor has none; set it to what it runs".into());
            }
        }
        (None, None) => return Some("command: the task has neither a command nor an executor".into()),
        (None, Some(_)) => {}
    }
    let is_docker = names_docker(container_of(task, settings));
    (settings.plain == Plain::EndsWithAgent && !is_docker).then(|| {
        "container: the agent runs in a container (--docker_mesos_image), and what has no Docker image would end with \
         it; set container.type to DOCKER and container.docker.image"
            .into()
    })
}

/// Which limit of a task cannot be held here; tasks with a Docker image may have any (`Slave::run` in
/// `src/slave/slave.cpp`).
pub(super) fn unheld_limit(task: &v1::TaskInfo, settings: &CoreSettings) -> Option<String> {
    if names_docker(container_of(task, settings)) {
        return None;
    }
    let PlainLimits { cpus, mem } = settings.plain_limits;
    let (name, isolator) = [("cpus", cpus, "cgroups/cpu"), ("mem", mem, "cgroups/mem")]
        .into_iter()
        .find(|(name, is_held, _)| !is_held && task.limits.contains_key(*name))
        .map(|(name, _, isolator)| (name, isolator))?;
    Some(format!(
        "limits.{name}: tasks without a Docker image can have it only where --isolation names {isolator}; add it, \
         or give the task a Docker image"
    ))
}

/// The container that a task, or its executor, runs in.
pub(super) fn container_of<'t>(
    task: &'t v1::TaskInfo,
    settings: &'t CoreSettings,
) -> Option<&'t v1::ContainerInfo> {
    let own = match &task.executor {
        Some(executor) => executor.container.as_ref(),
        None => task.container.as_ref(),
    };
    own.or(settings.default_container.as_ref())
}

fn names_docker(container: Option<&v1::ContainerInfo>) -> bool {
    container.is_some_and(|container| container.r#type() == Type::Docker)
}
