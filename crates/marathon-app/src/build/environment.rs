//! The variables of a task: Marathon's, then the app's own, which win (`TaskBuilder.taskContextEnv`,
//! `EnvironmentHelper`).

use std::collections::BTreeMap;

use crate::app::App;
use crate::build::assign::AssignedPort;
use crate::build::context::BuildContext;

/// Keys and values of labels from this length on are left out.
const MAX_LENGTH: usize = 512;

/// The prefix of variables made from labels.
const LABEL_PREFIX: &str = "MARATHON_APP_LABEL_";

/// All variables by name.
pub(crate) fn environment(
    app: &App,
    task_id: &str,
    ports: &[AssignedPort<'_>],
    context: &BuildContext<'_>,
) -> BTreeMap<String, String> {
    let mut env = BTreeMap::from([
        ("HOST".to_owned(), context.host.clone()),
        ("MARATHON_APP_ID".to_owned(), app.id.to_string()),
        ("MARATHON_APP_RESOURCE_CPUS".to_owned(), java_double(app.resources.cpus)),
        ("MARATHON_APP_RESOURCE_DISK".to_owned(), java_double(app.resources.disk)),
        ("MARATHON_APP_RESOURCE_GPUS".to_owned(), app.resources.gpus.to_string()),
        ("MARATHON_APP_RESOURCE_MEM".to_owned(), java_double(app.resources.mem)),
        ("MARATHON_APP_VERSION".to_owned(), context.version.clone()),
        ("MESOS_TASK_ID".to_owned(), task_id.to_owned()),
    ]);
    if let Some(docker) = app.container.docker() {
        env.insert("MARATHON_APP_DOCKER_IMAGE".to_owned(), docker.image.clone());
    }
    label_variables(&app.labels, &mut env);
    port_variables(ports, &mut env);
    env.extend(app.env.clone());
    env
}

fn label_variables(labels: &BTreeMap<String, String>, env: &mut BTreeMap<String, String>) {
    let length = |text: &str| text.encode_utf16().count();
    let fits =
        |key: &str, value: &str| length(key) < MAX_LENGTH - LABEL_PREFIX.len() && length(value) < MAX_LENGTH;
    let variables: BTreeMap<String, &String> = labels
        .iter()
        .filter(|(key, value)| fits(key, value))
        .map(|(key, value)| (label_name(key), value))
        .collect();
    let names: Vec<&str> = variables.keys().map(String::as_str).collect();
    env.insert("MARATHON_APP_LABELS".to_owned(), names.join(" "));
    env.extend(variables.iter().map(|(name, value)| (format!("{LABEL_PREFIX}{name}"), (*value).clone())));
}

/// A label's key as part of a variable's name: runs of other characters become one underscore, the rest upper case.
fn label_name(key: &str) -> String {
    let mut name = String::with_capacity(key.len());
    let mut replaced = false;
    for c in key.chars() {
        if c.is_ascii_alphanumeric() || c == '_' {
            name.push(c.to_ascii_uppercase());
            replaced = false;
        } else if !replaced {
            name.push('_');
            replaced = true;
        }
    }
    name
}

fn port_variables(ports: &[AssignedPort<'_>], env: &mut BTreeMap<String, String>) {
    if ports.is_empty() {
        return;
    }
    for (index, port) in ports.iter().enumerate() {
        let number = port.effective();
        env.insert(format!("PORT{index}"), number.to_string());
        let known_as = if port.requested == 0 { number } else { port.requested };
        env.insert(format!("PORT_{known_as}"), number.to_string());
    }
    for port in ports {
        if let (Some(name), Some(host)) = (port.name, port.host) {
            env.insert(format!("PORT_{}", name.to_ascii_uppercase()), host.to_string());
        }
    }
    let generated = ports.iter().filter(|port| port.is_generated()).map(AssignedPort::effective);
    let all: Vec<String> =
        ports.iter().filter_map(|port| port.host).chain(generated).map(|port| port.to_string()).collect();
    if let Some(first) = all.first() {
        env.insert("PORT".to_owned(), first.clone());
    }
    env.insert("PORTS".to_owned(), all.join(","));
}

/// A number as Java prints a double, since Marathon does: `1.0`, `0.1`, `1.0E7`.
fn java_double(number: f64) -> String {
    if number == 0.0 || (1e-3..1e7).contains(&number.abs()) {
        return format!("{number:?}");
    }
    let scientific = format!("{number:e}");
    let (digits, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let point = if digits.contains('.') { "" } else { ".0" };
    format!("{digits}{point}E{exponent}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_look_like_javas() {
        for (number, text) in [
            (0.0, "0.0"),
            (1.0, "1.0"),
            (0.1, "0.1"),
            (0.001, "0.001"),
            (0.00095, "9.5E-4"),
            (128.0, "128.0"),
            (9_999_999.5, "9999999.5"),
            (1e7, "1.0E7"),
            (12_345_678.0, "1.2345678E7"),
        ] {
            assert_eq!(java_double(number), text);
        }
    }

    #[test]
    fn labels_become_variables() {
        let labels = BTreeMap::from([
            ("a.b-c".to_owned(), "1".to_owned()),
            ("äö x".to_owned(), "2".to_owned()),
            ("k".repeat(492), "long key".to_owned()),
            ("k".repeat(493), "too long".to_owned()),
            ("v".to_owned(), "v".repeat(512)),
        ]);
        let mut env = BTreeMap::new();
        label_variables(&labels, &mut env);
        assert_eq!(env["MARATHON_APP_LABEL_A_B_C"], "1");
        assert_eq!(env["MARATHON_APP_LABEL__X"], "2");
        assert_eq!(env["MARATHON_APP_LABELS"], format!("A_B_C {} _X", "K".repeat(492)));
        assert_eq!(env.len(), 4);
        let mut none = BTreeMap::new();
        label_variables(&BTreeMap::new(), &mut none);
        assert_eq!(none, BTreeMap::from([("MARATHON_APP_LABELS".to_owned(), String::new())]));
    }
}
