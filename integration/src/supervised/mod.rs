//! Owns what a test of task supervision stands on: a supervisor of the test's own on the real engine, tasks written in
//! a line, and what is heard of them. Called by `tests/containerizer`.
//!
//! * [`Supervised`]: a supervisor and its containerizer, with a work directory and an agent id of the test's own;
//! * [`Plain`]: a supervisor of tasks without an image, which needs no engine;
//! * [`Task`]: a TaskInfo, built step by step;
//! * [`Watched`]: a launched task; waits for its states, each with a deadline, and reads its sandbox;
//! * [`Registry`]: an image registry of the test's own;
//! * [`settings`]: what supervisors and containerizers are made with.

mod agent;
mod plain;
mod registry;
pub mod settings;
mod task;
mod watched;

pub use agent::{Options, Supervised};
pub use plain::Plain;
pub use registry::{Layer, ProxiedRegistry, Registry, RegistryOptions, Transport};
pub use task::{Net, Task};
pub use watched::{Started, Terminal, Watched};

/// How long a test waits for anything that the engine does. A machine with two cores and a hundred containers is slow;
/// a test that fails is rare.
pub const PATIENCE: std::time::Duration = std::time::Duration::from_secs(120);
