//! Programs that say that they are executors' and are not: what can be known of them is refused.

use mesos_proto::v1::TaskState;

use super::executor_rig::{says, tells, to_executor};
use super::*;
use crate::model::{Contact, ExecutorPhase, Peer};

const STRANGER: &str = "executor(1)@127.0.0.1:4999";

fn stranger() -> Peer {
    Peer::Libprocess(STRANGER.into())
}

fn subscribe() -> Call {
    Call::Subscribe { tasks: Vec::new(), updates: Vec::new() }
}

/// An agent whose executor `E` a program of `peer` speaks for, and the peer that it has then.
fn registered_by(peer: &Peer) -> Bench {
    let mut bench = Bench::registered();
    bench.queue("t", Some(true));
    let call = match peer {
        Peer::Libprocess(_) => Call::Register,
        Peer::Http(_) => subscribe(),
    };
    let actions = bench.step(says(peer.clone(), call));
    bench.updated(&actions);
    bench
}

fn contact(bench: &Bench, executor: &str) -> Contact {
    bench.state.agent().frameworks[&framework_id("F")].executors[&executor.parse().unwrap()].contact.clone()
}

/// The agent supervises the task itself; whoever tells its end would have its framework believe it while it runs on, and
/// TASK_STAGING would have stopped it.
#[rstest::rstest]
#[case(stranger(), TaskState::TaskFinished)]
#[case(stranger(), TaskState::TaskStaging)]
#[case(Peer::Http(0), TaskState::TaskFinished)]
fn nobody_speaks_for_a_task_of_the_agents_own(#[case] peer: Peer, #[case] state: TaskState) {
    let mut bench = Bench::registered();
    bench.launch(framework("F", &[]), "d");
    for call in [Call::Update(Box::new(tells("d", state))), Call::Message(vec![1])] {
        let mut event = says(peer.clone(), call);
        let Event::Executor(call) = &mut event else { unreachable!() };
        call.executor_id = "d".parse().unwrap();
        assert_eq!(bench.step(event), []);
    }
    let counters = &bench.state.agent().counters;
    assert_eq!((counters.invalid_status_updates, counters.invalid_framework_messages), (1, 1));
    assert_eq!(contact(&bench, "d"), Contact::InProcess);
}

#[rstest::rstest]
#[case::messages_for_one_that_subscribed(Peer::Http(1), stranger())]
#[case::calls_for_one_that_registered(stranger(), Peer::Http(0))]
fn a_program_does_not_change_what_it_speaks(#[case] own: Peer, #[case] other: Peer) {
    let mut bench = registered_by(&own);
    for call in [Call::Update(Box::new(tells("t", TaskState::TaskFinished))), Call::Message(vec![1])] {
        assert_eq!(bench.step(says(other.clone(), call)), []);
    }
    assert_eq!(contact(&bench, "E"), Contact::Peer(own.clone()));
    // Its own are taken.
    let told = bench.step(says(own, Call::Update(Box::new(tells("t", TaskState::TaskFinished)))));
    assert_eq!(sent(&told).len(), 1);
}

#[test]
fn a_subscriber_does_not_take_over_from_one_that_registered() {
    let own = Peer::Libprocess("executor(1)@127.0.0.1:4000".into());
    let mut bench = registered_by(&own);
    let actions = bench.step(says(Peer::Http(7), subscribe()));
    let turned_away = Action::ToExecutor(Peer::Http(7), Box::new(ToExecutor::Shutdown));
    assert_eq!(actions, [turned_away, Action::ClosePeer(Peer::Http(7))]);
    assert_eq!(contact(&bench, "E"), Contact::Peer(own));
}

#[test]
fn an_unknown_executor_tells_nothing() {
    let mut bench = registered_by(&stranger());
    let mut event = says(stranger(), Call::Update(Box::new(tells("x", TaskState::TaskFinished))));
    let Event::Executor(call) = &mut event else { unreachable!() };
    call.executor_id = "X".parse().unwrap();
    assert_eq!(bench.step(event), []);
    assert_eq!(bench.state.agent().counters.invalid_status_updates, 1);
}

/// One message with its address would end it.
#[rstest::rstest]
#[case::as_itself(Call::Register, "E")]
#[case::again(Call::Reregister { tasks: Vec::new(), updates: Vec::new() }, "E")]
#[case::as_another(Call::Register, "X")]
fn who_speaks_for_a_running_executor_is_not_ended_by_a_message_in_its_name(
    #[case] call: Call,
    #[case] executor: &str,
) {
    let own = Peer::Libprocess("executor(1)@127.0.0.1:4000".into());
    let mut bench = registered_by(&own);
    let mut event = says(own, call);
    let Event::Executor(call) = &mut event else { unreachable!() };
    call.executor_id = executor.parse().unwrap();
    let actions = bench.step(event);
    assert_eq!(to_executor(&actions), []);
    assert_eq!(bench.phase(), ExecutorPhase::Running);
}

#[rstest::rstest]
#[case(f64::NAN, Some(6.0), 6.0)]
#[case(f64::INFINITY, Some(6.0), 6.0)]
#[case(-1.0, Some(f64::NEG_INFINITY), 0.0)]
#[case(0.0, None, 0.0)]
fn a_status_is_of_a_time(#[case] told: f64, #[case] within: Option<f64>, #[case] expected: f64) {
    let mut bench = registered_by(&stranger());
    let mut update = tells("t", TaskState::TaskRunning);
    (update.timestamp, update.status.timestamp) = (told, within);
    let now = 1e9 + bench.elapsed.as_secs_f64();
    let actions = bench.step(says(stranger(), Call::Update(Box::new(update))));
    let expected = if expected > 0.0 { expected } else { now };
    let status = &sent(&actions)[0].status;
    assert!((status.timestamp.unwrap() - expected).abs() < 1e-9, "{status:?}");
}
