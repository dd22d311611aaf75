//! A document to apps: one definition, `{"app": ...}` as Marathon's API prints it, an array, or `{"apps": [...]}`.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::app::App;
use crate::error::{AppError, JsonPath};
use crate::json;
use crate::reader::array;

/// Parses the text of a document.
///
/// # Errors
///
/// As [`json::parse`] and [`parse_value`].
pub fn parse_text(text: &[u8]) -> Result<Vec<App>, AppError> {
    apps(&json::parse(text)?)
}

/// Reads apps from a document that is already a value.
///
/// # Errors
///
/// An [`AppError`] with the place of the first thing that is wrong.
pub fn parse_value(value: &Value) -> Result<Vec<App>, AppError> {
    json::check(value, &JsonPath::root(), 0)?;
    apps(value)
}

fn apps(value: &Value) -> Result<Vec<App>, AppError> {
    let root = JsonPath::root();
    let apps = match value {
        Value::Array(_) => array(value, &root)?,
        Value::Object(members) => {
            let only = (members.len() == 1).then(|| members.iter().next()).flatten();
            match only.map(|(key, inner)| (key.as_str(), inner)) {
                Some(("app", app)) => vec![(root.key("app"), app)],
                Some(("apps", list)) => array(list, &root.key("apps"))?,
                _ => {
                    refuse_other_documents(value, &root)?;
                    vec![(root, value)]
                }
            }
        }
        other => return Err(crate::reader::wrong_type(&root, "an app definition", other)),
    };
    if apps.is_empty() {
        return Err(JsonPath::root().invalid("there is no app in the document"));
    }
    let mut places = BTreeMap::new();
    apps.into_iter()
        .map(|(path, value)| {
            let app = App::read(value, path.clone())?;
            match places.insert(app.id.clone(), path.clone()) {
                None => Ok(app),
                Some(other) => Err(path.key("id").invalid(format!("{} is the id of {other} too", app.id))),
            }
        })
        .collect()
}

/// Names the two other documents that people have, instead of calling their fields unknown.
fn refuse_other_documents(value: &Value, root: &JsonPath) -> Result<(), AppError> {
    if value.get("containers").is_some_and(Value::is_array) {
        return Err(
            root.invalid("this is a pod definition, and pods are not supported; write an app definition")
        );
    }
    if value.get("apps").is_some_and(Value::is_array) || value.get("groups").is_some_and(Value::is_array) {
        return Err(root.invalid("this is a group; give its apps as an array of app definitions"));
    }
    Ok(())
}
