//! Volumes of a container without a file system of its own: symbolic links in its sandbox.
//!
//! Follows `isolators/filesystem/posix.cpp` and `isolators/volume/sandbox_path.cpp` of Mesos. The links are put once,
//! before the command starts; a file that was fetched to such a place makes way, and a directory with something in it is
//! an error, since it would be lost.

use std::path::Path;

use containerizer::volume::{make_below, make_in_volume};
use containerizer::{Failure, chain};
use mesos_types::resource::LocalVolume;
use mesos_types::{PersistentVolume, PlainTaskSpec};
use sandbox::{Owner, RelPath, Sandbox, SandboxError};

/// The phase that failures here are of.
const PHASE: &str = "mount";

/// Makes the volumes of a task show in its sandbox. Blocks on the file system.
///
/// A persistent volume becomes the sandbox's owner's, as in stock, unless another container has it: `is_used` tells.
///
/// # Errors
///
/// The volume that cannot be shown.
pub(crate) fn show(
    task: &PlainTaskSpec,
    sandbox: &Path,
    owner: Option<Owner>,
    work_dir: &Path,
    is_used: impl Fn(&LocalVolume) -> bool,
) -> Result<(), Failure> {
    let directory = Sandbox::open(sandbox).map_err(|error| Failure::new(PHASE, chain(&error)))?;
    for volume in &task.volumes {
        let failed = |why: String| {
            let message =
                format!("the volume {} of the sandbox at {}: {why}", volume.path, volume.container_path);
            Failure::new(PHASE, message)
        };
        let path = rel(&volume.path).map_err(failed)?;
        make_below(&directory, &path, owner).map_err(|error| failed(chain(&error)))?;
        link(&directory, &volume.container_path, &sandbox.join(&path), owner).map_err(failed)?;
    }
    show_persistent(&task.resources.volumes, sandbox, owner, work_dir, is_used)
}

/// Makes persistent volumes show in a sandbox, of a container that runs or will. Blocks on the file system.
///
/// # Errors
///
/// The volume that cannot be shown.
pub(crate) fn show_persistent(
    volumes: &[PersistentVolume],
    sandbox: &Path,
    owner: Option<Owner>,
    work_dir: &Path,
    is_used: impl Fn(&LocalVolume) -> bool,
) -> Result<(), Failure> {
    let directory = Sandbox::open(sandbox).map_err(|error| Failure::new(PHASE, chain(&error)))?;
    for volume in volumes {
        let local = &volume.volume;
        let failed =
            |why: String| Failure::new(PHASE, format!("the persistent volume {}: {why}", local.id()));
        let place = local.directory(work_dir);
        make_in_volume(&place, None, owner, is_used(local)).map_err(failed)?;
        link(&directory, &volume.container_path, &place.path(), owner).map_err(failed)?;
    }
    Ok(())
}

/// Puts a link to `target` at a place below the sandbox.
fn link(directory: &Sandbox, at: &str, target: &Path, owner: Option<Owner>) -> Result<(), String> {
    let at = rel(at)?;
    let put = || -> Result<(), SandboxError> {
        if let Some(parent) = at.as_path().parent().and_then(|parent| RelPath::new(parent).ok()) {
            directory.create_dir_all(&parent, 0o755, owner)?;
        }
        directory.place(&at)?.put_symlink(target.as_os_str(), None)
    };
    put().map_err(|error| chain(&error))
}

fn rel(path: &str) -> Result<RelPath, String> {
    RelPath::new(path).map_err(|error| chain(&error))
}
