//! The host paths that a policy file allows, checked when it is loaded: none that a task, or a user of the host other
//! than root, can change the meaning of.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use mesos_types::Access;

use super::paths::HostPlaces;

/// A host path that may be mounted, with all below it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct AllowedPath {
    /// Where it is, with links resolved.
    pub(super) path: PathBuf,
    /// Whether a task may write to it.
    pub(super) access: Access,
}

/// Why a host path cannot be allowed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PrefixError {
    /// It is not absolute.
    #[error("{0:?} is not an absolute path (hint: write it as /srv/data, or /srv/data:ro)")]
    Relative(String),
    /// It is everything.
    #[error(
        "/ is the whole host (hint: name the directories that tasks need, or write host_paths = \"any\")"
    )]
    Root,
    /// It cannot be looked at.
    #[error("{path} cannot be looked at (hint: make the directory before the policy is loaded)")]
    Missing {
        /// The path.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Tasks write there by design.
    #[error("{path} is in the work_dir {work_dir}, where tasks write (hint: name a directory outside of it)")]
    WorkDir {
        /// The path.
        path: PathBuf,
        /// The work directory.
        work_dir: PathBuf,
    },
    /// Somebody other than root can change what it is.
    #[error(
        "{path} is not safe, because {at} {why} (hint: {at} must belong to root, and only root may write to it)"
    )]
    Writable {
        /// The path.
        path: PathBuf,
        /// The directory that is not safe.
        at: PathBuf,
        /// What is wrong with it.
        why: String,
    },
}

/// Reads an entry of `host_paths`, and looks at it and at all above it.
///
/// # Errors
///
/// A path that cannot be allowed.
pub(super) fn check(entry: &str, places: &HostPlaces) -> Result<AllowedPath, PrefixError> {
    let (text, access) = match entry.strip_suffix(":ro") {
        Some(text) => (text, Access::ReadOnly),
        None => (entry.strip_suffix(":rw").unwrap_or(entry), Access::ReadWrite),
    };
    if !text.starts_with('/') {
        return Err(PrefixError::Relative(entry.chars().take(256).collect()));
    }
    let missing = |path: &Path, source| PrefixError::Missing { path: path.to_path_buf(), source };
    let path = fs::canonicalize(text).map_err(|error| missing(Path::new(text), error))?;
    if path == Path::new("/") {
        return Err(PrefixError::Root);
    }
    let work_dir = fs::canonicalize(&places.work_dir).unwrap_or_else(|_| places.work_dir.clone());
    if work_dir.is_absolute() && path.starts_with(&work_dir) {
        return Err(PrefixError::WorkDir { path, work_dir });
    }
    for at in path.ancestors() {
        let metadata = fs::symlink_metadata(at).map_err(|error| missing(at, error))?;
        if let Some(why) = unsafe_because(metadata.uid(), metadata.gid(), metadata.mode()) {
            return Err(PrefixError::Writable { path: path.clone(), at: at.to_path_buf(), why });
        }
    }
    Ok(AllowedPath { path, access })
}

/// What lets somebody other than root change what is in a directory, or a file. With the sticky bit others can add to
/// it, and change nothing that is root's.
fn unsafe_because(owner: u32, group: u32, mode: u32) -> Option<String> {
    const GROUP_MAY_WRITE: u32 = 0o020;
    const ALL_MAY_WRITE: u32 = 0o002;
    const STICKY: u32 = 0o1000;

    if owner != 0 {
        return Some(format!("belongs to the user {owner}"));
    }
    if mode & STICKY != 0 {
        return None;
    }
    if mode & ALL_MAY_WRITE != 0 {
        return Some("can be written by everybody".into());
    }
    (mode & GROUP_MAY_WRITE != 0 && group != 0).then(|| format!("can be written by the group {group}"))
}

/// The directory above `resolved` in which somebody other than root could put another thing in its place, with the
/// reason. What is missing cannot be replaced by anybody who cannot write above it.
pub(super) fn replaceable(resolved: &Path) -> Option<(PathBuf, String)> {
    resolved.ancestors().skip(1).find_map(|at| {
        let metadata = fs::symlink_metadata(at).ok()?;
        let why = unsafe_because(metadata.uid(), metadata.gid(), metadata.mode())?;
        Some((at.to_path_buf(), why))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[rstest::rstest]
    #[case(0, 0, 0o755, true)]
    #[case(0, 0, 0o775, true)]
    #[case(0, 5, 0o755, true)]
    #[case(0, 5, 0o775, false)]
    #[case(0, 0, 0o777, false)]
    #[case(0, 0, 0o1777, true)]
    #[case(1000, 0, 0o755, false)]
    #[case(1000, 0, 0o1777, false)]
    fn only_root_may_change_it(
        #[case] owner: u32,
        #[case] group: u32,
        #[case] mode: u32,
        #[case] safe: bool,
    ) {
        assert_eq!(unsafe_because(owner, group, mode).is_none(), safe);
    }

    #[test]
    fn a_prefix_must_be_there_and_not_where_tasks_write() {
        let dir = tempfile::tempdir().unwrap();
        let work_dir = dir.path().join("work");
        fs::create_dir_all(work_dir.join("sandbox")).unwrap();
        std::os::unix::fs::symlink(work_dir.join("sandbox"), dir.path().join("link")).unwrap();
        let places = HostPlaces { work_dir, ..HostPlaces::default() };
        let refused = |entry: &str| check(entry, &places).unwrap_err();
        assert!(matches!(refused("srv"), PrefixError::Relative(_)));
        assert!(matches!(refused("/"), PrefixError::Root));
        assert!(matches!(refused("/usr/.."), PrefixError::Root));
        assert!(matches!(refused("/no/such/directory"), PrefixError::Missing { .. }));
        let link = dir.path().join("link").display().to_string();
        assert!(matches!(refused(&link), PrefixError::WorkDir { .. }));
    }

    #[test]
    fn the_systems_own_directories_are_safe() {
        let allowed = check("/usr/bin:ro", &HostPlaces::default()).unwrap();
        assert_eq!(allowed.access, Access::ReadOnly);
        assert!(allowed.path.is_absolute());
    }
}
