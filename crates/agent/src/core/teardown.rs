//! The end of frameworks and executors (`Slave::shutdownFramework`, `shutdownExecutor`, `removeExecutor`,
//! `removeFramework` in `src/slave/slave.cpp`), and of the agent itself.

use std::time::Duration;

use mesos_proto::internal;
use mesos_types::{ContainerId, ExecutorId, FrameworkId};

use super::action::{Action, Exit, Garbage, ToExecutor, ToMaster, Write};
use super::event::{Now, Run, StopWish};
use super::state::{Leaving, State};
use super::timers::Timer;
use crate::model::{Contact, ExecutorPhase, Framework, FrameworkPhase, Phase};

/// How long more than their grace the last tasks may take before the process ends without them.
const LEAVE_MARGIN: Duration = Duration::from_secs(10);

impl State {
    /// The master ended a framework. Nothing more is told of its tasks.
    pub(super) fn shutdown_framework(
        &mut self,
        message: &internal::ShutdownFrameworkMessage,
        now: Now,
        out: &mut Vec<Action>,
    ) {
        if matches!(self.agent.phase, Phase::Recovering | Phase::Disconnected) {
            tracing::warn!(phase = ?self.agent.phase, "the end of a framework is ignored");
            return;
        }
        let Ok(framework_id) = message.framework_id.value.parse::<FrameworkId>() else { return };
        self.end_framework(&framework_id, None, now, out);
    }

    /// Stops everything of a framework; `grace` replaces the tasks' own.
    fn end_framework(
        &mut self,
        framework_id: &FrameworkId,
        grace: Option<Duration>,
        now: Now,
        out: &mut Vec<Action>,
    ) {
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
        let executors: Vec<ExecutorId> = framework.executors.keys().cloned().collect();
        for task in std::mem::take(&mut framework.pending) {
            let context = self.contexts.remove(&(framework_id.clone(), task.id.clone())).unwrap_or_default();
            self.free_executor(framework_id, &task, &context, out);
        }
        for executor_id in executors {
            self.shutdown_executor(framework_id, &executor_id, grace, now, out);
        }
        self.forget_if_idle(framework_id, out);
    }

    /// A scheduler wants an executor stopped.
    pub(super) fn shutdown_executor_message(
        &mut self,
        message: &internal::ShutdownExecutorMessage,
        now: Now,
        out: &mut Vec<Action>,
    ) {
        let framework_id = message.framework_id.clone().unwrap_or_default().value.parse();
        let executor_id = message.executor_id.clone().unwrap_or_default().value.parse();
        if let (Ok(framework_id), Ok(executor_id)) = (framework_id, executor_id) {
            self.shutdown_executor(&framework_id, &executor_id, None, now, out);
        }
    }

    /// Stops an executor with its tasks; one whose container is gone is removed at once where nobody waits for it.
    ///
    /// A program is asked to end and has its grace for that, which `grace` replaces. One that never registered has no
    /// tasks and nobody to ask.
    pub(super) fn shutdown_executor(
        &mut self,
        framework_id: &FrameworkId,
        executor_id: &ExecutorId,
        grace: Option<Duration>,
        now: Now,
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
                let container_id = executor.container_id;
                let own = executor.info.shutdown_grace_period.as_ref();
                let own = own.and_then(|own| u64::try_from(own.nanoseconds).ok()).map(Duration::from_nanos);
                let patience = grace.or(own).unwrap_or(self.settings.executor_shutdown_grace);
                match &executor.contact {
                    Contact::InProcess => return out.push(Action::Kill(container_id, grace)),
                    Contact::Nobody => return out.push(Action::Kill(container_id, Some(Duration::ZERO))),
                    Contact::Peer(peer) => {
                        out.push(Action::ToExecutor(peer.clone(), Box::new(ToExecutor::Shutdown)));
                    }
                    Contact::Lost => {}
                }
                let timer = Timer::ExecutorShutdown(container_id);
                self.timers.arm(timer, now.elapsed.saturating_add(patience));
            }
            ExecutorPhase::Terminating => {}
            ExecutorPhase::Terminated => self.remove_if_done(framework_id, executor_id, out),
        }
    }

    /// An executor had its time to end: its container is destroyed.
    pub(super) fn shutdown_timed_out(&mut self, container_id: ContainerId, out: &mut Vec<Action>) {
        tracing::warn!(%container_id, "an executor did not end in its grace period; destroying its container");
        out.push(Action::Kill(container_id, Some(Duration::ZERO)));
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
        // One that waits may get an executor of this id, and its directories are taken from the garbage collector once, when
        // it comes. What it does not use goes with its framework's, or after the next start.
        let is_wanted = framework.pending.iter().any(|task| task.executor_id == *executor_id);
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
        if !is_wanted {
            out.push(Action::Collect(Garbage::Executor(framework_id.clone(), executor_id.clone())));
        }
        self.runs.remove(&run.container_id);
        self.allotted.retain(|_, allotted| allotted.run != run);
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
                self.end_agent(now, out);
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
            self.end_framework(&framework_id, Some(grace), now, out);
        }
        self.exit_when_empty(out);
    }

    /// The master wants the agent gone.
    pub(super) fn shutdown(&mut self, message: &internal::ShutdownMessage, now: Now, out: &mut Vec<Action>) {
        let why = message.message.as_deref().unwrap_or("no reason given");
        tracing::warn!(why, "the master asked this agent to shut down");
        self.end_agent(now, out);
    }

    /// Stops all tasks; the process ends when the last is gone, and its id with it.
    pub(super) fn end_agent(&mut self, now: Now, out: &mut Vec<Action>) {
        self.agent.phase = Phase::Terminating;
        self.ask_awaited_to_end();
        let frameworks: Vec<FrameworkId> = self.agent.frameworks.keys().cloned().collect();
        for framework_id in frameworks {
            self.end_framework(&framework_id, None, now, out);
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
