//! What comes to `slave(1)`: answers pings, decodes the rest for the core.

use libprocess::{Event as Wire, Process};
use tokio::sync::mpsc;

use super::wire;
use crate::core::{Event, Message};

/// Carries messages to the core until either ends.
pub(super) async fn run(mut process: Process, events: mpsc::Sender<Event>) {
    while let Some(event) = process.next().await {
        let event = match event {
            Wire::Exited(upid) => Event::Exited(upid.to_string()),
            Wire::Message(incoming) => match wire::decode(&incoming) {
                Ok(Some(message)) => {
                    if matches!(message, Message::Ping(_)) {
                        wire::pong(process.outbox(), &incoming.from);
                    }
                    Event::Message(incoming.from.to_string(), Box::new(message))
                }
                Ok(None) => {
                    tracing::debug!(name = incoming.name, from = %incoming.from, "an unknown message is dropped");
                    continue;
                }
                Err(error) => {
                    tracing::warn!(error = docker_containerizer::chain(&error), "a message is dropped");
                    continue;
                }
            },
        };
        if events.send(event).await.is_err() {
            return;
        }
    }
}
