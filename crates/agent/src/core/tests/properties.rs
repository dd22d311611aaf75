//! Whatever happens, in whatever order: a task is in one place, ends exactly once, nothing is sent or started before it
//! is written, and an executor's program is told nothing before it registered.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::executor_rig::{custom_task, tells};
use super::*;
use crate::model::{Peer, is_terminal};

const FRAMEWORKS: [&str; 2] = ["F", "G"];
const TASKS: [&str; 3] = ["a", "b", "c"];
/// The tasks of the executor `E`, which each framework has.
const CUSTOM: [&str; 3] = ["x", "y", "z"];

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
    /// A task for `E`, and whether the master believes that `E` is to be launched.
    RunCustom(usize, usize, Option<bool>),
    Register(usize, Protocol),
    /// `E` tells a status, or the same one again.
    ExecutorTells(usize, usize, v1::TaskState),
    ExecutorRepeats,
    StreamBreaks(usize),
    /// A container that was asked to can hold its tasks, or cannot.
    Updated(bool),
    ExecutorEnds(usize),
    ShutdownExecutor(usize),
}

#[derive(Debug, Clone, Copy)]
enum Protocol {
    Libprocess,
    Http,
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
    let told = state.clone();
    prop_oneof![
        4 => (framework.clone(), task.clone()).prop_map(|(f, t)| Move::Run(f, t)),
        4 => Just(Move::LetGo),
        8 => (framework.clone(), task.clone(), state).prop_map(|(f, t, s)| Move::Tell(f, t, s)),
        1 => (framework.clone(), task.clone()).prop_map(|(f, t)| Move::Refuse(f, t)),
        3 => (framework.clone(), 0..TASKS.len() + CUSTOM.len()).prop_map(|(f, t)| Move::Kill(f, t)),
        6 => Just(Move::Acknowledge),
        1 => framework.clone().prop_map(Move::EndFramework),
        1 => framework.prop_map(Move::UpdateFramework),
        1 => Just(Move::LoseMaster),
        2 => Just(Move::FindMaster),
        3 => Just(Move::Join),
        1 => Just(Move::Drain),
        2 => (1..100_u64).prop_map(Move::Wait),
        6 => (framework_of(), 0..CUSTOM.len(), prop::option::of(any::<bool>()))
            .prop_map(|(f, t, launch)| Move::RunCustom(f, t, launch)),
        6 => (framework_of(), any::<bool>()).prop_map(|(f, is_http)| {
            Move::Register(f, if is_http { Protocol::Http } else { Protocol::Libprocess })
        }),
        8 => (framework_of(), 0..CUSTOM.len(), told).prop_map(|(f, t, s)| Move::ExecutorTells(f, t, s)),
        2 => Just(Move::ExecutorRepeats),
        2 => framework_of().prop_map(Move::StreamBreaks),
        8 => prop::bool::weighted(0.9).prop_map(Move::Updated),
        1 => framework_of().prop_map(Move::ExecutorEnds),
        1 => framework_of().prop_map(Move::ShutdownExecutor),
    ]
}

fn framework_of() -> impl Strategy<Value = usize> {
    0..FRAMEWORKS.len()
}

/// What stands outside of the core, and what it has seen.
#[derive(Default)]
struct World {
    unscheduling: Vec<(FrameworkId, TaskId)>,
    runs: BTreeMap<(String, String), Run>,
    ran: BTreeSet<(String, String)>,
    /// The tasks that the agent took.
    taken: BTreeSet<(String, String)>,
    ended: BTreeSet<String>,
    in_flight: Vec<internal::StatusUpdate>,
    written: BTreeSet<Vec<u8>>,
    written_tasks: BTreeSet<(String, String)>,
    written_executors: BTreeSet<Run>,
    checkpointed: BTreeSet<(String, String)>,
    ends: BTreeMap<(String, String), BTreeSet<Vec<u8>>>,
    /// Who was told that it is registered.
    known: BTreeSet<Peer>,
    streams: u64,
    /// The tasks that an executor was given.
    given: BTreeSet<(String, String)>,
    /// The updates of containers that wait for their answer.
    growing: Vec<(Run, u64)>,
    /// The tasks whose end was written.
    finished: BTreeSet<(String, String)>,
    /// The statuses that were acknowledged.
    acknowledged: BTreeSet<Vec<u8>>,
    last_told: Option<(Run, Peer, internal::StatusUpdate)>,
    /// What the garbage collector may remove.
    garbage: Vec<Garbage>,
}

