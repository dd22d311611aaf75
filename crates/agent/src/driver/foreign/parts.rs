//! Of what was found of a stock agent's run: what leads it, and what is beside.

use docker_containerizer::names::Role;
use docker_containerizer::recover::Found;

/// Who made the executor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Maker {
    /// The agent, for a command task: the task's container is beside it.
    Agent,
    /// A framework: the container is its own.
    Framework,
}

/// What leads a run: its end is the executor's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Lead {
    /// A container, by the engine's id.
    Container(String),
    /// The process of forked.pid.
    Process,
}

/// The parts of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Parts {
    /// What leads it.
    pub(super) lead: Lead,
    /// The container of its task, if that is there already, by the engine's id.
    pub(super) beside: Option<String>,
}

impl Parts {
    /// What the engine's list says; `found` are the containers of this run.
    pub(super) fn of(maker: Maker, found: &[&Found]) -> Self {
        let of_role =
            |role| found.iter().find(|found| found.role == role).map(|found| found.engine_id.clone());
        let (executor, task) = (of_role(Role::Executor), of_role(Role::Task));
        match (executor, task, maker) {
            (Some(executor), beside, _) => Self { lead: Lead::Container(executor), beside },
            (None, Some(own), Maker::Framework) => Self { lead: Lead::Container(own), beside: None },
            (None, beside, _) => Self { lead: Lead::Process, beside },
        }
    }
}

#[cfg(test)]
mod tests {
    use mesos_types::ContainerId;

    use super::*;

    fn found(role: Role, engine_id: &str) -> Found {
        Found {
            engine_id: engine_id.into(),
            name: String::new(),
            container_id: ContainerId::random(),
            role,
            labels: None,
            state: "running".into(),
            created: 0,
        }
    }

    #[rstest::rstest]
    #[case::docker_task(Maker::Agent, &[(Role::Task, "t")], Lead::Process, Some("t"))]
    #[case::docker_task_before_its_container(Maker::Agent, &[], Lead::Process, None)]
    #[case::agent_in_a_container(Maker::Agent, &[(Role::Task, "t"), (Role::Executor, "e")], Lead::Container("e".into()), Some("t"))]
    #[case::the_same_before_its_task(Maker::Agent, &[(Role::Executor, "e")], Lead::Container("e".into()), None)]
    #[case::custom_with_an_image(Maker::Framework, &[(Role::Task, "t")], Lead::Container("t".into()), None)]
    #[case::custom_without(Maker::Framework, &[], Lead::Process, None)]
    fn every_kind_has_its_lead(
        #[case] maker: Maker,
        #[case] containers: &[(Role, &str)],
        #[case] lead: Lead,
        #[case] beside: Option<&str>,
    ) {
        let containers: Vec<Found> = containers.iter().map(|(role, id)| found(*role, id)).collect();
        let containers: Vec<&Found> = containers.iter().collect();
        let parts = Parts::of(maker, &containers);
        assert_eq!((parts.lead, parts.beside.as_deref()), (lead, beside));
    }
}
