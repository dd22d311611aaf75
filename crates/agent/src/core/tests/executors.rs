//! Executors with programs of their own, of both protocols.

use mesos_proto::executor;
use mesos_proto::v1::TaskState;
use mesos_proto::v1::task_status::{Reason, Source};

use super::*;
use crate::model::{Contact, ExecutorPhase, Peer, Stage};

/// Where the executor of the tests listens.
pub(super) const PID: &str = "executor(1)@127.0.0.1:4000";

pub(super) fn libprocess() -> Peer {
    Peer::Libprocess(PID.into())
}

pub(super) fn custom_task(id: &str, executor_id: &str) -> v1::TaskInfo {
    let cpus = |value| v1::Resource {
        name: "cpus".into(),
        r#type: v1::value::Type::Scalar.into(),
        scalar: Some(v1::value::Scalar { value }),
        ..Default::default()
    };
    v1::TaskInfo {
        command: None,
        container: None,
        resources: vec![cpus(1.0)],
        executor: Some(v1::ExecutorInfo {
            executor_id: v1::ExecutorId { value: executor_id.into() },
            command: Some(v1::CommandInfo { value: Some("./run".into()), ..Default::default() }),
            resources: vec![cpus(0.5)],
            ..Default::default()
        }),
        ..docker_task(id)
    }
}

pub(super) fn wants(task: v1::TaskInfo, launch_executor: Option<bool>) -> Event {
    from_master(Message::RunTask(Box::new(internal::RunTaskMessage {
        framework: framework("F", &[]),
        task,
        launch_executor,
        ..Default::default()
    })))
}

pub(super) fn says(peer: Peer, call: Call) -> Event {
    Event::Executor(Box::new(ExecutorCall {
        framework_id: framework_id("F"),
        executor_id: "E".parse().unwrap(),
        peer,
        call,
    }))
}

pub(super) fn subscribes(stream: u64) -> Event {
    says(Peer::Http(stream), Call::Subscribe { tasks: Vec::new(), updates: Vec::new() })
}

/// A status that an executor's program tells.
pub(super) fn tells(task: &str, state: TaskState) -> internal::StatusUpdate {
    let uuid = Some(uuid::Uuid::new_v4().as_bytes().to_vec());
    internal::StatusUpdate {
        framework_id: v1::FrameworkId { value: "F".into() },
        executor_id: Some(v1::ExecutorId { value: "E".into() }),
        slave_id: Some(v1::AgentId { value: AGENT.into() }),
        status: v1::TaskStatus {
            task_id: v1::TaskId { value: task.into() },
            state: state.into(),
            ..Default::default()
        },
        timestamp: 5.0,
        uuid,
        latest_state: None,
    }
}

pub(super) fn updates(told: &internal::StatusUpdate) -> Event {
    says(libprocess(), Call::Update(Box::new(told.clone())))
}

/// What went to an executor's program.
pub(super) fn to_executor(actions: &[Action]) -> Vec<(&Peer, &ToExecutor)> {
    fn message(action: &Action) -> Option<(&Peer, &ToExecutor)> {
        let Action::ToExecutor(peer, message) = action else { return None };
        Some((peer, message))
    }
    actions.iter().filter_map(message).collect()
}

/// The tasks that went to an executor's program.
pub(super) fn given(actions: &[Action]) -> Vec<&str> {
    fn task<'a>((_, message): (&Peer, &'a ToExecutor)) -> Option<&'a str> {
        let ToExecutor::Run(message) = message else { return None };
        Some(&message.task.task_id.value)
    }
    to_executor(actions).into_iter().filter_map(task).collect()
}

pub(super) fn exits(actions: &[Action]) -> Vec<i32> {
    let exit = |action: &Action| match action {
        Action::Send(_, message) => match &**message {
            ToMaster::ExitedExecutor(message) => Some(message.status),
            _ => None,
        },
        _ => None,
    };
    actions.iter().filter_map(exit).collect()
}