impl World {
    fn sees(&mut self, actions: Vec<Action>) -> Result<(), TestCaseError> {
        for action in actions {
            match action {
                Action::Collect(garbage) | Action::CollectAgain(garbage) => self.garbage.push(garbage),
                Action::Unschedule(framework_id, executor_id, task_id, run) => {
                    let executor = Garbage::Executor(framework_id.clone(), executor_id);
                    let task = run.map(|run| Garbage::Task(run, task_id.clone()));
                    let framework = Garbage::Framework(framework_id.clone());
                    let needed = [Some(framework), Some(executor), task];
                    self.garbage.retain(|garbage| !needed.contains(&Some(garbage.clone())));
                    self.taken.insert((framework_id.to_string(), task_id.to_string()));
                    self.unscheduling.push((framework_id, task_id))
                }
                Action::Launch(launch) => {
                    prop_assert!(self.written_executors.contains(&launch.run));
                    let key = (launch.run.framework_id.to_string(), launch.run.executor_id.to_string());
                    if let Launched::Task(_) = launch.what {
                        prop_assert!(self.written_tasks.contains(&key), "launched before it was written");
                    }
                    prop_assert!(!self.runs.contains_key(&key), "launched twice");
                    self.runs.insert(key, launch.run);
                }
                Action::Write(write) => match *write {
                    Write::Executor(run, ..) => drop(self.written_executors.insert(run)),
                    Write::Task(run, task_id, _) => {
                        let key = (run.framework_id.to_string(), task_id.to_string());
                        self.checkpointed.insert(key.clone());
                        self.written_tasks.insert(key);
                    }
                    Write::Update(_, _, record) => {
                        if record.update.is_none() {
                            self.acknowledged.extend(record.uuid.clone());
                        }
                        if let Some(update) = record.update {
                            if is_terminal(update.status.state()) {
                                let key = (update.framework_id.value, update.status.task_id.value);
                                self.finished.insert(key);
                            }
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
                Action::ToExecutor(peer, message) => self.sees_message(peer, *message)?,
                Action::UpdateContainer { container_id, token, .. } => {
                    let run = self.runs.values().find(|run| run.container_id == container_id);
                    prop_assert!(run.is_some(), "a container is updated that is not there");
                    self.growing.extend(run.map(|run| (run.clone(), token)));
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn sees_message(&mut self, peer: Peer, message: ToExecutor) -> Result<(), TestCaseError> {
        match message {
            ToExecutor::Registered(..) | ToExecutor::Reregistered(_) => drop(self.known.insert(peer)),
            ToExecutor::Shutdown => {}
            ToExecutor::Run(message) => {
                prop_assert!(self.known.contains(&peer), "a task went to who is not registered");
                let framework = message.framework.id.unwrap_or_default().value;
                let key = (framework, message.task.task_id.value);
                prop_assert!(self.written_tasks.contains(&key), "given before it was written");
                prop_assert!(!self.ends.contains_key(&key), "given after its end was told");
                prop_assert!(self.given.insert(key), "given twice");
            }
            ToExecutor::Acknowledge(message) => {
                let key = (message.framework_id.value, message.task_id.value);
                if self.checkpointed.contains(&key) && self.taken.contains(&key) {
                    let is_written = self.written.contains(&message.uuid);
                    // What follows the end of a task is not kept.
                    prop_assert!(is_written || self.has_end(&key), "acknowledged before it was written");
                }
            }
            ToExecutor::Kill(_)
            | ToExecutor::Message(_)
            | ToExecutor::Error(_)
            | ToExecutor::Reconnect(_) => {
                prop_assert!(self.known.contains(&peer), "something went to who is not registered");
            }
        }
        Ok(())
    }

    /// Whether a terminal status was written or sent.
    fn has_end(&self, key: &(String, String)) -> bool {
        self.ends.contains_key(key) || self.finished.contains(key)
    }

    fn sees_status(&mut self, update: internal::StatusUpdate) -> Result<(), TestCaseError> {
        let uuid = update.uuid.clone().unwrap_or_default();
        let key = (update.framework_id.value.clone(), update.status.task_id.value.clone());
        prop_assert_eq!(update.status.uuid.as_ref(), Some(&uuid));
        prop_assert!(!self.acknowledged.contains(&uuid), "told again after it was acknowledged");
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

    /// The run of `E`, and who speaks for it.
    fn executor(&self, bench: &Bench, f: usize) -> Option<(Run, Option<Peer>)> {
        let run = self.runs.get(&(FRAMEWORKS[f].to_owned(), "E".to_owned()))?.clone();
        let framework = bench.state.agent().frameworks.get(&run.framework_id)?;
        let peer = framework.executors.get(&run.executor_id)?.peer().cloned();
        Some((run, peer))
    }

    /// Forgets a run that is over.
    fn over(&mut self, run: &Run) {
        self.runs.retain(|_, other| other != run);
        self.growing.retain(|(other, _)| other != run);
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

/// The garbage collector has nothing of what is there.
fn is_kept(bench: &Bench, world: &World) -> Result<(), TestCaseError> {
    for framework in bench.state.agent().frameworks.values() {
        for executor in framework.executors.values() {
            let run = super::super::launch::run_of(&framework.id, executor);
            let tasks = executor.tasks.iter().map(|task| Garbage::Task(run.clone(), task.id.clone()));
            let above = [
                Garbage::Framework(framework.id.clone()),
                Garbage::Executor(framework.id.clone(), executor.id.clone()),
                Garbage::Run(run.clone()),
            ];
            for needed in tasks.chain(above) {
                prop_assert!(!world.garbage.contains(&needed), "{:?} is needed", needed);
            }
        }
    }
    Ok(())
}

fn says(run: &Run, peer: Peer, call: Call) -> Event {
    Event::Executor(Box::new(ExecutorCall {
        framework_id: run.framework_id.clone(),
        executor_id: run.executor_id.clone(),
        peer,
        call,
    }))
}

/// Makes a move; `None` where it makes no sense.
fn make(next: Move, bench: &mut Bench, world: &mut World) -> Option<Vec<Action>> {
    let key = |f: usize, task: &str| (FRAMEWORKS[f].to_owned(), task.to_owned());
    let actions = match next {
        // A master gives an id once.
        Move::Run(f, t) => {
            if !world.ran.insert(key(f, TASKS[t])) {
                return None;
            }
            bench.step(run_task(framework(FRAMEWORKS[f], &[]), docker_task(TASKS[t])))
        }
        Move::RunCustom(f, t, launch_executor) => {
            if !world.ran.insert(key(f, CUSTOM[t])) {
                return None;
            }
            bench.step(from_master(Message::RunTask(Box::new(internal::RunTaskMessage {
                framework: framework(FRAMEWORKS[f], &[]),
                task: custom_task(CUSTOM[t], "E"),
                launch_executor,
                ..Default::default()
            }))))
        }
        Move::LetGo => {
            let (framework_id, task_id) = world.unscheduling.pop()?;
            bench.step(Event::Unscheduled(framework_id, task_id))
        }
        Move::Tell(f, t, state) => {
            let run = world.runs.get(&key(f, TASKS[t])).cloned()?;
            if is_terminal(state) {
                world.over(&run);
            }
            bench.step(told(&run, TASKS[t], state))
        }
        Move::Refuse(f, t) => {
            let run = world.runs.remove(&key(f, TASKS[t]))?;
            bench.step(Event::Task(run, Box::new(TaskEvent::Refused("why".into()))))
        }
        Move::Kill(f, t) => {
            let key = key(f, [TASKS, CUSTOM].concat()[t]);
            let framework = bench.state.agent().frameworks.get(&framework_id(&key.0))?;
            let id = task_id(&key.1);
            // A kill of what is not here is answered for each kill anew, as in stock.
            if framework.pending_task(&id).is_none() && framework.live_task(&id).is_none() {
                return None;
            }
            bench.step(kill(&key.0, &key.1))
        }
        Move::Acknowledge => {
            let update = world.in_flight.pop()?;
            bench.step(acknowledge(&update))
        }
        Move::EndFramework(f) => {
            world.ended.insert(FRAMEWORKS[f].to_owned());
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
        Move::Join => bench.step(reregistered()),
        Move::Drain => {
            let config = v1::DrainConfig::default();
            bench.step(from_master(Message::Drain(internal::DrainSlaveMessage { config })))
        }
        Move::Wait(seconds) => bench.wait(Duration::from_secs(seconds)),
        Move::Register(f, protocol) => {
            let (run, _) = world.executor(bench, f)?;
            world.streams += 1;
            let stream = world.streams;
            match protocol {
                Protocol::Libprocess => {
                    let pid = format!("executor(1)@127.0.0.1:{stream}");
                    bench.step(says(&run, Peer::Libprocess(pid), Call::Register))
                }
                Protocol::Http => {
                    let tasks = CUSTOM.map(|task| custom_task(task, "E"));
                    let tasks = tasks.into_iter().filter(|task| {
                        world.given.contains(&(FRAMEWORKS[f].to_owned(), task.task_id.value.clone()))
                    });
                    let call = Call::Subscribe { tasks: tasks.collect(), updates: Vec::new() };
                    bench.step(says(&run, Peer::Http(stream), call))
                }
            }
        }
        Move::ExecutorTells(f, t, state) => {
            let (run, peer) = world.executor(bench, f)?;
            let peer = peer?;
            if !world.given.contains(&key(f, CUSTOM[t])) {
                return None;
            }
            let mut told = tells(CUSTOM[t], state);
            told.framework_id.value = FRAMEWORKS[f].into();
            world.last_told = Some((run.clone(), peer.clone(), told.clone()));
            bench.step(says(&run, peer, Call::Update(Box::new(told))))
        }
        Move::ExecutorRepeats => {
            let (run, peer, told) = world.last_told.clone()?;
            bench.step(says(&run, peer, Call::Update(Box::new(told))))
        }
        Move::StreamBreaks(f) => {
            let (_, peer) = world.executor(bench, f)?;
            bench.step(Event::PeerGone(peer?))
        }
        Move::Updated(is_well) => {
            let (run, token) = world.growing.pop()?;
            let result = if is_well { Ok(()) } else { Err("why".to_owned()) };
            bench.step(Event::Container(run, ContainerEvent::Updated { token, result }))
        }
        Move::ExecutorEnds(f) => {
            let (run, _) = world.executor(bench, f)?;
            world.over(&run);
            bench.step(Event::Container(run, ContainerEvent::Terminated(Box::default())))
        }
        Move::ShutdownExecutor(f) => {
            bench.step(from_master(Message::ShutdownExecutor(internal::ShutdownExecutorMessage {
                framework_id: Some(v1::FrameworkId { value: FRAMEWORKS[f].into() }),
                executor_id: Some(v1::ExecutorId { value: "E".into() }),
            })))
        }
    };
    Some(actions)
}

fn reregistered() -> Event {
    from_master(Message::Reregistered(internal::SlaveReregisteredMessage {
        slave_id: v1::AgentId { value: AGENT.into() },
        ..Default::default()
    }))
}

/// Lets all that goes on come to its end: containers are gone, and the master hears and acknowledges everything.
fn settle(bench: &mut Bench, world: &mut World) -> Result<(), TestCaseError> {
    for event in [Event::Detected(None), detected()] {
        let actions = bench.step(event);
        world.sees(actions)?;
    }
    let actions = bench.wait(Duration::from_secs(2));
    world.sees(actions)?;
    let actions = bench.step(reregistered());
    world.sees(actions)?;
    while let Some((framework_id, task_id)) = world.unscheduling.pop() {
        let actions = bench.step(Event::Unscheduled(framework_id, task_id));
        world.sees(actions)?;
    }
    while let Some(run) = world.runs.values().next().cloned() {
        world.over(&run);
        let event = if run.executor_id.as_str() == "E" {
            Event::Container(run, ContainerEvent::Terminated(Box::default()))
        } else {
            let task = run.executor_id.to_string();
            told(&run, &task, v1::TaskState::TaskFailed)
        };
        let actions = bench.step(event);
        world.sees(actions)?;
    }
    while let Some(update) = world.in_flight.pop() {
        let actions = bench.step(acknowledge(&update));
        world.sees(actions)?;
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn a_task_is_in_one_place_ends_once_and_nothing_comes_before_its_record(
        sequence in prop::collection::vec(moves(), 1..100),
    ) {
        let mut bench = Bench::registered();
        let mut world = World::default();
        for next in sequence {
            let Some(actions) = make(next, &mut bench, &mut world) else { continue };
            prop_assert!(!actions.iter().any(|action| matches!(action, Action::Exit(_))));
            world.sees(actions)?;
            is_consistent(&bench)?;
            is_kept(&bench, &world)?;
        }
        settle(&mut bench, &mut world)?;
        for task in &world.taken {
            let is_told = world.ends.contains_key(task);
            prop_assert!(is_told || world.ended.contains(&task.0), "task {:?} was lost", task);
        }
        prop_assert!(bench.state.agent().frameworks.is_empty(), "something is left");
        prop_assert!(bench.state.contexts.is_empty() && bench.state.causes.is_empty());
        prop_assert!(bench.state.allotted.is_empty() && bench.state.runs.is_empty());
        prop_assert!(bench.state.kills.is_empty() && bench.state.exits.is_empty());
    }
}
