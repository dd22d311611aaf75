//! Statuses on their way to the master (`Slave::statusUpdate`, `_statusUpdate`, `__statusUpdate`, `forward`,
//! `statusUpdateAcknowledgement` in `src/slave/slave.cpp`).
//!
//! ```text
//! status ──► checks, enrichment ──► the task's state ──► stream: written, then the head is sent until acknowledged
//! ```

use mesos_proto::v1::network_info::{IpAddress, Protocol};
use mesos_proto::v1::task_status::{Reason, Source};
use mesos_proto::v1::{TaskState, TaskStatus};
use mesos_proto::{internal, v1};
use mesos_types::{ExecutorId, FrameworkId, TaskId};

use super::action::{Action, Garbage, ToMaster, Write};
use super::event::{Now, Run};
use super::launch::run_of;
use super::settings::CoreSettings;
use super::state::State;
use super::status::{Verdict, never_started, update};
use crate::model::{Framework, FrameworkPhase, LiveTask, Phase, Stage, is_terminal};
use crate::status_updates::{Durability, Step};

/// Whether who told a status may forget it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Heeded {
    Yes,
    No,
}

impl State {
    /// Takes a status of the agent's own, or of a task that is supervised in this process.
    pub(super) fn status_update(&mut self, told: internal::StatusUpdate, now: Now, out: &mut Vec<Action>) {
        self.take_update(told, now, out);
    }

    /// Takes a status that has been checked.
    pub(super) fn take_update(
        &mut self,
        mut told: internal::StatusUpdate,
        now: Now,
        out: &mut Vec<Action>,
    ) -> Heeded {
        let ids =
            (told.framework_id.value.parse::<FrameworkId>(), told.status.task_id.value.parse::<TaskId>());
        let (Ok(framework_id), Ok(task_id)) = ids else {
            self.agent.counters.invalid_status_updates += 1;
            return Heeded::No;
        };
        let is_running = |framework: &&Framework| framework.phase == FrameworkPhase::Running;
        let Some(framework) = self.agent.frameworks.get(&framework_id).filter(is_running) else {
            tracing::debug!(%framework_id, %task_id, "a status of a framework that ended is dropped");
            // Stock counts what an executor tells of it, as its TASK_KILLED, and makes no statuses of its own then
            // (`Slave::executorTerminated`).
            if told.status.source() == Source::Executor {
                self.agent.counters.invalid_status_updates += 1;
            }
            return Heeded::No;
        };
        self.rewrite_for_drain(framework, &mut told.status);
        let state = told.status.state();
        self.agent.counters.valid_status_updates += 1;

        let Some(framework) = self.agent.frameworks.get_mut(&framework_id) else { return Heeded::No };
        framework.pending.retain(|task| task.id != task_id);
        self.contexts.remove(&(framework_id.clone(), task_id.clone()));
        let checkpointed = framework.is_checkpointed();
        let holder = framework.executors.values_mut().find(|executor| executor.task(&task_id).is_some());
        let mut durability = Durability::Memory;
        let mut holding = None;
        if let Some(executor) = holder {
            let run = run_of(&framework_id, executor);
            let Some(task) = executor.task_mut(&task_id) else { return Heeded::No };
            if task.stage == Stage::Terminated {
                tracing::warn!(%framework_id, %task_id, ?state, "a status after the terminal one is dropped");
                return Heeded::Yes;
            }
            if has_container(task, &told.status) {
                enrich(&mut told.status, &run, &self.settings);
            }
            record(task, &told.status);
            if checkpointed {
                durability = Durability::Disk(run.clone());
            }
            holding = Some(run);
        }
        if is_terminal(state) {
            self.agent.counters.terminal(state);
            if let Some(run) = holding {
                self.forget_kill(&run, &task_id);
                self.shrink(&run, out);
            }
        }
        tracing::info!(%framework_id, %task_id, ?state, "a task changed its state");
        let (taken, steps) = self.updates.update(told, durability, now.elapsed);
        self.perform(steps, out);
        if taken.is_safe() { Heeded::Yes } else { Heeded::No }
    }

    /// A status arrived at its framework.
    pub(super) fn acknowledged(
        &mut self,
        message: &internal::StatusUpdateAcknowledgementMessage,
        now: Now,
        out: &mut Vec<Action>,
    ) {
        if self.agent.phase != Phase::Running {
            tracing::warn!(phase = ?self.agent.phase, "an acknowledgement is ignored");
            return;
        }
        let (Ok(framework_id), Ok(task_id), Ok(uuid)) = (
            message.framework_id.value.parse::<FrameworkId>(),
            message.task_id.value.parse::<TaskId>(),
            uuid::Uuid::from_slice(&message.uuid),
        ) else {
            tracing::warn!("an acknowledgement with ids that cannot be used is ignored");
            return;
        };
        let steps = self.updates.acknowledge(&framework_id, &task_id, uuid, now.elapsed);
        let is_closed = steps.iter().any(|step| matches!(step, Step::Closed(..)));
        self.perform(steps, out);
        if is_closed {
            self.complete(&framework_id, &task_id, out);
        }
    }

    /// The terminal status of a task is acknowledged: it is history.
    fn complete(&mut self, framework_id: &FrameworkId, task_id: &TaskId, out: &mut Vec<Action>) {
        let Some(framework) = self.agent.frameworks.get_mut(framework_id) else { return };
        let checkpointed = framework.is_checkpointed();
        let holder = framework.executors.values_mut().find(|executor| executor.task(task_id).is_some());
        let Some(executor) = holder else { return };
        let Some(index) = executor.tasks.iter().position(|task| task.id == *task_id) else { return };
        let task = executor.tasks.remove(index);
        executor.completed_tasks.push(task.task);
        let executor_id = executor.id.clone();
        if checkpointed {
            let run = run_of(framework_id, executor);
            out.push(Action::Collect(Garbage::Task(run, task_id.clone())));
        }
        self.remove_if_done(framework_id, &executor_id, out);
    }

