//! Owns what a node sends: for each address one queue, one connection at a time and one task that writes.
//!
//! - `outgoing` is what is to be done for one address: its queue and its links. Pure.
//! - `writer` is the task: it connects, writes in order, drains what comes back, and sees the connection break.
//!
//! Rules, as stock's `SocketManager` (`3rdparty/libprocess/src/process.cpp`): a link keeps the connection, which all
//! messages to the address then use; without a link it is closed when nothing is left to write. Where we are better: a
//! connection without a link waits a moment for more, so that messages that follow each other stay in order; a message
//! that was not begun when a connection broke is written to the next one; what is lost is counted and logged.

mod outgoing;
mod writer;

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::net::SocketAddrV4;
use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use tokio::runtime::Handle;
use tokio::sync::{Notify, mpsc};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use self::outgoing::{Linked, Outgoing, Queued};
use crate::counters::Counters;
use crate::event::Event;
use crate::settings::Limits;
use crate::throttle::Throttle;
use crate::upid::Upid;

pub(crate) use self::outgoing::Link;

/// All peers of a node. Clones are the same.
#[derive(Clone)]
pub(crate) struct Peers(Arc<Inner>);

struct Inner {
    limits: Limits,
    counters: Arc<Counters>,
    table: Mutex<HashMap<SocketAddrV4, Arc<Peer>>>,
    tasks: TaskTracker,
    /// Where the writers run, whichever thread sends.
    runtime: Handle,
    /// No more is to be sent; the writers end when they have written what there is.
    finishing: CancellationToken,
    /// The writers end at once.
    stop: CancellationToken,
    /// How many bytes wait for all addresses.
    queued: Arc<AtomicUsize>,
    /// About messages that were not queued.
    dropped: Throttle,
    /// About messages that were lost with their connection.
    lost: Throttle,
}

/// One address.
struct Peer {
    address: SocketAddrV4,
    outgoing: Mutex<Outgoing>,
    wake: Notify,
}

impl Peers {
    /// Makes the peers of a node of the runtime that calls it.
    pub(crate) fn new(limits: Limits, counters: Arc<Counters>, stop: CancellationToken) -> Self {
        Self(Arc::new(Inner {
            limits,
            counters,
            table: Mutex::default(),
            tasks: TaskTracker::new(),
            runtime: Handle::current(),
            finishing: CancellationToken::new(),
            stop,
            queued: Arc::default(),
            dropped: Throttle::default(),
            lost: Throttle::default(),
        }))
    }

    /// Queues a message. It is dropped where the queue is full, where there are too many peers, and after the end.
    pub(crate) fn send(&self, to: &Upid, name: &str, request: Bytes) {
        let inner = &self.0;
        let mut table = self.table();
        let Some(peer) = self.peer(&mut table, to.address()) else {
            inner.counters.messages_dropped_full.one();
            if let Some(more) = inner.dropped.due() {
                tracing::warn!(%to, name, more, limit = inner.limits.peers,
                    "a message is dropped: too many addresses are being sent to, or this process is ending");
            }
            return;
        };
        // The table stays locked until the message is in, so that the writer does not end without it.
        let pushed = peer.outgoing().push(Queued { name: name.to_owned(), request }, &inner.limits);
        drop(table);
        if pushed {
            peer.wake.notify_one();
        } else {
            inner.counters.messages_dropped_full.one();
            if let Some(more) = inner.dropped.due() {
                tracing::warn!(%to, name, more,
                    "a message is dropped: too much waits to be sent already, as its receiver or others do not take it");
            }
        }
    }

    /// Links a process of ours to `to`.
    pub(crate) fn link(&self, to: &Upid, (registration, mailbox): (u64, mpsc::WeakSender<Event>), how: Link) {
        let mut table = self.table();
        let peer = self.peer(&mut table, to.address());
        let linked = Linked { registration, to: to.clone() };
        let refused = match &peer {
            Some(peer) => !peer.outgoing().link(linked, mailbox.clone(), how, self.0.limits.peers),
            None => true,
        };
        drop(table);
        match peer {
            Some(peer) if !refused => peer.wake.notify_one(),
            _ => self.tell_exited(to.clone(), &mailbox),
        }
    }

    /// Ends all links of a process of ours.
    pub(crate) fn unlink(&self, registration: u64) {
        for peer in self.table().values() {
            if peer.outgoing().unlink(registration) {
                peer.wake.notify_one();
            }
        }
    }

    /// Writes what there is within `deadline`; tells whether all writers came to their end.
    pub(crate) async fn finish(&self, deadline: Duration) -> bool {
        self.0.finishing.cancel();
        self.0.tasks.close();
        timeout(deadline, self.0.tasks.wait()).await.is_ok()
    }

    /// The peer of an address, with its writer; `None` when there are too many, or after the end.
    fn peer(&self, table: &mut HashMap<SocketAddrV4, Arc<Peer>>, address: SocketAddrV4) -> Option<Arc<Peer>> {
        if self.0.finishing.is_cancelled() || self.0.stop.is_cancelled() {
            return None;
        }
        let room = table.len() < self.0.limits.peers;
        match table.entry(address) {
            Entry::Occupied(entry) => Some(entry.get().clone()),
            Entry::Vacant(entry) if room => {
                let peer = Arc::new(Peer::new(address, self.0.queued.clone()));
                self.0.tasks.spawn_on(writer::run(self.clone(), peer.clone()), &self.0.runtime);
                Some(entry.insert(peer).clone())
            }
            Entry::Vacant(_) => None,
        }
    }

    /// Forgets a peer for which nothing is to be done; tells whether that was so.
    fn retire(&self, peer: &Peer) -> bool {
        let mut table = self.table();
        let done = !peer.outgoing().wants_connection(self.0.finishing.is_cancelled());
        if done {
            table.remove(&peer.address);
        }
        done
    }

    /// Tells a process that what it was linked to is gone. It may have to wait for room in the mailbox.
    fn tell_exited(&self, to: Upid, mailbox: &mpsc::WeakSender<Event>) {
        let Some(mailbox) = mailbox.upgrade() else { return };
        if let Err(mpsc::error::TrySendError::Full(event)) = mailbox.try_send(Event::Exited(to)) {
            let stop = self.0.stop.clone();
            self.0.runtime.spawn(async move {
                tokio::select! {
                    // It fails when the process has gone.
                    _ = mailbox.send(event) => {}
                    () = stop.cancelled() => {}
                }
            });
        }
    }

    fn table(&self) -> MutexGuard<'_, HashMap<SocketAddrV4, Arc<Peer>>> {
        self.0.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Peer {
    fn new(address: SocketAddrV4, queued: Arc<AtomicUsize>) -> Self {
        Self { address, outgoing: Mutex::new(Outgoing::new(queued)), wake: Notify::new() }
    }

    fn outgoing(&self) -> MutexGuard<'_, Outgoing> {
        self.outgoing.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
