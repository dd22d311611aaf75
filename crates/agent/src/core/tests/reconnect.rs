//! Executors of an earlier process that come back, or do not.

use checkpoint::WorkDir;
use checkpoint::recover::{
    RecoveredExecutor, RecoveredFramework, RecoveredRun, RecoveredTask, RecoveredUpdates,
};
use mesos_proto::v1::TaskState;
use mesos_proto::v1::task_status::Reason;
use mesos_types::ContainerId;

use super::executor_rig::{PID, custom_task, libprocess, says, tells, to_executor};
use super::*;
use crate::model::{Contact, ExecutorPhase, Peer, Recovery};

/// How an executor of the earlier process was reached.
#[derive(Clone, Copy)]
enum Spoke {
    Libprocess,
    Http,
    /// It had not registered.
    Nothing,
}

/// An executor with two tasks: `told` has told that it runs, of `new` nothing is known.
fn left(id: ContainerId, generated: bool, spoke: Spoke) -> Recovered {
    let paths = WorkDir::new("/w").agent(&AGENT.parse().unwrap()).framework(&framework_id("F"));
    let executor = paths.executor(&"E".parse().unwrap());
    let run = executor.run(id);
    let task = |name: &str, updates| RecoveredTask {
        id: task_id(name),
        paths: run.task(&task_id(name)),
        info: v1::Task {
            task_id: v1::TaskId { value: name.into() },
            state: TaskState::TaskStaging.into(),
            ..Default::default()
        },
        updates,
    };
    let running = RecoveredUpdates {
        updates: vec![tells("told", TaskState::TaskRunning)],
        ..RecoveredUpdates::default()
    };
    let info = custom_task("told", "E").executor.unwrap_or_default();
    let run = RecoveredRun {
        id,
        paths: run.clone(),
        completed: false,
        forked_pid: Some(7),
        libprocess_pid: matches!(spoke, Spoke::Libprocess).then(|| PID.into()),
        http: matches!(spoke, Spoke::Http),
        tasks: vec![task("told", running), task("new", RecoveredUpdates::default())],
    };
    let executor = RecoveredExecutor {
        id: "E".parse().unwrap(),
        paths: executor,
        info,
        generated,
        latest: id,
        runs: vec![run],
    };
    let framework = RecoveredFramework {
        id: framework_id("F"),
        paths,
        info: framework("F", &[]),
        pid: None,
        executors: vec![executor],
    };
    Recovered { agent_id: Some(AGENT.parse().unwrap()), frameworks: vec![framework], ..Recovered::default() }
}

/// An agent whose earlier process left an executor; what it does first.
fn restarted(generated: bool, spoke: Spoke, intent: Intent) -> (Bench, Run, Vec<Action>) {
    let mut bench = Bench::new();
    let id = ContainerId::random();
    let past = Recovered { intent, ..left(id, generated, spoke) };
    let actions = bench.step(Event::Recovered(Box::new(past)));
    let run = Run { framework_id: framework_id("F"), executor_id: "E".parse().unwrap(), container_id: id };
    (bench, run, actions)
}

fn phase(bench: &Bench) -> ExecutorPhase {
    bench.state.agent().frameworks[&framework_id("F")].executors[&"E".parse().unwrap()].phase
}

fn task(id: &str) -> v1::TaskInfo {
    custom_task(id, "E")
}

fn is_reconnect(action: &Action) -> bool {
    matches!(action, Action::ToExecutor(peer, message)
        if *peer == libprocess() && matches!(**message, ToExecutor::Reconnect(_)))
}

