//! The way to the master.

use super::*;

fn registrations(actions: &[Action]) -> usize {
    let is_one = |action: &&Action| {
        matches!(action, Action::Send(_, message)
            if matches!(**message, ToMaster::Register(_) | ToMaster::Reregister(_)))
    };
    actions.iter().filter(is_one).count()
}

#[test]
fn it_registers_again_and_again_with_longer_pauses() {
    let mut bench = Bench::recovered();
    assert_eq!(bench.step(detected()), []);
    let actions = bench.wait(Duration::from_secs(1));
    assert_eq!(actions[0], Action::Link(MASTER.into()));
    let first = registrations(&actions);
    assert!(first >= 1);
    let more = registrations(&bench.wait(Duration::from_secs(600)));
    // The pauses are random up to a bound that doubles up to a minute.
    assert!((6..60).contains(&more), "{more}");
    bench.step(registered());
    assert_eq!(registrations(&bench.wait(Duration::from_secs(60))), 0);
}

#[test]
fn a_first_registration_is_written_and_another_id_ends_the_agent() {
    let mut bench = Bench::recovered();
    bench.step(detected());
    bench.wait(Duration::from_secs(2));
    let actions = bench.step(registered());
    let is_written = |action: &Action| {
        matches!(action, Action::Write(write)
            if matches!(&**write, Write::Agent(info) if info.id.as_ref().is_some_and(|id| id.value == AGENT)))
    };
    assert!(actions.iter().any(is_written), "{actions:?}");
    let other = from_master(Message::Registered(internal::SlaveRegisteredMessage {
        slave_id: v1::AgentId { value: "M-S9".into() },
        connection: None,
    }));
    assert!(matches!(&bench.step(other)[..], [Action::Exit(Exit::Failed(_))]));
}

#[rstest::rstest]
#[case::no_ping_in_time(|bench: &mut Bench| drop(bench.wait(Duration::from_secs(76))))]
#[case::the_master_lost_us(|bench: &mut Bench| drop(bench.step(ping(false))))]
#[case::our_link_broke(|bench: &mut Bench| drop(bench.step(Event::Exited(MASTER.into()))))]
fn it_registers_anew_when_the_master_is_lost(#[case] lose: fn(&mut Bench)) {
    let mut bench = Bench::registered();
    lose(&mut bench);
    let id = bench.state.agent().id.clone();
    let actions = bench.wait(Duration::from_secs(2));
    let is_again = |action: &Action| matches!(action, Action::Send(_, message) if matches!(**message, ToMaster::Reregister(_)));
    assert!(actions.iter().any(is_again) || bench.state.agent().phase == Phase::Disconnected);
    assert_eq!(bench.state.agent().id, id);
}

#[test]
fn pings_keep_it_registered_and_others_links_do_not_matter() {
    let mut bench = Bench::registered();
    for _ in 0..10 {
        bench.wait(Duration::from_secs(60));
        bench.step(ping(true));
    }
    bench.step(Event::Exited("executor(1)@127.0.0.1:1".into()));
    assert_eq!(bench.state.agent().phase, Phase::Running);
}

#[test]
fn only_the_leading_master_is_heard() {
    let mut bench = Bench::registered();
    let stranger = "master@10.0.0.9:5050".to_owned();
    let Event::Message(_, message) = run_task(framework("F", &[]), docker_task("t")) else { panic!() };
    assert_eq!(bench.step(Event::Message(stranger, message)), []);
    assert!(bench.state.agent().frameworks.is_empty());
}

#[test]
fn a_reregistration_names_each_task_and_framework_once_and_no_generated_executor() {
    let mut bench = Bench::registered();
    let (run, _) = bench.launch(framework("F", &[]), "t");
    bench.launch(framework("F", &[]), "queued");
    bench.step(told(&run, "t", v1::TaskState::TaskRunning));
    bench.step(run_task(framework("G", &[]), docker_task("pending")));
    bench.step(Event::Detected(None));
    bench.step(detected());
    let actions = bench.wait(Duration::from_secs(2));
    let message = actions.iter().find_map(|action| match action {
        Action::Send(_, message) => match &**message {
            ToMaster::Reregister(message) => Some(message),
            _ => None,
        },
        _ => None,
    });
    let message = message.expect("a registration");
    let mut tasks: Vec<_> = message.tasks.iter().map(|task| task.task_id.value.as_str()).collect();
    tasks.sort_unstable();
    assert_eq!(tasks, ["pending", "queued", "t"]);
    assert!(message.tasks.iter().all(|task| task.executor_id.is_none() && task.agent_id.value == AGENT));
    let both_or_none =
        |task: &v1::Task| task.status_update_state.is_some() == task.status_update_uuid.is_some();
    assert!(message.tasks.iter().all(both_or_none));
    assert_eq!(message.frameworks.len(), 2);
    assert!(message.executor_infos.is_empty());
}

/// A master that was restarted under its address drops the registrations of who has not shown credentials to it.
#[test]
fn credentials_are_shown_again_after_the_connection_broke() {
    let mut bench = Bench::recovered();
    bench.state.settings.authentication = Authentication::Required;
    bench.step(detected());
    let asks = |actions: &[Action]| actions.contains(&Action::Authenticate(MASTER.into()));
    assert!(asks(&bench.wait(Duration::from_secs(2))));
    let actions = bench.step(Event::Authenticated(MASTER.into()));
    assert_eq!(registrations(&actions), 1);
    bench.step(Event::Exited(MASTER.into()));
    let actions = bench.wait(Duration::from_secs(60));
    assert!(asks(&actions) && registrations(&actions) == 0, "{actions:?}");
}

#[test]
fn times_without_end_are_no_harm() {
    let mut bench = Bench::registered();
    bench.state.settings.executor_registration_timeout = Duration::MAX;
    bench.elapsed += Duration::from_secs(1);
    bench.launch(framework("F", &[]), "t");
    let again = internal::SlaveReregisteredMessage {
        slave_id: v1::AgentId { value: AGENT.into() },
        connection: Some(internal::MasterSlaveConnection { total_ping_timeout_seconds: Some(1.8e19) }),
        ..Default::default()
    };
    bench.step(from_master(Message::Reregistered(again)));
    assert!(bench.state.deadline().is_some());
}

fn ping(connected: bool) -> Event {
    Event::Message(
        "slave-observer(1)@127.0.0.1:5050".into(),
        Box::new(Message::Ping(internal::PingSlaveMessage { connected })),
    )
}
