//! The parts of a create request that concern the host.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::hidden::{Hidden, hidden_map_is_empty, is_false};
use super::mounts::Mount;
use super::resources::Resources;
use crate::serde_null::nullable;

/// How a container sits on its host: `HostConfig` of a create request, complete.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct HostConfig {
    /// Limits and shares. Sent as fields of this object.
    #[serde(flatten)]
    pub resources: Resources,
    /// Bind mounts and named volumes, `source:target[:options]`.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "nullable")]
    pub binds: Vec<String>,
    /// A file that gets the id; the engine itself ignores it.
    #[serde(
        rename = "ContainerIDFile",
        skip_serializing_if = "String::is_empty",
        deserialize_with = "nullable"
    )]
    pub container_id_file: String,
    /// The log driver; absent is the engine's default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub log_config: Option<LogConfig>,
    /// `host`, `none`, `bridge`, `container:<id>` or a network's name.
    #[serde(skip_serializing_if = "String::is_empty", deserialize_with = "nullable")]
    pub network_mode: String,
    /// Published ports, by `80/tcp`.
    #[serde(skip_serializing_if = "BTreeMap::is_empty", deserialize_with = "nullable")]
    pub port_bindings: BTreeMap<String, Vec<PortBinding>>,
    /// What the engine does when the container exits.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub restart_policy: Option<RestartPolicy>,
    /// Whether the engine removes the container when it exits.
    #[serde(skip_serializing_if = "is_false", deserialize_with = "nullable")]
    pub auto_remove: bool,
    /// Rows and columns of the terminal.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub console_size: Option<[u32; 2]>,
    /// Annotations passed to the runtime (API 1.43).
    #[serde(skip_serializing_if = "BTreeMap::is_empty", deserialize_with = "nullable")]
    pub annotations: BTreeMap<String, String>,
    /// The driver of named volumes in `binds`.
    #[serde(skip_serializing_if = "String::is_empty", deserialize_with = "nullable")]
    pub volume_driver: String,
    /// Containers whose volumes are mounted, `id[:ro|rw]`.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "nullable")]
    pub volumes_from: Vec<String>,
    /// Capabilities to add.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "nullable")]
    pub cap_add: Vec<String>,
    /// Capabilities to drop.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "nullable")]
    pub cap_drop: Vec<String>,
    /// `private` or `host`.
    #[serde(skip_serializing_if = "String::is_empty", deserialize_with = "nullable")]
    pub cgroupns_mode: String,
    /// DNS servers.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "nullable")]
    pub dns: Vec<String>,
    /// DNS options.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "nullable")]
    pub dns_options: Vec<String>,
    /// DNS search domains.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "nullable")]
    pub dns_search: Vec<String>,
    /// Lines of the hosts file, `name:address`.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "nullable")]
    pub extra_hosts: Vec<String>,
    /// Additional groups.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "nullable")]
    pub group_add: Vec<String>,
    /// The IPC namespace.
    #[serde(skip_serializing_if = "String::is_empty", deserialize_with = "nullable")]
    pub ipc_mode: String,
    /// The cgroup of another container, `container:<id>`.
    #[serde(skip_serializing_if = "String::is_empty", deserialize_with = "nullable")]
    pub cgroup: String,
    /// Links to other containers, `container:alias`.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "nullable")]
    pub links: Vec<String>,
    /// The OOM score adjustment, -1000 to 1000.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub oom_score_adj: Option<i64>,
    /// The PID namespace: `host` or `container:<id>`.
    #[serde(skip_serializing_if = "String::is_empty", deserialize_with = "nullable")]
    pub pid_mode: String,
    /// Whether the container may do everything.
    #[serde(skip_serializing_if = "is_false", deserialize_with = "nullable")]
    pub privileged: bool,
    /// Whether every exposed port is published.
    #[serde(skip_serializing_if = "is_false", deserialize_with = "nullable")]
    pub publish_all_ports: bool,
    /// Whether the root file system is read-only.
    #[serde(skip_serializing_if = "is_false", deserialize_with = "nullable")]
    pub readonly_rootfs: bool,
    /// Security options.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "nullable")]
    pub security_opt: Vec<String>,
    /// Options of the storage driver, such as `size`.
    #[serde(skip_serializing_if = "BTreeMap::is_empty", deserialize_with = "nullable")]
    pub storage_opt: BTreeMap<String, String>,
    /// Tmpfs mounts: options by path.
    #[serde(skip_serializing_if = "BTreeMap::is_empty", deserialize_with = "nullable")]
    pub tmpfs: BTreeMap<String, String>,
    /// The UTS namespace: `host`.
    #[serde(rename = "UTSMode", skip_serializing_if = "String::is_empty", deserialize_with = "nullable")]
    pub uts_mode: String,
    /// The user namespace: `host`.
    #[serde(skip_serializing_if = "String::is_empty", deserialize_with = "nullable")]
    pub userns_mode: String,
    /// Bytes of `/dev/shm`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shm_size: Option<i64>,
    /// Kernel parameters of the container's namespaces.
    #[serde(skip_serializing_if = "BTreeMap::is_empty", deserialize_with = "nullable")]
    pub sysctls: BTreeMap<String, String>,
    /// The OCI runtime.
    #[serde(skip_serializing_if = "String::is_empty", deserialize_with = "nullable")]
    pub runtime: String,
    /// The isolation technology (Windows).
    #[serde(skip_serializing_if = "String::is_empty", deserialize_with = "nullable")]
    pub isolation: String,
    /// Mounts in their long form.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "nullable")]
    pub mounts: Vec<Mount>,
    /// Paths to mask; an empty list masks none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub masked_paths: Option<Vec<String>>,
    /// Paths to make read-only; an empty list makes none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub readonly_paths: Option<Vec<String>>,
    /// Whether an init process forwards signals and reaps.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub init: Option<bool>,
}

/// The log driver of a container.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct LogConfig {
    /// The driver's name.
    #[serde(rename = "Type", skip_serializing_if = "String::is_empty", deserialize_with = "nullable")]
    pub driver: String,
    /// The driver's options; their values are not shown, as some are tokens.
    #[serde(skip_serializing_if = "hidden_map_is_empty", deserialize_with = "nullable")]
    pub config: Hidden<BTreeMap<String, String>>,
}

/// Where a container's port is published.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct PortBinding {
    /// The host's address; empty is all.
    pub host_ip: String,
    /// The host's port or a range; empty is any free one.
    pub host_port: String,
}

/// What the engine does when a container exits.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct RestartPolicy {
    /// `no`, `always`, `unless-stopped` or `on-failure`.
    #[serde(skip_serializing_if = "String::is_empty", deserialize_with = "nullable")]
    pub name: String,
    /// How often, with `on-failure`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub maximum_retry_count: Option<i64>,
}
