//! A Marathon app definition to the `TaskInfo`s that Marathon would launch for it.
//!
//! [`parse_text`] and [`parse_value`] read a definition, in its old and new forms, into an [`App`] that is valid by
//! construction; every field of Marathon's is known, and each error names its place. [`build_tasks`] turns an app into
//! tasks. Everything here is pure: ports, ids, the host's name and the time come from the caller (`mesos-docker`).
//!
//! Facts followed: Marathon's API types, `TaskBuilder`, `EnvironmentHelper`, `PortDiscovery` (1.0 to 1.11).

mod app;
mod build;
mod command;
mod container;
mod definition;
mod env;
mod error;
mod fetch;
mod health;
mod id;
pub mod json;
mod known_fields;
mod networks;
mod notes;
mod ports;
mod reader;
mod resources;
mod volumes;

pub use app::{App, Tty};
pub use build::{BuildContext, PortPool, PortRefusal, PortSource, build_tasks, service_ports};
pub use command::Command;
pub use container::{Container, Docker, Parameter};
pub use definition::{parse_text, parse_value};
pub use error::{AppError, JsonPath, Problem};
pub use fetch::Fetch;
pub use health::{Check, HealthCheck, IpProtocol, Probe, ProbePort, Scheme, Times};
pub use id::AppId;
pub use networks::Network;
pub use notes::Note;
pub use ports::{HostPorts, PortDefinition, PortMapping, Ports, Protocols};
pub use resources::{Limit, ResourceLimits, Resources};
pub use volumes::{Volume, VolumeMode};
