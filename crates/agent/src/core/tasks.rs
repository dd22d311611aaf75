//! What running tasks tell (`Slave::registerExecutor`, `executorTerminated` and the timers of `src/slave/slave.cpp`,
//! without the executor process).
//!
//! The generated executor registers when image and files are there (TASK_STARTING), and terminates when its container is
//! gone. Between its launch and that it must show progress.

use mesos_proto::v1;
use mesos_proto::v1::TaskState;
use mesos_proto::v1::task_status::{Reason, Source};
use mesos_types::{ContainerId, TaskId};

use super::action::Action;
use super::event::{Now, Run, TaskEvent};
use super::state::State;
use super::status::{Verdict, never_started, of_status};
use super::timers::Timer;
use crate::model::{Executor, ExecutorPhase, Generated, Stage};

impl State {
    /// A task told something.
    pub(super) fn task_event(&mut self, run: &Run, event: TaskEvent, now: Now, out: &mut Vec<Action>) {
        if self.executor_mut(run).is_none() {
            tracing::debug!(container_id = %run.container_id, "a task that is gone told something");
            return;
        }
        match event {
            TaskEvent::Progress => self.launch_goes_on(run, now),
            // What follows is told, however long the others take.
            TaskEvent::Waiting => self.timers.disarm(Timer::ExecutorRegistration(run.container_id)),
            TaskEvent::Status(status) => {
                self.came_up(run);
                // A launch that is made again after a restart begins as the first did, which was told.
                if status.state() != TaskState::TaskStarting || !self.has_started(run) {
                    self.tell_of(run, status, now, out);
                }
            }
            TaskEvent::Ended(mut status) => {
                if let Some(cause) = self.causes.remove(&run.container_id) {
                    status.set_state(cause.state);
                    status.set_reason(cause.reason);
                    let told =
                        status.message.take().map(|message| format!("; {message}")).unwrap_or_default();
                    status.message = Some(format!("{}{told}", cause.message));
                    status.set_source(Source::Agent);
                }
                if status.reason == Some(Reason::ContainerLaunchFailed.into()) {
                    self.agent.counters.container_launch_errors += 1;
                }
                self.ended(run, status, now, out);
            }
            TaskEvent::Refused(why) => {
                self.agent.counters.container_launch_errors += 1;
                let verdict = Verdict {
                    state: TaskState::TaskFailed,
                    reason: Reason::ContainerLaunchFailed,
                    message: format!("Failed to launch container: {why}"),
                };
                self.gave_up(run, verdict, now, out);
            }
            TaskEvent::NeverLaunched => {
                let Some(framework) = self.agent.frameworks.get(&run.framework_id) else { return };
                let verdict = Verdict {
                    state: never_started(framework),
                    reason: Reason::AgentRestarted,
                    message: "Task launched during agent restart".into(),
                };
                self.gave_up(run, verdict, now, out);
            }
        }
    }

    /// An executor did not come up in time: its container is destroyed, and the task's end tells why.
    pub(super) fn registration_timed_out(&mut self, container_id: ContainerId, out: &mut Vec<Action>) {
        let Some(run) = self.runs.get(&container_id).cloned() else { return };
        let pid = self.agent.pid.clone();
        let Some(executor) = self.executor_mut(&run) else { return };
        if executor.phase != ExecutorPhase::Registering {
            return;
        }
        executor.phase = ExecutorPhase::Terminating;
        let hint = if executor.has_program() && is_out_of_reach(&pid, executor) {
            format!(
                ": it is in a network of its own, where the agent's address {pid} leads to itself; give the agent an \
                 --ip or --advertise_ip that containers can reach"
            )
        } else {
            String::new()
        };
        let timeout = flags::format_duration(self.settings.executor_registration_timeout);
        tracing::warn!(%container_id, timeout, "the launch made no progress; giving up");
        let cause = Verdict {
            state: TaskState::TaskFailed,
            reason: Reason::ExecutorRegistrationTimeout,
            message: format!("Executor did not register within {timeout}{hint}"),
        };
        self.causes.insert(container_id, cause);
        out.push(Action::Kill(container_id, Some(std::time::Duration::ZERO)));
    }

