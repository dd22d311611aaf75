//! The containers of executors: each is supervised as a task is, whose statuses are read as the container's events.

use std::collections::BTreeMap;

use docker_containerizer::{Ending, Exit, Termination, chain};
use mesos_proto::v1;
use mesos_proto::v1::task_status::Reason;
use mesos_types::resource::{ResourceLimits, limits_to_proto};
use mesos_types::{TaskLimits, TaskResources};

use crate::core::{ContainerEvent, ExecutorLaunch, Gone};

/// What may be said of a container's own way to end, to the master as the executor's exit status (wait(2)).
const CODE: u32 = 8;

/// What says beside a signal that it left a core dump.
const CORE: i32 = 0x80;

/// The executor as a task that the supervisor can launch: its id, command and container, with the resources that its
/// container is to have. Of labels, discovery and checks nothing stands there: they say something of tasks.
pub(super) fn as_task(launch: &ExecutorLaunch, agent_id: &str) -> v1::TaskInfo {
    let executor = &launch.executor;
    v1::TaskInfo {
        name: executor.name.clone().unwrap_or_else(|| executor.executor_id.value.clone()),
        task_id: v1::TaskId { value: executor.executor_id.value.clone() },
        agent_id: v1::AgentId { value: agent_id.to_owned() },
        resources: launch.resources.clone(),
        limits: limits_to_proto(&launch.limits).collect(),
        command: Some(executor.command.clone().unwrap_or_default()),
        container: executor.container.clone(),
        kill_policy: executor.shutdown_grace_period.map(|grace| v1::KillPolicy { grace_period: Some(grace) }),
        ..Default::default()
    }
}

/// What an update means for a container.
///
/// # Errors
///
/// An amount that is none, as a chain of causes.
pub(super) fn amounts(
    resources: &[v1::Resource],
    limits: &ResourceLimits,
) -> Result<(TaskResources, TaskLimits), String> {
    let resources = TaskResources::from_proto(resources).map_err(|error| chain(&error))?;
    let limits: BTreeMap<_, _> = limits_to_proto(limits).collect();
    let limits = TaskLimits::from_proto(&limits, &resources).map_err(|error| chain(&error))?;
    Ok((resources, limits))
}

/// The end of a container that was supervised as a task.
pub(super) fn end(status: &v1::TaskStatus, termination: &Termination) -> ContainerEvent {
    match &termination.ending {
        Ending::LaunchFailed(failure) if termination.killed.is_none() => {
            ContainerEvent::Refused(failure.message().to_owned())
        }
        Ending::LaunchFailed(_) | Ending::DestroyedBeforeStart(_) => {
            ContainerEvent::Terminated(Box::new(gone(status, None)))
        }
        Ending::Exited(exit) => {
            let core = if termination.dumped_core { CORE } else { 0 };
            let wait_status = wait_status(exit).map(|status| status | core);
            ContainerEvent::Terminated(Box::new(gone(status, wait_status)))
        }
    }
}

/// The end of a container of which an earlier process has kept the status alone.
pub(super) fn end_of_record(status: &v1::TaskStatus) -> ContainerEvent {
    ContainerEvent::Terminated(Box::new(gone(status, None)))
}

/// Tells reason and state only where something ran out: of an end by itself the core decides what its tasks came to.
fn gone(status: &v1::TaskStatus, wait_status: Option<i32>) -> Gone {
    let ran_out = matches!(
        status.reason(),
        Reason::ContainerLimitation | Reason::ContainerLimitationMemory | Reason::ContainerLimitationDisk
    ) && status.reason.is_some();
    Gone {
        status: wait_status,
        state: ran_out.then(|| status.state()),
        reason: ran_out.then(|| status.reason()),
        message: status.message.clone(),
        limitation: status.limitation.clone(),
    }
}

