//! Owns what is to be done for one address: the messages that wait and the links that are kept. Pure.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use tokio::sync::mpsc;

use crate::event::Event;
use crate::settings::Limits;
use crate::upid::Upid;

/// The state of one address.
#[derive(Default)]
pub(super) struct Outgoing {
    queue: VecDeque<Queued>,
    queued_bytes: usize,
    /// How many bytes wait for all addresses of the node.
    total: Arc<AtomicUsize>,
    links: HashMap<Linked, mpsc::WeakSender<Event>>,
    /// The connection is to be replaced.
    renew: bool,
    /// A message has been taken and is not yet written.
    writing: Option<Queued>,
}

/// A message that waits, encoded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Queued {
    pub(super) name: String,
    pub(super) request: Bytes,
}

/// A link: which process of ours, and what it is linked to.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Linked {
    pub(super) registration: u64,
    pub(super) to: Upid,
}

/// Which connection a link is to have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Link {
    /// The one that is there, or a new one.
    Keep,
    /// A new one.
    Renew,
}

/// What a writer that has a connection does next.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// Writes this.
    Write(Bytes),
    /// Replaces the connection.
    Renew,
    /// Waits, with the connection kept by a link.
    WaitLinked,
    /// Waits a moment, then closes the connection.
    WaitUnlinked,
}

/// What is lost with a connection.
#[derive(Debug, Default)]
pub(super) struct Lost {
    /// The messages.
    pub(super) messages: Vec<Queued>,
    /// The links, each to be told to its process.
    pub(super) links: Vec<(Upid, mpsc::WeakSender<Event>)>,
}

impl Outgoing {
    /// Makes the state of an address of a node for which `total` bytes wait.
    pub(super) fn new(total: Arc<AtomicUsize>) -> Self {
        Self { total, ..Self::default() }
    }

    /// Queues a message, if there is room. A message that is larger than a bound goes alone.
    #[must_use]
    pub(super) fn push(&mut self, message: Queued, limits: &Limits) -> bool {
        let size = message.request.len();
        let fits = self.queue.is_empty() || self.queued_bytes.saturating_add(size) <= limits.queue_bytes;
        // Whoever sends us something can have us answer to as many addresses as it names. None of them is linked.
        let total = self.total.load(Ordering::Relaxed);
        let has_room =
            !self.links.is_empty() || total == 0 || total.saturating_add(size) <= limits.unlinked_bytes;
        if !fits || !has_room || self.queue.len() >= limits.queue_messages {
            return false;
        }
        self.queued_bytes += size;
        self.total.fetch_add(size, Ordering::Relaxed);
        self.queue.push_back(message);
        true
    }

    /// Keeps a link, unless there are `limit` of them.
    #[must_use]
    pub(super) fn link(
        &mut self,
        linked: Linked,
        mailbox: mpsc::WeakSender<Event>,
        how: Link,
        limit: usize,
    ) -> bool {
        if self.links.len() >= limit && !self.links.contains_key(&linked) {
            return false;
        }
        self.links.insert(linked, mailbox);
        self.renew |= how == Link::Renew;
        true
    }

    /// Ends the links of a process; tells whether there were any.
    pub(super) fn unlink(&mut self, registration: u64) -> bool {
        let before = self.links.len();
        self.links.retain(|linked, _| linked.registration != registration);
        self.links.len() < before
    }

    /// Whether there is something to connect for.
    pub(super) fn wants_connection(&self, finishing: bool) -> bool {
        !self.queue.is_empty() || (!self.links.is_empty() && !finishing)
    }

    /// Notes that a new connection is being made.
    pub(super) fn connecting(&mut self) {
        self.renew = false;
    }

    /// What a writer does next. What it was given before has been written.
    pub(super) fn next(&mut self) -> Next {
        self.writing = None;
        if self.renew {
            return Next::Renew;
        }
        let Some(message) = self.queue.pop_front() else {
            return if self.links.is_empty() { Next::WaitUnlinked } else { Next::WaitLinked };
        };
        self.leaves(message.request.len());
        let request = message.request.clone();
        self.writing = Some(message);
        Next::Write(request)
    }

    /// The connection broke: the message that was being written is lost, in whole or in part, and so are the links. The
    /// messages that wait go to the next connection.
    pub(super) fn broke(&mut self) -> Lost {
        let messages = self.writing.take().into_iter().collect();
        Lost { messages, links: self.take_links() }
    }

    /// The address cannot be reached: all is lost.
    pub(super) fn is_unreachable(&mut self) -> Lost {
        self.leaves(self.queued_bytes);
        Lost { messages: std::mem::take(&mut self.queue).into(), links: self.take_links() }
    }

    /// Notes that bytes do not wait any more.
    fn leaves(&mut self, bytes: usize) {
        self.queued_bytes -= bytes;
        self.total.fetch_sub(bytes, Ordering::Relaxed);
    }