    /// A launch made progress: the executor has all of its time again to come up.
    pub(super) fn launch_goes_on(&mut self, run: &Run, now: Now) {
        let is_awaited = |executor: &mut Executor| executor.phase == ExecutorPhase::Registering;
        if self.executor_mut(run).is_some_and(is_awaited) {
            let timer = Timer::ExecutorRegistration(run.container_id);
            let due = now.elapsed.saturating_add(self.settings.executor_registration_timeout);
            self.timers.arm(timer, due);
        }
    }

    /// Whether the task of a run has told that it starts.
    fn has_started(&mut self, run: &Run) -> bool {
        let is_starting = |task: &crate::model::LiveTask| task.task.state() == TaskState::TaskStarting;
        self.executor_mut(run).is_some_and(|executor| executor.tasks.iter().any(is_starting))
    }

    /// Image and files are there.
    fn came_up(&mut self, run: &Run) {
        self.timers.disarm(Timer::ExecutorRegistration(run.container_id));
        let Some(executor) = self.executor_mut(run) else { return };
        if executor.phase == ExecutorPhase::Registering {
            executor.phase = ExecutorPhase::Running;
        }
        for task in &mut executor.tasks {
            if matches!(task.stage, Stage::Queued(_)) {
                task.stage = Stage::Launched;
            }
        }
    }

    /// The container is gone.
    fn ended(&mut self, run: &Run, status: v1::TaskStatus, now: Now, out: &mut Vec<Action>) {
        self.timers.disarm(Timer::ExecutorRegistration(run.container_id));
        self.tell_of(run, status, now, out);
        self.terminated(run, None, out);
    }

    /// Ends a run of which no supervision tells.
    fn gave_up(&mut self, run: &Run, verdict: Verdict, now: Now, out: &mut Vec<Action>) {
        self.causes.remove(&run.container_id);
        let tasks: Vec<TaskId> = self
            .executor_mut(run)
            .map(|executor| executor.tasks.iter().map(|task| task.id.clone()).collect())
            .unwrap_or_default();
        for task_id in tasks {
            let status = v1::TaskStatus {
                task_id: v1::TaskId { value: task_id.as_str().into() },
                state: verdict.state.into(),
                reason: Some(verdict.reason.into()),
                message: Some(verdict.message.clone()),
                source: Some(Source::Agent.into()),
                ..Default::default()
            };
            self.tell_of(run, status, now, out);
        }
        self.timers.disarm(Timer::ExecutorRegistration(run.container_id));
        self.terminated(run, None, out);
    }

    /// Counts an executor as gone. The master hears of those that it knows, with what wait(2) told, or -1.
    pub(super) fn terminated(&mut self, run: &Run, status: Option<i32>, out: &mut Vec<Action>) {
        self.agent.counters.executors_terminated += 1;
        let Some(executor) = self.executor_mut(run) else { return };
        executor.phase = ExecutorPhase::Terminated;
        if executor.generated == Generated::No {
            self.exited_executor(&run.framework_id, &run.executor_id, status.unwrap_or(-1), out);
        }
        self.remove_if_done(&run.framework_id, &run.executor_id, out);
    }

    /// Tells a status of a run's task.
    pub(super) fn tell_of(&mut self, run: &Run, status: v1::TaskStatus, now: Now, out: &mut Vec<Action>) {
        let agent_id = self.agent.id.as_ref();
        let update = of_status(agent_id, &run.framework_id, Some(&run.executor_id), status, now);
        self.status_update(update, now, out);
    }

    /// The executor of a run, if that is its run still.
    pub(super) fn executor_mut(&mut self, run: &Run) -> Option<&mut Executor> {
        let framework = self.agent.frameworks.get_mut(&run.framework_id)?;
        let executor = framework.executors.get_mut(&run.executor_id)?;
        (executor.container_id == run.container_id).then_some(executor)
    }
}

/// Whether an executor is in a container where the agent's address is the container's own loopback.
fn is_out_of_reach(pid: &str, executor: &Executor) -> bool {
    use v1::container_info::Type;
    use v1::container_info::docker_info::Network;

    let address = pid.rsplit_once('@').map_or(pid, |(_, address)| address);
    let is_loopback = address.parse::<std::net::SocketAddr>().is_ok_and(|address| address.ip().is_loopback());
    let container = executor.info.container.as_ref().filter(|container| container.r#type() == Type::Docker);
    let docker = container.and_then(|container| container.docker.as_ref());
    is_loopback && docker.is_some_and(|docker| docker.network() != Network::Host)
}
