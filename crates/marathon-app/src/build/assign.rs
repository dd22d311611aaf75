//! Numbers for the ports of one task (Marathon `PortsMatcher` and `NetworkInfo.portAssignments`).

use std::collections::{BTreeMap, BTreeSet};

use crate::app::App;
use crate::build::port_source::{PortRefusal, PortSource, show_ranges};
use crate::error::{AppError, JsonPath, Problem};
use crate::ports::{HostPorts, PortDefinition, PortMapping, Ports, Protocols};

/// The first port that a container may be given without one of the host.
const FIRST_GENERATED: u16 = 1025;

/// A port of a task with its numbers.
#[derive(Debug, Clone)]
pub(crate) struct AssignedPort<'a> {
    /// The number that the definition names for it: container port or service port, 0 when none.
    pub(crate) requested: u16,
    /// Its host port.
    pub(crate) host: Option<u16>,
    /// Its port in the container; absent on the host's network.
    pub(crate) container: Option<u16>,
    /// Protocols.
    pub(crate) protocols: Protocols,
    /// Name.
    pub(crate) name: Option<&'a str>,
    /// Labels.
    pub(crate) labels: &'a BTreeMap<String, String>,
}

impl AssignedPort<'_> {
    /// The number under which others reach it: on the host if possible.
    pub(crate) fn effective(&self) -> u16 {
        self.host.or(self.container).unwrap_or(self.requested)
    }

    /// The number on which the task listens, as seen from its own network.
    pub(crate) fn listening(&self) -> u16 {
        self.container.or(self.host).unwrap_or(self.requested)
    }

    /// Whether the number was made up, because neither host nor definition had one.
    pub(crate) fn is_generated(&self) -> bool {
        self.host.is_none() && self.requested == 0
    }
}

/// The service ports of an app, one for each port; those given are kept, the others taken from `source`.
///
/// # Errors
///
/// An [`AppError`] when there are no more.
pub fn service_ports(app: &App, source: &mut dyn PortSource) -> Result<Vec<u16>, AppError> {
    let wanted: Vec<(u16, JsonPath)> = match &app.ports {
        Ports::None => Vec::new(),
        Ports::Definitions { definitions, .. } => {
            definitions.iter().map(|one| (one.port, one.number_path.clone())).collect()
        }
        Ports::Mappings(mappings) => {
            mappings.iter().map(|one| (one.service_port, one.path.key("servicePort"))).collect()
        }
    };
    for (port, _) in &wanted {
        // A service port may be any number; it is taken only so that it is not chosen for another.
        let _ = source.take(*port);
    }
    wanted
        .into_iter()
        .map(|(port, path)| match port {
            0 => source.take_any().ok_or_else(|| {
                path.invalid(format!("no service port is left in {}", show_ranges(source.ranges())))
            }),
            port => Ok(port),
        })
        .collect()
}

/// Gives every port of a task its numbers.
pub(crate) fn assign<'a>(
    ports: &'a Ports,
    service_ports: &[u16],
    source: &mut dyn PortSource,
) -> Result<Vec<AssignedPort<'a>>, AppError> {
    match ports {
        Ports::None => Ok(Vec::new()),
        Ports::Definitions { definitions, host_ports } => {
            let wanted = definitions.iter().map(|one| Wanted::by_definition(one, *host_ports)).collect();
            let hosts = take_hosts(wanted, source)?;
            let ports = definitions.iter().zip(service_ports).zip(hosts);
            Ok(ports.map(|((one, requested), host)| defined(one, *requested, host)).collect())
        }
        Ports::Mappings(mappings) => {
            let hosts = take_hosts(mappings.iter().map(Wanted::by_mapping).collect(), source)?;
            let mut assigned: Vec<_> =
                mappings.iter().zip(hosts).map(|(one, host)| mapped(one, host)).collect();
            generate(&mut assigned);
            Ok(assigned)
        }
    }
}

fn defined(one: &PortDefinition, requested: u16, host: Option<u16>) -> AssignedPort<'_> {
    AssignedPort {
        requested,
        host,
        container: None,
        protocols: one.protocols,
        name: one.name.as_deref(),
        labels: &one.labels,
    }
}

fn mapped(one: &PortMapping, host: Option<u16>) -> AssignedPort<'_> {
    AssignedPort {
        requested: one.container_port,
        host,
        container: if one.container_port == 0 { host } else { Some(one.container_port) },
        protocols: one.protocols,
        name: one.name.as_deref(),
        labels: &one.labels,
    }
}

