//! Host ports for dynamic mappings: free on this machine, and taken by no other run.
//!
//! A port is tried by binding it for a moment, and claimed for the life of the run by a lock file that all runs on the
//! machine share; the two together keep runs side by side apart between the choice and the start of the container.

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, TcpListener, UdpSocket};
use std::ops::RangeInclusive;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::PathBuf;

use marathon_app::{PortPool, PortRefusal, PortSource};
use sandbox::RunLock;

/// Ports of this machine.
pub(crate) struct HostPorts {
    ranges: [RangeInclusive<u16>; 1],
    /// Where claims are, shared by all of a user's runs; without it the look at a port must do.
    claims: Option<PathBuf>,
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
        Self {
            next: range.start() + offset,
            ranges: [range],
            claims: claims(),
            held: Vec::new(),
            taken: BTreeSet::new(),
        }
    }

    fn claim(&mut self, port: u16) -> bool {
        if self.taken.contains(&port) || !is_free(port) {
            return false;
        }
        if let Some(claims) = &self.claims {
            match RunLock::acquire(&claims.join(port.to_string())) {
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

/// The directory of claims. Anybody may make one of its name first, so it is used only if it is ours alone.
fn claims() -> Option<PathBuf> {
    let user = rustix::process::geteuid().as_raw();
    let path = std::env::temp_dir().join(format!("mesos-docker-ports-{user}"));
    match std::fs::DirBuilder::new().mode(0o700).create(&path) {
        Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => {
            tracing::debug!(path = %path.display(), %error, "no directory for claims of ports");
            return None;
        }
        _ => {}
    }
    let metadata = path.symlink_metadata().ok()?;
    if metadata.is_dir() && metadata.uid() == user && metadata.mode() & 0o022 == 0 {
        return Some(path);
    }
    tracing::warn!(path = %path.display(), "claims of host ports are not kept here: it is not a directory of ours alone");
    None
}

fn is_free(port: u16) -> bool {
    let any = (Ipv4Addr::UNSPECIFIED, port);
    TcpListener::bind(any).is_ok() && UdpSocket::bind(any).is_ok()
}
