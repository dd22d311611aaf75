//! What a child that was killed left half done: temporary names with its process id, and their removal. Called by the
//! cache for accounts' directories, and by `agent::fetcher` for sandboxes.
//!
//! Only descriptors are followed, never links: whose directories these are may change them meanwhile.

use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, openat, statat, unlinkat};
use rustix::io::Errno;

/// What the temporary names of the child begin with.
pub(super) const TEMPORARY: &[u8] = b".fetch.tmp-";

/// How a directory is opened that others can change.
pub(super) const DIRECTORY: OFlags =
    OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// How deep a tree is swept: each level takes a descriptor.
const DEPTH: usize = 64;

/// Deletes the temporary files and directories of process `pid` in an open directory. Blocks on the file system.
///
/// # Errors
///
/// As the system gives them.
pub(crate) fn sweep(dir: &File, pid: u32) -> io::Result<()> {
    for name in names(dir)? {
        if !is_temporary_of(&name, pid) {
            continue;
        }
        remove(dir, &name)?;
    }
    Ok(())
}

/// Whether a name is a temporary one of process `pid`: `.fetch.tmp-[word-]<pid>-<number>`.
fn is_temporary_of(name: &[u8], pid: u32) -> bool {
    let Some(rest) = name.strip_prefix(TEMPORARY) else { return false };
    let mut parts =
        rest.split(|byte| *byte == b'-').skip_while(|part| part.iter().any(u8::is_ascii_alphabetic));
    parts.next() == Some(pid.to_string().as_bytes())
}

/// Deletes them in an open directory and in all below it, down to [`DEPTH`]. Blocks on the file system.
///
/// # Errors
///
/// The first of the system; everything else is swept all the same.
pub(crate) fn sweep_tree(dir: &File, pid: u32) -> io::Result<()> {
    sweep_level(dir, pid, DEPTH)
}

fn sweep_level(dir: &File, pid: u32, depth: usize) -> io::Result<()> {
    let mut result = sweep(dir, pid);
    if depth == 0 {
        return result;
    }
    for name in names(dir)? {
        let name = OsStr::from_bytes(&name);
        let found = statat(dir, name, AtFlags::SYMLINK_NOFOLLOW);
        if !found.is_ok_and(|found| FileType::from_raw_mode(found.st_mode) == FileType::Directory) {
            continue;
        }
        let below = match openat(dir, name, DIRECTORY, Mode::empty()) {
            Ok(below) => sweep_level(&below.into(), pid, depth - 1),
            Err(errno) => Err(errno.into()),
        };
        result = result.and(below);
    }
    result
}

/// Removes whatever has this name in an open directory, if it is there.
pub(super) fn remove(dir: &File, name: &[u8]) -> io::Result<()> {
    match unlinkat(dir, OsStr::from_bytes(name), AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => Ok(()),
        Err(Errno::ISDIR | Errno::PERM) => remove_tree(dir, name),
        Err(errno) => Err(errno.into()),
    }
}

/// Removes a directory below an open one, without following links.
fn remove_tree(dir: &File, name: &[u8]) -> io::Result<()> {
    // The descriptor's own path: nothing that its account renames meanwhile leads elsewhere.
    let path = Path::new("/proc/self/fd").join(dir.as_raw_fd().to_string()).join(OsStr::from_bytes(name));
    sandbox::remove_all(&path).map(drop).map_err(io::Error::other)
}

/// The names in an open directory.
pub(super) fn names(dir: &File) -> io::Result<Vec<Vec<u8>>> {
    let mut names = Vec::new();
    for entry in Dir::read_from(dir)? {
        let name = entry?.file_name().to_bytes().to_vec();
        if name != b"." && name != b".." {
            names.push(name);
        }
    }
    Ok(names)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn a_tree_is_swept_and_links_are_not_followed() {
        let root = tempfile::tempdir().unwrap();
        let (tree, outside) = (root.path().join("tree"), root.path().join("outside"));
        fs::create_dir_all(tree.join("a/b/c")).unwrap();
        fs::create_dir(&outside).unwrap();
        symlink(&outside, tree.join("a/link")).unwrap();
        let part = |dir: &Path| dir.join(".fetch.tmp-7-0");
        let dirs = [tree.clone(), tree.join("a/b"), tree.join("a/b/c"), outside.clone()];
        for dir in &dirs {
            fs::write(part(dir), "half").unwrap();
            fs::write(dir.join(".fetch.tmp-8-0"), "another one's").unwrap();
        }
        sweep_tree(&File::open(&tree).unwrap(), 7).unwrap();
        assert_eq!(dirs.clone().map(|dir| part(&dir).exists()), [false, false, false, true]);
        assert!(dirs.iter().all(|dir| dir.join(".fetch.tmp-8-0").exists()));
    }
}
