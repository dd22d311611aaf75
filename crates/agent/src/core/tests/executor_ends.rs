//! Executors that are ended, and who hears of it.

use mesos_proto::v1::TaskState;
use mesos_proto::v1::task_status::Reason;

use super::executor_rig::{
    asked, custom_task, exits, has_shutdown, says, subscribes, tells, to_executor, updates, wants,
};
use super::*;
use crate::model::{ExecutorPhase, Peer};

fn told_by_it(task: &str, state: TaskState) -> Event {
    updates(&tells(task, state))
}

fn reregistered() -> Event {
    from_master(Message::Reregistered(internal::SlaveReregisteredMessage {
        slave_id: v1::AgentId { value: AGENT.into() },
        ..Default::default()
    }))
}

fn drain() -> Event {
    from_master(Message::Drain(internal::DrainSlaveMessage { config: v1::DrainConfig::default() }))
}

/// The registration that the master is taking names it.
#[rstest::rstest]
#[case::during_the_registration(true)]
#[case::while_nobody_leads(false)]
fn an_executor_that_ends_outside_of_a_registration_is_told_after_it(#[case] is_registering: bool) {
    let mut bench = Bench::with_executor();
    bench.step(Event::Detected(None));
    if is_registering {
        bench.step(detected());
        bench.wait(Duration::from_secs(2));
    }
    let gone = Gone { status: Some(256), ..Gone::default() };
    let actions = bench.container(ContainerEvent::Terminated(Box::new(gone)));
    assert_eq!(exits(&actions), [0; 0]);
    if !is_registering {
        bench.step(detected());
        bench.wait(Duration::from_secs(2));
    }
    assert_eq!(exits(&bench.step(reregistered())), [256]);
    assert!(bench.state.exits.is_empty());
}

#[test]
fn a_container_that_keeps_more_than_its_tasks_need_is_left_alone() {
    let mut bench = Bench::with_executor();
    let actions = bench.queue("u", Some(false));
    bench.updated(&actions);
    let actions = bench.step(told_by_it("t", TaskState::TaskFinished));
    let (token, _) = asked(&actions).unwrap();
    let result = Err("device or resource busy".to_owned());
    assert_eq!(bench.container(ContainerEvent::Updated { token, result }), []);
    assert_eq!(bench.phase(), ExecutorPhase::Running);
    // So is one whose new task was killed meanwhile.
    let actions = bench.queue("v", Some(false));
    let (token, _) = asked(&actions).unwrap();
    bench.step(kill("F", "v"));
    assert_eq!(bench.container(ContainerEvent::Updated { token, result: Err("busy".into()) }), []);
    assert_eq!(bench.phase(), ExecutorPhase::Running);
}

#[test]
fn an_executor_that_is_being_stopped_keeps_its_grace_and_its_end() {
    let mut bench = Bench::with_executor();
    let actions = bench.queue("u", Some(false));
    let (token, _) = asked(&actions).unwrap();
    bench.step(told_by_it("t", TaskState::TaskStaging));
    assert_eq!(bench.phase(), ExecutorPhase::Terminating);
    assert_eq!(bench.container(ContainerEvent::Updated { token, result: Err("busy".into()) }), []);
    let actions = bench.container(ContainerEvent::Terminated(Box::default()));
    let reasons: Vec<_> = sent(&actions).iter().map(|update| update.status.reason()).collect();
    assert_eq!(reasons, [Reason::ExecutorTerminated; 2]);
}

/// Otherwise the drain would not end, and every task be dropped, for as long as the executor likes.
#[test]
fn a_drain_ends_executors_with_their_last_tasks() {
    let mut bench = Bench::with_executor();
    let actions = bench.queue("u", Some(false));
    bench.updated(&actions);
    assert!(!has_shutdown(&bench.step(drain())), "it has tasks");
    let first = bench.step(told_by_it("t", TaskState::TaskKilled));
    assert!(!has_shutdown(&first));
    let last = bench.step(told_by_it("u", TaskState::TaskKilled));
    assert!(has_shutdown(&last));
    let is_answer = |action: &Action| matches!(action, Action::ToExecutor(_, message) if matches!(**message, ToExecutor::Acknowledge(_)));
    let is_end = |action: &Action| matches!(action, Action::ToExecutor(_, message) if **message == ToExecutor::Shutdown);
    assert!(last.iter().position(is_answer) < last.iter().position(is_end));
    assert!(!has_shutdown(&bench.step(Event::Tick)), "it is asked once");
    bench.container(ContainerEvent::Terminated(Box::default()));
    bench.step(acknowledge(sent(&first)[0]));
    let actions = bench.step(acknowledge(sent(&last)[0]));
    let is_done = |action: &Action| matches!(action, Action::Write(write) if **write == Write::Drain(None));
    assert!(actions.iter().any(is_done));
}

