//! What is asked: a container or a process of this machine, and the way to its network.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use docker_engine::{Engine, Inspection};
use mesos_containerizer::aside::Surroundings;
use mesos_containerizer::processes::ProcessId;
use mesos_types::IpFamily;

use crate::namespace::{Held, NetNamespace, is_of_container};

/// A task that runs, as its checks reach it.
#[derive(Debug, Clone)]
pub struct Target {
    pub(crate) subject: Subject,
    pub(crate) reach: Reach,
}

/// What a task is here.
#[derive(Debug, Clone)]
pub(crate) enum Subject {
    Container(Container),
    Process(Process),
}

/// A container of an engine.
#[derive(Debug, Clone)]
pub(crate) struct Container {
    pub(crate) engine: Engine,
    /// The engine's id of the container.
    pub(crate) id: String,
    /// The first process of the container, where its number means something here.
    pub(crate) init: Option<u32>,
    /// Its network namespace, where it has one of its own that is in sight.
    namespace: Option<Arc<NetNamespace>>,
}

/// A process of this machine.
#[derive(Debug, Clone)]
pub(crate) struct Process {
    /// What its commands share with it.
    pub(crate) surroundings: Surroundings,
    /// `None`: it had ended before it was taken hold of.
    held: Option<Arc<Held>>,
}

/// The way to a container's network.
#[derive(Debug, Clone)]
pub enum Reach {
    /// It is the network of this process: a container in the host's.
    Own,
    /// Its network namespace is entered.
    Namespace(Arc<NetNamespace>),
    /// Its namespace is out of sight, as for an agent in a container of its own without the host's processes: its
    /// addresses are asked, and nothing else: the connections are not made in its network. A server that listens on
    /// the loopback device alone is not reached that way, and no redirect to another host is followed.
    Addresses {
        /// The IPv4 address.
        ipv4: Option<Ipv4Addr>,
        /// The IPv6 address.
        ipv6: Option<Ipv6Addr>,
    },
}

/// Where a connection goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Place {
    /// To this address.
    At(SocketAddr),
    /// Nowhere: it is not in the container, and the way there would not be the container's.
    Outside,
    /// Nowhere: the container has no address of the family.
    Nowhere(IpFamily),
}

impl Target {
    /// Takes hold of the container as it is now: to be called once it runs, and again after an adoption.
    pub fn of(engine: &Engine, inspection: &Inspection) -> Self {
        let pid = inspection.state.pid;
        let namespace = pid.map(|pid| NetNamespace::open(pid, &inspection.id));
        let reach = match namespace {
            Some(Ok(namespace)) if namespace.is_ours() => Reach::Own,
            Some(Ok(namespace)) => Reach::Namespace(Arc::new(namespace)),
            Some(Err(_)) | None => {
                tracing::warn!(
                    container = inspection.id,
                    why = namespace.and_then(Result::err).map(|error| error.to_string()),
                    "the network of a container is checked from outside: it cannot be entered"
                );
                let network = inspection.networks.get(&inspection.network_mode);
                let network = network.or_else(|| inspection.networks.values().next());
                match (network, inspection.network_mode.as_str()) {
                    // The network of the host is ours where the agent is run as it should be.
                    (_, "host") => Reach::Own,
                    (Some(network), _) => Reach::Addresses { ipv4: network.ipv4, ipv6: network.ipv6 },
                    (None, _) => Reach::Addresses { ipv4: None, ipv6: None },
                }
            }
        };
        let init = pid.filter(|pid| is_of_container(*pid, &inspection.id));
        let namespace = match &reach {
            Reach::Namespace(namespace) => Some(namespace.clone()),
            Reach::Own | Reach::Addresses { .. } => None,
        };
        let container = Container { engine: engine.clone(), id: inspection.id.clone(), init, namespace };
        Self { subject: Subject::Container(container), reach }
    }

