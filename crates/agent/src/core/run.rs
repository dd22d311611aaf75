//! A task arrives (`Slave::runTask`, `run`, `_run`, `__run` in `src/slave/slave.cpp`).
//!
//! ```text
//! RunTask ──► pending ──Unscheduled──► checks ──► generated executor, queued ──► Launch
//!                │                       └──► TASK_DROPPED or TASK_LOST, TASK_FAILED
//!                └── killed, framework gone: nothing is launched
//! ```

use std::path::{Path, PathBuf};

use checkpoint::WorkDir;
use mesos_proto::v1::TaskState;
use mesos_proto::v1::framework_info::capability::Type as Capability;
use mesos_proto::v1::task_status::Reason;
use mesos_proto::{internal, v1};
use mesos_types::{AgentId, ContainerId, ExecutorId, FrameworkId, IdError, TaskId};

use super::action::{Action, Launch, ToMaster, Write};
use super::event::{Now, Run};
use super::settings::{Docker, SwitchUser};
use super::state::State;
use super::status::{Verdict, never_started, update};
use super::timers::Timer;
use super::{executor_info, wire_resources};
use crate::model::{
    Executor, Framework, FrameworkPhase, Generated, LiveTask, PendingTask, Phase, Stage, task_of,
};

/// What a run message says beside the task.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct RunContext {
    /// Whether the master counts on a new executor; masters before 1.5 do not say.
    launch_executor: Option<bool>,
    /// The versions of the resources that the task was made for.
    resource_versions: Vec<internal::ResourceVersionUuid>,
}

