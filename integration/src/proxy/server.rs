//! Owns the proxy's socket or port, its accepting task and the record of what was asked. Made by tests.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context as _, Result};
use tempfile::TempDir;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::connection;
use super::rules::{Rule, RuleId, Rules};
use super::stream::{Listener, Place, Stream};
use crate::http1::RequestHead;

/// The most requests that are recorded; later ones pass unrecorded.
const MAX_RECORDED: usize = 100_000;

/// A request head as it was on the socket.
pub type Recorded = RequestHead;

/// The proxy. Dropping it closes its socket and every connection through it.
#[derive(Debug)]
pub struct FaultProxy {
    /// The proxy's socket in front of one, empty in front of a port.
    socket: PathBuf,
    place: Place,
    shared: Arc<Shared>,
    accepting: Option<JoinHandle<()>>,
    /// Holds the socket's directory; removed last.
    _dir: TempDir,
}

/// What the proxy's handle and its connections share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) upstream: Place,
    pub(super) rules: Rules,
    pub(super) requests: Mutex<Vec<Recorded>>,
    pub(super) in_flight: Mutex<InFlight>,
    /// Changes when every open connection has to be closed.
    pub(super) cut: watch::Sender<u64>,
}

/// When requests began and ended, in order.
#[derive(Debug, Default)]
pub(super) struct InFlight {
    story: Vec<(String, Change)>,
}

#[derive(Debug, Clone, Copy)]
enum Change {
    Begins,
    Ends,
}

/// A request that is under way.
#[derive(Debug)]
pub(super) struct UnderWay<'a> {
    shared: &'a Shared,
    target: String,
}

impl FaultProxy {
    /// Starts a proxy in front of the engine's socket, on a socket of its own in a short temporary directory.
    ///
    /// # Errors
    ///
    /// The directory or the socket can't be made.
    pub async fn start(upstream: impl AsRef<Path>) -> Result<Self> {
        let dir =
            tempfile::Builder::new().prefix("mfp-").tempdir().context("make a directory for the proxy")?;
        let socket = dir.path().join("e.sock");
        Self::between(Place::Unix(socket.clone()), Place::Unix(upstream.as_ref().to_owned()), socket, dir)
            .await
    }

    /// Starts a proxy in front of a server on loopback, on a port of its own.
    ///
    /// # Errors
    ///
    /// There is no port.
    pub async fn in_front_of(upstream: SocketAddr) -> Result<Self> {
        let dir = tempfile::tempdir().context("make a directory for the proxy")?;
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        Self::between(Place::Tcp(any), Place::Tcp(upstream), PathBuf::new(), dir).await
    }

    async fn between(place: Place, upstream: Place, socket: PathBuf, dir: TempDir) -> Result<Self> {
        let shared = Arc::new(Shared {
            upstream,
            rules: Rules::new(),
            requests: Mutex::default(),
            in_flight: Mutex::default(),
            cut: watch::Sender::new(0),
        });
        let mut proxy = Self { socket, place, shared, accepting: None, _dir: dir };
        proxy.come_back().await?;
        Ok(proxy)
    }

    /// Returns where the proxy listens, as `host:port`; only of one in front of a port.
    pub fn host(&self) -> Option<String> {
        match self.place {
            Place::Tcp(address) => Some(address.to_string()),
            Place::Unix(_) => None,
        }
    }

    /// Returns the path of the proxy's socket.
    pub fn socket(&self) -> &Path {
        &self.socket
    }

    /// Returns the socket in the form of `DOCKER_HOST`.
    pub fn url(&self) -> String {
        format!("unix://{}", self.socket.display())
    }

    /// Puts a rule in force for requests that begin from now on. Older rules are asked first.
    pub fn add(&self, rule: Rule) -> RuleId {
        self.shared.rules.add(rule)
    }

    /// Takes a rule out of force; what it hangs or stalls goes on.
    pub fn remove(&self, id: RuleId) {
        self.shared.rules.remove(id);
    }