pub(super) fn has_shutdown(actions: &[Action]) -> bool {
    to_executor(actions).iter().any(|(_, message)| **message == ToExecutor::Shutdown)
}

/// The update of a container that is asked for: its token and how many cpus it shall have.
pub(super) fn asked(actions: &[Action]) -> Option<(u64, f64)> {
    actions.iter().find_map(|action| match action {
        Action::UpdateContainer { token, resources, .. } => {
            let sum = resources.iter().filter_map(|resource| resource.scalar.as_ref());
            Some((*token, sum.map(|scalar| scalar.value).sum()))
        }
        _ => None,
    })
}

impl Bench {
    /// A task for the executor `E` of the framework `F` up to its queue.
    pub(super) fn queue(&mut self, task: &str, launch_executor: Option<bool>) -> Vec<Action> {
        let mut actions = self.step(wants(custom_task(task, "E"), launch_executor));
        actions.extend(self.step(Event::Unscheduled(framework_id("F"), task_id(task))));
        actions
    }

    pub(super) fn run(&self) -> Run {
        let framework = &self.state.agent().frameworks[&framework_id("F")];
        super::super::launch::run_of(&framework.id, &framework.executors[&"E".parse().unwrap()])
    }

    pub(super) fn container(&mut self, event: ContainerEvent) -> Vec<Action> {
        let run = self.run();
        self.step(Event::Container(run, event))
    }

    /// Answers the update of a container that was asked for.
    pub(super) fn updated(&mut self, actions: &[Action]) -> Vec<Action> {
        let (token, _) = asked(actions).expect("an update of the container");
        self.container(ContainerEvent::Updated { token, result: Ok(()) })
    }

    pub(super) fn phase(&self) -> ExecutorPhase {
        self.state.agent().frameworks[&framework_id("F")].executors[&"E".parse().unwrap()].phase
    }

    /// An executor that speaks libprocess and runs `t`.
    pub(super) fn with_executor() -> Self {
        let mut bench = Self::registered();
        bench.queue("t", Some(true));
        let actions = bench.step(says(libprocess(), Call::Register));
        assert_eq!(given(&bench.updated(&actions)), ["t"]);
        bench
    }
}

#[test]
fn an_executor_is_launched_once_and_gets_its_tasks_when_its_container_can_hold_them() {
    let mut bench = Bench::registered();
    let actions = bench.queue("t", Some(true));
    let launch = actions.iter().position(|action| matches!(action, Action::Launch(_))).unwrap();
    let is_written = |is_it: fn(&Write) -> bool| {
        let at = actions.iter().position(|action| matches!(action, Action::Write(write) if is_it(write)));
        at.is_some_and(|at| at < launch)
    };
    assert!(is_written(|write| matches!(write, Write::Executor(_, _, false))), "it was not generated");
    assert!(is_written(|write| matches!(write, Write::Task(..))));
    let Action::Launch(launch) = &actions[launch] else { unreachable!() };
    let Launched::Executor(launched) = &launch.what else { panic!("a task was launched") };
    assert_eq!(launched.resources.len(), 2, "its own and the task's");
    assert_eq!(launched.executor.resources.len(), 1);

    // More tasks wait with the first, and nothing is sent before it registers.
    let actions = bench.queue("u", Some(false));
    assert!(!actions.iter().any(|action| matches!(action, Action::Launch(_) | Action::ToExecutor(..))));
    bench.container(ContainerEvent::Up);
    let actions = bench.step(says(libprocess(), Call::Register));
    let at = |is_it: fn(&Action) -> bool| actions.iter().position(is_it).unwrap();
    let pid = at(
        |action| matches!(action, Action::Write(write) if matches!(&**write, Write::ExecutorPid(_, pid) if pid == PID)),
    );
    let told = at(|action| matches!(action, Action::ToExecutor(..)));
    assert!(pid < told);
    assert!(actions.contains(&Action::Link(PID.into())));
    assert!(matches!(to_executor(&actions)[..], [(_, ToExecutor::Registered(..))]));
    let (token, cpus) = asked(&actions).unwrap();
    assert!((cpus - 2.5).abs() < 1e-9);
    let actions = bench.container(ContainerEvent::Updated { token, result: Ok(()) });
    assert_eq!(given(&actions), ["t", "u"]);
    let (peer, ToExecutor::Run(message)) = to_executor(&actions)[0] else { unreachable!() };
    assert_eq!((peer, message.pid.as_deref()), (&libprocess(), Some("@0.0.0.0:0")));

    // One that runs gets more.
    let actions = bench.queue("v", None);
    assert!(given(&actions).is_empty());
    assert_eq!(given(&bench.updated(&actions)), ["v"]);
}

