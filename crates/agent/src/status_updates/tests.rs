//! Streams of updates: one test per rule, what a restart makes of them, and a small model against which any sequence of
//! events is held.

use std::collections::{HashSet, VecDeque};

use checkpoint::StreamRecord;
use mesos_proto::v1;
use proptest::prelude::*;

use super::*;

const SECOND: Duration = Duration::from_secs(1);

fn run() -> Run {
    Run {
        framework_id: "f".parse().unwrap(),
        executor_id: "t".parse().unwrap(),
        container_id: "c9b9bba0-a5f9-4d3c-8a0b-1f9d6ee4a1b2".parse().unwrap(),
    }
}

fn id(number: u128) -> Uuid {
    Uuid::from_u128(number)
}

fn told(number: u128, state: TaskState) -> StatusUpdate {
    StatusUpdate {
        framework_id: v1::FrameworkId { value: "f".into() },
        status: v1::TaskStatus {
            task_id: v1::TaskId { value: "t".into() },
            state: state.into(),
            ..Default::default()
        },
        uuid: Some(id(number).as_bytes().to_vec()),
        ..Default::default()
    }
}

/// What came out, in short: `+1` and `-1` are appended to the file, `>1/Running` is sent with its latest state.
fn short(steps: &[Step]) -> String {
    let number = |uuid: &[u8]| Uuid::from_slice(uuid).unwrap().as_u128();
    let words: Vec<String> = steps
        .iter()
        .map(|step| match step {
            Step::Append(run_of, task_id, record) => {
                assert_eq!((run_of, task_id.as_str()), (&run(), "t"));
                match StatusUpdate::from_wire(record.clone()).unwrap() {
                    StreamRecord::Update(update) => format!("+{}", number(update.uuid())),
                    StreamRecord::Acknowledged(uuid) => format!("-{}", uuid.as_u128()),
                }
            }
            Step::Forward(update) => {
                let state = format!("{:?}", update.latest_state());
                format!(">{}/{}", number(update.uuid()), state.trim_start_matches("Task"))
            }
            Step::Closed(framework_id, task_id) => {
                assert_eq!((framework_id.as_str(), task_id.as_str()), ("f", "t"));
                "closed".to_owned()
            }
        })
        .collect();
    words.join(" ")
}

/// Streams that send, with a file.
struct Scene {
    updates: StatusUpdates,
    framework: FrameworkId,
    task: TaskId,
    durability: Durability,
}

impl Scene {
    fn new() -> Self {
        Self::with(StreamSettings::default(), Durability::Disk(run()))
    }

    fn with(settings: StreamSettings, durability: Durability) -> Self {
        let mut updates = StatusUpdates::new(settings);
        assert_eq!(updates.resume(Duration::ZERO), []);
        Self { updates, framework: "f".parse().unwrap(), task: "t".parse().unwrap(), durability }
    }

    fn told(&mut self, number: u128, state: TaskState, now: Duration) -> String {
        short(&self.updates.update(told(number, state), self.durability.clone(), now).1)
    }

    fn heard(&mut self, number: u128, now: Duration) -> String {
        short(&self.updates.acknowledge(&self.framework, &self.task, id(number), now))
    }

    fn due(&mut self, now: Duration) -> String {
        short(&self.updates.due(now))
    }
}

/// What TaskStatusUpdateManagerTest.CheckpointStatusUpdate asserts: an update and its acknowledgement are written, in
/// this order, and before anything is sent.
#[test]
fn what_is_sent_is_written_before() {
    let mut scene = Scene::new();
    assert_eq!(scene.told(1, TaskState::TaskRunning, SECOND), "+1 >1/Running");
    assert_eq!(scene.heard(1, SECOND), "-1");
    assert_eq!(scene.updates.next_due(), None);
}

#[test]
fn without_a_file_nothing_is_written() {
    let mut scene = Scene::with(StreamSettings::default(), Durability::Memory);
    assert_eq!(scene.told(1, TaskState::TaskLost, SECOND), ">1/Lost");
    assert_eq!(scene.heard(1, SECOND), "closed");
}

