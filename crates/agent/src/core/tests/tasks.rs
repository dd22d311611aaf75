//! Tasks from their arrival to their last acknowledgement.

use mesos_proto::v1::TaskState;
use mesos_proto::v1::task_status::Reason;

use super::*;

fn is_write(action: &Action, is_it: fn(&Write) -> bool) -> bool {
    matches!(action, Action::Write(write) if is_it(write))
}

#[test]
fn a_task_is_written_before_it_is_launched_and_forgotten_after_its_last_acknowledgement() {
    let mut bench = Bench::registered();
    let (run, actions) = bench.launch(framework("F", &[]), "t");
    let at = |is_it: fn(&Write) -> bool| actions.iter().position(|action| is_write(action, is_it)).unwrap();
    let launch = actions.iter().position(|action| matches!(action, Action::Launch(_))).unwrap();
    assert!(at(|write| matches!(write, Write::Framework(..))) < launch);
    assert!(at(|write| matches!(write, Write::Executor(..))) < launch);
    assert!(at(|write| matches!(write, Write::Task(..))) < launch);

    for state in [TaskState::TaskStarting, TaskState::TaskRunning, TaskState::TaskFinished] {
        let actions = bench.step(told(&run, "t", state));
        let updates = sent(&actions);
        assert_eq!(updates.len(), 1, "{state:?}");
        assert_eq!(updates[0].latest_state, Some(state.into()));
        let container = updates[0].status.container_status.clone().unwrap();
        assert_eq!(container.container_id.unwrap().value, run.container_id.to_string());
        assert_eq!(container.network_infos[0].ip_addresses[0].ip_address.as_deref(), Some("127.0.0.1"));
        let actions = bench.step(acknowledge(&updates[0].clone()));
        if state == TaskState::TaskFinished {
            assert!(
                actions.iter().any(|action| is_write(action, |write| matches!(write, Write::Sentinel(_))))
            );
            assert!(actions.contains(&Action::Collect(Garbage::Framework(framework_id("F")))));
        }
    }
    assert!(bench.state.agent().frameworks.is_empty());
    assert_eq!(bench.state.agent().completed_frameworks.len(), 1);
    assert_eq!(bench.state.agent().counters.tasks_finished, 1);
}

#[rstest::rstest]
#[case(&[], TaskState::TaskLost)]
#[case(&[Capability::PartitionAware], TaskState::TaskDropped)]
fn what_never_started_is_dropped_or_lost(#[case] capabilities: &[Capability], #[case] expected: TaskState) {
    let mut bench = Bench::registered();
    bench.launch(framework("F", capabilities), "other");
    let actions = bench.step(kill("F", "unknown"));
    let update = sent(&actions)[0];
    assert_eq!(update.status.state(), expected);
    assert_eq!(update.status.reason(), Reason::ExecutorTerminated);
    assert_eq!(update.status.source(), v1::task_status::Source::Agent);
}

#[test]
fn a_kill_in_each_phase() {
    let mut bench = Bench::registered();
    // Nobody knows the framework.
    assert_eq!(bench.step(kill("F", "t")), []);
    // Pending: told at once, and not launched afterwards.
    bench.step(run_task(framework("F", &[]), docker_task("t")));
    let actions = bench.step(kill("F", "t"));
    assert_eq!(sent(&actions)[0].status.reason(), Reason::TaskKilledDuringLaunch);
    assert_eq!(bench.step(Event::Unscheduled(framework_id("F"), task_id("t"))), []);
    // Queued and launched: its supervision is asked, and tells the end.
    let (run, _) = bench.launch(framework("G", &[]), "u");
    let asked = vec![Action::Kill(run.container_id, None)];
    assert_eq!(bench.step(kill("G", "u")), asked);
    bench.step(told(&run, "u", TaskState::TaskRunning));
    assert_eq!(bench.step(kill("G", "u")), asked);
    // Terminated: nothing.
    bench.step(told(&run, "u", TaskState::TaskKilled));
    assert_eq!(bench.step(kill("G", "u")), []);
}

#[test]
fn a_launch_without_progress_is_given_up_and_its_end_says_why() {
    let mut bench = Bench::registered();
    let (run, _) = bench.launch(framework("F", &[]), "t");
    bench.wait(Duration::from_secs(50));
    bench.step(Event::Task(run.clone(), Box::new(TaskEvent::Progress)));
    bench.step(ping());
    assert_eq!(bench.wait(Duration::from_secs(50)), []);
    bench.step(Event::Task(run.clone(), Box::new(TaskEvent::Waiting)));
    bench.step(ping());
    assert_eq!(bench.wait(Duration::from_secs(70)), []);
    bench.step(ping());
    bench.step(Event::Task(run.clone(), Box::new(TaskEvent::Progress)));
    let actions = bench.wait(Duration::from_secs(61));
    assert_eq!(actions, [Action::Kill(run.container_id, Some(Duration::ZERO))]);
    let actions = bench.step(told(&run, "t", TaskState::TaskKilled));
    let status = &sent(&actions)[0].status;
    assert_eq!(status.state(), TaskState::TaskFailed);
    assert_eq!(status.reason(), Reason::ExecutorRegistrationTimeout);
    assert_eq!(status.message(), "Executor did not register within 1mins");
}

