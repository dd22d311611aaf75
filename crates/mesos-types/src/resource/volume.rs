//! Where the content of a persistent volume is (Mesos `paths::getPersistentVolumePath`).
//!
//! The agent makes and removes these directories, and the containerizer mounts them; both ask here.

use std::path::{Path, PathBuf};

use super::disk::{DiskSource, PersistenceId};
use super::one::Resource;

/// The disk that a volume is on.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Disk {
    WorkDir,
    Path(String),
    Mount(String),
}

/// A persistent volume on a disk of the agent: what tells it from all others there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LocalVolume {
    id: PersistenceId,
    role: String,
    disk: Disk,
}

/// The directory of a persistent volume on the host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum VolumeDirectory {
    /// A directory of its own.
    Below {
        /// The root of the disk, which is trusted.
        root: PathBuf,
        /// The way from there.
        rel: PathBuf,
    },
    /// A whole file system.
    Whole(PathBuf),
}

/// The root of a PATH disk; a relative one is below the work_dir.
pub fn path_root(work_dir: &Path, root: &str) -> PathBuf {
    work_dir.join(root)
}

impl LocalVolume {
    /// The volume that a resource is; `None` for what is none, or lies on a disk of a resource provider.
    pub fn of(resource: &Resource) -> Option<Self> {
        let disk = match resource.disk_source() {
            DiskSource::WorkDir => Disk::WorkDir,
            DiskSource::Path(root) => Disk::Path(root.to_owned()),
            DiskSource::Mount(root) => Disk::Mount(root.to_owned()),
            DiskSource::Other => return None,
        };
        Some(Self { id: resource.persistence_id()?, role: resource.role().to_owned(), disk })
    }

    /// Its id.
    pub fn id(&self) -> &PersistenceId {
        &self.id
    }

    /// Its directory, for the agent with this work directory.
    pub fn directory(&self, work_dir: &Path) -> VolumeDirectory {
        let root = match &self.disk {
            Disk::WorkDir => work_dir.to_owned(),
            Disk::Path(root) => path_root(work_dir, root),
            Disk::Mount(root) => return VolumeDirectory::Whole(PathBuf::from(root)),
        };
        // A slash in a role would make it a directory of another one.
        let role = self.role.replace('/', " ");
        VolumeDirectory::Below { root, rel: ["volumes", "roles", &role, self.id.as_str()].iter().collect() }
    }
}

impl VolumeDirectory {
    /// The directory's path.
    pub fn path(&self) -> PathBuf {
        match self {
            Self::Below { root, rel } => root.join(rel),
            Self::Whole(path) => path.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mesos_proto::v1;
    use v1::resource::disk_info::{Persistence, Source, source};

    #[rstest::rstest]
    #[case("r", None, "/w/volumes/roles/r/v")]
    #[case("a/b", None, "/w/volumes/roles/a b/v")]
    #[case("r", Some((source::Type::Path, "/disk")), "/disk/volumes/roles/r/v")]
    #[case("r", Some((source::Type::Path, "disk")), "/w/disk/volumes/roles/r/v")]
    #[case("r", Some((source::Type::Mount, "/mnt/d")), "/mnt/d")]
    fn directories_are_where_stock_has_them(
        #[case] role: &str,
        #[case] disk: Option<(source::Type, &str)>,
        #[case] expected: &str,
    ) {
        let source = disk.map(|(kind, root)| {
            let root = Some(root.to_owned());
            let mut source = Source { r#type: kind.into(), ..Default::default() };
            match kind {
                source::Type::Path => source.path = Some(source::Path { root }),
                _ => source.mount = Some(source::Mount { root }),
            }
            source
        });
        let message = v1::Resource {
            name: "disk".into(),
            r#type: v1::value::Type::Scalar.into(),
            scalar: Some(v1::value::Scalar { value: 1.0 }),
            role: Some(role.into()),
            disk: Some(v1::resource::DiskInfo {
                persistence: Some(Persistence { id: "v".into(), principal: None }),
                volume: None,
                source,
            }),
            ..Default::default()
        };
        let volume = LocalVolume::of(&Resource::from_proto(&message).unwrap()).unwrap();
        assert_eq!(volume.directory(Path::new("/w")).path(), Path::new(expected));
    }
}
