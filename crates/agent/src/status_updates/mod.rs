//! The status updates of tasks, each sent to the master until it is acknowledged
//! (`src/slave/task_status_update_manager.cpp`).
//!
//! There is a stream per framework and task; `streams` has its rules. The core calls it and turns
//! each [`Step`] into an action, in order: what is written stands before what is sent.

mod streams;

#[cfg(test)]
mod tests;

use std::time::Duration;

use checkpoint::Streamed;
use checkpoint::recover::RecoveredUpdates;
use mesos_proto::internal::{StatusUpdate, StatusUpdateRecord};
use mesos_proto::v1::TaskState;
use mesos_types::{FrameworkId, TaskId};
use uuid::Uuid;

pub use streams::{Heard, Replayed, StreamCounters, StreamSettings, Streams, Taken, Want};

use crate::core::Run;

/// Where the updates of a task are kept.
pub type Durability = streams::Durability<Run>;

/// Something to do.
#[derive(Debug, Clone, PartialEq)]
pub enum Step {
    /// Append to the `task.updates` of a run's task.
    Append(Run, TaskId, StatusUpdateRecord),
    /// Send to the master. `latest_state` is that of the newest update.
    Forward(StatusUpdate),
    /// The task's terminal status was acknowledged.
    Closed(FrameworkId, TaskId),
}

/// Every task's status updates.
#[derive(Debug)]
pub struct StatusUpdates {
    streams: Streams<(FrameworkId, TaskId), Run, StatusUpdate>,
}

impl StatusUpdates {
    /// No updates, and paused: nothing is sent before [`StatusUpdates::resume`].
    #[must_use]
    pub fn new(settings: StreamSettings) -> Self {
        Self { streams: Streams::new(settings) }
    }

    /// Takes an update; one that came before, or follows a terminal one, is dropped. `now` is the time since the start
    /// of the process. Whoever made it may forget it if it [is safe](Taken::is_safe) once the steps are done.
    pub fn update(
        &mut self,
        update: StatusUpdate,
        durability: Durability,
        now: Duration,
    ) -> (Taken, Vec<Step>) {
        let ids = (update.framework_id.value.parse(), update.status.task_id.value.parse());
        let (Ok(framework_id), Ok(task_id)) = ids else { return (Taken::WithoutId, Vec::new()) };
        let key: (FrameworkId, TaskId) = (framework_id, task_id);
        let state = update.status.state();
        let (taken, wants) = self.streams.update(key.clone(), update, durability, now);
        match taken {
            Taken::New => {}
            Taken::Repeated => {
                tracing::debug!(framework_id = %key.0, task_id = %key.1, ?state, "a repeated status is ignored");
            }
            Taken::AfterTheLast | Taken::WithoutId | Taken::TooManyStreams => {
                tracing::warn!(framework_id = %key.0, task_id = %key.1, ?state, ?taken, "a status is dropped");
            }
        }
        (taken, steps(wants))
    }

    /// Whether an update came before, as far back as is remembered.
    #[must_use]
    pub fn knows(&self, framework_id: &FrameworkId, task_id: &TaskId, uuid: Uuid) -> bool {
        self.streams.knows(&(framework_id.clone(), task_id.clone()), uuid)
    }

    /// Takes an acknowledgement. One that is not for the update that was sent is ignored.
    pub fn acknowledge(
        &mut self,
        framework_id: &FrameworkId,
        task_id: &TaskId,
        uuid: Uuid,
        now: Duration,
    ) -> Vec<Step> {
        let (heard, wants) = self.streams.acknowledge(&(framework_id.clone(), task_id.clone()), uuid, now);
        match heard {
            Heard::Head => {}
            Heard::Repeated => {
                tracing::debug!(%framework_id, %task_id, %uuid, "a repeated acknowledgement is ignored");
            }
            Heard::Unexpected | Heard::NoStream => {
                tracing::warn!(%framework_id, %task_id, %uuid, "an unexpected acknowledgement is ignored");
            }
        }
        steps(wants)
    }

    /// Puts back what is on disk of a task. [`Replayed::Complete`] is a task that is history.
    pub fn replay(
        &mut self,
        framework_id: &FrameworkId,
        task_id: &TaskId,
        run: Run,
        found: &RecoveredUpdates<StatusUpdate>,
    ) -> Replayed {
        self.streams.replay((framework_id.clone(), task_id.clone()), run, found)
    }

    /// Sends nothing any more: there is no master.
    pub fn pause(&mut self) {
        self.streams.pause();
    }

    /// Sends the first waiting update of every task, as if for the first time.
    pub fn resume(&mut self, now: Duration) -> Vec<Step> {
        steps(self.streams.resume(now))
    }

    /// When something is to be sent again, as time since the start of the process.
    #[must_use]
    pub fn next_due(&self) -> Option<Duration> {
        self.streams.next_due()
    }

    /// Sends again what was not acknowledged in time.
    pub fn due(&mut self, now: Duration) -> Vec<Step> {
        steps(self.streams.due(now))
    }

    /// Drops the updates of an earlier task of this id, since another one comes: they would keep its own from the master.
    pub fn forget(&mut self, framework_id: &FrameworkId, task_id: &TaskId) {
        self.streams.drop_one(&(framework_id.clone(), task_id.clone()));
    }

    /// Drops the updates of a framework that is gone.
    pub fn cleanup(&mut self, framework_id: &FrameworkId) {
        self.streams.drop_where(|(framework, _)| framework == framework_id);
    }

    /// The state and id of the update that is sent, or waits to be: `Task.status_update_state` and `_uuid`.
    #[must_use]
    pub fn in_flight(&self, framework_id: &FrameworkId, task_id: &TaskId) -> Option<(TaskState, Uuid)> {
        let head = self.streams.head(&(framework_id.clone(), task_id.clone()))?;
        Some((head.status.state(), head.update_id()?))
    }

    /// The state of the newest update that was not acknowledged.
    #[must_use]
    pub fn latest_state(&self, framework_id: &FrameworkId, task_id: &TaskId) -> Option<TaskState> {
        let newest = self.streams.newest(&(framework_id.clone(), task_id.clone()))?;
        Some(newest.status.state())
    }

    /// What was counted since the start.
    #[must_use]
    pub fn counters(&self) -> StreamCounters {
        self.streams.counters()
    }
}

fn steps(wants: Vec<Want<(FrameworkId, TaskId), Run, StatusUpdate>>) -> Vec<Step> {
    let step = |want| match want {
        Want::Append(run, (_, task_id), record) => Step::Append(run, task_id, StatusUpdate::wire(&record)),
        Want::Forward { mut update, newest, .. } => {
            update.latest_state = Some(newest.status.state);
            Step::Forward(update)
        }
        Want::Closed((framework_id, task_id)) => Step::Closed(framework_id, task_id),
    };
    wants.into_iter().map(step).collect()
}
