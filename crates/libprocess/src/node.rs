//! Owns a node: the bound address, the registered processes, and the parts that serve and write for them.

use std::collections::HashMap;
use std::fmt;
use std::net::{SocketAddr, SocketAddrV4};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rustix::process::{Resource, getrlimit};
use thiserror::Error;
use tokio::net::TcpSocket;
use tokio::sync::{Semaphore, mpsc};
use tokio_util::sync::CancellationToken;

use crate::advertise::{AdvertiseError, advertised};
use crate::counters::{Counters, Snapshot};
use crate::event::Event;
use crate::http::HttpHandler;
use crate::peers::Peers;
use crate::process::{Outbox, Process};
use crate::server::{self, Connections, Memory};
use crate::settings::{Limits, Settings};
use crate::upid::{ProcessId, Upid, UpidError};

/// How many senders' host names are looked up at once.
const LOOKUPS: usize = 4;

/// A bound address with the processes behind it. Clones are the same node.
///
/// When the last clone is dropped the node ends at once, with what has not been written; [`Node::shutdown`] writes it.
#[derive(Clone)]
pub struct Node(Arc<Owner>);

/// Why a node cannot be bound.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum BindError {
    /// The address cannot be listened at.
    #[error("cannot listen at {address}")]
    Listen {
        /// The address.
        address: SocketAddrV4,
        /// What the system said.
        source: std::io::Error,
    },
    /// There is no address to tell peers.
    #[error("no address is known under which other processes reach this one")]
    Advertise(#[from] AdvertiseError),
}

/// Why a process cannot be registered.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum RegisterError {
    /// The name is no id.
    #[error(transparent)]
    Id(#[from] UpidError),
    /// There is one of this name.
    #[error("a process {0} is registered already")]
    Taken(ProcessId),
}

/// Ends the node with its last handle.
struct Owner(Arc<Shared>);

/// What the parts of a node share.
pub(crate) struct Shared {
    pub(crate) limits: Limits,
    pub(crate) require_peer_address_ip_match: bool,
    pub(crate) handler: HttpHandler,
    pub(crate) counters: Arc<Counters>,
    pub(crate) connections: Connections,
    pub(crate) peers: Peers,
    /// Ends the server and every task.
    pub(crate) stop: CancellationToken,
    /// [`Limits::inflight_bytes`].
    pub(crate) memory: Memory,
    pub(crate) lookups: Semaphore,
    bound: SocketAddrV4,
    advertised: SocketAddrV4,
    processes: Mutex<Processes>,
}

#[derive(Default)]
struct Processes {
    by_id: HashMap<ProcessId, Registered>,
    /// The last number given out for each prefix.
    numbers: HashMap<String, u64>,
    registrations: u64,
}

struct Registered {
    registration: u64,
    mailbox: mpsc::Sender<Event>,
}

impl Node {
    /// Binds the address and begins to serve, on the runtime that calls it.
    ///
    /// # Errors
    ///
    /// The address is in use or not ours, or no address to advertise is set or found.
    pub async fn bind(mut settings: Settings, handler: HttpHandler) -> Result<Self, BindError> {
        settings.limits = settings.limits.within(getrlimit(Resource::Nofile).current);
        let address = SocketAddrV4::new(settings.ip, settings.port);
        let listen = |source| BindError::Listen { address, source };
        let socket = TcpSocket::new_v4().map_err(listen)?;
        socket.set_reuseaddr(true).map_err(listen)?;
        socket.bind(SocketAddr::V4(address)).map_err(listen)?;
        let listener = socket.listen(settings.limits.backlog).map_err(listen)?;
        let port = listener.local_addr().map_err(listen)?.port();
        let bound = SocketAddrV4::new(settings.ip, port);
        let advertised = advertised(&settings, bound).await?;

        let counters = Arc::new(Counters::default());
        let stop = CancellationToken::new();
        let shared = Arc::new(Shared {
            require_peer_address_ip_match: settings.require_peer_address_ip_match,
            handler,
            connections: Connections::new(&settings.limits, counters.clone()),
            peers: Peers::new(settings.limits.clone(), counters.clone(), stop.clone()),
            counters,
            memory: Memory::new(settings.limits.inflight_bytes),
            lookups: Semaphore::new(LOOKUPS),
            stop,
            bound,
            advertised,
            processes: Mutex::default(),
            limits: settings.limits,
        });
        tokio::spawn(server::accept(shared.clone(), listener));
        tracing::debug!(%bound, %advertised, "listening");
        Ok(Self(Arc::new(Owner(shared))))
    }