#[rstest::rstest]
#[case::of_a_framework(false)]
#[case::of_a_stock_agent(true)]
fn one_that_speaks_libprocess_is_asked_and_goes_on(#[case] generated: bool) {
    let (mut bench, run, actions) = restarted(generated, Spoke::Libprocess, Intent::Reconnect);
    assert!(actions.iter().any(is_reconnect));
    assert_eq!(
        (bench.state.agent().phase, bench.state.agent().recovery),
        (Phase::Recovering, Recovery::Reconnecting)
    );
    // The master waits; so do kills.
    bench.step(detected());
    assert_eq!(bench.step(kill("F", "told")), []);
    let told = tells("told", TaskState::TaskFinished);
    let call = Call::Reregister { tasks: vec![task("new")], updates: vec![told.clone()] };
    let actions = bench.step(says(libprocess(), call));
    let messages: Vec<_> = to_executor(&actions).into_iter().map(|(_, message)| message).collect();
    let [ToExecutor::Reregistered(_), ToExecutor::Acknowledge(answer)] = messages[..] else {
        panic!("{messages:?}")
    };
    assert_eq!(Some(&answer.uuid), told.uuid.as_ref());
    assert!(sent(&actions).is_empty(), "it is written, and sent to the master that is found");
    assert_eq!(
        (bench.state.agent().phase, bench.state.agent().recovery),
        (Phase::Disconnected, Recovery::Done)
    );
    assert!(actions.iter().any(|action| matches!(action, Action::UpdateContainer { container_id, .. } if *container_id == run.container_id)));
    let actions = bench.wait(Duration::from_secs(2));
    assert!(actions.iter().any(
        |action| matches!(action, Action::Send(_, message) if matches!(**message, ToMaster::Reregister(_)))
    ));
    bench.step(from_master(Message::Reregistered(internal::SlaveReregisteredMessage {
        slave_id: v1::AgentId { value: AGENT.into() },
        ..Default::default()
    })));
    // A kill reaches it.
    let actions = bench.step(kill("F", "new"));
    assert!(matches!(to_executor(&actions)[..], [(_, ToExecutor::Kill(_))]));
    // The master hears of a framework's executor, not of one that was made up.
    assert_eq!(bench.state.reregister_message().executor_infos.len(), usize::from(!generated));
}

#[test]
fn a_task_that_it_was_never_given_is_dropped() {
    let (mut bench, _, _) = restarted(false, Spoke::Libprocess, Intent::Reconnect);
    bench.step(says(libprocess(), Call::Reregister { tasks: Vec::new(), updates: Vec::new() }));
    let framework = &bench.state.agent().frameworks[&framework_id("F")];
    let status = framework.live_task(&task_id("new")).unwrap().1.task.statuses[0].clone();
    assert_eq!((status.state(), status.reason()), (TaskState::TaskLost, Reason::AgentRestarted));
    assert_eq!(status.message(), "Task launched during agent restart");
    assert_eq!(framework.live_task(&task_id("told")).unwrap().1.state(), TaskState::TaskRunning);
}

#[test]
fn one_that_speaks_http_subscribes_by_itself() {
    let (mut bench, _, actions) = restarted(false, Spoke::Http, Intent::Reconnect);
    assert_eq!(to_executor(&actions), []);
    let call = Call::Subscribe { tasks: vec![task("new")], updates: Vec::new() };
    let actions = bench.step(says(Peer::Http(1), call));
    assert!(matches!(to_executor(&actions)[..], [(Peer::Http(1), ToExecutor::Registered(..))]));
    assert_eq!((phase(&bench), bench.state.agent().recovery), (ExecutorPhase::Running, Recovery::Done));
}

