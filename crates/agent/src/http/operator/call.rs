//! Calls, read and validated (`src/slave/validation.cpp`, `agent::call::validate`).

use http::StatusCode;
use mesos_proto::agent::{Call, call};
use mesos_proto::json::from_json_skipping;
use mesos_proto::{Message as _, v1};

use super::media::Form;
use crate::http::answer::Answer;

/// A call that is answered.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Asked {
    Health,
    Flags,
    Version,
    Metrics { timeout: Option<v1::DurationInfo> },
    LoggingLevel,
    SetLoggingLevel(call::SetLoggingLevel),
    ListFiles(call::ListFiles),
    ReadFile(call::ReadFile),
    State,
    Containers,
    Frameworks,
    Executors,
    Operations,
    Tasks,
    Agent,
    ResourceProviders,
    PruneImages,
}

/// Reads a call.
///
/// # Errors
///
/// The answer: 400 where it is malformed, 501 with the reason where this agent does not know how to do it.
pub(super) fn read(body: &[u8], form: Form) -> Result<(call::Type, Asked), Answer> {
    let call = match form {
        Form::Protobuf => Call::decode(body)
            .map_err(|_| Answer::bad_request("Failed to parse body into a protobuf object"))?,
        Form::Json => {
            let json = serde_json::from_slice(body)
                .map_err(|error| Answer::bad_request(format!("Failed to parse body into JSON: {error}")))?;
            let read = from_json_skipping::<Call>(json);
            read.map_err(|error| {
                Answer::bad_request(format!("Failed to convert JSON into Call protobuf: {error}"))
            })?
            .0
        }
    };
    let kind = call.r#type.and_then(|kind| call::Type::try_from(kind).ok());
    let kind = kind.ok_or_else(|| absent("type"))?;
    asked(call, kind).map(|asked| (kind, asked))
}

fn asked(call: Call, kind: call::Type) -> Result<Asked, Answer> {
    use call::Type;

    match kind {
        Type::Unknown => Err(Answer::text(StatusCode::NOT_IMPLEMENTED, "501 Not Implemented.")),
        Type::GetHealth => Ok(Asked::Health),
        Type::GetFlags => Ok(Asked::Flags),
        Type::GetVersion => Ok(Asked::Version),
        Type::GetMetrics => {
            let call = call.get_metrics.ok_or_else(|| absent("get_metrics"))?;
            Ok(Asked::Metrics { timeout: call.timeout })
        }
        Type::GetLoggingLevel => Ok(Asked::LoggingLevel),
        Type::SetLoggingLevel => {
            call.set_logging_level.map(Asked::SetLoggingLevel).ok_or_else(|| absent("set_logging_level"))
        }
        Type::ListFiles => call.list_files.map(Asked::ListFiles).ok_or_else(|| absent("list_files")),
        Type::ReadFile => call.read_file.map(Asked::ReadFile).ok_or_else(|| absent("read_file")),
        Type::GetState => Ok(Asked::State),
        Type::GetContainers => Ok(Asked::Containers),
        Type::GetFrameworks => Ok(Asked::Frameworks),
        Type::GetExecutors => Ok(Asked::Executors),
        Type::GetOperations => Ok(Asked::Operations),
        Type::GetTasks => Ok(Asked::Tasks),
        Type::GetAgent => Ok(Asked::Agent),
        Type::GetResourceProviders => Ok(Asked::ResourceProviders),
        Type::PruneImages => Ok(Asked::PruneImages),
        Type::LaunchNestedContainer => Err(nested(kind, call.launch_nested_container.is_some())),
        Type::WaitNestedContainer => Err(nested(kind, call.wait_nested_container.is_some())),
        Type::KillNestedContainer => Err(nested(kind, call.kill_nested_container.is_some())),
        Type::RemoveNestedContainer => Err(nested(kind, call.remove_nested_container.is_some())),
        Type::LaunchNestedContainerSession => {
            Err(nested(kind, call.launch_nested_container_session.is_some()))
        }
        Type::AttachContainerInput => Err(nested(kind, call.attach_container_input.is_some())),
        Type::AttachContainerOutput => Err(nested(kind, call.attach_container_output.is_some())),
        Type::LaunchContainer => Err(nested(kind, call.launch_container.is_some())),
        Type::WaitContainer => Err(nested(kind, call.wait_container.is_some())),
        Type::KillContainer => Err(nested(kind, call.kill_container.is_some())),
        Type::RemoveContainer => Err(nested(kind, call.remove_container.is_some())),
        Type::AddResourceProviderConfig => Err(provider(kind, call.add_resource_provider_config.is_some())),
        Type::UpdateResourceProviderConfig => {
            Err(provider(kind, call.update_resource_provider_config.is_some()))
        }
        Type::RemoveResourceProviderConfig => {
            Err(provider(kind, call.remove_resource_provider_config.is_some()))
        }
        Type::MarkResourceProviderGone => Err(provider(kind, call.mark_resource_provider_gone.is_some())),
    }
}

