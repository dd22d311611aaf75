//! What an earlier process left.

use checkpoint::WorkDir;
use checkpoint::recover::{RecoveredExecutor, RecoveredFramework, RecoveredRun, RecoveredTask};
use mesos_types::ContainerId;

use super::*;
use crate::model::ExecutorPhase;

/// A framework whose info names no id, with an executor of one run; a task in it that told nothing yet.
fn left(run: ContainerId, older: ContainerId, completed: bool) -> Recovered {
    let paths = WorkDir::new("/w").agent(&AGENT.parse().unwrap()).framework(&framework_id("F"));
    let executor = paths.executor(&"t".parse().unwrap());
    let run_of = |id, completed, tasks| RecoveredRun {
        id,
        paths: executor.run(id),
        completed,
        forked_pid: None,
        libprocess_pid: None,
        http: false,
        tasks,
    };
    let info = v1::Task {
        task_id: v1::TaskId { value: "t".into() },
        resources: vec![v1::Resource { name: "cpus".into(), role: Some("web".into()), ..Default::default() }],
        ..Default::default()
    };
    let task = RecoveredTask {
        id: task_id("t"),
        paths: executor.run(run).task(&task_id("t")),
        info,
        updates: checkpoint::recover::RecoveredUpdates::default(),
    };
    let executor = RecoveredExecutor {
        id: "t".parse().unwrap(),
        paths: executor.clone(),
        info: v1::ExecutorInfo::default(),
        generated: true,
        latest: run,
        runs: vec![run_of(older, true, Vec::new()), run_of(run, completed, vec![task])],
    };
    let info = v1::FrameworkInfo { id: None, checkpoint: Some(true), ..Default::default() };
    let framework =
        RecoveredFramework { id: framework_id("F"), paths, info, pid: None, executors: vec![executor] };
    Recovered {
        agent_id: Some(AGENT.parse().unwrap()),
        frameworks: vec![framework],
        accepted: [(run, docker_task("t"))].into(),
        ..Recovered::default()
    }
}

#[test]
fn what_is_told_of_it_is_what_a_master_takes() {
    let mut bench = Bench::recovered();
    let (run, older) = (ContainerId::random(), ContainerId::random());
    bench.step(Event::Recovered(Box::new(left(run, older, false))));
    let framework = bench.state.agent().frameworks.get(&framework_id("F")).unwrap();
    let task = &framework.live_task(&task_id("t")).unwrap().1.task;
    assert_eq!((task.resources[0].role.clone(), task.resources[0].reservations.len()), (None, 1), "our form");
    let message = bench.state.reregister_message();
    assert_eq!(message.frameworks[0].id.as_ref().map(|id| id.value.as_str()), Some("F"));
    assert_eq!(message.tasks[0].resources[0].role.as_deref(), Some("web"));
}

/// An engine that hangs says nothing of a container; the launch is timed from when it goes on.
#[test]
fn a_run_is_not_given_up_while_nothing_is_known_of_it() {
    let mut bench = Bench::recovered();
    let (run, older) = (ContainerId::random(), ContainerId::random());
    bench.step(Event::Recovered(Box::new(left(run, older, false))));
    assert_eq!(bench.wait(Duration::from_secs(3600)), []);
    let name = Run { framework_id: framework_id("F"), executor_id: "t".parse().unwrap(), container_id: run };
    bench.step(Event::Task(name, Box::new(TaskEvent::Progress)));
    assert_eq!(bench.wait(Duration::from_secs(61)), [Action::Kill(run, Some(Duration::ZERO))]);
}

#[rstest::rstest]
#[case::of_a_run_that_goes_on(false)]
#[case::of_an_executor_that_ended(true)]
fn what_is_over_waits_for_its_removal_again(#[case] completed: bool) {
    let mut bench = Bench::recovered();
    let (run, older) = (ContainerId::random(), ContainerId::random());
    let actions = bench.step(Event::Recovered(Box::new(left(run, older, completed))));
    let collected = |id| {
        actions.iter().any(
            |action| matches!(action, Action::CollectAgain(Garbage::Run(found)) if found.container_id == id),
        )
    };
    assert!(collected(older));
    assert_eq!(collected(run), completed);
    let executor = Garbage::Executor(framework_id("F"), "t".parse().unwrap());
    assert_eq!(actions.contains(&Action::CollectAgain(executor)), completed);
    let phase = bench
        .state
        .agent()
        .frameworks
        .get(&framework_id("F"))
        .map(|framework| framework.executors.values().map(|executor| executor.phase).collect::<Vec<_>>());
    assert_eq!(phase, (!completed).then(|| vec![ExecutorPhase::Registering]));
}
