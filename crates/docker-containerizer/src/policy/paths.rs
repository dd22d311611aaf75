//! Host paths as they are: links resolved, and which of them are the host's own.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::{Component, Path, PathBuf};

use super::judge::Situation;

/// Places of every host that no task may see: all that the kernel shows, devices, the system's own state.
const SYSTEM: [&str; 12] = [
    "/proc",
    "/sys",
    "/dev",
    "/boot",
    // What listens there is root for whoever may talk to it: the engine's own containerd is in /run/docker.
    "/run/docker",
    "/run/docker.sock",
    "/run/containerd",
    "/run/podman",
    "/run/crio",
    "/var/lib/containerd",
    "/etc/docker",
    "/var/lib/docker",
];

/// The most parts of a path that are looked at: looking costs the square of them, and a task may name many paths.
const MOST_PARTS: usize = 256;

/// Places of this host that its flags name.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct HostPlaces {
    /// The work directory.
    pub work_dir: PathBuf,
    /// The engine's socket.
    pub socket: PathBuf,
    /// The policy file, if there is one.
    pub policy_file: Option<PathBuf>,
}

/// Why a path cannot be judged.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unresolved {
    /// It is not absolute.
    #[error("it is not an absolute path")]
    Relative,
    /// It is too long to be looked at.
    #[error("it has more than {MOST_PARTS} parts")]
    Deep,
    /// What is missing of it has dots.
    #[error("a part of it is missing, and it goes up from there with ..")]
    UpFromMissing,
    /// A link of it leads nowhere or in a circle, or it cannot be looked at.
    #[error("{0} cannot be followed")]
    Broken(PathBuf, #[source] io::Error),
}

/// Where a path leads: its links and dots resolved as the kernel does, and what is missing of it behind that.
///
/// # Errors
///
/// A path that the kernel would not follow either, or whose end nobody can know.
pub(super) fn resolve(path: &Path) -> Result<PathBuf, Unresolved> {
    if !path.is_absolute() {
        return Err(Unresolved::Relative);
    }
    let is_deep = |path: &Path| path.components().nth(MOST_PARTS + 1).is_some();
    if is_deep(path) {
        return Err(Unresolved::Deep);
    }
    let mut missing: Vec<OsString> = Vec::new();
    let mut at = path.to_path_buf();
    loop {
        match fs::symlink_metadata(&at) {
            Ok(_) => {
                let real = fs::canonicalize(&at).map_err(|error| Unresolved::Broken(at, error))?;
                let real = missing.into_iter().rev().fold(real, |path, part| path.join(part));
                return if is_deep(&real) { Err(Unresolved::Deep) } else { Ok(real) };
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                match at.components().next_back() {
                    Some(Component::Normal(name)) => missing.push(name.to_owned()),
                    Some(Component::ParentDir) => return Err(Unresolved::UpFromMissing),
                    _ => return Err(Unresolved::Broken(at, error)),
                }
                at.pop();
            }
            Err(error) => return Err(Unresolved::Broken(at, error)),
        }
    }
}

/// The places of the host that no task may see, with links resolved.
pub(super) fn protected_places(places: &HostPlaces, situation: &Situation) -> Vec<PathBuf> {
    let system = SYSTEM.iter().map(PathBuf::from);
    // What listens on the socket can be reached through any link to it.
    let own = [&places.work_dir, &places.socket].into_iter().chain(&places.policy_file).cloned();
    let told = [&situation.work_dir, &situation.data_root].into_iter().cloned();
    system
        .chain(own)
        .chain(told)
        .filter(|place| place.is_absolute())
        .map(|place| resolve(&place).unwrap_or(place))
        .collect()
}

/// The one of `places` that a mount of `resolved` would show: one that it is, is in, or holds. `/` shows all.
pub(super) fn shows<'a>(resolved: &'a Path, places: &'a [PathBuf]) -> Option<&'a Path> {
    if resolved == Path::new("/") {
        return Some(resolved);
    }
    places
        .iter()
        .map(PathBuf::as_path)
        .find(|place| resolved.starts_with(place) || place.starts_with(resolved))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn a_path_leads_where_the_kernel_goes() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().canonicalize().unwrap();
        fs::create_dir_all(root.join("a/b")).unwrap();
        symlink("a/b", root.join("link")).unwrap();
        symlink("nowhere", root.join("dangling")).unwrap();
        symlink("circle", root.join("circle")).unwrap();
        fs::write(root.join("file"), "").unwrap();
        for (given, expected) in [
            ("a/b", Some("a/b")),
            ("link", Some("a/b")),
            // The parent of where the link leads, not of the link.
            ("link/..", Some("a")),
            ("link/new/dir", Some("a/b/new/dir")),
            ("a//b/./", Some("a/b")),
            ("dangling", None),
            ("dangling/x", None),
            ("circle", None),
            ("new/../a", None),
            ("file/x", None),
        ] {
            let resolved = resolve(&root.join(given)).ok();
            assert_eq!(resolved, expected.map(|expected| root.join(expected)), "{given}");
        }
        assert!(resolve(Path::new("a")).is_err());
    }

    #[test]
    fn a_path_of_many_parts_is_not_looked_at() {
        let of = |parts: usize| PathBuf::from(format!("/no-such{}", "/a".repeat(parts - 1)));
        assert!(resolve(&of(MOST_PARTS)).is_ok());
        assert!(matches!(resolve(&of(MOST_PARTS + 1)), Err(Unresolved::Deep)));
    }

    #[rstest::rstest]
    #[case("/run/docker/containerd/containerd.sock", true)]
    #[case("/run/docker", true)]
    #[case("/run/docker.sock", true)]
    #[case("/run", true)]
    #[case("/", true)]
    #[case("/run/dockerish", false)]
    #[case("/srv/data", false)]
    fn sockets_that_are_as_good_as_root_are_protected(#[case] path: &str, #[case] expected: bool) {
        let places = protected_places(&HostPlaces::default(), &Situation::default());
        assert_eq!(shows(Path::new(path), &places).is_some(), expected);
    }
}
