//! Runs whose containerizer this agent was started without: they would go on with nobody to follow or to stop them, and a
//! framework that is told their end would have them twice. So the agent does not start.
//!
//! Stock starts, tells that such tasks have failed, and has their executors end them when they come back; ours are in
//! this process' care, and there is nobody else to end them.

use std::path::PathBuf;

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
        .filter_map(|run| Some((run, missing(&run.known)?)))
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

/// The containerizer that may have something of a run.
fn missing(known: &Known) -> Option<Kind> {
    let Known::Record(record) = known else { return None };
    let may_run = record.phase != Phase::Terminal && !record.is_waiting;
    may_run.then_some(record.containerizer)
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

    #[test]
    fn only_what_may_run_needs_its_containerizer() {
        assert_eq!(missing(&known(|_| {})), Some(Kind::Mesos));
        let docker = |record: &mut Record| {
            record.phase = Phase::Running;
            record.containerizer = Kind::Docker;
        };
        assert_eq!(missing(&known(docker)), Some(Kind::Docker));
        assert_eq!(missing(&known(|record| record.is_waiting = true)), None);
        assert_eq!(missing(&known(|record| record.phase = Phase::Terminal)), None);
        assert_eq!(missing(&Known::Nothing), None);
        assert_eq!(missing(&Known::Unreadable("x".into())), None);
    }
}
