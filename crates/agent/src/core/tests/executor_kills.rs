//! Kills of tasks that executors have, or wait for.

use mesos_proto::v1::TaskState;
use mesos_proto::v1::task_status::Reason;

use super::executor_rig::{given, has_shutdown, libprocess, says, tells, to_executor, updates};
use super::*;
use crate::model::ExecutorPhase;

#[test]
fn a_kill_in_each_phase_of_an_executor() {
    let mut bench = Bench::registered();
    bench.queue("t", Some(true));
    bench.queue("u", Some(false));
    // Before it registers, its tasks are told at once.
    let actions = bench.step(kill("F", "t"));
    let status = &sent(&actions)[0].status;
    assert_eq!((status.state(), status.reason()), (TaskState::TaskKilled, Reason::TaskKilledDuringLaunch));
    assert_eq!(to_executor(&actions), []);
    let actions = bench.step(says(libprocess(), Call::Register));
    let actions = bench.updated(&actions);
    assert_eq!(given(&actions), ["u"]);
    // What it has, it is asked to kill.
    let mut ask = internal::KillTaskMessage {
        framework_id: v1::FrameworkId { value: "F".into() },
        task_id: v1::TaskId { value: "u".into() },
        kill_policy: Some(v1::KillPolicy { grace_period: Some(v1::DurationInfo { nanoseconds: 7 }) }),
    };
    let actions = bench.step(from_master(Message::KillTask(ask.clone())));
    assert_eq!(actions, [Action::ToExecutor(libprocess(), Box::new(ToExecutor::Kill(ask.clone())))]);
    // What waits for its container to grow, is not given to it.
    let growing = bench.queue("v", Some(false));
    let actions = bench.step(kill("F", "v"));
    assert_eq!(sent(&actions)[0].status.state(), TaskState::TaskKilled);
    assert_eq!(given(&bench.updated(&growing)), [""; 0]);
    assert_eq!(bench.phase(), ExecutorPhase::Running, "it has a task");
    // When it ends, its end tells.
    ask.kill_policy = None;
    bench.step(updates(&tells("u", TaskState::TaskStaging)));
    assert_eq!(bench.step(from_master(Message::KillTask(ask))), []);
}

#[rstest::rstest]
#[case::before_it_registers(true)]
#[case::while_its_container_grows(false)]
fn an_executor_that_was_never_given_a_task_is_shut_down(#[case] before: bool) {
    let mut bench = Bench::registered();
    bench.queue("t", Some(true));
    let actions = if before {
        bench.step(kill("F", "t"));
        bench.step(says(libprocess(), Call::Register))
    } else {
        bench.step(says(libprocess(), Call::Register));
        bench.step(kill("F", "t"))
    };
    assert!(has_shutdown(&actions));
    assert_eq!(bench.phase(), ExecutorPhase::Terminating);
}

#[test]
fn a_drain_kills_what_executors_have_with_its_grace() {
    let mut bench = Bench::with_executor();
    bench.queue("q", Some(false));
    let config = v1::DrainConfig {
        max_grace_period: Some(v1::DurationInfo { nanoseconds: 4_000_000_000 }),
        ..Default::default()
    };
    let actions = bench.step(from_master(Message::Drain(internal::DrainSlaveMessage { config })));
    let status = &sent(&actions)[0].status;
    assert_eq!((status.task_id.value.as_str(), status.reason()), ("q", Reason::AgentDraining));
    let kills: Vec<_> = to_executor(&actions)
        .into_iter()
        .filter_map(|(_, message)| match message {
            ToExecutor::Kill(message) => Some((message.task_id.value.as_str(), message.kill_policy)),
            _ => None,
        })
        .collect();
    let policy = v1::KillPolicy { grace_period: Some(v1::DurationInfo { nanoseconds: 4_000_000_000 }) };
    assert_eq!(kills, [("t", Some(policy))]);
}
