//! An executor in `/state` (`ExecutorWriter` of `src/slave/http.cpp`).

use serde_json::{Map, Value, json};

use super::resources::amounts;
use super::task;
use crate::model::Executor;

/// An executor with its tasks. Terminated tasks, whose last status waits for an acknowledgement, count as completed.
pub(super) fn executor(executor: &Executor) -> Value {
    let info = &executor.info;
    let mut shown = Map::new();
    let mut put = |name: &str, value: Value| shown.insert(name.to_owned(), value);
    put("id", json!(executor.id.as_str()));
    put("name", json!(info.name()));
    put("source", json!(source(info)));
    put("container", json!(executor.container_id.to_string()));
    put("directory", json!(executor.directory.to_string_lossy()));
    put("resources", amounts(executor.allocated()));
    if !info.resources.is_empty() {
        put("role", json!(task::role(&info.resources)));
    }
    if let Some(labels) = &info.labels {
        put("labels", task::labels(labels));
    }
    if info.r#type.is_some() {
        put("type", json!(info.r#type().as_str_name()));
    }
    put("tasks", executor.launched_tasks().map(|live| task::task(&live.task)).collect());
    put("queued_tasks", executor.queued_tasks().map(|(_, info)| task::queued_task(info)).collect());
    let terminated = executor.terminated_tasks().map(|live| &live.task);
    put("completed_tasks", executor.completed_tasks.iter().chain(terminated).map(task::task).collect());
    Value::Object(shown)
}

/// What frameworks tell apart executors by.
pub(super) fn source(info: &mesos_proto::v1::ExecutorInfo) -> &str {
    info.source()
}
