//! Network mode, what is asked of each network, and published ports.

use std::collections::BTreeMap;

use docker_engine::create_body::{Empty, EndpointIpamConfig, EndpointSettings, PortBinding};
use docker_engine::{ApiVersion, CreateBody, NetworkingConfig};
use mesos_types::{ContainerSpec, Network, UserNetwork};

/// The first version that takes several networks in a create.
const SEVERAL_NETWORKS: ApiVersion = ApiVersion::new(1, 44);

/// A network that the container is connected to between its create and its start.
#[derive(Debug, Clone, PartialEq)]
pub struct Connection {
    /// The network's name.
    pub network: String,
    /// What is asked of it.
    pub settings: EndpointSettings,
}

/// Sets the mode, the networks and the ports, which were checked against the resources before.
pub(super) fn apply(body: &mut CreateBody, container: &ContainerSpec) {
    let mode = match &container.network {
        Network::Host => "host",
        Network::Bridge => "bridge",
        Network::None => "none",
        Network::User(networks) => networks.primary(),
    };
    body.host_config.network_mode = mode.to_owned();
    if let Network::User(networks) = &container.network {
        let endpoints: BTreeMap<_, _> =
            networks.iter().map(|network| (network.name.clone(), endpoint(network))).collect();
        // A single network of which nothing is asked needs no more than the mode.
        if endpoints.len() > 1 || endpoints.values().any(|settings| *settings != EndpointSettings::default())
        {
            body.networking_config = Some(NetworkingConfig { endpoints_config: endpoints });
        }
    }
    let mut bindings: BTreeMap<String, Vec<PortBinding>> = BTreeMap::new();
    for mapping in &container.port_mappings {
        let port = format!("{}/{}", mapping.container_port, mapping.protocol.name());
        body.exposed_ports.insert(port.clone(), Empty {});
        let binding = PortBinding { host_ip: String::new(), host_port: mapping.host_port.to_string() };
        bindings.entry(port).or_default().push(binding);
    }
    body.host_config.port_bindings = bindings;
}

/// What a network is asked for. Its labels go to its driver, as the options of `docker run --network` do.
fn endpoint(network: &UserNetwork) -> EndpointSettings {
    let text = |address: Option<String>| address.unwrap_or_default();
    let is_asked = network.ipv4.is_some() || network.ipv6.is_some();
    EndpointSettings {
        ipam_config: is_asked.then(|| EndpointIpamConfig {
            ipv4_address: text(network.ipv4.map(|address| address.to_string())),
            ipv6_address: text(network.ipv6.map(|address| address.to_string())),
            ..EndpointIpamConfig::default()
        }),
        driver_opts: network.labels.clone(),
        ..EndpointSettings::default()
    }
}

/// Takes out of the finished request the networks that an engine of this version does not take in a create: all but
/// the one that the mode names. They are connected one by one afterwards, in the order of their names, as the engine
/// connects those of a create.
pub(super) fn split(body: &mut CreateBody, api: ApiVersion) -> Vec<Connection> {
    let Some(config) = &mut body.networking_config else { return Vec::new() };
    if api >= SEVERAL_NETWORKS || config.endpoints_config.len() < 2 {
        return Vec::new();
    }
    let mode = &body.host_config.network_mode;
    let primary = config.endpoints_config.remove_entry(mode);
    let others = std::mem::take(&mut config.endpoints_config);
    config.endpoints_config.extend(primary);
    others.into_iter().map(|(network, settings)| Connection { network, settings }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body(networks: &[&str]) -> CreateBody {
        let mut body = CreateBody::default();
        body.host_config.network_mode = networks[0].to_owned();
        let endpoints_config =
            networks.iter().map(|&name| (name.to_owned(), EndpointSettings::default())).collect();
        body.networking_config = Some(NetworkingConfig { endpoints_config });
        body
    }

    #[rstest::rstest]
    #[case::old_engine(ApiVersion::new(1, 43), &["b", "c", "a"], &["b"], &["a", "c"])]
    #[case::new_engine(ApiVersion::new(1, 44), &["b", "c", "a"], &["a", "b", "c"], &[])]
    #[case::one_network(ApiVersion::new(1, 40), &["b"], &["b"], &[])]
    fn an_old_engine_creates_with_the_primary_network_only(
        #[case] api: ApiVersion,
        #[case] networks: &[&str],
        #[case] created: &[&str],
        #[case] connected: &[&str],
    ) {
        let mut body = body(networks);
        let connections = split(&mut body, api);
        let endpoints = body.networking_config.unwrap().endpoints_config;
        assert_eq!(endpoints.keys().collect::<Vec<_>>(), created);
        assert_eq!(connections.iter().map(|one| one.network.as_str()).collect::<Vec<_>>(), connected);
    }
}
