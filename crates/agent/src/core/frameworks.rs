//! Frameworks that change, and what they send to executors.

use mesos_proto::internal;
use mesos_types::{ExecutorId, FrameworkId};

use super::action::{Action, ToExecutor, Write};
use super::event::Now;
use super::state::State;
use crate::model::{ExecutorPhase, FrameworkPhase, Peer, Phase};

impl State {
    /// A framework changed, or its scheduler moved (`Slave::updateFramework` in `src/slave/slave.cpp`).
    pub(super) fn update_framework(
        &mut self,
        message: internal::UpdateFrameworkMessage,
        now: Now,
        out: &mut Vec<Action>,
    ) {
        if self.agent.phase != Phase::Running {
            tracing::warn!(phase = ?self.agent.phase, "a change of a framework is ignored");
            return;
        }
        let Ok(framework_id) = message.framework_id.value.parse::<FrameworkId>() else { return };
        let Some(framework) = self.agent.frameworks.get_mut(&framework_id) else { return };
        if framework.phase == FrameworkPhase::Terminating {
            return;
        }
        tracing::info!(%framework_id, "a framework changed");
        if let Some(info) = message.framework_info {
            // Whether its tasks are checkpointed is settled when the first arrives, as their files are.
            let checkpoint = framework.info.checkpoint;
            let id = framework.info.id.take();
            framework.info = mesos_proto::v1::FrameworkInfo { checkpoint, id, ..info };
        }
        framework.pid = message.pid.filter(|pid| !pid.is_empty() && !pid.starts_with('@'));
        // One without executors is written with its first.
        if framework.is_checkpointed() && !framework.executors.is_empty() {
            let write = Write::Framework(framework_id, framework.info.clone(), framework.pid.clone());
            out.push(Action::Write(Box::new(write)));
        }
        self.resume_updates(now, out);
    }

    /// A framework has data for an executor (`Slave::schedulerMessage`).
    pub(super) fn framework_message(
        &mut self,
        message: internal::FrameworkToExecutorMessage,
        out: &mut Vec<Action>,
    ) {
        match self.listener(&message) {
            Ok(peer) => {
                self.agent.counters.valid_framework_messages += 1;
                out.push(Action::ToExecutor(peer, Box::new(ToExecutor::Message(message))));
            }
            Err(why) => {
                tracing::warn!(
                    framework_id = message.framework_id.value,
                    executor_id = message.executor_id.value,
                    why,
                    "a message for an executor is dropped"
                );
                self.agent.counters.invalid_framework_messages += 1;
            }
        }
    }

    /// Where an executor takes a framework's data, or why it does not.
    fn listener(&self, message: &internal::FrameworkToExecutorMessage) -> Result<Peer, &'static str> {
        if self.agent.phase != Phase::Running {
            return Err("the agent is not registered");
        }
        let framework_id = message.framework_id.value.parse::<FrameworkId>();
        let executor_id = message.executor_id.value.parse::<ExecutorId>();
        let (Ok(framework_id), Ok(executor_id)) = (framework_id, executor_id) else {
            return Err("its ids cannot be used");
        };
        let framework = self.agent.frameworks.get(&framework_id).ok_or("its framework is not here")?;
        if framework.phase == FrameworkPhase::Terminating {
            return Err("its framework is being shut down");
        }
        let executor = framework.executors.get(&executor_id).ok_or("the executor is not here")?;
        if !executor.has_program() {
            return Err("command tasks have no executor that reads it");
        }
        match executor.phase {
            ExecutorPhase::Running | ExecutorPhase::Terminating => {
                executor.peer().cloned().ok_or("the executor is not connected")
            }
            ExecutorPhase::Registering => Err("the executor has not registered"),
            ExecutorPhase::Terminated => Err("the executor is gone"),
        }
    }
}
