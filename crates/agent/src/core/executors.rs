//! What executors' programs say (`Slave::registerExecutor`, `reregisterExecutor`, `subscribe`, `executorMessage` in
//! `src/slave/slave.cpp`).
//!
//! ```text
//! launched ──► Registering ──Register, Subscribe──► Running ◄──Subscribe── (its stream broke)
//!                  ▲                                   │
//!   agent restarted └───────Reregister, Subscribe──────┘
//! ```
//!
//! Who is not expected is shut down: an executor that nobody counts on holds resources that the master has given away.

use mesos_proto::v1::task_status::{Reason, Source};
use mesos_proto::{executor, internal, v1};
use mesos_types::{ContainerId, ExecutorId, FrameworkId, TaskId};

use super::action::{Action, ToExecutor, ToMaster, Write};
use super::event::{Call, ExecutorCall, Now, Run};
use super::launch::run_of;
use super::state::{Leaving, State};
use super::status::{Verdict, never_started, update};
use super::timers::Timer;
use crate::model::{Contact, Executor, ExecutorPhase, FrameworkPhase, Peer, Phase, Recovery, Stage};

/// What an executor has that comes back.
struct Brought {
    /// The tasks of which no status was acknowledged.
    tasks: Vec<v1::TaskInfo>,
    updates: Vec<internal::StatusUpdate>,
}

/// What becomes of a program that wants to be known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Welcome {
    /// It is the executor's.
    Taken,
    /// It shall end.
    Unwanted,
    /// It is told nothing: this process ends and leaves it to the next, or knows nothing of executors yet.
    Unheard,
}

impl State {
    /// An executor's program says something.
    pub(super) fn executor_call(&mut self, call: ExecutorCall, now: Now, out: &mut Vec<Action>) {
        let ExecutorCall { framework_id, executor_id, peer, call } = call;
        match call {
            Call::Register => self.register(&framework_id, &executor_id, peer, now, out),
            Call::Reregister { tasks, updates } => {
                let brought = Brought { tasks, updates };
                self.reregister(&framework_id, &executor_id, peer, brought, now, out);
            }
            Call::Subscribe { tasks, updates } => {
                let updates = updates
                    .into_iter()
                    .map(|update| of_subscriber(&framework_id, &executor_id, update))
                    .collect();
                self.subscribe(&framework_id, &executor_id, peer, Brought { tasks, updates }, now, out);
            }
            Call::Update(told) => self.executor_update(&framework_id, &executor_id, &peer, *told, now, out),
            Call::Message(data) => self.message_from_executor(&framework_id, &executor_id, &peer, data, out),
        }
    }

    fn register(
        &mut self,
        framework_id: &FrameworkId,
        executor_id: &ExecutorId,
        peer: Peer,
        now: Now,
        out: &mut Vec<Action>,
    ) {
        let welcome = match self.welcome(framework_id, executor_id) {
            // What comes back after a restart says so.
            Ok(_) if self.agent.recovery != Recovery::Done => Welcome::Unwanted,
            Ok(executor) if executor.phase == ExecutorPhase::Registering => Welcome::Taken,
            Ok(_) => Welcome::Unwanted,
            Err(welcome) => welcome,
        };
        let Some(run) = self.admit(framework_id, executor_id, &peer, welcome, out) else { return };
        tracing::info!(%framework_id, %executor_id, ?peer, "an executor registered");
        self.meet(&run, peer.clone(), out);
        if let Some(message) = self.registered_message(&run) {
            out.push(Action::ToExecutor(peer, Box::new(message)));
        }
        self.end_if_unneeded(&run, now, out);
        self.deliver_to_running(&run, out);
    }

