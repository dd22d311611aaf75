//! The messages of executors that speak libprocess (`src/exec/exec.cpp` is the other side).
//!
//! What comes is turned into calls for the core, what the core says into messages. Nothing is judged here but that a
//! message can be read and names ids that can be used.

use libprocess::{Incoming, Outbox, UnreadableMessage, Upid};
use mesos_proto::{internal, v1};
use mesos_types::{ExecutorId, FrameworkId};
use thiserror::Error;

use super::is_uuid;
use crate::core::{Call, ExecutorCall, ToExecutor};
use crate::model::Peer;

/// Why a message of an executor is dropped.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum V0Error {
    /// Its content is not of its type.
    #[error(transparent)]
    Unreadable(#[from] UnreadableMessage),
    /// An id that it names is none.
    #[error("the message {name} from {from} names no {what}")]
    Id {
        /// The message.
        name: String,
        /// Who sent it.
        from: Upid,
        /// What is missing.
        what: &'static str,
        /// What is wrong with it, where something is there.
        source: Option<mesos_types::IdError>,
    },
    /// Its sender says that it is nowhere, so it could not be answered.
    #[error("the message {name} comes from {from}, which is no address")]
    Nowhere {
        /// The message.
        name: String,
        /// Who sent it.
        from: Upid,
    },
    /// The number of a status is none; a stock master that got it would end.
    #[error("the message {name} from {from} has a status whose uuid is none")]
    Uuid {
        /// The message.
        name: String,
        /// Who sent it.
        from: Upid,
    },
}

/// What an executor says; `None` for a message that is none of an executor's.
///
/// # Errors
///
/// The message cannot be used. Stock logs and drops such a message, too.
pub fn understand(incoming: &Incoming) -> Result<Option<ExecutorCall>, V0Error> {
    let Some(name) = incoming.name.strip_prefix("mesos.internal.") else { return Ok(None) };
    let ids = Ids { incoming };
    let call = match name {
        "RegisterExecutorMessage" => {
            let message: internal::RegisterExecutorMessage = incoming.decode()?;
            ids.call(&message.framework_id, Some(&message.executor_id), Call::Register)?
        }
        "ReregisterExecutorMessage" => {
            let message: internal::ReregisterExecutorMessage = incoming.decode()?;
            for update in &message.updates {
                ids.uuid(update)?;
            }
            let call = Call::Reregister { tasks: message.tasks, updates: message.updates };
            ids.call(&message.framework_id, Some(&message.executor_id), call)?
        }
        "StatusUpdateMessage" => {
            let message: internal::StatusUpdateMessage = incoming.decode()?;
            ids.uuid(&message.update)?;
            let (framework_id, executor_id) =
                (message.update.framework_id.clone(), message.update.executor_id.clone());
            let call = Call::Update(Box::new(message.update));
            let mut call = ids.call(&framework_id, executor_id.as_ref(), call)?;
            // Stock acknowledges to the address in the message, which is where the executor listens.
            if let Some(pid) = message.pid.filter(|pid| is_somewhere(pid)) {
                call.peer = Peer::Libprocess(pid);
            }
            call
        }
        "ExecutorToFrameworkMessage" => {
            let message: internal::ExecutorToFrameworkMessage = incoming.decode()?;
            ids.call(&message.framework_id, Some(&message.executor_id), Call::Message(message.data))?
        }
        _ => return Ok(None),
    };
    Ok(Some(call))
}

/// Whether a process can be at an address; the empty one of libprocess reads well and is nowhere.
fn is_somewhere(pid: &str) -> bool {
    pid.parse::<Upid>().is_ok_and(|upid| !upid.is_empty())
}

/// Reads the ids of a message.
struct Ids<'a> {
    incoming: &'a Incoming,
}

impl Ids<'_> {
    fn call(
        &self,
        framework_id: &v1::FrameworkId,
        executor_id: Option<&v1::ExecutorId>,
        call: Call,
    ) -> Result<ExecutorCall, V0Error> {
        if self.incoming.from.is_empty() {
            return Err(V0Error::Nowhere {
                name: self.incoming.name.clone(),
                from: self.incoming.from.clone(),
            });
        }
        let executor_id = executor_id.ok_or_else(|| self.wrong("executor", None))?;
        let framework_id: FrameworkId =
            framework_id.value.parse().map_err(|error| self.wrong("framework", Some(error)))?;
        let executor_id: ExecutorId =
            executor_id.value.parse().map_err(|error| self.wrong("executor", Some(error)))?;
        let peer = Peer::Libprocess(self.incoming.from.to_string());
        Ok(ExecutorCall { framework_id, executor_id, peer, call })
    }

    /// Refuses an update whose number is none.
    fn uuid(&self, update: &internal::StatusUpdate) -> Result<(), V0Error> {
        match update.uuid.as_deref().is_none_or(is_uuid) {
            true => Ok(()),
            false => {
                Err(V0Error::Uuid { name: self.incoming.name.clone(), from: self.incoming.from.clone() })
            }
        }
    }

    fn wrong(&self, what: &'static str, source: Option<mesos_types::IdError>) -> V0Error {
        V0Error::Id { name: self.incoming.name.clone(), from: self.incoming.from.clone(), what, source }
    }
}