#[test]
fn only_the_first_that_waits_is_sent() {
    let mut scene = Scene::new();
    assert_eq!(scene.told(1, TaskState::TaskStarting, SECOND), "+1 >1/Starting");
    assert_eq!(scene.told(2, TaskState::TaskRunning, SECOND), "+2");
    assert_eq!(scene.told(3, TaskState::TaskFinished, SECOND), "+3");
    assert_eq!(scene.updates.latest_state(&scene.framework, &scene.task), Some(TaskState::TaskFinished));
    let in_flight = scene.updates.in_flight(&scene.framework, &scene.task);
    assert_eq!(in_flight, Some((TaskState::TaskStarting, id(1))));
    assert_eq!(scene.heard(1, SECOND), "-1 >2/Finished");
    assert_eq!(scene.heard(2, SECOND), "-2 >3/Finished");
    assert_eq!(scene.heard(3, SECOND), "-3 closed");
    assert_eq!(scene.updates.in_flight(&scene.framework, &scene.task), None);
}

/// What TaskStatusUpdateManagerTest.RetryStatusUpdate and .LatestTaskState assert: sent again with what is the latest
/// state then, after 10 s, 20 s, … 10 min.
#[test]
fn what_is_not_acknowledged_is_sent_again() {
    let mut scene = Scene::new();
    scene.told(1, TaskState::TaskRunning, Duration::ZERO);
    let mut now = Duration::ZERO;
    for pause in [10, 20, 40, 80, 160, 320, 600, 600, 600] {
        let pause = pause * SECOND;
        assert_eq!(scene.updates.next_due(), Some(now + pause));
        assert_eq!(scene.due(now + pause - Duration::from_nanos(1)), "");
        now += pause;
        assert_eq!(scene.due(now), ">1/Running");
        assert_eq!(scene.due(now), "");
    }
    assert_eq!(scene.updates.counters().retries, 9);
    assert_eq!(scene.told(2, TaskState::TaskFinished, now), "+2");
    now += 600 * SECOND;
    assert_eq!(scene.due(now), ">1/Finished");
    // The next one begins at 10 s again.
    assert_eq!(scene.heard(1, now), "-1 >2/Finished");
    assert_eq!(scene.updates.next_due(), Some(now + 10 * SECOND));
}

/// What TaskStatusUpdateManagerTest.IgnoreDuplicateStatusUpdateAck and .IgnoreUnexpectedStatusUpdateAck assert.
#[test]
fn an_acknowledgement_of_anything_but_the_head_is_ignored() {
    let mut scene = Scene::new();
    scene.told(1, TaskState::TaskStarting, SECOND);
    scene.told(2, TaskState::TaskRunning, SECOND);
    assert_eq!(scene.heard(2, SECOND), "", "it was not sent");
    assert_eq!(scene.heard(9, SECOND), "");
    assert_eq!(scene.updates.counters().unexpected_acknowledgements, 2);
    assert_eq!(scene.heard(1, SECOND), "-1 >2/Running");
    assert_eq!(scene.heard(1, SECOND), "", "the retry of an acknowledgement");
    assert_eq!(scene.updates.counters().unexpected_acknowledgements, 2);
    let other: TaskId = "other".parse().unwrap();
    assert_eq!(scene.updates.acknowledge(&scene.framework, &other, id(1), SECOND), []);
}

/// What TaskStatusUpdateManagerTest.DuplicateUpdateBeforeAck asserts: a repeated update is not stored twice.
#[test]
fn a_repeated_update_is_taken_once() {
    let mut scene = Scene::new();
    scene.told(1, TaskState::TaskRunning, SECOND);
    assert_eq!(scene.told(1, TaskState::TaskRunning, SECOND), "");
    assert_eq!(scene.heard(1, SECOND), "-1");
    assert_eq!(scene.told(1, TaskState::TaskRunning, SECOND), "");
    assert_eq!(scene.updates.counters().dropped, 0, "a repeat is none");
}

/// What TaskStatusUpdateManagerTest.DuplicateTerminalUpdateBeforeAck asserts: a task ends once.
#[test]
fn nothing_follows_the_last_word() {
    let mut scene = Scene::new();
    scene.told(1, TaskState::TaskFinished, SECOND);
    assert_eq!(scene.told(2, TaskState::TaskFailed, SECOND), "");
    assert_eq!(scene.told(3, TaskState::TaskRunning, SECOND), "");
    assert_eq!(scene.updates.counters().dropped, 2);
    assert_eq!(scene.heard(1, SECOND), "-1 closed");
}

