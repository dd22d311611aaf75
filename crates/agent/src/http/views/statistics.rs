//! What containers use (`Http::containers` and `Http::statistics` of `src/slave/http.cpp`).

use docker_containerizer::Usage;
use mesos_proto::json::{Names, to_json};
use mesos_proto::{agent::response, v1};
use mesos_types::ContainerId;
use serde_json::{Map, Value, json};

use super::executor::source;
use crate::model::{Agent, ExecutorPhase};

/// A container that lives, and the executor that it belongs to.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct ContainerEntry {
    /// The container.
    pub(crate) container_id: ContainerId,
    framework_id: String,
    executor_id: String,
    executor_name: String,
    source: String,
}

/// The containers of all executors that have not ended.
pub(crate) fn entries(agent: &Agent) -> Vec<ContainerEntry> {
    let executors = agent
        .frameworks
        .values()
        .flat_map(|framework| framework.executors.values().map(move |executor| (framework, executor)));
    executors
        .filter(|(_, executor)| executor.phase != ExecutorPhase::Terminated)
        .map(|(framework, executor)| ContainerEntry {
            container_id: executor.container_id,
            framework_id: framework.id.as_str().to_owned(),
            executor_id: executor.id.as_str().to_owned(),
            executor_name: executor.info.name().to_owned(),
            source: source(&executor.info).to_owned(),
        })
        .collect()
}

/// The wire form of a usage.
pub(crate) fn resource_statistics(usage: &Usage) -> v1::ResourceStatistics {
    v1::ResourceStatistics {
        timestamp: usage.timestamp,
        processes: usage.processes,
        cpus_user_time_secs: Some(usage.cpus_user_time_secs),
        cpus_system_time_secs: Some(usage.cpus_system_time_secs),
        cpus_limit: usage.cpus_limit,
        cpus_soft_limit: usage.cpus_soft_limit,
        cpus_nr_periods: usage.cpus_nr_periods,
        cpus_nr_throttled: usage.cpus_nr_throttled,
        cpus_throttled_time_secs: usage.cpus_throttled_time_secs,
        mem_total_bytes: usage.mem_total_bytes,
        mem_limit_bytes: usage.mem_limit_bytes,
        mem_soft_limit_bytes: usage.mem_soft_limit_bytes,
        mem_rss_bytes: Some(usage.mem_rss_bytes),
        ..v1::ResourceStatistics::default()
    }
}

/// `/monitor/statistics`: containers whose usage could not be read are left out.
pub(crate) fn statistics(containers: &[(ContainerEntry, Option<v1::ResourceStatistics>)]) -> Value {
    let shown = |(entry, usage): &(ContainerEntry, Option<v1::ResourceStatistics>)| {
        let mut shown = members(entry);
        shown.insert("statistics".to_owned(), to_json(usage.as_ref()?, Names::V0));
        Some(Value::Object(shown))
    };
    containers.iter().filter_map(shown).collect()
}

/// `/containers`: what could not be read is left out of its entry.
pub(crate) fn containers(containers: &[(ContainerEntry, Option<v1::ResourceStatistics>)]) -> Value {
    let shown = |(entry, usage): &(ContainerEntry, Option<v1::ResourceStatistics>)| {
        let mut shown = members(entry);
        shown.insert("container_id".to_owned(), json!(entry.container_id.to_string()));
        shown.insert("status".to_owned(), to_json(&container_status(entry), Names::V0));
        if let Some(usage) = usage {
            shown.insert("statistics".to_owned(), to_json(usage, Names::V0));
        }
        Value::Object(shown)
    };
    containers.iter().map(shown).collect()
}

/// The answer to GET_CONTAINERS. Without containers stock leaves the whole list out.
pub(crate) fn containers_response(
    containers: Vec<(ContainerEntry, Option<v1::ResourceStatistics>)>,
) -> Option<response::GetContainers> {
    let shown = |(entry, usage): (ContainerEntry, _)| response::get_containers::Container {
        container_status: Some(container_status(&entry)),
        framework_id: Some(v1::FrameworkId { value: entry.framework_id }),
        executor_id: Some(v1::ExecutorId { value: entry.executor_id }),
        executor_name: Some(entry.executor_name),
        container_id: wire_id(entry.container_id),
        resource_statistics: usage,
    };
    let containers: Vec<_> = containers.into_iter().map(shown).collect();
    (!containers.is_empty()).then_some(response::GetContainers { containers })
}

fn members(entry: &ContainerEntry) -> Map<String, Value> {
    let members = [
        ("executor_id", &entry.executor_id),
        ("executor_name", &entry.executor_name),
        ("framework_id", &entry.framework_id),
        ("source", &entry.source),
    ];
    members.into_iter().map(|(name, value)| (name.to_owned(), json!(value))).collect()
}

/// Stock's Docker containerizer tells the id only (`DockerContainerizerProcess::status`).
fn container_status(entry: &ContainerEntry) -> v1::ContainerStatus {
    v1::ContainerStatus { container_id: Some(wire_id(entry.container_id)), ..v1::ContainerStatus::default() }
}

fn wire_id(id: ContainerId) -> v1::ContainerId {
    v1::ContainerId { value: id.to_string(), parent: None }
}

/// An entry for tests.
#[cfg(test)]
pub(crate) fn entry(container_id: ContainerId) -> ContainerEntry {
    ContainerEntry {
        container_id,
        framework_id: "F".to_owned(),
        executor_id: "E".to_owned(),
        executor_name: "e".to_owned(),
        source: "s".to_owned(),
    }
}