#[rstest::rstest]
#[case::a_second_launch(Some(true), "already there", true)]
#[case::it_ends(None, "terminating", false)]
fn a_task_whose_executor_is_not_as_the_master_believes_is_dropped(
    #[case] launch_executor: Option<bool>,
    #[case] named: &str,
    #[case] shuts_down: bool,
) {
    let mut bench = Bench::with_executor();
    if launch_executor.is_none() {
        let end = internal::ShutdownExecutorMessage {
            framework_id: Some(v1::FrameworkId { value: "F".into() }),
            executor_id: Some(v1::ExecutorId { value: "E".into() }),
        };
        assert!(has_shutdown(&bench.step(from_master(Message::ShutdownExecutor(end)))));
    }
    let actions = bench.queue("u", launch_executor);
    let status = &sent(&actions)[0].status;
    assert_eq!((status.state(), status.reason()), (TaskState::TaskLost, Reason::ExecutorTerminated));
    assert!(status.message().contains(named), "{}", status.message());
    assert_eq!(has_shutdown(&actions), shuts_down);
    assert_eq!(exits(&actions), [0; 0], "its end tells");
}

/// Without an executor, the master holds no resources for one.
#[test]
fn a_task_for_an_executor_that_is_gone_is_dropped() {
    let mut bench = Bench::registered();
    let actions = bench.queue("t", Some(false));
    assert_eq!(sent(&actions)[0].status.reason(), Reason::ExecutorTerminated);
    assert_eq!(exits(&actions), [0; 0]);
    assert!(bench.state.agent().frameworks.is_empty());
}

/// The garbage collector may let go of the second task's directories first.
#[test]
fn the_tasks_of_one_executor_are_looked_at_in_their_order() {
    let mut bench = Bench::registered();
    bench.step(wants(custom_task("t", "E"), Some(true)));
    bench.step(wants(custom_task("u", "E"), Some(false)));
    assert_eq!(bench.step(Event::Unscheduled(framework_id("F"), task_id("u"))), []);
    let actions = bench.step(Event::Unscheduled(framework_id("F"), task_id("t")));
    assert_eq!(actions.iter().filter(|action| matches!(action, Action::Launch(_))).count(), 1);
    let framework = &bench.state.agent().frameworks[&framework_id("F")];
    assert_eq!(framework.executors[&"E".parse().unwrap()].queued_tasks().count(), 2);
}

#[test]
fn a_task_killed_while_pending_frees_the_executor_that_the_master_counts_on() {
    let mut bench = Bench::registered();
    bench.step(wants(custom_task("t", "E"), Some(true)));
    bench.step(wants(custom_task("u", "E"), Some(false)));
    bench.step(Event::Unscheduled(framework_id("F"), task_id("u")));
    let actions = bench.step(kill("F", "t"));
    assert_eq!(exits(&actions), [-1]);
    let told: Vec<_> = sent(&actions).iter().map(|update| update.status.reason()).collect();
    assert_eq!(told, [Reason::TaskKilledDuringLaunch, Reason::ExecutorTerminated], "the next goes on");
    assert!(bench.state.agent().frameworks.is_empty());
}

