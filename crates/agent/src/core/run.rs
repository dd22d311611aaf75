//! A task arrives (`Slave::runTask`, `run`, `_run`, `__run` in `src/slave/slave.cpp`).
//!
//! ```text
//! RunTask ──► pending ──Unscheduled──► checks ──► an executor has it, queued
//!                │                       └──► TASK_DROPPED or TASK_LOST, TASK_FAILED
//!                └── killed, framework gone: nothing is launched
//! ```
//!
//! The tasks of one executor are looked at in the order of their arrival: only the first is to launch it.

use mesos_proto::v1::TaskState;
use mesos_proto::v1::task_status::Reason;
use mesos_proto::{internal, v1};
use mesos_types::{ExecutorId, FrameworkId, IdError, TaskId};

use super::action::Action;
use super::event::Now;
use super::launch::run_of;
use super::state::State;
use super::status::{Verdict, never_started, update};
use super::support::{unheld_limit, unsupported};
use super::wire_resources;
use crate::model::{Executor, ExecutorPhase, Framework, FrameworkPhase, Generated, PendingTask, Phase};

/// What a run message says beside the task.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct RunContext {
    /// Whether the master counts on a new executor; masters before 1.5 do not say.
    launch_executor: Option<bool>,
    /// The versions of the resources that the task was made for.
    resource_versions: Vec<internal::ResourceVersionUuid>,
    grouped: Grouped,
    /// Whether the garbage collector has let go of its directories.
    is_ready: bool,
}

/// Whether a task came in a group.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Grouped {
    Yes,
    #[default]
    No,
}

/// A task that is not run.
struct Refusal {
    verdict: Verdict,
    freeing: Freeing,
}

/// How the master learns that an executor which it counts on was not launched.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Freeing {
    /// It is told at once.
    Now,
    /// The one that is in the way is shut down; its end is told.
    WithTheOther,
}

impl State {
    /// The master wants a task to run.
    pub(super) fn run_task(&mut self, message: internal::RunTaskMessage, now: Now, out: &mut Vec<Action>) {
        let context = RunContext {
            launch_executor: message.launch_executor,
            resource_versions: message.resource_version_uuids,
            ..RunContext::default()
        };
        self.run(message.framework, message.task, message.pid, context, now, out);
    }

    /// The master wants a group of tasks to run, which takes an executor that we do not have.
    pub(super) fn run_task_group(
        &mut self,
        message: internal::RunTaskGroupMessage,
        now: Now,
        out: &mut Vec<Action>,
    ) {
        for mut task in message.task_group.tasks {
            task.executor = Some(message.executor.clone());
            task.command = None;
            let context = RunContext {
                launch_executor: message.launch_executor,
                resource_versions: message.resource_version_uuids.clone(),
                grouped: Grouped::Yes,
                is_ready: false,
            };
            self.run(message.framework.clone(), task, None, context, now, out);
        }
    }

