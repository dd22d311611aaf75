//! Members that a message does not have, for a reader that skips them as stock's `protobuf::parse` does
//! (stout/protobuf.hpp).

use prost_reflect::{Kind, MessageDescriptor, ReflectMessage};
use serde_json::Value as Json;

use super::{error::JsonError, names, path::Path, read::from_json};

/// Reads a message as [`from_json`] does, but skips members that it does not have. Their JSON paths are returned beside
/// it, in the order of the document.
///
/// # Errors
///
/// Those of [`from_json`], but for an unknown field.
pub fn from_json_skipping<M: ReflectMessage + Default>(
    mut value: Json,
) -> Result<(M, Vec<String>), JsonError> {
    let mut skipped = Vec::new();
    skip(&mut value, &M::default().descriptor(), &Path::Root, &mut skipped);
    Ok((from_json(value)?, skipped))
}

/// Takes what is unknown out of the JSON form of a message. What is wrong otherwise is left for the reader to say.
fn skip(value: &mut Json, kind: &MessageDescriptor, path: &Path<'_>, skipped: &mut Vec<String>) {
    let Json::Object(members) = value else { return };
    members.retain(|name, value| {
        let path = Path::Field(path, name);
        let Some(field) = names::find_field(kind, name) else {
            skipped.push(path.to_string());
            return false;
        };
        let Kind::Message(inner) = field.kind() else { return true };
        match value {
            // The keys of a map are data.
            Json::Object(entries) if field.is_map() => {
                if let Kind::Message(inner) = inner.map_entry_value_field().kind() {
                    for (key, value) in entries {
                        skip(value, &inner, &Path::Key(&path, key), skipped);
                    }
                }
            }
            Json::Array(elements) => {
                for (index, element) in elements.iter_mut().enumerate() {
                    skip(element, &inner, &Path::Index(&path, index), skipped);
                }
            }
            value => skip(value, &inner, &path, skipped),
        }
        true
    });
}