#[test]
fn a_container_that_cannot_be_updated_is_destroyed_and_its_tasks_are_told() {
    let mut bench = Bench::registered();
    bench.queue("t", Some(true));
    let actions = bench.step(says(libprocess(), Call::Register));
    let (token, _) = asked(&actions).unwrap();
    let id = bench.run().container_id;
    let actions = bench.container(ContainerEvent::Updated { token, result: Err("no cgroup".into()) });
    assert_eq!(actions, [Action::Kill(id, Some(Duration::ZERO))]);
    let actions =
        bench.container(ContainerEvent::Terminated(Box::new(Gone { status: Some(9), ..Gone::default() })));
    let status = &sent(&actions)[0].status;
    assert_eq!((status.state(), status.reason()), (TaskState::TaskLost, Reason::ContainerUpdateFailed));
    assert_eq!(status.message(), "Failed to update resources for container: no cgroup");
    assert_eq!(exits(&actions), [9]);
}

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

#[rstest::rstest]
#[case::unknown_executor("F", "X")]
#[case::unknown_framework("G", "E")]
#[case::made_up_for_a_command_task("F", "d")]
fn who_is_not_expected_is_told_to_end(#[case] framework_of: &str, #[case] executor: &str) {
    for call in [
        Call::Register,
        Call::Reregister { tasks: Vec::new(), updates: Vec::new() },
        Call::Subscribe { tasks: Vec::new(), updates: Vec::new() },
    ] {
        let mut bench = Bench::registered();
        bench.queue("t", Some(true));
        bench.launch(framework("F", &[]), "d");
        let peer = match call {
            Call::Subscribe { .. } => Peer::Http(3),
            _ => libprocess(),
        };
        let actions = bench.step(Event::Executor(Box::new(ExecutorCall {
            framework_id: framework_id(framework_of),
            executor_id: executor.parse().unwrap(),
            peer: peer.clone(),
            call,
        })));
        let mut expected = vec![Action::ToExecutor(peer.clone(), Box::new(ToExecutor::Shutdown))];
        if peer == Peer::Http(3) {
            expected.push(Action::ClosePeer(peer));
        }
        assert_eq!(actions, expected);
    }
}

#[rstest::rstest]
#[case::twice(Call::Register)]
#[case::again(Call::Reregister { tasks: Vec::new(), updates: Vec::new() })]
fn who_is_there_already_is_told_to_end(#[case] call: Call) {
    let mut bench = Bench::with_executor();
    let other = Peer::Libprocess("executor(1)@127.0.0.1:4001".into());
    let actions = bench.step(says(other.clone(), call));
    assert_eq!(actions, [Action::ToExecutor(other, Box::new(ToExecutor::Shutdown))]);
    assert_eq!(bench.phase(), ExecutorPhase::Running);
}

#[test]
fn an_executor_that_does_not_register_is_given_up_but_not_while_it_is_fetched() {
    let mut bench = Bench::registered();
    bench.queue("t", Some(true));
    bench.wait(Duration::from_secs(50));
    bench.container(ContainerEvent::Progress);
    bench.step(from_master(Message::Ping(internal::PingSlaveMessage { connected: true })));
    assert_eq!(bench.wait(Duration::from_secs(55)), []);
    bench.step(from_master(Message::Ping(internal::PingSlaveMessage { connected: true })));
    let id = bench.run().container_id;
    assert_eq!(bench.wait(Duration::from_secs(10)), [Action::Kill(id, Some(Duration::ZERO))]);
    // Too late.
    assert!(has_shutdown(&bench.step(says(libprocess(), Call::Register))));
    let actions = bench.container(ContainerEvent::Terminated(Box::default()));
    let status = &sent(&actions)[0].status;
    assert_eq!(
        (status.state(), status.reason()),
        (TaskState::TaskFailed, Reason::ExecutorRegistrationTimeout)
    );
    assert_eq!(exits(&actions), [-1]);
}