    fn run(
        &mut self,
        info: v1::FrameworkInfo,
        mut task: v1::TaskInfo,
        pid: Option<String>,
        context: RunContext,
        _now: Now,
        out: &mut Vec<Action>,
    ) {
        let (framework_id, task_id, executor_id) = match ids(&info, &task) {
            Ok(ids) => ids,
            Err(error) => {
                tracing::warn!(%error, "a task with an id that cannot be used is ignored");
                return;
            }
        };
        let ours = self.agent.id.as_ref().is_some_and(|id| id.as_str() == task.agent_id.value);
        if !ours || matches!(self.agent.phase, Phase::Recovering | Phase::Terminating) {
            tracing::warn!(%framework_id, %task_id, phase = ?self.agent.phase, "the task is ignored");
            return;
        }
        if let Err(error) = wire_resources::receive_task(&info, &mut task) {
            tracing::warn!(%framework_id, %task_id, %error, "the task is ignored: its resources cannot be read");
            return;
        }
        if !self.agent.frameworks.contains_key(&framework_id) {
            // HTTP schedulers have no address; masters write an empty one for them.
            let pid = pid.filter(|pid| !pid.starts_with('@') && !pid.is_empty());
            let mut framework = Framework::new(framework_id.clone(), info, pid)
                .remembering(self.settings.max_completed_executors);
            // It comes back: it is told once, with what it had before.
            let before = self.agent.completed_frameworks.take(|ended| ended.id == framework_id);
            if let Some(before) = before {
                framework.completed_executors = std::sync::Arc::unwrap_or_clone(before).completed_executors;
            }
            self.agent.frameworks.insert(framework_id.clone(), framework);
        }
        let Some(framework) = self.agent.frameworks.get_mut(&framework_id) else { return };
        if framework.phase == FrameworkPhase::Terminating {
            tracing::warn!(%framework_id, %task_id, "the task is ignored: its framework is being shut down");
            return;
        }
        if framework.pending_task(&task_id).is_some() || framework.live_task(&task_id).is_some() {
            tracing::warn!(%framework_id, %task_id, "the task is ignored: the agent has it already");
            return;
        }
        tracing::info!(%framework_id, %task_id, "got a task");
        self.updates.forget(&framework_id, &task_id);
        framework.pending.push(PendingTask {
            id: task_id.clone(),
            info: task,
            executor_id: executor_id.clone(),
        });
        self.contexts.insert((framework_id.clone(), task_id.clone()), context);
        let run = framework.executors.get(&executor_id).map(|executor| run_of(&framework_id, executor));
        out.push(Action::Unschedule(framework_id, executor_id, task_id, run));
    }

    /// The directories of a pending task are safe from the garbage collector: it can be launched.
    pub(super) fn unscheduled(
        &mut self,
        framework_id: &FrameworkId,
        task_id: &TaskId,
        now: Now,
        out: &mut Vec<Action>,
    ) {
        let Some(framework) = self.agent.frameworks.get(framework_id) else { return };
        // Who is no longer pending was killed, which was told.
        let Some(pending) = framework.pending_task(task_id) else { return };
        let executor_id = pending.executor_id.clone();
        if let Some(context) = self.contexts.get_mut(&(framework_id.clone(), task_id.clone())) {
            context.is_ready = true;
        }
        self.advance(framework_id, &executor_id, now, out);
    }

    /// Goes on with the tasks of an executor as far as they may.
    pub(super) fn advance(
        &mut self,
        framework_id: &FrameworkId,
        executor_id: &ExecutorId,
        now: Now,
        out: &mut Vec<Action>,
    ) {
        while let Some(framework) = self.agent.frameworks.get_mut(framework_id) {
            let next = framework.pending.iter().position(|task| task.executor_id == *executor_id);
            let Some(index) = next else { return };
            let key = (framework_id.clone(), framework.pending[index].id.clone());
            let is_ready = self.contexts.get(&key).is_none_or(|context| context.is_ready);
            if !is_ready {
                return;
            }
            let context = self.contexts.remove(&key).unwrap_or_default();
            let pending = framework.pending.remove(index);
            match self.refusal(framework_id, &pending, &context) {
                Some(refusal) => self.refuse(framework_id, &pending, &context, &refusal, now, out),
                None => self.launch(framework_id, pending, now, out),
            }
        }
    }

    /// Why a task cannot run here, in stock's order.
    fn refusal(
        &self,
        framework_id: &FrameworkId,
        pending: &PendingTask,
        context: &RunContext,
    ) -> Option<Refusal> {
        let framework = self.agent.frameworks.get(framework_id)?;
        let dropped = |reason, message: &str| {
            let verdict = Verdict { state: never_started(framework), reason, message: message.into() };
            Some(Refusal { verdict, freeing: Freeing::Now })
        };
        if let Some(unheld) = unheld_limit(&pending.info, &self.settings) {
            // Stock's reason too, for want of a better one.
            return dropped(Reason::GcError, &unheld);
        }
        if self.agent.draining.is_some() {
            return dropped(Reason::AgentDraining, "Task was received while agent was already draining");
        }
        let ours = self.agent.resource_version.as_bytes();
        let is_stale = |version: &internal::ResourceVersionUuid| {
            version.resource_provider_id.is_none() && version.uuid.value != ours
        };
        if context.resource_versions.iter().any(is_stale) {
            return dropped(Reason::InvalidOffers, "Task assumes outdated resource state");
        }
        if let Some(unknown) =
            wire_resources::unknown_checkpointed(&pending.info, &self.agent.total_resources)
        {
            return dropped(
                Reason::ResourcesUnknown,
                &format!("The checkpointed resources {unknown} are unknown to the agent"),
            );
        }
        let existing = framework.executors.get(&pending.executor_id);
        if let Some((message, freeing)) = unfit(existing, pending, context) {
            let refusal = dropped(Reason::ExecutorTerminated, message);
            return refusal.map(|refusal| Refusal { freeing, ..refusal });
        }
        unsupported(&pending.info, context.grouped, &self.settings).map(|message| Refusal {
            verdict: Verdict {
                state: TaskState::TaskFailed,
                reason: Reason::ContainerLaunchFailed,
                message: format!("Failed to launch container: {message}"),
            },
            freeing: Freeing::Now,
        })
    }

