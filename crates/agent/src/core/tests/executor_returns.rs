//! Executors whose connection breaks, and what they are told when they come back.

use mesos_proto::v1::TaskState;
use mesos_proto::v1::task_status::Reason;

use super::executor_rig::{custom_task, given, has_shutdown, libprocess, says, tells, to_executor};
use super::*;
use crate::model::{ExecutorPhase, Peer};

fn returns(stream: u64, tasks: &[&str]) -> Event {
    let tasks = tasks.iter().map(|task| custom_task(task, "E")).collect();
    says(Peer::Http(stream), Call::Subscribe { tasks, updates: Vec::new() })
}

fn told_over(stream: u64, told: internal::StatusUpdate) -> Event {
    says(Peer::Http(stream), Call::Update(Box::new(told)))
}

/// The tasks that an executor's program is asked to kill.
fn killed(actions: &[Action]) -> Vec<(&Peer, &str)> {
    fn kill<'a>((peer, message): (&'a Peer, &'a ToExecutor)) -> Option<(&'a Peer, &'a str)> {
        let ToExecutor::Kill(message) = message else { return None };
        Some((peer, &message.task_id.value))
    }
    to_executor(actions).into_iter().filter_map(kill).collect()
}

/// An executor that speaks HTTP and was given `t`.
fn subscribed() -> Bench {
    let mut bench = Bench::registered();
    bench.queue("t", Some(true));
    let actions = bench.step(returns(1, &[]));
    assert_eq!(given(&bench.updated(&actions)), ["t"]);
    bench
}

#[test]
fn a_kill_waits_for_an_executor_whose_stream_is_broken() {
    let mut bench = subscribed();
    bench.step(told_over(1, tells("t", TaskState::TaskRunning)));
    assert_eq!(bench.step(Event::PeerGone(Peer::Http(1))), []);
    assert_eq!(bench.step(kill("F", "t")), []);
    let actions = bench.step(returns(2, &[]));
    assert_eq!(killed(&actions), [(&Peer::Http(2), "t")]);
    let at = |is_it: fn(&ToExecutor) -> bool| {
        to_executor(&actions).iter().position(|(_, message)| is_it(message)).unwrap()
    };
    assert!(
        at(|message| matches!(message, ToExecutor::Registered(..)))
            < at(|message| matches!(message, ToExecutor::Kill(_)))
    );
    // Once the task has ended nobody is asked any more.
    bench.step(told_over(2, tells("t", TaskState::TaskKilled)));
    assert_eq!(killed(&bench.step(returns(3, &[]))), []);
    assert!(bench.state.kills.is_empty());
}

/// What is written to a stream that is about to break is not read.
#[test]
fn a_kill_that_was_sent_before_the_stream_broke_is_sent_again() {
    let mut bench = subscribed();
    bench.step(told_over(1, tells("t", TaskState::TaskRunning)));
    assert_eq!(killed(&bench.step(kill("F", "t"))), [(&Peer::Http(1), "t")]);
    bench.step(Event::PeerGone(Peer::Http(1)));
    assert_eq!(killed(&bench.step(returns(2, &[]))), [(&Peer::Http(2), "t")]);
    bench.container(ContainerEvent::Terminated(Box::default()));
    assert!(bench.state.kills.is_empty());
}

#[test]
fn a_killed_task_that_never_arrived_is_given_up_and_its_executor_with_it() {
    let mut bench = subscribed();
    bench.step(Event::PeerGone(Peer::Http(1)));
    bench.step(kill("F", "t"));
    let actions = bench.step(returns(2, &[]));
    assert_eq!(killed(&actions), []);
    let status = &sent(&actions)[0].status;
    assert_eq!((status.state(), status.reason()), (TaskState::TaskLost, Reason::AgentRestarted));
    assert!(has_shutdown(&actions), "nothing was ever given to it");
    assert!(bench.state.kills.is_empty());
}

/// A program that does not say what it has when it comes back: the master has given the resources away.
#[test]
fn a_task_that_was_given_up_and_runs_nevertheless_is_killed() {
    let mut bench = subscribed();
    let actions = bench.queue("u", Some(false));
    bench.updated(&actions);
    bench.step(told_over(1, tells("u", TaskState::TaskRunning)));
    bench.step(Event::PeerGone(Peer::Http(1)));
    let actions = bench.step(returns(2, &[]));
    let dropped = sent(&actions)[0].clone();
    assert_eq!((dropped.status.task_id.value.as_str(), dropped.status.state()), ("t", TaskState::TaskLost));
    assert_eq!(bench.phase(), ExecutorPhase::Running, "it has another task");
    let actions = bench.step(told_over(2, tells("t", TaskState::TaskRunning)));
    assert_eq!(killed(&actions), [(&Peer::Http(2), "t")]);
    assert!(sent(&actions).is_empty());
    // Also when its end is history; the end itself needs no kill.
    bench.step(acknowledge(&dropped));
    let actions = bench.step(told_over(2, tells("t", TaskState::TaskRunning)));
    assert_eq!(killed(&actions), [(&Peer::Http(2), "t")]);
    assert_eq!(killed(&bench.step(told_over(2, tells("t", TaskState::TaskKilled)))), []);
}

/// It is of an earlier run of that name, whose tasks are told as ended.
#[test]
fn who_registers_again_is_not_taken_for_one_that_was_just_launched() {
    let mut bench = Bench::registered();
    bench.queue("t", Some(true));
    let call = Call::Reregister { tasks: Vec::new(), updates: Vec::new() };
    let actions = bench.step(says(libprocess(), call));
    assert_eq!(actions, [Action::ToExecutor(libprocess(), Box::new(ToExecutor::Shutdown))]);
    assert_eq!(bench.phase(), ExecutorPhase::Registering);
    let actions = bench.step(says(libprocess(), Call::Register));
    assert_eq!(given(&bench.updated(&actions)), ["t"]);
}
