//! The host paths that a policy file allows, checked when it is loaded: none that a task, or a user of the host other
//! than root, can change the meaning of.

use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use mesos_types::Access;

use super::paths::HostPlaces;

/// The user who may change what tasks mount.
const ROOT: u32 = 0;

/// A host path that may be mounted: with all below it for reading, and alone where a task may write to it.
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
    /// Tasks can change what it is, through another entry.
    #[error(
        "{path} is in {within}, where the policy lets tasks write, so a task can put another thing in its place (hint: \
         allow {within} with :ro, or only one of them)"
    )]
    Overlap {
        /// The path.
        path: PathBuf,
        /// The entry that holds it.
        within: PathBuf,
    },
}

/// Who may change a file or directory, as far as its mode tells.
#[derive(Debug, Clone, Copy)]
struct Writers {
    owner: u32,
    group: u32,
    mode: u32,
}

impl From<&Metadata> for Writers {
    fn from(metadata: &Metadata) -> Self {
        Self { owner: metadata.uid(), group: metadata.gid(), mode: metadata.mode() }
    }
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
    match first_unsafe(&path, &[ROOT]).map_err(|error| missing(&path, error))? {
        Some((at, why)) => Err(PrefixError::Writable { path, at, why }),
        None => Ok(AllowedPath { path, access }),
    }
}

/// Refuses entries of which a task that may write to one can change the other.
///
/// # Errors
///
/// The place of the inner one of two entries, where the outer one may be written to.
pub(super) fn check_together(entries: &[AllowedPath]) -> Result<(), (usize, PrefixError)> {
    for (at, inner) in entries.iter().enumerate() {
        let outer = entries.iter().enumerate().find(|&(other, outer)| {
            other != at && outer.access == Access::ReadWrite && inner.path.starts_with(&outer.path)
        });
        if let Some((_, outer)) = outer {
            let (path, within) = (inner.path.clone(), outer.path.clone());
            return Err((at, PrefixError::Overlap { path, within }));
        }
    }
    Ok(())
}

/// The first of a path that is there and all above it which somebody else than `trusted` can change, with the reason.
///
/// # Errors
///
/// One of them cannot be looked at.
pub(super) fn first_unsafe(path: &Path, trusted: &[u32]) -> io::Result<Option<(PathBuf, String)>> {
    let mut below = None;
    for at in path.ancestors() {
        let metadata = fs::symlink_metadata(at)?;
        let writers = Writers::from(&metadata);
        // The mode of a link says nothing; the directory that it is in does.
        if !metadata.is_symlink()
            && let Some(why) = unsafe_because(writers, trusted, below)
        {
            return Ok(Some((at.to_path_buf(), why)));
        }
        below = Some(writers.owner);
    }
    Ok(None)
}

/// What lets somebody else than `trusted` change a file, or what is in a directory. Of a directory with the sticky bit
/// others can change nothing that is not theirs, so it is safe for `below`, the owner of what is in it and matters; it
/// is not where that is missing, as others can make it.
fn unsafe_because(writers: Writers, trusted: &[u32], below: Option<u32>) -> Option<String> {
    const GROUP_MAY_WRITE: u32 = 0o020;
    const ALL_MAY_WRITE: u32 = 0o002;
    const STICKY: u32 = 0o1000;

    let Writers { owner, group, mode } = writers;
    if !trusted.contains(&owner) {
        return Some(format!("belongs to the user {owner}"));
    }
    if mode & STICKY != 0 && below.is_some_and(|owner| trusted.contains(&owner)) {
        return None;
    }
    if mode & ALL_MAY_WRITE != 0 {
        return Some("can be written by everybody".into());
    }
    (mode & GROUP_MAY_WRITE != 0 && group != 0).then(|| format!("can be written by the group {group}"))
}

/// The directory above `resolved` in which somebody other than root could put another thing in its place, with the
/// reason. What is missing cannot be made by anybody who cannot write above it.
pub(super) fn replaceable(resolved: &Path) -> Option<(PathBuf, String)> {
    let mut below = None;
    for (depth, at) in resolved.ancestors().enumerate() {
        let writers = match fs::symlink_metadata(at) {
            Ok(metadata) => Writers::from(&metadata),
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Some((at.to_path_buf(), format!("cannot be looked at ({error})"))),
        };
        // What is mounted itself may be anybody's: who may write to it cannot put another in its place.
        if depth > 0
            && let Some(why) = unsafe_because(writers, &[ROOT], below)
        {
            return Some((at.to_path_buf(), why));
        }
        below = Some(writers.owner);
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[rstest::rstest]
    #[case(0, 0, 0o755, None, true)]
    #[case(0, 0, 0o775, None, true)]
    #[case(0, 5, 0o755, None, true)]
    #[case(0, 5, 0o775, Some(0), false)]
    #[case(0, 0, 0o777, Some(0), false)]
    #[case(1000, 0, 0o755, Some(0), false)]
    #[case(1000, 0, 0o1777, Some(0), false)]
    // The sticky bit keeps what is root's, and nothing else.
    #[case(0, 0, 0o1777, Some(0), true)]
    #[case(0, 5, 0o1775, Some(0), true)]
    #[case(0, 0, 0o1777, Some(1000), false)]
    #[case(0, 0, 0o1777, None, false)]
    #[case(0, 5, 0o1775, None, false)]
    #[case(0, 0, 0o1755, None, true)]
    fn only_root_may_change_it(
        #[case] owner: u32,
        #[case] group: u32,
        #[case] mode: u32,
        #[case] below: Option<u32>,
        #[case] safe: bool,
    ) {
        assert_eq!(unsafe_because(Writers { owner, group, mode }, &[ROOT], below).is_none(), safe);
    }

    #[rstest::rstest]
    #[case(&["/a", "/b"], None)]
    #[case(&["/a:ro", "/a/b"], None)]
    #[case(&["/a:ro", "/a/b:ro"], None)]
    #[case(&["/a", "/ab"], None)]
    #[case(&["/a", "/a/b:ro"], Some("/a/b"))]
    #[case(&["/a/b", "/a"], Some("/a/b"))]
    #[case(&["/a:ro", "/a"], Some("/a"))]
    fn no_entry_is_where_tasks_may_write(#[case] entries: &[&str], #[case] expected: Option<&str>) {
        let entries: Vec<_> = entries
            .iter()
            .map(|entry| match entry.strip_suffix(":ro") {
                Some(path) => AllowedPath { path: path.into(), access: Access::ReadOnly },
                None => AllowedPath { path: entry.into(), access: Access::ReadWrite },
            })
            .collect();
        let refused = match check_together(&entries) {
            Ok(()) => None,
            Err((_, PrefixError::Overlap { path, .. })) => Some(path),
            Err((_, error)) => panic!("{error}"),
        };
        assert_eq!(refused, expected.map(PathBuf::from));
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