    fn refuse(
        &mut self,
        framework_id: &FrameworkId,
        pending: &PendingTask,
        context: &RunContext,
        refusal: &Refusal,
        now: Now,
        out: &mut Vec<Action>,
    ) {
        let verdict = &refusal.verdict;
        if verdict.reason == Reason::ContainerLaunchFailed {
            self.agent.counters.container_launch_errors += 1;
        }
        let executor_id = pending.info.executor.as_ref().map(|_| &pending.executor_id);
        let told = update(self.agent.id.as_ref(), framework_id, executor_id, &pending.id, verdict, now);
        self.status_update(told, now, out);
        match refusal.freeing {
            Freeing::Now => self.free_executor(framework_id, pending, context, out),
            Freeing::WithTheOther => {
                self.shutdown_executor(framework_id, &pending.executor_id, None, now, out);
            }
        }
        self.forget_if_idle(framework_id, out);
    }

    /// Tells the master that the executor of a task is not launched, where it counts on that.
    pub(super) fn free_executor(
        &mut self,
        framework_id: &FrameworkId,
        pending: &PendingTask,
        context: &RunContext,
        out: &mut Vec<Action>,
    ) {
        if context.launch_executor == Some(true) && pending.info.executor.is_some() {
            self.exited_executor(framework_id, &pending.executor_id, -1, out);
        }
    }
}

/// The ids of a task, checked: they become directories.
fn ids(
    framework: &v1::FrameworkInfo,
    task: &v1::TaskInfo,
) -> Result<(FrameworkId, TaskId, ExecutorId), IdError> {
    let framework_id = framework.id.clone().unwrap_or_default().value.parse()?;
    let task_id: TaskId = task.task_id.value.parse()?;
    let executor_id = match &task.executor {
        Some(executor) => executor.executor_id.value.parse()?,
        None => task.task_id.value.parse()?,
    };
    Ok((framework_id, task_id, executor_id))
}

/// Why a task cannot have its executor, by what the master says of that (step 9 of the specification).
fn unfit(
    existing: Option<&Executor>,
    pending: &PendingTask,
    context: &RunContext,
) -> Option<(&'static str, Freeing)> {
    let is_custom = pending.info.executor.is_some();
    let Some(existing) = existing else {
        let is_missing = is_custom && context.launch_executor == Some(false);
        return is_missing
            .then_some(("No executor is expected to launch and there is no executor running", Freeing::Now));
    };
    match (is_custom, existing.generated) {
        (false, _) => Some(("An earlier task of this id is not acknowledged yet", Freeing::Now)),
        (true, Generated::ForCommandTask) => {
            Some(("The id of the executor is that of a command task", Freeing::Now))
        }
        (true, Generated::No) if context.launch_executor == Some(true) => {
            let freeing = match existing.phase {
                ExecutorPhase::Terminated => Freeing::Now,
                ExecutorPhase::Registering | ExecutorPhase::Running | ExecutorPhase::Terminating => {
                    Freeing::WithTheOther
                }
            };
            Some(("Executor is expected to launch but it is already there", freeing))
        }
        (true, Generated::No) => match existing.phase {
            ExecutorPhase::Registering | ExecutorPhase::Running => None,
            ExecutorPhase::Terminating | ExecutorPhase::Terminated => {
                Some(("Executor is terminating or has terminated", Freeing::Now))
            }
        },
    }
}
