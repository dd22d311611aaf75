//! Messages between the wire and the core: by their names, decoded at the edge.

use libprocess::{Incoming, Outbox, UnreadableMessage, Upid};
use mesos_proto::internal;

use crate::core::{Message, ToMaster};

/// Reads a message that the agent takes; `None` for one that it does not know, which stock drops silently, too.
///
/// # Errors
///
/// The content is not of the type of the name.
pub(super) fn decode(incoming: &Incoming) -> Result<Option<Message>, UnreadableMessage> {
    let Some(name) = incoming.name.strip_prefix("mesos.internal.") else { return Ok(None) };
    let message = match name {
        "SlaveRegisteredMessage" => Message::Registered(incoming.decode()?),
        "SlaveReregisteredMessage" => Message::Reregistered(incoming.decode()?),
        "PingSlaveMessage" => Message::Ping(incoming.decode()?),
        "RunTaskMessage" => Message::RunTask(Box::new(incoming.decode()?)),
        "RunTaskGroupMessage" => Message::RunTaskGroup(Box::new(incoming.decode()?)),
        "KillTaskMessage" => Message::KillTask(incoming.decode()?),
        "StatusUpdateAcknowledgementMessage" => Message::Acknowledged(incoming.decode()?),
        "UpdateFrameworkMessage" => Message::UpdateFramework(incoming.decode()?),
        "ShutdownFrameworkMessage" => Message::ShutdownFramework(incoming.decode()?),
        "ShutdownExecutorMessage" => Message::ShutdownExecutor(incoming.decode()?),
        "ShutdownMessage" => Message::Shutdown(incoming.decode()?),
        "FrameworkToExecutorMessage" => Message::FrameworkToExecutor(incoming.decode()?),
        "CheckpointResourcesMessage" => Message::CheckpointResources(incoming.decode()?),
        "DrainSlaveMessage" => Message::Drain(incoming.decode()?),
        _ => return Ok(None),
    };
    Ok(Some(message))
}

/// Answers a ping at once: a master takes an agent that is busy for a dead one.
pub(super) fn pong(outbox: &Outbox, to: &Upid) {
    outbox.post(to, &internal::PongSlaveMessage {});
}

/// Sends a message to the master.
pub(super) fn post(outbox: &Outbox, master: &Upid, message: &ToMaster) {
    match message {
        ToMaster::Register(message) => outbox.post(master, message),
        ToMaster::Reregister(message) => outbox.post(master, message),
        ToMaster::Status(message) => outbox.post(master, message),
        ToMaster::ExitedExecutor(message) => outbox.post(master, message),
        ToMaster::FrameworkMessage(message) => outbox.post(master, message),
        ToMaster::Unregister(message) => outbox.post(master, message),
    }
}
