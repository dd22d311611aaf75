//! The network of an app, from the new form (`networks`) or the old one (`container.docker.network`, `ipAddress`).

use std::collections::BTreeMap;

use serde_json::Value;

use crate::container::Opened;
use crate::error::{AppError, JsonPath, Problem};
use crate::known_fields::{IP_ADDRESS, NETWORK};
use crate::notes::Notes;
use crate::reader::Object;

/// The network a container is on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Network {
    /// The host's.
    Host,
    /// Docker's default bridge.
    Bridge,
    /// None.
    None,
    /// A network that someone has created under this name.
    User {
        /// Its name.
        name: String,
        /// Labels for the `NetworkInfo`.
        labels: BTreeMap<String, String>,
    },
}

/// What `networks` or `container.docker.network` call a network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    Host,
    Bridge,
    None,
    User,
}

impl Network {
    /// The word for messages.
    pub(crate) fn word(&self) -> &'static str {
        match self {
            Self::Host => "HOST",
            Self::Bridge => "BRIDGE",
            Self::None => "NONE",
            Self::User { .. } => "USER",
        }
    }
}

/// Decides the network. Without any of the fields it is the host's, and without an image it is no other.
pub(crate) fn read_network(
    app: &Object<'_>,
    opened: &Opened<'_>,
    notes: &mut Notes,
) -> Result<Network, AppError> {
    let new = new_form(app, notes)?;
    let Some(docker) = &opened.docker else { return host_alone(app, new) };
    let old = old_form(app, docker, notes)?;
    match (new, old) {
        (Some(new), Some((old, _))) if new == old => Ok(new),
        (Some(_), Some((_, path))) => {
            Err(path.error(Problem::Conflict { other: "networks".to_owned(), remedy: "use networks only" }))
        }
        (Some(network), None) | (None, Some((network, _))) => Ok(network),
        (None, None) => Ok(Network::Host),
    }
}

/// Refuses all that is not the network of the host: a process has no other.
fn host_alone(app: &Object<'_>, new: Option<Network>) -> Result<Network, AppError> {
    let refused = Problem::Refused {
        what: "apps without an image are on the host's network",
        remedy: "leave the field out, or use container.docker",
    };
    if new.is_some_and(|network| network != Network::Host) {
        return Err(app.at("networks").error(refused));
    }
    match app.value("ipAddress") {
        Some(_) => Err(app.at("ipAddress").error(refused)),
        None => Ok(Network::Host),
    }
}

/// `networks`: one entry, since tasks have one network.
fn new_form(app: &Object<'_>, notes: &mut Notes) -> Result<Option<Network>, AppError> {
    let items = app.array("networks")?.unwrap_or_default();
    if items.len() > 1 {
        return Err(app.at("networks").invalid("a task has one network, use a single element"));
    }
    match items.into_iter().next() {
        None => Ok(None),
        Some((path, item)) => one_network(item, path, notes).map(Some),
    }
}

fn one_network(item: &Value, path: JsonPath, notes: &mut Notes) -> Result<Network, AppError> {
    let network = Object::open(item, path, &NETWORK, notes)?;
    let modes = [("host", Mode::Host), ("container/bridge", Mode::Bridge), ("container", Mode::User)];
    let mode = network.choice("mode", &modes)?.unwrap_or(Mode::User);
    let name = network.filled_string("name")?;
    let labels = network.string_map("labels")?;
    match (mode, name) {
        (Mode::User, Some(name)) => Ok(Network::User { name: name.to_owned(), labels }),
        (Mode::User, None) => {
            Err(network.at("name").error(Problem::Missing { needed: "the name of the network" }))
        }
        (Mode::Host, Some(_)) => Err(network.at("name").invalid("the host network has no name")),
        (mode, name) => {
            if name.is_some() {
                notes.no_effect(network.at("name"), "the default bridge has no name");
            }
            if !labels.is_empty() {
                notes.no_effect(network.at("labels"), "only networks of mode container have labels");
            }
            Ok(if mode == Mode::Host { Network::Host } else { Network::Bridge })
        }
    }
}

/// `container.docker.network` with `ipAddress`, and the field to name in a conflict.
fn old_form(
    app: &Object<'_>,
    docker: &Object<'_>,
    notes: &mut Notes,
) -> Result<Option<(Network, JsonPath)>, AppError> {
    let modes = [("BRIDGE", Mode::Bridge), ("HOST", Mode::Host), ("NONE", Mode::None), ("USER", Mode::User)];
    let mode = docker.choice("network", &modes)?;
    let ip_address = app.object("ipAddress", &IP_ADDRESS, notes)?;
    let path = docker.at("network");
    let network = match (mode, &ip_address) {
        (Some(Mode::User), Some(ip_address)) => user_network(ip_address)?,
        (Some(Mode::User), None) => {
            return Err(app.at("ipAddress").error(Problem::Missing {
                needed: "networkName, the name of the network for container.docker.network USER",
            }));
        }
        (_, Some(ip_address)) => {
            return Err(ip_address
                .path
                .invalid("needs container.docker.network USER, or use networks instead"));
        }
        (Some(Mode::Host), None) => Network::Host,
        (Some(Mode::Bridge), None) => Network::Bridge,
        (Some(Mode::None), None) => Network::None,
        (None, None) => return Ok(None),
    };
    Ok(Some((network, path)))
}

fn user_network(ip_address: &Object<'_>) -> Result<Network, AppError> {
    match ip_address.filled_string("networkName")? {
        Some(name) => Ok(Network::User { name: name.to_owned(), labels: ip_address.string_map("labels")? }),
        None => {
            Err(ip_address.at("networkName").error(Problem::Missing { needed: "the name of the network" }))
        }
    }
}
