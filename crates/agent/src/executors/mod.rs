//! How the programs of executors are spoken with.
//!
//! ```text
//! libprocess messages ─► v0::understand ─┐                        ┌─► v0::post ─► libprocess
//!                                        ├─► Event::Executor ─► core
//! POST /api/v1/executor ─► v1::call ─────┘        Action::ToExecutor ─► Gateway
//!                            │                                    └─► v1::event ─► Connections ─► stream
//!                            └─ token, model
//! ```
//!
//! | module | owns |
//! |---|---|
//! | [`environment`] | what an executor finds in its environment |
//! | [`token`] | the tokens that executors authenticate with |
//! | [`v0`] | messages of executors that speak libprocess |
//! | [`v1`] | calls and events of executors that speak HTTP |
//! | [`connections`] | the open streams of those |
//! | `numbers` | the numbers of statuses |
//! | [`gateway`] | the way of calls to the core, and of the core's words to executors |
//!
//! The HTTP endpoint itself is in `http::executor_api`.

pub mod connections;
pub mod environment;
pub mod gateway;
mod numbers;
pub mod token;
pub mod v0;
pub mod v1;

pub use connections::{Connections, EventStream, HangUp, StreamSettings};
pub use environment::{AgentFacts, Container, ExecutorFacts, executor_environment};
pub use gateway::{Gateway, GatewaySettings, TellError};
pub(crate) use numbers::is_uuid;
pub use token::{Claims, TokenError, TokenKey, TokenKeyError};
