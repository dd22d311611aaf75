//! Reading and validating what an executor says (`validateExecutorCall` in `src/common/validation.cpp`). Pure.

use mesos_proto::executor::{Call as Message, call};
use mesos_proto::json::from_json_skipping;
use mesos_proto::{Message as _, internal, v1};
use mesos_types::{ExecutorId, FrameworkId};
use thiserror::Error;

use super::Form;
use crate::core::Call;
use crate::executors::is_uuid;

/// What an executor asks for.
#[derive(Debug)]
pub enum Asked {
    /// Nothing: it shows that it is there. Its ids may be anything.
    Heartbeat,
    /// Something, of this executor.
    Call {
        /// The framework.
        framework_id: FrameworkId,
        /// The executor.
        executor_id: ExecutorId,
        /// What; `None` for the type UNKNOWN.
        call: Option<Call>,
    },
}

/// Why a call is refused, in stock's words.
#[derive(Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum CallError {
    /// It is no protobuf of a call.
    #[error("Failed to parse body into Call protobuf")]
    Protobuf,
    /// It is no JSON.
    #[error("Failed to parse body into JSON: {0}")]
    Json(String),
    /// It is no JSON of a call.
    #[error("Failed to convert JSON into Call protobuf: {0}")]
    Convert(String),
    /// It says something that is not allowed.
    #[error("Failed to validate Executor::Call: {0}")]
    Invalid(String),
}

/// Reads a call. `now` is the time of a status that has none, in seconds since 1970.
///
/// # Errors
///
/// What is wrong with it.
pub fn read(body: &[u8], form: Form, now: f64) -> Result<Asked, CallError> {
    let message = match form {
        Form::Protobuf => Message::decode(body).map_err(|_| CallError::Protobuf)?,
        Form::Json => {
            let json = serde_json::from_slice(body).map_err(|error| CallError::Json(error.to_string()))?;
            from_json_skipping::<Message>(json).map_err(|error| CallError::Convert(error.to_string()))?.0
        }
    };
    asked(message, now)
}

fn asked(message: Message, now: f64) -> Result<Asked, CallError> {
    let kind = message.r#type.and_then(|kind| call::Type::try_from(kind).ok());
    let kind = kind.ok_or_else(|| absent("type"))?;
    let call = match kind {
        call::Type::Heartbeat => return Ok(Asked::Heartbeat),
        call::Type::Unknown => None,
        call::Type::Subscribe => {
            let subscribe = message.subscribe.ok_or_else(|| absent("subscribe"))?;
            for update in &subscribe.unacknowledged_updates {
                // Stock does not look, and ends where one is none.
                if !update.status.uuid.as_deref().is_some_and(is_uuid) {
                    return Err(invalid("an unacknowledged update has no 'uuid' that is one"));
                }
            }
            Some(Call::Subscribe {
                tasks: subscribe.unacknowledged_tasks,
                updates: subscribe.unacknowledged_updates,
            })
        }
        call::Type::Update => {
            let status = message.update.ok_or_else(|| absent("update"))?.status;
            check_status(&status, &message.executor_id.value, &message.framework_id.value)?;
            Some(Call::Update(Box::new(status_update(
                status,
                &message.framework_id,
                &message.executor_id,
                now,
            ))))
        }
        call::Type::Message => Some(Call::Message(message.message.ok_or_else(|| absent("message"))?.data)),
    };
    let framework_id = message.framework_id.value.parse().map_err(|error| invalid(format!("{error}")))?;
    let executor_id = message.executor_id.value.parse().map_err(|error| invalid(format!("{error}")))?;
    Ok(Asked::Call { framework_id, executor_id, call })
}

/// Refuses a status that an executor may not tell.
fn check_status(status: &v1::TaskStatus, executor: &str, framework: &str) -> Result<(), CallError> {
    let uuid = status.uuid.as_deref().ok_or_else(|| absent("uuid"))?;
    if !is_uuid(uuid) {
        return Err(invalid("Not a valid UUID"));
    }
    if let Some(named) = status.executor_id.as_ref().filter(|id| id.value != executor) {
        return Err(invalid(format!(
            "ExecutorID in Call: {executor} does not match ExecutorID in TaskStatus: {}",
            named.value
        )));
    }
    if status.source() != v1::task_status::Source::Executor {
        return Err(invalid(format!(
            "Received Call from executor {executor} of framework {framework} with invalid source, expecting \
             'SOURCE_EXECUTOR'"
        )));
    }
    if status.state() == v1::TaskState::TaskStaging {
        return Err(invalid(format!(
            "Received TASK_STAGING from executor {executor} of framework {framework} which is not allowed"
        )));
    }
    match &status.check_status {
        Some(check) => check_check(check),
        None => Ok(()),
    }
}