/// An exit as wait(2) encodes it; the engine's 128 and more may be a code of the program's own, so it stays a code.
pub(super) fn wait_status(exit: &Exit) -> Option<i32> {
    match exit {
        Exit::Code(code) => Some(i32::from(u8::try_from(*code).ok()?) << CODE),
        Exit::Signal(number) => Some(*number),
        Exit::Unknown(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use docker_containerizer::{Failure, Kill, Unknown};
    use mesos_types::resource::{Amount, limits_from_proto};

    use super::*;

    fn launch() -> ExecutorLaunch {
        let resource = |name: &str, value| v1::Resource {
            name: name.into(),
            r#type: v1::value::Type::Scalar.into(),
            scalar: Some(v1::value::Scalar { value }),
            ..Default::default()
        };
        ExecutorLaunch {
            framework: v1::FrameworkInfo::default(),
            executor: v1::ExecutorInfo {
                executor_id: v1::ExecutorId { value: "e".into() },
                command: Some(v1::CommandInfo { value: Some("./run".into()), ..Default::default() }),
                resources: vec![resource("cpus", 0.1)],
                shutdown_grace_period: Some(v1::DurationInfo { nanoseconds: 7 }),
                labels: Some(v1::Labels::default()),
                ..Default::default()
            },
            resources: vec![resource("cpus", 1.1), resource("mem", 64.0)],
            limits: [("cpus".to_owned(), mesos_types::Limit::Finite(Amount::from_f64(2.0).unwrap()))].into(),
        }
    }

    #[test]
    fn an_executor_is_launched_with_what_its_container_is_to_have() {
        let launch = launch();
        let task = as_task(&launch, "S0");
        assert_eq!((task.task_id.value.as_str(), task.name.as_str()), ("e", "e"));
        assert_eq!(task.resources, launch.resources);
        assert_eq!(limits_from_proto(&task.limits).unwrap(), launch.limits);
        assert_eq!(task.command, launch.executor.command);
        let grace = task.kill_policy.unwrap().grace_period.unwrap();
        assert_eq!(grace.nanoseconds, 7);
        assert_eq!((task.labels, task.executor), (None, None));
    }

    #[test]
    fn an_update_is_read_as_a_launch_is() {
        let launch = launch();
        let (resources, limits) = amounts(&launch.resources, &launch.limits).unwrap();
        assert_eq!(resources.cpus, Some(mesos_types::Millicpus(1100)));
        assert!(limits.cpus.is_some());
        let mut wrong = launch.resources;
        wrong[0].scalar = Some(v1::value::Scalar { value: -1.0 });
        amounts(&wrong, &ResourceLimits::new()).unwrap_err();
    }

    fn status(reason: Option<Reason>) -> v1::TaskStatus {
        let mut status = v1::TaskStatus { message: Some("M".into()), ..Default::default() };
        status.set_state(v1::TaskState::TaskFailed);
        status.reason = reason.map(Into::into);
        status
    }

    #[rstest::rstest]
    #[case(Exit::Code(3), Some(3 << 8))]
    #[case(Exit::Code(137), Some(137 << 8))]
    #[case(Exit::Signal(9), Some(9))]
    #[case(Exit::Unknown(Unknown::RemovedOutside), None)]
    #[case(Exit::Code(-1), None)]
    fn the_exit_status_is_told_as_wait_encodes_it(#[case] exit: Exit, #[case] expected: Option<i32>) {
        let end = end(&status(None), &Termination::new(Ending::Exited(exit)));
        let ContainerEvent::Terminated(gone) = end else { panic!("{end:?}") };
        assert_eq!((gone.status, gone.state, gone.reason), (expected, None, None));
        assert_eq!(gone.message.as_deref(), Some("M"));
    }

    #[test]
    fn a_core_dump_is_told_as_wait_encodes_it() {
        let aborted = Termination { dumped_core: true, ..Termination::new(Ending::Exited(Exit::Signal(6))) };
        let ContainerEvent::Terminated(gone) = end(&status(None), &aborted) else { panic!("it ran") };
        assert_eq!(gone.status, Some(0x86));
    }

    #[test]
    fn what_ran_out_is_told_as_the_reason() {
        let status = status(Some(Reason::ContainerLimitationMemory));
        let end = end(&status, &Termination::new(Ending::Exited(Exit::Code(137))));
        let ContainerEvent::Terminated(gone) = end else { panic!("{end:?}") };
        assert_eq!(gone.state, Some(v1::TaskState::TaskFailed));
        assert_eq!(gone.reason, Some(Reason::ContainerLimitationMemory));
    }

    #[test]
    fn a_launch_that_fails_is_refused_unless_it_was_killed() {
        let failed = Ending::LaunchFailed(Failure::new("pull", "no such image"));
        let mut termination = Termination::new(failed);
        assert!(matches!(end(&status(None), &termination),
            ContainerEvent::Refused(why) if why.contains("no such image")));
        termination.killed = Some(Kill { grace: std::time::Duration::ZERO });
        assert!(matches!(end(&status(None), &termination), ContainerEvent::Terminated(_)));
    }
}
