//! The signals that end the agent.

use tokio::signal::unix::{Signal, SignalKind, signal};

use super::error::AgentError;
use crate::core::StopWish;

/// The signals that are taken.
#[derive(Debug)]
pub(super) struct Signals {
    terminate: Signal,
    interrupt: Signal,
    unregister: Signal,
}

impl Signals {
    /// Takes them from now on.
    ///
    /// # Errors
    ///
    /// The system's.
    pub(super) fn install() -> Result<Self, AgentError> {
        let take = |kind| signal(kind).map_err(|source| AgentError::System { what: "take signals", source });
        Ok(Self {
            terminate: take(SignalKind::terminate())?,
            interrupt: take(SignalKind::interrupt())?,
            unregister: take(SignalKind::user_defined1())?,
        })
    }

    /// Waits for the next wish to end.
    ///
    /// # Cancel safety
    ///
    /// May be dropped; no signal is lost.
    pub(super) async fn next(&mut self) -> StopWish {
        tokio::select! {
            _ = self.terminate.recv() => StopWish::Leave,
            _ = self.interrupt.recv() => StopWish::Leave,
            _ = self.unregister.recv() => StopWish::Unregister,
        }
    }
}
