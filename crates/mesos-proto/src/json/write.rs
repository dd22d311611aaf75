//! From a message to JSON, as stock's `JSON::protobuf` (stout/protobuf.hpp) prints it.

use base64::{Engine, prelude::BASE64_STANDARD};
use prost_reflect::{DynamicMessage, FieldDescriptor, Kind, MapKey, ReflectMessage, Value};
use serde_json::{Map, Number, Value as Json};

use super::names::{self, Names};

/// What becomes of optional fields that are not set.
#[derive(Clone, Copy)]
enum Unset {
    /// Those for which the `.proto` file gives a default show it, unless they are deprecated.
    Default,
    /// They are left out.
    Omitted,
}

/// Prints a message as stock does on its endpoints.
///
/// Fields come in the order of the `.proto` files. Unset fields are left out, but those for which Mesos gives a default
/// value show it (`"network":"HOST"`, `"privileged":false`), unless they are deprecated. Empty lists are left out.
/// An enum value that has no name is printed as its number. Secrets are printed: what may not be seen is for the caller
/// to remove before.
///
/// A message that is nested more than 100 levels deep prints as `null`. prost decodes no such message, so it can only
/// have been put together from parts.
pub fn to_json<M: ReflectMessage>(message: &M, names: Names) -> Json {
    print(message, names, Unset::Default)
}

/// Prints a message as [`to_json`] does, but only the fields that are set.
///
/// Reading this form gives an equal message.
pub fn to_json_set<M: ReflectMessage>(message: &M, names: Names) -> Json {
    print(message, names, Unset::Omitted)
}

fn print<M: ReflectMessage>(message: &M, names: Names, unset: Unset) -> Json {
    let mut dynamic = DynamicMessage::new(message.descriptor());
    match dynamic.transcode_from(message) {
        Ok(()) => object(&dynamic, names, unset),
        Err(_) => Json::Null,
    }
}

fn object(message: &DynamicMessage, names: Names, unset: Unset) -> Json {
    let kind = message.descriptor();
    let mut members = Map::new();
    // The descriptor's own iterator goes by number, stock by the order in the file.
    let declared = kind.descriptor_proto().field.iter();
    for field in declared.filter_map(|f| kind.get_field(f.number().unsigned_abs())) {
        let Some(name) = names::field_name(&field, names) else { continue };
        // prost leaves an empty value out of a map's entry, and with it the required fields of that value.
        if message.has_field(&field) || field.is_required() {
            members.insert(name.to_owned(), content(&message.get_field(&field), &field.kind(), names, unset));
        } else if let Unset::Default = unset
            && shows_default(&field)
        {
            members.insert(name.to_owned(), content(&field.default_value(), &field.kind(), names, unset));
        }
    }
    Json::Object(members)
}

/// Whether stock prints the field when it is not set.
fn shows_default(field: &FieldDescriptor) -> bool {
    let proto = field.field_descriptor_proto();
    proto.default_value.is_some() && !proto.options.as_ref().is_some_and(|o| o.deprecated())
}

fn content(value: &Value, kind: &Kind, names: Names, unset: Unset) -> Json {
    match value {
        Value::Bool(b) => Json::Bool(*b),
        Value::I32(n) => Json::from(*n),
        Value::I64(n) => Json::from(*n),
        Value::U32(n) => Json::from(*n),
        Value::U64(n) => Json::from(*n),
        Value::F32(n) => double(f64::from(*n)),
        Value::F64(n) => double(*n),
        Value::String(text) => Json::from(text.as_str()),
        Value::Bytes(bytes) => Json::from(BASE64_STANDARD.encode(bytes)),
        Value::EnumNumber(number) => match kind {
            Kind::Enum(kind) => {
                kind.get_value(*number).map_or(Json::from(*number), |v| names::value_name(&v, names).into())
            }
            _ => Json::from(*number),
        },
        Value::Message(message) => object(message, names, unset),
        Value::List(list) => list.iter().map(|v| content(v, kind, names, unset)).collect(),
        Value::Map(map) => {
            let kind = match kind {
                Kind::Message(entry) => entry.map_entry_value_field().kind(),
                other => other.clone(),
            };
            let mut entries: Vec<_> =
                map.iter().map(|(k, v)| (key(k), content(v, &kind, names, unset))).collect();
            entries.sort_by(|(a, _), (b, _)| a.cmp(b));
            Json::Object(entries.into_iter().collect())
        }
    }
}

