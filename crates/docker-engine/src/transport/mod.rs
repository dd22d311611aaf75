//! HTTP/1 over the engine's Unix socket: a small pool of kept-alive connections for short calls, and connections
//! of their own for streams.
//!
//! Everything that is sent goes through [`Transport`], also bollard's requests ([`bridge`]). It puts the negotiated
//! `/v1.xx` before every path. Deadlines are the callers' business ([`crate::engine`]): dropping any future here
//! closes the connection it was using, which tells the engine that nobody waits any more.
//!
//! A pooled connection may have died with a daemon that was restarted since. That shows when it is taken up again;
//! what slips through is sent again on a new connection if the engine cannot have seen it, or if the call may be
//! repeated ([`Repeat`]).

mod bridge;
mod call;
mod connection;
mod pool;

pub(crate) use bridge::{bollard_client, from_bollard};
pub(crate) use call::{Answer, Call, Repeat, Transport, TransportError};
pub(crate) use connection::{Buffers, StreamBody};
