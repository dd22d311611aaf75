//! What the names in an archive mean below a sandbox. Pure: the file system is not asked.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use sandbox::{RelPath, RelPathError};

use super::error::{Refusal, shown};

/// Bytes of a symbolic link's target (`PATH_MAX`, with room for the NUL).
pub(super) const MAX_TARGET: usize = 4095;

/// Permissions that an entry can have: its owner's, and reading and executing for the others.
const PERMISSIONS: u32 = 0o755;

/// Set-user-id, set-group-id and sticky bits.
const SPECIAL: u32 = 0o7000;

/// Where an entry belongs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Spot {
    /// The sandbox itself.
    Root,
    /// Something below it.
    Below(RelPath),
}

/// Puts an entry's name below the sandbox: leading slashes are dropped, as Mesos does, and `..` is refused, as Mesos
/// does (`ARCHIVE_EXTRACT_SECURE_NODOTDOT`). Any other bytes are a name.
pub(super) fn spot(name: &[u8]) -> Result<Spot, RelPathError> {
    let rest = name.iter().position(|byte| *byte != b'/').map_or(&name[name.len()..], |start| &name[start..]);
    match RelPath::new(OsStr::from_bytes(rest)) {
        Ok(path) => Ok(Spot::Below(path)),
        Err(RelPathError::Empty { .. }) => Ok(Spot::Root),
        Err(error) => Err(error),
    }
}

/// Judges a symbolic link at `link`: its target must stay below the sandbox, whatever other links there are.
///
/// A relative target may go up at its beginning only. The directory of the link is real, so these steps are what they
/// seem; a `..` after a name would be taken from where that name's own link leads. An absolute target must be below
/// one of `roots`, the paths that the sandbox has for the host and in a container.
pub(super) fn judge_target(link: &RelPath, target: &[u8], roots: &[&Path]) -> Result<(), Refusal> {
    if target.is_empty() || target.len() > MAX_TARGET || target.contains(&0) {
        return Err(Refusal::LinkTarget);
    }
    let out = || Refusal::LinkOut { target: shown(target) };
    let (relative, mut depth) = if target[0] == b'/' {
        let below =
            roots.iter().find_map(|root| Path::new(OsStr::from_bytes(target)).strip_prefix(root).ok());
        (below.ok_or_else(out)?.as_os_str().as_bytes(), 0)
    } else {
        (target, link.as_path().components().count().saturating_sub(1))
    };
    let mut named = false;
    for component in relative.split(|byte| *byte == b'/') {
        match component {
            b"" | b"." => {}
            b".." if named => return Err(Refusal::LinkTurns { target: shown(target) }),
            b".." => depth = depth.checked_sub(1).ok_or_else(out)?,
            _ => named = true,
        }
    }
    Ok(())
}

/// The permissions that an entry gets before the process' umask.
pub(super) fn permissions(mode: u32) -> u32 {
    mode & PERMISSIONS
}

/// The permissions that a directory gets: its owner can always use it, or nothing could be put into it.
pub(super) fn directory_permissions(mode: u32) -> u32 {
    permissions(mode) | 0o700
}

