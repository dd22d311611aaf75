//! Who a container belongs to.

use mesos_types::{AgentId, ContainerId, ExecutorId, FrameworkId, TaskId};

/// Who a container belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// The agent that launched it.
    pub agent_id: AgentId,
    /// The framework of its task.
    pub framework_id: FrameworkId,
    /// The executor; for a command task its id is the task's.
    pub executor_id: ExecutorId,
    /// The task.
    pub task_id: TaskId,
    /// The container.
    pub container_id: ContainerId,
}

/// Whether the framework wants its tasks to outlive the agent (`FrameworkInfo.checkpoint`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Checkpoint {
    /// The task is adopted by the agent's next start.
    Yes,
    /// The task ends with the agent.
    No,
}