    fn reregister(
        &mut self,
        framework_id: &FrameworkId,
        executor_id: &ExecutorId,
        peer: Peer,
        brought: Brought,
        now: Now,
        out: &mut Vec<Action>,
    ) {
        let asks_again = self.settings.executor_reregistration_retry.is_some();
        let welcome = match self.welcome(framework_id, executor_id) {
            Ok(executor) => match executor.phase {
                ExecutorPhase::Registering if self.awaited.contains_key(&executor.container_id) => {
                    Welcome::Taken
                }
                // It was asked twice.
                ExecutorPhase::Running if asks_again => Welcome::Unheard,
                // One that registers again is none that was just launched, but an earlier one of its name.
                ExecutorPhase::Registering
                | ExecutorPhase::Running
                | ExecutorPhase::Terminating
                | ExecutorPhase::Terminated => Welcome::Unwanted,
            },
            Err(welcome) => welcome,
        };
        let Some(run) = self.admit(framework_id, executor_id, &peer, welcome, out) else { return };
        tracing::info!(%framework_id, %executor_id, ?peer, "an executor registered again");
        self.meet(&run, peer.clone(), out);
        let message = internal::ExecutorReregisteredMessage {
            slave_id: self.wire_agent_id(),
            slave_info: self.announced_info(),
        };
        out.push(Action::ToExecutor(peer.clone(), Box::new(ToExecutor::Reregistered(message))));
        self.take_back(&run, &peer, brought, now, out);
        self.deliver_to_running(&run, out);
        self.repeat_kills(&run, out);
        self.came_back(run.container_id, now, out);
    }

    fn subscribe(
        &mut self,
        framework_id: &FrameworkId,
        executor_id: &ExecutorId,
        peer: Peer,
        brought: Brought,
        now: Now,
        out: &mut Vec<Action>,
    ) {
        let welcome = match self.welcome(framework_id, executor_id) {
            // A program does not change what it speaks.
            Ok(executor) if matches!(executor.peer(), Some(Peer::Libprocess(_))) => Welcome::Unwanted,
            Ok(executor) => match executor.phase {
                ExecutorPhase::Registering | ExecutorPhase::Running => Welcome::Taken,
                ExecutorPhase::Terminating | ExecutorPhase::Terminated => Welcome::Unwanted,
            },
            Err(welcome) => welcome,
        };
        let Some(run) = self.admit(framework_id, executor_id, &peer, welcome, out) else { return };
        tracing::info!(%framework_id, %executor_id, ?peer, "an executor subscribed");
        self.meet(&run, peer.clone(), out);
        if let Some(message) = self.registered_message(&run) {
            out.push(Action::ToExecutor(peer.clone(), Box::new(message)));
        }
        self.take_back(&run, &peer, brought, now, out);
        self.end_if_unneeded(&run, now, out);
        self.deliver_to_running(&run, out);
        self.repeat_kills(&run, out);
        self.came_back(run.container_id, now, out);
    }

    /// The executor whose program this is, if anybody counts on it.
    fn welcome(&self, framework_id: &FrameworkId, executor_id: &ExecutorId) -> Result<&Executor, Welcome> {
        if self.leaving == Leaving::Yes || self.agent.recovery == Recovery::Reading {
            return Err(Welcome::Unheard);
        }
        if self.agent.phase == Phase::Terminating {
            return Err(Welcome::Unwanted);
        }
        let framework = self.agent.frameworks.get(framework_id);
        framework
            .filter(|framework| framework.phase == FrameworkPhase::Running)
            .and_then(|framework| framework.executors.get(executor_id))
            .filter(|executor| executor.has_program())
            .ok_or(Welcome::Unwanted)
    }

    /// Turns away who is not taken.
    fn admit(
        &self,
        framework_id: &FrameworkId,
        executor_id: &ExecutorId,
        peer: &Peer,
        welcome: Welcome,
        out: &mut Vec<Action>,
    ) -> Option<Run> {
        match welcome {
            Welcome::Taken => {
                let executor = self.agent.frameworks.get(framework_id)?.executors.get(executor_id)?;
                return Some(run_of(framework_id, executor));
            }
            // One message that claims to come from it would end it.
            Welcome::Unwanted if self.is_counted_on(peer) => {
                tracing::warn!(%framework_id, %executor_id, ?peer,
                    "a program that speaks for a running executor calls as if it were new; this is ignored");
            }
            Welcome::Unwanted => {
                tracing::warn!(%framework_id, %executor_id, ?peer, "an executor that nobody counts on is told to end");
                out.push(Action::ToExecutor(peer.clone(), Box::new(ToExecutor::Shutdown)));
            }
            Welcome::Unheard => {
                tracing::info!(%framework_id, %executor_id, ?peer, "an executor is not heard");
            }
        }
        if matches!(peer, Peer::Http(_)) {
            out.push(Action::ClosePeer(peer.clone()));
        }
        None
    }