#[test]
fn a_framework_that_ended_tells_nothing_more_and_goes_with_its_last_container() {
    let mut bench = Bench::registered();
    let (run, _) = bench.launch(framework("F", &[]), "t");
    bench.step(run_task(framework("F", &[]), docker_task("pending")));
    bench.step(told(&run, "t", TaskState::TaskRunning));
    let end = from_master(Message::ShutdownFramework(internal::ShutdownFrameworkMessage {
        framework_id: v1::FrameworkId { value: "F".into() },
    }));
    assert_eq!(bench.step(end), [Action::Kill(run.container_id, None)]);
    let actions = bench.step(told(&run, "t", TaskState::TaskKilled));
    assert!(sent(&actions).is_empty());
    assert!(bench.state.agent().frameworks.is_empty());
    assert_eq!(bench.step(Event::Unscheduled(framework_id("F"), task_id("pending"))), []);
}

/// As in stock, where an executor tells its end to nobody, and the agent makes no status.
#[rstest::rstest]
#[case::its_end(TaskEvent::Ended(status("t", TaskState::TaskKilled)), 1)]
#[case::a_launch_that_failed(TaskEvent::Refused("why".into()), 0)]
#[case::a_launch_that_was_not_begun(TaskEvent::NeverLaunched, 0)]
fn what_is_told_of_a_framework_that_ended_is_counted_where_an_executor_tells_it(
    #[case] last: TaskEvent,
    #[case] expected: u64,
) {
    let mut bench = Bench::registered();
    let (run, _) = bench.launch(framework("F", &[]), "t");
    bench.step(from_master(Message::ShutdownFramework(internal::ShutdownFrameworkMessage {
        framework_id: v1::FrameworkId { value: "F".into() },
    })));
    let actions = bench.step(Event::Task(run, Box::new(last)));
    assert!(sent(&actions).is_empty());
    assert_eq!(bench.state.agent().counters.invalid_status_updates, expected);
}

#[test]
fn a_drain_stops_all_takes_none_and_ends_with_the_last() {
    let mut bench = Bench::registered();
    let aware = [Capability::PartitionAware];
    let (run, _) = bench.launch(framework("F", &aware), "t");
    bench.step(told(&run, "t", TaskState::TaskRunning));
    let config = v1::DrainConfig {
        max_grace_period: Some(v1::DurationInfo { nanoseconds: 2_000_000_000 }),
        mark_gone: Some(true),
    };
    let actions = bench.step(from_master(Message::Drain(internal::DrainSlaveMessage { config })));
    assert!(is_write(&actions[0], |write| matches!(write, Write::Drain(Some(_)))));
    assert_eq!(actions[1], Action::Kill(run.container_id, Some(Duration::from_secs(2))));

    bench.step(run_task(framework("F", &aware), docker_task("late")));
    let late = bench.step(Event::Unscheduled(framework_id("F"), task_id("late")));
    assert_eq!(sent(&late)[0].status.state(), TaskState::TaskDropped);
    assert_eq!(sent(&late)[0].status.reason(), Reason::AgentDraining);

    let running =
        bench.state.agent().frameworks[&framework_id("F")].live_task(&task_id("t")).unwrap().1.task.clone();
    let uuid = running.status_update_uuid.clone().unwrap();
    let ended = bench.step(told(&run, "t", TaskState::TaskKilled));
    assert!(sent(&ended).is_empty(), "the head is still TASK_RUNNING");
    let head = internal::StatusUpdate {
        framework_id: running.framework_id.clone(),
        status: status("t", TaskState::TaskRunning),
        uuid: Some(uuid),
        ..Default::default()
    };
    let actions = bench.step(acknowledge(&head));
    let last = sent(&actions)[0].clone();
    assert_eq!(last.status.state(), TaskState::TaskGoneByOperator);
    assert_eq!(last.status.reason(), Reason::AgentDraining);
    let actions = bench.step(acknowledge(&last));
    assert!(actions.iter().any(|action| is_write(action, |write| matches!(write, Write::Drain(None)))));
    assert_eq!(bench.state.agent().draining, None);
}

