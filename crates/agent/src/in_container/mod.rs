//! The agent in a container (`--docker_mesos_image`): finds out whether it runs in one, and whether that has what the
//! agent needs of the machine. `driver` asks at the start, before anything is recovered.
//!
//! ```text
//! /proc/self/{cgroup,mountinfo} ──► ids that may be ours ──► the engine knows one ──► facts ──► what is missing
//!                     (identity)                               (inspect)       (look)    (judge)
//! ```
//!
//! Stock starts an executor in a container of its own for each task then, from the flag's image
//! (`src/slave/containerizer/docker.cpp`, `Container::create`), as its executors would end with the agent's container.
//! Here nothing of a Docker task runs beside its container, so the image is never started: the flag says that the agent is
//! meant to run in a container, and what is missing there refuses the start. Without the flag it is a line in the log,
//! except for a work directory that the engine cannot find, with which no task would see its sandbox.

mod identity;
mod judge;
mod look;
mod mounts;

pub use judge::{HostPids, Missing};
pub use look::{Found, Lookout, SetupError, surroundings};
