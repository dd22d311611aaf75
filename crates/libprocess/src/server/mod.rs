//! Owns the inbound connections of a node.
//!
//! - `listener` takes connections and looks after slow ones.
//! - `connections` knows all of them, and which may be closed when there are too many.
//! - `connection` is the state of one; `stream` wraps its socket.
//! - `requests` answers its requests, one after the other; `body` reads the content of a message
//!   within its share of `memory`.
//!
//! hyper reads the requests. What stock needs and hyper alone would not do is in `stream`: a peer that closes right
//! after its last message, or that never reads our answers, loses none of its messages.

mod body;
mod connection;
mod connections;
mod listener;
mod memory;
mod requests;
mod stream;

pub(crate) use self::connection::Connection;
pub(crate) use self::connections::Connections;
pub(crate) use self::listener::accept;
pub(crate) use self::memory::{Memory, Share};
