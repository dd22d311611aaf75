//! Apps to tasks: what Marathon does when an offer fits (`TaskBuilder`), without the offer.
//!
//! ```text
//! App ─ assign (ports) ─▶ AssignedPort ─┬─ environment ─┐
//!                                       ├─ container    ├─▶ TaskInfo (task)
//!                                       ├─ discovery    │
//!                                       └─ probes ──────┘
//! ```

mod assign;
mod container;
mod context;
mod discovery;
mod environment;
mod port_source;
mod probes;
mod task;

pub use assign::service_ports;
pub use context::BuildContext;
pub use port_source::{PortPool, PortRefusal, PortSource};
pub use task::build_tasks;
