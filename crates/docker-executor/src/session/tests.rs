//! Every event in every state, and the properties that hold over all of them.

use std::time::Duration;

use mesos_proto::v1;
use mesos_proto::v1::TaskState;
use mesos_proto::v1::framework_info::capability::Type as Capability;
use mesos_proto::v1::task_status::Reason;
use proptest::prelude::*;
use tokio::time::Instant;

use super::state::is_terminal;
use super::unacknowledged::IN_FLIGHT;
use super::{Action, AgentEvent, Call, Event, Exit, FirstContact, Session, SessionSettings, Timer};
use crate::environment::Recovery;

const RECOVERY: Duration = Duration::from_secs(900);
const GRACE: Duration = Duration::from_secs(5);
const STOP: Duration = Duration::from_secs(1);

fn session(recovery: Recovery) -> Session {
    Session::new(SessionSettings {
        first_contact: FirstContact::Once,
        recovery,
        shutdown_grace: GRACE,
        stop_timeout: STOP,
    })
}

fn task(id: &str) -> Box<v1::TaskInfo> {
    Box::new(v1::TaskInfo { task_id: v1::TaskId { value: id.into() }, ..Default::default() })
}

fn status(state: TaskState, uuid: u8) -> Box<v1::TaskStatus> {
    let mut status = v1::TaskStatus {
        task_id: v1::TaskId { value: "t".into() },
        uuid: Some(vec![uuid; 16]),
        ..Default::default()
    };
    status.set_state(state);
    Box::new(status)
}

fn launch() -> Event {
    Event::Agent(AgentEvent::Launch(task("t"), None))
}

fn ack(uuid: u8) -> Event {
    Event::Agent(AgentEvent::Acknowledged(vec![uuid; 16]))
}

fn kill(grace: Option<Duration>) -> Event {
    Event::Agent(AgentEvent::Kill("t".into(), grace))
}

fn welcome() -> Event {
    Event::Agent(AgentEvent::Welcome(None))
}

fn running() -> Event {
    Event::Status(status(TaskState::TaskRunning, 1))
}

fn finished() -> Event {
    Event::Status(status(TaskState::TaskFinished, 9))
}

const LOST: Event = Event::Lost;
const SHUTDOWN: Event = Event::Agent(AgentEvent::Shutdown);

/// What a session says to the last of these events.
fn last(mut session: Session, events: impl IntoIterator<Item = Event>) -> Vec<String> {
    let now = Instant::now();
    let mut said = Vec::new();
    for event in events {
        said = session.on(event, now);
    }
    said.iter().map(short).collect()
}

/// An action in a few words.
fn short(action: &Action) -> String {
    match action {
        Action::Call(Call::Join(join)) => {
            let first = if join.is_first { "first " } else { "" };
            format!("{first}join {} tasks {} updates", join.tasks.len(), join.updates.len())
        }
        Action::Call(Call::Update(status)) => format!("update {}", status.state().as_str_name()),
        Action::Launch(task, killing) => format!("launch {} {killing:?}", task.task_id.value),
        Action::Kill(grace, cause) => format!("kill {} ms {cause:?}", grace.as_millis()),
        Action::Tell(tell) => format!("tell {} {} {}", tell.task_id, tell.state.as_str_name(), tell.message),
        Action::Arm(timer, after) => format!("arm {timer:?} {} s", after.as_secs()),
        Action::Disarm(timer) => format!("disarm {timer:?}"),
        Action::Exit(exit) => format!("exit {exit:?}"),
    }
}

/// The ways into each state of link, task and course.
fn into(state: &str) -> Vec<Event> {
    let mut events = vec![Event::Connected];
    let more: &[Event] = match state {
        "starting" => return Vec::new(),
        "joining" => &[],
        "idle" => &[welcome()],
        "running" => &[welcome(), launch(), running(), ack(1)],
        "unacked" => &[welcome(), launch(), running()],
        "killing" => &[welcome(), launch(), running(), ack(1), kill(Some(Duration::from_secs(9)))],
        "ended" => &[welcome(), launch(), finished()],
        "away" => &[welcome(), launch(), running(), LOST],
        "away ended" => &[welcome(), launch(), finished(), LOST],
        "ending" => &[welcome(), launch(), running(), ack(1), SHUTDOWN],
        "ending ended" => &[welcome(), launch(), SHUTDOWN, finished()],
        "leaving" => &[welcome(), launch(), running(), ack(1), Event::Terminate],
        other => panic!("no state {other}"),
    };
    events.extend_from_slice(more);
    events
}