#[test]
fn without_a_master_nothing_is_sent() {
    let mut scene = Scene::new();
    scene.told(1, TaskState::TaskStarting, SECOND);
    scene.due(11 * SECOND);
    scene.updates.pause();
    assert_eq!((scene.updates.next_due(), scene.due(1000 * SECOND)), (None, String::new()));
    assert_eq!(scene.told(2, TaskState::TaskRunning, SECOND), "+2");
    assert_eq!(scene.heard(1, SECOND), "-1", "it was on its way");
    assert_eq!(short(&scene.updates.resume(2000 * SECOND)), ">2/Running");
    assert_eq!(scene.updates.next_due(), Some(2010 * SECOND));
    assert_eq!(short(&scene.updates.resume(2001 * SECOND)), ">2/Running", "a new master knows nothing");
    assert_eq!(scene.updates.next_due(), Some(2011 * SECOND));
}

#[test]
fn a_framework_that_is_gone_waits_for_nothing() {
    let mut scene = Scene::new();
    scene.told(1, TaskState::TaskRunning, SECOND);
    let mut other = told(2, TaskState::TaskRunning);
    other.framework_id.value = "g".into();
    scene.updates.update(other, Durability::Memory, SECOND);
    scene.updates.cleanup(&scene.framework.clone());
    assert_eq!(scene.heard(1, SECOND), "");
    let steps = scene.updates.due(20 * SECOND);
    let [Step::Forward(left)] = steps.as_slice() else { panic!("{steps:?}") };
    assert_eq!(left.framework_id.value, "g");
}

/// The unacknowledged update is sent again by the next start, from what stands in the file.
///
/// Peer: SlaveRecoveryTest.RecoverTaskStatusUpdateManager.
#[test]
fn a_restart_sends_what_was_not_acknowledged() {
    let mut scene = Scene::new();
    let mut written = Vec::new();
    for (number, state) in
        [(1, TaskState::TaskStarting), (2, TaskState::TaskRunning), (3, TaskState::TaskFinished)]
    {
        written.extend(scene.updates.update(told(number, state), scene.durability.clone(), SECOND).1);
    }
    written.extend(scene.updates.acknowledge(&scene.framework, &scene.task, id(1), SECOND));

    // Through real files, as the agent does it.
    let work_dir = tempfile::tempdir().unwrap();
    let store = checkpoint::Store::open(work_dir.path()).unwrap();
    let run = run();
    let agent_id: mesos_types::AgentId = "a".parse().unwrap();
    let agent = store.layout().agent(&agent_id);
    let framework = agent.framework(&run.framework_id);
    let executor = framework.executor(&run.executor_id);
    let paths = executor.run(run.container_id);
    let task_id = v1::TaskId { value: "t".into() };
    let framework_id = v1::FrameworkId { value: "f".into() };
    let agent_info = v1::AgentInfo { id: Some(v1::AgentId { value: "a".into() }), ..Default::default() };
    store.write_agent(&agent, &agent_info).unwrap();
    let framework_info = v1::FrameworkInfo { id: Some(framework_id.clone()), ..Default::default() };
    store.write_framework(&framework, &framework_info, None).unwrap();
    let executor_info =
        v1::ExecutorInfo { executor_id: v1::ExecutorId { value: "t".into() }, ..Default::default() };
    store.write_executor(&executor, &executor_info, true).unwrap();
    store.create_run(&executor, &paths).unwrap();
    let task = v1::Task { task_id, framework_id, ..Default::default() };
    store.write_task(&paths.task(&scene.task), &task).unwrap();
    for step in &written {
        if let Step::Append(_, task, record) = step {
            store.append_task_update(&paths.task(task), record).unwrap();
        }
    }
    let boot = checkpoint::BootId::current().unwrap();
    let state = checkpoint::recover::recover(&store, checkpoint::Strictness::Strict, &boot).unwrap();
    let agent = state.agent.unwrap();
    let found = &agent.frameworks[0].executors[0].runs[0].tasks[0];

    let mut after = StatusUpdates::new(StreamSettings::default());
    assert_eq!(after.replay(&scene.framework, &found.id, run.clone(), &found.updates), Replayed::Open);
    assert_eq!(after.next_due(), None, "nothing is sent before there is a master");
    assert_eq!(short(&after.resume(SECOND)), ">2/Finished");
    assert_eq!(
        short(&after.update(told(1, TaskState::TaskStarting), Durability::Disk(run.clone()), SECOND).1),
        ""
    );
    assert_eq!(short(&after.acknowledge(&scene.framework, &scene.task, id(1), SECOND)), "", "it came before");
    assert_eq!(short(&after.acknowledge(&scene.framework, &scene.task, id(2), SECOND)), "-2 >3/Finished");
    assert_eq!(short(&after.acknowledge(&scene.framework, &scene.task, id(3), SECOND)), "-3 closed");
}

