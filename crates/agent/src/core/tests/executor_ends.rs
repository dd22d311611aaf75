//! Executors that are ended, and who hears of it.

use mesos_proto::v1::TaskState;
use mesos_proto::v1::task_status::Reason;

use super::executors::{asked, exits, has_shutdown, libprocess, says, tells};
use super::*;
use crate::model::ExecutorPhase;

fn told_by_it(task: &str, state: TaskState) -> Event {
    says(libprocess(), Call::Update(Box::new(tells(task, state))))
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
