//! Taking the values of secrets out of messages before a person sees them.

use mesos_proto::v1::TaskInfo;
use serde_json::Value;

/// What stands for a secret's value, whatever its length.
const HIDDEN: &str = "***";

/// Hides the value of every `Secret` in the JSON form of a message.
///
/// `Secret` is the only message with a `value` that has `data`, so it is known by that wherever it stands.
pub(crate) fn hide_secrets(json: &mut Value) {
    match json {
        Value::Array(values) => values.iter_mut().for_each(hide_secrets),
        Value::Object(fields) => {
            for (name, value) in fields.iter_mut() {
                match value.get_mut("data") {
                    Some(data) if name == "value" => *data = Value::from(HIDDEN),
                    _ => hide_secrets(value),
                }
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// Hides in an engine's inspection, or in a create request, the variables that the task takes from secrets.
pub(crate) fn hide_secret_variables(shown: &mut Value, info: &TaskInfo) {
    let environment = info.command.as_ref().and_then(|command| command.environment.as_ref());
    let variables = environment.map(|environment| environment.variables.as_slice()).unwrap_or_default();
    let secret =
        |name: &str| variables.iter().any(|variable| variable.secret.is_some() && variable.name == name);
    for place in ["/Config/Env", "/Env"] {
        let variables = shown.pointer_mut(place).and_then(Value::as_array_mut);
        for variable in variables.into_iter().flatten() {
            if let Some((name, _)) =
                variable.as_str().and_then(|text| text.split_once('=')).filter(|(name, _)| secret(name))
            {
                *variable = Value::from(format!("{name}={HIDDEN}"));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mesos_proto::json::{Names, to_json_set};
    use mesos_proto::v1::{CommandInfo, Environment, Secret, environment, secret};

    #[test]
    fn the_value_of_a_secret_is_nowhere_and_the_rest_is_there() {
        let secret = Secret { value: Some(secret::Value { data: b"hunter2".to_vec() }), ..Secret::default() };
        let variable =
            environment::Variable { name: "TOKEN".into(), secret: Some(secret), ..Default::default() };
        let plain =
            environment::Variable { name: "PLAIN".into(), value: Some("shown".into()), ..Default::default() };
        let info = TaskInfo {
            command: Some(CommandInfo {
                environment: Some(Environment { variables: vec![variable, plain] }),
                ..CommandInfo::default()
            }),
            ..TaskInfo::default()
        };
        let mut json = to_json_set(&info, Names::V1);
        assert!(json.to_string().contains("aHVudGVyMg"));
        hide_secrets(&mut json);
        let text = json.to_string();
        assert!(!text.contains("aHVudGVyMg") && text.contains("TOKEN") && text.contains("shown"), "{text}");
        let mut inspection = serde_json::json!({"Config": {"Env": ["TOKEN=hunter2", "PLAIN=shown", "odd"]}});
        hide_secret_variables(&mut inspection, &info);
        assert_eq!(inspection["Config"]["Env"], serde_json::json!(["TOKEN=***", "PLAIN=shown", "odd"]));
        let mut request = serde_json::json!({"Env": ["TOKEN=hunter2"]});
        hide_secret_variables(&mut request, &info);
        assert_eq!(request["Env"], serde_json::json!(["TOKEN=***"]));
    }
}
