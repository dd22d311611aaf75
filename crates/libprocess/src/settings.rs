//! Owns what a node is told: its addresses and its bounds. Programs fill it from their flags and from [`Overrides`].
//!
//! [`Overrides`]: crate::Overrides

use std::net::Ipv4Addr;
use std::time::Duration;

/// Where a node listens, what it calls itself, and its bounds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The address to listen at; 0.0.0.0 is every one.
    pub ip: Ipv4Addr,
    /// The port to listen at; 0 takes a free one.
    pub port: u16,
    /// The address that peers are told to send to, if not the one that is bound.
    pub advertise_ip: Option<Ipv4Addr>,
    /// The port that peers are told to send to, if not the one that is bound.
    pub advertise_port: Option<u16>,
    /// Whether a message is refused whose sender claims another IP address than it connects from.
    pub require_peer_address_ip_match: bool,
    /// The bounds.
    pub limits: Limits,
}

/// The bounds of a node. None of them closes an idle connection that has delivered a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// How many connections the kernel may hold until we take them; the kernel caps it (`net.core.somaxconn`).
    pub backlog: u32,
    /// How many inbound connections there may be at once; the next one is closed at once.
    pub connections: usize,
    /// How many of them may be strangers: connections that have not delivered a message yet. Past it the stranger that
    /// has been idle longest is closed, and a new one is refused where none is idle.
    pub strangers: usize,
    /// How long a stranger may take over the head of a request.
    pub head_deadline: Duration,
    /// How long the body of one message may take.
    pub body_deadline: Duration,
    /// How large the body of one message may be, in bytes. A larger one is read to its end, dropped and told.
    pub message_bytes: usize,
    /// How much the bodies of all large messages may take at once until they are handled, in bytes. Past it their
    /// senders wait, but for one at a time.
    pub inflight_bytes: usize,
    /// How many messages may wait for one process. Past it their senders wait.
    pub mailbox: usize,
    /// How many addresses may have a queue of messages to them or a link at once.
    pub peers: usize,
    /// How many messages may wait for one address; the next one is dropped.
    pub queue_messages: usize,
    /// How many bytes may wait for one address; the next message is dropped.
    pub queue_bytes: usize,
    /// How many bytes may wait for all addresses without a link together; the next message to one of them is dropped.
    pub unlinked_bytes: usize,
    /// How long a connect or a look-up may take.
    pub connect_deadline: Duration,
    /// How long a peer may take nothing of what is being written to it until the connection counts as broken.
    pub write_deadline: Duration,
    /// How long a connection without a link waits for more to send before it is closed.
    pub linger: Duration,
}

impl Default for Settings {
    /// Every address, a free port.
    fn default() -> Self {
        Self {
            ip: Ipv4Addr::UNSPECIFIED,
            port: 0,
            advertise_ip: None,
            advertise_port: None,
            require_peer_address_ip_match: false,
            limits: Limits::default(),
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        const MIB: usize = 1 << 20;
        Self {
            // Stock asks for 500000 (3rdparty/libprocess/src/process.cpp, LISTEN_BACKLOG), the kernel gives less.
            backlog: 500_000,
            connections: 65_536,
            strangers: 4_096,
            head_deadline: Duration::from_secs(30),
            body_deadline: Duration::from_mins(5),
            message_bytes: 64 * MIB,
            inflight_bytes: 256 * MIB,
            mailbox: 1_024,
            peers: 16_384,
            queue_messages: 65_536,
            queue_bytes: 128 * MIB,
            unlinked_bytes: 64 * MIB,
            connect_deadline: Duration::from_secs(10),
            write_deadline: Duration::from_mins(2),
            linger: Duration::from_secs(2),
        }
    }
}

impl Limits {
    /// The same bounds, with connections for at most three quarters of the descriptors that this program may have: the
    /// rest is for its owner, who would fail in odd places without any.
    pub(crate) fn within(mut self, descriptors: Option<u64>) -> Self {
        let Some(descriptors) = descriptors.and_then(|descriptors| usize::try_from(descriptors).ok()) else {
            return self;
        };
        let connections = (descriptors / 2).max(1);
        let quarter = (descriptors / 4).max(1);
        if self.connections > connections || self.peers > quarter {
            tracing::debug!(
                descriptors,
                connections,
                peers = quarter,
                "the limit of open files bounds the connections"
            );
        }
        self.connections = self.connections.min(connections);
        self.strangers = self.strangers.min(quarter);
        self.peers = self.peers.min(quarter);
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quarter_of_the_descriptors_is_left() {
        let limits = Limits::default().within(Some(1024));
        assert_eq!((limits.connections, limits.strangers, limits.peers), (512, 256, 256));
        assert_eq!(Limits::default().within(None), Limits::default());
        assert_eq!(Limits::default().within(Some(1 << 20)), Limits::default());
        let few = Limits { connections: 10, strangers: 5, peers: 3, ..Limits::default() };
        assert_eq!(few.clone().within(Some(1024)), few);
    }
}