/// Its address is nobody's there.
#[rstest::rstest]
#[case(v1::container_info::docker_info::Network::Bridge, true)]
#[case(v1::container_info::docker_info::Network::Host, false)]
fn an_executor_that_cannot_reach_the_agent_is_given_up_with_the_remedy(
    #[case] network: v1::container_info::docker_info::Network,
    #[case] has_hint: bool,
) {
    let mut bench = Bench::registered();
    let mut task = custom_task("t", "E");
    let container = v1::ContainerInfo {
        r#type: v1::container_info::Type::Docker.into(),
        docker: Some(v1::container_info::DockerInfo {
            image: "busybox".into(),
            network: Some(network.into()),
            ..Default::default()
        }),
        ..Default::default()
    };
    task.executor.as_mut().unwrap().container = Some(container);
    bench.step(wants(task, Some(true)));
    bench.step(Event::Unscheduled(framework_id("F"), task_id("t")));
    for _ in 0..2 {
        bench.step(from_master(Message::Ping(internal::PingSlaveMessage { connected: true })));
        bench.wait(Duration::from_secs(31));
    }
    let actions = bench.container(ContainerEvent::Terminated(Box::default()));
    let message = sent(&actions)[0].status.message().to_owned();
    assert!(message.starts_with("Executor did not register within 1mins"), "{message}");
    assert_eq!(message.contains("--advertise_ip"), has_hint, "{message}");
}

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
fn a_stream_that_broke_is_waited_for_and_its_tasks_with_it() {
    let mut bench = Bench::registered();
    bench.queue("t", Some(true));
    let actions = bench.step(subscribes(1));
    assert!(actions.contains(&Action::Write(Box::new(Write::HttpMarker(bench.run())))));
    let actions = bench.updated(&actions);
    assert_eq!(given(&actions), ["t"]);
    bench.step(Event::PeerGone(Peer::Http(1)));
    let growing = bench.queue("u", Some(false));
    assert_eq!(bench.updated(&growing), [], "nobody listens");
    assert_eq!(bench.step(kill("F", "t")), []);

    // It comes back: what it was given and does not know is dropped, what waited is given to it.
    let update = executor::call::Update { status: status("x", TaskState::TaskRunning) };
    let call = Call::Subscribe { tasks: Vec::new(), updates: vec![update] };
    let actions = bench.step(says(Peer::Http(2), call));
    let told: Vec<_> = sent(&actions).iter().map(|update| update.status.clone()).collect();
    assert_eq!(told[0].task_id.value, "x");
    assert_eq!((told[1].state(), told[1].reason()), (TaskState::TaskLost, Reason::AgentRestarted));
    assert!(matches!(to_executor(&actions)[0], (Peer::Http(2), ToExecutor::Registered(..))), "first of all");
    let last = actions.iter().rev().find_map(|action| asked(std::slice::from_ref(action)));
    let (token, _) = last.unwrap();
    let actions = bench.container(ContainerEvent::Updated { token, result: Ok(()) });
    assert_eq!(given(&actions), ["u"]);

    // A second stream takes the place of the first, whose end is then nobody's.
    let tasks = vec![custom_task("u", "E")];
    let actions = bench.step(says(Peer::Http(3), Call::Subscribe { tasks, updates: Vec::new() }));
    assert!(actions.contains(&Action::ClosePeer(Peer::Http(2))));
    assert!(sent(&actions).is_empty(), "it knows its task");
    bench.step(Event::PeerGone(Peer::Http(2)));
    let framework = &bench.state.agent().frameworks[&framework_id("F")];
    assert_eq!(framework.executors[&"E".parse().unwrap()].contact, Contact::Peer(Peer::Http(3)));
}

/// Whether the executor lives, its container tells.
#[test]
fn a_broken_link_ends_nothing() {
    let mut bench = Bench::with_executor();
    assert_eq!(bench.step(Event::Exited(PID.into())), []);
    assert_eq!(bench.phase(), ExecutorPhase::Running);
    assert_eq!(to_executor(&bench.step(kill("F", "t"))).len(), 1);
}

