//! Resolution of a relative path below a directory descriptor: never above it, never through a symbolic link.
//!
//! `openat2` does it in the kernel. Where that call is missing (Linux before 5.6) or refused (a seccomp filter that
//! does not know it), the components are walked one by one, each opened with `O_NOFOLLOW`, which proves the same.

use std::ffi::OsStr;
use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::PathBuf;

use rustix::fs::{Mode, OFlags, ResolveFlags, openat, openat2};
use rustix::io::Errno;

use crate::node::{Kind, Pinned};
use crate::rel_path::RelPath;

/// Flags of a pin: a descriptor that refers to the entry itself, even to a symbolic link, and opens nothing.
const PIN: OFlags = OFlags::PATH.union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// What the kernel must prove about the way to the last component.
const BELOW: ResolveFlags =
    ResolveFlags::BENEATH.union(ResolveFlags::NO_SYMLINKS).union(ResolveFlags::NO_MAGICLINKS);

/// A path that could not be resolved.
#[derive(Debug)]
pub(crate) struct Refused {
    /// Why. `ELOOP` stands for a symbolic link.
    pub(crate) errno: Errno,
    /// The component it happened at, as a path from the directory.
    pub(crate) at: PathBuf,
}

/// Pins what `rel` names below `dir`. A symbolic link anywhere, also in the last place, is refused with `ELOOP`.
pub(crate) fn pin(dir: BorrowedFd<'_>, rel: &RelPath) -> Result<Pinned, Refused> {
    let file = match openat2(dir, rel.as_path(), PIN, Mode::empty(), BELOW) {
        Ok(fd) => File::from(fd),
        Err(Errno::NOSYS | Errno::PERM) => walk(dir, rel)?,
        Err(errno) => {
            // The kernel does not say which component it was, the walk does. When the tree changed under our
            // eyes and the walk gets through, the kernel's answer stands.
            return Err(walk(dir, rel).err().unwrap_or(Refused { errno, at: rel.as_path().to_owned() }));
        }
    };
    judged(file, rel)
}

/// Pins the entry called `name` directly in `dir`, a symbolic link included.
pub(crate) fn pin_entry(dir: impl AsFd, name: &OsStr) -> Result<Pinned, Errno> {
    let file = File::from(openat(dir, name, PIN, Mode::empty())?);
    Pinned::new(file).map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::IO))
}

/// Refuses a pinned symbolic link.
fn judged(file: File, rel: &RelPath) -> Result<Pinned, Refused> {
    let refused = |errno| Refused { errno, at: rel.as_path().to_owned() };
    let pinned =
        Pinned::new(file).map_err(|error| refused(Errno::from_io_error(&error).unwrap_or(Errno::IO)))?;
    match pinned.kind() {
        Kind::Symlink => Err(refused(Errno::LOOP)),
        _ => Ok(pinned),
    }
}

/// Resolves `rel` one component at a time.
fn walk(dir: BorrowedFd<'_>, rel: &RelPath) -> Result<File, Refused> {
    let mut at = PathBuf::new();
    let mut held: Option<File> = None;
    for component in rel.components() {
        let from = held.as_ref().map_or(dir, AsFd::as_fd);
        at.push(component);
        let next = match pin_entry(from, component) {
            Ok(next) => next,
            Err(errno) => return Err(Refused { errno, at }),
        };
        if next.kind() == Kind::Symlink {
            return Err(Refused { errno: Errno::LOOP, at });
        }
        held = Some(next.into_file());
    }
    // A relative path has at least one component, so something is held.
    held.ok_or(Refused { errno: Errno::INVAL, at })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;
    use std::path::Path;

    use super::*;

    fn outcome(found: Result<Pinned, Refused>) -> Result<Kind, (Errno, PathBuf)> {
        found.map(|pinned| pinned.kind()).map_err(|refused| (refused.errno, refused.at))
    }

    /// The kernel's resolution and our walk must agree on every case, and on the component they blame.
    #[test]
    fn the_walk_refuses_what_the_kernel_refuses() {
        let outside = tempfile::tempdir().expect("a directory");
        std::fs::write(outside.path().join("secret"), "s").expect("written");
        let root = tempfile::tempdir().expect("a directory");
        let path = root.path();
        std::fs::create_dir_all(path.join("a/b")).expect("made");
        std::fs::write(path.join("a/b/file"), "x").expect("written");
        symlink(outside.path(), path.join("out")).expect("linked");
        symlink("a", path.join("inside")).expect("linked");
        symlink("..", path.join("a/up")).expect("linked");
        symlink(outside.path().join("secret"), path.join("a/secret")).expect("linked");
        symlink("/proc/self/root", path.join("magic")).expect("linked");
        symlink("loop", path.join("loop")).expect("linked");

        let dir = File::open(path).expect("opened");
        for (rel, expected) in [
            ("a", Ok(Kind::Directory)),
            ("a/b/file", Ok(Kind::File)),
            ("a/none", Err((Errno::NOENT, "a/none"))),
            ("none/a", Err((Errno::NOENT, "none"))),
            ("a/b/file/x", Err((Errno::NOTDIR, "a/b/file/x"))),
            ("out", Err((Errno::LOOP, "out"))),
            ("out/secret", Err((Errno::LOOP, "out"))),
            ("inside/b/file", Err((Errno::LOOP, "inside"))),
            ("a/up/a", Err((Errno::LOOP, "a/up"))),
            ("a/secret", Err((Errno::LOOP, "a/secret"))),
            ("magic/etc", Err((Errno::LOOP, "magic"))),
            ("loop/x", Err((Errno::LOOP, "loop"))),
        ] {
            let path = RelPath::new(rel).expect("valid");
            let expected = expected.map_err(|(errno, at)| (errno, Path::new(at).to_owned()));
            assert_eq!(outcome(pin(dir.as_fd(), &path)), expected, "kernel, {rel}");
            let walked = walk(dir.as_fd(), &path).and_then(|file| judged(file, &path));
            assert_eq!(outcome(walked), expected, "walk, {rel}");
            if expected.is_err() {
                assert!(
                    openat2(&dir, path.as_path(), PIN | OFlags::DIRECTORY, Mode::empty(), BELOW).is_err()
                );
            }
        }
    }
}
