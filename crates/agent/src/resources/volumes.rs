//! The directories of persistent volumes (Mesos `src/slave/slave.cpp`, `syncCheckpointedResources`).
//!
//! A volume's content is made by tasks that may run as root, so it is removed by a walk that follows no link and enters
//! no mount. The way to a volume is the agent's own, and it is made without going through a link either.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use mesos_types::ResourceSet;
use mesos_types::resource::{LocalVolume, VolumeDirectory};
use sandbox::{RelPath, RelPathError, Sandbox, SandboxError};

/// Mode of directories that are made on the way and of volumes; a task's user gets its volume when it first uses it.
const MODE: u32 = 0o755;

/// A volume's directory that cannot be made or removed.
#[derive(Debug, thiserror::Error)]
pub enum VolumeError {
    /// The directory cannot be made.
    #[error("cannot create the directory of persistent volume {id}")]
    Create {
        /// The volume.
        id: String,
        /// The cause.
        #[source]
        source: SandboxError,
    },
    /// The directory cannot be removed in full; what could be is gone.
    #[error("cannot remove persistent volume {id}")]
    Remove {
        /// The volume.
        id: String,
        /// The cause.
        #[source]
        source: SandboxError,
    },
    /// The root of a disk cannot be used.
    #[error("cannot use {} for persistent volume {id}", path.display())]
    Root {
        /// The volume.
        id: String,
        /// The root.
        path: PathBuf,
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// A volume on a whole disk that holds something already.
    #[error("cannot create persistent volume {id}: {} is not empty", path.display())]
    NotEmpty {
        /// The volume.
        id: String,
        /// The mount point.
        path: PathBuf,
    },
    /// Its names are too long for a path.
    #[error("persistent volume {id} cannot have a directory")]
    Name {
        /// The volume.
        id: String,
        /// The cause.
        #[source]
        source: RelPathError,
    },
}

/// Makes the directory; one that is there already stays as it is.
fn create(directory: &VolumeDirectory, id: &str) -> Result<(), VolumeError> {
    let id = || id.to_owned();
    match directory {
        VolumeDirectory::Below { root, rel } => {
            fs::create_dir_all(root).map_err(|source| VolumeError::Root {
                id: id(),
                path: root.clone(),
                source,
            })?;
            let rel = RelPath::new(rel).map_err(|source| VolumeError::Name { id: id(), source })?;
            Sandbox::open(root)
                .and_then(|root| root.create_dir_all(&rel, MODE, None))
                .map_err(|source| VolumeError::Create { id: id(), source })
        }
        VolumeDirectory::Whole(path) => {
            match fs::read_dir(path).map(|mut entries| entries.next().is_some()) {
                Ok(false) => Ok(()),
                Ok(true) => Err(VolumeError::NotEmpty { id: id(), path: path.clone() }),
                Err(source) => Err(VolumeError::Root { id: id(), path: path.clone(), source }),
            }
        }
    }
}

/// Removes the directory, or what is in it where it is a whole file system. One that is gone is no error.
fn remove(directory: &VolumeDirectory, id: &str) -> Result<(), VolumeError> {
    let failed = |source| VolumeError::Remove { id: id.to_owned(), source };
    match directory {
        VolumeDirectory::Below { root, rel } => {
            sandbox::remove_all(&root.join(rel)).map(|_| ()).map_err(failed)
        }
        VolumeDirectory::Whole(path) => {
            let unusable = |source| VolumeError::Root { id: id.to_owned(), path: path.clone(), source };
            for entry in fs::read_dir(path).map_err(unusable)? {
                let entry = entry.map_err(unusable)?;
                // Of the entry itself, not of what a link leads to.
                if entry.file_type().map_err(unusable)?.is_dir() {
                    sandbox::remove_all(&entry.path()).map_err(failed)?;
                } else {
                    fs::remove_file(entry.path()).map_err(unusable)?;
                }
            }
            Ok(())
        }
    }
}

/// Makes the directories of volumes that are in `new` and not in `old`, and removes those of volumes that are in `old`
/// and not in `new`. A volume that only changed its size keeps its directory and content. May be repeated after a
/// failure.
///
/// # Errors
///
/// The first directory that cannot be made or removed; those after it were not touched.
pub fn sync_volumes(work_dir: &Path, old: &ResourceSet, new: &ResourceSet) -> Result<(), VolumeError> {
    let (old, new) = (directories(work_dir, old), directories(work_dir, new));
    for (path, (directory, id)) in &new {
        if !old.contains_key(path) {
            create(directory, id)?;
        }
    }
    for (path, (directory, id)) in &old {
        if !new.contains_key(path) {
            remove(directory, id)?;
        }
    }
    Ok(())
}

/// The directories of all volumes by path, with the volumes' ids.
fn directories(work_dir: &Path, resources: &ResourceSet) -> BTreeMap<PathBuf, (VolumeDirectory, String)> {
    let entry = |volume: LocalVolume| {
        let directory = volume.directory(work_dir);
        (directory.path(), (directory, volume.id().as_str().to_owned()))
    };
    resources.iter().filter_map(LocalVolume::of).map(entry).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use mesos_proto::v1;
    use std::os::unix::fs::symlink;

    fn volume(role: &str, id: &str, size: f64, source: Option<(&str, &str)>) -> ResourceSet {
        use v1::resource::disk_info::{Persistence, Source, source};
        let source = source.map(|(kind, root)| {
            let root = Some(root.to_owned());
            match kind {
                "PATH" => Source {
                    r#type: source::Type::Path.into(),
                    path: Some(source::Path { root }),
                    ..Default::default()
                },
                _ => Source {
                    r#type: source::Type::Mount.into(),
                    mount: Some(source::Mount { root }),
                    ..Default::default()
                },
            }
        });
        let message = v1::Resource {
            name: "disk".into(),
            r#type: v1::value::Type::Scalar.into(),
            scalar: Some(v1::value::Scalar { value: size }),
            role: Some(role.into()),
            disk: Some(v1::resource::DiskInfo {
                persistence: Some(Persistence { id: id.into(), principal: None }),
                volume: None,
                source,
            }),
            ..Default::default()
        };
        ResourceSet::from_protos([&message]).unwrap()
    }

    fn path(work_dir: &Path, set: &ResourceSet) -> PathBuf {
        LocalVolume::of(set.iter().next().unwrap()).unwrap().directory(work_dir).path()
    }

    #[test]
    fn volumes_come_grow_and_go() {
        let work_dir = tempfile::tempdir().unwrap();
        let (none, small) = (ResourceSet::new(), volume("a/b", "v", 10.0, None));
        let at = path(work_dir.path(), &small);
        sync_volumes(work_dir.path(), &none, &small).unwrap();
        sync_volumes(work_dir.path(), &none, &small).unwrap();
        fs::write(at.join("data"), "kept").unwrap();
        let large = volume("a/b", "v", 20.0, None);
        sync_volumes(work_dir.path(), &small, &large).unwrap();
        assert_eq!(fs::read_to_string(at.join("data")).unwrap(), "kept");
        sync_volumes(work_dir.path(), &large, &none).unwrap();
        assert!(!at.exists());
        sync_volumes(work_dir.path(), &large, &none).unwrap();
    }

    #[test]
    fn hostile_content_goes_and_what_it_points_to_stays() {
        let dir = tempfile::tempdir().unwrap();
        let (work_dir, precious) = (dir.path().join("w"), dir.path().join("precious"));
        fs::create_dir(&precious).unwrap();
        fs::write(precious.join("file"), "x").unwrap();
        let set = volume("r", "v", 1.0, None);
        sync_volumes(&work_dir, &ResourceSet::new(), &set).unwrap();
        let at = path(&work_dir, &set);
        symlink(&precious, at.join("link")).unwrap();
        fs::hard_link(precious.join("file"), at.join("hard")).unwrap();
        rustix::fs::mknodat(
            rustix::fs::CWD,
            at.join("fifo"),
            rustix::fs::FileType::Fifo,
            rustix::fs::Mode::RUSR,
            0,
        )
        .unwrap();
        fs::create_dir_all(at.join("a/b/c")).unwrap();
        sync_volumes(&work_dir, &set, &ResourceSet::new()).unwrap();
        assert!(!at.exists());
        assert_eq!(fs::read_to_string(precious.join("file")).unwrap(), "x");
    }

    #[test]
    fn a_link_in_the_place_of_a_volume_is_not_followed() {
        let dir = tempfile::tempdir().unwrap();
        let (work_dir, precious) = (dir.path().join("w"), dir.path().join("precious"));
        fs::create_dir_all(work_dir.join("volumes/roles")).unwrap();
        fs::create_dir(&precious).unwrap();
        symlink(&precious, work_dir.join("volumes/roles/r")).unwrap();
        let set = volume("r", "v", 1.0, None);
        let error = sync_volumes(&work_dir, &ResourceSet::new(), &set).unwrap_err();
        assert!(
            matches!(error, VolumeError::Create { source: SandboxError::Symlink { .. }, .. }),
            "{error:?}"
        );
        assert!(fs::read_dir(&precious).unwrap().next().is_none());
        symlink(&precious, work_dir.join("volumes/roles/s")).unwrap();
        fs::remove_file(work_dir.join("volumes/roles/r")).unwrap();
        sync_volumes(&work_dir, &ResourceSet::new(), &set).unwrap();
        fs::remove_dir(path(&work_dir, &set)).unwrap();
        symlink(&precious, path(&work_dir, &set)).unwrap();
        assert!(sync_volumes(&work_dir, &set, &ResourceSet::new()).is_err());
        assert!(precious.exists());
    }

    #[test]
    fn a_whole_disk_must_be_empty_and_stays_when_its_volume_goes() {
        let disk = tempfile::tempdir().unwrap();
        let work_dir = tempfile::tempdir().unwrap();
        let set = volume("r", "v", 1.0, Some(("MOUNT", disk.path().to_str().unwrap())));
        sync_volumes(work_dir.path(), &ResourceSet::new(), &set).unwrap();
        fs::create_dir_all(disk.path().join("a/b")).unwrap();
        fs::write(disk.path().join("file"), "x").unwrap();
        symlink(work_dir.path(), disk.path().join("link")).unwrap();
        let error = sync_volumes(work_dir.path(), &ResourceSet::new(), &set).unwrap_err();
        assert!(matches!(error, VolumeError::NotEmpty { .. }), "{error:?}");
        sync_volumes(work_dir.path(), &set, &ResourceSet::new()).unwrap();
        assert!(fs::read_dir(disk.path()).unwrap().next().is_none());
        assert!(work_dir.path().exists());
    }
}