#[test]
fn a_drain_ends_an_executor_that_has_no_task() {
    let mut bench = Bench::with_executor();
    bench.step(told_by_it("t", TaskState::TaskFinished));
    assert!(has_shutdown(&bench.step(drain())));
}

#[test]
fn a_drain_ends_an_executor_that_is_still_launched_and_whose_tasks_are_killed() {
    let mut bench = Bench::registered();
    bench.queue("t", Some(true));
    let id = bench.run().container_id;
    let actions = bench.step(drain());
    assert!(actions.contains(&Action::Kill(id, Some(Duration::ZERO))), "{actions:?}");
}

/// The next process of the agent goes on with the drain.
#[test]
fn an_agent_that_leaves_while_it_drains_ends_nobody() {
    let mut bench = Bench::with_executor();
    bench.step(drain());
    assert_eq!(bench.step(Event::Stop(StopWish::Leave)).last(), Some(&Action::Exit(Exit::Asked)));
    assert!(!has_shutdown(&bench.step(told_by_it("t", TaskState::TaskKilled))));
}

#[test]
fn the_end_of_an_executor_ends_its_tasks_once_and_is_told_with_its_status() {
    let mut bench = Bench::with_executor();
    bench.queue("u", Some(false));
    let actions = bench.step(updates(&tells("t", TaskState::TaskFinished)));
    let first = sent(&actions)[0].clone();
    let gone = Gone { status: Some(256), ..Gone::default() };
    let actions = bench.container(ContainerEvent::Terminated(Box::new(gone)));
    let told: Vec<_> = sent(&actions).iter().map(|update| update.status.clone()).collect();
    assert_eq!(told.len(), 1, "the one that ended has its status");
    assert_eq!((told[0].task_id.value.as_str(), told[0].state()), ("u", TaskState::TaskFailed));
    assert_eq!(told[0].reason(), Reason::ExecutorTerminated);
    assert_eq!(exits(&actions), [256]);
    let second = sent(&actions)[0].clone();
    assert_eq!(bench.container(ContainerEvent::Terminated(Box::default())), []);
    bench.step(acknowledge(&first));
    let actions = bench.step(acknowledge(&second));
    let has = |is_it: fn(&Write) -> bool| {
        actions.iter().any(|action| matches!(action, Action::Write(write) if is_it(write)))
    };
    assert!(has(|write| matches!(write, Write::Sentinel(_))));
    assert!(bench.state.agent().frameworks.is_empty());
    assert_eq!(bench.state.agent().counters.executors_terminated, 1);
}

#[test]
fn a_framework_that_ends_has_its_executors_end_within_their_grace() {
    let mut bench = Bench::registered();
    let mut task = custom_task("t", "E");
    if let Some(executor) = &mut task.executor {
        executor.shutdown_grace_period = Some(v1::DurationInfo { nanoseconds: 9_000_000_000 });
    }
    bench.step(wants(task, Some(true)));
    bench.step(Event::Unscheduled(framework_id("F"), task_id("t")));
    bench.step(subscribes(1));
    let end = internal::ShutdownFrameworkMessage { framework_id: v1::FrameworkId { value: "F".into() } };
    let actions = bench.step(from_master(Message::ShutdownFramework(end)));
    assert!(has_shutdown(&actions));
    let id = bench.run().container_id;
    assert_eq!(bench.wait(Duration::from_secs(8)), []);
    assert_eq!(bench.wait(Duration::from_secs(2)), [Action::Kill(id, Some(Duration::ZERO))]);
    // Nothing is told of its tasks, but the executor's end is.
    let actions = bench.container(ContainerEvent::Terminated(Box::default()));
    assert!(sent(&actions).is_empty());
    assert_eq!(exits(&actions), [-1]);
    assert!(bench.state.agent().frameworks.is_empty());
}

#[test]
fn who_waits_for_nobody_is_stopped_at_once() {
    let mut bench = Bench::registered();
    bench.queue("t", Some(true));
    let end = internal::ShutdownFrameworkMessage { framework_id: v1::FrameworkId { value: "F".into() } };
    let id = bench.run().container_id;
    let actions = bench.step(from_master(Message::ShutdownFramework(end)));
    assert_eq!(actions, [Action::Kill(id, Some(Duration::ZERO))]);
}

/// The next process of the agent finds it where it is.
#[test]
fn an_agent_that_leaves_leaves_executors_alone_and_does_not_hear_them() {
    let mut bench = Bench::with_executor();
    let (_, _) = bench.launch(framework("G", &[]), "d");
    let mut transient = framework("H", &[]);
    transient.checkpoint = Some(false);
    bench.launch(transient, "h");
    let actions = bench.step(Event::Stop(StopWish::Leave));
    assert_eq!(to_executor(&actions), []);
    assert_eq!(
        bench.step(says(Peer::Http(9), Call::Subscribe { tasks: Vec::new(), updates: Vec::new() })),
        [Action::ClosePeer(Peer::Http(9))]
    );
    assert_eq!(bench.phase(), ExecutorPhase::Running);
}