#[rstest::rstest]
#[case::that_spoke_libprocess(Spoke::Libprocess)]
#[case::that_spoke_http(Spoke::Http)]
#[case::that_had_not_registered(Spoke::Nothing)]
fn one_that_does_not_come_back_is_destroyed_and_its_tasks_are_told(#[case] spoke: Spoke) {
    let (mut bench, run, _) = restarted(false, spoke, Intent::Reconnect);
    assert_eq!(bench.wait(Duration::from_millis(1900)), []);
    let actions = bench.wait(Duration::from_millis(200));
    assert_eq!(actions, [Action::Kill(run.container_id, Some(Duration::ZERO))]);
    assert_eq!(bench.state.agent().phase, Phase::Disconnected);
    // Too late.
    let actions = bench.step(says(libprocess(), Call::Reregister { tasks: Vec::new(), updates: Vec::new() }));
    assert!(matches!(to_executor(&actions)[..], [(_, ToExecutor::Shutdown)]));
    bench.step(Event::Container(run, ContainerEvent::Terminated(Box::default())));
    let framework = &bench.state.agent().frameworks[&framework_id("F")];
    for id in ["told", "new"] {
        let status = framework.live_task(&task_id(id)).unwrap().1.task.statuses.last().unwrap().clone();
        assert_eq!(
            (status.state(), status.reason()),
            (TaskState::TaskLost, Reason::ExecutorReregistrationTimeout)
        );
        assert_eq!(status.message(), "Executor did not reregister within 2secs");
    }
}

/// Peer: SlaveRecoveryTest.ReconnectExecutorRetry.
#[test]
fn one_that_does_not_answer_is_asked_again_and_may_answer_twice() {
    let mut bench = Bench::new();
    bench.state.settings.executor_reregistration_retry = Some(Duration::from_millis(300));
    let past = left(ContainerId::random(), false, Spoke::Libprocess);
    let actions = bench.step(Event::Recovered(Box::new(past)));
    assert_eq!(actions.iter().filter(|action| is_reconnect(action)).count(), 1);
    let actions = bench.wait(Duration::from_millis(1000));
    assert_eq!(actions.iter().filter(|action| is_reconnect(action)).count(), 3);
    let answer = || Call::Reregister { tasks: vec![task("new")], updates: Vec::new() };
    let actions = bench.step(says(libprocess(), answer()));
    assert!(matches!(to_executor(&actions)[..], [(_, ToExecutor::Reregistered(_))]));
    assert_eq!(bench.step(says(libprocess(), answer())), []);
    assert_eq!(bench.wait(Duration::from_secs(1)), [], "nobody is asked any more");
}

#[test]
fn one_that_ended_meanwhile_is_not_waited_for() {
    let (mut bench, run, _) = restarted(false, Spoke::Http, Intent::Reconnect);
    bench.step(Event::Container(run, ContainerEvent::Terminated(Box::default())));
    assert_eq!(bench.state.agent().phase, Phase::Disconnected);
    let framework = &bench.state.agent().frameworks[&framework_id("F")];
    let status = framework.live_task(&task_id("new")).unwrap().1.task.statuses[0].clone();
    assert_eq!((status.state(), status.reason()), (TaskState::TaskFailed, Reason::ExecutorTerminated));
}

#[test]
fn a_run_that_was_never_launched_is_dropped() {
    let (mut bench, run, _) = restarted(false, Spoke::Nothing, Intent::Reconnect);
    bench.step(Event::Container(run, ContainerEvent::NeverLaunched));
    let framework = &bench.state.agent().frameworks[&framework_id("F")];
    let status = framework.live_task(&task_id("new")).unwrap().1.task.statuses[0].clone();
    assert_eq!((status.state(), status.reason()), (TaskState::TaskLost, Reason::AgentRestarted));
}

#[test]
fn nobody_is_heard_before_the_past_is_known() {
    let mut bench = Bench::new();
    let call = || Call::Reregister { tasks: Vec::new(), updates: Vec::new() };
    assert_eq!(bench.step(says(libprocess(), call())), []);
    let subscribe = Call::Subscribe { tasks: Vec::new(), updates: Vec::new() };
    assert_eq!(bench.step(says(Peer::Http(1), subscribe)), [Action::ClosePeer(Peer::Http(1))]);
}

