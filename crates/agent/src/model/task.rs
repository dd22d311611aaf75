//! Tasks, and the wire form in which the master and `/state` see them.

use mesos_proto::v1;
use mesos_types::{ExecutorId, TaskId};

/// A task that an executor has.
#[derive(Debug, Clone, PartialEq)]
pub struct LiveTask {
    /// Its id.
    pub id: TaskId,
    /// As the master sees it; `state` and `statuses` follow its updates.
    pub task: v1::Task,
    /// How far it is.
    pub stage: Stage,
}

/// Where a task of an executor is.
#[derive(Debug, Clone, PartialEq)]
pub enum Stage {
    /// It waits for its executor; holds what will be launched.
    Queued(Box<v1::TaskInfo>),
    /// It was given to its executor.
    Launched,
    /// It ended, and the terminal status is not acknowledged.
    Terminated,
}

/// A task that the agent was told to run and has not given to an executor yet.
#[derive(Debug, Clone, PartialEq)]
pub struct PendingTask {
    /// Its id.
    pub id: TaskId,
    /// What shall run.
    pub info: v1::TaskInfo,
    /// The executor that it is for; its own id for a command task.
    pub executor_id: ExecutorId,
}

/// Whether nothing follows a state (`protobuf::isTerminalState` in `src/common/protobuf_utils.cpp`).
pub fn is_terminal(state: v1::TaskState) -> bool {
    use v1::TaskState::{
        TaskDropped, TaskError, TaskFailed, TaskFinished, TaskGone, TaskGoneByOperator, TaskKilled,
        TaskKilling, TaskLost, TaskRunning, TaskStaging, TaskStarting, TaskUnknown, TaskUnreachable,
    };

    match state {
        TaskFinished | TaskFailed | TaskKilled | TaskError | TaskLost | TaskDropped | TaskGone
        | TaskGoneByOperator => true,
        TaskStaging | TaskStarting | TaskRunning | TaskKilling | TaskUnreachable | TaskUnknown => false,
    }
}

/// The task as the master and `/state` see it (`protobuf::createTask`). A command task has no executor id there: the
/// one that the agent generates is its own matter.
pub fn task_of(info: &v1::TaskInfo, state: v1::TaskState, framework_id: &v1::FrameworkId) -> v1::Task {
    let executor = info.executor.as_ref();
    let user = info
        .command
        .as_ref()
        .and_then(|command| command.user.clone())
        .or_else(|| executor?.command.as_ref()?.user.clone());
    v1::Task {
        name: info.name.clone(),
        task_id: info.task_id.clone(),
        framework_id: framework_id.clone(),
        executor_id: executor.map(|executor| executor.executor_id.clone()),
        agent_id: info.agent_id.clone(),
        state: state.into(),
        resources: info.resources.clone(),
        labels: info.labels.clone(),
        discovery: info.discovery.clone(),
        container: info.container.clone(),
        health_check: info.health_check.clone(),
        kill_policy: info.kill_policy,
        user,
        limits: info.limits.clone(),
        ..Default::default()
    }
}

impl LiveTask {
    /// The newest state, terminal or not.
    pub fn state(&self) -> v1::TaskState {
        self.task.state()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_task_hides_its_generated_executor() {
        let info = v1::TaskInfo {
            command: Some(v1::CommandInfo { user: Some("nobody".into()), ..Default::default() }),
            ..Default::default()
        };
        let task = task_of(&info, v1::TaskState::TaskStaging, &v1::FrameworkId { value: "F".into() });
        assert_eq!(task.executor_id, None);
        assert_eq!(task.user.as_deref(), Some("nobody"));
        assert_eq!(task.state(), v1::TaskState::TaskStaging);
    }

    #[test]
    fn the_user_of_an_executor_is_told_where_the_task_has_no_command() {
        let command = v1::CommandInfo { user: Some("x".into()), ..Default::default() };
        let executor = v1::ExecutorInfo {
            executor_id: v1::ExecutorId { value: "E".into() },
            command: Some(command),
            ..Default::default()
        };
        let info = v1::TaskInfo { executor: Some(executor), ..Default::default() };
        let task = task_of(&info, v1::TaskState::TaskStaging, &v1::FrameworkId::default());
        assert_eq!((task.executor_id.unwrap().value.as_str(), task.user.as_deref()), ("E", Some("x")));
    }
}
