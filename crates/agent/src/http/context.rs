//! What the endpoints read from.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::time::timeout;

use super::answer::Answer;
use super::settings::HttpSettings;
use super::usages::Usages;
use super::version::VersionInfo;
use crate::executors::Gateway;
use crate::files::Files;
use crate::logging::LogControl;
use crate::metrics::Metrics;
use crate::model::{Agent, AgentReader};

/// The parts of the agent that the endpoints show.
#[derive(Debug, Clone)]
pub struct Sources {
    /// The model.
    pub agent: AgentReader,
    /// The way of executors' calls to the core.
    pub executors: Gateway,
    /// The attached files.
    pub files: Files,
    /// The metrics.
    pub metrics: Metrics,
    /// What containers use.
    pub usages: Usages,
    /// The level of the log.
    pub log: LogControl,
    /// The flags, as they may be shown.
    pub flags: Arc<BTreeMap<String, String>>,
    /// Of this program.
    pub version: VersionInfo,
}

/// Everything that an endpoint needs.
#[derive(Debug)]
pub(super) struct Context {
    pub(super) sources: Sources,
    pub(super) settings: HttpSettings,
    /// The turn of reading a large call of an executor: in memory it may be many times as large as on the wire.
    pub(super) large_calls: Semaphore,
}

impl Context {
    /// A copy of the model. Live tasks are copied, what has ended is shared.
    pub(super) async fn agent(&self) -> Result<Agent, Answer> {
        self.read(Agent::clone).await
    }

    /// Something of the model.
    ///
    /// # Errors
    ///
    /// The answer that says that the core does not answer in time, or ends.
    pub(super) async fn read<T: Send + 'static>(
        &self,
        look: impl FnOnce(&Agent) -> T + Send + 'static,
    ) -> Result<T, Answer> {
        let patience: Duration = self.settings.patience;
        match timeout(patience, self.sources.agent.read(look)).await {
            Ok(Ok(seen)) => Ok(seen),
            Ok(Err(gone)) => Err(Answer::unavailable(format!("{gone}"))),
            Err(_) => Err(Answer::unavailable(format!(
                "The agent is busy: its state could not be read within {} seconds.",
                patience.as_secs()
            ))),
        }
    }
}

/// Runs what takes time or touches the disk on a thread for that.
///
/// # Errors
///
/// The answer for a client when it panicked.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Answer> {
    tokio::task::spawn_blocking(work).await.map_err(|error| {
        tracing::error!(%error, "an answer could not be made");
        Answer::text(
            http::StatusCode::INTERNAL_SERVER_ERROR,
            "The answer could not be made; see the agent's log.",
        )
    })
}
