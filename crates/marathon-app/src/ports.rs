//! The ports of an app: port mappings on bridge and user networks, port definitions on the host's.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::container::Opened;
use crate::error::{AppError, JsonPath, Problem, quote};
use crate::known_fields::{IP_ADDRESS, IP_DISCOVERY, IP_DISCOVERY_PORT, PORT_DEFINITION, PORT_MAPPING};
use crate::networks::Network;
use crate::notes::Notes;
use crate::reader::{Object, port};

/// The name of the port that Marathon gives an app that says nothing about ports.
const DEFAULT_NAME: &str = "default";

/// The ports of an app. Numbers are as written; 0 stands for one to be chosen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ports {
    /// No network, no ports.
    None,
    /// On the host's network.
    Definitions {
        /// The definitions, in order.
        definitions: Vec<PortDefinition>,
        /// Whether their numbers are host ports.
        host_ports: HostPorts,
    },
    /// On a network of the engine.
    Mappings(Vec<PortMapping>),
}

/// What the numbers of port definitions are (`requirePorts`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HostPorts {
    /// Host ports are chosen, the numbers are service ports.
    Chosen,
    /// The numbers are host ports and service ports.
    Required,
}

/// A port of an app on the host's network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PortDefinition {
    /// Number.
    pub port: u16,
    /// Protocols.
    pub protocols: Protocols,
    /// Name, unique in the app.
    pub name: Option<String>,
    /// Labels for discovery.
    pub labels: BTreeMap<String, String>,
    pub(crate) path: JsonPath,
    pub(crate) number_path: JsonPath,
}

/// A port of an app in a container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PortMapping {
    /// Port in the container; 0 is the host port.
    pub container_port: u16,
    /// Port on the host; absent when there is none.
    pub host_port: Option<u16>,
    /// Port for load balancers.
    pub service_port: u16,
    /// Protocols.
    pub protocols: Protocols,
    /// Name, unique in the app.
    pub name: Option<String>,
    /// Labels for discovery.
    pub labels: BTreeMap<String, String>,
    pub(crate) path: JsonPath,
}

/// The protocols of one port, in the order written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocols {
    /// `tcp`.
    Tcp,
    /// `udp`.
    Udp,
    /// `tcp,udp`.
    TcpUdp,
    /// `udp,tcp`.
    UdpTcp,
}

