//! What an executor is told, as records of its stream. Pure.
//!
//! A record is its length in decimal digits, a newline, and its bytes.

use bytes::Bytes;
use mesos_proto::executor::{Event, event};
use mesos_proto::json::{Names, to_json};
use mesos_proto::{Message as _, v1};

use super::Form;
use crate::core::ToExecutor;

/// The event that says what the core says; `None` for what only those who speak libprocess are told.
pub fn event(message: &ToExecutor) -> Option<Event> {
    let told = |kind: event::Type| Event { r#type: Some(kind.into()), ..Event::default() };
    Some(match message {
        ToExecutor::Registered(registered, container_id) => Event {
            subscribed: Some(event::Subscribed {
                executor_info: registered.executor_info.clone(),
                framework_info: registered.framework_info.clone(),
                agent_info: registered.slave_info.clone(),
                container_id: Some(v1::ContainerId { value: container_id.to_string(), parent: None }),
            }),
            ..told(event::Type::Subscribed)
        },
        ToExecutor::Reregistered(_) | ToExecutor::Reconnect(_) => return None,
        ToExecutor::Run(run) => {
            Event { launch: Some(event::Launch { task: run.task.clone() }), ..told(event::Type::Launch) }
        }
        ToExecutor::Kill(kill) => Event {
            kill: Some(event::Kill { task_id: kill.task_id.clone(), kill_policy: kill.kill_policy }),
            ..told(event::Type::Kill)
        },
        ToExecutor::Acknowledge(acknowledgement) => Event {
            acknowledged: Some(event::Acknowledged {
                task_id: acknowledgement.task_id.clone(),
                uuid: acknowledgement.uuid.clone(),
            }),
            ..told(event::Type::Acknowledged)
        },
        ToExecutor::Message(message) => Event {
            message: Some(event::Message { data: message.data.clone() }),
            ..told(event::Type::Message)
        },
        ToExecutor::Shutdown => told(event::Type::Shutdown),
        ToExecutor::Error(why) => {
            Event { error: Some(event::Error { message: why.clone() }), ..told(event::Type::Error) }
        }
    })
}

/// The event that only shows that the agent is there.
pub fn heartbeat() -> Event {
    Event { r#type: Some(event::Type::Heartbeat.into()), ..Event::default() }
}

/// An event as a record.
pub fn record(event: &Event, form: Form) -> Bytes {
    let message = match form {
        Form::Protobuf => event.encode_to_vec(),
        Form::Json => to_json(event, Names::V1).to_string().into_bytes(),
    };
    let mut record = message.len().to_string().into_bytes();
    record.reserve(message.len() + 1);
    record.push(b'\n');
    record.extend_from_slice(&message);
    record.into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use mesos_proto::internal;
    use mesos_proto::json::from_json;
    use serde_json::{Value, json};

    /// What a stock 1.11.0 agent sent a custom executor that subscribed over HTTP, was given a task, told TASK_RUNNING, and
    /// subscribed again: the second time in protobuf.
    const JSON: &[u8] = include_bytes!("../data/stream-json.recordio");
    const PROTOBUF: &[u8] = include_bytes!("../data/stream-protobuf.recordio");

    /// The records of a stream.
    fn records(mut stream: &[u8]) -> Vec<&[u8]> {
        let mut records = Vec::new();
        while let Some(end) = stream.iter().position(|byte| *byte == b'\n') {
            let length: usize = std::str::from_utf8(&stream[..end]).unwrap().parse().unwrap();
            records.push(&stream[end + 1..][..length]);
            stream = &stream[end + 1 + length..];
        }
        assert!(stream.is_empty());
        records
    }

    /// What our core says where stock said this.
    fn said(event: &Event) -> ToExecutor {
        let framework_id = v1::FrameworkId { value: "F".into() };
        let agent_id = v1::AgentId { value: "S".into() };
        match event.r#type() {
            event::Type::Subscribed => {
                let told = event.subscribed.clone().unwrap();
                let container_id = told.container_id.unwrap().value.parse().unwrap();
                let registered = internal::ExecutorRegisteredMessage {
                    executor_info: told.executor_info,
                    framework_id,
                    framework_info: told.framework_info,
                    slave_id: agent_id,
                    slave_info: told.agent_info,
                };
                ToExecutor::Registered(registered, container_id)
            }
            event::Type::Launch => ToExecutor::Run(internal::RunTaskMessage {
                task: event.launch.clone().unwrap().task,
                ..Default::default()
            }),
            event::Type::Acknowledged => {
                let told = event.acknowledged.clone().unwrap();
                ToExecutor::Acknowledge(internal::StatusUpdateAcknowledgementMessage {
                    slave_id: agent_id,
                    framework_id,
                    task_id: told.task_id,
                    uuid: told.uuid,
                })
            }
            other => panic!("{other:?} was not recorded"),
        }
    }

    #[test]
    fn a_stream_in_json_is_what_stock_sent() {
        let recorded = records(JSON);
        let mut kinds = Vec::new();
        for stock in recorded {
            let stock: Value = serde_json::from_slice(stock).unwrap();
            let read: Event = from_json(stock.clone()).unwrap();
            kinds.push(read.r#type().as_str_name());
            let ours = event(&said(&read)).unwrap();
            let ours = record(&ours, Form::Json);
            let ours: Value = serde_json::from_slice(records(&ours)[0]).unwrap();
            assert_eq!(ours, stock);
        }
        assert_eq!(kinds, ["SUBSCRIBED", "LAUNCH", "ACKNOWLEDGED"]);
    }

    #[test]
    fn a_stream_in_protobuf_is_what_stock_sent() {
        let recorded = records(PROTOBUF);
        assert_eq!(recorded.len(), 1);
        for stock in recorded {
            let read = Event::decode(stock).unwrap();
            let ours = record(&event(&said(&read)).unwrap(), Form::Protobuf);
            let ours = records(&ours)[0];
            assert_eq!(Event::decode(ours).unwrap(), read);
            // The v1 AgentInfo has no `checkpoint`, which stock leaves in from the v0 one: two bytes.
            assert!(ours.len() == stock.len() || ours.len() + 2 == stock.len());
        }
    }

    #[test]
    fn the_other_events_say_what_the_messages_say() {
        let kill = internal::KillTaskMessage {
            framework_id: v1::FrameworkId::default(),
            task_id: v1::TaskId { value: "t".into() },
            kill_policy: Some(v1::KillPolicy { grace_period: Some(v1::DurationInfo { nanoseconds: 7 }) }),
        };
        let message = internal::FrameworkToExecutorMessage { data: b"\0\xff".to_vec(), ..Default::default() };
        for (said, expected) in [
            (
                ToExecutor::Kill(kill),
                json!({"type": "KILL", "kill": {"task_id": {"value": "t"},
                    "kill_policy": {"grace_period": {"nanoseconds": 7}}}}),
            ),
            (ToExecutor::Message(message), json!({"type": "MESSAGE", "message": {"data": "AP8="}})),
            (ToExecutor::Shutdown, json!({"type": "SHUTDOWN"})),
            (ToExecutor::Error("why".into()), json!({"type": "ERROR", "error": {"message": "why"}})),
        ] {
            assert_eq!(to_json(&event(&said).unwrap(), Names::V1), expected);
        }
        assert_eq!(event(&ToExecutor::Reconnect(internal::ReconnectExecutorMessage::default())), None);
        assert_eq!(event(&ToExecutor::Reregistered(internal::ExecutorReregisteredMessage::default())), None);
        assert_eq!(record(&heartbeat(), Form::Protobuf).as_ref(), b"2\n\x08\x09");
    }
}
