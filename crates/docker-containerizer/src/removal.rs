//! Removing containers: until the engine says that they are gone.

use std::time::Duration;

use docker_engine::{AnonymousVolumes, ErrorKind, Force, Removal};
use tokio::time::timeout;

use crate::containerizer::Shared;

/// The pause between attempts.
const PAUSE: Duration = Duration::from_millis(250);

/// Removes a container with its anonymous volumes, again until the engine says that it is gone or a deadline passes.
pub(crate) async fn remove(shared: &Shared, id: &str) -> Result<(), String> {
    let engine = &shared.engine;
    let deadline = engine.deadlines().remove;
    let attempt = async {
        loop {
            let result = engine.remove(id, Force::Yes, AnonymousVolumes::Remove, deadline).await;
            match result {
                Ok(Removal::Removed | Removal::AlreadyGone) => return Ok(()),
                Ok(Removal::InProgress | Removal::Running) => {}
                Err(error) if matches!(error.kind(), ErrorKind::BadRequest { .. }) => {
                    return Err(crate::chain(&error));
                }
                Err(error) => {
                    tracing::debug!(container = id, error = crate::chain(&error), "removed again soon")
                }
            }
            tokio::time::sleep(PAUSE).await;
        }
    };
    timeout(deadline, attempt)
        .await
        .unwrap_or_else(|_| Err(format!("not removed within {} seconds", deadline.as_secs())))
}
