//! How requests are made.

use std::path::Path;
use std::sync::Arc;

use docker_containerizer::policy::Policy;
use docker_containerizer::request::{CpuQuota, DefaultDns, Dns, EngineLog, RequestSettings};
use docker_containerizer::{CredentialError, OperatorConfig, ProxyVariables};
use flags::{DnsEntry, DnsNetwork, DockerSettings};

/// What the flags say about requests to the engine on `socket`.
///
/// # Errors
///
/// A `--docker_config` that has become unusable.
pub fn request_settings(
    settings: &DockerSettings,
    socket: &Path,
    operator: Option<&OperatorConfig>,
    policy: Arc<Policy>,
) -> Result<RequestSettings, CredentialError> {
    let proxies = match operator {
        Some(operator) => operator.proxies(socket)?,
        None => ProxyVariables::default(),
    };
    Ok(RequestSettings {
        sandbox_directory: settings.sandbox_directory.display().to_string(),
        cfs: if settings.cgroups_enable_cfs { CpuQuota::FromRequest } else { CpuQuota::FromLimit },
        default_dns: default_dns(settings),
        engine_log: EngineLog {
            driver: settings.logs.driver.clone(),
            max_size: settings.logs.driver_max_size,
            max_files: u32::try_from(settings.logs.driver_max_files).unwrap_or(u32::MAX),
        },
        proxies,
        policy,
    })
}

fn default_dns(settings: &DockerSettings) -> DefaultDns {
    let entry = |entry: &DnsEntry| Dns {
        nameservers: entry.nameservers.clone(),
        search: entry.search.clone(),
        options: entry.options.clone(),
    };
    let mut default_dns = DefaultDns::default();
    for dns in settings.default_container_dns.iter().flat_map(|dns| &dns.docker) {
        match &dns.network {
            DnsNetwork::Bridge => default_dns.bridge = Some(entry(dns)),
            DnsNetwork::User(name) => drop(default_dns.user.insert(name.clone(), entry(dns))),
            DnsNetwork::AnyUser => default_dns.any_user = Some(entry(dns)),
        }
    }
    default_dns
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dns_of_the_flag_reaches_the_networks_it_names() {
        let dns = r#"{"docker":[{"network_mode":"BRIDGE","dns":{"nameservers":["8.8.8.8"]}},
            {"network_mode":"USER","network_name":"net","dns":{"search":["x"]}}]}"#;
        let settings = DockerSettings::from_pairs([("default_container_dns", dns)]).unwrap().settings;
        let made = request_settings(&settings, Path::new("/run/docker.sock"), None, Arc::default()).unwrap();
        assert_eq!(made.default_dns.bridge.unwrap().nameservers, ["8.8.8.8"]);
        assert_eq!(made.default_dns.user["net"].search, ["x"]);
        assert!(made.default_dns.any_user.is_none());
    }
}
