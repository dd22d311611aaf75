//! Messages between Mesos processes: UPIDs, messages over HTTP, links.
//!
//! A Mesos master, agent, executor or scheduler is a *process* with an address, its UPID ([`Upid`]). It sends a message
//! as one HTTP request to the address of the receiver, and never answers on the same connection: the receiver sends
//! its own request to the address in the sender's UPID. This crate speaks that protocol as Mesos 1.11 does, for
//! `mesos-docker-executor` and for the agent. It runs on the caller's tokio runtime, of one thread or of many, and starts no thread.
//!
//! ```text
//!   other requests ─→ HttpHandler of the owner
//!                       ↑
//!   peers ─→ server ────┴─→ mailbox of each Process ─→ Event::Message
//!                                      ↑
//!   peers ←─ one writer per address ───┴─ broken links ─→ Event::Exited
//!                 ↑
//!              Process::send, post, link
//! ```
//!
//! - [`Node`] binds the address and routes: messages to the registered [`Process`]es, all else to the [`HttpHandler`].
//! - [`Process`] receives ([`Event`]) and sends; [`Outbox`] is its sending half, to be cloned and shared.
//! - [`Overrides`] reads the `LIBPROCESS_*` environment; [`Settings`] has the addresses and every bound.
//!
//! Promises to the owner: messages of one connection arrive in order; an inbound connection that has delivered a
//! message is never closed for being idle; sending never blocks and never grows without bound; a broken link is told
//! once. What is lost (a peer that is not there, a full queue) is logged and counted ([`Counters`]).

mod advertise;
mod classify;
mod counters;
mod encode;
mod environment;
mod event;
mod http;
mod node;
mod peers;
mod process;
mod server;
mod settings;
mod throttle;
mod upid;

pub use crate::advertise::AdvertiseError;
pub use crate::classify::{Classified, Malformed, MessageHead, Sender, classify};
pub use crate::counters::{Counters, Snapshot};
pub use crate::encode::encode;
pub use crate::environment::{EnvironmentError, Overrides};
pub use crate::event::{Event, Incoming, UnreadableMessage};
pub use crate::http::{BoxError, HangUp, HttpBody, HttpHandler, HttpRequest, HttpResponse, PeerAddress};
pub use crate::node::{BindError, Node, RegisterError};
pub use crate::process::{Outbox, Process};
pub use crate::settings::{Limits, Settings};
pub use crate::upid::{ProcessId, ResolveError, Upid, UpidError};
