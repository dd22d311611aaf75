//! Owns an engine of the test's own, beside the machine's: a containerd and a dockerd with their own sockets, state and
//! storage in one temporary directory. Tests that kill, stop, freeze or restart a daemon use this one.
//!
//! ```text
//! start → containerd ← dockerd(live-restore) → kill_dockerd → start_dockerd → … → drop: nothing is left
//! ```
//!
//! dockerd has a containerd that it doesn't manage, as only then it comes back from SIGKILL with its containers. Both
//! are in a network namespace of their own: a dockerd deletes the link `docker0` when it is told to have no bridge, and
//! configures it when it is not, and either would take the machine's own engine its network. [`cleanup`] works from the
//! directory alone, so the next start also removes what a killed test run left.

mod cleanup;
mod daemon;
mod engine;

pub use engine::PrivateEngine;
