//! Taking the values of secrets out of messages before a person sees them.

use mesos_proto::v1::TaskInfo;
use serde_json::Value;

/// What stands for a secret's value, whatever its length.
const HIDDEN: &str = "***";

/// The variables that programs find their proxies in, in any case.
const PROXIES: [&str; 5] = ["HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "FTP_PROXY", "ALL_PROXY"];

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

/// Hides in an engine's inspection, or in a create request, the variables that the task takes from secrets, and who may
/// use a proxy: the operator's `proxies` (`--docker_config`) are in the environment of every container.
pub(crate) fn hide_secret_variables(shown: &mut Value, info: &TaskInfo) {
    let environment = info.command.as_ref().and_then(|command| command.environment.as_ref());
    let variables = environment.map(|environment| environment.variables.as_slice()).unwrap_or_default();
    let secret =
        |name: &str| variables.iter().any(|variable| variable.secret.is_some() && variable.name == name);
    for place in ["/Config/Env", "/Env"] {
        let variables = shown.pointer_mut(place).and_then(Value::as_array_mut);
        for variable in variables.into_iter().flatten() {
            let Some((name, value)) = variable.as_str().and_then(|text| text.split_once('=')) else {
                continue;
            };
            if secret(name) {
                *variable = Value::from(format!("{name}={HIDDEN}"));
            } else if let Some(hidden) = without_user(name, value) {
                *variable = Value::from(format!("{name}={hidden}"));
            }
        }
    }
}

/// The address of a proxy without its user and password; `None` of what is no proxy's variable, or has none.
fn without_user(name: &str, value: &str) -> Option<String> {
    let is_proxy = PROXIES.iter().any(|proxy| proxy.eq_ignore_ascii_case(name));
    let (user, host) = value.rsplit_once('@').filter(|_| is_proxy)?;
    let scheme = user.split_once("://").map(|(scheme, _)| format!("{scheme}://")).unwrap_or_default();
    Some(format!("{scheme}{HIDDEN}@{host}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use mesos_proto::json::{Names, to_json_set};
    use mesos_proto::v1::{CommandInfo, Environment, Secret, environment, secret};

    #[rstest::rstest]
    #[case("HTTP_PROXY=http://u:hunter4@p.test:1", "HTTP_PROXY=http://***@p.test:1")]
    #[case("https_proxy=http://u:hunter4@x@p.test:1/", "https_proxy=http://***@p.test:1/")]
    #[case("all_proxy=u:hunter4@p.test", "all_proxy=***@p.test")]
    #[case("HTTP_PROXY=http://p.test:1", "HTTP_PROXY=http://p.test:1")]
    #[case("no_proxy=localhost,.test", "no_proxy=localhost,.test")]
    #[case("MAIL=u@p.test", "MAIL=u@p.test")]
    fn who_may_use_a_proxy_is_not_shown(#[case] variable: &str, #[case] shown: &str) {
        let mut request = serde_json::json!({ "Env": [variable] });
        hide_secret_variables(&mut request, &TaskInfo::default());
        assert_eq!(request["Env"], serde_json::json!([shown]));
    }

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
