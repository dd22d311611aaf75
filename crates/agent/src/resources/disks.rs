//! The disks that `--resources` names beside the one of the work_dir.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use mesos_types::ResourceSet;
use mesos_types::resource::{DiskSource, path_root};
use rustix::fs::{AtFlags, CWD, StatxAttributes, StatxFlags, statx};

/// A disk that cannot be offered.
#[derive(Debug, thiserror::Error)]
pub enum DiskError {
    /// The directory cannot be made or looked at.
    #[error("cannot use {} as a disk of flag --resources", path.display())]
    Io {
        /// The directory.
        path: PathBuf,
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// Nothing is mounted there.
    #[error("{} is a MOUNT disk of flag --resources and not a mount point: mount it first, or use PATH", path.display())]
    NotMounted {
        /// The directory.
        path: PathBuf,
    },
    /// A MOUNT disk is named twice, or by no absolute path.
    #[error("{} cannot be a MOUNT disk of flag --resources: {reason}", path.display())]
    Mount {
        /// The directory.
        path: PathBuf,
        /// Why.
        reason: &'static str,
    },
    /// The agent does not have disks of this kind.
    #[error("a disk of flag --resources is neither PATH nor MOUNT, or has no root")]
    Kind,
}

/// Checks the disks of the agent: a PATH disk gets its directory, a MOUNT disk must be a mount point.
///
/// # Errors
///
/// The first disk that cannot be offered.
pub fn prepare_disks(work_dir: &Path, resources: &ResourceSet) -> Result<(), DiskError> {
    let mut mounts: Vec<PathBuf> = Vec::new();
    for resource in resources.iter() {
        match resource.disk_source() {
            DiskSource::WorkDir => {}
            DiskSource::Path(root) => {
                let path = path_root(work_dir, root);
                fs::create_dir_all(&path).map_err(|source| DiskError::Io { path, source })?;
            }
            DiskSource::Mount(root) => {
                let path = PathBuf::from(root);
                if !path.is_absolute() {
                    return Err(DiskError::Mount { path, reason: "its path is not absolute" });
                }
                if mounts.contains(&path) {
                    return Err(DiskError::Mount { path, reason: "it is named twice" });
                }
                if !is_mount_point(&path).map_err(|source| DiskError::Io { path: path.clone(), source })? {
                    return Err(DiskError::NotMounted { path });
                }
                mounts.push(path);
            }
            DiskSource::Other => return Err(DiskError::Kind),
        }
    }
    Ok(())
}

/// Whether something is mounted at `path`.
fn is_mount_point(path: &Path) -> io::Result<bool> {
    let found = statx(CWD, path, AtFlags::empty(), StatxFlags::BASIC_STATS)?;
    if found.stx_attributes_mask.contains(StatxAttributes::MOUNT_ROOT) {
        return Ok(found.stx_attributes.contains(StatxAttributes::MOUNT_ROOT));
    }
    // Before Linux 5.8 only another device tells a mount point.
    Ok(fs::metadata(path)?.dev() != fs::metadata(path.join(".."))?.dev())
}

#[cfg(test)]
mod tests {
    use super::*;
    use mesos_types::ResourceFlag;

    fn disk(kind: &str, root: &Path) -> String {
        let root = match kind {
            "PATH" | "MOUNT" => format!(r#","{}":{{"root":"{}"}}"#, kind.to_lowercase(), root.display()),
            _ => String::new(),
        };
        let source = format!(r#"{{"type":"{kind}"{root}}}"#);
        format!(r#"{{"name":"disk","type":"SCALAR","scalar":{{"value":10}},"disk":{{"source":{source}}}}}"#)
    }

    fn prepare(work_dir: &Path, disks: &[String]) -> Result<(), DiskError> {
        let flag = ResourceFlag::parse(&format!("[{}]", disks.join(",")), "*").unwrap();
        prepare_disks(work_dir, &flag.resources)
    }

    #[test]
    fn a_path_disk_is_made_and_a_mount_disk_must_be_there() {
        let work_dir = tempfile::tempdir().unwrap();
        let absolute = work_dir.path().join("elsewhere/deep");
        prepare(work_dir.path(), &[disk("PATH", &absolute), disk("PATH", Path::new("relative"))]).unwrap();
        assert!(absolute.is_dir() && work_dir.path().join("relative").is_dir());

        prepare(work_dir.path(), &[disk("MOUNT", Path::new("/proc"))]).unwrap();
        for (disks, reason) in [
            (vec![disk("MOUNT", &absolute)], "not a mount point"),
            (vec![disk("MOUNT", Path::new("proc"))], "is not absolute"),
            (vec![disk("MOUNT", Path::new("/proc")), disk("MOUNT", Path::new("/proc"))], "named twice"),
            (vec![disk("MOUNT", Path::new("/nowhere"))], "cannot use /nowhere"),
            (vec![disk("RAW", Path::new("/proc"))], "neither PATH nor MOUNT"),
        ] {
            let error = prepare(work_dir.path(), &disks).unwrap_err().to_string();
            assert!(error.contains(reason), "{error}");
        }
        std::fs::write(work_dir.path().join("file"), "").unwrap();
        let error = prepare(work_dir.path(), &[disk("PATH", &work_dir.path().join("file"))]).unwrap_err();
        assert!(matches!(error, DiskError::Io { .. }), "{error}");
    }
}