    /// The address that is bound, with its real port.
    pub fn bound(&self) -> SocketAddrV4 {
        self.shared().bound
    }

    /// The address that peers are told; it is in every UPID of this node.
    pub fn advertised(&self) -> SocketAddrV4 {
        self.shared().advertised
    }

    /// Registers a process, so that it receives.
    ///
    /// # Errors
    ///
    /// The name is no id, or taken.
    pub fn register(&self, id: &str) -> Result<Process, RegisterError> {
        let id = ProcessId::new(id)?;
        let shared = self.shared();
        let (mailbox, events) = mpsc::channel(shared.limits.mailbox.max(1));
        let mut processes = shared.processes();
        if processes.by_id.contains_key(&id) {
            return Err(RegisterError::Taken(id));
        }
        processes.registrations += 1;
        let registration = processes.registrations;
        let outbox = Outbox {
            upid: Upid::new(id.clone(), shared.advertised),
            registration,
            mailbox: mailbox.downgrade(),
            node: shared.clone(),
        };
        processes.by_id.insert(id, Registered { registration, mailbox });
        Ok(Process::new(outbox, events))
    }

    /// Registers a process as `prefix(N)`, N counted per prefix from 1, as stock names its own.
    ///
    /// # Errors
    ///
    /// The name is no id, or taken.
    pub fn register_numbered(&self, prefix: &str) -> Result<Process, RegisterError> {
        let number = {
            let mut processes = self.shared().processes();
            let number = processes.numbers.entry(prefix.to_owned()).or_default();
            *number += 1;
            *number
        };
        self.register(&format!("{prefix}({number})"))
    }

    /// What counts for the node, for who asks later.
    pub fn live_counters(&self) -> Arc<Counters> {
        Arc::clone(&self.shared().counters)
    }

    /// What the node has counted.
    pub fn counters(&self) -> Snapshot {
        self.shared().counters.snapshot()
    }

    /// Writes what waits to be written, within `deadline`, then ends the node: its connections close, its processes
    /// receive no more. Messages sent after this was called are dropped.
    ///
    /// # Cancel safety
    ///
    /// When dropped the node writes on and may be shut down again.
    pub async fn shutdown(&self, deadline: Duration) {
        let shared = self.shared();
        if !shared.peers.finish(deadline).await {
            tracing::warn!(?deadline, "messages to other processes were left unwritten at shutdown");
        }
        shared.stop.cancel();
        shared.processes().by_id.clear();
    }

    fn shared(&self) -> &Arc<Shared> {
        &self.0.0
    }
}

impl Shared {
    /// The mailbox of a process, if it is registered.
    pub(crate) fn mailbox(&self, id: &ProcessId) -> Option<mpsc::Sender<Event>> {
        self.processes().by_id.get(id).map(|registered| registered.mailbox.clone())
    }

    /// Takes a process and its links away.
    pub(crate) fn deregister(&self, id: &ProcessId, registration: u64) {
        {
            let mut processes = self.processes();
            if processes.by_id.get(id).is_some_and(|found| found.registration == registration) {
                processes.by_id.remove(id);
            }
        }
        self.peers.unlink(registration);
    }

    fn processes(&self) -> MutexGuard<'_, Processes> {
        self.processes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Owner {
    fn drop(&mut self) {
        self.0.stop.cancel();
    }
}

impl fmt::Debug for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Node").field("bound", &self.bound()).finish_non_exhaustive()
    }
}
