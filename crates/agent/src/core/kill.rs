//! A task is to be stopped (`Slave::killTask` in `src/slave/slave.cpp`).

use std::time::Duration;

use mesos_proto::v1::TaskState;
use mesos_proto::v1::task_status::Reason;
use mesos_proto::{internal, v1};
use mesos_types::{ContainerId, ExecutorId, FrameworkId, TaskId};

use super::action::{Action, ToExecutor};
use super::event::{Now, Run};
use super::launch::run_of;
use super::state::State;
use super::status::{Verdict, never_started, update};
use crate::model::{Executor, ExecutorPhase, FrameworkPhase, LiveTask, Phase, Stage};

/// Where a task is that shall be stopped.
enum Found {
    Pending,
    /// Its supervision in this process has it.
    Ours(ContainerId),
    /// It waits for an executor's program.
    Waiting(Run),
    /// An executor's program has it.
    Delivered(Run),
    /// It ends, or has ended.
    Ending,
    Nowhere,
}

impl State {
    /// The master wants a task stopped.
    pub(super) fn kill_task(&mut self, message: &internal::KillTaskMessage, now: Now, out: &mut Vec<Action>) {
        let (Ok(framework_id), Ok(task_id)) =
            (message.framework_id.value.parse::<FrameworkId>(), message.task_id.value.parse::<TaskId>())
        else {
            tracing::warn!("a kill with an id that cannot be used is ignored");
            return;
        };
        if matches!(self.agent.phase, Phase::Recovering | Phase::Terminating) {
            tracing::warn!(%framework_id, %task_id, phase = ?self.agent.phase, "the kill is ignored");
            return;
        }
        let grace = message.kill_policy.as_ref().and_then(grace_of);
        self.kill(&framework_id, &task_id, grace, now, out);
    }

    /// Stops a task, wherever it is; `grace` replaces the task's own.
    pub(super) fn kill(
        &mut self,
        framework_id: &FrameworkId,
        task_id: &TaskId,
        grace: Option<Duration>,
        now: Now,
        out: &mut Vec<Action>,
    ) {
        let Some(framework) = self.agent.frameworks.get(framework_id) else {
            tracing::warn!(%framework_id, %task_id, "the kill is ignored: no such framework");
            return;
        };
        if framework.phase == FrameworkPhase::Terminating {
            tracing::warn!(%framework_id, %task_id, "the kill is ignored: its framework is being shut down");
            return;
        }
        let found = match (framework.pending_task(task_id), framework.live_task(task_id)) {
            (Some(_), _) => Found::Pending,
            (None, Some((executor, task))) => whereabouts(framework_id, executor, task),
            (None, None) => Found::Nowhere,
        };
        let executor_id = framework.pending_task(task_id).map(|task| task.executor_id.clone());
        match found {
            Found::Pending => {
                let verdict = Verdict {
                    state: TaskState::TaskKilled,
                    reason: Reason::TaskKilledDuringLaunch,
                    message: "Killed before it was launched".into(),
                };
                self.forego(framework_id, task_id, out);
                self.tell(framework_id, None, task_id, &verdict, now, out);
                if let Some(executor_id) = executor_id {
                    self.advance(framework_id, &executor_id, now, out);
                }
                self.forget_if_idle(framework_id, out);
            }
            Found::Nowhere => {
                let verdict = Verdict {
                    state: never_started(framework),
                    reason: Reason::ExecutorTerminated,
                    message: "Cannot find executor".into(),
                };
                self.tell(framework_id, None, task_id, &verdict, now, out);
            }
            // Its supervision interrupts whatever the launch is at, and tells the end once nothing is left of it.
            Found::Ours(container_id) => out.push(Action::Kill(container_id, grace)),
            Found::Waiting(run) => {
                let verdict = Verdict {
                    state: TaskState::TaskKilled,
                    reason: Reason::TaskKilledDuringLaunch,
                    message: "Killed before delivery to the executor".into(),
                };
                self.tell(framework_id, Some(&run.executor_id), task_id, &verdict, now, out);
                self.end_if_unneeded(&run, now, out);
            }
            Found::Delivered(run) => {
                self.kills.entry(run.container_id).or_default().insert(task_id.clone(), grace);
                self.ask_to_kill(&run, task_id, grace, out);
            }
            Found::Ending => {
                tracing::info!(%framework_id, %task_id, "the kill is ignored: the task is ending");
            }
        }
    }