#[rstest::rstest]
// The conversation begins.
#[case("starting", Event::Connected, &["first join 0 tasks 0 updates"])]
#[case("starting", LOST, &["exit Aborted"])]
#[case("joining", LOST, &["exit Aborted"])]
#[case("joining", welcome(), &["disarm Recovery"])]
#[case("joining", SHUTDOWN, &["exit Stopped"])]
#[case("joining", Event::Terminate, &["exit Terminated"])]
// A task comes.
#[case("idle", launch(), &["launch t Omitted"])]
#[case("idle", kill(None), &["tell t TASK_KILLED Killed before it was launched"])]
#[case("idle", SHUTDOWN, &["exit Stopped"])]
#[case("idle", LOST, &["disarm Acknowledgement", "arm Recovery 900 s"])]
#[case("idle", Event::Agent(AgentEvent::Message), &[])]
// It runs.
#[case("running", Event::Status(status(TaskState::TaskRunning, 2)), &["update TASK_RUNNING"])]
#[case("running", finished(), &["update TASK_FINISHED", "arm Acknowledgement 60 s"])]
#[case("running", kill(None), &["kill 5000 ms Framework"])]
#[case("running", kill(Some(Duration::from_millis(1500))), &["kill 1500 ms Framework"])]
#[case("running", Event::Agent(AgentEvent::Kill("other".into(), None)), &[])]
#[case("running", launch(), &[])]
#[case("running", Event::Agent(AgentEvent::Launch(task("u"), None)),
    &["tell u TASK_FAILED Attempted to run multiple tasks using a \"docker\" executor"])]
#[case("running", SHUTDOWN, &["kill 3000 ms Shutdown"])]
#[case("running", Event::Agent(AgentEvent::Error("e".into())), &["kill 3000 ms Shutdown"])]
#[case("running", Event::Terminate, &["kill 1000 ms Shutdown"])]
#[case("running", LOST, &["disarm Acknowledgement", "arm Recovery 900 s"])]
#[case("running", ack(7), &[])]
// A restarted agent asks again, whether or not its end was noticed.
#[case("running", Event::Connected, &["join 0 tasks 0 updates"])]
#[case("unacked", Event::Connected, &["join 1 tasks 1 updates"])]
#[case("away", Event::Connected, &["join 1 tasks 1 updates"])]
#[case("away", LOST, &[])]
#[case("away", Event::Status(status(TaskState::TaskRunning, 2)), &[])]
#[case("away", finished(), &[])]
#[case("away", Event::Due(Timer::Recovery), &["kill 3000 ms Shutdown"])]
#[case("away", welcome(), &["disarm Recovery"])]
#[case("away", Event::Terminate, &["kill 1000 ms Shutdown"])]
#[case("away ended", Event::Connected, &["join 1 tasks 1 updates"])]
#[case("away ended", welcome(), &["disarm Recovery", "arm Acknowledgement 60 s"])]
#[case("away ended", Event::Due(Timer::Recovery), &["arm Acknowledgement 2 s"])]
// It is killed. A shutdown shortens a kill and never lengthens it.
#[case("killing", SHUTDOWN, &["kill 3000 ms Shutdown"])]
#[case("killing", kill(Some(Duration::ZERO)), &["kill 0 ms Framework"])]
#[case("ending", kill(Some(Duration::from_secs(9))), &[])]
#[case("ending", SHUTDOWN, &[])]
#[case("ending", Event::Terminate, &["kill 1000 ms Shutdown"])]
// It has ended.
#[case("ended", ack(9), &["exit Stopped"])]
#[case("ended", Event::Due(Timer::Acknowledgement), &["exit Stopped"])]
#[case("ended", kill(None), &[])]
#[case("ended", launch(), &[])]
#[case("ended", Event::Terminate, &["exit Terminated"])]
#[case("ended", SHUTDOWN, &["arm Acknowledgement 2 s"])]
#[case("ended", LOST, &["disarm Acknowledgement", "arm Recovery 900 s"])]
// The process ends.
#[case("ending", finished(), &["update TASK_FINISHED", "arm Acknowledgement 2 s"])]
#[case("ending", launch(), &[])]
#[case("ending", LOST, &[])]
#[case("ending ended", ack(9), &["exit Stopped"])]
#[case("ending ended", Event::Due(Timer::Acknowledgement), &["exit Stopped"])]
#[case("ending ended", LOST, &[])]
// Whoever kills the process tells the end himself.
#[case("leaving", running(), &[])]
#[case("leaving", finished(), &["exit Terminated"])]
#[case("leaving", Event::Terminate, &["kill 0 ms Shutdown"])]
#[case("leaving", SHUTDOWN, &[])]
#[case("leaving", LOST, &[])]
#[case("leaving", launch(), &[])]
fn each_event_has_its_answer(#[case] state: &str, #[case] event: Event, #[case] expected: &[&str]) {
    let events = into(state).into_iter().chain([event]);
    assert_eq!(last(session(Recovery::Wait(RECOVERY)), events), expected);
}

