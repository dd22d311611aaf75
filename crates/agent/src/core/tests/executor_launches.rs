//! How executors with programs of their own are launched, and what becomes of the tasks that wait for them.

use mesos_proto::v1::TaskState;
use mesos_proto::v1::task_status::Reason;

use super::executor_rig::{
    PID, asked, custom_task, exits, given, has_shutdown, libprocess, says, to_executor, wants,
};
use super::*;
use crate::model::{Contact, ExecutorPhase, Stage};

#[test]
fn an_executor_is_launched_once_and_gets_its_tasks_when_its_container_can_hold_them() {
    let mut bench = Bench::registered();
    let actions = bench.queue("t", Some(true));
    let launch = actions.iter().position(|action| matches!(action, Action::Launch(_))).unwrap();
    let is_written = |is_it: fn(&Write) -> bool| {
        let at = actions.iter().position(|action| matches!(action, Action::Write(write) if is_it(write)));
        at.is_some_and(|at| at < launch)
    };
    assert!(is_written(|write| matches!(write, Write::Executor(_, _, false))), "it was not generated");
    assert!(is_written(|write| matches!(write, Write::Task(..))));
    let Action::Launch(launch) = &actions[launch] else { unreachable!() };
    let Launched::Executor(launched) = &launch.what else { panic!("a task was launched") };
    assert_eq!(launched.resources.len(), 2, "its own and the task's");
    assert_eq!(launched.executor.resources.len(), 1);

    // More tasks wait with the first, and nothing is sent before it registers.
    let actions = bench.queue("u", Some(false));
    assert!(!actions.iter().any(|action| matches!(action, Action::Launch(_) | Action::ToExecutor(..))));
    bench.container(ContainerEvent::Up);
    let actions = bench.step(says(libprocess(), Call::Register));
    let at = |is_it: fn(&Action) -> bool| actions.iter().position(is_it).unwrap();
    let pid = at(
        |action| matches!(action, Action::Write(write) if matches!(&**write, Write::ExecutorPid(_, pid) if pid == PID)),
    );
    let told = at(|action| matches!(action, Action::ToExecutor(..)));
    assert!(pid < told);
    assert!(actions.contains(&Action::Link(PID.into())));
    assert!(matches!(to_executor(&actions)[..], [(_, ToExecutor::Registered(..))]));
    let (token, cpus) = asked(&actions).unwrap();
    assert!((cpus - 2.5).abs() < 1e-9);
    let actions = bench.container(ContainerEvent::Updated { token, result: Ok(()) });
    assert_eq!(given(&actions), ["t", "u"]);
    let (peer, ToExecutor::Run(message)) = to_executor(&actions)[0] else { unreachable!() };
    assert_eq!((peer, message.pid.as_deref()), (&libprocess(), Some("@0.0.0.0:0")));

    // One that runs gets more.
    let actions = bench.queue("v", None);
    assert!(given(&actions).is_empty());
    assert_eq!(given(&bench.updated(&actions)), ["v"]);
}

#[rstest::rstest]
#[case::a_second_launch(Some(true), "already there", true)]
#[case::it_ends(None, "terminating", false)]
fn a_task_whose_executor_is_not_as_the_master_believes_is_dropped(
    #[case] launch_executor: Option<bool>,
    #[case] named: &str,
    #[case] shuts_down: bool,
) {
    let mut bench = Bench::with_executor();
    if launch_executor.is_none() {
        let end = internal::ShutdownExecutorMessage {
            framework_id: Some(v1::FrameworkId { value: "F".into() }),
            executor_id: Some(v1::ExecutorId { value: "E".into() }),
        };
        assert!(has_shutdown(&bench.step(from_master(Message::ShutdownExecutor(end)))));
    }
    let actions = bench.queue("u", launch_executor);
    let status = &sent(&actions)[0].status;
    assert_eq!((status.state(), status.reason()), (TaskState::TaskLost, Reason::ExecutorTerminated));
    assert!(status.message().contains(named), "{}", status.message());
    assert_eq!(has_shutdown(&actions), shuts_down);
    assert_eq!(exits(&actions), [0; 0], "its end tells");
}

