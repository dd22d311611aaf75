//! The body of `POST /containers/create`, as the Engine API 1.41 to 1.51 writes it.
//!
//! These are plain data: what each field means is the engine's documentation's business, which options fill them is
//! `docker-containerizer`'s. An absent field is not sent, so the engine's default holds. Environment values and the
//! options of drivers are never shown by `Debug` ([`Hidden`]).

mod config;
mod hidden;
mod host_config;
mod mounts;
mod resources;

pub use config::{CreateBody, Empty, EndpointIpamConfig, EndpointSettings, HealthConfig, NetworkingConfig};
pub use hidden::Hidden;
pub use host_config::{HostConfig, LogConfig, PortBinding, RestartPolicy};
pub use mounts::{
    BindOptions, ClusterOptions, ImageOptions, Mount, MountDriver, TmpfsOptions, VolumeOptions,
};
pub use resources::{BlkioRate, BlkioWeight, DeviceMapping, DeviceRequest, Resources, Ulimit};
