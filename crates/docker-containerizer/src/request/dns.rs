//! DNS for tasks that name none themselves (`--default_container_dns`, `setDefaultDNS` in `src/docker/docker.cpp`).

use std::collections::BTreeMap;

use docker_engine::HostConfig;
use mesos_types::Network;

use super::{RequestInput, parameters};

/// Parameters that keep the default away, by whatever spelling.
const OWN: [&str; 3] = ["dns", "dns-search", "dns-option"];

/// The settings of one network.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Dns {
    /// The servers' addresses.
    pub nameservers: Vec<String>,
    /// The search domains.
    pub search: Vec<String>,
    /// Options of the resolver.
    pub options: Vec<String>,
}

/// The settings by network; none for HOST and NONE.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct DefaultDns {
    /// For BRIDGE.
    pub bridge: Option<Dns>,
    /// For USER networks by name.
    pub user: BTreeMap<String, Dns>,
    /// For USER networks without an entry of their own.
    pub any_user: Option<Dns>,
}

impl DefaultDns {
    /// The settings for a network, if it has any.
    fn of(&self, network: &Network) -> Option<&Dns> {
        match network {
            Network::Bridge => self.bridge.as_ref(),
            Network::User(networks) => self.user.get(networks.primary()).or(self.any_user.as_ref()),
            Network::Host | Network::None => None,
        }
    }
}

/// Sets the default unless a parameter says anything about DNS.
pub(super) fn apply(host: &mut HostConfig, input: &RequestInput<'_>) {
    let container = &input.task.container;
    if container.parameters.iter().any(|parameter| parameters::sets(parameter, &OWN)) {
        return;
    }
    if let Some(dns) = input.settings.default_dns.of(&container.network) {
        host.dns.clone_from(&dns.nameservers);
        host.dns_search.clone_from(&dns.search);
        host.dns_options.clone_from(&dns.options);
    }
}

#[cfg(test)]
mod tests {
    use mesos_types::UserNetworks;

    use super::*;

    fn dns(server: &str) -> Option<Dns> {
        Some(Dns { nameservers: vec![server.into()], ..Dns::default() })
    }

    #[rstest::rstest]
    #[case(Network::Bridge, Some("1"))]
    #[case(Network::User(UserNetworks::one("a")), Some("2"))]
    #[case(Network::User(UserNetworks::one("b")), Some("3"))]
    #[case(Network::Host, None)]
    #[case(Network::None, None)]
    fn a_network_has_its_entry(#[case] network: Network, #[case] expected: Option<&str>) {
        let default = DefaultDns {
            bridge: dns("1"),
            user: BTreeMap::from([("a".to_owned(), dns("2").unwrap())]),
            any_user: dns("3"),
        };
        assert_eq!(default.of(&network).map(|d| d.nameservers[0].as_str()), expected);
    }
}
