//! Tasks on their way to an executor's program, and the resources of its container (`Slave::___run`, `registerExecutor`
//! and `_statusUpdate` in `src/slave/slave.cpp`).
//!
//! ```text
//! queued ──► UpdateContainer ──Updated──► launched, sent
//!                └── failed while a task waits: the container is destroyed, its tasks are TASK_GONE or TASK_LOST
//! ```
//!
//! A task is sent once its container may use what the task needs, and only to a program that listens: where the
//! stream of one broke, the task waits until the program comes back. Stock sends it into the void.

use std::time::Duration;

use mesos_proto::v1::task_status::Reason;
use mesos_proto::{internal, v1};
use mesos_types::TaskId;

use super::action::{Action, ToExecutor};
use super::event::{Now, Run};
use super::launch::allotment;
use super::state::State;
use super::status::{Verdict, was_running};
use crate::model::{ExecutorPhase, Stage};

/// The address that stands for none in a message.
const NO_ADDRESS: &str = "@0.0.0.0:0";

/// An update of a container that has not been answered.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Allotted {
    pub(super) run: Run,
    /// The tasks that are sent once it is done.
    deliver: Vec<TaskId>,
}

impl State {
    /// Has tasks sent that wait for an executor, once its container can hold them.
    pub(super) fn deliver(&mut self, run: &Run, deliver: Vec<TaskId>, out: &mut Vec<Action>) {
        let Some(executor) = self.executor_mut(run) else { return };
        let (resources, limits) = allotment(executor);
        self.last_token += 1;
        let token = self.last_token;
        self.allotted.insert(token, Allotted { run: run.clone(), deliver });
        out.push(Action::UpdateContainer { container_id: run.container_id, token, resources, limits });
    }

    /// Has all tasks sent that wait for an executor.
    pub(super) fn deliver_all(&mut self, run: &Run, out: &mut Vec<Action>) {
        let Some(executor) = self.executor_mut(run) else { return };
        let waiting = executor.queued_tasks().map(|(task, _)| task.id.clone()).collect();
        self.deliver(run, waiting, out);
    }

    /// Gives back what a task held that ended.
    pub(super) fn shrink(&mut self, run: &Run, out: &mut Vec<Action>) {
        let is_up = |executor: &mut crate::model::Executor| {
            executor.has_program() && executor.phase == ExecutorPhase::Running
        };
        if self.executor_mut(run).is_some_and(is_up) {
            self.deliver(run, Vec::new(), out);
        }
    }

    /// A container can hold what it was asked to, or cannot.
    pub(super) fn container_updated(
        &mut self,
        token: u64,
        result: Result<(), String>,
        out: &mut Vec<Action>,
    ) {
        let Some(Allotted { run, deliver }) = self.allotted.remove(&token) else { return };
        match result {
            Ok(()) => self.send_tasks(&run, &deliver, out),
            Err(why) => self.update_failed(&run, &deliver, &why, out),
        }
    }

    fn send_tasks(&mut self, run: &Run, deliver: &[TaskId], out: &mut Vec<Action>) {
        let Some(framework) = self.agent.frameworks.get_mut(&run.framework_id) else { return };
        let pid = framework.pid.clone().unwrap_or_else(|| NO_ADDRESS.into());
        let info = framework.info.clone();
        let executor = framework.executors.get_mut(&run.executor_id);
        let Some(executor) = executor.filter(|executor| executor.container_id == run.container_id) else {
            return;
        };
        // One that is being stopped tells the end of its tasks with its own.
        if executor.phase != ExecutorPhase::Running {
            return;
        }
        let Some(peer) = executor.peer().cloned() else { return };
        for id in deliver {
            // Who waits no longer was killed, which was told.
            let Some(task) = executor.task_mut(id) else { continue };
            let Stage::Queued(task_info) = &task.stage else { continue };
            let message = internal::RunTaskMessage {
                framework: info.clone(),
                task: (**task_info).clone(),
                pid: Some(pid.clone()),
                ..Default::default()
            };
            task.stage = Stage::Launched;
            executor.was_given_tasks = true;
            tracing::info!(framework_id = %run.framework_id, executor_id = %run.executor_id, task_id = %id,
                "a task goes to its executor");
            out.push(Action::ToExecutor(peer.clone(), Box::new(ToExecutor::Run(message))));
        }
    }

    /// A container that cannot hold a task that waits is destroyed, as in stock. One that keeps more than its tasks need
    /// is left alone, with the tasks that it runs: engines refuse to take memory away that is in use. Stock destroys it.
    fn update_failed(&mut self, run: &Run, deliver: &[TaskId], why: &str, out: &mut Vec<Action>) {
        let Some(framework) = self.agent.frameworks.get(&run.framework_id) else { return };
        let verdict = Verdict {
            state: was_running(framework),
            reason: Reason::ContainerUpdateFailed,
            message: format!("Failed to update resources for container: {why}"),
        };
        let Some(executor) = self.executor_mut(run) else { return };
        // One that is being stopped has its own time to end, and its end tells why.
        if executor.phase != ExecutorPhase::Running {
            return;
        }
        if !executor.queued_tasks().any(|(task, _)| deliver.contains(&task.id)) {
            tracing::warn!(framework_id = %run.framework_id, executor_id = %run.executor_id,
                container_id = %run.container_id, why,
                "a container keeps what it had: it could not be changed to what its tasks hold");
            return;
        }
        tracing::warn!(container_id = %run.container_id, why, "a container cannot be updated; destroying it");
        self.give_up(run, verdict, out);
    }

    /// Destroys the container of an executor with a program; its end tells why.
    pub(super) fn give_up(&mut self, run: &Run, verdict: Verdict, out: &mut Vec<Action>) {
        let Some(executor) = self.executor_mut(run) else { return };
        executor.phase = ExecutorPhase::Terminating;
        self.causes.entry(run.container_id).or_insert(verdict);
        out.push(Action::Kill(run.container_id, Some(Duration::ZERO)));
    }

    /// Shuts an executor down that was never given a task and will not be: those that waited for it were killed.
    pub(super) fn end_if_unneeded(&mut self, run: &Run, now: Now, out: &mut Vec<Action>) {
        let Some(executor) = self.executor_mut(run) else { return };
        let is_unneeded = executor.has_program()
            && executor.phase == ExecutorPhase::Running
            && !executor.was_given_tasks
            && executor.tasks.iter().all(|task| task.stage == Stage::Terminated);
        if is_unneeded {
            tracing::warn!(framework_id = %run.framework_id, executor_id = %run.executor_id,
                "shutting an executor down that was never given a task");
            self.shutdown_executor(&run.framework_id, &run.executor_id, None, now, out);
        }
    }

    /// The agent's id, for a message to an executor.
    pub(super) fn wire_agent_id(&self) -> v1::AgentId {
        let id = self.agent.id.as_ref();
        v1::AgentId { value: id.map(|id| id.as_str().to_owned()).unwrap_or_default() }
    }
}
