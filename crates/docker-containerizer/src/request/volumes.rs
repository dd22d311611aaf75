//! The mounts of the container: the task's volumes in their order, then the sandbox. Persistent volumes are mounted by
//! [`super::persistent`].
//!
//! A `Binds` entry cannot hold a colon in a path, a `Mounts` entry can, but the engine makes a missing directory for
//! `Binds` only. So a path without colon goes into `Binds`, as `docker run -v` sends it, and one with a colon into
//! `Mounts`, after we made the directory. The sandbox exists and always goes into `Mounts`.

use docker_engine::HostConfig;
use docker_engine::create_body::{BindOptions, Mount, MountDriver, VolumeOptions};
use mesos_types::{Access, FieldError, Propagation, VolumeSource};
use sandbox::RelPath;

use super::persistent::VolumePlace;
use super::{RequestInput, inside, join, text};

/// A place on the host that must exist before the container is created.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MountPoint {
    /// A directory below the sandbox, made as the sandbox's owner if it is missing; links are not followed.
    Sandbox(RelPath),
    /// An absolute path with a colon, which the engine does not make by itself.
    Host(String),
    /// A place in a persistent volume. The volume itself must be there, and is given to the sandbox's owner; what is below
    /// is made as in the sandbox.
    Volume(VolumePlace),
}

/// Sets the mounts; answers which places must be made first.
pub(super) fn apply(host: &mut HostConfig, input: &RequestInput<'_>) -> Result<Vec<MountPoint>, FieldError> {
    let mut points = Vec::new();
    for (at, volume) in input.task.container.volumes.iter().enumerate() {
        let field = format!("container.volumes[{at}]");
        let target = inside(&input.settings.sandbox_directory, &volume.container_path);
        let read_only = volume.access == Access::ReadOnly;
        let propagation = volume.propagation.map(|propagation| match propagation {
            Propagation::HostToContainer => "rslave",
            Propagation::Bidirectional => "rshared",
        });
        match &volume.source {
            VolumeSource::Host(path) => {
                if path.contains(':') || target.contains(':') {
                    points.push(MountPoint::Host(path.clone()));
                    let bind_options = propagation.map(|propagation| BindOptions {
                        propagation: propagation.into(),
                        ..Default::default()
                    });
                    host.mounts.push(Mount { bind_options, ..bind_mount(path.clone(), target, read_only) });
                } else {
                    let mode = if read_only { "ro" } else { "rw" };
                    let propagation = propagation.map(|name| format!(",{name}")).unwrap_or_default();
                    host.binds.push(format!("{path}:{target}:{mode}{propagation}"));
                }
            }
            VolumeSource::Sandbox(path) => {
                let relative =
                    RelPath::new(path).map_err(|error| FieldError::new(&field, crate::chain(&error)))?;
                let source = text(&field, &join(input.sandbox, path))?;
                points.push(MountPoint::Sandbox(relative));
                host.mounts.push(bind_mount(source, target, read_only));
            }
            VolumeSource::Docker { name, driver, options } => {
                let driver_config = (driver.is_some() || !options.is_empty()).then(|| MountDriver {
                    name: driver.clone().unwrap_or_default(),
                    options: options.clone().into(),
                });
                host.mounts.push(Mount {
                    kind: "volume".into(),
                    source: name.clone(),
                    target,
                    read_only,
                    volume_options: driver_config.map(|driver_config| VolumeOptions {
                        driver_config: Some(driver_config),
                        ..VolumeOptions::default()
                    }),
                    ..Mount::default()
                });
            }
        }
    }
    let sandbox = text("work_dir", input.sandbox)?;
    host.mounts.push(bind_mount(sandbox, input.settings.sandbox_directory.clone(), false));
    Ok(points)
}

/// A bind mount without options.
pub(super) fn bind_mount(source: String, target: String, read_only: bool) -> Mount {
    Mount { kind: "bind".into(), source, target, read_only, ..Mount::default() }
}
