//! Frameworks that change, and what they send to executors.

use mesos_proto::internal;
use mesos_types::FrameworkId;

use super::action::{Action, Write};
use super::event::Now;
use super::state::State;
use crate::model::{FrameworkPhase, Phase};

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

    /// A framework has data for an executor; ours have nobody who would read it.
    pub(super) fn framework_message(&mut self, message: &internal::FrameworkToExecutorMessage) {
        tracing::warn!(
            framework_id = message.framework_id.value,
            executor_id = message.executor_id.value,
            "a message for an executor is dropped: command tasks have no executor that reads it"
        );
        self.agent.counters.invalid_framework_messages += 1;
    }
}
