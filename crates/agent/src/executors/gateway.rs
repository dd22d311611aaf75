//! The way of executors' calls to the core, and of the core's words to executors.
//!
//! The HTTP side exists before the core takes events, so a gateway is made closed and connected later; until then
//! nothing can be told.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use flags::agent::{ExecutorAuthentication, ExecutorSettings};
use libprocess::{Outbox, Upid};
use mesos_types::{ExecutorId, FrameworkId};
use thiserror::Error;
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::connections::{Connections, EventStream, HangUp, StreamSettings};
use super::token::{TokenKey, TokenKeyError};
use super::v0;
use super::v1::Form;
use crate::core::{Event, ExecutorCall, ToExecutor};
use crate::model::Peer;

/// What the flags say.
#[derive(Debug, Clone, Default)]
pub struct GatewaySettings {
    /// Bounds of streams.
    pub streams: StreamSettings,
    /// The key of tokens (`--jwt_secret_key`).
    pub key: Option<TokenKey>,
    /// Whether calls need a token (`--authenticate_http_executors`).
    pub demands_tokens: bool,
}

/// Carries calls and words. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Gateway {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    connections: Connections,
    key: Option<TokenKey>,
    demands_tokens: bool,
    events: OnceLock<mpsc::Sender<Event>>,
}

/// Why the core is not told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum TellError {
    /// It takes no events yet.
    #[error("Agent has not finished recovery")]
    NotYet,
    /// It has too much to do.
    #[error("The agent is busy")]
    Busy,
    /// It has ended.
    #[error("The agent is ending")]
    Ending,
}

impl GatewaySettings {
    /// As the flags have it. Reads the key's file; blocks for as long.
    ///
    /// # Errors
    ///
    /// The key cannot be used.
    pub fn read(flags: &ExecutorSettings) -> Result<Self, TokenKeyError> {
        Ok(Self {
            streams: StreamSettings {
                heartbeat: flags.heartbeat_interval,
                max_records: flags.max_queued_events,
                max_bytes: usize::try_from(flags.max_queued_size).unwrap_or(usize::MAX),
            },
            key: flags.jwt_secret_key.as_deref().map(TokenKey::read).transpose()?,
            demands_tokens: flags.authentication == ExecutorAuthentication::Required,
        })
    }
}

impl Gateway {
    /// A gateway to a core that is not there yet.
    pub fn new(settings: GatewaySettings) -> Self {
        let GatewaySettings { streams, key, demands_tokens } = settings;
        let inner =
            Inner { connections: Connections::new(streams), key, demands_tokens, events: OnceLock::new() };
        Self { inner: Arc::new(inner) }
    }

    /// Tells the core from now on; a second time changes nothing.
    pub fn connect(&self, events: mpsc::Sender<Event>) {
        if self.inner.events.set(events).is_err() {
            tracing::error!("the way to the core is there already; this is a bug");
        }
    }

    /// The key that calls must be signed with, where they must.
    pub fn demanded(&self) -> Option<&TokenKey> {
        self.inner.key.as_ref().filter(|_| self.inner.demands_tokens)
    }

    /// The key of executors' tokens, where they get some.
    pub fn key(&self) -> Option<&TokenKey> {
        self.inner.key.as_ref()
    }

    /// Tells the core what an executor says.
    ///
    /// # Errors
    ///
    /// The core does not take it within `patience`.
    ///
    /// # Cancel safety
    ///
    /// May be dropped; the call is then told or not.
    pub async fn tell(&self, call: ExecutorCall, patience: Duration) -> Result<(), TellError> {
        let events = self.inner.events.get().ok_or(TellError::NotYet)?;
        match timeout(patience, events.send(Event::Executor(Box::new(call)))).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => Err(TellError::Ending),
            Err(_) => Err(TellError::Busy),
        }
    }

    /// Opens a stream for an executor. The core, which is to be told who subscribes, has the one closed that it had, and
    /// hears when nobody reads this one any more. `hang_up` closes its connection.
    ///
    /// # Errors
    ///
    /// The core takes no events yet.
    pub fn open(
        &self,
        framework_id: &FrameworkId,
        executor_id: &ExecutorId,
        form: Form,
        hang_up: HangUp,
    ) -> Result<EventStream, TellError> {
        let events = self.inner.events.get().ok_or(TellError::NotYet)?.clone();
        let runtime = tokio::runtime::Handle::current();
        let gone = move |id| {
            // The one who drops a stream cannot wait.
            runtime.spawn(async move {
                // The core ends with the process.
                let _ = events.send(Event::PeerGone(Peer::Http(id))).await;
            });
        };
        Ok(self.inner.connections.open(framework_id, executor_id, form, hang_up, gone))
    }

    /// Tells an executor what the core says. What cannot be told is lost, as in stock.
    pub fn deliver(&self, outbox: &Outbox, peer: &Peer, message: &ToExecutor) {
        match peer {
            Peer::Libprocess(pid) => match pid.parse::<Upid>() {
                Ok(upid) => v0::post(outbox, &upid, message),
                Err(error) => tracing::error!(pid, %error, "an executor's address cannot be read"),
            },
            Peer::Http(_) => self.say(peer, message),
        }
    }

    /// Tells an executor that speaks HTTP what the core says.
    pub fn say(&self, peer: &Peer, message: &ToExecutor) {
        if let Peer::Http(id) = peer {
            self.inner.connections.send(*id, message);
        }
    }

    /// Ends an executor's stream once what it was told before is taken. Nothing is done for one that speaks libprocess.
    pub fn close(&self, peer: &Peer) {
        match peer {
            Peer::Libprocess(_) => {}
            Peer::Http(id) => self.inner.connections.close(*id),
        }
    }

    /// How many executors have a stream.
    pub fn streams(&self) -> usize {
        self.inner.connections.len()
    }
}