impl State {
    /// The master wants a task to run.
    pub(super) fn run_task(&mut self, message: internal::RunTaskMessage, now: Now, out: &mut Vec<Action>) {
        let context = RunContext {
            launch_executor: message.launch_executor,
            resource_versions: message.resource_version_uuids,
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
        out.push(Action::Unschedule(framework_id, executor_id, task_id));
    }

    /// The directories of a pending task are safe from the garbage collector: it can be launched.
    pub(super) fn unscheduled(
        &mut self,
        framework_id: &FrameworkId,
        task_id: &TaskId,
        now: Now,
        out: &mut Vec<Action>,
    ) {
        let context = self.contexts.remove(&(framework_id.clone(), task_id.clone())).unwrap_or_default();
        let Some(framework) = self.agent.frameworks.get_mut(framework_id) else { return };
        // Who is no longer pending was killed, which was told.
        let Some(index) = framework.pending.iter().position(|task| task.id == *task_id) else { return };
        let pending = framework.pending.remove(index);
        match self.refusal(framework_id, &pending, &context) {
            Some(verdict) => self.refuse(framework_id, &pending, &context, &verdict, now, out),
            None => self.launch(framework_id, pending, now, out),
        }
    }

    /// Why a task cannot run here, in stock's order.
    fn refusal(
        &self,
        framework_id: &FrameworkId,
        pending: &PendingTask,
        context: &RunContext,
    ) -> Option<Verdict> {
        let framework = self.agent.frameworks.get(framework_id)?;
        let dropped = |reason, message: &str| {
            Some(Verdict { state: never_started(framework), reason, message: message.into() })
        };
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
        if framework.executors.contains_key(&pending.executor_id) && pending.info.executor.is_none() {
            return dropped(Reason::ExecutorTerminated, "An earlier task of this id is not acknowledged yet");
        }
        unsupported(&pending.info, self.settings.docker).map(|message| Verdict {
            state: TaskState::TaskFailed,
            reason: Reason::ContainerLaunchFailed,
            message: format!("Failed to launch container: {message}"),
        })
    }

    fn refuse(
        &mut self,
        framework_id: &FrameworkId,
        pending: &PendingTask,
        context: &RunContext,
        verdict: &Verdict,
        now: Now,
        out: &mut Vec<Action>,
    ) {
        if verdict.reason == Reason::ContainerLaunchFailed {
            self.agent.counters.container_launch_errors += 1;
        }
        let executor_id = pending.info.executor.as_ref().map(|_| &pending.executor_id);
        let told = update(self.agent.id.as_ref(), framework_id, executor_id, &pending.id, verdict, now);
        self.status_update(told, now, out);
        if context.launch_executor == Some(true) && pending.info.executor.is_some() {
            self.exited_executor(framework_id, &pending.executor_id, -1, out);
        }
        self.forget_if_idle(framework_id, out);
    }

    /// Tells the master that an executor is gone, or was not launched (status -1), so that it frees what it held.
    pub(super) fn exited_executor(
        &self,
        framework_id: &FrameworkId,
        executor_id: &ExecutorId,
        status: i32,
        out: &mut Vec<Action>,
    ) {
        let (Some(master), Some(agent_id)) = (&self.agent.master, &self.agent.id) else { return };
        let message = internal::ExitedExecutorMessage {
            slave_id: v1::AgentId { value: agent_id.as_str().into() },
            framework_id: v1::FrameworkId { value: framework_id.as_str().into() },
            executor_id: v1::ExecutorId { value: executor_id.as_str().into() },
            status,
        };
        out.push(Action::Send(master.pid.clone(), Box::new(ToMaster::ExitedExecutor(message))));
    }

    fn launch(&mut self, framework_id: &FrameworkId, pending: PendingTask, now: Now, out: &mut Vec<Action>) {
        let Some(agent_id) = self.agent.id.clone() else { return };
        let Some(framework) = self.agent.frameworks.get_mut(framework_id) else { return };
        let wire_id = v1::FrameworkId { value: framework_id.as_str().into() };
        let info = executor_info::generated(&pending.info, &wire_id, &self.settings.launcher_dir);
        let user = match self.settings.switch_user {
            SwitchUser::Yes => {
                let own = pending.info.command.as_ref().and_then(|command| command.user.clone());
                Some(own.unwrap_or_else(|| framework.info.user.clone()))
            }
            SwitchUser::No => None,
        };
        let run = Run {
            framework_id: framework_id.clone(),
            executor_id: pending.executor_id.clone(),
            container_id: ContainerId::random(),
        };
        let checkpoint = framework.is_checkpointed();
        // Not before the garbage collector let go of the directory: it would remove the file with the rest.
        if checkpoint && framework.executors.is_empty() {
            out.push(Action::Write(Box::new(Write::Framework(
                framework_id.clone(),
                framework.info.clone(),
                framework.pid.clone(),
            ))));
        }
        let task = task_of(&pending.info, TaskState::TaskStaging, &wire_id);
        if checkpoint {
            out.push(Action::Write(Box::new(Write::Executor(
                run.clone(),
                wire_resources::outward(info.clone()),
                true,
            ))));
            out.push(Action::Write(Box::new(Write::Task(
                run.clone(),
                pending.id.clone(),
                wire_resources::outward(task.clone()),
            ))));
        }
        let task_killing = framework.has(Capability::TaskKillingState);
        let directory = sandbox(&self.agent.work_dir, &agent_id, &run);
        let mut executor = Executor::new(
            pending.executor_id.clone(),
            info,
            Generated::ForCommandTask,
            run.container_id,
            directory,
            user.clone(),
        );
        executor.tasks.push(LiveTask {
            id: pending.id,
            task,
            stage: Stage::Queued(Box::new(pending.info.clone())),
        });
        framework.executors.insert(pending.executor_id, executor);
        self.runs.insert(run.container_id, run.clone());
        self.timers.arm(
            Timer::ExecutorRegistration(run.container_id),
            now.elapsed.saturating_add(self.settings.executor_registration_timeout),
        );
        out.push(Action::Launch(Box::new(Launch {
            run,
            info: pending.info,
            task_killing,
            checkpoint,
            user,
        })));
    }
}

/// Where the sandbox of a run is.
fn sandbox(work_dir: &Path, agent_id: &AgentId, run: &Run) -> PathBuf {
    let agent = WorkDir::new(work_dir).agent(agent_id);
    let executor = agent.framework(&run.framework_id).executor(&run.executor_id);
    executor.run(run.container_id).sandbox().to_owned()
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

/// What this agent cannot run, by name and with the remedy.
fn unsupported(task: &v1::TaskInfo, docker: Docker) -> Option<String> {
    if task.executor.is_some() {
        return Some(
            "executor: this agent runs command tasks only, no executors of frameworks and no task groups; \
             use task.command and task.container"
                .into(),
        );
    }
    if task.command.is_none() {
        return Some("command: the task has neither a command nor an executor".into());
    }
    let container = task.container.as_ref();
    let is_docker = container.is_some_and(|container| {
        container.r#type() == v1::container_info::Type::Docker && container.docker.is_some()
    });
    match (is_docker, docker) {
        (true, Docker::Enabled) => None,
        (true, Docker::Disabled) => {
            Some("container: --containerizers does not name docker; add it to run Docker images".into())
        }
        (false, _) => Some(
            "container: this agent runs tasks with a Docker image only; set container.type to DOCKER and \
             container.docker.image to an image"
                .into(),
        ),
    }
}
