//! `GET /containers/{id}/json`, as far as it matters here. Only the id and the state must be there.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::serde_null::nullable;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Container {
    pub(super) id: String,
    pub(super) state: State,
    #[serde(default, deserialize_with = "nullable")]
    pub(super) name: String,
    #[serde(default, deserialize_with = "nullable")]
    pub(super) created: String,
    #[serde(default, deserialize_with = "nullable")]
    pub(super) image: String,
    #[serde(default, deserialize_with = "nullable")]
    pub(super) restart_count: u64,
    #[serde(default, deserialize_with = "nullable")]
    pub(super) config: Config,
    #[serde(default, deserialize_with = "nullable")]
    pub(super) host_config: HostConfig,
    #[serde(default, deserialize_with = "nullable")]
    pub(super) network_settings: NetworkSettings,
    #[serde(default, deserialize_with = "nullable")]
    pub(super) mounts: Vec<Mount>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct State {
    pub(super) status: String,
    pub(super) running: bool,
    #[serde(default, deserialize_with = "nullable")]
    pub(super) paused: bool,
    #[serde(default, deserialize_with = "nullable")]
    pub(super) restarting: bool,
    #[serde(default, deserialize_with = "nullable")]
    pub(super) pid: i64,
    #[serde(default, deserialize_with = "nullable")]
    pub(super) exit_code: i64,
    #[serde(rename = "OOMKilled", default, deserialize_with = "nullable")]
    pub(super) oom_killed: bool,
    #[serde(default, deserialize_with = "nullable")]
    pub(super) error: String,
    #[serde(default, deserialize_with = "nullable")]
    pub(super) started_at: String,
    #[serde(default, deserialize_with = "nullable")]
    pub(super) finished_at: String,
    #[serde(default)]
    pub(super) health: Option<Health>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct Health {
    #[serde(deserialize_with = "nullable")]
    pub(super) status: String,
    #[serde(deserialize_with = "nullable")]
    pub(super) failing_streak: u32,
    #[serde(deserialize_with = "nullable")]
    pub(super) log: Vec<Probe>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct Probe {
    #[serde(deserialize_with = "nullable")]
    pub(super) exit_code: i64,
    #[serde(deserialize_with = "nullable")]
    pub(super) output: String,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct Config {
    #[serde(deserialize_with = "nullable")]
    pub(super) labels: BTreeMap<String, String>,
    #[serde(deserialize_with = "nullable")]
    pub(super) tty: bool,
    #[serde(deserialize_with = "nullable")]
    pub(super) stop_signal: String,
    #[serde(deserialize_with = "nullable")]
    pub(super) image: String,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct HostConfig {
    #[serde(deserialize_with = "nullable")]
    pub(super) network_mode: String,
    #[serde(deserialize_with = "nullable")]
    pub(super) log_config: LogConfig,
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct LogConfig {
    #[serde(rename = "Type", deserialize_with = "nullable")]
    pub(super) kind: String,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct NetworkSettings {
    #[serde(deserialize_with = "nullable")]
    pub(super) networks: BTreeMap<String, Endpoint>,
    #[serde(deserialize_with = "nullable")]
    pub(super) ports: BTreeMap<String, Option<Vec<Binding>>>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct Endpoint {
    #[serde(rename = "IPAddress", deserialize_with = "nullable")]
    pub(super) ip_address: String,
    #[serde(rename = "GlobalIPv6Address", deserialize_with = "nullable")]
    pub(super) global_ipv6_address: String,
    #[serde(deserialize_with = "nullable")]
    pub(super) gateway: String,
    #[serde(deserialize_with = "nullable")]
    pub(super) mac_address: String,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct Binding {
    #[serde(deserialize_with = "nullable")]
    pub(super) host_ip: String,
    #[serde(deserialize_with = "nullable")]
    pub(super) host_port: String,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct Mount {
    #[serde(rename = "Type", deserialize_with = "nullable")]
    pub(super) kind: String,
    #[serde(deserialize_with = "nullable")]
    pub(super) name: String,
    #[serde(deserialize_with = "nullable")]
    pub(super) source: String,
    #[serde(deserialize_with = "nullable")]
    pub(super) destination: String,
    #[serde(deserialize_with = "nullable")]
    pub(super) driver: String,
    #[serde(deserialize_with = "nullable")]
    pub(super) mode: String,
    #[serde(rename = "RW", deserialize_with = "nullable")]
    pub(super) rw: bool,
    #[serde(deserialize_with = "nullable")]
    pub(super) propagation: String,
}
