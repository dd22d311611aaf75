//! The agent's state and its one step: an event in, actions out.

use std::collections::BTreeMap;
use std::time::Duration;

use mesos_types::{ContainerId, ExecutorId, FrameworkId, TaskId};

use super::action::{Action, Exit};
use super::delivery::Allotted;
use super::event::{Event, Message, Now, Run};
use super::registration::Registration;
use super::run::RunContext;
use super::settings::CoreSettings;
use super::status::Verdict;
use super::timers::{Timer, Timers};
use crate::model::{Agent, Peer, Phase};
use crate::status_updates::StatusUpdates;

/// Whether the process is about to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Leaving {
    /// It is not, or with its last task.
    No,
    /// It ends once the tasks of frameworks without checkpoints are gone.
    Yes,
}

/// What the core knows. It has no socket, no file and no clock.
#[derive(Debug)]
pub struct State {
    pub(super) agent: Agent,
    pub(super) settings: CoreSettings,
    pub(super) timers: Timers,
    pub(super) registration: Registration,
    pub(super) updates: StatusUpdates,
    /// What came with the pending tasks.
    pub(super) contexts: BTreeMap<(FrameworkId, TaskId), RunContext>,
    /// The runs of all executors.
    pub(super) runs: BTreeMap<ContainerId, Run>,
    /// Why containers are destroyed, where the agent decided it.
    pub(super) causes: BTreeMap<ContainerId, Verdict>,
    /// The kills of tasks that executors' programs have, until the tasks end: a program that comes back is asked again.
    pub(super) kills: BTreeMap<ContainerId, BTreeMap<TaskId, Option<Duration>>>,
    /// The executors that have ended while no master knew us, with their exit statuses.
    pub(super) exits: BTreeMap<(FrameworkId, ExecutorId), i32>,
    /// The updates of containers that have not been answered, by their tokens.
    pub(super) allotted: BTreeMap<u64, Allotted>,
    /// The newest token.
    pub(super) last_token: u64,
    /// The executors of an earlier process that may come back, with where those listen that speak libprocess.
    pub(super) awaited: BTreeMap<ContainerId, Option<String>>,
    /// Whether the process ends once the tasks are gone that cannot outlive it.
    pub(super) leaving: Leaving,
    /// Where random pauses come from.
    pub(super) dice: fastrand::Rng,
}

impl State {
    /// The state of an agent; `seed` is for the random pauses.
    pub fn new(agent: Agent, settings: CoreSettings, updates: StatusUpdates, seed: u64) -> Self {
        Self {
            agent,
            settings,
            timers: Timers::default(),
            registration: Registration::default(),
            updates,
            contexts: BTreeMap::new(),
            runs: BTreeMap::new(),
            causes: BTreeMap::new(),
            kills: BTreeMap::new(),
            exits: BTreeMap::new(),
            allotted: BTreeMap::new(),
            last_token: 0,
            awaited: BTreeMap::new(),
            leaving: Leaving::No,
            dice: fastrand::Rng::with_seed(seed),
        }
    }

    /// What the agent knows.
    pub fn agent(&self) -> &Agent {
        &self.agent
    }

    /// When the core wants to be asked again at the latest, as time since the process started.
    pub fn deadline(&self) -> Option<Duration> {
        self.timers.next().into_iter().chain(self.updates.next_due()).min()
    }