fn check_check(check: &v1::CheckStatusInfo) -> Result<(), CallError> {
    use v1::check_info::Type;

    let (is_there, name, field) = match check.r#type.and_then(|kind| Type::try_from(kind).ok()) {
        None => return Err(invalid("CheckStatusInfo must specify 'type'")),
        Some(Type::Unknown) => return Err(invalid("'UNKNOWN' is not a valid check's status type")),
        Some(Type::Command) => (check.command.is_some(), "COMMAND", "command"),
        Some(Type::Http) => (check.http.is_some(), "HTTP", "http"),
        Some(Type::Tcp) => (check.tcp.is_some(), "TCP", "tcp"),
    };
    match is_there {
        true => Ok(()),
        false => Err(invalid(format!("Expecting '{field}' to be set for {name} check's status"))),
    }
}

/// The update that carries a status (`createStatusUpdate` in `src/common/protobuf_utils.cpp`).
pub fn status_update(
    mut status: v1::TaskStatus,
    framework_id: &v1::FrameworkId,
    executor_id: &v1::ExecutorId,
    now: f64,
) -> internal::StatusUpdate {
    let timestamp = *status.timestamp.get_or_insert(now);
    internal::StatusUpdate {
        framework_id: framework_id.clone(),
        executor_id: Some(executor_id.clone()),
        slave_id: None,
        timestamp,
        uuid: status.uuid.clone(),
        status,
        latest_state: None,
    }
}

fn absent(field: &str) -> CallError {
    invalid(format!("Expecting '{field}' to be present"))
}

