//! The parts of a create request that are the container's own: command, environment, labels, networks.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::hidden::{Hidden, hidden_list_is_empty, is_false};
use super::host_config::HostConfig;
use crate::serde_null::nullable;

/// The whole body of a create request.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct CreateBody {
    /// The host name inside the container.
    #[serde(skip_serializing_if = "String::is_empty", deserialize_with = "nullable")]
    pub hostname: String,
    /// The domain name inside the container.
    #[serde(skip_serializing_if = "String::is_empty", deserialize_with = "nullable")]
    pub domainname: String,
    /// The user to run as: a name or number, with an optional group after a colon.
    #[serde(skip_serializing_if = "String::is_empty", deserialize_with = "nullable")]
    pub user: String,
    /// Whether standard input is attached.
    #[serde(skip_serializing_if = "is_false", deserialize_with = "nullable")]
    pub attach_stdin: bool,
    /// Whether standard output is attached.
    #[serde(skip_serializing_if = "is_false", deserialize_with = "nullable")]
    pub attach_stdout: bool,
    /// Whether standard error is attached.
    #[serde(skip_serializing_if = "is_false", deserialize_with = "nullable")]
    pub attach_stderr: bool,
    /// The ports that the container listens on, as `80/tcp`.
    #[serde(skip_serializing_if = "BTreeMap::is_empty", deserialize_with = "nullable")]
    pub exposed_ports: BTreeMap<String, Empty>,
    /// Whether the container has a terminal.
    #[serde(skip_serializing_if = "is_false", deserialize_with = "nullable")]
    pub tty: bool,
    /// Whether standard input stays open without a client.
    #[serde(skip_serializing_if = "is_false", deserialize_with = "nullable")]
    pub open_stdin: bool,
    /// Whether standard input closes after the first client.
    #[serde(skip_serializing_if = "is_false", deserialize_with = "nullable")]
    pub stdin_once: bool,
    /// The environment, each entry `NAME=value`; a bare `NAME` removes one of the image.
    #[serde(skip_serializing_if = "hidden_list_is_empty", deserialize_with = "nullable")]
    pub env: Hidden<Vec<String>>,
    /// The command, or the arguments of the entrypoint.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cmd: Option<Vec<String>>,
    /// The engine's own health check.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub healthcheck: Option<HealthConfig>,
    /// Whether the command is escaped already (Windows).
    #[serde(skip_serializing_if = "is_false", deserialize_with = "nullable")]
    pub args_escaped: bool,
    /// The image, by reference or id.
    #[serde(skip_serializing_if = "String::is_empty", deserialize_with = "nullable")]
    pub image: String,
    /// Paths inside the container that get anonymous volumes.
    #[serde(skip_serializing_if = "BTreeMap::is_empty", deserialize_with = "nullable")]
    pub volumes: BTreeMap<String, Empty>,
    /// The working directory of the command.
    #[serde(skip_serializing_if = "String::is_empty", deserialize_with = "nullable")]
    pub working_dir: String,
    /// The entrypoint; a list with one empty string removes the image's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub entrypoint: Option<Vec<String>>,
    /// Whether networking is switched off.
    #[serde(skip_serializing_if = "is_false", deserialize_with = "nullable")]
    pub network_disabled: bool,
    /// The MAC address; engines from API 1.44 want it in the endpoint's settings.
    #[serde(skip_serializing_if = "String::is_empty", deserialize_with = "nullable")]
    pub mac_address: String,
    /// Build triggers; without meaning here.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "nullable")]
    pub on_build: Vec<String>,
    /// The labels.
    #[serde(skip_serializing_if = "BTreeMap::is_empty", deserialize_with = "nullable")]
    pub labels: BTreeMap<String, String>,
    /// The signal that asks the container to stop.
    #[serde(skip_serializing_if = "String::is_empty", deserialize_with = "nullable")]
    pub stop_signal: String,
    /// Seconds that the engine waits after it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stop_timeout: Option<i64>,
    /// The shell of the image's shell-form commands.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "nullable")]
    pub shell: Vec<String>,
    /// Everything that concerns the host.
    pub host_config: HostConfig,
    /// The networks to connect to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub networking_config: Option<NetworkingConfig>,
}

/// A JSON object without fields, the value of the engine's sets.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Empty {}

/// A health check that the engine runs.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct HealthConfig {
    /// `NONE`, `CMD` with arguments, or `CMD-SHELL` with a command line; empty inherits the image's.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "nullable")]
    pub test: Vec<String>,
    /// Nanoseconds between checks.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub interval: Option<i64>,
    /// Nanoseconds that one check may take.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeout: Option<i64>,
    /// Failures in a row that make it unhealthy.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retries: Option<i64>,
    /// Nanoseconds at the start in which failures do not count.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub start_period: Option<i64>,
    /// Nanoseconds between checks in the start period (API 1.44).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub start_interval: Option<i64>,
}

