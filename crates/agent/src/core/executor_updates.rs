//! Statuses that executors' programs tell (`Slave::statusUpdate` in `src/slave/slave.cpp`), beside what is the same for
//! all statuses.
//!
//! A program tells a status again until we acknowledge it, which we do once the status is on the disk. What it tells
//! twice, or after the end of the task, is acknowledged and goes no further. A task that the agent gave up and that runs
//! nevertheless is killed: its resources are given away.

use mesos_proto::v1::TaskState;
use mesos_proto::v1::task_status::Source;
use mesos_proto::{internal, v1};
use mesos_types::{ExecutorId, FrameworkId, TaskId};

use super::action::{Action, ToExecutor};
use super::event::Now;
use super::executors::may_speak;
use super::launch::run_of;
use super::state::State;
use super::updates::Heeded;
use crate::model::{Executor, Framework, FrameworkPhase, Peer, Stage, is_terminal};

impl State {
    /// A program tells what became of a task.
    pub(super) fn executor_update(
        &mut self,
        framework_id: &FrameworkId,
        executor_id: &ExecutorId,
        sender: &Peer,
        mut told: internal::StatusUpdate,
        now: Now,
        out: &mut Vec<Action>,
    ) {
        if let Err(why) = self.normalize(framework_id, executor_id, &mut told, now) {
            tracing::warn!(%framework_id, %executor_id, why, "a status of an executor is dropped");
            self.agent.counters.invalid_status_updates += 1;
            return;
        }
        let Ok(task_id) = told.status.task_id.value.parse::<TaskId>() else {
            self.agent.counters.invalid_status_updates += 1;
            return;
        };
        let framework = self.agent.frameworks.get(framework_id);
        let Some(framework) = framework.filter(|framework| framework.phase == FrameworkPhase::Running) else {
            tracing::warn!(%framework_id, %task_id, "a status of a framework that is not here is dropped");
            self.agent.counters.invalid_status_updates += 1;
            return;
        };
        let executor = framework.executors.get(executor_id);
        let peer = executor.and_then(|executor| executor.peer());
        if let (Peer::Libprocess(_), Some(known)) = (sender, peer)
            && known != sender
        {
            tracing::warn!(%framework_id, %executor_id, ?known, ?sender, "a status comes from another address");
        }
        let is_its = may_speak(executor, sender).and_then(|()| may_tell(framework, executor_id, &task_id));
        if let Err(why) = is_its {
            tracing::warn!(%framework_id, %executor_id, %task_id, why, "a status of an executor is dropped");
            self.agent.counters.invalid_status_updates += 1;
            return;
        }
        if told.status.state() == TaskState::TaskStaging {
            tracing::warn!(%framework_id, %executor_id, %task_id,
                "an executor tells TASK_STAGING, which is not its to tell; shutting it down");
            self.agent.counters.invalid_status_updates += 1;
            self.shutdown_executor(framework_id, executor_id, None, now, out);
            return;
        }
        // An HTTP call comes on a connection of its own; its answer goes on the stream.
        let answer_to = match sender {
            Peer::Libprocess(_) => Some(sender.clone()),
            Peer::Http(_) => peer.cloned(),
        };
        let runs_on = !is_terminal(told.status.state())
            && executor.is_some_and(|executor| is_given_up(executor, &task_id));
        let run = executor.map(|executor| run_of(framework_id, executor));
        let acknowledgement = internal::StatusUpdateAcknowledgementMessage {
            slave_id: self.wire_agent_id(),
            framework_id: told.framework_id.clone(),
            task_id: told.status.task_id.clone(),
            uuid: told.uuid.clone().unwrap_or_default(),
        };
        let uuid = uuid::Uuid::from_slice(&acknowledgement.uuid).unwrap_or_default();
        let is_repeated = self.updates.knows(framework_id, &task_id, uuid);
        // An id may come again.
        let is_history =
            framework.live_task(&task_id).is_none() && framework.has_completed(executor_id, &task_id);
        let heeded = if is_repeated {
            // It would take the task back to where it was then, as it does in stock.
            tracing::debug!(%framework_id, %task_id, state = ?told.status.state(), "a status is repeated");
            Heeded::Yes
        } else if is_history {
            // Its framework has heard the end; stock would tell it again.
            tracing::info!(%framework_id, %task_id, state = ?told.status.state(),
                "a status of a task that is completed goes no further");
            Heeded::Yes
        } else {
            self.take_update(told, now, out)
        };
        if let (Heeded::Yes, Some(peer)) = (heeded, answer_to) {
            out.push(Action::ToExecutor(peer, Box::new(ToExecutor::Acknowledge(acknowledgement))));
        }
        if let (true, Some(run)) = (runs_on, run) {
            tracing::warn!(%framework_id, %executor_id, %task_id,
                "an executor runs a task that it did not say to have when it came back, and that was given up; killing it");
            self.ask_to_kill(&run, &task_id, None, out);
        }
    }

