//! Draining (`Slave::drain` and `updateDrainStatus` in `src/slave/slave.cpp`): tasks are stopped, and none is taken.

use std::time::Duration;

use mesos_proto::v1::TaskState;
use mesos_proto::v1::framework_info::capability::Type as Capability;
use mesos_proto::v1::task_status::Reason;
use mesos_proto::{internal, v1};
use mesos_types::{ExecutorId, FrameworkId, TaskId};

use super::action::{Action, Write};
use super::event::Now;
use super::kill::grace_of;
use super::state::State;
use crate::model::{Draining, Executor, ExecutorPhase, Framework, Phase, Stage};

impl State {
    /// The operator wants the agent drained.
    pub(super) fn drain(&mut self, message: internal::DrainSlaveMessage, now: Now, out: &mut Vec<Action>) {
        if self.agent.frameworks.is_empty() {
            tracing::info!("asked to drain; nothing runs here");
            return;
        }
        tracing::info!("draining");
        out.push(Action::Write(Box::new(Write::Drain(Some(message.config)))));
        self.agent.draining = Some(Draining { config: message.config, started: now.unix });
        self.kill_all_for_drain(now, out);
    }

    /// Stops every task, with the drain's grace where the task's own is longer or unset.
    pub(super) fn kill_all_for_drain(&mut self, now: Now, out: &mut Vec<Action>) {
        let Some(draining) = &self.agent.draining else { return };
        let longest = draining.config.max_grace_period.as_ref();
        let longest = longest.and_then(|period| u64::try_from(period.nanoseconds).ok());
        let longest = longest.map(Duration::from_nanos);
        let tasks: Vec<(FrameworkId, TaskId, Option<Duration>)> =
            self.agent.frameworks.values().flat_map(|framework| victims(framework, longest)).collect();
        for (framework_id, task_id, grace) in tasks {
            self.kill(&framework_id, &task_id, grace, now, out);
        }
    }

    /// What a status says while the agent drains: why its task is stopped.
    pub(super) fn rewrite_for_drain(&self, framework: &Framework, status: &mut v1::TaskStatus) {
        let Some(draining) = &self.agent.draining else { return };
        if matches!(status.state(), TaskState::TaskKilling | TaskState::TaskKilled) {
            status.set_reason(Reason::AgentDraining);
            let is_gone = draining.config.mark_gone() && framework.has(Capability::PartitionAware);
            if is_gone && status.state() == TaskState::TaskKilled {
                status.set_state(TaskState::TaskGoneByOperator);
            }
        }
    }

    /// Ends the executors that have no task left while the agent drains: the drain goes on until the last framework is
    /// gone, and every task is dropped as long. Departs from stock, which waits for executors that end by themselves.
    pub(super) fn end_idle_executors(&mut self, now: Now, out: &mut Vec<Action>) {
        if self.agent.draining.is_none() || !matches!(self.agent.phase, Phase::Disconnected | Phase::Running)
        {
            return;
        }
        let idle: Vec<(FrameworkId, ExecutorId)> = self.agent.frameworks.values().flat_map(idle).collect();
        for (framework_id, executor_id) in idle {
            tracing::info!(%framework_id, %executor_id, "shutting an executor down that has no task left: the agent drains");
            self.shutdown_executor(&framework_id, &executor_id, None, now, out);
        }
    }

    /// Ends the drain when nothing is left.
    pub(super) fn finish_drain_if_empty(&mut self, out: &mut Vec<Action>) {
        if self.agent.draining.is_some() && self.agent.frameworks.is_empty() {
            tracing::info!("drained");
            self.agent.draining = None;
            out.push(Action::Write(Box::new(Write::Drain(None))));
        }
    }
}

/// The tasks of a framework that have not ended, each with the grace that replaces its own.
fn victims(framework: &Framework, longest: Option<Duration>) -> Vec<(FrameworkId, TaskId, Option<Duration>)> {
    let pending = framework.pending.iter().map(|task| (&task.id, task.info.kill_policy.as_ref()));
    let live = framework
        .executors
        .values()
        .flat_map(|executor| &executor.tasks)
        .filter(|task| task.stage != Stage::Terminated)
        .map(|task| (&task.id, task.task.kill_policy.as_ref()));
    pending
        .chain(live)
        .map(|(id, policy)| (framework.id.clone(), id.clone(), shorter(longest, policy)))
        .collect()
}

/// The executors with programs of their own that nobody stops and that have no task left.
fn idle(framework: &Framework) -> Vec<(FrameworkId, ExecutorId)> {
    let is_idle = |executor: &&Executor| {
        executor.has_program()
            && matches!(executor.phase, ExecutorPhase::Registering | ExecutorPhase::Running)
            && executor.tasks.iter().all(|task| task.stage == Stage::Terminated)
    };
    let executors = framework.executors.values().filter(is_idle);
    executors.map(|executor| (framework.id.clone(), executor.id.clone())).collect()
}

/// The drain's grace, where the task has none or a longer one.
fn shorter(longest: Option<Duration>, policy: Option<&v1::KillPolicy>) -> Option<Duration> {
    let own = policy.and_then(grace_of);
    longest.filter(|longest| own.is_none_or(|own| own > *longest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[rstest::rstest]
    #[case(None, None, None)]
    #[case(Some(5), None, Some(5))]
    #[case(Some(5), Some(9), Some(5))]
    #[case(Some(5), Some(5), None)]
    #[case(Some(5), Some(2), None)]
    #[case(None, Some(2), None)]
    fn the_shorter_grace_counts(
        #[case] longest: Option<u64>,
        #[case] own: Option<i64>,
        #[case] expected: Option<u64>,
    ) {
        let policy = own.map(|seconds| v1::KillPolicy {
            grace_period: Some(v1::DurationInfo { nanoseconds: seconds * 1_000_000_000 }),
        });
        let longest = longest.map(Duration::from_secs);
        assert_eq!(shorter(longest, policy.as_ref()), expected.map(Duration::from_secs));
    }
}
