//! What sets a disk apart from space in the agent's work_dir.

use std::fmt;

use mesos_proto::v1::resource::DiskInfo;
use mesos_proto::v1::resource::disk_info::source::Type;

/// The longest id, as a file name of Linux' file systems.
const NAME_MAX: usize = 255;

/// The id of a persistent volume. It becomes the name of a directory, so a value that exists is safe there.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PersistenceId(String);

impl PersistenceId {
    /// Checks an id (Mesos `src/common/validation.cpp`, `validateID`).
    ///
    /// # Errors
    ///
    /// A sentence about what is no name of a directory.
    pub fn new(id: &str) -> Result<Self, String> {
        let is_bad = id.is_empty()
            || id.len() > NAME_MAX
            || id == "."
            || id == ".."
            || id.contains(|c: char| c.is_control() || c == '/' || c == '\\');
        match is_bad {
            true => {
                Err(format!("{:?} cannot be the id of a volume", id.chars().take(64).collect::<String>()))
            }
            false => Ok(Self(id.to_owned())),
        }
    }

    /// The id as it is on the wire.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for PersistenceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Where the space of a disk is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DiskSource<'d> {
    /// In the agent's work_dir.
    WorkDir,
    /// In a directory that others use too; relative to the work_dir if it is not absolute.
    Path(&'d str),
    /// A whole file system.
    Mount(&'d str),
    /// Storage of a resource provider, or a source without its directory.
    Other,
}

/// Where the space is.
pub(super) fn source(disk: Option<&DiskInfo>) -> DiskSource<'_> {
    let Some(source) = disk.and_then(|disk| disk.source.as_ref()) else { return DiskSource::WorkDir };
    match source.r#type() {
        Type::Path => source.path.as_ref().and_then(|path| path.root.as_deref()).map(DiskSource::Path),
        Type::Mount => source.mount.as_ref().and_then(|mount| mount.root.as_deref()).map(DiskSource::Mount),
        Type::Unknown | Type::Block | Type::Raw => None,
    }
    .unwrap_or(DiskSource::Other)
}

/// Whether the space can only be given out as one piece.
pub(super) fn is_one_piece(disk: &DiskInfo) -> bool {
    let Some(source) = &disk.source else { return false };
    match source.r#type() {
        Type::Mount | Type::Block => true,
        Type::Raw => source.id.is_some(),
        Type::Path | Type::Unknown => false,
    }
}

/// Whether two disks are the same. Where a volume shows in a container says how it is used, not what it is
/// (Mesos `operator==` of `DiskInfo`).
pub(super) fn is_same(one: Option<&DiskInfo>, other: Option<&DiskInfo>) -> bool {
    match (one, other) {
        (None, None) => true,
        (Some(one), Some(other)) => {
            let id = |disk: &DiskInfo| disk.persistence.as_ref().map(|persistence| persistence.id.clone());
            one.source == other.source && id(one) == id(other)
        }
        _ => false,
    }
}

/// The disk without its persistent volume; nothing is left of one in the work_dir.
pub(super) fn without_volume(disk: &DiskInfo) -> Option<DiskInfo> {
    disk.source.as_ref()?;
    Some(DiskInfo { persistence: None, volume: None, source: disk.source.clone() })
}
