//! What a caller chooses about an engine: where it is, how long each operation may take, how many run at once.

use std::path::PathBuf;
use std::time::Duration;

use crate::extra_headers::ExtraHeaders;
use crate::socket::DEFAULT_SOCKET;

/// How many creates and starts are with the engine at once. Fifty launches at once on two cores took as long with 8 to
/// 32, and longer with fewer; more only queue inside the daemon, where nobody sees them.
const IN_FLIGHT: usize = 12;

/// How to reach an engine. Start from [`EngineOptions::new`] and change fields.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct EngineOptions {
    /// The path of the engine's Unix socket; see [`crate::resolve_socket`].
    pub socket: PathBuf,
    /// How long finding the engine and agreeing on a version may take.
    pub connect_deadline: Duration,
    /// The deadlines that callers read back with [`crate::Engine::deadlines`].
    pub deadlines: Deadlines,
    /// How many creates are with the engine at once, at least 1. More wait their turn.
    pub max_creates_in_flight: usize,
    /// How many starts are with the engine at once, at least 1. More wait their turn.
    pub max_starts_in_flight: usize,
    /// How many idle connections are kept for the next call.
    pub max_idle_connections: usize,
    /// How long an idle connection is kept.
    pub idle_timeout: Duration,
    /// Headers that every request carries.
    pub headers: ExtraHeaders,
}

impl EngineOptions {
    /// Makes the default options for the engine behind `socket`.
    pub fn new(socket: impl Into<PathBuf>) -> Self {
        Self {
            socket: socket.into(),
            connect_deadline: Duration::from_secs(10),
            deadlines: Deadlines::default(),
            max_creates_in_flight: IN_FLIGHT,
            max_starts_in_flight: IN_FLIGHT,
            max_idle_connections: IN_FLIGHT,
            idle_timeout: Duration::from_secs(60),
            headers: ExtraHeaders::default(),
        }
    }
}

impl Default for EngineOptions {
    fn default() -> Self {
        Self::new(DEFAULT_SOCKET)
    }
}

/// How long each operation may take. The starting values are those of node agents in wide use.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Deadlines {
    /// For [`crate::Engine::ping`].
    pub ping: Duration,
    /// For [`crate::Engine::info`].
    pub info: Duration,
    /// For [`crate::Engine::inspect`].
    pub inspect: Duration,
    /// For [`crate::Engine::create`].
    pub create: Duration,
    /// For [`crate::Engine::start`].
    pub start: Duration,
    /// For [`crate::Engine::kill`].
    pub kill: Duration,
    /// For [`crate::Engine::remove`].
    pub remove: Duration,
    /// For [`crate::Engine::list`].
    pub list: Duration,
    /// For [`crate::Engine::image_inspect`].
    pub image_inspect: Duration,
    /// For [`crate::Engine::update`].
    pub update: Duration,
    /// For a command in a container, [`crate::Engine::exec`].
    pub exec: Duration,
    /// For the head of a stream: wait, logs, attach, events.
    pub stream_head: Duration,
    /// For volumes.
    pub volume: Duration,
    /// For networks.
    pub network: Duration,
}

impl Default for Deadlines {
    fn default() -> Self {
        Self {
            ping: Duration::from_secs(5),
            info: Duration::from_secs(10),
            inspect: Duration::from_secs(30),
            create: Duration::from_secs(4 * 60),
            start: Duration::from_secs(3 * 60),
            kill: Duration::from_secs(30),
            remove: Duration::from_secs(5 * 60),
            list: Duration::from_secs(10),
            image_inspect: Duration::from_secs(30),
            update: Duration::from_secs(30),
            exec: Duration::from_secs(60),
            stream_head: Duration::from_secs(30),
            volume: Duration::from_secs(60),
            network: Duration::from_secs(30),
        }
    }
}
