//! Taking over a container whose output is another's business: one that a stock agent, or an executor of one, launched.
//!
//! It is watched, limited, measured, stopped and removed as any other; its output goes where it went before, through the
//! client or the executor that reads it, so nothing of it is read here and no file of the sandbox is opened.

use containerizer::{LogsEnd, RemovalDelay};
use mesos_types::{ContainerId, TaskSpec};
use tokio::sync::{oneshot, watch};

use crate::containerizer::{Containerizer, ContainerizerError, Handle};
use crate::exit::over;
use crate::lifecycle::Life;
use crate::logs::Drained;

/// A container to watch that we did not launch.
#[derive(Debug)]
pub struct AttachOrder {
    /// Our id of it, which our own checkpoint names.
    pub container_id: ContainerId,
    /// What it may use; nothing else of the task counts.
    pub task: TaskSpec,
    /// The engine's id.
    pub engine_id: String,
    /// When the stopped container is removed.
    pub removal: RemovalDelay,
}

impl Containerizer {
    /// Takes over a container without its output; `None` where the engine has none of that id, or one that was never
    /// started.
    ///
    /// # Errors
    ///
    /// An id that is in use, or an engine that does not answer.
    pub async fn attach(&self, order: AttachOrder) -> Result<Option<Handle>, ContainerizerError> {
        let AttachOrder { container_id, task, engine_id, removal } = order;
        let engine = self.engine();
        let inspection = engine
            .inspect(&engine_id, engine.deadlines().inspect)
            .await
            .map_err(|source| ContainerizerError::Engine { what: "attach", container_id, source })?;
        let Some(now) = inspection.filter(|now| now.state.started_at.is_set()) else { return Ok(None) };
        let (mut driver, handle) = self.enter(container_id, engine_id, task, Life::adopted(), removal)?;
        if let Some(signal) = now.stop_signal.as_ref() {
            driver.stop_signal.clone_from(signal);
        }
        let (stopped, _) = watch::channel(false);
        let (drained, logs) = oneshot::channel();
        // The other end is held here, so it is taken.
        let _ = drained.send(Drained { end: LogsEnd::Complete, last_errors: String::new() });
        let mut watched = driver.watch(&now, stopped, logs);
        watched.over = over(Some(&now), &watched.started_at);
        self.shared().tasks.spawn(driver.run(watched));
        Ok(Some(handle))
    }
}