/// Sends an executor what the core says. What only those who speak HTTP know is not sent.
pub fn post(outbox: &Outbox, executor: &Upid, message: &ToExecutor) {
    match message {
        ToExecutor::Registered(message, _) => outbox.post(executor, message),
        ToExecutor::Reregistered(message) => outbox.post(executor, message),
        ToExecutor::Reconnect(message) => outbox.post(executor, message),
        ToExecutor::Run(message) => outbox.post(executor, message),
        ToExecutor::Kill(message) => outbox.post(executor, message),
        ToExecutor::Acknowledge(message) => outbox.post(executor, message),
        ToExecutor::Message(message) => outbox.post(executor, message),
        // Stock names neither the executor nor the framework.
        ToExecutor::Shutdown => outbox.post(executor, &internal::ShutdownExecutorMessage::default()),
        ToExecutor::Error(why) => {
            tracing::warn!(%executor, why, "an executor that speaks libprocess is not told of its error");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mesos_proto::Message as _;
    use rstest::rstest;

    fn incoming(name: &str, body: Vec<u8>) -> Incoming {
        Incoming::new("executor(1)@127.0.0.1:37903".parse().unwrap(), format!("mesos.internal.{name}"), body)
    }

    fn update(uuid: Option<Vec<u8>>, pid: Option<&str>) -> Vec<u8> {
        internal::StatusUpdateMessage {
            update: internal::StatusUpdate {
                framework_id: v1::FrameworkId { value: "F".into() },
                executor_id: Some(v1::ExecutorId { value: "e".into() }),
                uuid,
                ..Default::default()
            },
            pid: pid.map(Into::into),
        }
        .encode_to_vec()
    }

    fn framework() -> v1::FrameworkId {
        v1::FrameworkId { value: "F".into() }
    }

    fn executor() -> v1::ExecutorId {
        v1::ExecutorId { value: "e".into() }
    }

    #[test]
    fn an_executor_is_understood() {
        let register =
            internal::RegisterExecutorMessage { framework_id: framework(), executor_id: executor() };
        let said =
            understand(&incoming("RegisterExecutorMessage", register.encode_to_vec())).unwrap().unwrap();
        assert_eq!((said.framework_id.as_str(), said.executor_id.as_str()), ("F", "e"));
        assert_eq!(said.peer, Peer::Libprocess("executor(1)@127.0.0.1:37903".into()));
        assert!(matches!(said.call, Call::Register));

        let again = internal::ReregisterExecutorMessage {
            framework_id: framework(),
            executor_id: executor(),
            tasks: vec![v1::TaskInfo::default()],
            updates: vec![internal::StatusUpdate::default()],
        };
        let said =
            understand(&incoming("ReregisterExecutorMessage", again.encode_to_vec())).unwrap().unwrap();
        assert!(
            matches!(said.call, Call::Reregister { tasks, updates } if tasks.len() == 1 && updates.len() == 1)
        );

        let data = internal::ExecutorToFrameworkMessage {
            slave_id: v1::AgentId { value: "S".into() },
            framework_id: framework(),
            executor_id: executor(),
            data: b"\0\xff".to_vec(),
        };
        let said =
            understand(&incoming("ExecutorToFrameworkMessage", data.encode_to_vec())).unwrap().unwrap();
        assert!(matches!(said.call, Call::Message(data) if data == b"\0\xff"));
    }

    #[rstest]
    #[case(Some("executor(1)@10.0.0.9:4000"), "executor(1)@10.0.0.9:4000")]
    #[case(Some("nonsense"), "executor(1)@127.0.0.1:37903")]
    #[case(Some("@0.0.0.0:0"), "executor(1)@127.0.0.1:37903")]
    #[case(None, "executor(1)@127.0.0.1:37903")]
    fn a_status_is_acknowledged_where_the_executor_says(#[case] pid: Option<&str>, #[case] to: &str) {
        let uuid = Some(uuid::Uuid::new_v4().into_bytes().to_vec());
        let said = understand(&incoming("StatusUpdateMessage", update(uuid, pid))).unwrap().unwrap();
        assert_eq!(said.peer, Peer::Libprocess(to.into()));
    }

    #[test]
    fn what_cannot_be_used_is_refused() {
        let nobody = internal::RegisterExecutorMessage::default().encode_to_vec();
        for (name, body, why) in [
            ("RegisterExecutorMessage", b"\xff".to_vec(), "cannot be read"),
            ("RegisterExecutorMessage", nobody, "names no framework"),
            (
                "StatusUpdateMessage",
                internal::StatusUpdateMessage::default().encode_to_vec(),
                "names no executor",
            ),
            ("StatusUpdateMessage", update(Some(vec![1; 15]), None), "uuid is none"),
            ("StatusUpdateMessage", update(Some(vec![0xff; 16]), None), "uuid is none"),
        ] {
            let error = understand(&incoming(name, body)).unwrap_err();
            assert!(error.to_string().contains(why), "{error}");
        }
        // The core counts it as invalid.
        assert!(understand(&incoming("StatusUpdateMessage", update(None, None))).unwrap().is_some());
    }

    #[test]
    fn who_is_nowhere_cannot_be_answered() {
        let register =
            internal::RegisterExecutorMessage { framework_id: framework(), executor_id: executor() };
        let name = "mesos.internal.RegisterExecutorMessage";
        let message = Incoming::new("@0.0.0.0:0".parse().unwrap(), name, register.encode_to_vec());
        assert!(understand(&message).unwrap_err().to_string().contains("no address"));
    }

    #[test]
    fn messages_of_others_are_left_to_others() {
        for name in ["mesos.internal.RunTaskMessage", "mesos.internal.PingSlaveMessage", "other"] {
            let message = Incoming::new("master@127.0.0.1:5050".parse().unwrap(), name, b"".to_vec());
            assert!(understand(&message).unwrap().is_none());
        }
    }
}
