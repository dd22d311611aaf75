//! Executors with programs of their own, of both protocols: who is heard, and what goes to and fro.

use mesos_proto::executor;
use mesos_proto::v1::TaskState;
use mesos_proto::v1::task_status::Reason;

use super::executor_rig::{
    PID, asked, custom_task, exits, given, has_shutdown, libprocess, says, subscribes, to_executor, wants,
};
use super::*;
use crate::model::{Contact, ExecutorPhase, Peer};

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
