//! The networks that a container joins, and what it asks of each (`network_infos`).

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use mesos_proto::v1;

use crate::fields::{FieldError, Notices};

/// The most networks that a container joins.
const MOST_NETWORKS: usize = 64;

/// The network a container joins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Network {
    /// The host's own; the default.
    Host,
    /// The engine's default bridge.
    Bridge,
    /// Loopback only.
    None,
    /// Networks of the engine; the first is the primary one, whose address the task's status tells.
    User(UserNetworks),
}

/// One network of the engine at least, each once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserNetworks {
    list: Vec<UserNetwork>,
}

/// A network of the engine, and what the container asks of it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct UserNetwork {
    /// The network's name.
    pub name: String,
    /// The IPv4 address that is asked for.
    pub ipv4: Option<Ipv4Addr>,
    /// The IPv6 address that is asked for.
    pub ipv6: Option<Ipv6Addr>,
    /// The network's labels, which the engine hands to the network's driver.
    pub labels: BTreeMap<String, String>,
}

impl UserNetworks {
    /// One network by name, of which nothing is asked.
    pub fn one(name: impl Into<String>) -> Self {
        Self { list: vec![UserNetwork { name: name.into(), ..UserNetwork::default() }] }
    }

    /// The name of the first network, the primary one.
    pub fn primary(&self) -> &str {
        // A list is made with one entry at least.
        self.list.first().map_or("", |network| &network.name)
    }

    /// All of them, the primary one first.
    pub fn iter(&self) -> impl Iterator<Item = &UserNetwork> {
        self.list.iter()
    }
}

impl Network {
    /// Reads the network mode and, for USER, the networks.
    ///
    /// # Errors
    ///
    /// A USER network without a network info or name (stock's sentences), one that is named twice, and an address that
    /// is none. Several are taken, where stock takes one.
    pub(crate) fn from_proto(
        docker: &v1::container_info::DockerInfo,
        container: &v1::ContainerInfo,
        notices: &mut Notices,
    ) -> Result<Self, FieldError> {
        use v1::container_info::docker_info::Network as Wire;

        let mode = docker.network.unwrap_or(Wire::Host.into());
        let network = match Wire::try_from(mode) {
            Ok(Wire::Host) => Self::Host,
            Ok(Wire::Bridge) => Self::Bridge,
            Ok(Wire::None) => Self::None,
            Ok(Wire::User) => Self::User(user_networks(&container.network_infos, notices)?),
            Err(_) => {
                return Err(FieldError::new(
                    "container.docker.network",
                    format!("unknown network mode {mode}"),
                ));
            }
        };
        note_unused(&container.network_infos, &network, notices)?;
        Ok(network)
    }
}

fn user_networks(infos: &[v1::NetworkInfo], notices: &mut Notices) -> Result<UserNetworks, FieldError> {
    if infos.is_empty() {
        return Err(FieldError::new("container.network_infos", "No network info found in container info")
            .hint("a USER network needs one network_infos entry with a name"));
    }
    if infos.len() > MOST_NETWORKS {
        return Err(FieldError::new(
            "container.network_infos",
            format!("{} networks are more than {MOST_NETWORKS}", infos.len()),
        ));
    }
    let mut list: Vec<UserNetwork> = Vec::with_capacity(infos.len());
    for (at, info) in infos.iter().enumerate() {
        let field = format!("container.network_infos[{at}]");
        let Some(name) = info.name.as_deref().filter(|name| !name.is_empty() && !name.contains('\0')) else {
            return Err(FieldError::new(format!("{field}.name"), "No network name found in network info"));
        };
        if list.iter().any(|earlier| earlier.name == name) {
            return Err(FieldError::new(
                format!("{field}.name"),
                format!("the network {name} is named twice"),
            )
            .hint("remove one of the two"));
        }
        let mut network = UserNetwork { name: name.to_owned(), ..UserNetwork::default() };
        addresses(&field, info, &mut network, notices)?;
        network.labels = labels(&field, info, notices)?;
        list.push(network);
    }
    Ok(UserNetworks { list })
}

fn addresses(
    field: &str,
    info: &v1::NetworkInfo,
    network: &mut UserNetwork,
    notices: &mut Notices,
) -> Result<(), FieldError> {
    for (at, asked) in info.ip_addresses.iter().enumerate() {
        let field = format!("{field}.ip_addresses[{at}]");
        let Some(text) = &asked.ip_address else {
            notices.note(field, "the engine chooses the addresses, of the families that the network has")?;
            continue;
        };
        let address: IpAddr = text.parse().map_err(|_| {
            FieldError::new(format!("{field}.ip_address"), format!("{text:?} is not an IP address"))
                .hint("write it as 10.1.2.3 or fd00::5, without a prefix length")
        })?;
        let is_second = match address {
            IpAddr::V4(address) => *network.ipv4.get_or_insert(address) != address,
            IpAddr::V6(address) => *network.ipv6.get_or_insert(address) != address,
        };
        if is_second {
            notices
                .note(field, "a container has one address of a family in a network, and the first counts")?;
        }
    }
    Ok(())
}

/// Labels as the engine takes options of a network's driver: of a name that is there twice the last value counts.
fn labels(
    field: &str,
    info: &v1::NetworkInfo,
    notices: &mut Notices,
) -> Result<BTreeMap<String, String>, FieldError> {
    let mut labels = BTreeMap::new();
    let list = info.labels.as_ref().map_or(&[][..], |labels| &labels.labels);
    for (at, label) in list.iter().enumerate() {
        let field = format!("{field}.labels[{at}]");
        let value = label.value.clone().unwrap_or_default();
        if label.key.is_empty() || label.key.contains('\0') || value.contains('\0') {
            return Err(FieldError::new(field, "a network label has no key, or a NUL character"));
        }
        if labels.insert(label.key.clone(), value).is_some() {
            notices.note(field, "the label was there before, and the last value counts")?;
        }
    }
    Ok(labels)
}

