//! The end of frameworks and executors (`Slave::shutdownFramework`, `shutdownExecutor`, `removeExecutor`,
//! `removeFramework` in `src/slave/slave.cpp`), and of the agent itself.

use std::time::Duration;

use mesos_proto::internal;
use mesos_types::{ExecutorId, FrameworkId};

use super::action::{Action, Exit, Garbage, ToMaster, Write};
use super::event::{Now, Run, StopWish};
use super::state::{Leaving, State};
use super::timers::Timer;
use crate::model::{ExecutorPhase, Framework, FrameworkPhase, Phase};

/// How long more than their grace the last tasks may take before the process ends without them.
const LEAVE_MARGIN: Duration = Duration::from_secs(10);

impl State {
    /// The master ended a framework. Nothing more is told of its tasks.
    pub(super) fn shutdown_framework(
        &mut self,
        message: &internal::ShutdownFrameworkMessage,
        out: &mut Vec<Action>,
    ) {
        if matches!(self.agent.phase, Phase::Recovering | Phase::Disconnected) {
            tracing::warn!(phase = ?self.agent.phase, "the end of a framework is ignored");
            return;
        }
        let Ok(framework_id) = message.framework_id.value.parse::<FrameworkId>() else { return };
        self.end_framework(&framework_id, None, out);
    }

    /// Stops everything of a framework; `grace` replaces the tasks' own.
    fn end_framework(&mut self, framework_id: &FrameworkId, grace: Option<Duration>, out: &mut Vec<Action>) {
        let Some(framework) = self.agent.frameworks.get_mut(framework_id) else {
            tracing::info!(%framework_id, "a framework that is not here ended");
            self.updates.cleanup(framework_id);
            return;
        };
        if framework.phase == FrameworkPhase::Terminating {
            return;
        }
        tracing::info!(%framework_id, "shutting a framework down");
        framework.phase = FrameworkPhase::Terminating;
        for task in framework.pending.drain(..) {
            self.contexts.remove(&(framework_id.clone(), task.id));
        }
        let executors: Vec<ExecutorId> = framework.executors.keys().cloned().collect();
        for executor_id in executors {
            self.shutdown_executor(framework_id, &executor_id, grace, out);
        }
        self.forget_if_idle(framework_id, out);
    }

    /// A scheduler wants an executor stopped.
    pub(super) fn shutdown_executor_message(
        &mut self,
        message: &internal::ShutdownExecutorMessage,
        out: &mut Vec<Action>,
    ) {
        let framework_id = message.framework_id.clone().unwrap_or_default().value.parse();
        let executor_id = message.executor_id.clone().unwrap_or_default().value.parse();
        if let (Ok(framework_id), Ok(executor_id)) = (framework_id, executor_id) {
            self.shutdown_executor(&framework_id, &executor_id, None, out);
        }
    }

    /// Stops an executor with its task; one whose container is gone is removed at once where nobody waits for it.
    pub(super) fn shutdown_executor(
        &mut self,
        framework_id: &FrameworkId,
        executor_id: &ExecutorId,
        grace: Option<Duration>,
        out: &mut Vec<Action>,
    ) {
        let executor = self
            .agent
            .frameworks
            .get_mut(framework_id)
            .and_then(|framework| framework.executors.get_mut(executor_id));
        let Some(executor) = executor else { return };
        match executor.phase {
            ExecutorPhase::Registering | ExecutorPhase::Running => {
                executor.phase = ExecutorPhase::Terminating;
                out.push(Action::Kill(executor.container_id, grace));
            }
            ExecutorPhase::Terminating => {}
            ExecutorPhase::Terminated => self.remove_if_done(framework_id, executor_id, out),
        }
    }

    /// Removes an executor whose container is gone once nothing of it has to be told any more.
    pub(super) fn remove_if_done(
        &mut self,
        framework_id: &FrameworkId,
        executor_id: &ExecutorId,
        out: &mut Vec<Action>,
    ) {
        let Some(framework) = self.agent.frameworks.get_mut(framework_id) else { return };
        let Some(executor) = framework.executors.get(executor_id) else { return };
        let is_awaited = executor.has_incomplete_tasks() && framework.phase == FrameworkPhase::Running;
        if executor.phase != ExecutorPhase::Terminated || is_awaited {
            return;
        }
        let checkpoint = framework.is_checkpointed();
        let Some(mut executor) = framework.executors.remove(executor_id) else { return };
        executor.complete_launched();
        let run = Run {
            framework_id: framework_id.clone(),
            executor_id: executor_id.clone(),
            container_id: executor.container_id,
        };
        if checkpoint {
            out.push(Action::Write(Box::new(Write::Sentinel(run.clone()))));
        }
        out.push(Action::Collect(Garbage::Run(run.clone())));
        out.push(Action::Collect(Garbage::Executor(framework_id.clone(), executor_id.clone())));
        self.runs.remove(&run.container_id);
        framework.completed_executors.push(executor);
        self.forget_if_idle(framework_id, out);
    }

