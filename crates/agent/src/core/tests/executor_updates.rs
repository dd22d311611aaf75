//! The statuses that executors tell.

use mesos_proto::v1::TaskState;
use mesos_proto::v1::task_status::Source;

use super::executor_rig::{asked, custom_task, given, has_shutdown, tells, to_executor, updates, wants};
use super::*;

#[test]
fn a_status_is_acknowledged_after_it_is_written_and_a_repeated_one_again() {
    let mut bench = Bench::with_executor();
    let told = tells("t", TaskState::TaskRunning);
    let actions = bench.step(updates(&told));
    let written = actions
        .iter()
        .position(|action| matches!(action, Action::Write(write) if matches!(**write, Write::Update(..))));
    let answered = actions.iter().position(|action| matches!(action, Action::ToExecutor(..)));
    assert!(written.unwrap() < answered.unwrap());
    let [(_, ToExecutor::Acknowledge(answer))] = to_executor(&actions)[..] else { panic!("no answer") };
    assert_eq!(Some(&answer.uuid), told.uuid.as_ref());
    let status = &sent(&actions)[0].status;
    assert_eq!(status.source(), Source::Executor);
    assert_eq!(status.executor_id.as_ref().map(|id| id.value.as_str()), Some("E"));
    assert_eq!((status.timestamp, status.uuid.clone()), (Some(5.0), told.uuid.clone()));
    let container = status.container_status.clone().unwrap();
    assert_eq!(container.container_id.unwrap().value, bench.run().container_id.to_string());

    let actions = bench.step(updates(&told));
    assert!(matches!(actions[..], [Action::ToExecutor(..)]), "only the answer: {actions:?}");

    // It does not take the task back to where it was then.
    bench.step(updates(&tells("t", TaskState::TaskKilling)));
    bench.step(updates(&told));
    let framework = &bench.state.agent().frameworks[&framework_id("F")];
    assert_eq!(framework.live_task(&task_id("t")).unwrap().1.state(), TaskState::TaskKilling);

    // The end gives back what the task held; what follows it goes no further.
    let actions = bench.step(updates(&tells("t", TaskState::TaskFinished)));
    assert!((asked(&actions).unwrap().1 - 0.5).abs() < 1e-9);
    let actions = bench.step(updates(&tells("t", TaskState::TaskFailed)));
    assert!(matches!(actions[..], [Action::ToExecutor(..)]), "{actions:?}");
    assert_eq!(bench.state.agent().counters.tasks_finished, 1);
}

/// An executor that did not hear the acknowledgement tells the end again, also when its framework has heard it.
#[test]
fn a_status_of_a_completed_task_is_acknowledged_and_goes_no_further() {
    let mut bench = Bench::with_executor();
    let told = tells("t", TaskState::TaskFinished);
    let actions = bench.step(updates(&told));
    let update = sent(&actions)[0].clone();
    bench.step(acknowledge(&update));
    let actions = bench.step(updates(&told));
    assert!(matches!(actions[..], [Action::ToExecutor(..)]), "{actions:?}");
}

/// Frameworks use an id again once its task has ended.
#[test]
fn an_id_that_comes_again_tells_of_its_new_task() {
    let mut bench = Bench::with_executor();
    let actions = bench.step(updates(&tells("t", TaskState::TaskFinished)));
    let update = sent(&actions)[0].clone();
    bench.step(acknowledge(&update));
    let actions = bench.queue("t", Some(false));
    assert_eq!(given(&bench.updated(&actions)), ["t"]);
    for state in [TaskState::TaskRunning, TaskState::TaskFailed] {
        let actions = bench.step(updates(&tells("t", state)));
        let has_it = |action: &Action| {
            matches!(action, Action::Write(write) if matches!(&**write,
                Write::Update(_, _, record) if record.update.as_ref().is_some_and(|update| update.status.state() == state)))
        };
        assert!(actions.iter().any(has_it), "{actions:?}");
    }
}

#[rstest::rstest]
#[case::of_no_id(|told: &mut internal::StatusUpdate| told.uuid = None)]
#[case::of_a_short_id(|told: &mut internal::StatusUpdate| told.uuid = Some(vec![1; 4]))]
#[case::for_another_agent(|told: &mut internal::StatusUpdate| told.slave_id = Some(v1::AgentId { value: "x".into() }))]
#[case::within_for_another_agent(|told: &mut internal::StatusUpdate| {
    told.status.agent_id = Some(v1::AgentId { value: "x".into() });
})]
#[case::of_another_framework(|told: &mut internal::StatusUpdate| told.framework_id.value = "G".into())]
#[case::of_another_executors_task(|told: &mut internal::StatusUpdate| told.status.task_id.value = "d".into())]
#[case::of_a_task_that_it_was_not_given(|told: &mut internal::StatusUpdate| told.status.task_id.value = "q".into())]
#[case::of_a_pending_task(|told: &mut internal::StatusUpdate| told.status.task_id.value = "p".into())]
fn a_status_that_cannot_be_is_dropped(#[case] spoil: fn(&mut internal::StatusUpdate)) {
    let mut bench = Bench::with_executor();
    bench.launch(framework("F", &[]), "d");
    bench.queue("q", None);
    bench.step(wants(custom_task("p", "E"), None));
    let mut told = tells("t", TaskState::TaskFailed);
    spoil(&mut told);
    assert_eq!(bench.step(updates(&told)), []);
    assert_eq!(bench.state.agent().counters.invalid_status_updates, 1);
}

#[test]
fn an_executor_that_tells_staging_is_shut_down() {
    let mut bench = Bench::with_executor();
    let actions = bench.step(updates(&tells("t", TaskState::TaskStaging)));
    assert!(has_shutdown(&actions));
    assert!(sent(&actions).is_empty());
    // It has its grace to end.
    let id = bench.run().container_id;
    assert_eq!(bench.wait(Duration::from_secs(4)), []);
    assert_eq!(bench.wait(Duration::from_secs(2)), [Action::Kill(id, Some(Duration::ZERO))]);
}
