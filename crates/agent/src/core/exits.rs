//! The ends of executors, as the master hears of them (`ExitedExecutorMessage` in `src/slave/slave.cpp`).
//!
//! A master that is just taking our registration does not hear them, and that registration names the executor: it would
//! hold its resources for ever. So what ends outside of a registration is told after it; a master that knows no such
//! executor takes no notice. Stock tells it at once, and only then.

use mesos_proto::{internal, v1};
use mesos_types::{ExecutorId, FrameworkId};

use super::action::{Action, ToMaster};
use super::state::State;
use crate::model::{ExecutorPhase, Phase};

impl State {
    /// Tells the master that an executor is gone, or was not launched (status -1), so that it frees what it held.
    pub(super) fn exited_executor(
        &mut self,
        framework_id: &FrameworkId,
        executor_id: &ExecutorId,
        status: i32,
        out: &mut Vec<Action>,
    ) {
        if matches!(self.agent.phase, Phase::Recovering | Phase::Disconnected) {
            self.exits.insert((framework_id.clone(), executor_id.clone()), status);
        } else {
            self.send_exit(framework_id, executor_id, status, out);
        }
    }

    /// The master knows us: it hears of the executors that have ended since it lost us.
    pub(super) fn tell_exits(&mut self, out: &mut Vec<Action>) {
        for ((framework_id, executor_id), status) in std::mem::take(&mut self.exits) {
            let framework = self.agent.frameworks.get(&framework_id);
            let executor = framework.and_then(|framework| framework.executors.get(&executor_id));
            // One of this name may have been launched since.
            if executor.is_none_or(|executor| executor.phase == ExecutorPhase::Terminated) {
                self.send_exit(&framework_id, &executor_id, status, out);
            }
        }
    }

    fn send_exit(
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
}
