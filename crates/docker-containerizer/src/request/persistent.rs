//! The persistent volumes of the task, after all other mounts are known.
//!
//! Stock mounts a volume into the sandbox on the host, and the container sees it wherever it sees that part of the
//! sandbox (`DockerContainerizerProcess::mountPersistentVolumes`). Here the volume is mounted into the container only,
//! in each of those places: below the sandbox, and wherever a volume or parameter of the task shows a directory of the
//! sandbox, as Marathon's applications have it. Nothing of it is ever mounted on the host.

use std::path::{Path, PathBuf};

use docker_engine::HostConfig;
use docker_engine::create_body::Mount;
use mesos_types::persistent_volume::VolumeSharing;
use mesos_types::resource::{LocalVolume, VolumeDirectory};
use mesos_types::{Access, FieldError, PersistentVolume};
use sandbox::RelPath;

use super::volumes::bind_mount;
use super::{MountPoint, RequestInput, text};

/// A place in a persistent volume that a container mounts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VolumePlace {
    /// Which volume.
    pub volume: LocalVolume,
    /// Where its content is.
    pub directory: VolumeDirectory,
    /// A directory or file in it, if not all of it.
    pub below: Option<RelPath>,
}

impl VolumePlace {
    /// Its path on the host.
    pub fn path(&self) -> PathBuf {
        let directory = self.directory.path();
        self.below.as_ref().map_or(directory.clone(), |below| directory.join(below))
    }
}

/// Adds the task's persistent volumes to the mounts, and their places to `points`.
pub(super) fn apply(
    host: &mut HostConfig,
    points: &mut Vec<MountPoint>,
    input: &RequestInput<'_>,
) -> Result<(), FieldError> {
    input.task.resources.volumes.iter().try_for_each(|volume| one(host, points, input, volume))
}

fn one(
    host: &mut HostConfig,
    points: &mut Vec<MountPoint>,
    input: &RequestInput<'_>,
    volume: &PersistentVolume,
) -> Result<(), FieldError> {
    let field = "resources";
    let is_read_only = volume.access == Access::ReadOnly;
    let place = VolumePlace {
        volume: volume.volume.clone(),
        directory: volume.volume.directory(&input.labels.work_dir),
        below: None,
    };
    let source = text(field, &place.path())?;
    points.push(MountPoint::Volume(place.clone()));
    if volume.container_path.starts_with('/') {
        host.mounts.push(bind_mount(source, volume.container_path.clone(), is_read_only));
        return Ok(());
    }
    let shown =
        RelPath::new(&volume.container_path).map_err(|error| FieldError::new(field, crate::chain(&error)))?;
    let shown_at = input.sandbox.join(&shown);
    let mut nested: Vec<Mount> = Vec::new();
    for mount in host.mounts.iter_mut().filter(|mount| mount.kind == "bind") {
        let from = Path::new(&mount.source);
        if let Ok(rest) = from.strip_prefix(&shown_at) {
            let below = RelPath::new(rest).ok();
            if below.is_some() && volume.sharing == VolumeSharing::Shared {
                // Who has it already could put a link there while the engine follows the path.
                let what = format!(
                    "a mount of {} in the shared persistent volume {}",
                    rest.display(),
                    volume.volume.id()
                );
                return Err(FieldError::new(field, what).hint("mount the whole volume"));
            }
            let part = VolumePlace { below, ..place.clone() };
            points.retain(|point| !is_of_sandbox(point, input.sandbox, from));
            mount.source = text(field, &part.path())?;
            mount.read_only |= is_read_only;
            if part.below.is_some() {
                points.push(MountPoint::Volume(part));
            }
        } else if from.starts_with(input.sandbox)
            && let Ok(rest) = shown_at.strip_prefix(from)
        {
            let target = text(field, &Path::new(&mount.target).join(rest))?;
            nested.push(bind_mount(source.clone(), target, is_read_only || mount.read_only));
        }
    }
    // Last of the places of the sandbox, so that one above it is made as it was asked for.
    points.push(MountPoint::Sandbox(shown));
    host.mounts.extend(nested);
    Ok(())
}

/// Whether a place is this one of the sandbox, which the volume covers.
fn is_of_sandbox(point: &MountPoint, sandbox: &Path, path: &Path) -> bool {
    match point {
        MountPoint::Sandbox(below) => sandbox.join(below) == path,
        MountPoint::Host(_) | MountPoint::Volume(_) => false,
    }
}
