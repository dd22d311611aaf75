//! What is given to the garbage collector, and what is taken back.

use mesos_proto::v1::TaskState;

use super::executor_rig::{custom_task, tells, updates, wants};
use super::*;

/// What the garbage collector is given.
fn collected(actions: &[Action]) -> Vec<&Garbage> {
    fn garbage(action: &Action) -> Option<&Garbage> {
        match action {
            Action::Collect(garbage) | Action::CollectAgain(garbage) => Some(garbage),
            _ => None,
        }
    }
    actions.iter().filter_map(garbage).collect()
}

/// Has the master hear and acknowledge every status of these.
fn acknowledged(bench: &mut Bench, told: &[Action]) -> Vec<Action> {
    let updates: Vec<_> = sent(told).into_iter().cloned().collect();
    updates.iter().flat_map(|update| bench.step(acknowledge(update))).collect()
}

/// Its record is where that of the first was, which was given away when that ended.
#[test]
fn an_id_that_comes_again_takes_its_directory_back() {
    let mut bench = Bench::with_executor();
    let run = bench.run();
    let ended = bench.step(updates(&tells("t", TaskState::TaskFinished)));
    let actions = acknowledged(&mut bench, &ended);
    assert_eq!(collected(&actions), [&Garbage::Task(run.clone(), task_id("t"))]);
    let actions = bench.step(wants(custom_task("t", "E"), Some(false)));
    let executor_id = run.executor_id.clone();
    assert_eq!(actions, [Action::Unschedule(framework_id("F"), executor_id, task_id("t"), Some(run))]);
}

/// A new executor has nothing in a run yet.
#[test]
fn the_first_task_of_an_executor_takes_its_frameworks_and_executors_back() {
    let mut bench = Bench::registered();
    let actions = bench.step(wants(custom_task("t", "E"), Some(true)));
    let executor_id = "E".parse().unwrap();
    assert_eq!(actions, [Action::Unschedule(framework_id("F"), executor_id, task_id("t"), None)]);
}

/// The directory was taken back when the task came; it would be removed under the executor that is launched for it.
#[test]
fn a_task_that_waits_keeps_the_directory_of_an_executor_that_ends_meanwhile() {
    let mut bench = Bench::with_executor();
    let first = bench.run();
    bench.step(wants(custom_task("u", "E"), None));
    let ended = bench.container(ContainerEvent::Terminated(Box::default()));
    let actions = acknowledged(&mut bench, &ended);
    assert_eq!(collected(&actions).last(), Some(&&Garbage::Run(first.clone())), "{actions:?}");
    let actions = bench.step(Event::Unscheduled(framework_id("F"), task_id("u")));
    assert!(actions.iter().any(|action| matches!(action, Action::Launch(_))), "{actions:?}");
    // Once nobody waits it goes, too.
    let second = bench.run();
    assert_ne!(first, second);
    let ended = bench.container(ContainerEvent::Terminated(Box::default()));
    let actions = acknowledged(&mut bench, &ended);
    let executor = Garbage::Executor(framework_id("F"), second.executor_id.clone());
    assert!(collected(&actions).contains(&&executor), "{actions:?}");
}