    /// Takes hold of a task without an image, by its process: to be called once it runs, and again after an adoption. Its
    /// network is this machine's.
    pub fn of_process(process: ProcessId, surroundings: Surroundings) -> Self {
        let held = Held::open(process).map(Arc::new);
        Self { subject: Subject::Process(Process { surroundings, held }), reach: Reach::Own }
    }

    /// The same container, as an agent sees it that is in a container of its own: no process, and another network.
    #[must_use]
    pub fn from_afar(mut self, ipv4: Option<Ipv4Addr>, ipv6: Option<Ipv6Addr>) -> Self {
        if let Subject::Container(container) = &mut self.subject {
            container.init = None;
            container.namespace = None;
        }
        self.reach = Reach::Addresses { ipv4, ipv6 };
        self
    }

    /// The way to its network.
    pub fn reach(&self) -> &Reach {
        &self.reach
    }

    /// Whether the task is known to have ended.
    pub(crate) fn has_ended(&self) -> bool {
        match &self.subject {
            Subject::Container(container) => container.has_ended(),
            Subject::Process(process) => process.has_ended(),
        }
    }
}

impl Container {
    /// Whether it is known to have ended.
    pub(crate) fn has_ended(&self) -> bool {
        match &self.namespace {
            Some(namespace) => namespace.has_ended(),
            None => self.init.is_some_and(|pid| !is_of_container(pid, &self.id)),
        }
    }
}

impl Process {
    /// Whether it has ended.
    pub(crate) fn has_ended(&self) -> bool {
        self.held.as_ref().is_none_or(|held| held.has_ended())
    }
}

impl Reach {
    /// Where the container's `address` is on this way: its loopback is another address from afar.
    pub(crate) fn place(&self, address: SocketAddr) -> Place {
        let Self::Addresses { ipv4, ipv6 } = self else { return Place::At(address) };
        let (family, own) = match address.ip() {
            IpAddr::V4(_) => (IpFamily::V4, ipv4.map(IpAddr::from)),
            IpAddr::V6(_) => (IpFamily::V6, ipv6.map(IpAddr::from)),
        };
        match own {
            Some(own) if address.ip() == own => Place::At(address),
            _ if !address.ip().is_loopback() => Place::Outside,
            Some(own) => Place::At(SocketAddr::new(own, address.port())),
            None => Place::Nowhere(family),
        }
    }
}

/// The loopback address of a family.
pub(crate) fn loopback(family: IpFamily) -> IpAddr {
    match family {
        IpFamily::V4 => Ipv4Addr::LOCALHOST.into(),
        IpFamily::V6 => Ipv6Addr::LOCALHOST.into(),
    }
}

/// The family of an address.
pub(crate) fn family_of(address: &IpAddr) -> IpFamily {
    match address {
        IpAddr::V4(_) => IpFamily::V4,
        IpAddr::V6(_) => IpFamily::V6,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[rstest::rstest]
    #[case("127.0.0.1:80", Place::At("10.0.0.2:80".parse().unwrap()))]
    #[case("127.1.2.3:80", Place::At("10.0.0.2:80".parse().unwrap()))]
    #[case("10.0.0.2:81", Place::At("10.0.0.2:81".parse().unwrap()))]
    #[case("10.9.9.9:80", Place::Outside)]
    #[case("169.254.169.254:80", Place::Outside)]
    #[case("[::1]:80", Place::Nowhere(IpFamily::V6))]
    #[case("[fd00::7]:80", Place::Outside)]
    #[case("[::ffff:127.0.0.1]:80", Place::Outside)]
    fn from_afar_only_the_containers_address_is_asked(#[case] address: &str, #[case] expected: Place) {
        let address = address.parse().unwrap();
        let afar = Reach::Addresses { ipv4: Some(Ipv4Addr::new(10, 0, 0, 2)), ipv6: None };
        assert_eq!(afar.place(address), expected);
        assert_eq!(Reach::Own.place(address), Place::At(address));
    }
}
