//! What a re-registration tells of our tasks (`Slave::doReliableRegistration` in `src/slave/slave.cpp`).
//!
//! A master ignores the whole message for ever where an id comes twice, where a task's framework or custom executor is
//! not listed, or where a resource is allocated to nobody. So everything is taken from the one model, in one pass.

use mesos_proto::{internal, v1};

use super::state::State;
use super::wire_resources;
use crate::model::{Executor, ExecutorPhase, Framework, Generated, task_of};

impl State {
    /// The whole message.
    pub(super) fn reregister_message(&self) -> internal::ReregisterSlaveMessage {
        let mut message = self.reregister_frame();
        for framework in self.agent.frameworks.values() {
            message.frameworks.push(framework.info.clone());
            message.tasks.extend(tasks(framework));
            message.executor_infos.extend(executors(framework));
        }
        message.completed_frameworks =
            self.agent.completed_frameworks.iter().map(completed_framework).collect();
        wire_resources::outward(message)
    }
}

/// The tasks that have not ended for the master: pending, launched, terminated and queued ones.
fn tasks(framework: &Framework) -> Vec<v1::Task> {
    let framework_id = v1::FrameworkId { value: framework.id.as_str().into() };
    let pending =
        framework.pending.iter().map(|task| task_of(&task.info, v1::TaskState::TaskStaging, &framework_id));
    let live = framework.executors.values().flat_map(|executor| &executor.tasks);
    pending.chain(live.map(|task| task.task.clone())).collect()
}

/// The executors that the master knows: it has never heard of those that we made up.
fn executors(framework: &Framework) -> Vec<v1::ExecutorInfo> {
    let is_told = |executor: &&Executor| {
        executor.phase != ExecutorPhase::Terminated && executor.generated == Generated::No
    };
    framework
        .executors
        .values()
        .filter(is_told)
        .map(|executor| v1::ExecutorInfo {
            framework_id: Some(v1::FrameworkId { value: framework.id.as_str().into() }),
            ..executor.info.clone()
        })
        .collect()
}

/// A framework that ended, for the master's page of completed ones.
fn completed_framework(framework: &Framework) -> internal::archive::Framework {
    let tasks = framework.completed_executors.iter().flat_map(|executor| {
        let ended = executor.terminated_tasks().map(|task| task.task.clone());
        ended.chain(executor.completed_tasks.iter().cloned()).collect::<Vec<_>>()
    });
    internal::archive::Framework {
        framework_info: framework.info.clone(),
        pid: framework.pid.clone(),
        tasks: tasks.collect(),
    }
}
