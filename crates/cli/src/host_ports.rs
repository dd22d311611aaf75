//! Host ports for dynamic mappings: free on this machine, and taken by no other run.
//!
//! A port is tried by binding it for a moment, and claimed for the life of the run by an abstract socket of its number,
//! of which a network namespace has one and which goes with its process; the two together keep runs side by side apart
//! between the choice and the start of the container.

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, TcpListener, UdpSocket};
use std::ops::RangeInclusive;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener};

use marathon_app::{PortPool, PortRefusal, PortSource};

/// Ports of this machine.
pub(crate) struct HostPorts {
    ranges: [RangeInclusive<u16>; 1],
    held: Vec<UnixListener>,
    taken: BTreeSet<u16>,
    next: u16,
}

impl HostPorts {
    /// The ports of an agent without `--resources`, tried from a random one on.
    pub(crate) fn new() -> Self {
        let range = PortPool::DEFAULT_HOST_PORTS;
        let span = u128::from(range.end() - range.start()) + 1;
        let offset = u16::try_from(uuid::Uuid::new_v4().as_u128() % span).unwrap_or(0);
        Self { next: range.start() + offset, ranges: [range], held: Vec::new(), taken: BTreeSet::new() }
    }

    fn claim(&mut self, port: u16) -> bool {
        if self.taken.contains(&port) || !is_free(port) {
            return false;
        }
        match claim_of(port) {
            Ok(claim) => self.held.push(claim),
            Err(error) => {
                tracing::debug!(port, %error, "another run has the port");
                return false;
            }
        }
        self.taken.insert(port);
        true
    }
}

impl PortSource for HostPorts {
    fn ranges(&self) -> &[RangeInclusive<u16>] {
        &self.ranges
    }

    fn take_any(&mut self) -> Option<u16> {
        let range = self.ranges[0].clone();
        for _ in range.clone() {
            let port = self.next;
            self.next = if port >= *range.end() { *range.start() } else { port + 1 };
            if self.claim(port) {
                return Some(port);
            }
        }
        None
    }

    fn take(&mut self, port: u16) -> Result<(), PortRefusal> {
        if !self.ranges[0].contains(&port) {
            return Err(PortRefusal::NotOffered);
        }
        if self.claim(port) { Ok(()) } else { Err(PortRefusal::Taken) }
    }
}

/// The socket whose name says that a run has the port; nobody connects to it.
fn claim_of(port: u16) -> std::io::Result<UnixListener> {
    let name = format!("mesos-docker-host-port-{port}");
    UnixListener::bind_addr(&SocketAddr::from_abstract_name(name)?)
}

fn is_free(port: u16) -> bool {
    let any = (Ipv4Addr::UNSPECIFIED, port);
    TcpListener::bind(any).is_ok() && UdpSocket::bind(any).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_that_a_run_has_is_not_given_to_another() {
        let (mut first, mut second) = (HostPorts::new(), HostPorts::new());
        let port = first.take_any().unwrap();
        assert_eq!(second.take(port), Err(PortRefusal::Taken));
        drop(first);
        assert_eq!(second.take(port), Ok(()));
    }

    #[test]
    fn a_port_outside_the_resources_is_refused() {
        assert_eq!(HostPorts::new().take(80), Err(PortRefusal::NotOffered));
    }
}
