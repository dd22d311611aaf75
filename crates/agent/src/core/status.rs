//! Statuses that the agent itself makes (`protobuf::createStatusUpdate` in `src/common/protobuf_utils.cpp`).

use mesos_proto::v1::framework_info::capability::Type as Capability;
use mesos_proto::v1::task_status::{Reason, Source};
use mesos_proto::v1::{TaskState, TaskStatus};
use mesos_proto::{internal, v1};
use mesos_types::{AgentId, ExecutorId, FrameworkId, TaskId};

use super::event::Now;
use crate::model::Framework;

/// A status that the agent makes.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Verdict {
    pub(crate) state: TaskState,
    pub(crate) reason: Reason,
    pub(crate) message: String,
}

/// What a task that never started is told to be: frameworks that know partitions tell it from a lost one.
pub(crate) fn never_started(framework: &Framework) -> TaskState {
    if framework.has(Capability::PartitionAware) { TaskState::TaskDropped } else { TaskState::TaskLost }
}

/// What a task that has run and is given up is told to be.
pub(crate) fn was_running(framework: &Framework) -> TaskState {
    if framework.has(Capability::PartitionAware) { TaskState::TaskGone } else { TaskState::TaskLost }
}

/// An update with a fresh uuid, told by the agent.
pub(crate) fn update(
    agent_id: Option<&AgentId>,
    framework_id: &FrameworkId,
    executor_id: Option<&ExecutorId>,
    task_id: &TaskId,
    verdict: &Verdict,
    now: Now,
) -> internal::StatusUpdate {
    let status = TaskStatus {
        task_id: v1::TaskId { value: task_id.as_str().into() },
        state: verdict.state.into(),
        source: Some(Source::Agent.into()),
        reason: Some(verdict.reason.into()),
        message: Some(verdict.message.clone()),
        ..Default::default()
    };
    of_status(agent_id, framework_id, executor_id, status, now)
}

/// Wraps a status: what it lacks of uuid, time and ids is filled in.
pub(crate) fn of_status(
    agent_id: Option<&AgentId>,
    framework_id: &FrameworkId,
    executor_id: Option<&ExecutorId>,
    mut status: TaskStatus,
    now: Now,
) -> internal::StatusUpdate {
    let executor_id = executor_id.map(|id| v1::ExecutorId { value: id.as_str().into() });
    let agent_id = agent_id.map(|id| v1::AgentId { value: id.as_str().into() });
    let uuid = status.uuid.get_or_insert_with(|| uuid::Uuid::new_v4().as_bytes().to_vec()).clone();
    let timestamp = *status.timestamp.get_or_insert(now.unix);
    status.agent_id.clone_from(&agent_id);
    status.executor_id.clone_from(&executor_id);
    internal::StatusUpdate {
        framework_id: v1::FrameworkId { value: framework_id.as_str().into() },
        executor_id,
        slave_id: agent_id,
        status,
        timestamp,
        uuid: Some(uuid),
        latest_state: None,
    }
}
