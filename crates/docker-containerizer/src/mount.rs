//! Making the places of volumes on the host before the container is created.

use std::fs;
use std::path::Path;

use sandbox::{Owner, Sandbox};

use crate::request::MountPoint;
use crate::termination::Failure;

/// Makes each place that is missing. Blocks on the file system.
///
/// Below the sandbox links are not followed, and directories get the sandbox's owner. A host path is made as the
/// engine makes one for `docker run -v`: directories of root with mode 0755.
///
/// # Errors
///
/// The place that could not be made.
pub(crate) fn make(points: &[MountPoint], sandbox: &Sandbox, owner: Option<Owner>) -> Result<(), Failure> {
    for point in points {
        match point {
            MountPoint::Sandbox(path) => {
                if sandbox.resolve_dir_or_file(path).is_ok() {
                    continue;
                }
                sandbox
                    .create_dir_all(path, 0o755, owner)
                    .and_then(|()| sandbox.resolve_dir_or_file(path))
                    .map_err(|error| Failure::new("mount", crate::chain(&error)))?;
            }
            MountPoint::Host(path) => {
                if !Path::new(path).exists() {
                    fs::create_dir_all(path).map_err(|error| {
                        Failure::new("mount", format!("cannot make the host directory {path}: {error}"))
                    })?;
                }
            }
        }
    }
    Ok(())
}
