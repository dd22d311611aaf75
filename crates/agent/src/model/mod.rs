//! What the agent knows: itself, its master, its frameworks, executors and tasks (`src/slave/slave.hpp`).
//!
//! The core owns the one [`Agent`] and alone changes it; everybody else reads it through an [`AgentReader`], between two
//! events of the core. Messages keep their wire types in here, since they go out again as they came in.
//!
//! ```text
//! task: pending ──► queued ──► launched ──► terminated ──► completed
//!       (framework) └──────────── executor ────────────┘   (executor, the last 200)
//! ```
//!
//! A task is in exactly one of these places. Terminated means that its terminal status is not acknowledged yet.

mod agent;
mod counters;
mod executor;
mod framework;
mod reader;
mod ring;
mod task;

pub use agent::{Agent, Draining, Master, Phase, Recovery};
pub use counters::Counters;
pub use executor::{Contact, Executor, ExecutorPhase, Generated, Peer};
pub use framework::{Framework, FrameworkPhase};
pub use reader::{AgentGone, AgentReader, Query};
pub use ring::Ring;
pub use task::{LiveTask, PendingTask, Stage, is_terminal, task_of};
