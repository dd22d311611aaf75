//! The flag rules of Mesos, shared by every program of the project.
//!
//! [`values`] turns text into durations, sizes and booleans the way stout does, [`source`] finds the text of a
//! value (inline, `file://`, a bare path where that is allowed), [`definition`] describes a flag, [`command_line`]
//! applies the rules of `--name=value` and `MESOS_NAME`, and [`docker`] is the table of the Docker containerizer's
//! flags with the validated settings they become, which `mesos-docker` uses; [`agent`] is the whole table of
//! `mesos-agent`, those among it.
//!
//! Facts followed: stout `flags/flags.hpp`, `duration.hpp`, `bytes.hpp` and Mesos `src/slave/flags.cpp`.

pub mod agent;
pub mod command_line;
mod credentials;
pub mod definition;
pub mod dns;
pub mod docker;
mod docker_table;
pub mod error;
pub mod fetch;
pub mod markdown;
mod pulls;
pub mod secret;
pub mod source;
mod supervision;
pub mod values;

pub use agent::{AgentFlagsError, AgentSettings, Invocation, LoadedAgentSettings};
pub use command_line::{ParsedFlags, parse};
pub use credentials::{DockerConfig, DockerCredentialSettings};
pub use definition::{FlagDef, FlagKind, Sensitivity, normalize_name};
pub use dns::{ContainerDns, DnsEntry, DnsNetwork};
pub use docker::{DockerDeadlines, DockerLogSettings, DockerSettings, LoadedDockerSettings};
pub use docker_table::DOCKER_FLAGS;
pub use error::FlagError;
pub use fetch::FetchSettings;
pub use markdown::markdown_table;
pub use pulls::{DockerPullPolicy, DockerPullSettings};
pub use secret::Secret;
pub use source::{FlagSource, MAX_FLAG_FILE_BYTES, Notice};
pub use supervision::{DockerMask, DockerSupervisionSettings};
pub use values::{format_bytes, format_duration, parse_bool, parse_bytes, parse_duration};
