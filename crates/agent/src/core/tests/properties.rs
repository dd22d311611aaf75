//! Whatever happens, in whatever order: a task is in one place, ends once, and nothing is sent or started before it is
//! written.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::*;
use crate::model::is_terminal;

const FRAMEWORKS: [&str; 2] = ["F", "G"];
const TASKS: [&str; 3] = ["a", "b", "c"];

/// Something that happens; the numbers choose a framework and a task.
#[derive(Debug, Clone)]
enum Move {
    Run(usize, usize),
    LetGo,
    Tell(usize, usize, v1::TaskState),
    Refuse(usize, usize),
    Kill(usize, usize),
    Acknowledge,
    EndFramework(usize),
    UpdateFramework(usize),
    LoseMaster,
    FindMaster,
    Join,
    Drain,
    Wait(u64),
}

fn moves() -> impl Strategy<Value = Move> {
    let (framework, task) = (0..FRAMEWORKS.len(), 0..TASKS.len());
    let state = prop::sample::select(vec![
        v1::TaskState::TaskStarting,
        v1::TaskState::TaskRunning,
        v1::TaskState::TaskKilling,
        v1::TaskState::TaskFinished,
        v1::TaskState::TaskFailed,
        v1::TaskState::TaskKilled,
    ]);
    prop_oneof![
        4 => (framework.clone(), task.clone()).prop_map(|(f, t)| Move::Run(f, t)),
        4 => Just(Move::LetGo),
        8 => (framework.clone(), task.clone(), state).prop_map(|(f, t, s)| Move::Tell(f, t, s)),
        1 => (framework.clone(), task.clone()).prop_map(|(f, t)| Move::Refuse(f, t)),
        3 => (framework.clone(), task).prop_map(|(f, t)| Move::Kill(f, t)),
        6 => Just(Move::Acknowledge),
        1 => framework.clone().prop_map(Move::EndFramework),
        1 => framework.prop_map(Move::UpdateFramework),
        1 => Just(Move::LoseMaster),
        2 => Just(Move::FindMaster),
        3 => Just(Move::Join),
        1 => Just(Move::Drain),
        2 => (1..100_u64).prop_map(Move::Wait),
    ]
}

/// What stands outside of the core, and what it has seen.
#[derive(Default)]
struct World {
    unscheduling: Vec<(FrameworkId, TaskId)>,
    runs: BTreeMap<(String, String), Run>,
    ran: BTreeSet<(usize, usize)>,
    in_flight: Vec<internal::StatusUpdate>,
    written: BTreeSet<Vec<u8>>,
    written_tasks: BTreeSet<Run>,
    written_executors: BTreeSet<Run>,
    checkpointed: BTreeSet<(String, String)>,
    ends: BTreeMap<(String, String), BTreeSet<Vec<u8>>>,
}