#[test]
fn the_process_ends_after_the_tasks_that_cannot_outlive_it() {
    let mut bench = Bench::registered();
    let transient = v1::FrameworkInfo { checkpoint: Some(false), ..framework("T", &[]) };
    let (run, actions) = bench.launch(transient, "t");
    assert!(!actions.iter().any(|action| is_write(action, |_| true)), "nothing of it is written");
    bench.launch(framework("F", &[]), "stays");
    let asked = bench.step(Event::Stop(StopWish::Leave));
    assert_eq!(asked, [Action::Kill(run.container_id, Some(Duration::from_secs(5)))]);
    let actions = bench.step(told(&run, "t", TaskState::TaskKilled));
    assert!(sent(&actions).is_empty());
    assert_eq!(actions.last(), Some(&Action::Exit(Exit::Asked)));
    assert_eq!(bench.state.agent().frameworks.len(), 1);
}

/// Peer: `SlaveRecoveryTest.ReconcileTasksMissingFromSlave`.
#[test]
fn a_task_that_the_master_believes_in_and_we_do_not_know_is_told() {
    let mut bench = Bench::registered();
    let statuses = vec![status("gone", TaskState::TaskRunning)];
    let again = from_master(Message::Reregistered(internal::SlaveReregisteredMessage {
        slave_id: v1::AgentId { value: AGENT.into() },
        reconciliations: vec![internal::ReconcileTasksMessage {
            framework_id: v1::FrameworkId { value: "F".into() },
            statuses,
            framework: Some(framework("F", &[Capability::PartitionAware])),
        }],
        connection: None,
    }));
    let actions = bench.step(again);
    let status = &sent(&actions)[0].status;
    assert_eq!((status.state(), status.reason()), (TaskState::TaskDropped, Reason::Reconciliation));
}

/// A status of a task that was refused is told as reliably as any other, though its framework has nothing here.
#[test]
fn a_refusal_is_told_until_it_is_acknowledged() {
    let mut bench = Bench::registered();
    let mut task = docker_task("t");
    task.command = None;
    bench.step(run_task(framework("F", &[]), task));
    let first = bench.step(Event::Unscheduled(framework_id("F"), task_id("t")));
    let update = sent(&first)[0].clone();
    assert!(bench.state.agent().frameworks.is_empty());
    let again = bench.wait(Duration::from_secs(11));
    assert_eq!(sent(&again), [&update]);
    bench.step(acknowledge(&update));
    bench.step(ping());
    assert!(sent(&bench.wait(Duration::from_secs(70))).is_empty());
}

#[test]
fn the_end_of_a_framework_that_is_gone_ends_what_is_told_of_it() {
    let mut bench = Bench::registered();
    let mut task = docker_task("t");
    task.command = None;
    bench.step(run_task(framework("F", &[]), task));
    bench.step(Event::Unscheduled(framework_id("F"), task_id("t")));
    bench.step(from_master(Message::ShutdownFramework(internal::ShutdownFrameworkMessage {
        framework_id: v1::FrameworkId { value: "F".into() },
    })));
    assert!(sent(&bench.wait(Duration::from_secs(70))).is_empty());
}

/// What is still told of an earlier task must not keep the statuses of a new one of the same id back.
#[test]
fn an_id_that_comes_again_tells_of_its_new_task() {
    let mut bench = Bench::registered();
    bench.launch(framework("F", &[]), "other");
    assert_eq!(
        sent(&bench.step(kill("F", "t"))).len(),
        1,
        "it is unknown, which is told and not acknowledged"
    );
    let (run, _) = bench.launch(framework("F", &[]), "t");
    let actions = bench.step(told(&run, "t", TaskState::TaskRunning));
    assert_eq!(sent(&actions)[0].status.state(), TaskState::TaskRunning);
}

/// A framework that comes back is told once, with what it had before.
#[test]
fn a_framework_that_comes_back_is_no_second_one() {
    let mut bench = Bench::registered();
    for task in ["a", "b", "c"] {
        let (run, actions) = bench.launch(framework("F", &[]), task);
        let written =
            actions.iter().position(|action| is_write(action, |write| matches!(write, Write::Framework(..))));
        let asked = actions.iter().position(|action| matches!(action, Action::Unschedule(..)));
        assert!(asked < written, "its directory may be being removed before");
        let actions = bench.step(told(&run, task, TaskState::TaskFinished));
        let update = sent(&actions)[0].clone();
        bench.step(acknowledge(&update));
    }
    let agent = bench.state.agent();
    assert_eq!(agent.completed_frameworks.len(), 1);
    let ended = agent.completed_frameworks.iter().next().unwrap();
    assert_eq!(ended.completed_executors.len(), 3);
}

fn ping() -> Event {
    let ping = internal::PingSlaveMessage { connected: true };
    Event::Message("slave-observer(1)@127.0.0.1:5050".into(), Box::new(Message::Ping(ping)))
}
