//! Network mode and published ports.

use std::collections::BTreeMap;

use docker_engine::CreateBody;
use docker_engine::create_body::{Empty, PortBinding};
use mesos_types::{ContainerSpec, Network};

/// Sets the mode and the ports, which were checked against the resources before.
pub(super) fn apply(body: &mut CreateBody, container: &ContainerSpec) {
    let mode = match &container.network {
        Network::Host => "host",
        Network::Bridge => "bridge",
        Network::None => "none",
        Network::User(name) => name,
    };
    body.host_config.network_mode = mode.to_owned();
    let mut bindings: BTreeMap<String, Vec<PortBinding>> = BTreeMap::new();
    for mapping in &container.port_mappings {
        let port = format!("{}/{}", mapping.container_port, mapping.protocol.name());
        body.exposed_ports.insert(port.clone(), Empty {});
        let binding = PortBinding { host_ip: String::new(), host_port: mapping.host_port.to_string() };
        bindings.entry(port).or_default().push(binding);
    }
    body.host_config.port_bindings = bindings;
}
