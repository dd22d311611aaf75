//! A framework in `/state` (`FrameworkWriter` of `src/slave/http.cpp`).

use mesos_proto::v1::framework_info::capability::Type as Capability;
use serde_json::{Map, Value, json};

use super::executor::executor;
use crate::model::Framework;

/// A framework with its executors.
pub(super) fn framework(framework: &Framework) -> Value {
    let info = &framework.info;
    let mut shown = Map::new();
    let mut put = |name: &str, value: Value| shown.insert(name.to_owned(), value);
    put("id", json!(framework.id.as_str()));
    put("name", json!(info.name));
    put("user", json!(info.user));
    put("failover_timeout", json!(info.failover_timeout()));
    put("checkpoint", json!(info.checkpoint()));
    put("hostname", json!(info.hostname()));
    if let Some(principal) = &info.principal {
        put("principal", json!(principal));
    }
    if framework.has(Capability::MultiRole) {
        put("roles", json!(info.roles));
    } else {
        put("role", json!(role(info)));
    }
    put("executors", framework.executors.values().map(executor).collect());
    put("completed_executors", framework.completed_executors.iter().map(executor).collect());
    Value::Object(shown)
}

fn role(info: &mesos_proto::v1::FrameworkInfo) -> &str {
    info.role()
}
