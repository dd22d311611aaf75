//! The child side: the program `mesos-fetcher` from its environment to its exit code.
//!
//! A drop-in for stock's program (src/launcher/fetcher.cpp): `MESOS_FETCHER_INFO` says what to do, the lines on standard
//! error and the exit codes are stock's, and it becomes the task's user before it reads or writes anything for the
//! task. A stock agent may start it as well as ours.
//!
//! ```text
//! environment ─► Request ─► identity ─► plan ─► obtain (all at once, bounded) ─► publish (in order) ─► exit code
//! ```
//!
//! | module | owns |
//! |---|---|
//! | `start` | the order of things, and the exit code |
//! | `arguments` | the command line, which stock's logging flags are |
//! | `identity` | limits, umask, user |
//! | `plan` | what becomes of each item; pure |
//! | `fetch` | the run through the plan |
//! | `guard` | that a Hadoop client ends with the fetch |
//! | `entries` | files of the cache that several items share |
//! | `measure` | sizes instead of files, for our agent's cache |
//! | `reporter`, `lifeline`, `log` | what the agent and the task's owner see; the end when the agent is gone |

mod arguments;
mod entries;
mod fetch;
mod guard;
mod identity;
mod lifeline;
mod log;
mod measure;
mod plan;
mod reporter;
mod start;

pub use start::main;