    /// Checks what a program told, and fills in what follows from where it comes from.
    fn normalize(
        &self,
        framework_id: &FrameworkId,
        executor_id: &ExecutorId,
        told: &mut internal::StatusUpdate,
        now: Now,
    ) -> Result<(), &'static str> {
        let uuid = told.uuid.clone().or_else(|| told.status.uuid.clone()).ok_or("it has no uuid")?;
        if uuid::Uuid::from_slice(&uuid).is_err() {
            return Err("its uuid is not of 16 bytes");
        }
        let ours = self.wire_agent_id();
        let is_ours = |id: &Option<v1::AgentId>| id.as_ref().is_none_or(|id| *id == ours);
        if !is_ours(&told.slave_id) || !is_ours(&told.status.agent_id) {
            return Err("it is for another agent");
        }
        if told.framework_id.value != framework_id.as_str() {
            return Err("it is of another framework");
        }
        let executor = v1::ExecutorId { value: executor_id.as_str().into() };
        told.uuid = Some(uuid.clone());
        told.slave_id = Some(ours.clone());
        told.executor_id = Some(executor.clone());
        told.latest_state = None;
        // What is no number would be none in anybody's JSON either.
        let is_time = |time: &f64| time.is_finite() && *time > 0.0;
        if !is_time(&told.timestamp) {
            told.timestamp = told.status.timestamp.filter(is_time).unwrap_or(now.unix);
        }
        let status = &mut told.status;
        status.uuid = Some(uuid);
        status.agent_id = Some(ours);
        status.executor_id = Some(executor);
        status.set_source(Source::Executor);
        status.timestamp = Some(told.timestamp);
        Ok(())
    }
}

/// Whether the agent has told the end of a task by itself, as of one that its executor was never given.
fn is_given_up(executor: &Executor, task_id: &TaskId) -> bool {
    let live = executor.task(task_id).map(|task| &task.task);
    let ended = || executor.completed_tasks.iter().find(|task| task.task_id.value == task_id.as_str());
    live.or_else(ended)
        .and_then(|task| task.statuses.last())
        .is_some_and(|status| is_terminal(status.state()) && status.source() == Source::Agent)
}

/// Whether an executor can know of a task. Stock takes the status of any; one of another executor's task would end that
/// for its framework while it runs on.
fn may_tell(framework: &Framework, executor_id: &ExecutorId, task_id: &TaskId) -> Result<(), &'static str> {
    if framework.pending_task(task_id).is_some() {
        return Err("the task was not given to any executor");
    }
    match framework.live_task(task_id) {
        Some((holder, _)) if holder.id != *executor_id => Err("the task is another executor's"),
        Some((_, task)) if matches!(task.stage, Stage::Queued(_)) => Err("the task was not given to it"),
        Some(_) | None => Ok(()),
    }
}
