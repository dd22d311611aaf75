//! A task as the containerizer that takes it launches it.

use std::time::Duration;

use docker_containerizer::Labels;
use docker_containerizer::request::Request;
use mesos_types::{CheckSpec, EnvVar, HealthCheckSpec, Notice, PlainTaskSpec, TaskId, TaskSpec};

use crate::composing::Kind;

/// A task as it was understood, by who takes it.
#[derive(Debug)]
pub(crate) enum Plan {
    /// A container of a Docker Engine.
    Docker(Box<DockerPlan>),
    /// A process of this machine.
    Plain(Box<PlainTaskSpec>),
}

/// What the Docker containerizer is handed.
#[derive(Debug)]
pub(crate) struct DockerPlan {
    pub(crate) task: TaskSpec,
    pub(crate) labels: Labels,
    pub(crate) request: Request,
}

/// What a task wants of its supervision, whoever contains it.
#[derive(Debug, Clone)]
pub(crate) struct Terms {
    pub(crate) grace: Option<Duration>,
    pub(crate) max_completion: Option<Duration>,
    pub(crate) health_check: Option<HealthCheckSpec>,
    pub(crate) check: Option<CheckSpec>,
    /// The user that the task names.
    pub(crate) user: Option<String>,
}

impl From<&TaskSpec> for Terms {
    fn from(task: &TaskSpec) -> Self {
        let TaskSpec { grace, max_completion, health_check, check, user, .. } = task;
        Self {
            grace: *grace,
            max_completion: *max_completion,
            health_check: health_check.clone(),
            check: check.clone(),
            user: user.clone(),
        }
    }
}

impl From<&PlainTaskSpec> for Terms {
    fn from(task: &PlainTaskSpec) -> Self {
        let PlainTaskSpec { grace, max_completion, health_check, check, user, .. } = task;
        Self {
            grace: *grace,
            max_completion: *max_completion,
            health_check: health_check.clone(),
            check: check.clone(),
            user: user.clone(),
        }
    }
}

impl Plan {
    /// Who takes it.
    pub(crate) fn kind(&self) -> Kind {
        match self {
            Self::Docker(_) => Kind::Docker,
            Self::Plain(_) => Kind::Mesos,
        }
    }

    pub(crate) fn task_id(&self) -> &TaskId {
        match self {
            Self::Docker(plan) => &plan.task.task_id,
            Self::Plain(task) => &task.task_id,
        }
    }

    /// What is accepted without effect.
    pub(crate) fn notices(&self) -> &[Notice] {
        match self {
            Self::Docker(plan) => &plan.task.notices,
            Self::Plain(task) => &task.notices,
        }
    }

    pub(crate) fn terms(&self) -> Terms {
        match self {
            Self::Docker(plan) => (&plan.task).into(),
            Self::Plain(task) => (&**task).into(),
        }
    }
}

/// Adds variables to an environment that has none of their names.
pub(crate) fn add_defaults(environment: &mut Vec<EnvVar>, defaults: &[EnvVar]) {
    for default in defaults {
        if environment.iter().all(|own| own.name() != default.name()) {
            environment.push(default.clone());
        }
    }
    environment.sort_by(|one, other| one.name().cmp(other.name()));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_default_gives_way_to_the_tasks_own() {
        let variable = |name, value| EnvVar::new("f", name, value).unwrap();
        let mut environment = vec![variable("B", "own")];
        add_defaults(
            &mut environment,
            &[variable("B", "x"), variable("A", "first"), variable("A", "second")],
        );
        let pairs: Vec<_> = environment.iter().map(|one| (one.name(), one.value())).collect();
        assert_eq!(pairs, [("A", "first"), ("B", "own")]);
    }
}