    /// Takes every rule out of force.
    pub fn clear(&self) {
        self.shared.rules.clear();
    }

    /// Tells how many requests a rule has met.
    pub fn hits(&self, id: RuleId) -> usize {
        self.shared.rules.hits(id)
    }

    /// Returns the heads of all requests so far, in the order in which they began.
    pub fn requests(&self) -> Vec<Recorded> {
        self.shared.requests.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Tells how many requests with this in their target were at most under way at one time: passed on or held, and
    /// neither answered to the end nor given up by the client.
    pub fn most_at_once(&self, part: &str) -> usize {
        let in_flight = self.shared.in_flight.lock().unwrap_or_else(PoisonError::into_inner);
        in_flight.most(part)
    }

    /// Closes every open connection at once; new ones are served.
    pub fn cut_all(&self) {
        self.shared.cut.send_modify(|generation| *generation += 1);
    }

    /// Makes the engine look dead: the socket is gone and every connection is closed.
    ///
    /// # Errors
    ///
    /// The socket can't be removed.
    pub async fn go_down(&mut self) -> Result<()> {
        if let Some(accepting) = self.accepting.take() {
            accepting.abort();
            // Until the task has ended, it may still accept a connection.
            let _ = accepting.await;
        }
        if let Place::Unix(socket) = &self.place {
            std::fs::remove_file(socket).context("remove the proxy's socket")?;
        }
        self.cut_all();
        Ok(())
    }

    /// Makes a proxy that went down answer again.
    ///
    /// # Errors
    ///
    /// The socket can't be made.
    pub async fn come_back(&mut self) -> Result<()> {
        let (listener, place) = Listener::bind(&self.place).await?;
        self.place = place;
        self.accepting = Some(tokio::spawn(accept(listener, Arc::clone(&self.shared))));
        Ok(())
    }
}

impl Drop for FaultProxy {
    fn drop(&mut self) {
        if let Some(accepting) = &self.accepting {
            accepting.abort();
        }
        self.shared.rules.clear();
        self.cut_all();
    }
}

impl InFlight {
    fn most(&self, part: &str) -> usize {
        let (mut now, mut most) = (0usize, 0);
        for (_, change) in self.story.iter().filter(|(target, _)| target.contains(part)) {
            match change {
                Change::Begins => now += 1,
                Change::Ends => now -= 1,
            }
            most = most.max(now);
        }
        most
    }
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        let target = std::mem::take(&mut self.target);
        self.shared.note(target, Change::Ends);
    }
}

impl Shared {
    /// Counts a request as under way until what is returned is dropped.
    pub(super) fn under_way(&self, target: &str) -> UnderWay<'_> {
        self.note(target.to_owned(), Change::Begins);
        UnderWay { shared: self, target: target.to_owned() }
    }

    fn note(&self, target: String, change: Change) {
        let mut in_flight = self.in_flight.lock().unwrap_or_else(PoisonError::into_inner);
        in_flight.story.push((target, change));
    }

    pub(super) fn record(&self, head: &RequestHead) {
        let mut requests = self.requests.lock().unwrap_or_else(PoisonError::into_inner);
        if requests.len() < MAX_RECORDED {
            requests.push(head.clone());
        }
    }
}

async fn accept(listener: Listener, shared: Arc<Shared>) {
    loop {
        let Ok(client) = listener.accept().await else {
            // Out of file descriptors, most likely; some will be given back.
            tokio::task::yield_now().await;
            continue;
        };
        // Subscribed before the connection is served, so that no cut is missed.
        let cut = shared.cut.subscribe();
        tokio::spawn(serve(client, Arc::clone(&shared), cut));
    }
}

async fn serve(client: Stream, shared: Arc<Shared>, mut cut: watch::Receiver<u64>) {
    tokio::select! {
        // An error here is what a fault does to a connection: both ends are closed, and each sees that.
        _ = connection::serve(client, &shared) => {}
        _ = cut.changed() => {}
    }
}
