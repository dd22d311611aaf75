//! What the agent counts (`src/slave/metrics.cpp`); the names are those of `/metrics/snapshot` without `slave/`.

use mesos_proto::v1::TaskState;

/// Counters since the start of this process.
#[expect(missing_docs, reason = "the names are stock's metric names")]
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Counters {
    pub tasks_finished: u64,
    pub tasks_failed: u64,
    pub tasks_killed: u64,
    pub tasks_lost: u64,
    pub tasks_gone: u64,
    pub executors_terminated: u64,
    pub executors_preempted: u64,
    pub valid_status_updates: u64,
    pub invalid_status_updates: u64,
    pub valid_framework_messages: u64,
    pub invalid_framework_messages: u64,
    pub container_launch_errors: u64,
    pub recovery_errors: u64,
}

impl Counters {
    /// Counts the terminal state that a task came to; others are not counted.
    pub fn terminal(&mut self, state: TaskState) {
        match state {
            TaskState::TaskFinished => self.tasks_finished += 1,
            TaskState::TaskFailed => self.tasks_failed += 1,
            TaskState::TaskKilled => self.tasks_killed += 1,
            TaskState::TaskLost => self.tasks_lost += 1,
            TaskState::TaskGone => self.tasks_gone += 1,
            _ => {}
        }
    }
}
