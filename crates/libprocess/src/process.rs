//! Owns a process of this node: its mailbox, and its sending half.

use std::fmt;
use std::sync::Arc;

use prost::{Message, Name};
use tokio::sync::mpsc;

use crate::encode::encode;
use crate::event::Event;
use crate::node::Shared;
use crate::peers::Link;
use crate::upid::Upid;

/// A registered process: what receives. It is deregistered, and its links end, when this is dropped.
#[derive(Debug)]
pub struct Process {
    outbox: Outbox,
    events: mpsc::Receiver<Event>,
}

/// The sending half of a process, to be cloned and shared. It may be used from any thread, also outside of the runtime.
#[derive(Clone)]
pub struct Outbox {
    pub(crate) upid: Upid,
    pub(crate) registration: u64,
    /// Weak, because the mailbox must close with the process and not with the last clone of this.
    pub(crate) mailbox: mpsc::WeakSender<Event>,
    pub(crate) node: Arc<Shared>,
}

impl Process {
    pub(crate) fn new(outbox: Outbox, events: mpsc::Receiver<Event>) -> Self {
        Self { outbox, events }
    }

    /// Waits for the next event. There is none any more, `None`, once the node has shut down and the mailbox is empty.
    ///
    /// # Cancel safety
    ///
    /// May be dropped; no event is lost.
    pub async fn next(&mut self) -> Option<Event> {
        self.events.recv().await
    }

    /// The address of this process.
    pub fn upid(&self) -> &Upid {
        &self.outbox.upid
    }

    /// The sending half.
    pub fn outbox(&self) -> &Outbox {
        &self.outbox
    }

    /// As [`Outbox::post`].
    pub fn post<M: Message + Name>(&self, to: &Upid, message: &M) {
        self.outbox.post(to, message);
    }

    /// As [`Outbox::link`].
    pub fn link(&self, to: &Upid) {
        self.outbox.link(to);
    }

    /// As [`Outbox::relink`].
    pub fn relink(&self, to: &Upid) {
        self.outbox.relink(to);
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.outbox.node.deregister(self.outbox.upid.id(), self.outbox.registration);
    }
}

impl Outbox {
    /// The address of the process.
    pub fn upid(&self) -> &Upid {
        &self.upid
    }

    /// Sends a message, by the name of its type. Returns at once: the messages to one address are written in order, by
    /// its own task. One that cannot be sent is lost, counted and logged, as in stock there is no answer.
    pub fn post<M: Message + Name>(&self, to: &Upid, message: &M) {
        self.send(to, &M::full_name(), &message.encode_to_vec());
    }

    /// Sends a message that is encoded already. See [`Outbox::post`].
    pub fn send(&self, to: &Upid, name: &str, body: &[u8]) {
        self.node.peers.send(to, name, encode(to, &self.upid, name, body));
    }

    /// Keeps a connection to the address of `to`, and tells the process once when it breaks or cannot be made
    /// ([`Event::Exited`]). All messages to that address go over it. Linking again to what is linked changes nothing.
    pub fn link(&self, to: &Upid) {
        self.node.peers.link(to, self.linked(), Link::Keep);
    }

    /// As [`Outbox::link`], over a new connection, also where there is one: stock's `RemoteConnection::RECONNECT`. The
    /// end of the old one is told to nobody.
    pub fn relink(&self, to: &Upid) {
        self.node.peers.link(to, self.linked(), Link::Renew);
    }

    fn linked(&self) -> (u64, mpsc::WeakSender<Event>) {
        (self.registration, self.mailbox.clone())
    }
}

impl fmt::Debug for Outbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Outbox({})", self.upid)
    }
}