#[rstest::rstest]
#[case("starting", &["exit Aborted"])]
#[case("idle", &["exit Aborted"])]
#[case("running", &["kill 3000 ms Shutdown"])]
#[case("ended", &["arm Acknowledgement 2 s"])]
#[case("ending", &[])]
fn without_checkpointing_a_lost_agent_is_the_end(#[case] state: &str, #[case] expected: &[&str]) {
    let events = into(state).into_iter().chain([LOST]);
    assert_eq!(last(session(Recovery::End), events), expected);
}

#[test]
fn an_http_executor_tries_again_before_its_first_registration() {
    let mut again = Session::new(SessionSettings {
        first_contact: FirstContact::Again,
        recovery: Recovery::Wait(RECOVERY),
        shutdown_grace: GRACE,
        stop_timeout: STOP,
    });
    let said = again.on(Event::Lost, Instant::now());
    assert_eq!(said, [Action::Disarm(Timer::Acknowledgement), Action::Arm(Timer::Recovery, RECOVERY)]);
}

#[test]
fn what_happened_while_the_agent_was_away_is_told_with_the_registration() {
    let mut events = into("away");
    events.extend([Event::Status(status(TaskState::TaskKilling, 2)), finished(), Event::Connected]);
    assert_eq!(last(session(Recovery::Wait(RECOVERY)), events.clone()), ["join 1 tasks 3 updates"]);
    events.extend([welcome(), ack(1), ack(2), ack(9)]);
    assert_eq!(last(session(Recovery::Wait(RECOVERY)), events), ["exit Stopped"]);
}

#[test]
fn a_framework_that_takes_killing_gets_it() {
    let mut framework = v1::FrameworkInfo::default();
    let mut capability = v1::framework_info::Capability::default();
    capability.set_type(Capability::TaskKillingState);
    framework.capabilities.push(capability);
    let framework = Box::new(framework);
    let welcome = Event::Agent(AgentEvent::Welcome(Some(framework)));
    assert_eq!(last(session(Recovery::End), [Event::Connected, welcome, launch()]), ["launch t Sent"]);
}

#[test]
fn a_tasks_own_grace_counts_unless_the_kill_has_another() {
    let mut own = task("t");
    own.kill_policy =
        Some(v1::KillPolicy { grace_period: Some(v1::DurationInfo { nanoseconds: 1_500_000_000 }) });
    let launch = Event::Agent(AgentEvent::Launch(own, None));
    let start = || [Event::Connected, welcome(), launch.clone()];
    assert_eq!(
        last(session(Recovery::End), start().into_iter().chain([kill(None)])),
        ["kill 1500 ms Framework"]
    );
    // A kill that ends before the agent's patience goes on as it is.
    let soon = start().into_iter().chain([kill(None), SHUTDOWN]);
    assert_eq!(last(session(Recovery::End), soon), Vec::<String>::new());
}

#[test]
fn a_kill_before_the_launch_is_the_end_of_the_task() {
    let mut events = into("idle");
    events.extend([kill(None), Event::Status(status(TaskState::TaskKilled, 9))]);
    let said = last(session(Recovery::End), events.clone());
    assert_eq!(said, ["update TASK_KILLED", "arm Acknowledgement 60 s"]);
    // The launch that the kill overtook is no second task, and the task has had its end.
    events.push(launch());
    assert_eq!(last(session(Recovery::End), events.clone()), Vec::<String>::new());
    events.push(ack(9));
    assert_eq!(last(session(Recovery::End), events), ["exit Stopped"]);
}

/// It repeats its question (`--executor_reregistration_retry_interval`) and drops the second answer, so there is no
/// second welcome.
#[test]
fn an_agent_that_asks_twice_hears_the_end_of_the_task() {
    let mut events = into("running");
    events.extend([Event::Connected, finished()]);
    let said = last(session(Recovery::Wait(RECOVERY)), events);
    assert_eq!(said, ["update TASK_FINISHED", "arm Acknowledgement 60 s"]);
}