/// Notes what the engine has no notion of, or not on this network.
fn note_unused(
    infos: &[v1::NetworkInfo],
    network: &Network,
    notices: &mut Notices,
) -> Result<(), FieldError> {
    let is_user = matches!(network, Network::User(_));
    for (at, info) in infos.iter().enumerate() {
        let field = format!("container.network_infos[{at}]");
        if !info.groups.is_empty() {
            notices.note(format!("{field}.groups"), "the engine has no network groups")?;
        }
        if !info.port_mappings.is_empty() {
            notices.note(format!("{field}.port_mappings"), "use container.docker.port_mappings")?;
        }
        if is_user {
            continue;
        }
        if info.labels.as_ref().is_some_and(|l| !l.labels.is_empty()) {
            notices.note(format!("{field}.labels"), "only the driver of a USER network takes labels")?;
        }
        if !info.ip_addresses.is_empty() {
            notices.note(
                format!("{field}.ip_addresses"),
                "only on a USER network can an address be asked for",
            )?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fields::Strictness;
    use v1::container_info::DockerInfo;
    use v1::container_info::docker_info::Network as Wire;

    fn read(mode: Option<Wire>, infos: Vec<v1::NetworkInfo>) -> Result<(Network, usize), FieldError> {
        let docker = DockerInfo { network: mode.map(Into::into), ..Default::default() };
        let container = v1::ContainerInfo { network_infos: infos, ..Default::default() };
        let mut notices = Notices::new(Strictness::Lenient);
        let network = Network::from_proto(&docker, &container, &mut notices)?;
        Ok((network, notices.into_list().len()))
    }

    fn info(name: &str) -> v1::NetworkInfo {
        v1::NetworkInfo { name: Some(name.into()), ..Default::default() }
    }

    fn asking(name: &str, addresses: &[Option<&str>]) -> v1::NetworkInfo {
        let ip_addresses = addresses
            .iter()
            .map(|text| v1::network_info::IpAddress { protocol: None, ip_address: text.map(Into::into) })
            .collect();
        v1::NetworkInfo { ip_addresses, ..info(name) }
    }

    #[test]
    fn the_network_is_the_hosts_unless_said_otherwise() {
        assert_eq!(read(None, vec![]).unwrap().0, Network::Host);
        assert_eq!(read(Some(Wire::Bridge), vec![]).unwrap().0, Network::Bridge);
        assert_eq!(read(Some(Wire::None), vec![]).unwrap().0, Network::None);
    }

    #[test]
    fn a_user_network_needs_a_name_and_the_first_is_primary() {
        let sentence = |infos| read(Some(Wire::User), infos).unwrap_err().to_string();
        assert!(sentence(vec![]).starts_with("No network info found in container info"));
        assert!(
            sentence(vec![v1::NetworkInfo::default()]).starts_with("No network name found in network info")
        );
        assert!(sentence(vec![info("a"), info("a")]).contains("twice"));
        let (network, _) = read(Some(Wire::User), vec![info("b"), info("a")]).unwrap();
        let Network::User(networks) = network else { panic!("{network:?}") };
        assert_eq!(networks.primary(), "b");
        assert_eq!(networks.iter().count(), 2);
    }

    #[rstest::rstest]
    #[case(&[Some("10.1.2.3"), Some("fd00::5")], Some((Some("10.1.2.3"), Some("fd00::5"), 0)))]
    #[case(&[None], Some((None, None, 1)))]
    #[case(&[Some("10.1.2.3/24")], None)]
    #[case(&[Some("10.1.2.3"), Some("10.1.2.4")], Some((Some("10.1.2.3"), None, 1)))]
    #[case(&[Some("10.1.2.3"), Some("10.1.2.3")], Some((Some("10.1.2.3"), None, 0)))]
    fn an_address_is_asked_for_by_family(
        #[case] asked: &[Option<&str>],
        #[case] expected: Option<(Option<&str>, Option<&str>, usize)>,
    ) {
        let read = read(Some(Wire::User), vec![asking("a", asked)]).ok().map(|(network, notices)| {
            let Network::User(networks) = network else { panic!("{network:?}") };
            let first = networks.iter().next().unwrap().clone();
            (first.ipv4.map(|a| a.to_string()), first.ipv6.map(|a| a.to_string()), notices)
        });
        let own = |text: Option<&str>| text.map(str::to_owned);
        assert_eq!(read, expected.map(|(v4, v6, notices)| (own(v4), own(v6), notices)));
    }

    #[test]
    fn what_has_no_place_on_another_network_is_noted() {
        let labels = v1::Labels { labels: vec![v1::Label { key: "k".into(), value: Some("v".into()) }] };
        let given = v1::NetworkInfo { labels: Some(labels), ..asking("a", &[Some("10.1.2.3")]) };
        assert_eq!(read(Some(Wire::Bridge), vec![given.clone()]).unwrap().1, 2);
        let (network, notices) = read(Some(Wire::User), vec![given.clone()]).unwrap();
        let Network::User(networks) = network else { panic!("{network:?}") };
        assert_eq!((networks.iter().next().unwrap().labels["k"].as_str(), notices), ("v", 0));
        let mut twice = given;
        let again = v1::Label { key: "k".into(), value: Some("w".into()) };
        twice.labels.as_mut().unwrap().labels.push(again);
        let (network, notices) = read(Some(Wire::User), vec![twice]).unwrap();
        let Network::User(networks) = network else { panic!("{network:?}") };
        assert_eq!((networks.iter().next().unwrap().labels["k"].as_str(), notices), ("w", 1));
    }
}
