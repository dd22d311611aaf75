//! What the agent touches: the wire, the disk, the engine, the clock.
//!
//! | module | owns |
//! |---|---|
//! | `start` | from settings to an agent that runs, and to its end |
//! | `hostname`, `discovery` | the name of this machine, its addresses |
//! | `identity` | what the agent says of itself, and whether it may keep its id |
//! | `engine` | waiting for the engine |
//! | `recovery`, `adoption` | what an earlier process left |
//! | `detection` | who leads |
//! | `endpoints` | the HTTP side, connected with what it shows |
//! | `mailbox`, `wire` | messages that come and go |
//! | `core_loop`, `clock` | the one task that owns the core |
//! | `performer`, `disk` | performing actions in their order |
//! | `tasks` | the tasks that run in this process |
//! | `signals`, `error` | how it ends |

mod adoption;
mod clock;
mod core_loop;
mod detection;
mod discovery;
mod disk;
mod endpoints;
mod engine;
mod error;
mod hostname;
mod identity;
mod mailbox;
mod performer;
mod recovery;
mod signals;
mod start;
mod tasks;
mod wire;

pub use error::AgentError;
pub use start::run;
