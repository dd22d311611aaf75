//! Statuses that wait for their acknowledgement, in order, and the task of which none has arrived yet.
//!
//! Follows the maps `updates` and `tasks` of the driver (`src/exec/exec.cpp`). What is on its way is bounded; a status
//! of a check that waits behind it gives way to a newer one, so that a flapping task and an agent that is away need no
//! more memory than a few.

use std::collections::VecDeque;

use mesos_proto::v1;
use mesos_proto::v1::TaskState;
use mesos_proto::v1::task_status::Reason;

/// How many statuses may be on their way at once.
pub(super) const IN_FLIGHT: usize = 16;

/// A status and where it is.
#[derive(Debug, Clone, PartialEq)]
struct Entry {
    status: Box<v1::TaskStatus>,
    is_sent: bool,
}

/// What the agent may not know.
#[derive(Debug, Default)]
pub(super) struct Unacknowledged {
    task: Option<Box<v1::TaskInfo>>,
    entries: VecDeque<Entry>,
}

impl Unacknowledged {
    /// Takes note of a task that was given to us.
    pub(super) fn launched(&mut self, task: Box<v1::TaskInfo>) {
        self.task = Some(task);
    }

    /// Takes a status.
    pub(super) fn push(&mut self, status: Box<v1::TaskStatus>) {
        let entry = Entry { status, is_sent: false };
        match self.entries.back_mut() {
            Some(last) if !last.is_sent && supersedes(&entry.status, &last.status) => *last = entry,
            _ => self.entries.push_back(entry),
        }
    }

    /// Drops the status with this uuid; answers whether there was one.
    pub(super) fn acknowledge(&mut self, uuid: &[u8]) -> bool {
        let Some(at) = self.entries.iter().position(|entry| entry.status.uuid() == uuid) else {
            return false;
        };
        let acknowledged = self.entries.remove(at);
        if let (Some(entry), Some(task)) = (acknowledged, &self.task)
            && entry.status.task_id == task.task_id
        {
            self.task = None;
        }
        true
    }

    /// The tasks that the agent may not know.
    pub(super) fn tasks(&self) -> Vec<v1::TaskInfo> {
        self.task.iter().map(|task| (**task).clone()).collect()
    }

    /// All statuses, which are on their way from now on.
    pub(super) fn send_all(&mut self) -> Vec<v1::TaskStatus> {
        self.entries
            .iter_mut()
            .map(|entry| {
                entry.is_sent = true;
                (*entry.status).clone()
            })
            .collect()
    }

    /// The next statuses to be sent, as many as may be on their way.
    pub(super) fn send_next(&mut self) -> Vec<v1::TaskStatus> {
        let on_the_way = self.entries.iter().filter(|entry| entry.is_sent).count();
        let room = IN_FLIGHT.saturating_sub(on_the_way);
        let waiting = self.entries.iter_mut().filter(|entry| !entry.is_sent).take(room);
        waiting
            .map(|entry| {
                entry.is_sent = true;
                (*entry.status).clone()
            })
            .collect()
    }
}

/// Whether a framework that hears `new` loses nothing by never hearing `old`: both tell of a check alone.
fn supersedes(new: &v1::TaskStatus, old: &v1::TaskStatus) -> bool {
    let of_a_check = |status: &v1::TaskStatus| {
        let reason = status.reason.map(|_| status.reason());
        status.state() == TaskState::TaskRunning
            && matches!(reason, Some(Reason::TaskHealthCheckStatusUpdated | Reason::TaskCheckStatusUpdated))
    };
    of_a_check(new) && of_a_check(old) && new.task_id == old.task_id
}