/// Says whether a mode has bits that are dropped with a note.
pub(super) fn has_special_bits(mode: u32) -> bool {
    mode & SPECIAL != 0
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    fn below(path: &str) -> Spot {
        Spot::Below(RelPath::new(path).expect("valid"))
    }

    #[rstest]
    #[case(b"a/b", below("a/b"))]
    #[case(b"./a//b/", below("a/b"))]
    #[case(b"/etc/passwd", below("etc/passwd"))]
    #[case(b"///etc", below("etc"))]
    #[case(b"/./etc", below("etc"))]
    #[case(b"...", below("..."))]
    #[case(b"..a/b..", below("..a/b.."))]
    #[case(b"", Spot::Root)]
    #[case(b".", Spot::Root)]
    #[case(b"./", Spot::Root)]
    #[case(b"/", Spot::Root)]
    fn names_are_put_below_the_sandbox(#[case] name: &[u8], #[case] expected: Spot) {
        assert_eq!(spot(name), Ok(expected));
    }

    #[rstest]
    #[case(b"..")]
    #[case(b"../a")]
    #[case(b"a/../b")]
    #[case(b"a/..")]
    #[case(b"/..")]
    #[case(b"./../a")]
    fn names_that_go_up_are_refused(#[case] name: &[u8]) {
        assert!(matches!(spot(name), Err(RelPathError::Parent { .. })));
    }

    #[test]
    fn names_that_no_file_system_takes_are_refused() {
        assert!(matches!(spot(b"a\0b"), Err(RelPathError::Nul { .. })));
        assert!(matches!(spot(&[b'a'; 256]), Err(RelPathError::TooLong { .. })));
        assert!(matches!(spot(&b"a/".repeat(2000)), Err(RelPathError::TooLong { .. })));
        assert!(spot(b"\xff\xfe").is_ok());
    }

    #[derive(Debug, PartialEq)]
    enum Judged {
        Stays,
        Out,
        Turns,
        Bad,
    }

    #[rstest]
    #[case("a", b"b", Judged::Stays)]
    #[case("a", b"b/c/", Judged::Stays)]
    #[case("a", b".", Judged::Stays)]
    #[case("d/a", b"..", Judged::Stays)]
    #[case("d/e/a", b"../../b", Judged::Stays)]
    #[case("d/e/a", b"./.././../b", Judged::Stays)]
    #[case("a", b"..", Judged::Out)]
    #[case("d/a", b"../..", Judged::Out)]
    #[case("d/a", b"../../etc/passwd", Judged::Out)]
    #[case("a", b"/etc/passwd", Judged::Out)]
    #[case("a", b"/", Judged::Out)]
    #[case("a", b"/w/sandbox", Judged::Stays)]
    #[case("a", b"/w/sandbox/b", Judged::Stays)]
    #[case("a", b"//w/./sandbox/b", Judged::Stays)]
    #[case("a", b"/mnt/mesos/sandbox/x", Judged::Stays)]
    #[case("d/a", b"/w/sandbox/../other", Judged::Out)]
    #[case("a", b"/w/sandboxes/b", Judged::Out)]
    #[case("a", b"/w/sandbox/b/../../..", Judged::Turns)]
    #[case("d/a", b"b/..", Judged::Turns)]
    #[case("d/a", b"../b/../../..", Judged::Turns)]
    #[case("a", b"", Judged::Bad)]
    #[case("a", b"b\0", Judged::Bad)]
    #[case("a", &[b'a'; 4096], Judged::Bad)]
    fn targets_of_links(#[case] link: &str, #[case] target: &[u8], #[case] expected: Judged) {
        let roots = [Path::new("/w/sandbox"), Path::new("/mnt/mesos/sandbox")];
        let judged = match judge_target(&RelPath::new(link).expect("valid"), target, &roots) {
            Ok(()) => Judged::Stays,
            Err(Refusal::LinkOut { .. }) => Judged::Out,
            Err(Refusal::LinkTurns { .. }) => Judged::Turns,
            Err(Refusal::LinkTarget) => Judged::Bad,
            Err(other) => panic!("{other:?}"),
        };
        assert_eq!(judged, expected);
    }

    #[test]
    fn nobody_else_may_write_and_nothing_runs_as_somebody_else() {
        assert_eq!(permissions(0o107_777), 0o755);
        assert_eq!(permissions(0o666), 0o644);
        assert_eq!(permissions(0o600), 0o600);
        assert_eq!(directory_permissions(0o050), 0o750);
        for (mode, special) in
            [(0o755, false), (0o4755, true), (0o2755, true), (0o1777, true), (0o100_644, false)]
        {
            assert_eq!(has_special_bits(mode), special, "{mode:o}");
        }
    }

    proptest! {
        /// A path that is accepted stays inside when its components are followed one by one, links included.
        #[test]
        fn accepted_links_never_lead_out(
            places in prop::collection::vec("[ab](/[ab]){0,3}", 1..8),
            targets in prop::collection::vec(r"(\.\./){0,3}([ab.]|\.\.)(/([ab]|\.\.)){0,3}", 8),
            walk in prop::collection::vec("[ab]", 1..12),
        ) {
            let root = tempfile::tempdir().expect("a directory");
            let inside = root.path().join("in");
            std::fs::create_dir(&inside).expect("made");
            for (place, target) in places.iter().zip(&targets) {
                let path = RelPath::new(place).expect("valid");
                let parent = inside.join(&path).parent().expect("has one").to_owned();
                // Directories on the way are real, as the extraction makes sure.
                let real = std::fs::create_dir_all(&parent).is_ok()
                    && parent.canonicalize().expect("there").starts_with(&inside)
                    && parent.canonicalize().expect("there") == parent;
                if real && judge_target(&path, target.as_bytes(), &[]).is_ok() {
                    let _ = std::os::unix::fs::symlink(target, inside.join(&path));
                }
            }
            let mut at = inside.clone();
            for step in walk {
                at.push(step);
                if let Ok(real) = at.canonicalize() {
                    prop_assert!(real.starts_with(&inside), "{at:?} is {real:?}");
                }
            }
        }
    }
}
