//! Host ports for dynamic mappings: free on this machine, and taken by no other run.
//!
//! A port is tried by binding it for a moment, and claimed for the life of the run by a lock file that all runs on the
//! machine share; the two together keep runs side by side apart between the choice and the start of the container.

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, TcpListener, UdpSocket};
use std::ops::RangeInclusive;
use std::path::PathBuf;

use marathon_app::{PortPool, PortRefusal, PortSource};
use sandbox::RunLock;

/// Ports of this machine.
pub(crate) struct HostPorts {
    ranges: [RangeInclusive<u16>; 1],
    /// Where claims are; shared by all users' runs that share an engine.
    claims: PathBuf,
    held: Vec<RunLock>,
    taken: BTreeSet<u16>,
    next: u16,
}

impl HostPorts {
    /// The ports of an agent without `--resources`, tried from a random one on.
    pub(crate) fn new() -> Self {
        let range = PortPool::DEFAULT_HOST_PORTS;
        let span = u128::from(range.end() - range.start()) + 1;
        let offset = u16::try_from(uuid::Uuid::new_v4().as_u128() % span).unwrap_or(0);
        let claims = std::env::temp_dir().join(format!("mesos-docker-ports-{}", rustix::process::getuid().as_raw()));
        Self { next: range.start() + offset, ranges: [range], claims, held: Vec::new(), taken: BTreeSet::new() }
    }

    fn claim(&mut self, port: u16) -> bool {
        if self.taken.contains(&port) || !is_free(port) {
            return false;
        }
        // Without a directory for claims the look at the port itself must do.
        if std::fs::create_dir_all(&self.claims).is_ok() {
            match RunLock::acquire(&self.claims.join(port.to_string())) {
                Ok(lock) => self.held.push(lock),
                Err(error) => {
                    tracing::debug!(port, %error, "another run has the port");
                    return false;
                }
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

fn is_free(port: u16) -> bool {
    let any = (Ipv4Addr::UNSPECIFIED, port);
    TcpListener::bind(any).is_ok() && UdpSocket::bind(any).is_ok()
}
