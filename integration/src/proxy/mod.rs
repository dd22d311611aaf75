//! Owns a proxy in front of an engine's Unix socket which injects faults below every client library: it delays, hangs,
//! cuts or replaces what its rules name, and passes on everything else, streams and upgraded connections included.
//!
//! ```text
//! code under test ── proxy socket ── rules ── engine socket ── dockerd
//! ```
//!
//! The same stands in front of a server on a loopback port, a registry ([`FaultProxy::in_front_of`]): its rules see the
//! paths without `/v2`.
//!
//! A test starts a [`FaultProxy`], gives its socket to the code under test, and adds and removes [`Rule`]s while
//! requests are under way.

mod connection;
mod rules;
mod server;
mod stream;

pub use rules::{Fault, Rule, RuleId};
pub use server::{FaultProxy, Recorded};