    /// Forgets a framework that has nothing left here.
    pub(super) fn forget_if_idle(&mut self, framework_id: &FrameworkId, out: &mut Vec<Action>) {
        let is_idle = self.agent.frameworks.get(framework_id).is_some_and(|framework| framework.is_idle());
        if !is_idle {
            return;
        }
        let Some(framework) = self.agent.frameworks.remove(framework_id) else { return };
        tracing::info!(%framework_id, "a framework has nothing left here");
        // Of one that goes on, what is left to tell is of tasks that were refused; it is told until it is acknowledged.
        if framework.phase == FrameworkPhase::Terminating {
            self.updates.cleanup(framework_id);
        }
        out.push(Action::Collect(Garbage::Framework(framework_id.clone())));
        self.agent.completed_frameworks.push(framework);
        if self.agent.phase == Phase::Terminating {
            self.exit_when_empty(out);
        }
        self.finish_drain_if_empty(out);
    }

    /// The process is asked to end.
    pub(super) fn stop(&mut self, wish: StopWish, now: Now, out: &mut Vec<Action>) {
        match wish {
            StopWish::Leave => self.leave(now, out),
            StopWish::Unregister => {
                if let (Some(master), Some(id)) = (&self.agent.master, &self.agent.info.id) {
                    let message = internal::UnregisterSlaveMessage { slave_id: id.clone() };
                    out.push(Action::Send(master.pid.clone(), Box::new(ToMaster::Unregister(message))));
                }
                self.end_agent(out);
            }
        }
    }

    /// Ends the process, and before it the tasks that cannot outlive it: the master gives those of frameworks without
    /// checkpoints up as soon as we are gone. Who asks twice does not want to wait for them.
    fn leave(&mut self, now: Now, out: &mut Vec<Action>) {
        if self.leaving == Leaving::Yes {
            out.push(Action::Exit(Exit::Asked));
            return;
        }
        self.leaving = Leaving::Yes;
        self.agent.phase = Phase::Terminating;
        let grace = self.settings.executor_shutdown_grace;
        self.timers.arm(Timer::Leave, now.elapsed.saturating_add(grace).saturating_add(LEAVE_MARGIN));
        let transient = self.agent.frameworks.values().filter(|framework| !framework.is_checkpointed());
        let ids: Vec<FrameworkId> = transient.map(|framework| framework.id.clone()).collect();
        for framework_id in ids {
            self.end_framework(&framework_id, Some(grace), out);
        }
        self.exit_when_empty(out);
    }

    /// The master wants the agent gone.
    pub(super) fn shutdown(&mut self, message: &internal::ShutdownMessage, out: &mut Vec<Action>) {
        let why = message.message.as_deref().unwrap_or("no reason given");
        tracing::warn!(why, "the master asked this agent to shut down");
        self.end_agent(out);
    }

    /// Stops all tasks; the process ends when the last is gone, and its id with it.
    pub(super) fn end_agent(&mut self, out: &mut Vec<Action>) {
        self.agent.phase = Phase::Terminating;
        let frameworks: Vec<FrameworkId> = self.agent.frameworks.keys().cloned().collect();
        for framework_id in frameworks {
            self.end_framework(&framework_id, None, out);
        }
        self.exit_when_empty(out);
    }

    fn exit_when_empty(&self, out: &mut Vec<Action>) {
        let is_told = out.iter().any(|action| matches!(action, Action::Exit(_)));
        let must_go = |framework: &Framework| self.leaving == Leaving::No || !framework.is_checkpointed();
        if !self.agent.frameworks.values().any(must_go) && !is_told {
            // The master has given the id up; as in `Slave::finalize`, the next start gets another.
            if self.leaving == Leaving::No {
                out.push(Action::Write(Box::new(Write::Forget)));
            }
            out.push(Action::Exit(Exit::Asked));
        }
    }
}
