//! `docker run` options given as parameters (`DockerInfo.parameters`): each comes after all that Mesos set, so that a
//! single value replaces and a list grows.
//!
//! Stock appends `--key=value` to the client's command line (`Docker::run` in `src/docker/docker.cpp`), so what the
//! client takes, counts here too, and what it refuses, we refuse, before anything is pulled. [`table`] lists every long
//! option once, with its aliases, the form of its value, the field it sets, the API version it needs and how it
//! combines; `docs/docker-run-options.md` is made from it. [`draft`] walks through a task's parameters; the other rooms
//! read the values that have a form of their own. `request` calls [`apply`] while it builds a request, and
//! [`read_files`] when the sandbox is ready.

mod csv;
mod devices;
mod draft;
mod environment;
mod error;
mod files;
mod health;
mod logging;
mod mount;
mod network;
mod number;
mod page;
mod ports;
mod resources;
mod row;
mod seccomp;
mod security;
mod table;

pub use page::options_page;

pub(super) use draft::{Context, apply, sets};
pub(super) use files::{FileParameter, read as read_files};
pub(super) use health::switch_off as switch_off_healthcheck;

#[cfg(test)]
mod tests;
