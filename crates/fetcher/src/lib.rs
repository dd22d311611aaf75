//! Mesos' fetcher: a task's URIs into its sandbox, through a cache, unpacked, and safe.
//!
//! The work is split between two processes, as in Mesos:
//!
//! * The **agent side** ([`agent`], [`cache`]) decides: which URI goes through the cache, what is evicted, who waits
//!   for whose download. It touches no byte that came from outside.
//! * The **child side** ([`program`], the program `mesos-fetcher`) does: it becomes the task's user, downloads
//!   ([`download`]), unpacks ([`extract`]) and ends. It lives as long as one fetch, and killing it ends the fetch.
//!
//! What passes between them is in [`info`] (the agent tells) and [`progress`] (the child tells). [`uri`] is common to
//! both: what a URI is, what it is called in the sandbox, and what is refused.

pub mod agent;
pub mod cache;
mod chain;
pub mod download;
pub mod extract;
pub mod info;
pub mod program;
pub mod progress;
pub mod uri;
