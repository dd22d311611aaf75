//! A task is to be stopped (`Slave::killTask` in `src/slave/slave.cpp`).

use std::time::Duration;

use mesos_proto::v1::TaskState;
use mesos_proto::v1::task_status::Reason;
use mesos_proto::{internal, v1};
use mesos_types::{FrameworkId, TaskId};

use super::action::Action;
use super::event::Now;
use super::state::State;
use super::status::{Verdict, never_started, update};
use crate::model::{ExecutorPhase, FrameworkPhase, Phase, Stage};

/// Where a task is that shall be stopped.
enum Found {
    Pending,
    /// An executor has it; holds how far both are.
    Live(ExecutorPhase, mesos_types::ContainerId, Ended),
    Nowhere,
}

#[derive(PartialEq)]
enum Ended {
    Yes,
    No,
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
            (None, Some((executor, task))) => {
                let ended = if task.stage == Stage::Terminated { Ended::Yes } else { Ended::No };
                Found::Live(executor.phase, executor.container_id, ended)
            }
            (None, None) => Found::Nowhere,
        };
        match found {
            Found::Pending => {
                let verdict = Verdict {
                    state: TaskState::TaskKilled,
                    reason: Reason::TaskKilledDuringLaunch,
                    message: "Killed before it was launched".into(),
                };
                self.tell(framework_id, task_id, &verdict, now, out);
                self.forget_if_idle(framework_id, out);
            }
            Found::Nowhere => {
                let verdict = Verdict {
                    state: never_started(framework),
                    reason: Reason::ExecutorTerminated,
                    message: "Cannot find executor".into(),
                };
                self.tell(framework_id, task_id, &verdict, now, out);
            }
            // Its supervision interrupts whatever the launch is at, and tells the end once nothing is left of it.
            Found::Live(ExecutorPhase::Registering | ExecutorPhase::Running, container_id, Ended::No) => {
                out.push(Action::Kill(container_id, grace));
            }
            Found::Live(..) => {
                tracing::info!(%framework_id, %task_id, "the kill is ignored: the task is ending");
            }
        }
    }

    /// Tells a status of the agent's own about a task that no executor has.
    fn tell(
        &mut self,
        framework_id: &FrameworkId,
        task_id: &TaskId,
        verdict: &Verdict,
        now: Now,
        out: &mut Vec<Action>,
    ) {
        let told = update(self.agent.id.as_ref(), framework_id, None, task_id, verdict, now);
        self.status_update(told, now, out);
    }
}

/// The grace of a policy; a negative one is none.
pub(super) fn grace_of(policy: &v1::KillPolicy) -> Option<Duration> {
    let nanoseconds = policy.grace_period.as_ref()?.nanoseconds;
    u64::try_from(nanoseconds).ok().map(Duration::from_nanos)
}