#[test]
fn a_restart_knows_what_is_history() {
    let found = RecoveredUpdates {
        updates: vec![told(1, TaskState::TaskRunning), told(2, TaskState::TaskFinished)],
        acknowledged: HashSet::from([id(1), id(2)]),
    };
    let mut updates = StatusUpdates::new(StreamSettings::default());
    let (framework, task): (FrameworkId, TaskId) = ("f".parse().unwrap(), "t".parse().unwrap());
    assert_eq!(updates.replay(&framework, &task, run(), &found), Replayed::Complete);
    assert_eq!(updates.resume(SECOND), []);
    // What was acknowledged and not terminal leaves room for what follows.
    let found = RecoveredUpdates {
        updates: vec![told(1, TaskState::TaskRunning)],
        acknowledged: HashSet::from([id(1)]),
    };
    assert_eq!(updates.replay(&framework, &task, run(), &found), Replayed::Open);
    assert_eq!(
        short(&updates.update(told(1, TaskState::TaskRunning), Durability::Disk(run()), SECOND).1),
        ""
    );
    let (_, last) = updates.update(told(2, TaskState::TaskFailed), Durability::Memory, SECOND);
    assert_eq!(short(&last), "+2 >2/Failed", "a stream stays where it is");
}

/// Health changes for days without a master: of those with the same state the older go, and the file agrees.
#[test]
fn too_many_that_wait_give_way_to_newer_ones() {
    let settings = StreamSettings { max_waiting: 4, ..Default::default() };
    let mut scene = Scene::with(settings, Durability::Disk(run()));
    assert_eq!(scene.told(1, TaskState::TaskStarting, SECOND), "+1 >1/Starting");
    for number in 2..=4 {
        assert_eq!(scene.told(number, TaskState::TaskRunning, SECOND), format!("+{number}"));
    }
    assert_eq!(scene.told(5, TaskState::TaskRunning, SECOND), "+5 -2");
    assert_eq!(scene.told(6, TaskState::TaskKilling, SECOND), "+6 -3");
    assert_eq!(scene.told(7, TaskState::TaskKilled, SECOND), "+7 -4");
    assert_eq!(scene.updates.counters().given_up, 3);
    assert_eq!(scene.told(3, TaskState::TaskRunning, SECOND), "", "it is remembered");
    let mut sent = vec![];
    for number in [1, 5, 6, 7] {
        sent.push(scene.heard(number, SECOND));
    }
    assert_eq!(sent, ["-1 >5/Killed", "-5 >6/Killed", "-6 >7/Killed", "-7 closed"]);
}

#[test]
fn streams_in_memory_are_limited() {
    let settings = StreamSettings { max_in_memory: 1, ..Default::default() };
    let mut scene = Scene::with(settings, Durability::Memory);
    let other = |number| {
        let mut other = told(number, TaskState::TaskLost);
        other.status.task_id.value = format!("other-{number}");
        other
    };
    assert_eq!(scene.told(1, TaskState::TaskLost, SECOND), ">1/Lost");
    assert_eq!(scene.updates.update(other(2), Durability::Memory, SECOND), (Taken::TooManyStreams, vec![]));
    assert_eq!(scene.updates.counters().dropped, 1);
    assert_eq!(scene.heard(1, SECOND), "closed");
    assert_eq!(scene.updates.update(other(3), Durability::Memory, SECOND).1.len(), 1, "there is room again");
    assert_eq!(
        scene.updates.update(other(4), Durability::Disk(run()), SECOND).1.len(),
        2,
        "one on disk needs none"
    );
}

#[rstest::rstest]
#[case(None)]
#[case(Some(vec![]))]
#[case(Some(vec![1; 15]))]
fn an_update_without_an_id_is_dropped(#[case] uuid: Option<Vec<u8>>) {
    let mut scene = Scene::new();
    let update = StatusUpdate { uuid, ..told(1, TaskState::TaskRunning) };
    assert_eq!(scene.updates.update(update, Durability::Disk(run()), SECOND), (Taken::WithoutId, vec![]));
    assert_eq!(scene.updates.counters().dropped, 1);
}

#[derive(Debug, Clone)]
enum Event {
    Told(u128, TaskState),
    HeadHeard,
    Heard(u128),
    Pause,
    Resume,
    Wait(u64),
    Restart,
}

