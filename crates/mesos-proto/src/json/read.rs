//! From JSON to a message: one walk down the document and the descriptors together.

use std::{borrow::Cow, collections::HashMap};

use prost_reflect::{
    Cardinality, DynamicMessage, FieldDescriptor, Kind, MapKey, MessageDescriptor, ReflectMessage, Value,
};
use serde_json::Value as Json;

use super::{error::JsonError, names, path::Path, scalar};

/// The greatest depth of objects and arrays that is read; no message but a chain of nested containers comes near it.
///
/// It stays below what prost decodes (100) and what serde_json parses (128), so that neither is reached.
pub const MAX_DEPTH: usize = 64;

/// Reads a message from its JSON form, with v0 or v1 names.
///
/// `null` counts as not set. The caller bounds the size of the input.
///
/// # Errors
///
/// [`JsonError`] names the JSON path of the first fault in the order of the document.
pub fn from_json<M: ReflectMessage + Default>(value: Json) -> Result<M, JsonError> {
    from_json_filling(value, &[])
}

/// Reads a message as [`from_json`] does, from a text.
///
/// # Errors
///
/// Those of [`from_json`], and [`JsonError::Syntax`].
pub fn from_json_str<M: ReflectMessage + Default>(text: &str) -> Result<M, JsonError> {
    from_json(serde_json::from_str(text).map_err(|source| JsonError::Syntax { source })?)
}

/// Reads a message as [`from_json`] does, where the caller fills in some required fields afterwards.
///
/// The fields in `filled`, by their v1 names, are those of the outermost message that may be absent; they then have
/// their Rust default. A framework that launches tasks fills in `agent_id` like this.
///
/// # Errors
///
/// Those of [`from_json`].
pub fn from_json_filling<M: ReflectMessage + Default>(value: Json, filled: &[&str]) -> Result<M, JsonError> {
    let kind = M::default().descriptor();
    let dynamic = message(value, &kind, &Path::Root, filled)?;
    dynamic
        .transcode_to()
        .map_err(|source| JsonError::Transcode { message: kind.full_name().to_owned(), source })
}

/// Reads one message; `filled` are its required fields that may be absent.
fn message(
    value: Json,
    kind: &MessageDescriptor,
    path: &Path<'_>,
    filled: &[&str],
) -> Result<DynamicMessage, JsonError> {
    if path.depth() >= MAX_DEPTH {
        return Err(JsonError::TooDeep { path: path.to_string(), limit: MAX_DEPTH });
    }
    let Json::Object(members) = value else {
        return Err(scalar::wrong(path, "an object", scalar::kind_of(&value)));
    };
    let mut result = DynamicMessage::new(kind.clone());
    // By field number, the name that set it.
    let mut seen: HashMap<u32, String> = HashMap::with_capacity(members.len());
    for (name, value) in members {
        let path = Path::Field(path, &name);
        let Some(field) = names::find_field(kind, &name) else {
            let known = kind.fields().map(|f| Cow::Owned(f.name().to_owned()));
            return Err(JsonError::UnknownField {
                path: path.to_string(),
                nearest: names::nearest(&name, known),
            });
        };
        if value.is_null() {
            continue;
        }
        if let Some(other) = rival(&field, &seen) {
            return Err(JsonError::Conflict { path: path.to_string(), other: other.clone() });
        }
        result.set_field(&field, content(value, &field, &path)?);
        seen.insert(field.number(), name);
    }
    // In the order of the numbers, so that the error does not depend on the order of the document.
    for field in kind.fields() {
        let required = field.cardinality() == Cardinality::Required;
        if required && !seen.contains_key(&field.number()) && !filled.contains(&field.name()) {
            return Err(JsonError::Missing { path: Path::Field(path, field.name()).to_string() });
        }
    }
    Ok(result)
}

/// The name under which the field itself, or another one of its oneof, was set before.
fn rival<'a>(field: &FieldDescriptor, seen: &'a HashMap<u32, String>) -> Option<&'a String> {
    match field.containing_oneof() {
        Some(oneof) => oneof.fields().find_map(|f| seen.get(&f.number())),
        None => seen.get(&field.number()),
    }
}

/// Reads the content of a field: one value, a list or a map.
fn content(value: Json, field: &FieldDescriptor, path: &Path<'_>) -> Result<Value, JsonError> {
    if field.is_map() {
        map(value, &field.kind(), path)
    } else if field.is_list() {
        let Json::Array(elements) = value else {
            return Err(scalar::wrong(path, "an array", scalar::kind_of(&value)));
        };
        let kind = field.kind();
        let read = |(index, element)| single(element, &kind, &Path::Index(path, index));
        elements.into_iter().enumerate().map(read).collect::<Result<_, _>>().map(Value::List)
    } else {
        single(value, &field.kind(), path)
    }
}

/// Reads a map from an object; its keys are data and stay as they are.
fn map(value: Json, entry: &Kind, path: &Path<'_>) -> Result<Value, JsonError> {
    let (Json::Object(members), Kind::Message(entry)) = (&value, entry) else {
        return Err(scalar::wrong(path, "an object", scalar::kind_of(&value)));
    };
    let (key_kind, value_kind) = (entry.map_entry_key_field().kind(), entry.map_entry_value_field().kind());
    let mut result = HashMap::with_capacity(members.len());
    let Json::Object(members) = value else { return Ok(Value::Map(result)) };
    for (key, value) in members {
        let path = Path::Key(path, &key);
        let value = single(value, &value_kind, &path)?;
        result.insert(map_key(&key, &key_kind, &path)?, value);
    }
    Ok(Value::Map(result))
}

/// Reads a key of a map. Those of Mesos are strings all.
fn map_key(key: &str, kind: &Kind, path: &Path<'_>) -> Result<MapKey, JsonError> {
    scalar::read(Json::String(key.to_owned()), kind, path)?
        .into_map_key()
        .ok_or_else(|| scalar::wrong(path, "a key", "a value that cannot be one".to_owned()))
}

/// Reads one value that is not a list and not a map.
fn single(value: Json, kind: &Kind, path: &Path<'_>) -> Result<Value, JsonError> {
    match kind {
        Kind::Message(kind) => message(value, kind, path, &[]).map(Value::Message),
        _ => scalar::read(value, kind, path),
    }
}