/// Without an executor, the master holds no resources for one.
#[test]
fn a_task_for_an_executor_that_is_gone_is_dropped() {
    let mut bench = Bench::registered();
    let actions = bench.queue("t", Some(false));
    assert_eq!(sent(&actions)[0].status.reason(), Reason::ExecutorTerminated);
    assert_eq!(exits(&actions), [0; 0]);
    assert!(bench.state.agent().frameworks.is_empty());
}

/// The garbage collector may let go of the second task's directories first.
#[test]
fn the_tasks_of_one_executor_are_looked_at_in_their_order() {
    let mut bench = Bench::registered();
    bench.step(wants(custom_task("t", "E"), Some(true)));
    bench.step(wants(custom_task("u", "E"), Some(false)));
    assert_eq!(bench.step(Event::Unscheduled(framework_id("F"), task_id("u"))), []);
    let actions = bench.step(Event::Unscheduled(framework_id("F"), task_id("t")));
    assert_eq!(actions.iter().filter(|action| matches!(action, Action::Launch(_))).count(), 1);
    let framework = &bench.state.agent().frameworks[&framework_id("F")];
    assert_eq!(framework.executors[&"E".parse().unwrap()].queued_tasks().count(), 2);
}

#[test]
fn a_task_killed_while_pending_frees_the_executor_that_the_master_counts_on() {
    let mut bench = Bench::registered();
    bench.step(wants(custom_task("t", "E"), Some(true)));
    bench.step(wants(custom_task("u", "E"), Some(false)));
    bench.step(Event::Unscheduled(framework_id("F"), task_id("u")));
    let actions = bench.step(kill("F", "t"));
    assert_eq!(exits(&actions), [-1]);
    let told: Vec<_> = sent(&actions).iter().map(|update| update.status.reason()).collect();
    assert_eq!(told, [Reason::TaskKilledDuringLaunch, Reason::ExecutorTerminated], "the next goes on");
    assert!(bench.state.agent().frameworks.is_empty());
}

#[test]
fn a_container_that_cannot_be_updated_is_destroyed_and_its_tasks_are_told() {
    let mut bench = Bench::registered();
    bench.queue("t", Some(true));
    let actions = bench.step(says(libprocess(), Call::Register));
    let (token, _) = asked(&actions).unwrap();
    let id = bench.run().container_id;
    let actions = bench.container(ContainerEvent::Updated { token, result: Err("no cgroup".into()) });
    assert_eq!(actions, [Action::Kill(id, Some(Duration::ZERO))]);
    let actions =
        bench.container(ContainerEvent::Terminated(Box::new(Gone { status: Some(9), ..Gone::default() })));
    let status = &sent(&actions)[0].status;
    assert_eq!((status.state(), status.reason()), (TaskState::TaskLost, Reason::ContainerUpdateFailed));
    assert_eq!(status.message(), "Failed to update resources for container: no cgroup");
    assert_eq!(exits(&actions), [9]);
}

#[test]
fn a_launch_that_is_refused_fails_the_tasks_that_wait() {
    let mut bench = Bench::registered();
    bench.queue("t", Some(true));
    let actions = bench.container(ContainerEvent::Refused("no such image".into()));
    let status = &sent(&actions)[0].status;
    assert_eq!((status.state(), status.reason()), (TaskState::TaskFailed, Reason::ContainerLaunchFailed));
    assert_eq!(status.message(), "Failed to launch container: no such image");
    assert_eq!(exits(&actions), [-1]);
    assert_eq!(bench.state.agent().counters.container_launch_errors, 1);
}

#[test]
fn a_queued_task_is_in_its_queue() {
    let mut bench = Bench::registered();
    bench.queue("t", Some(true));
    let framework = &bench.state.agent().frameworks[&framework_id("F")];
    let executor = &framework.executors[&"E".parse().unwrap()];
    assert!(matches!(executor.tasks[0].stage, Stage::Queued(_)));
    assert_eq!((executor.phase, &executor.contact), (ExecutorPhase::Registering, &Contact::Nobody));
}