#[test]
fn messages_go_both_ways() {
    let mut bench = Bench::registered();
    let message = |executor: &str| {
        Message::FrameworkToExecutor(internal::FrameworkToExecutorMessage {
            slave_id: v1::AgentId { value: AGENT.into() },
            framework_id: v1::FrameworkId { value: "F".into() },
            executor_id: v1::ExecutorId { value: executor.into() },
            data: vec![0, 255],
        })
    };
    bench.queue("t", Some(true));
    assert_eq!(bench.step(from_master(message("E"))), [], "it has not registered");
    bench.step(says(libprocess(), Call::Register));
    let actions = bench.step(from_master(message("E")));
    let [(_, ToExecutor::Message(told))] = to_executor(&actions)[..] else { panic!("not told") };
    assert_eq!(told.data, [0, 255]);
    assert_eq!(bench.step(from_master(message("X"))), []);

    let actions = bench.step(says(libprocess(), Call::Message(vec![1])));
    let [Action::Send(to, _)] = &actions[..] else { panic!("{actions:?}") };
    assert_eq!(to, MASTER, "a scheduler without an address is reached through its master");
    let moved = internal::UpdateFrameworkMessage {
        framework_id: v1::FrameworkId { value: "F".into() },
        pid: Some("scheduler@127.0.0.1:9".into()),
        framework_info: None,
    };
    bench.step(from_master(Message::UpdateFramework(moved)));
    let actions = bench.step(says(libprocess(), Call::Message(vec![1])));
    let [Action::Send(to, message)] = &actions[..] else { panic!("{actions:?}") };
    assert!(matches!(**message, ToMaster::FrameworkMessage(_)));
    assert_eq!(to, "scheduler@127.0.0.1:9");
    let counters = &bench.state.agent().counters;
    assert_eq!((counters.valid_framework_messages, counters.invalid_framework_messages), (3, 2));
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
fn a_launch_that_is_refused_fails_the_tasks_that_wait() {
    let mut bench = Bench::registered();
    bench.queue("t", Some(true));
    let actions = bench.container(ContainerEvent::Refused("no such image".into()));
    let status = &sent(&actions)[0].status;
    assert_eq!((status.state(), status.reason()), (TaskState::TaskFailed, Reason::ContainerLaunchFailed));
    assert_eq!(status.message(), "Failed to launch container: no such image");
    assert_eq!(exits(&actions), [-1]);
    assert_eq!(bench.state.agent().counters.container_launch_errors, 1);
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

#[test]
fn the_master_is_told_of_executors_until_they_are_gone() {
    let mut bench = Bench::with_executor();
    let told = |bench: &Bench| {
        let message = bench.state.reregister_message();
        let executors = message.executor_infos.iter().map(|info| {
            let framework = info.framework_id.as_ref().map(|id| id.value.clone());
            (framework.unwrap_or_default(), info.executor_id.value.clone())
        });
        (executors.collect::<Vec<_>>(), message.tasks[0].executor_id.clone().map(|id| id.value))
    };
    assert_eq!(told(&bench), (vec![("F".into(), "E".into())], Some("E".into())));
    bench.container(ContainerEvent::Terminated(Box::default()));
    assert_eq!(told(&bench), (vec![], Some("E".into())), "its task is told until it is acknowledged");
}

#[test]
fn a_queued_task_is_in_its_queue() {
    let mut bench = Bench::registered();
    bench.queue("t", Some(true));
    let framework = &bench.state.agent().frameworks[&framework_id("F")];
    let executor = &framework.executors[&"E".parse().unwrap()];
    assert!(matches!(executor.tasks[0].stage, Stage::Queued(_)));
    assert_eq!((executor.phase, &executor.contact), (ExecutorPhase::Registering, &Contact::Nobody));
}