    /// Tells a status of the agent's own about a task that was not given to any executor.
    fn tell(
        &mut self,
        framework_id: &FrameworkId,
        executor_id: Option<&ExecutorId>,
        task_id: &TaskId,
        verdict: &Verdict,
        now: Now,
        out: &mut Vec<Action>,
    ) {
        let told = update(self.agent.id.as_ref(), framework_id, executor_id, task_id, verdict, now);
        self.status_update(told, now, out);
    }

    /// Tells the master that the executor of a pending task is not launched.
    fn forego(&mut self, framework_id: &FrameworkId, task_id: &TaskId, out: &mut Vec<Action>) {
        let context = self.contexts.remove(&(framework_id.clone(), task_id.clone())).unwrap_or_default();
        let framework = self.agent.frameworks.get(framework_id);
        if let Some(pending) = framework.and_then(|framework| framework.pending_task(task_id)).cloned() {
            self.free_executor(framework_id, &pending, &context, out);
        }
    }

    /// Asks a program that has come back for what it may not have heard: what is sent while its stream breaks is lost.
    /// Departs from stock, which drops such a kill, so that the task runs on.
    pub(super) fn repeat_kills(&mut self, run: &Run, out: &mut Vec<Action>) {
        for (task_id, grace) in self.kills.get(&run.container_id).cloned().unwrap_or_default() {
            self.ask_to_kill(run, &task_id, grace, out);
        }
    }

    /// A task has ended: it needs no kill any more.
    pub(super) fn forget_kill(&mut self, run: &Run, task_id: &TaskId) {
        let Some(kills) = self.kills.get_mut(&run.container_id) else { return };
        kills.remove(task_id);
        if kills.is_empty() {
            self.kills.remove(&run.container_id);
        }
    }

    /// Passes a kill on to the program that has the task.
    pub(super) fn ask_to_kill(
        &mut self,
        run: &Run,
        task_id: &TaskId,
        grace: Option<Duration>,
        out: &mut Vec<Action>,
    ) {
        let Some(executor) = self.executor_mut(run) else { return };
        let Some(peer) = executor.peer().cloned() else {
            tracing::warn!(framework_id = %run.framework_id, executor_id = %run.executor_id, %task_id,
                "the kill waits until the executor comes back: its stream is broken");
            return;
        };
        let message = internal::KillTaskMessage {
            framework_id: v1::FrameworkId { value: run.framework_id.as_str().into() },
            task_id: v1::TaskId { value: task_id.as_str().into() },
            kill_policy: grace.map(policy_of),
        };
        out.push(Action::ToExecutor(peer, Box::new(ToExecutor::Kill(message))));
    }
}

/// Where a task of an executor is.
fn whereabouts(framework_id: &FrameworkId, executor: &Executor, task: &LiveTask) -> Found {
    let is_up = matches!(executor.phase, ExecutorPhase::Registering | ExecutorPhase::Running);
    let run = || run_of(framework_id, executor);
    match &task.stage {
        Stage::Terminated => Found::Ending,
        Stage::Queued(_) | Stage::Launched if !is_up => Found::Ending,
        Stage::Queued(_) | Stage::Launched if !executor.has_program() => Found::Ours(executor.container_id),
        Stage::Queued(_) => Found::Waiting(run()),
        Stage::Launched => Found::Delivered(run()),
    }
}

/// A policy with this grace.
fn policy_of(grace: Duration) -> v1::KillPolicy {
    let nanoseconds = i64::try_from(grace.as_nanos()).unwrap_or(i64::MAX);
    v1::KillPolicy { grace_period: Some(v1::DurationInfo { nanoseconds }) }
}

/// The grace of a policy; a negative one is none.
pub(super) fn grace_of(policy: &v1::KillPolicy) -> Option<Duration> {
    let nanoseconds = policy.grace_period.as_ref()?.nanoseconds;
    u64::try_from(nanoseconds).ok().map(Duration::from_nanos)
}