fn absent(field: &str) -> Answer {
    Answer::bad_request(format!("Failed to validate agent::Call: Expecting '{field}' to be present"))
}

fn nested(kind: call::Type, is_whole: bool) -> Answer {
    unsupported(kind, is_whole, "this agent has no nested and no standalone containers")
}

fn provider(kind: call::Type, is_whole: bool) -> Answer {
    unsupported(kind, is_whole, "this agent has no resource providers")
}

fn unsupported(kind: call::Type, is_whole: bool, why: &str) -> Answer {
    let name = kind.as_str_name();
    if !is_whole {
        return absent(&name.to_ascii_lowercase());
    }
    Answer::text(StatusCode::NOT_IMPLEMENTED, format!("{name} is not supported: {why}"))
}

/// The answer to a call that comes as a stream: only one of stock's does.
pub(super) fn streamed() -> Answer {
    nested(call::Type::AttachContainerInput, true)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case(r#"{"type":"GET_HEALTH"}"#, Asked::Health)]
    #[case(r#"{"type":"GET_HEALTH","bogus":1}"#, Asked::Health)]
    #[case(r#"{"type":"GET_METRICS","get_metrics":{}}"#, Asked::Metrics { timeout: None })]
    #[case(r#"{"type":"GET_CONTAINERS"}"#, Asked::Containers)]
    #[case(r#"{"type":"PRUNE_IMAGES"}"#, Asked::PruneImages)]
    #[case(r#"{"type":"LIST_FILES","list_files":{"path":"/x"}}"#, Asked::ListFiles(call::ListFiles { path: "/x".to_owned() }))]
    fn calls_are_read(#[case] body: &str, #[case] expected: Asked) {
        assert_eq!(read(body.as_bytes(), Form::Json).unwrap().1, expected);
    }

    /// Statuses and most sentences are those of a stock 1.11.0 agent; where it has "Unsupported" or answers as if it had
    /// done something, this agent says what it does not do.
    #[rstest]
    #[case("", "400", "Failed to parse body into JSON")]
    #[case("{", "400", "Failed to parse body into JSON")]
    #[case("[]", "400", "Failed to convert JSON into Call protobuf")]
    #[case("{}", "400", "Failed to validate agent::Call: Expecting 'type' to be present")]
    #[case(r#"{"type":"NOPE"}"#, "400", "$.type: unknown value")]
    #[case(r#"{"type":"UNKNOWN"}"#, "501", "501 Not Implemented.")]
    #[case(r#"{"type":"GET_METRICS"}"#, "400", "Expecting 'get_metrics' to be present")]
    #[case(r#"{"type":"SET_LOGGING_LEVEL"}"#, "400", "Expecting 'set_logging_level' to be present")]
    #[case(r#"{"type":"LIST_FILES"}"#, "400", "Expecting 'list_files' to be present")]
    #[case(r#"{"type":"READ_FILE"}"#, "400", "Expecting 'read_file' to be present")]
    #[case(r#"{"type":"READ_FILE","read_file":{"path":"/x"}}"#, "400", "read_file.offset")]
    #[case(r#"{"type":"KILL_CONTAINER"}"#, "400", "Expecting 'kill_container' to be present")]
    #[case(
        r#"{"type":"KILL_CONTAINER","kill_container":{"container_id":{"value":"x"}}}"#,
        "501",
        "KILL_CONTAINER is not supported: "
    )]
    #[case(
        r#"{"type":"MARK_RESOURCE_PROVIDER_GONE"}"#,
        "400",
        "Expecting 'mark_resource_provider_gone' to be present"
    )]
    #[case(r#"{"type":"REMOVE_RESOURCE_PROVIDER_CONFIG","remove_resource_provider_config":{"type":"a","name":"b"}}"#, "501", "no resource providers")]
    fn others_are_refused(#[case] body: &str, #[case] status: &str, #[case] why: &str) {
        let refused = format!("{:?}", read(body.as_bytes(), Form::Json).unwrap_err());
        let plain = refused.replace("\\'", "'").replace("\\\"", "\"");
        assert!(plain.contains(status) && plain.contains(why), "{plain}");
    }

    #[test]
    fn protobuf_says_the_same() {
        assert_eq!(read(b"\x08\x01", Form::Protobuf).unwrap().1, Asked::Health);
        for (body, why) in [(&b"\xff"[..], "protobuf object"), (b"", "type"), (b"\x08\x63", "type")] {
            let refused = format!("{:?}", read(body, Form::Protobuf).unwrap_err());
            assert!(refused.contains("400") && refused.contains(why), "{refused}");
        }
    }

    /// Every type of call is answered or refused by its own name.
    #[test]
    fn no_call_is_forgotten() {
        for number in 1..40 {
            let Ok(kind) = call::Type::try_from(number) else { continue };
            let body = Call { r#type: Some(number), ..Call::default() }.encode_to_vec();
            if let Err(refused) = read(&body, Form::Protobuf) {
                let refused = format!("{refused:?}");
                assert!(refused.contains(&kind.as_str_name().to_ascii_lowercase()), "{refused}");
            }
        }
    }
}
