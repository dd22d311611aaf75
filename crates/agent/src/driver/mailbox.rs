//! What comes to `slave(1)`: answers pings, decodes the rest for the core.

use libprocess::{Event as Wire, Incoming, Process, Upid};
use tokio::sync::mpsc;

use super::wire;
use crate::core::{Event, Message};
use crate::executors::v0;
use crate::model::Peer;

/// The process id of masters.
const MASTER: &str = "master";

/// Carries messages to the core until either ends.
pub(super) async fn run(mut process: Process, events: mpsc::Sender<Event>) {
    while let Some(event) = process.next().await {
        let event = match event {
            Wire::Exited(upid) => Some(exited(&upid)),
            Wire::Message(incoming) => message(&process, &incoming),
        };
        if let Some(event) = event
            && events.send(event).await.is_err()
        {
            return;
        }
    }
}

/// The end of a link: we have some to masters, and to executors.
fn exited(upid: &Upid) -> Event {
    match upid.id().as_str() {
        MASTER => Event::Exited(upid.to_string()),
        _ => Event::PeerGone(Peer::Libprocess(upid.to_string())),
    }
}

/// What a message says to the core, if anything.
fn message(process: &Process, incoming: &Incoming) -> Option<Event> {
    let dropped = |error: &dyn std::error::Error| {
        tracing::warn!(error = docker_containerizer::chain(error), "a message is dropped");
    };
    match wire::decode(incoming) {
        Ok(Some(message)) => {
            if matches!(message, Message::Ping(_)) {
                wire::pong(process.outbox(), &incoming.from);
            }
            return Some(Event::Message(incoming.from.to_string(), Box::new(message)));
        }
        Ok(None) => {}
        Err(error) => {
            dropped(&error);
            return None;
        }
    }
    match v0::understand(incoming) {
        Ok(Some(call)) => return Some(Event::Executor(Box::new(call))),
        Ok(None) => {
            tracing::debug!(name = incoming.name, from = %incoming.from, "an unknown message is dropped");
        }
        Err(error) => dropped(&error),
    }
    None
}
