//! From the flags to an engine connection and the containerizers.
//!
//! The flags are values of Mesos (`flags::DockerSettings`), the containerizers' settings are their own types; this crate
//! is the one mapping between them, so that `mesos-docker`, `mesos-docker-executor` and the agent mean the same by a
//! flag. It opens nothing but the file of `--docker_config`.

mod containerizer;
mod engine;
mod operator;
mod plain;
mod pulls;
mod request;
mod supervision;

pub use containerizer::{FetchPlaces, containerizer_settings, fetcher, reading};
pub use engine::engine_options;
pub use operator::operator_config;
pub use plain::{containment, plain_settings};
pub use pulls::pull_settings;
pub use request::request_settings;
pub use supervision::{check_settings, masked};
