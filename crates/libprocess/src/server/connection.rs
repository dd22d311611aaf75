//! Owns the state of one inbound connection.
//!
//! ```text
//!             a head is complete
//!   Between ──────────────────────→ Message ⇄ Waiting ─┐
//!      ↑ └────────────────────────→ Http ──────────────┤
//!      └──────────── the answer is complete ───────────┘
//! ```

use std::net::SocketAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::Waker;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// One inbound connection, shared by its socket, its requests and the table of all.
#[derive(Debug)]
pub(crate) struct Connection {
    pub(crate) peer: SocketAddr,
    close: CancellationToken,
    state: Mutex<State>,
}

/// What is being done for a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// No request is in work. A part of a head may have come.
    Between,
    /// The body of a message is being read.
    Message,
    /// A message waits: for room in the mailbox of its process, for memory, for the look-up of its sender. The sender may
    /// go in the meantime.
    Waiting,
    /// A request of another kind is in work, until the last byte of its answer is produced.
    Http,
}

/// Who is at the other end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    /// Anybody.
    Stranger,
    /// A process that has delivered a message to one of ours. We never close its connection.
    Process,
}

#[derive(Debug)]
struct State {
    phase: Phase,
    standing: Standing,
    opened: Instant,
    last_read: Instant,
    /// When the first byte after a request came, while no head is complete.
    head_since: Option<Instant>,
    /// Who waits to be told that the peer has gone, which is hidden while its message waits.
    hidden_from: Option<Waker>,
    /// The end was hidden once in this phase.
    end_was_hidden: bool,
}

/// Ends the phase of a request when its answer is complete or given up.
#[derive(Debug)]
pub(crate) struct InWork(std::sync::Arc<Connection>);

impl Connection {
    pub(crate) fn new(peer: SocketAddr) -> Self {
        let now = Instant::now();
        let state = State {
            phase: Phase::Between,
            standing: Standing::Stranger,
            opened: now,
            last_read: now,
            head_since: None,
            hidden_from: None,
            end_was_hidden: false,
        };
        Self { peer, close: CancellationToken::new(), state: Mutex::new(state) }
    }

    /// Notes that a request's head is complete.
    pub(crate) fn begin(self: &std::sync::Arc<Self>, phase: Phase) -> InWork {
        let mut state = self.state();
        state.enter(phase);
        state.head_since = None;
        drop(state);
        InWork(self.clone())
    }

    /// Notes that bytes came.
    pub(crate) fn has_read(&self) {
        let mut state = self.state();
        state.last_read = Instant::now();
        if state.phase == Phase::Between && state.head_since.is_none() {
            state.head_since = Some(state.last_read);
        }
    }

    /// Whether the end of the connection must not be seen yet; if so `waker` is woken when it may.
    ///
    /// It is hidden while a message waits. It is hidden once in every other phase of a message too, and between
    /// requests: hyper looks for it when it has read a whole request, before that request has been begun here.
    pub(crate) fn hides_its_end(&self, waker: &Waker) -> bool {
        let mut state = self.state();
        match state.phase {
            Phase::Waiting => state.hidden_from = Some(waker.clone()),
            Phase::Between | Phase::Message if !state.end_was_hidden => {
                state.end_was_hidden = true;
                waker.wake_by_ref();
            }
            Phase::Between | Phase::Message | Phase::Http => return false,
        }
        true
    }

    /// Whether a failed write matters. The answer to a message is read by nobody who counts on it.
    pub(crate) fn needs_its_answer(&self) -> bool {
        self.state().phase == Phase::Http
    }

    /// Notes that it has delivered a message.
    pub(crate) fn has_delivered(&self) {
        self.state().standing = Standing::Process;
    }

    pub(crate) fn standing(&self) -> Standing {
        self.state().standing
    }

    /// Since when a stranger has been idle, if it is.
    pub(crate) fn idle_since(&self) -> Option<Instant> {
        let state = self.state();
        (state.phase == Phase::Between).then_some(state.last_read)
    }

    pub(crate) fn opened(&self) -> Instant {
        self.state().opened
    }

    /// Since when the head of a request is incomplete, if a part of it came.
    pub(crate) fn head_since(&self) -> Option<Instant> {
        self.state().head_since
    }

    /// Has it closed by its task.
    pub(crate) fn close(&self) {
        self.close.cancel();
    }

    pub(crate) async fn closed(&self) {
        self.close.cancelled().await;
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl InWork {
    /// Moves on to another phase of the same request.
    pub(crate) fn enter(&self, phase: Phase) {
        self.0.state().enter(phase);
    }
}

impl State {
    fn enter(&mut self, phase: Phase) {
        self.phase = phase;
        self.end_was_hidden = false;
        if let Some(waker) = self.hidden_from.take() {
            waker.wake();
        }
    }
}

impl Drop for InWork {
    fn drop(&mut self) {
        let mut state = self.0.state();
        state.enter(Phase::Between);
        // What came in the meantime may be a whole request or a part of one; more bytes will tell.
        state.head_since = None;
    }
}
