//! A task that may run gets its executor: one that is made up for it, a new one of its framework, or one that is there
//! (`Slave::__run`, `Framework::addExecutor`, `Slave::launchExecutor` in `src/slave/slave.cpp`).
//!
//! What is written stands before the launch: `framework.info`, `executor.info`, `task.info`.

use std::path::{Path, PathBuf};

use checkpoint::WorkDir;
use mesos_proto::v1;
use mesos_proto::v1::TaskState;
use mesos_proto::v1::framework_info::capability::Type as Capability;
use mesos_types::resource::{ResourceLimits, ResourceSet, executor_limits, limits_from_proto};
use mesos_types::{AgentId, ContainerId, FrameworkId};

use super::action::{Action, ExecutorLaunch, Launch, Launched, Write};
use super::event::{Now, Run};
use super::settings::SwitchUser;
use super::state::State;
use super::support::container_of;
use super::timers::Timer;
use super::{executor_info, wire_resources};
use crate::model::{Executor, ExecutorPhase, Generated, LiveTask, PendingTask, Stage, task_of};

impl State {
    /// Gives a task to its executor, which is launched first unless it is there.
    pub(super) fn launch(
        &mut self,
        framework_id: &FrameworkId,
        pending: PendingTask,
        now: Now,
        out: &mut Vec<Action>,
    ) {
        let Some(framework) = self.agent.frameworks.get(framework_id) else { return };
        if framework.executors.contains_key(&pending.executor_id) {
            self.join(framework_id, pending, out);
        } else {
            self.launch_executor(framework_id, pending, now, out);
        }
    }

    /// Queues a task for an executor that is there, and has it delivered to one that listens.
    fn join(&mut self, framework_id: &FrameworkId, pending: PendingTask, out: &mut Vec<Action>) {
        let Some(framework) = self.agent.frameworks.get_mut(framework_id) else { return };
        let checkpoint = framework.is_checkpointed();
        let Some(executor) = framework.executors.get_mut(&pending.executor_id) else { return };
        let run = run_of(framework_id, executor);
        let task = queued(pending, framework_id);
        if checkpoint {
            out.push(write_task(&run, &task));
        }
        let task_id = task.id.clone();
        executor.tasks.push(task);
        if executor.phase == ExecutorPhase::Running {
            self.deliver(&run, vec![task_id], out);
        }
    }

    fn launch_executor(
        &mut self,
        framework_id: &FrameworkId,
        pending: PendingTask,
        now: Now,
        out: &mut Vec<Action>,
    ) {
        let Some(agent_id) = self.agent.id.clone() else { return };
        let Some(framework) = self.agent.frameworks.get_mut(framework_id) else { return };
        let wire_id = v1::FrameworkId { value: framework_id.as_str().into() };
        let (info, generated) = match &pending.info.executor {
            Some(own) => {
                let info = v1::ExecutorInfo { framework_id: Some(wire_id), ..own.clone() };
                (info, Generated::No)
            }
            None => {
                let made = executor_info::generated(&pending.info, &wire_id, &self.settings.launcher_dir);
                (made, Generated::ForCommandTask)
            }
        };
        let user = match self.settings.switch_user {
            SwitchUser::Yes => {
                let own = info.command.as_ref().and_then(|command| command.user.clone());
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
            let write = Write::Framework(framework_id.clone(), framework.info.clone(), framework.pid.clone());
            out.push(Action::Write(Box::new(write)));
        }
        let container = container_of(&pending.info, &self.settings).cloned();
        let directory = sandbox(&self.agent.work_dir, &agent_id, &run);
        let mut executor = Executor::new(
            pending.executor_id.clone(),
            info,
            generated,
            run.container_id,
            directory,
            user.clone(),
        );
        let task_info = pending.info.clone();
        let task = queued(pending, framework_id);
        if checkpoint {
            out.push(Action::Write(Box::new(Write::Executor(
                run.clone(),
                wire_resources::outward(executor.info.clone()),
                generated == Generated::ForCommandTask,
            ))));
            out.push(write_task(&run, &task));
        }
        executor.tasks.push(task);
        let what = match generated {
            Generated::ForCommandTask => Launched::Task(v1::TaskInfo { container, ..task_info }),
            Generated::No => {
                let (resources, limits) = allotment(&executor);
                Launched::Executor(Box::new(ExecutorLaunch {
                    framework: framework.info.clone(),
                    executor: v1::ExecutorInfo { container, ..executor.info.clone() },
                    resources,
                    limits,
                }))
            }
        };
        let task_killing = framework.has(Capability::TaskKillingState);
        framework.executors.insert(run.executor_id.clone(), executor);
        self.runs.insert(run.container_id, run.clone());
        self.timers.arm(
            Timer::ExecutorRegistration(run.container_id),
            now.elapsed.saturating_add(self.settings.executor_registration_timeout),
        );
        out.push(Action::Launch(Box::new(Launch { run, what, task_killing, checkpoint, user })));
    }
}

/// What an executor and its tasks that have not ended hold, and what they may burst to.
pub(super) fn allotment(executor: &Executor) -> (Vec<v1::Resource>, ResourceLimits) {
    let sum = |resources: &[v1::Resource]| ResourceSet::from_protos(resources).unwrap_or_default();
    let live = executor.tasks.iter().filter(|task| task.stage != Stage::Terminated);
    // What cannot be read was refused when the task came.
    let held: Vec<_> = live
        .map(|task| (sum(&task.task.resources), limits_from_proto(&task.task.limits).unwrap_or_default()))
        .collect();
    let limits =
        executor_limits(&sum(&executor.info.resources), held.iter().map(|(set, limits)| (set, limits)));
    (executor.allocated().cloned().collect(), limits)
}

/// The name of an executor's run.
pub(super) fn run_of(framework_id: &FrameworkId, executor: &Executor) -> Run {
    Run {
        framework_id: framework_id.clone(),
        executor_id: executor.id.clone(),
        container_id: executor.container_id,
    }
}

/// A task that waits for its executor.
fn queued(pending: PendingTask, framework_id: &FrameworkId) -> LiveTask {
    let wire_id = v1::FrameworkId { value: framework_id.as_str().into() };
    let task = task_of(&pending.info, TaskState::TaskStaging, &wire_id);
    LiveTask { id: pending.id, task, stage: Stage::Queued(Box::new(pending.info)) }
}

fn write_task(run: &Run, task: &LiveTask) -> Action {
    let outward = wire_resources::outward(task.task.clone());
    Action::Write(Box::new(Write::Task(run.clone(), task.id.clone(), outward)))
}

/// Where the sandbox of a run is.
fn sandbox(work_dir: &Path, agent_id: &AgentId, run: &Run) -> PathBuf {
    let agent = WorkDir::new(work_dir).agent(agent_id);
    let executor = agent.framework(&run.framework_id).executor(&run.executor_id);
    executor.run(run.container_id).sandbox().to_owned()
}