/// Numbers for ports in the container that have no other: a network of its own leaves the choice free.
fn generate(assigned: &mut [AssignedPort<'_>]) {
    let mut used: BTreeSet<u16> =
        assigned.iter().flat_map(|port| [port.host, port.container]).flatten().collect();
    for port in assigned.iter_mut().filter(|port| port.container.is_none()) {
        port.container = (FIRST_GENERATED..=u16::MAX).find(|number| used.insert(*number));
    }
}

/// The wish of one port for a host port.
struct Wanted {
    /// The number; 0 is any, nothing is none.
    port: Option<u16>,
    protocols: Protocols,
    path: JsonPath,
}

impl Wanted {
    fn by_definition(one: &PortDefinition, host_ports: HostPorts) -> Self {
        let port = match host_ports {
            HostPorts::Required => one.port,
            HostPorts::Chosen => 0,
        };
        Self { port: Some(port), protocols: one.protocols, path: one.number_path.clone() }
    }

    fn by_mapping(one: &PortMapping) -> Self {
        Self { port: one.host_port, protocols: one.protocols, path: one.path.key("hostPort") }
    }
}

/// Takes the host ports of one task: those with a number first, so that none of them is given to another.
fn take_hosts(wanted: Vec<Wanted>, source: &mut dyn PortSource) -> Result<Vec<Option<u16>>, AppError> {
    let explicit = |one: &Wanted| one.port.filter(|port| *port != 0);
    for (index, one) in wanted.iter().enumerate() {
        let Some(port) = explicit(one) else { continue };
        let mut same = wanted[..index].iter().filter(|other| other.port == Some(port)).peekable();
        // The same number for tcp and for udp is one port of the resource.
        let shared = same.peek().is_some() && same.all(|other| !other.protocols.overlap(one.protocols));
        if !shared {
            source.take(port).map_err(|refusal| refused(port, refusal, &one.path, source))?;
        }
    }
    wanted
        .iter()
        .map(|one| match one.port {
            Some(0) => source.take_any().map(Some).ok_or_else(|| {
                one.path.invalid(format!("no host port is left in {}", show_ranges(source.ranges())))
            }),
            other => Ok(other),
        })
        .collect()
}

fn refused(port: u16, refusal: PortRefusal, path: &JsonPath, source: &dyn PortSource) -> AppError {
    let reason = match refusal {
        PortRefusal::NotOffered => {
            format!("is not in the resources, the ports are {}", show_ranges(source.ranges()))
        }
        PortRefusal::Taken => "is taken, by another port or task; 0 takes a free one".to_owned(),
    };
    path.error(Problem::Port { port, reason })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::build::port_source::PortPool;

    type Pair = (Option<u16>, Option<u16>);

    fn mapping(container_port: u16, host_port: Option<u16>, protocols: Protocols) -> PortMapping {
        PortMapping {
            container_port,
            host_port,
            service_port: 0,
            protocols,
            name: None,
            labels: BTreeMap::new(),
            path: JsonPath::root(),
        }
    }

    /// Host port and port in the container of each mapping, from a pool of five ports.
    fn numbers(mappings: Vec<PortMapping>) -> Result<Vec<Pair>, String> {
        let ports = Ports::Mappings(mappings);
        let assigned =
            assign(&ports, &[], &mut PortPool::new([5000..=5004])).map_err(|error| error.to_string())?;
        Ok(assigned.iter().map(|port| (port.host, port.container)).collect())
    }

    #[test]
    fn numbers_that_are_asked_for_are_not_given_to_others() {
        let found = numbers(vec![
            mapping(80, Some(0), Protocols::Tcp),
            mapping(0, Some(5000), Protocols::Tcp),
            mapping(0, Some(0), Protocols::Udp),
            mapping(53, Some(5001), Protocols::Udp),
            mapping(53, Some(5001), Protocols::Tcp),
        ]);
        let expected = [(5002, 80), (5000, 5000), (5003, 5003), (5001, 53), (5001, 53)];
        assert_eq!(found.unwrap(), expected.map(|(host, container)| (Some(host), Some(container))));
    }

    #[test]
    fn ports_without_a_host_port_get_a_number_of_their_own() {
        let found = numbers(vec![
            mapping(0, None, Protocols::Tcp),
            mapping(1025, None, Protocols::Tcp),
            mapping(0, None, Protocols::Tcp),
        ]);
        assert_eq!(found.unwrap(), [(None, Some(1026)), (None, Some(1025)), (None, Some(1027))]);
    }

    #[test]
    fn overlapping_protocols_cannot_share_a_number() {
        for (first, second, shared) in [
            (Protocols::Tcp, Protocols::Udp, true),
            (Protocols::Tcp, Protocols::Tcp, false),
            (Protocols::Udp, Protocols::TcpUdp, false),
            (Protocols::UdpTcp, Protocols::TcpUdp, false),
        ] {
            let found = numbers(vec![mapping(1, Some(5000), first), mapping(2, Some(5000), second)]);
            assert_eq!(found.is_ok(), shared, "{first:?} {second:?}");
        }
    }
}
