//! The agent in `/state` (`Http::state` of `src/slave/http.cpp`).

use std::collections::BTreeMap;

use mesos_proto::json::{Names, to_json};
use serde_json::{Map, Value, json};

use super::attributes::attributes;
use super::framework::framework;
use super::resources::{amounts, reserved, reserved_full, unreserved, unreserved_full};
use crate::http::VersionInfo;
use crate::model::Agent;

/// What `/state` says beside the model.
#[derive(Debug, Clone, Copy)]
pub(crate) struct StateFacts<'a> {
    /// Of this program.
    pub(crate) version: &'a VersionInfo,
    /// As they may be shown.
    pub(crate) flags: &'a BTreeMap<String, String>,
}

/// The whole of `/state`.
pub(crate) fn state(agent: &Agent, facts: StateFacts<'_>) -> Value {
    let mut shown = Map::new();
    let mut put = |name: &str, value: Value| shown.insert(name.to_owned(), value);
    for (name, value) in facts.version.members() {
        put(&name, value);
    }
    put("start_time", json!(agent.start_time));
    put("id", json!(agent.id.as_ref().map_or("", |id| id.as_str())));
    put("pid", json!(agent.pid));
    put("hostname", json!(agent.info.hostname));
    put(
        "capabilities",
        agent.capabilities.iter().map(|capability| json!(capability.as_str_name())).collect(),
    );
    if let Some(domain) = &agent.info.domain {
        put("domain", to_json(domain, Names::V0));
    }
    if let Some(draining) = &agent.draining {
        put("drain_config", to_json(&draining.config, Names::V0));
        put("estimated_drain_start_time_seconds", json!(draining.started));
    }
    let total = &agent.total_resources;
    put("resources", amounts(total));
    put("reserved_resources", reserved(total));
    put("unreserved_resources", unreserved(total));
    put("reserved_resources_full", reserved_full(total));
    put("unreserved_resources_full", unreserved_full(total));
    let allocated: Vec<_> = agent.allocated().cloned().collect();
    put("reserved_resources_allocated", reserved(&allocated));
    put("unreserved_resources_allocated", unreserved(&allocated));
    put("resource_providers", json!([]));
    put("attributes", attributes(&agent.info.attributes));
    if let Some(hostname) = agent.master.as_ref().and_then(|master| master.hostname.as_ref()) {
        put("master_hostname", json!(hostname));
    }
    for name in ["log_dir", "external_log_file"] {
        if let Some(value) = facts.flags.get(name) {
            put(name, json!(value));
        }
    }
    put("flags", json!(facts.flags));
    put("frameworks", agent.frameworks.values().map(framework).collect());
    put("completed_frameworks", agent.completed_frameworks.iter().map(framework).collect());
    Value::Object(shown)
}