#[test]
fn an_agent_that_answers_without_taking_us_back_does_not_put_the_end_off() {
    let mut events = into("away");
    events.extend([Event::Connected, LOST]);
    let said = last(session(Recovery::Wait(RECOVERY)), events.clone());
    assert_eq!(said, ["disarm Acknowledgement"]);
    // One that took us back has all its time again.
    events.extend([Event::Connected, welcome(), LOST]);
    let said = last(session(Recovery::Wait(RECOVERY)), events);
    assert_eq!(said, ["disarm Acknowledgement", "arm Recovery 900 s"]);
}

#[test]
fn a_task_without_a_usable_id_fails() {
    let events = into("idle").into_iter().chain([Event::Agent(AgentEvent::Launch(task("a/b"), None))]);
    let said = last(session(Recovery::End), events);
    assert!(said[0].starts_with("tell a/b TASK_FAILED Failed to create docker run options"), "{said:?}");
}

#[test]
fn the_statuses_on_their_way_are_bounded_and_those_of_checks_give_way() {
    let mut session = session(Recovery::Wait(RECOVERY));
    let now = Instant::now();
    for event in into("running") {
        session.on(event, now);
    }
    let health = |uuid: u8, healthy: bool| {
        let mut status = status(TaskState::TaskRunning, uuid);
        status.set_reason(Reason::TaskHealthCheckStatusUpdated);
        status.healthy = Some(healthy);
        Event::Status(status)
    };
    let mut sent = 0;
    for uuid in 10..100 {
        sent += session.on(health(uuid, uuid % 2 == 0), now).len();
    }
    assert_eq!(sent, IN_FLIGHT);
    // Only the newest of those that waited is left; an end does not replace it.
    session.on(finished(), now);
    let next = session.on(ack(10), now);
    assert_eq!(next.iter().map(short).collect::<Vec<_>>(), ["update TASK_RUNNING"]);
    let Action::Call(Call::Update(status)) = &next[0] else { panic!("{next:?}") };
    assert_eq!(status.uuid(), [99; 16]);
    assert_eq!(session.on(ack(11), now).iter().map(short).collect::<Vec<_>>(), ["update TASK_FINISHED"]);
}

fn any_event() -> impl Strategy<Value = Event> {
    let uuid = 1_u8..5;
    prop_oneof![
        Just(Event::Connected),
        Just(LOST),
        Just(welcome()),
        Just(launch()),
        Just(Event::Agent(AgentEvent::Launch(task("u"), None))),
        Just(Event::Agent(AgentEvent::Message)),
        prop::option::of(0_u64..10_000).prop_map(|ms| kill(ms.map(Duration::from_millis))),
        uuid.clone().prop_map(ack),
        Just(ack(9)),
        Just(SHUTDOWN),
        uuid.prop_map(|uuid| Event::Status(status(TaskState::TaskRunning, uuid))),
        Just(Event::Due(Timer::Recovery)),
        Just(Event::Due(Timer::Acknowledgement)),
        Just(Event::Terminate),
    ]
}

proptest! {
    /// Whatever happens: one launch, no update while nobody listens, and a task that was launched ends before the
    /// process does, unless nobody could have told it to.
    #[test]
    fn the_process_never_ends_before_its_task(events in prop::collection::vec(any_event(), 0..60), waits: bool) {
        let recovery = if waits { Recovery::Wait(RECOVERY) } else { Recovery::End };
        let mut session = session(recovery);
        let now = Instant::now();
        let (mut launches, mut is_joined, mut is_over) = (0, false, false);
        let mut armed = std::collections::BTreeSet::new();
        for event in events {
            match &event {
                Event::Agent(AgentEvent::Welcome(_)) => is_joined = true,
                Event::Lost => is_joined = false,
                // Timers come only when they were armed; this task never ends by itself.
                Event::Due(timer) if !armed.remove(timer) => continue,
                _ => {}
            }
            for action in session.on(event, now) {
                match action {
                    Action::Launch(..) => launches += 1,
                    Action::Call(Call::Update(_)) => prop_assert!(is_joined),
                    Action::Arm(timer, _) => {
                        armed.insert(timer);
                    }
                    Action::Disarm(timer) => {
                        armed.remove(&timer);
                    }
                    Action::Exit(_) => is_over = true,
                    Action::Tell(tell) => prop_assert!(is_terminal(tell.state)),
                    Action::Call(Call::Join(_)) | Action::Kill(..) => {}
                }
            }
            if is_over {
                break;
            }
        }
        prop_assert!(launches <= 1);
        prop_assert!(launches == 0 || !is_over);
    }
}

#[test]
fn the_exit_codes_are_stocks() {
    assert_eq!([Exit::Stopped, Exit::Aborted, Exit::Terminated].map(Exit::code), [0, 1, 143]);
}