impl World {
    fn sees(&mut self, actions: Vec<Action>) -> Result<(), TestCaseError> {
        for action in actions {
            match action {
                Action::Unschedule(framework_id, _, task_id) => {
                    self.unscheduling.push((framework_id, task_id))
                }
                Action::Launch(launch) => {
                    prop_assert!(self.written_tasks.contains(&launch.run), "launched before it was written");
                    prop_assert!(self.written_executors.contains(&launch.run));
                    let key = (launch.run.framework_id.to_string(), launch.run.executor_id.to_string());
                    prop_assert!(!self.runs.contains_key(&key), "launched twice");
                    self.runs.insert(key, launch.run);
                }
                Action::Write(write) => match *write {
                    Write::Executor(run, ..) => drop(self.written_executors.insert(run)),
                    Write::Task(run, task_id, _) => {
                        self.checkpointed.insert((run.framework_id.to_string(), task_id.to_string()));
                        self.written_tasks.insert(run);
                    }
                    Write::Update(_, _, record) => {
                        if let Some(update) = record.update {
                            self.written.insert(update.uuid.unwrap_or_default());
                        }
                    }
                    _ => {}
                },
                Action::Send(_, message) => {
                    if let ToMaster::Status(message) = *message {
                        self.sees_status(message.update)?;
                    }
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn sees_status(&mut self, update: internal::StatusUpdate) -> Result<(), TestCaseError> {
        let uuid = update.uuid.clone().unwrap_or_default();
        let key = (update.framework_id.value.clone(), update.status.task_id.value.clone());
        prop_assert_eq!(update.status.uuid.as_ref(), Some(&uuid));
        if self.checkpointed.contains(&key) {
            prop_assert!(
                self.written.contains(&uuid),
                "sent before it was written: {:?}",
                update.status.state()
            );
        }
        if is_terminal(update.status.state()) {
            let ends = self.ends.entry(key).or_default();
            ends.insert(uuid);
            prop_assert!(ends.len() <= 1, "two terminal statuses");
        }
        self.in_flight.push(update);
        Ok(())
    }
}

/// Each task is in at most one place.
fn is_consistent(bench: &Bench) -> Result<(), TestCaseError> {
    for framework in bench.state.agent().frameworks.values() {
        let mut seen = BTreeSet::new();
        let pending = framework.pending.iter().map(|task| &task.id);
        let live = framework.executors.values().flat_map(|executor| &executor.tasks).map(|task| &task.id);
        let gone: Vec<TaskId> = framework
            .executors
            .values()
            .chain(framework.completed_executors.iter())
            .flat_map(|executor| executor.completed_tasks.iter())
            .filter_map(|task| task.task_id.value.parse().ok())
            .collect();
        for id in pending.chain(live).chain(&gone) {
            prop_assert!(seen.insert(id.clone()), "task {} is in two places", id);
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn a_task_is_in_one_place_ends_once_and_nothing_comes_before_its_record(
        sequence in prop::collection::vec(moves(), 1..80),
    ) {
        let mut bench = Bench::registered();
        let mut world = World::default();
        for next in sequence {
            let actions = match next {
                // A master gives an id once.
                Move::Run(f, t) if world.ran.insert((f, t)) => {
                    bench.step(run_task(framework(FRAMEWORKS[f], &[]), docker_task(TASKS[t])))
                }
                Move::Run(..) => continue,
                Move::LetGo => match world.unscheduling.pop() {
                    Some((framework_id, task_id)) => bench.step(Event::Unscheduled(framework_id, task_id)),
                    None => continue,
                },
                Move::Tell(f, t, state) => {
                    let key = (FRAMEWORKS[f].to_owned(), TASKS[t].to_owned());
                    let Some(run) = world.runs.get(&key).cloned() else { continue };
                    if is_terminal(state) {
                        world.runs.remove(&key);
                        // Its id stays used: no second launch may come.
                        world.ran.insert((f, t));
                    }
                    bench.step(told(&run, TASKS[t], state))
                }
                Move::Refuse(f, t) => {
                    let key = (FRAMEWORKS[f].to_owned(), TASKS[t].to_owned());
                    let Some(run) = world.runs.remove(&key) else { continue };
                    bench.step(Event::Task(run, Box::new(TaskEvent::Refused("why".into()))))
                }
                Move::Kill(f, t) => {
                    // A kill of what was never run is answered for each kill anew, as in stock.
                    if !world.ran.contains(&(f, t)) { continue }
                    let key = (FRAMEWORKS[f].to_owned(), TASKS[t].to_owned());
                    if world.ends.contains_key(&key) { continue }
                    let is_here = bench.state.agent().frameworks.get(&framework_id(&key.0)).is_some_and(|framework| {
                        let id = task_id(&key.1);
                        framework.pending_task(&id).is_some() || framework.live_task(&id).is_some()
                    });
                    if !is_here { continue }
                    bench.step(kill(&key.0, &key.1))
                }
                Move::Acknowledge => match world.in_flight.pop() {
                    Some(update) => bench.step(acknowledge(&update)),
                    None => continue,
                },
                Move::EndFramework(f) => {
                    let end = internal::ShutdownFrameworkMessage {
                        framework_id: v1::FrameworkId { value: FRAMEWORKS[f].into() },
                    };
                    bench.step(from_master(Message::ShutdownFramework(end)))
                }
                Move::UpdateFramework(f) => {
                    let update = internal::UpdateFrameworkMessage {
                        framework_id: v1::FrameworkId { value: FRAMEWORKS[f].into() },
                        pid: Some("scheduler@127.0.0.1:9".into()),
                        framework_info: Some(framework(FRAMEWORKS[f], &[])),
                    };
                    bench.step(from_master(Message::UpdateFramework(update)))
                }
                Move::LoseMaster => bench.step(Event::Detected(None)),
                Move::FindMaster => bench.step(detected()),
                Move::Join => {
                    let again = internal::SlaveReregisteredMessage {
                        slave_id: v1::AgentId { value: AGENT.into() },
                        ..Default::default()
                    };
                    bench.step(from_master(Message::Reregistered(again)))
                }
                Move::Drain => {
                    let config = v1::DrainConfig::default();
                    bench.step(from_master(Message::Drain(internal::DrainSlaveMessage { config })))
                }
                Move::Wait(seconds) => bench.wait(Duration::from_secs(seconds)),
            };
            prop_assert!(!actions.iter().any(|action| matches!(action, Action::Exit(_))));
            world.sees(actions)?;
            is_consistent(&bench)?;
        }
    }
}
