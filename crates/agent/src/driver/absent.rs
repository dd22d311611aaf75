//! Runs whose containerizer this agent was started without: they would go on with nobody to follow or to stop them, and a
//! framework that is told their end would have them twice. So the agent does not start.
//!
//! Stock starts, tells that such tasks have failed, and has their executors end them when they come back; ours are in
//! this process' care, and there is nobody else to end them. A stock agent's own executors of Docker tasks would come back
//! here, too, but nobody could remove the containers beside them, or what is left of one whose executor is gone.

use std::path::PathBuf;

use mesos_proto::v1;
use mesos_proto::v1::container_info::Type;
use task_supervisor::{Kind, Phase};

use super::adoption::Known;
use super::error::AgentError;
use super::open_runs::OpenRun;

/// Looks for runs that may go on in containers of a containerizer that is not there; `has` says which are. To be asked
/// before anything is made of the runs, and not after another boot, which has ended them all. `latest` is the link whose
/// removal makes a new agent.
///
/// # Errors
///
/// The containerizer that is missing.
pub(super) fn refuse(
    open: &[OpenRun],
    has: impl Fn(Kind) -> bool,
    latest: impl FnOnce() -> PathBuf,
) -> Result<(), AgentError> {
    let followed = open.iter().filter(|run| run.plan.is_carried());
    let missing: Vec<_> = followed
        .filter_map(|run| Some((run, needed(&run.known, &run.executor)?)))
        .filter(|(_, containerizer)| !has(*containerizer))
        .collect();
    let Some((first, containerizer)) = missing.first() else { return Ok(()) };
    Err(AgentError::Unattended {
        runs: missing.len(),
        example: first.run.executor_id.to_string(),
        containerizer: containerizer.name(),
        latest: latest(),
    })
}

/// The containerizer that may have something of a run that is carried on. What a stock agent launched without an image is
/// followed by its process, whatever containerizers there are.
fn needed(known: &Known, executor: &v1::ExecutorInfo) -> Option<Kind> {
    match known {
        Known::Record(record) => {
            let may_run = record.phase != Phase::Terminal && !record.is_waiting;
            may_run.then_some(record.containerizer)
        }
        // Stock gives the executor that it makes up for a task the task's container.
        Known::Nothing => {
            let container = executor.container.as_ref();
            let is_docker = container.is_some_and(|container| container.r#type() == Type::Docker);
            is_docker.then_some(Kind::Docker)
        }
        Known::Unreadable(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use docker_containerizer::Identity;
    use task_supervisor::Record;

    use super::*;

    fn known(change: impl FnOnce(&mut Record)) -> Known {
        let identity = Identity {
            agent_id: "S".parse().unwrap(),
            framework_id: "F".parse().unwrap(),
            executor_id: "t".parse().unwrap(),
            task_id: "t".parse().unwrap(),
            container_id: mesos_types::ContainerId::random(),
        };
        let mut record = Record::plain(&identity, Vec::new());
        change(&mut record);
        Known::Record(Box::new(record))
    }

    /// An executor with a container, or without one.
    fn executor(container: Option<Type>) -> v1::ExecutorInfo {
        let container = container.map(|of| v1::ContainerInfo { r#type: of.into(), ..Default::default() });
        v1::ExecutorInfo { container, ..Default::default() }
    }

    #[test]
    fn only_what_may_run_needs_its_containerizer() {
        let needed = |known| needed(&known, &executor(None));
        assert_eq!(needed(known(|_| {})), Some(Kind::Mesos));
        let docker = |record: &mut Record| {
            record.phase = Phase::Running;
            record.containerizer = Kind::Docker;
        };
        assert_eq!(needed(known(docker)), Some(Kind::Docker));
        assert_eq!(needed(known(|record| record.is_waiting = true)), None);
        assert_eq!(needed(known(|record| record.phase = Phase::Terminal)), None);
    }

    #[rstest::rstest]
    #[case::with_an_image(Some(Type::Docker), Some(Kind::Docker))]
    #[case::of_the_other_kind(Some(Type::Mesos), None)]
    #[case::without_one(None, None)]
    fn what_a_stock_agent_runs_with_an_image_needs_the_engine(
        #[case] container: Option<Type>,
        #[case] expected: Option<Kind>,
    ) {
        assert_eq!(needed(&Known::Nothing, &executor(container)), expected);
        // What is given up is not followed.
        assert_eq!(needed(&Known::Unreadable("x".into()), &executor(container)), None);
    }
}