    /// Takes an event and answers what is to be done, in order.
    pub fn step(&mut self, event: Event, now: Now) -> Vec<Action> {
        let mut out = Vec::new();
        match event {
            Event::Recovered(found) => self.recovered(*found, now, &mut out),
            Event::Detected(leader) => self.detected(leader.map(|leader| *leader), now, &mut out),
            Event::Exited(pid) => {
                self.exited(&pid, now, &mut out);
                self.peer_gone(&Peer::Libprocess(pid));
            }
            Event::Message(from, message) => self.message(&from, *message, now, &mut out),
            Event::Authenticated(master) => self.authenticated(&master, now, &mut out),
            Event::Failed(why) => out.push(Action::Exit(Exit::Failed(why))),
            Event::Tick => self.tick(now, &mut out),
            Event::Unscheduled(framework_id, task_id) => {
                self.unscheduled(&framework_id, &task_id, now, &mut out);
            }
            Event::Task(run, event) => self.task_event(&run, *event, now, &mut out),
            Event::Container(run, event) => self.container_event(&run, event, now, &mut out),
            Event::Executor(call) => self.executor_call(*call, now, &mut out),
            Event::PeerGone(peer) => self.peer_gone(&peer),
            Event::Stop(wish) => self.stop(wish, now, &mut out),
        }
        self.end_idle_executors(now, &mut out);
        out
    }

    fn tick(&mut self, now: Now, out: &mut Vec<Action>) {
        while let Some(timer) = self.timers.take_due(now.elapsed) {
            match timer {
                Timer::Register => self.registration_due(now, out),
                Timer::Ping => self.ping_missed(now, out),
                Timer::Leave => {
                    tracing::warn!(
                        "tasks that cannot outlive this process take too long to end; the next start ends them"
                    );
                    out.push(Action::Exit(Exit::Asked));
                }
                Timer::ExecutorRegistration(container_id) => self.registration_timed_out(container_id, out),
                Timer::ExecutorShutdown(container_id) => self.shutdown_timed_out(container_id, out),
                Timer::Reregistration => self.give_up_awaited(now, out),
                Timer::Reconnect => self.ask_to_reconnect(now, out),
            }
        }
        self.retry_updates(now, out);
    }

    fn message(&mut self, from: &str, message: Message, now: Now, out: &mut Vec<Action>) {
        if only_from_master(&message) && !self.is_master(from) {
            tracing::warn!(from, message = message.name(), "a message is ignored: its sender does not lead");
            return;
        }
        if self.agent.phase == Phase::Recovering {
            tracing::debug!(from, message = message.name(), "a message is ignored: the agent recovers");
            return;
        }
        match message {
            Message::Registered(message) => self.registered(message, now, out),
            Message::Reregistered(message) => self.reregistered(message, now, out),
            Message::Ping(message) => self.pinged(&message, now, out),
            Message::RunTask(message) => self.run_task(*message, now, out),
            Message::RunTaskGroup(message) => self.run_task_group(*message, now, out),
            Message::KillTask(message) => self.kill_task(&message, now, out),
            Message::Acknowledged(message) => self.acknowledged(&message, now, out),
            Message::UpdateFramework(message) => self.update_framework(message, now, out),
            Message::ShutdownFramework(message) => self.shutdown_framework(&message, now, out),
            Message::ShutdownExecutor(message) => self.shutdown_executor_message(&message, now, out),
            Message::Shutdown(message) => self.shutdown(&message, now, out),
            Message::FrameworkToExecutor(message) => self.framework_message(message, out),
            Message::CheckpointResources(message) => self.checkpoint_resources(message, out),
            Message::Drain(message) => self.drain(message, now, out),
        }
    }

    fn is_master(&self, from: &str) -> bool {
        self.agent.master.as_ref().is_some_and(|master| master.pid == from)
    }
}

/// Which messages count only if the leading master sent them.
fn only_from_master(message: &Message) -> bool {
    match message {
        Message::Registered(_)
        | Message::Reregistered(_)
        | Message::RunTask(_)
        | Message::RunTaskGroup(_)
        | Message::KillTask(_)
        | Message::Acknowledged(_)
        | Message::ShutdownFramework(_)
        | Message::ShutdownExecutor(_)
        | Message::Shutdown(_)
        // Stock takes the rest from anybody; all of them change what is promised, so we do not.
        | Message::UpdateFramework(_)
        | Message::CheckpointResources(_)
        | Message::Drain(_) => true,
        Message::Ping(_) | Message::FrameworkToExecutor(_) => false,
    }
}
