//! The places of volumes on the host, made before a container starts. Blocks on the file system.

use mesos_types::resource::VolumeDirectory;
use sandbox::{Owner, RelPath, Sandbox, SandboxError};

use crate::chain;

/// Makes a place below a directory, if nothing is there. Links are not followed, and directories get the owner.
///
/// # Errors
///
/// The component that is in the way, and errors of the system.
pub fn make_below(directory: &Sandbox, path: &RelPath, owner: Option<Owner>) -> Result<(), SandboxError> {
    if directory.resolve_dir_or_file(path).is_ok() {
        return Ok(());
    }
    directory.create_dir_all(path, 0o755, owner).and_then(|()| directory.resolve_dir_or_file(path)).map(drop)
}

/// Gives a persistent volume to the owner of a sandbox, as stock, unless another container has it (`is_used`), and makes
/// a place in it.
///
/// # Errors
///
/// What is wrong with the volume, in one line.
pub fn make_in_volume(
    directory: &VolumeDirectory,
    below: Option<&RelPath>,
    owner: Option<Owner>,
    is_used: bool,
) -> Result<(), String> {
    let failed = |error| chain(&error);
    let volume = open_volume(directory)?;
    if let Some(owner) = owner
        // Two that share a new volume may come at once.
        && (!is_used || volume.is_roots().map_err(failed)?)
    {
        volume.give_to(owner).map_err(failed)?;
    }
    match below {
        Some(below) => make_below(&volume, below, owner).map_err(failed),
        None => Ok(()),
    }
}

/// Opens the directory of a persistent volume, without going through a link below the root of its disk.
///
/// # Errors
///
/// What is wrong with it, in one line.
pub fn open_volume(directory: &VolumeDirectory) -> Result<Sandbox, String> {
    let opened = match directory {
        VolumeDirectory::Whole(path) => Sandbox::open(path),
        VolumeDirectory::Below { root, rel } => {
            let rel = RelPath::new(rel).map_err(|error| chain(&error))?;
            Sandbox::open(root).and_then(|root| root.subdirectory(&rel))
        }
    };
    opened.map_err(|error| chain(&error))
}