/// The networks that a container is connected to when it is made.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct NetworkingConfig {
    /// The settings by network name.
    #[serde(skip_serializing_if = "BTreeMap::is_empty", deserialize_with = "nullable")]
    pub endpoints_config: BTreeMap<String, EndpointSettings>,
}

/// A container's place in one network.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct EndpointSettings {
    /// Addresses that are asked for.
    #[serde(rename = "IPAMConfig", skip_serializing_if = "Option::is_none")]
    pub ipam_config: Option<EndpointIpamConfig>,
    /// Links to other containers, `container:alias`.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "nullable")]
    pub links: Vec<String>,
    /// Names of the container in this network.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "nullable")]
    pub aliases: Vec<String>,
    /// The MAC address that is asked for.
    #[serde(skip_serializing_if = "String::is_empty", deserialize_with = "nullable")]
    pub mac_address: String,
    /// Options of the network driver.
    #[serde(skip_serializing_if = "BTreeMap::is_empty", deserialize_with = "nullable")]
    pub driver_opts: BTreeMap<String, String>,
    /// Which network gives the default gateway: the highest (API 1.48).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gw_priority: Option<i64>,
}

/// Addresses asked for in one network.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct EndpointIpamConfig {
    /// The IPv4 address.
    #[serde(rename = "IPv4Address", skip_serializing_if = "String::is_empty", deserialize_with = "nullable")]
    pub ipv4_address: String,
    /// The IPv6 address.
    #[serde(rename = "IPv6Address", skip_serializing_if = "String::is_empty", deserialize_with = "nullable")]
    pub ipv6_address: String,
    /// Link-local addresses.
    #[serde(rename = "LinkLocalIPs", skip_serializing_if = "Vec::is_empty", deserialize_with = "nullable")]
    pub link_local_ips: Vec<String>,
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    /// Every field with a value that is not its default.
    fn full() -> Value {
        serde_json::from_str(include_str!("../../tests/data/create-body-full.json")).unwrap()
    }

    fn paths(value: &Value, at: &str, found: &mut Vec<String>) {
        match value {
            Value::Object(object) => {
                object.iter().for_each(|(key, value)| paths(value, &format!("{at}/{key}"), found))
            }
            Value::Array(list) => list.iter().for_each(|value| paths(value, &format!("{at}[]"), found)),
            _ => found.push(at.to_owned()),
        }
    }

    #[test]
    fn no_field_is_lost_or_renamed() {
        let body: CreateBody = serde_json::from_value(full()).unwrap();
        assert_eq!(serde_json::to_value(&body).unwrap(), full());
    }

    /// The names are those of the API's own definition, as bollard generates it; what it lacks, the API has dropped.
    #[test]
    fn the_names_are_those_of_the_api() {
        let theirs: bollard::models::ContainerCreateBody = serde_json::from_value(full()).unwrap();
        let theirs = serde_json::to_value(&theirs).unwrap();
        let (mut known, mut ours) = (Vec::new(), Vec::new());
        paths(&theirs, "", &mut known);
        paths(&full(), "", &mut ours);
        ours.retain(|path| !known.contains(path));
        // The order of a JSON map depends on a feature that another crate of the workspace turns on.
        ours.sort();
        assert_eq!(ours, ["/HostConfig/KernelMemory", "/HostConfig/KernelMemoryTCP", "/MacAddress"]);
    }

    #[test]
    fn defaults_are_not_sent() {
        assert_eq!(serde_json::to_value(CreateBody::default()).unwrap(), json!({ "HostConfig": {} }));
    }

    #[test]
    fn what_an_inspection_writes_as_null_is_read() {
        let body: CreateBody = serde_json::from_value(json!({
            "Env": null, "Cmd": null, "Labels": null, "Volumes": null,
            "HostConfig": { "Binds": null, "Ulimits": null, "Dns": null, "MaskedPaths": null, "Memory": 0 }
        }))
        .unwrap();
        assert_eq!(body.host_config.resources.memory, Some(0));
    }

    #[test]
    fn debug_shows_no_value_that_may_be_secret() {
        let mut body: CreateBody = serde_json::from_value(full()).unwrap();
        body.env = vec!["PASSWORD=hunter2".to_owned(), "hunter2".to_owned()].into();
        if let Some(log) = &mut body.host_config.log_config {
            log.config.insert("token".into(), "hunter2".into());
        }
        if let Some(driver) =
            body.host_config.mounts[0].volume_options.as_mut().and_then(|v| v.driver_config.as_mut())
        {
            driver.options.insert("password".into(), "hunter2".into());
        }
        let shown = format!("{body:?}");
        assert!(!shown.contains("hunter2") && shown.contains("PASSWORD"), "{shown}");
    }
}