fn invalid(why: impl Into<String>) -> CallError {
    CallError::Invalid(why.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rstest::rstest;

    const IDS: &str = r#""framework_id":{"value":"F"},"executor_id":{"value":"e"}"#;
    const UUID: &str = "ABEiM0RVRneImaq7zN3u/w==";

    fn json(rest: &str) -> Result<Asked, CallError> {
        read(format!("{{{IDS},{rest}}}").as_bytes(), Form::Json, 7.5)
    }

    fn update(status: &str) -> Result<Asked, CallError> {
        json(&format!(r#""type":"UPDATE","update":{{"status":{{"task_id":{{"value":"t"}},{status}}}}}"#))
    }

    #[test]
    fn an_update_becomes_what_messages_between_processes_have() {
        let asked = update(&format!(
            r#""state":"TASK_RUNNING","source":"SOURCE_EXECUTOR","uuid":"{UUID}","data":"AP8=""#
        ));
        let Ok(Asked::Call { framework_id, executor_id, call: Some(Call::Update(update)) }) = asked else {
            panic!("{asked:?}")
        };
        assert_eq!((framework_id.as_str(), executor_id.as_str()), ("F", "e"));
        assert_eq!(update.uuid.as_deref().unwrap()[..3], [0x00, 0x11, 0x22]);
        assert_eq!((update.timestamp, update.status.timestamp), (7.5, Some(7.5)));
        assert_eq!(update.executor_id.unwrap().value, "e");
        assert_eq!(update.status.data.as_deref(), Some(&b"\0\xff"[..]));
        assert_eq!(update.slave_id, None);
    }

    #[test]
    fn a_status_keeps_its_own_time() {
        let asked = update(&format!(
            r#""state":"TASK_RUNNING","source":"SOURCE_EXECUTOR","uuid":"{UUID}","timestamp":1.25"#
        ));
        let Ok(Asked::Call { call: Some(Call::Update(update)), .. }) = asked else { panic!("{asked:?}") };
        assert_eq!((update.timestamp, update.status.timestamp), (1.25, Some(1.25)));
    }

    #[test]
    fn the_other_calls_are_read() {
        assert!(matches!(json(r#""type":"HEARTBEAT""#), Ok(Asked::Heartbeat)));
        assert!(matches!(json(r#""type":"UNKNOWN""#), Ok(Asked::Call { call: None, .. })));
        let message = json(r#""type":"MESSAGE","message":{"data":"aGk="}"#);
        assert!(matches!(message, Ok(Asked::Call { call: Some(Call::Message(data)), .. }) if data == b"hi"));
        let subscribe = json(&format!(
            r#""type":"SUBSCRIBE","subscribe":{{"unacknowledged_updates":[{{"status":{{"task_id":{{"value":"t"}},
            "state":"TASK_RUNNING","uuid":"{UUID}"}}}}]}}"#
        ));
        let Ok(Asked::Call { call: Some(Call::Subscribe { tasks, updates }), .. }) = subscribe else {
            panic!("{subscribe:?}")
        };
        assert_eq!((tasks.len(), updates.len()), (0, 1));
        // Both names of the agent are read, as both APIs have them.
        for agent in ["agent_id", "slave_id"] {
            let known = update(&format!(
                r#""state":"TASK_RUNNING","source":"SOURCE_EXECUTOR","uuid":"{UUID}","{agent}":{{"value":"S"}}"#
            ));
            let Ok(Asked::Call { call: Some(Call::Update(update)), .. }) = known else { panic!("{known:?}") };
            assert_eq!(update.status.agent_id.unwrap().value, "S");
        }
        // A heartbeat of stock's client names nobody.
        let nobody = Message { r#type: Some(call::Type::Heartbeat.into()), ..Message::default() };
        assert!(matches!(read(&nobody.encode_to_vec(), Form::Protobuf, 0.0), Ok(Asked::Heartbeat)));
    }

    #[rstest]
    #[case("", "Failed to parse body into JSON: ")]
    #[case("{", "Failed to parse body into JSON: ")]
    #[case("[]", "Failed to convert JSON into Call protobuf: ")]
    #[case(r#"{"type":"HEARTBEAT"}"#, "Failed to convert JSON into Call protobuf: ")]
    #[case(
        r#"{"framework_id":{"value":"F"},"executor_id":{"value":"e"}}"#,
        "Failed to validate Executor::Call: Expecting 'type' to be present"
    )]
    #[case(
        r#"{"framework_id":{"value":"a/b"},"executor_id":{"value":"e"},"type":"UNKNOWN"}"#,
        "Failed to validate Executor::Call: "
    )]
    #[case(
        r#"{"framework_id":{"value":"F"},"executor_id":{"value":""},"type":"UNKNOWN"}"#,
        "Failed to validate Executor::Call: "
    )]
    fn what_is_no_call_is_refused(#[case] body: &str, #[case] why: &str) {
        let error = read(body.as_bytes(), Form::Json, 0.0).unwrap_err().to_string();
        assert!(error.starts_with(why), "{error}");
    }

    #[rstest]
    #[case(r#""type":"SUBSCRIBE""#, "Expecting 'subscribe' to be present")]
    #[case(r#""type":"UPDATE""#, "Expecting 'update' to be present")]
    #[case(r#""type":"MESSAGE""#, "Expecting 'message' to be present")]
    #[case(r#""type":"SUBSCRIBE","subscribe":{"unacknowledged_updates":[{"status":{"task_id":{"value":"t"},"state":"TASK_RUNNING"}}]}"#, "an unacknowledged update has no 'uuid' that is one")]
    fn what_is_not_whole_is_refused(#[case] rest: &str, #[case] why: &str) {
        assert_eq!(json(rest).unwrap_err(), invalid(why));
    }

    #[rstest]
    #[case(r#""state":"TASK_RUNNING""#, "Expecting 'uuid' to be present")]
    #[case(r#""state":"TASK_RUNNING","uuid":"AAAA""#, "Not a valid UUID")]
    #[case(r#""state":"TASK_RUNNING","uuid":"/////////////////////w==""#, "Not a valid UUID")]
    #[case(
        r#""state":"TASK_RUNNING","uuid":"ABEiM0RVRneImaq7zN3u/w==","executor_id":{"value":"f"}"#,
        "ExecutorID in Call: e does not match ExecutorID in TaskStatus: f"
    )]
    #[case(
        r#""state":"TASK_RUNNING","uuid":"ABEiM0RVRneImaq7zN3u/w==""#,
        "Received Call from executor e of framework F with invalid source, expecting 'SOURCE_EXECUTOR'"
    )]
    #[case(
        r#""state":"TASK_RUNNING","uuid":"ABEiM0RVRneImaq7zN3u/w==","source":"SOURCE_AGENT""#,
        "Received Call from executor e of framework F with invalid source, expecting 'SOURCE_EXECUTOR'"
    )]
    #[case(
        r#""state":"TASK_STAGING","uuid":"ABEiM0RVRneImaq7zN3u/w==","source":"SOURCE_EXECUTOR""#,
        "Received TASK_STAGING from executor e of framework F which is not allowed"
    )]
    #[case(r#""state":"TASK_RUNNING","uuid":"ABEiM0RVRneImaq7zN3u/w==","source":"SOURCE_EXECUTOR","check_status":{}"#, "CheckStatusInfo must specify 'type'")]
    #[case(r#""state":"TASK_RUNNING","uuid":"ABEiM0RVRneImaq7zN3u/w==","source":"SOURCE_EXECUTOR","check_status":{"type":"TCP"}"#, "Expecting 'tcp' to be set for TCP check's status")]
    fn a_status_that_an_executor_may_not_tell_is_refused(#[case] status: &str, #[case] why: &str) {
        assert_eq!(update(status).unwrap_err(), invalid(why));
    }

    proptest! {
        #[test]
        fn no_body_panics(body in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = read(&body, Form::Protobuf, 0.0);
            let _ = read(&body, Form::Json, 0.0);
        }
    }
}