    /// Whether a running executor is reached there.
    fn is_counted_on(&self, peer: &Peer) -> bool {
        let mut executors = self.agent.frameworks.values().flat_map(|framework| framework.executors.values());
        executors.any(|executor| executor.phase == ExecutorPhase::Running && executor.peer() == Some(peer))
    }

    /// From now on `peer` speaks for an executor; a stream of its that was there before is closed.
    fn meet(&mut self, run: &Run, peer: Peer, out: &mut Vec<Action>) {
        let framework = self.agent.frameworks.get(&run.framework_id);
        let checkpoint = framework.is_some_and(|framework| framework.is_checkpointed());
        self.timers.disarm(Timer::ExecutorRegistration(run.container_id));
        let Some(executor) = self.executor_mut(run) else { return };
        executor.phase = ExecutorPhase::Running;
        let before = std::mem::replace(&mut executor.contact, Contact::Peer(peer.clone()));
        if let Contact::Peer(before @ Peer::Http(_)) = before
            && before != peer
        {
            out.push(Action::ClosePeer(before));
        }
        let write = match &peer {
            Peer::Libprocess(pid) => Write::ExecutorPid(run.clone(), pid.clone()),
            Peer::Http(_) => Write::HttpMarker(run.clone()),
        };
        if checkpoint {
            out.push(Action::Write(Box::new(write)));
        }
        if let Peer::Libprocess(pid) = peer {
            out.push(Action::Link(pid));
        }
    }

    fn registered_message(&self, run: &Run) -> Option<ToExecutor> {
        let framework = self.agent.frameworks.get(&run.framework_id)?;
        let executor = framework.executors.get(&run.executor_id)?;
        let message = internal::ExecutorRegisteredMessage {
            executor_info: executor.info.clone(),
            framework_id: v1::FrameworkId { value: run.framework_id.as_str().into() },
            framework_info: framework.info.clone(),
            slave_id: self.wire_agent_id(),
            slave_info: self.announced_info(),
        };
        Some(ToExecutor::Registered(message, run.container_id))
    }

    fn deliver_to_running(&mut self, run: &Run, out: &mut Vec<Action>) {
        if self.executor_mut(run).is_some_and(|executor| executor.phase == ExecutorPhase::Running) {
            self.deliver_all(run, out);
        }
    }

    /// Takes what an executor brings that comes back, and gives up the tasks that it was never given: the agent ended, or
    /// the stream broke, while they were on their way.
    fn take_back(&mut self, run: &Run, peer: &Peer, brought: Brought, now: Now, out: &mut Vec<Action>) {
        for told in brought.updates {
            self.executor_update(&run.framework_id, &run.executor_id, peer, told, now, out);
        }
        let Some(framework) = self.agent.frameworks.get(&run.framework_id) else { return };
        let Some(executor) = framework.executors.get(&run.executor_id) else { return };
        let is_known = |id: &TaskId| brought.tasks.iter().any(|task| task.task_id.value == id.as_str());
        let lost: Vec<TaskId> = executor
            .tasks
            .iter()
            .filter(|task| task.stage == Stage::Launched && task.state() == v1::TaskState::TaskStaging)
            .filter(|task| !is_known(&task.id))
            .map(|task| task.id.clone())
            .collect();
        let verdict = Verdict {
            state: never_started(framework),
            reason: Reason::AgentRestarted,
            message: "Task launched during agent restart".into(),
        };
        for id in &lost {
            let agent_id = self.agent.id.as_ref();
            let told = update(agent_id, &run.framework_id, Some(&run.executor_id), id, &verdict, now);
            self.status_update(told, now, out);
        }
        let Some(executor) = self.executor_mut(run) else { return };
        // Those were all that it was to have: it waits for nobody.
        if !lost.is_empty() && !has_spoken(executor) {
            executor.was_given_tasks = false;
        }
        self.end_if_unneeded(run, now, out);
    }