    /// The master knows us: what waits is sent.
    pub(super) fn resume_updates(&mut self, now: Now, out: &mut Vec<Action>) {
        let steps = self.updates.resume(now.elapsed);
        self.perform(steps, out);
    }

    /// Sends again what was not acknowledged in time.
    pub(super) fn retry_updates(&mut self, now: Now, out: &mut Vec<Action>) {
        let steps = self.updates.due(now.elapsed);
        self.perform(steps, out);
    }

    /// Turns what the streams want into actions.
    fn perform(&mut self, steps: Vec<Step>, out: &mut Vec<Action>) {
        for step in steps {
            match step {
                Step::Append(run, task_id, record) => {
                    out.push(Action::Write(Box::new(Write::Update(run, task_id, record))));
                }
                Step::Forward(update) => self.forward(update, out),
                Step::Closed(..) => {}
            }
        }
    }

    /// Sends the head of a stream to the master.
    fn forward(&mut self, update: internal::StatusUpdate, out: &mut Vec<Action>) {
        let ids = (update.framework_id.value.parse(), update.status.task_id.value.parse());
        let (Ok(framework_id), Ok(task_id)) = ids else { return };
        let (framework_id, task_id): (FrameworkId, TaskId) = (framework_id, task_id);
        let Some(master) = self.agent.master.as_ref().filter(|_| self.agent.phase == Phase::Running) else {
            return;
        };
        let framework = self.agent.frameworks.get_mut(&framework_id);
        let task = framework.and_then(|framework| {
            framework.executors.values_mut().find_map(|executor| executor.task_mut(&task_id))
        });
        if let Some(task) = task {
            task.task.status_update_state = Some(update.status.state);
            task.task.status_update_uuid.clone_from(&update.uuid);
        }
        let message = internal::StatusUpdateMessage { pid: Some(self.agent.pid.clone()), update };
        out.push(Action::Send(master.pid.clone(), Box::new(ToMaster::Status(message))));
    }

    /// Tells the master about tasks that it believes in and we do not know.
    pub(super) fn reconcile(
        &mut self,
        reconciliations: &[internal::ReconcileTasksMessage],
        now: Now,
        out: &mut Vec<Action>,
    ) {
        for reconciliation in reconciliations {
            let Ok(framework_id) = reconciliation.framework_id.value.parse::<FrameworkId>() else { continue };
            for status in &reconciliation.statuses {
                let Ok(task_id) = status.task_id.value.parse::<TaskId>() else { continue };
                self.reconcile_task(reconciliation, &framework_id, &task_id, now, out);
            }
        }
    }

    fn reconcile_task(
        &mut self,
        reconciliation: &internal::ReconcileTasksMessage,
        framework_id: &FrameworkId,
        task_id: &TaskId,
        now: Now,
        out: &mut Vec<Action>,
    ) {
        let known = self.agent.frameworks.get(framework_id);
        let has_task = known.is_some_and(|framework| {
            framework.pending_task(task_id).is_some() || framework.live_task(task_id).is_some()
        });
        if has_task {
            return;
        }
        let told = reconciliation.framework.clone().unwrap_or_default();
        let state = match known {
            Some(framework) => never_started(framework),
            None => never_started(&Framework::new(framework_id.clone(), told, None)),
        };
        let verdict = Verdict {
            state,
            reason: Reason::Reconciliation,
            message: "Reconciliation: task unknown to the agent".into(),
        };
        let executor_id: Option<&ExecutorId> = None;
        let update = update(self.agent.id.as_ref(), framework_id, executor_id, task_id, &verdict, now);
        // The framework need not be here.
        let (_, steps) = self.updates.update(update, Durability::Memory, now.elapsed);
        self.perform(steps, out);
    }
}

/// Whether a status tells of a container: one that was not launched has none, and an agent that gave a task up cannot say.
fn has_container(task: &LiveTask, status: &TaskStatus) -> bool {
    let gave_up = status.source() == Source::Agent
        && matches!(status.state(), TaskState::TaskDropped | TaskState::TaskLost);
    !matches!(task.stage, Stage::Queued(_)) && !gave_up
}

/// Adds what the agent knows of the container: its id, and an address where it has none of its own.
fn enrich(status: &mut TaskStatus, run: &Run, settings: &CoreSettings) {
    let container = status.container_status.get_or_insert_default();
    container
        .container_id
        .get_or_insert_with(|| v1::ContainerId { value: run.container_id.to_string(), ..Default::default() });
    if container.network_infos.is_empty() {
        let own = IpAddress { ip_address: Some(settings.ip.to_string()), protocol: None };
        let second = settings
            .ip6
            .map(|ip| IpAddress { ip_address: Some(ip.to_string()), protocol: Some(Protocol::IPv6.into()) });
        container.network_infos.push(v1::NetworkInfo {
            ip_addresses: [own].into_iter().chain(second).collect(),
            ..Default::default()
        });
    }
}

/// Moves the task on: its state, its list of statuses, where one of the same state replaces the last.
pub(super) fn record(task: &mut LiveTask, status: &TaskStatus) {
    task.task.state = status.state;
    if task.task.statuses.last().is_some_and(|last| last.state == status.state) {
        task.task.statuses.pop();
    }
    task.task.statuses.push(status.clone());
    if is_terminal(status.state()) {
        task.stage = Stage::Terminated;
    }
}