impl Protocols {
    const WORDS: [(&'static str, Self); 4] =
        [("tcp", Self::Tcp), ("udp", Self::Udp), ("tcp,udp", Self::TcpUdp), ("udp,tcp", Self::UdpTcp)];

    /// The protocols one by one.
    pub fn names(self) -> &'static [&'static str] {
        match self {
            Self::Tcp => &["tcp"],
            Self::Udp => &["udp"],
            Self::TcpUdp => &["tcp", "udp"],
            Self::UdpTcp => &["udp", "tcp"],
        }
    }

    /// Whether two ports with the same number would get in each other's way.
    pub(crate) fn overlap(self, other: Self) -> bool {
        self.names().iter().any(|name| other.names().contains(name))
    }
}

impl Ports {
    /// How many ports there are.
    pub fn len(&self) -> usize {
        match self {
            Self::None => 0,
            Self::Definitions { definitions, .. } => definitions.len(),
            Self::Mappings(mappings) => mappings.len(),
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Reads the ports that go with `network`.
pub(crate) fn read_ports(
    app: &Object<'_>,
    opened: &Opened<'_>,
    network: &Network,
    notes: &mut Notes,
) -> Result<Ports, AppError> {
    let mappings = read_mappings(app, opened, network, notes)?;
    let definitions = read_definitions(app, notes)?;
    let require = app.boolean("requirePorts")?;
    match network {
        Network::Host | Network::None => {
            if let Some((path, _)) = mappings.filter(|(_, mappings)| !mappings.is_empty()) {
                return Err(path.invalid(format!(
                    "port mappings need a bridge or user network, and the network is {}",
                    network.word()
                )));
            }
        }
        Network::Bridge | Network::User { .. } => {
            for (path, _) in definitions.iter().filter(|(_, definitions)| !definitions.is_empty()) {
                notes.no_effect(path.clone(), "the network has port mappings instead");
            }
            if require == Some(true) {
                notes.no_effect(app.at("requirePorts"), "the network has port mappings instead");
            }
            let mappings =
                mappings.map_or_else(|| vec![default_mapping(app, network)], |(_, mappings)| mappings);
            unique_names(mappings.iter().map(|mapping| (&mapping.name, &mapping.path)))?;
            return Ok(Ports::Mappings(mappings));
        }
    }
    if *network == Network::None {
        return Ok(Ports::None);
    }
    let definitions =
        definitions.map_or_else(|| vec![default_definition(app)], |(_, definitions)| definitions);
    unique_names(definitions.iter().map(|definition| (&definition.name, &definition.path)))?;
    unique_numbers(&definitions)?;
    let host_ports = if require == Some(true) { HostPorts::Required } else { HostPorts::Chosen };
    Ok(Ports::Definitions { definitions, host_ports })
}

/// `container.portMappings`, `container.docker.portMappings`, or `ipAddress.discovery.ports`, whichever is there.
fn read_mappings(
    app: &Object<'_>,
    opened: &Opened<'_>,
    network: &Network,
    notes: &mut Notes,
) -> Result<Option<(JsonPath, Vec<PortMapping>)>, AppError> {
    let (new, old) = (opened.container.as_ref(), opened.docker.as_ref());
    if let (Some(new), Some(old)) = (new, old)
        && let (Some(one), Some(other)) = (new.value("portMappings"), old.value("portMappings"))
        && one != other
    {
        return Err(old.at("portMappings").error(Problem::Conflict {
            other: "container.portMappings".to_owned(),
            remedy: "use container.portMappings only",
        }));
    }
    for object in [new, old].into_iter().flatten() {
        if let Some(items) = object.array("portMappings")? {
            let mappings = items
                .into_iter()
                .map(|(path, item)| mapping(item, path, network, notes))
                .collect::<Result<_, _>>()?;
            return Ok(Some((object.at("portMappings"), mappings)));
        }
    }
    discovery_ports(app, notes)
}

fn mapping(
    item: &Value,
    path: JsonPath,
    network: &Network,
    notes: &mut Notes,
) -> Result<PortMapping, AppError> {
    let mapping = Object::open(item, path, &PORT_MAPPING, notes)?;
    if let Some(names) = mapping.strings("networkNames")?.filter(|names| !names.is_empty()) {
        let fits = matches!(network, Network::User { name, .. } if names == [name.as_str()]);
        if !fits {
            return Err(mapping
                .at("networkNames")
                .invalid("must hold the one network of the app, or nothing"));
        }
    }
    let host_port = mapping.port("hostPort")?;
    Ok(PortMapping {
        container_port: mapping.port("containerPort")?.unwrap_or(0),
        // On a bridge nothing else would reach the port, so Marathon always maps it.
        host_port: host_port.or((*network == Network::Bridge).then_some(0)),
        service_port: mapping.port("servicePort")?.unwrap_or(0),
        protocols: protocols(&mapping)?,
        name: name(&mapping)?,
        labels: mapping.string_map("labels")?,
        path: mapping.path,
    })
}

/// Ports in the container that the old `ipAddress` form announces; Marathon 1.5 turned them into mappings.
fn discovery_ports(
    app: &Object<'_>,
    notes: &mut Notes,
) -> Result<Option<(JsonPath, Vec<PortMapping>)>, AppError> {
    // What has no effect inside was noted when the network was read.
    let Some(ip_address) = app.object("ipAddress", &IP_ADDRESS, &mut Notes::default())? else {
        return Ok(None);
    };
    let Some(discovery) = ip_address.object("discovery", &IP_DISCOVERY, notes)? else { return Ok(None) };
    let Some(items) = discovery.array("ports")? else { return Ok(None) };
    let mut mappings = Vec::new();
    for (path, item) in items {
        let port = Object::open(item, path, &IP_DISCOVERY_PORT, notes)?;
        mappings.push(PortMapping {
            container_port: port.port("number")?.unwrap_or(0),
            host_port: None,
            service_port: 0,
            protocols: protocols(&port)?,
            name: name(&port)?,
            labels: port.string_map("labels")?,
            path: port.path,
        });
    }
    Ok(Some((discovery.at("ports"), mappings)))
}

/// `portDefinitions`, or `ports` where that is not there or says the same.
fn read_definitions(
    app: &Object<'_>,
    notes: &mut Notes,
) -> Result<Option<(JsonPath, Vec<PortDefinition>)>, AppError> {
    let definitions = match app.array("portDefinitions")? {
        None => None,
        Some(items) => Some(
            items
                .into_iter()
                .map(|(path, item)| definition(item, path, notes))
                .collect::<Result<Vec<_>, AppError>>()?,
        ),
    };
    let ports = match app.array("ports")? {
        None => None,
        Some(items) => Some(
            items
                .into_iter()
                .map(|(path, item)| Ok(bare_definition(port(item, &path)?, path)))
                .collect::<Result<Vec<_>, AppError>>()?,
        ),
    };
    match (definitions, ports) {
        (Some(definitions), Some(ports)) if !ports.is_empty() => {
            let numbers = |list: &[PortDefinition]| list.iter().map(|one| one.port).collect::<Vec<_>>();
            if numbers(&definitions) != numbers(&ports) {
                return Err(app.at("ports").error(Problem::Conflict {
                    other: "portDefinitions".to_owned(),
                    remedy: "use portDefinitions only",
                }));
            }
            Ok(Some((app.at("portDefinitions"), definitions)))
        }
        (Some(definitions), _) => Ok(Some((app.at("portDefinitions"), definitions))),
        (None, Some(ports)) => Ok(Some((app.at("ports"), ports))),
        (None, None) => Ok(None),
    }
}

fn definition(item: &Value, path: JsonPath, notes: &mut Notes) -> Result<PortDefinition, AppError> {
    let definition = Object::open(item, path, &PORT_DEFINITION, notes)?;
    Ok(PortDefinition {
        port: definition.port("port")?.unwrap_or(0),
        protocols: protocols(&definition)?,
        name: name(&definition)?,
        labels: definition.string_map("labels")?,
        number_path: definition.at("port"),
        path: definition.path,
    })
}

fn bare_definition(port: u16, path: JsonPath) -> PortDefinition {
    let number_path = path.clone();
    PortDefinition { port, protocols: Protocols::Tcp, name: None, labels: BTreeMap::new(), path, number_path }
}

/// What Marathon adds to an app on the host's network that says nothing about ports.
fn default_definition(app: &Object<'_>) -> PortDefinition {
    let bare = bare_definition(0, app.at("portDefinitions").index(0));
    PortDefinition { name: Some(DEFAULT_NAME.to_owned()), ..bare }
}

/// What Marathon adds to an app on another network that says nothing about ports.
fn default_mapping(app: &Object<'_>, network: &Network) -> PortMapping {
    PortMapping {
        container_port: 0,
        host_port: (*network == Network::Bridge).then_some(0),
        service_port: 0,
        protocols: Protocols::Tcp,
        name: Some(DEFAULT_NAME.to_owned()),
        labels: BTreeMap::new(),
        path: app.at("container").key("portMappings").index(0),
    }
}

fn protocols(object: &Object<'_>) -> Result<Protocols, AppError> {
    Ok(object.choice("protocol", &Protocols::WORDS)?.unwrap_or(Protocols::Tcp))
}

/// The name of a port: letters, digits, dashes and underscores, since it ends up in the name of a variable.
fn name(object: &Object<'_>) -> Result<Option<String>, AppError> {
    let Some(name) = object.filled_string("name")? else { return Ok(None) };
    if name.len() > 63 || !name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_') {
        return Err(object.at("name").not_allowed(
            quote(name),
            "the name of a port: at most 63 letters, digits, dashes and underscores",
        ));
    }
    Ok(Some(name.to_owned()))
}

fn unique_names<'p>(ports: impl Iterator<Item = (&'p Option<String>, &'p JsonPath)>) -> Result<(), AppError> {
    let mut seen = std::collections::BTreeSet::new();
    for (name, path) in ports {
        if let Some(name) = name
            && !seen.insert(name)
        {
            return Err(path.key("name").invalid(format!("{} is the name of another port", quote(name))));
        }
    }
    Ok(())
}

fn unique_numbers(definitions: &[PortDefinition]) -> Result<(), AppError> {
    for (index, one) in definitions.iter().enumerate() {
        let same = |other: &&PortDefinition| other.port == one.port && other.protocols.overlap(one.protocols);
        if one.port != 0 && definitions[..index].iter().any(|other| same(&other)) {
            return Err(one.number_path.invalid(format!("port {} is there twice", one.port)));
        }
    }
    Ok(())
}