    /// The connection to a program broke. Whether the executor lives, its container tells.
    pub(super) fn peer_gone(&mut self, peer: &Peer) {
        let frameworks = self.agent.frameworks.values_mut();
        let mut executors = frameworks.flat_map(|framework| framework.executors.values_mut());
        let Some(executor) = executors.find(|executor| executor.peer() == Some(peer)) else { return };
        tracing::info!(executor_id = %executor.id, ?peer, "the connection to an executor broke");
        // One that speaks libprocess keeps its address: a message opens a connection of its own.
        if matches!(peer, Peer::Http(_)) {
            executor.contact = Contact::Lost;
        }
    }

    /// An executor has data for its framework.
    fn message_from_executor(
        &mut self,
        framework_id: &FrameworkId,
        executor_id: &ExecutorId,
        sender: &Peer,
        data: Vec<u8>,
        out: &mut Vec<Action>,
    ) {
        let framework = self.agent.frameworks.get(framework_id);
        let framework = framework.filter(|framework| framework.phase == FrameworkPhase::Running);
        let master = self.agent.master.as_ref().map(|master| &master.pid);
        let to = framework.and_then(|framework| framework.pid.as_ref().or(master)).cloned();
        let executor = framework.and_then(|framework| framework.executors.get(executor_id));
        let spoken = may_speak(executor, sender);
        let (Some(to), Ok(())) = (to, spoken) else {
            let why = spoken.err().unwrap_or("nobody is there to take it");
            tracing::warn!(%framework_id, %executor_id, why, "a message of an executor is dropped");
            self.agent.counters.invalid_framework_messages += 1;
            return;
        };
        let message = internal::ExecutorToFrameworkMessage {
            slave_id: self.wire_agent_id(),
            framework_id: v1::FrameworkId { value: framework_id.as_str().into() },
            executor_id: v1::ExecutorId { value: executor_id.as_str().into() },
            data,
        };
        out.push(Action::Send(to, Box::new(ToMaster::FrameworkMessage(message))));
        self.agent.counters.valid_framework_messages += 1;
    }

    /// One of those that the recovery waits for is there, or is gone for good.
    pub(super) fn came_back(&mut self, container_id: ContainerId, now: Now, out: &mut Vec<Action>) {
        if self.awaited.remove(&container_id).is_some() && self.awaited.is_empty() {
            self.finish_recovery(now, out);
        }
    }
}

/// Whether an executor has told anything of its tasks, as far as they are remembered.
pub(super) fn has_spoken(executor: &Executor) -> bool {
    let live = executor.tasks.iter().map(|task| &task.task);
    let mut statuses = live.chain(executor.completed_tasks.iter()).flat_map(|task| &task.statuses);
    statuses.any(|status| status.source() == Source::Executor)
}

/// Whether who calls can be an executor's program: for what this process runs itself there is none, and one that speaks
/// one protocol does not speak the other. Stock believes everybody; more than this it cannot know either, as messages
/// between processes carry no proof.
pub(super) fn may_speak(executor: Option<&Executor>, sender: &Peer) -> Result<(), &'static str> {
    match (executor.map(|executor| &executor.contact), sender) {
        (None, _) => Err("there is no such executor"),
        (Some(Contact::InProcess), _) => Err("the agent runs the executor's task itself"),
        (Some(Contact::Peer(Peer::Http(_))), Peer::Libprocess(_)) => Err("the executor speaks HTTP"),
        (Some(Contact::Peer(Peer::Libprocess(_))), Peer::Http(_)) => Err("the executor speaks libprocess"),
        (Some(Contact::Peer(_) | Contact::Nobody | Contact::Lost), _) => Ok(()),
    }
}

/// A status that a subscriber brings, in the form of the others.
fn of_subscriber(
    framework_id: &FrameworkId,
    executor_id: &ExecutorId,
    update: executor::call::Update,
) -> internal::StatusUpdate {
    let status = update.status;
    internal::StatusUpdate {
        framework_id: v1::FrameworkId { value: framework_id.as_str().into() },
        executor_id: Some(v1::ExecutorId { value: executor_id.as_str().into() }),
        slave_id: status.agent_id.clone(),
        timestamp: status.timestamp.unwrap_or_default(),
        uuid: status.uuid.clone(),
        status,
        latest_state: None,
    }
}
