//! The domain types of a Mesos agent: ids, resources, and what a task asks for, valid by construction.
//!
//! Wire messages (`mesos-proto`) stop at [`TaskSpec::from_task_info`]: it refuses what cannot be honoured, names the
//! field and the remedy, and lists what is accepted without effect as [`Notice`]s. Everything behind it may take a
//! value that exists for a valid one. No I/O, no clock, no randomness except [`ContainerId::random`].
//!
//! | module | owns |
//! |---|---|
//! | [`ids`] | agent, framework, executor, task and container ids |
//! | [`ports`] | port numbers and ranges |
//! | [`resources`] | scalars in fixed point, what a task requests and its limits |
//! | [`resource`] | the arithmetic of resources: reservations, volumes, operations, `--resources` |
//! | [`roles`] | the names of roles |
//! | [`attributes`] | `--attributes` |
//! | [`compatibility`] | whether an agent is still the one that it was |
//! | [`command`] | how the process is started, its environment |
//! | [`check`] | health checks and checks |
//! | [`container`] | image, port mappings, parameters |
//! | [`network`] | the networks, and what is asked of each |
//! | [`isolation`] | `--isolation` |
//! | [`linux`] | capabilities, namespaces, resource limits |
//! | [`volume`] | what is mounted where |
//! | [`persistent_volume`] | the persistent volumes among a task's resources |
//! | [`uri`] | what is fetched into the sandbox |
//! | [`task`] | a whole task with an image |
//! | [`plain`] | a whole task without one |
//! | `common` | what both ask for |
//! | [`fields`] | errors and notices that name a field |

pub mod attributes;
pub mod check;
pub mod command;
mod common;
pub mod compatibility;
pub mod container;
pub mod fields;
pub mod ids;
pub mod isolation;
pub mod linux;
pub mod network;
pub mod persistent_volume;
pub mod plain;
pub mod ports;
pub mod resource;
pub mod resources;
pub mod roles;
pub mod task;
pub mod uri;
pub mod volume;

pub use check::{
    CheckSpec, CheckTimes, CommandProbe, HealthCheckSpec, HttpProbe, HttpScheme, IpFamily, ProbeSpec,
    TcpProbe,
};
pub use command::{CommandSpec, EnvVar};
pub use container::{ContainerSpec, Parameter, PortMapping, Protocol, PullPolicy};
pub use fields::{FieldError, Notice, ProcessUser, Reading, Strictness};
pub use ids::{AgentId, ContainerId, ExecutorId, FrameworkId, IdError, TaskId};
pub use isolation::{Isolation, Isolator, Launcher};
pub use linux::{LinuxSpec, Rlimit, Sharing};
pub use network::{Network, UserNetwork, UserNetworks};
pub use persistent_volume::PersistentVolume;
pub use plain::{PlainCommand, PlainTaskSpec, SandboxVolume};
pub use ports::PortRanges;
pub use resource::{Amount, Resource, ResourceError, ResourceFlag, ResourceSet};
pub use resources::{Limit, Megabytes, Millicpus, TaskLimits, TaskResources};
pub use task::TaskSpec;
pub use uri::UriSpec;
pub use volume::{Access, Propagation, VolumeSource, VolumeSpec};
