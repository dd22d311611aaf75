//! A task in `/state` (`json(writer, Task)` and `json(writer, TaskStatus)` of `src/common/http.cpp`).

use mesos_proto::json::{Names, to_json};
use mesos_proto::{v1, without_secrets};
use serde_json::{Map, Value, json};

use super::resources::amounts;

/// A task that was launched.
pub(super) fn task(task: &v1::Task) -> Value {
    let mut shown = Map::new();
    let mut put = |name: &str, value: Value| shown.insert(name.to_owned(), value);
    put("id", json!(task.task_id.value));
    put("name", json!(task.name));
    put("framework_id", json!(task.framework_id.value));
    put("executor_id", json!(task.executor_id.as_ref().map_or("", |id| id.value.as_str())));
    put("slave_id", json!(task.agent_id.value));
    put("state", json!(task.state().as_str_name()));
    put("resources", amounts(&task.resources));
    if !task.limits.is_empty() {
        put("limits", task.limits.iter().map(|(name, limit)| (name.clone(), number(limit.value))).collect());
    }
    put("role", json!(role(&task.resources)));
    put("statuses", task.statuses.iter().map(status).collect());
    if let Some(user) = &task.user {
        put("user", json!(user));
    }
    if let Some(given) = &task.labels {
        put("labels", labels(given));
    }
    if let Some(discovery) = &task.discovery {
        put("discovery", to_json(discovery, Names::V0));
    }
    if let Some(container) = &task.container {
        put("container", to_json(&without_secrets(container), Names::V0));
    }
    if let Some(health_check) = &task.health_check {
        put("health_check", to_json(&without_secrets(health_check), Names::V0));
    }
    Value::Object(shown)
}

/// A task that waits for its executor.
pub(super) fn queued_task(task: &v1::TaskInfo) -> Value {
    let mut shown = Map::new();
    let mut put = |name: &str, value: Value| shown.insert(name.to_owned(), value);
    put("id", json!(task.task_id.value));
    put("name", json!(task.name));
    put("slave_id", json!(task.agent_id.value));
    put("resources", amounts(&task.resources));
    put("role", json!(role(&task.resources)));
    if let Some(given) = &task.command {
        put("command", command(&without_secrets(given)));
    }
    if let Some(executor) = &task.executor {
        put("executor_id", json!(executor.executor_id.value));
    }
    if let Some(discovery) = &task.discovery {
        put("discovery", to_json(discovery, Names::V0));
    }
    Value::Object(shown)
}

/// The role that resources are allocated to; all of a task are of one.
pub(super) fn role(resources: &[v1::Resource]) -> &str {
    let allocation = resources.first().and_then(|resource| resource.allocation_info.as_ref());
    allocation.map_or("*", |allocation| allocation.role())
}

/// A list of keys and values.
pub(super) fn labels(labels: &v1::Labels) -> Value {
    labels.labels.iter().map(|label| to_json(label, Names::V0)).collect()
}

fn status(status: &v1::TaskStatus) -> Value {
    let mut shown = Map::new();
    shown.insert("state".to_owned(), json!(status.state().as_str_name()));
    shown.insert("timestamp".to_owned(), number(status.timestamp()));
    if let Some(given) = &status.labels {
        shown.insert("labels".to_owned(), labels(given));
    }
    if let Some(container) = &status.container_status {
        shown.insert("container_status".to_owned(), to_json(container, Names::V0));
    }
    if let Some(healthy) = status.healthy {
        shown.insert("healthy".to_owned(), json!(healthy));
    }
    Value::Object(shown)
}

fn command(command: &v1::CommandInfo) -> Value {
    let mut shown = Map::new();
    if command.shell.is_some() {
        shown.insert("shell".to_owned(), json!(command.shell()));
    }
    if let Some(value) = &command.value {
        shown.insert("value".to_owned(), json!(value));
    }
    shown.insert("argv".to_owned(), json!(command.arguments));
    if let Some(environment) = &command.environment {
        shown.insert("environment".to_owned(), to_json(environment, Names::V0));
    }
    shown.insert("uris".to_owned(), command.uris.iter().map(|uri| to_json(uri, Names::V0)).collect());
    Value::Object(shown)
}

/// A number, or the word for one that JSON has not.
fn number(value: f64) -> Value {
    match value {
        value if value.is_finite() => json!(value),
        value if value.is_nan() => json!("NaN"),
        value if value > 0.0 => json!("Infinity"),
        _ => json!("-Infinity"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mesos_proto::json::from_json;

    #[test]
    fn a_queued_task_shows_its_command_and_no_secret() {
        let info: v1::TaskInfo = from_json(json!({
            "name": "n", "task_id": {"value": "t"}, "agent_id": {"value": "S"},
            "resources": [{"name": "cpus", "type": "SCALAR", "scalar": {"value": 1.0}, "allocation_info": {"role": "r"}}],
            "command": {"shell": false, "value": "a", "arguments": ["a", "b"], "uris": [{"value": "http://u/x"}],
                "environment": {"variables": [
                    {"name": "PLAIN", "value": "v"},
                    {"name": "HIDDEN", "type": "SECRET", "secret": {"type": "VALUE", "value": {"data": "aHVudGVyMg=="}}}]}},
            "discovery": {"visibility": "CLUSTER", "name": "d"}
        }))
        .unwrap();
        let shown = queued_task(&info);
        assert_eq!(shown["role"], "r");
        assert_eq!(shown["command"]["argv"], json!(["a", "b"]));
        assert_eq!(shown["command"]["uris"][0]["value"], "http://u/x");
        assert_eq!(shown["discovery"]["name"], "d");
        assert_eq!(shown.get("executor_id"), None);
        assert!(shown.to_string().contains("PLAIN"));
        assert!(!shown.to_string().contains("aHVudGVyMg"), "{shown}");
    }

    #[test]
    fn a_task_without_resources_has_the_default_role() {
        assert_eq!(task(&v1::Task::default())["role"], "*");
    }
}