#[rstest::rstest]
#[case::that_speaks_libprocess(Spoke::Libprocess, 1)]
#[case::that_speaks_http(Spoke::Http, 0)]
fn a_cleanup_asks_executors_to_end_and_destroys_those_that_do_not(
    #[case] spoke: Spoke,
    #[case] asked: usize,
) {
    let (mut bench, run, actions) = restarted(false, spoke, Intent::Cleanup);
    let is_shutdown = |message: &(&Peer, &ToExecutor)| *message.1 == ToExecutor::Shutdown;
    assert_eq!(to_executor(&actions).iter().filter(|message| is_shutdown(message)).count(), asked);
    assert!(!actions.iter().any(is_reconnect));
    let call = Call::Subscribe { tasks: Vec::new(), updates: Vec::new() };
    let actions = bench.step(says(Peer::Http(1), call));
    assert!(is_shutdown(&to_executor(&actions)[0]), "one that comes back is told");
    assert_eq!(bench.wait(Duration::from_secs(6)), [Action::Kill(run.container_id, Some(Duration::ZERO))]);
    let actions = bench.step(Event::Container(run, ContainerEvent::Terminated(Box::default())));
    assert!(sent(&actions).is_empty());
    assert_eq!(actions.last(), Some(&Action::Exit(Exit::Asked)));
}

/// SIGUSR1 while executors are waited for.
#[test]
fn an_agent_that_unregisters_asks_those_that_have_not_come_back_to_end() {
    let (mut bench, run, _) = restarted(false, Spoke::Libprocess, Intent::Reconnect);
    let actions = bench.step(Event::Stop(StopWish::Unregister));
    assert!(matches!(to_executor(&actions)[..], [(_, ToExecutor::Shutdown)]), "{actions:?}");
    assert!(!actions.iter().any(|action| matches!(action, Action::Kill(..))), "it has its grace");
    let actions = bench.wait(Duration::from_secs(6));
    assert_eq!(actions, [Action::Kill(run.container_id, Some(Duration::ZERO))]);
    let actions = bench.step(Event::Container(run, ContainerEvent::Terminated(Box::default())));
    assert_eq!(actions.last(), Some(&Action::Exit(Exit::Asked)));
}

/// Its record was behind: it ran, and is gone.
#[test]
fn a_run_whose_task_has_told_something_was_launched() {
    let (mut bench, run, _) = restarted(false, Spoke::Nothing, Intent::Reconnect);
    let told = tells("told", TaskState::TaskRunning);
    bench.step(says(libprocess(), Call::Update(Box::new(told))));
    bench.step(Event::Container(run, ContainerEvent::NeverLaunched));
    let framework = &bench.state.agent().frameworks[&framework_id("F")];
    let status = framework.live_task(&task_id("told")).unwrap().1.task.statuses.last().unwrap().clone();
    assert_eq!((status.state(), status.reason()), (TaskState::TaskFailed, Reason::ExecutorTerminated));
    assert_eq!(status.message(), "The executor's container is gone");
}

#[test]
fn a_drain_goes_on_once_executors_are_back() {
    let mut bench = Bench::new();
    let past = Recovered {
        draining: Some(v1::DrainConfig::default()),
        ..left(ContainerId::random(), false, Spoke::Http)
    };
    assert_eq!(to_executor(&bench.step(Event::Recovered(Box::new(past)))), []);
    let call = Call::Subscribe { tasks: vec![task("new")], updates: Vec::new() };
    let actions = bench.step(says(Peer::Http(1), call));
    let kills =
        to_executor(&actions).iter().filter(|(_, message)| matches!(message, ToExecutor::Kill(_))).count();
    assert_eq!(kills, 2);
}

#[test]
fn what_this_program_supervises_is_not_waited_for() {
    let mut bench = Bench::new();
    let mut past = left(ContainerId::random(), true, Spoke::Nothing);
    past.frameworks[0].executors[0].runs[0].forked_pid = None;
    bench.step(Event::Recovered(Box::new(past)));
    assert_eq!(
        (bench.state.agent().phase, bench.state.agent().recovery),
        (Phase::Disconnected, Recovery::Done)
    );
    let framework = &bench.state.agent().frameworks[&framework_id("F")];
    assert_eq!(framework.executors[&"E".parse().unwrap()].contact, Contact::InProcess);
}
