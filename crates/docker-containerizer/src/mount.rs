//! Making the places of volumes on the host before the container is created.

use std::fs;
use std::path::Path;

use containerizer::volume::{make_below, make_in_volume, open_volume};
use mesos_types::FieldError;
use mesos_types::resource::LocalVolume;
use sandbox::{Owner, Sandbox};

use crate::request::{MountPoint, VolumePlace};
use containerizer::Failure;

/// Makes each place that is missing. Blocks on the file system.
///
/// Below the sandbox links are not followed, and directories get the sandbox's owner. A host path is made as the
/// engine makes one for `docker run -v`: directories of root with mode 0755.
///
/// A persistent volume becomes the sandbox's owner's, as in stock, unless another container has it: `is_used` tells.
///
/// # Errors
///
/// The place that could not be made.
pub(crate) fn make(
    points: &[MountPoint],
    sandbox: &Sandbox,
    owner: Option<Owner>,
    is_used: impl Fn(&LocalVolume) -> bool,
) -> Result<(), Failure> {
    for point in points {
        match point {
            MountPoint::Sandbox(path) => {
                make_below(sandbox, path, owner)
                    .map_err(|error| Failure::new("mount", crate::chain(&error)))?;
            }
            MountPoint::Volume(place) => {
                let is_used = is_used(&place.volume);
                make_in_volume(&place.directory, place.below.as_ref(), owner, is_used).map_err(|why| {
                    Failure::new("mount", format!("the persistent volume {}: {why}", place.volume.id()))
                })?;
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

/// Checks that the persistent volumes among the places are there: a task without its data is not to begin with a pull.
/// Blocks on the file system.
///
/// # Errors
///
/// The first volume that is not there.
pub(crate) fn check_volumes(points: &[MountPoint]) -> Result<(), FieldError> {
    for point in points {
        if let MountPoint::Volume(VolumePlace { volume, directory, .. }) = point
            && let Err(why) = open_volume(directory)
        {
            let why = format!("the persistent volume {} cannot be used: {why}", volume.id());
            return Err(FieldError::new("resources[disk].disk.persistence", why).hint(
                "create the volume first, with the operation CREATE of its framework or the operator",
            ));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{MetadataExt, symlink};

    use mesos_proto::v1;
    use mesos_types::Resource;
    use sandbox::RelPath;

    use super::*;

    /// The volume `data` of a role, in this work directory.
    fn place(work_dir: &Path, below: Option<&str>) -> VolumePlace {
        let message = v1::Resource {
            name: "disk".into(),
            r#type: v1::value::Type::Scalar.into(),
            scalar: Some(v1::value::Scalar { value: 64.0 }),
            role: Some("team".into()),
            disk: Some(v1::resource::DiskInfo {
                persistence: Some(v1::resource::disk_info::Persistence {
                    id: "data".into(),
                    principal: None,
                }),
                ..Default::default()
            }),
            ..Default::default()
        };
        let volume = LocalVolume::of(&Resource::from_proto(&message).unwrap()).unwrap();
        let below = below.map(|below| RelPath::new(below).unwrap());
        VolumePlace { directory: volume.directory(work_dir), volume, below }
    }

    /// A work directory with the volume and a sandbox.
    fn work_dir() -> (tempfile::TempDir, Sandbox, std::path::PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("volumes/roles/team/data");
        fs::create_dir_all(&path).unwrap();
        let sandbox = Sandbox::create(&dir.path().join("sandbox"), None).unwrap();
        (dir, sandbox, path)
    }

    #[test]
    fn a_volume_becomes_the_owners_unless_another_has_it() {
        let (dir, sandbox, path) = work_dir();
        let make = |owner: u32, is_used: bool| {
            let points = [MountPoint::Volume(place(dir.path(), Some("a/b")))];
            let owner = Owner::new(owner, owner).unwrap();
            make(&points, &sandbox, Some(owner), |_| is_used).unwrap();
            fs::metadata(&path).unwrap().uid()
        };
        if !rustix::process::geteuid().is_root() {
            eprintln!("skipped: only root gives files away");
            return;
        }
        // A new one is nobody's, whoever has it.
        assert_eq!(make(1001, true), 1001);
        assert_eq!(make(1002, true), 1001);
        assert_eq!(make(1002, false), 1002);
        assert!(path.join("a/b").is_dir());
    }

    #[test]
    fn a_volume_without_an_owner_stays_as_it_is() {
        let (dir, sandbox, path) = work_dir();
        let before = fs::metadata(&path).unwrap().uid();
        make(&[MountPoint::Volume(place(dir.path(), None))], &sandbox, None, |_| false).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().uid(), before);
    }

    #[test]
    fn a_volume_that_is_gone_is_named_and_not_made() {
        let (dir, sandbox, path) = work_dir();
        fs::remove_dir(&path).unwrap();
        let points = [MountPoint::Volume(place(dir.path(), None))];
        assert!(check_volumes(&points).unwrap_err().to_string().contains("persistent volume data"));
        let failure = make(&points, &sandbox, None, |_| false).unwrap_err();
        assert!(failure.to_string().contains("persistent volume data"), "{failure}");
        assert!(!path.exists());
    }

    #[test]
    fn a_link_in_the_place_of_a_volume_or_in_it_is_not_followed() {
        let (dir, sandbox, path) = work_dir();
        let precious = dir.path().join("precious");
        fs::create_dir(&precious).unwrap();
        symlink(&precious, path.join("link")).unwrap();
        let points = [MountPoint::Volume(place(dir.path(), Some("link/below")))];
        assert!(make(&points, &sandbox, None, |_| false).is_err());
        fs::remove_dir_all(&path).unwrap();
        symlink(&precious, &path).unwrap();
        let points = [MountPoint::Volume(place(dir.path(), None))];
        assert!(check_volumes(&points).is_err());
        assert!(make(&points, &sandbox, None, |_| false).is_err());
        assert!(fs::read_dir(&precious).unwrap().next().is_none());
    }
}