fn event() -> impl Strategy<Value = Event> {
    let states =
        [TaskState::TaskStarting, TaskState::TaskRunning, TaskState::TaskKilling, TaskState::TaskFinished];
    prop_oneof![
        4 => (1_u128..30, prop::sample::select(states.to_vec())).prop_map(|(number, state)| Event::Told(number, state)),
        4 => Just(Event::HeadHeard),
        1 => (1_u128..30).prop_map(Event::Heard),
        1 => Just(Event::Pause),
        2 => Just(Event::Resume),
        3 => (0_u64..700).prop_map(Event::Wait),
        1 => Just(Event::Restart),
    ]
}

proptest! {
    /// Against a queue: what is sent is always its head; everything accepted is written first, is sent until it is
    /// acknowledged, and survives a restart; the end comes once.
    #[test]
    fn any_sequence_keeps_order_and_loses_nothing(events in prop::collection::vec(event(), 1..80)) {
        let (framework, task): (FrameworkId, TaskId) = ("f".parse().unwrap(), "t".parse().unwrap());
        let mut updates = StatusUpdates::new(StreamSettings::default());
        let mut queue: VecDeque<(u128, TaskState)> = VecDeque::new();
        let mut seen: HashSet<u128> = HashSet::new();
        let mut file: Vec<StatusUpdateRecord> = Vec::new();
        let (mut running, mut now, mut last_sent, mut closed) = (false, Duration::ZERO, None, false);
        for event in events {
            let steps = match event {
                Event::Told(number, state) => {
                    let ended = closed || queue.back().is_some_and(|(_, state)| *state == TaskState::TaskFinished);
                    if closed {
                        continue;
                    }
                    let (_, steps) = updates.update(told(number, state), Durability::Disk(run()), now);
                    let expected = !ended && seen.insert(number);
                    prop_assert_eq!(!steps.is_empty(), expected);
                    if expected {
                        queue.push_back((number, state));
                    }
                    steps
                }
                Event::HeadHeard | Event::Heard(_) => {
                    let number = match (&event, queue.front()) {
                        (Event::Heard(number), _) => *number,
                        (_, Some((number, _))) => *number,
                        _ => 0,
                    };
                    let steps = updates.acknowledge(&framework, &task, id(number), now);
                    let is_head = queue.front().is_some_and(|(head, _)| *head == number);
                    prop_assert_eq!(!steps.is_empty(), is_head);
                    if is_head {
                        let terminal = queue.pop_front().is_some_and(|(_, state)| state == TaskState::TaskFinished);
                        let ends = steps.iter().filter(|step| matches!(step, Step::Closed(..))).count();
                        prop_assert_eq!(ends, usize::from(terminal));
                        closed |= terminal;
                        last_sent = None;
                    }
                    steps
                }
                Event::Pause => {
                    updates.pause();
                    (running, last_sent) = (false, None);
                    Vec::new()
                }
                Event::Resume => {
                    running = true;
                    updates.resume(now)
                }
                Event::Wait(seconds) => {
                    now += Duration::from_secs(seconds);
                    updates.due(now)
                }
                Event::Restart => {
                    let mut found = RecoveredUpdates::default();
                    for record in &file {
                        match StatusUpdate::from_wire(record.clone()).unwrap() {
                            StreamRecord::Update(update) => found.updates.push(update),
                            StreamRecord::Acknowledged(uuid) => {
                                found.acknowledged.insert(uuid);
                            }
                        }
                    }
                    updates = StatusUpdates::new(StreamSettings::default());
                    let replayed = updates.replay(&framework, &task, run(), &found);
                    prop_assert_eq!(replayed == Replayed::Complete, closed);
                    (running, last_sent) = (false, None);
                    Vec::new()
                }
            };
            let mut sent = 0;
            for step in steps {
                match step {
                    Step::Append(_, _, record) => {
                        prop_assert_eq!(sent, 0, "written after it was sent");
                        file.push(record);
                    }
                    Step::Forward(update) => {
                        sent += 1;
                        let (head, _) = queue.front().copied().unwrap();
                        prop_assert!(running);
                        prop_assert_eq!(Uuid::from_slice(update.uuid()).unwrap(), id(head));
                        prop_assert_eq!(update.latest_state(), queue.back().unwrap().1);
                        last_sent = Some(now);
                    }
                    Step::Closed(..) => prop_assert_eq!(sent, 0),
                }
            }
            prop_assert!(sent <= 1);
            // While there is a master, the head was sent, and will be again within ten minutes.
            if running && !queue.is_empty() {
                prop_assert!(last_sent.is_some());
                let due = updates.next_due().unwrap();
                prop_assert!(due > now && due <= now + Duration::from_secs(600));
            } else {
                prop_assert_eq!(updates.next_due(), None);
            }
        }
    }
}
