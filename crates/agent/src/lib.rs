//! The Mesos agent: joins a master, runs its Docker tasks in-process, and outlives its own restarts.
//!
//! ```text
//! wire, timers, tasks ──Event──► core (pure: state + event → actions) ──Action──► driver ──► wire, disk, engine
//!                                      ▲
//!                      HTTP ──query────┘  (reads the model between two events)
//! ```
//!
//! | module | owns |
//! |---|---|
//! | [`core`] | what the agent decides, without a socket, file or clock |
//! | [`driver`] | what it touches: the wire, the disk, the engine, the clock |
//! | [`status_updates`] | what is sent to the master until it is acknowledged |
//! | [`program`] | the programs |
//! | [`executors`] | how programs of executors are spoken with |
//! | [`http`] | the endpoints: state, files, metrics, the operator API |
//! | [`metrics`] | what it measures, by stock's names and as Prometheus text |
//! | [`logging`] | its log, whose level operators may raise for a while |
//! | [`files`] | the files that it shows: sandboxes and its log, under virtual paths |
//! | [`gc`] | removal of directories that nobody needs |
//! | [`resources`] | what the machine has, and the directories of persistent volumes |
//! | [`authentication`] | how it shows the master who it is |
//! | [`detector`] | which master leads |
//! | [`in_container`] | whether it runs in a container, and what that lacks |
//! | [`model`] | what the agent knows: itself, its frameworks, executors and tasks |

pub mod authentication;
pub mod core;
pub mod detector;
pub mod driver;
pub mod executors;
pub mod files;
pub mod gc;
pub mod http;
pub mod in_container;
pub mod logging;
pub mod metrics;
pub mod model;
pub mod program;
pub mod resources;
pub mod status_updates;
