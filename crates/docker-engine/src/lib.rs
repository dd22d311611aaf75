//! The boundary to a Docker Engine: verbs with deadlines, a taxonomy of errors, image references, credentials.
//!
//! [`Engine`] is a concrete handle on one engine. Each verb is one Engine API operation, takes a deadline, returns
//! types of ours, and fails with an [`EngineError`] that says what was tried, on what, and why it failed. This is the
//! only crate that names bollard, and none of its types are public.
//!
//! What runs on the path of every launch (image inspection, create, start, inspect, wait, logs) and everything that
//! carries environment values or credentials is sent by ourselves, over the same connections as bollard's requests:
//! it is faster, keeps the raw bytes, and nothing writes them to a log.
//!
//! Who calls it: `docker-containerizer` for tasks, `cli` and the tests for the rest.

mod container;
pub mod create_body;
mod credentials;
mod engine;
mod error;
mod events;
mod exec;
mod exit_code;
mod extra_headers;
mod image;
mod image_ref;
mod info;
mod inspection;
mod list;
mod logs;
mod network;
mod options;
mod path;
mod pull;
mod serde_null;
mod socket;
mod stamp;
mod stats;
mod streams;
mod transport;
mod version;
mod volume;
mod wait;

pub use container::{AnonymousVolumes, Created, Force, Removal, Started};
pub use create_body::{
    BindOptions, BlkioRate, BlkioWeight, ClusterOptions, CreateBody, DeviceMapping, DeviceRequest, Empty,
    EndpointIpamConfig, EndpointSettings, HealthConfig, Hidden, HostConfig, ImageOptions, LogConfig, Mount,
    MountDriver, NetworkingConfig, PortBinding, Resources, RestartPolicy, TmpfsOptions, Ulimit,
    VolumeOptions,
};
pub use credentials::Credentials;
pub use engine::Engine;
pub use error::{EngineError, ErrorKind, Op};
pub use events::{Event, EventFilter, EventReader};
pub use exec::{ExecHandle, ExecOutput, ExecRequest, ExecResult, ExecState};
pub use exit_code::{exec_failure_exit_code, start_failure_exit_code};
pub use extra_headers::{ExtraHeaderError, ExtraHeaders};
pub use image::ImageDetails;
pub use image_ref::{ImageRef, ImageRefError};
pub use info::{CgroupVersion, EngineInfo};
pub use inspection::{
    EndpointAddr, EngineHealth, EngineHealthStatus, Inspection, MountPoint, PublishedPort, State,
};
pub use list::{ListFilter, ListScope, Listed};
pub use logs::{AttachFrame, AttachReader, Follow, LogFrame, LogReader, LogRequest, OutputStream, Terminal};
pub use network::Network;
pub use options::{Deadlines, EngineOptions};
pub use pull::{PullOptions, PullProgress};
pub use socket::{DEFAULT_SOCKET, resolve_socket};
pub use stamp::{EngineTime, Stamp};
pub use stats::Stats;
pub use version::{ApiVersion, NEWEST_API, NotAVersion, OLDEST_API};
pub use volume::{Volume, VolumeRemoval};
pub use wait::WaitEnd;