fn key(key: &MapKey) -> String {
    match key {
        MapKey::Bool(b) => b.to_string(),
        MapKey::I32(n) => n.to_string(),
        MapKey::I64(n) => n.to_string(),
        MapKey::U32(n) => n.to_string(),
        MapKey::U64(n) => n.to_string(),
        MapKey::String(text) => text.clone(),
    }
}

fn double(n: f64) -> Json {
    match Number::from_f64(n) {
        Some(number) => Json::Number(number),
        None if n.is_nan() => "NaN".into(),
        None if n > 0.0 => "Infinity".into(),
        None => "-Infinity".into(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::v1::{
        AgentId, AgentInfo, ContainerId, ContainerInfo, Resource, Task, TaskState, TaskStatus,
        container_info::DockerInfo,
        task_status::{Reason, Source},
        value::Scalar,
    };

    #[test]
    fn unset_fields_with_a_default_are_printed_unless_deprecated() {
        let docker = DockerInfo { image: "busybox".to_owned(), ..DockerInfo::default() };
        assert_eq!(
            to_json(&docker, Names::V1).to_string(),
            r#"{"image":"busybox","network":"HOST","privileged":false}"#
        );
        assert_eq!(to_json_set(&docker, Names::V1), json!({"image": "busybox"}));

        // Resource.role has the default "*", but is deprecated.
        let resource = Resource { name: "cpus".to_owned(), ..Resource::default() };
        assert_eq!(to_json(&resource, Names::V1), json!({"name": "cpus", "type": "SCALAR"}));
    }

    #[test]
    fn names_follow_the_version() {
        let status = TaskStatus {
            state: TaskState::TaskLost.into(),
            source: Some(Source::Agent.into()),
            reason: Some(Reason::AgentRemoved.into()),
            agent_id: Some(AgentId { value: "agent_id".to_owned() }),
            ..TaskStatus::default()
        };
        assert_eq!(
            to_json(&status, Names::V1).to_string(),
            r#"{"task_id":{"value":""},"state":"TASK_LOST","source":"SOURCE_AGENT","reason":"REASON_AGENT_REMOVED","agent_id":{"value":"agent_id"}}"#
        );
        assert_eq!(
            to_json(&status, Names::V0).to_string(),
            r#"{"task_id":{"value":""},"state":"TASK_LOST","source":"SOURCE_SLAVE","reason":"REASON_SLAVE_REMOVED","slave_id":{"value":"agent_id"}}"#
        );
    }

    #[test]
    fn what_only_v0_has_is_printed_in_v0() {
        let info = AgentInfo { checkpoint: Some(true), ..AgentInfo::default() };
        assert_eq!(to_json_set(&info, Names::V0), json!({"hostname": "", "checkpoint": true}));
        assert_eq!(to_json_set(&info, Names::V1), json!({"hostname": ""}));
    }

    #[test]
    fn required_fields_of_an_empty_map_value_are_printed() {
        let limits = [("cpus".to_owned(), Scalar { value: 0.0 })].into();
        let task = Task { limits, ..Task::default() };
        assert_eq!(to_json_set(&task, Names::V1)["limits"], json!({"cpus": {"value": 0.0}}));
    }

    #[test]
    fn numbers_without_a_json_form_or_a_name() {
        for (number, text) in
            [(f64::INFINITY, "Infinity"), (f64::NEG_INFINITY, "-Infinity"), (f64::NAN, "NaN")]
        {
            assert_eq!(double(number), json!(text));
        }
        assert_eq!(double(32.0).to_string(), "32.0");
        let unnamed = ContainerInfo { r#type: 77, ..ContainerInfo::default() };
        assert_eq!(to_json_set(&unnamed, Names::V1), json!({"type": 77}));
    }

    #[test]
    fn a_message_deeper_than_prost_decodes_is_null() {
        let deep = |levels| {
            (0..levels).fold(ContainerId::default(), |inner, _| ContainerId {
                value: String::new(),
                parent: Some(Box::new(inner)),
            })
        };
        assert!(to_json(&deep(90), Names::V1).is_object());
        assert!(to_json(&deep(200), Names::V1).is_null());
    }
}
