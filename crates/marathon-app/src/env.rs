//! `env` and `labels`.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::command::MAX_ARGUMENT;
use crate::error::{AppError, JsonPath, Problem};
use crate::reader::{Object, wrong_type};

/// Reads `env`. Values are strings; `{"secret": ...}` is refused by name.
pub(crate) fn read_env(app: &Object<'_>) -> Result<BTreeMap<String, String>, AppError> {
    let path = app.at("env");
    let members = match app.value("env") {
        None => return Ok(BTreeMap::new()),
        Some(Value::Object(members)) => members,
        Some(other) => return Err(wrong_type(&path, "an object of strings", other)),
    };
    members.iter().map(|(name, value)| variable(name, value, &path.key(name))).collect()
}

fn variable(name: &str, value: &Value, path: &JsonPath) -> Result<(String, String), AppError> {
    if name.is_empty() || name.contains('=') {
        return Err(path.invalid("the name of a variable must not be empty or have a ="));
    }
    let value = match value {
        Value::String(value) => value,
        Value::Object(members) if members.contains_key("secret") => {
            return Err(path.error(Problem::Refused {
                what: "variables from secrets are not supported yet",
                remedy: "put the value into env or a mounted file",
            }));
        }
        Value::Number(_) | Value::Bool(_) => return Err(wrong_type(path, "a string in quotes", value)),
        other => return Err(wrong_type(path, "a string", other)),
    };
    let length = name.len() + 1 + value.len();
    if length > MAX_ARGUMENT {
        return Err(path.invalid(format!(
            "{length} bytes with its name are more than the kernel passes in one variable, {MAX_ARGUMENT}"
        )));
    }
    Ok((name.to_owned(), value.clone()))
}