    fn take_links(&mut self) -> Vec<(Upid, mpsc::WeakSender<Event>)> {
        self.renew = false;
        self.links.drain().map(|(linked, mailbox)| (linked.to, mailbox)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(text: &str) -> Queued {
        Queued { name: "x".to_owned(), request: Bytes::copy_from_slice(text.as_bytes()) }
    }

    fn write(text: &str) -> Next {
        Next::Write(Bytes::copy_from_slice(text.as_bytes()))
    }

    fn linked(registration: u64, id: &str) -> Linked {
        Linked { registration, to: format!("{id}@127.0.0.1:5050").parse().unwrap() }
    }

    fn link(outgoing: &mut Outgoing, linked: Linked, how: Link) -> bool {
        outgoing.link(linked, mpsc::channel(1).0.downgrade(), how, 2)
    }

    #[test]
    fn messages_leave_in_order_within_the_bounds() {
        let limits = Limits { queue_messages: 3, queue_bytes: 4, ..Limits::default() };
        let mut outgoing = Outgoing::default();
        assert!(outgoing.push(message("first"), &limits), "one message may be larger than the bound");
        assert!(!outgoing.push(message("b"), &limits));
        assert_eq!(outgoing.next(), write("first"));
        for text in ["a", "b", "c"] {
            assert!(outgoing.push(message(text), &limits));
        }
        assert!(!outgoing.push(message("d"), &limits), "three wait");
        assert_eq!(outgoing.next(), write("a"));
        assert!(outgoing.push(message("e"), &limits));
        for text in ["b", "c", "e"] {
            assert_eq!(outgoing.next(), write(text));
        }
        assert_eq!(outgoing.next(), Next::WaitUnlinked);
        assert!(!outgoing.wants_connection(false));
    }

    #[test]
    fn addresses_without_a_link_share_a_bound() {
        let limits = Limits { unlinked_bytes: 3, ..Limits::default() };
        let total = Arc::new(AtomicUsize::new(0));
        let [mut first, mut second, mut linked_to] = std::array::from_fn(|_| Outgoing::new(total.clone()));
        assert!(first.push(message("ab"), &limits));
        assert!(!second.push(message("cd"), &limits), "the first has two of three bytes");
        assert!(second.push(message("c"), &limits));
        assert!(!first.push(message("d"), &limits));
        assert!(link(&mut linked_to, linked(1, "master"), Link::Keep));
        assert!(linked_to.push(message("to the master"), &limits), "the others cannot take its room");
        assert_eq!(first.next(), write("ab"));
        linked_to.is_unreachable();
        assert!(first.push(message("d"), &limits));
        second.is_unreachable();
        first.is_unreachable();
        assert_eq!(total.load(Ordering::Relaxed), 0);
        assert!(second.push(message("larger than the bound"), &limits), "it goes alone");
    }

    #[test]
    fn a_link_is_kept_and_lost_once() {
        let mut outgoing = Outgoing::default();
        assert!(link(&mut outgoing, linked(1, "master"), Link::Keep));
        assert!(link(&mut outgoing, linked(1, "master"), Link::Keep), "the same one");
        assert!(link(&mut outgoing, linked(2, "other"), Link::Keep));
        assert!(!link(&mut outgoing, linked(3, "third"), Link::Keep), "there are two");
        assert!(outgoing.wants_connection(false));
        assert!(!outgoing.wants_connection(true), "a link alone does not hold up the end");
        assert_eq!(outgoing.next(), Next::WaitLinked);
        assert_eq!(outgoing.broke().links.len(), 2);
        assert_eq!(outgoing.broke().links.len(), 0);
        assert!(!outgoing.wants_connection(false));
    }

    #[test]
    fn only_the_message_being_written_is_lost_with_a_connection() {
        let mut outgoing = Outgoing::default();
        for text in ["a", "b", "c"] {
            assert!(outgoing.push(message(text), &Limits::default()));
        }
        assert_eq!(outgoing.next(), write("a"));
        assert_eq!(outgoing.next(), write("b"));
        assert_eq!(outgoing.broke().messages, [message("b")]);
        assert_eq!(outgoing.next(), write("c"));
        assert_eq!(outgoing.next(), Next::WaitUnlinked);
        assert!(outgoing.broke().messages.is_empty(), "all were written");
    }

    #[test]
    fn a_renewed_link_replaces_the_connection_before_the_next_message() {
        let mut outgoing = Outgoing::default();
        assert!(outgoing.push(message("a"), &Limits::default()));
        assert!(link(&mut outgoing, linked(1, "master"), Link::Renew));
        assert_eq!(outgoing.next(), Next::Renew);
        outgoing.connecting();
        assert_eq!(outgoing.next(), write("a"));
        assert_eq!(outgoing.next(), Next::WaitLinked);
    }

    #[test]
    fn an_unreachable_address_loses_everything() {
        let mut outgoing = Outgoing::default();
        assert!(outgoing.push(message("a"), &Limits::default()));
        assert!(link(&mut outgoing, linked(1, "master"), Link::Keep));
        let lost = outgoing.is_unreachable();
        assert_eq!((lost.messages.len(), lost.links.len()), (1, 1));
        assert!(!outgoing.wants_connection(false));
        assert!(outgoing.push(message("b"), &Limits { queue_bytes: 1, ..Limits::default() }));
    }

    #[test]
    fn the_links_of_a_process_end_with_it() {
        let mut outgoing = Outgoing::default();
        assert!(link(&mut outgoing, linked(1, "master"), Link::Keep));
        assert!(!outgoing.unlink(2));
        assert!(outgoing.unlink(1));
        assert_eq!(outgoing.next(), Next::WaitUnlinked);
    }
}
