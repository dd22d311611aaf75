//! The connection to the agent: [`AgentLink`] is the same for both protocols, and behind it a task speaks one of them.
//!
//! | module | owns |
//! |---|---|
//! | `link` | what the session sees |
//! | `v0` | messages between processes (`libprocess`), as stock's program speaks |
//! | `v1` | the HTTP API of executors |
//! | `record_io` | the framing of a stream of events; pure |
//! | `http_client` | one HTTP connection to the agent |

mod http_client;
mod link;
mod record_io;
mod v0;
mod v1;

pub use http_client::HttpError;
pub use link::{AgentLink, Ids, LinkError};
