//! What the agent touches: the wire, the disk, the engine, the clock.
//!
//! | module | owns |
//! |---|---|
//! | `start` | from settings to an agent that runs, and to its end |
//! | `hostname`, `discovery` | the name of this machine, its addresses |
//! | `identity` | what the agent says of itself, and whether it may keep its id |
//! | `engine`, `surroundings` | waiting for the engine, and the container that the agent runs in |
//! | `recovery`, `open_runs`, `absent`, `adoption`, `carrier` | what an earlier process left |
//! | `foreign` | what a stock agent left |
//! | `leftovers`, `strays` | containers and processes that nobody carries on |
//! | `detection` | who leads |
//! | `endpoints` | the HTTP side, connected with what it shows |
//! | `mailbox`, `wire` | messages that come and go |
//! | `core_loop`, `clock` | the one task that owns the core |
//! | `performer`, `disk` | performing actions in their order |
//! | `tasks`, `follow`, `kind` | the containers in this process' care |
//! | `containers`, `environment` | executors as what is launched, their ends, what they find |
//! | `updates` | what a container shall have from now on |
//! | `signals`, `error` | how it ends |

mod absent;
mod adoption;
mod carrier;
mod clock;
mod containers;
mod core_loop;
mod detection;
mod discovery;
mod disk;
mod endpoints;
mod engine;
mod environment;
mod error;
mod follow;
mod foreign;
mod groups;
mod hostname;
mod identity;
mod kind;
mod leftovers;
mod mailbox;
mod open_runs;
mod performer;
mod recovery;
mod signals;
mod start;
mod strays;
mod surroundings;
mod tasks;
mod updates;
mod wire;

pub(crate) use clock::unix;
pub use error::AgentError;
pub use start::run;
