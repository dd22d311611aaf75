//! Mounts at or below a directory, read from the kernel's list, and the identity of the mount that a descriptor is on.
//!
//! Removal asks both: the list before it starts, the identity before it enters a directory.

use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, StatxFlags, statx};

/// What tells one mount from another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct MountKey {
    device: u64,
    /// The mount's id, unless the kernel is older than 5.8. Without it a bind mount of the same file system is only
    /// found by [`mounts_below`].
    mount: Option<u64>,
}

impl MountKey {
    /// Reads which mount an open directory is on.
    pub(crate) fn of(dir: &File) -> io::Result<MountKey> {
        let device = dir.metadata()?.dev();
        let mount = statx(dir.as_fd(), c"", AtFlags::EMPTY_PATH, StatxFlags::MNT_ID)
            .ok()
            .filter(|found| found.stx_mask & StatxFlags::MNT_ID.bits() != 0)
            .map(|found| found.stx_mnt_id);
        Ok(MountKey { device, mount })
    }
}

/// Lists the mount points strictly below an open directory, as this process sees them.
pub(crate) fn mounts_below(dir: &File) -> io::Result<Vec<PathBuf>> {
    let canonical = std::fs::read_link(format!("/proc/self/fd/{}", dir.as_raw_fd()))?;
    let list = std::fs::read("/proc/self/mountinfo")?;
    Ok(parse(&list, &canonical))
}

/// Picks the mount points below `directory` out of a `mountinfo` list. The fifth field is the mount point.
fn parse(list: &[u8], directory: &Path) -> Vec<PathBuf> {
    list.split(|byte| *byte == b'\n')
        .filter_map(|line| line.split(|byte| *byte == b' ').nth(4))
        .map(unescape)
        .filter(|point| point != directory && point.starts_with(directory))
        .collect()
}

/// Undoes the kernel's escapes: space, tab, newline and backslash appear as a backslash and three octal digits.
fn unescape(field: &[u8]) -> PathBuf {
    let mut bytes = Vec::with_capacity(field.len());
    let mut rest = field;
    while let Some((&first, tail)) = rest.split_first() {
        match tail {
            [a @ b'0'..=b'3', b @ b'0'..=b'7', c @ b'0'..=b'7', after @ ..] if first == b'\\' => {
                bytes.push((a - b'0') * 64 + (b - b'0') * 8 + (c - b'0'));
                rest = after;
            }
            _ => {
                bytes.push(first);
                rest = tail;
            }
        }
    }
    PathBuf::from(OsString::from_vec(bytes))
}

#[cfg(test)]
mod tests {
    use std::os::unix::ffi::OsStrExt;

    use super::*;

    const LIST: &[u8] = b"22 1 254:0 / / rw - ext4 /dev/vda rw\n\
        30 22 0:40 / /w/run rw - tmpfs tmpfs rw\n\
        31 30 0:41 / /w/run/a\\040b\\134c rw,nosuid shared:3 - tmpfs tmpfs rw\n\
        32 30 254:0 /x /w/run/deep/er rw - ext4 /dev/vda rw\n\
        33 22 0:42 / /w/runs rw - tmpfs tmpfs rw\n";

    #[test]
    fn only_mounts_strictly_below_are_listed() {
        assert_eq!(
            parse(LIST, Path::new("/w/run")),
            [PathBuf::from("/w/run/a b\\c"), PathBuf::from("/w/run/deep/er")]
        );
        assert!(parse(LIST, Path::new("/w/ru")).is_empty());
        assert!(parse(LIST, Path::new("/w/runs")).is_empty());
        assert!(parse(b"", Path::new("/")).is_empty());
        assert!(parse(b"garbage\n1 2 3\n", Path::new("/w")).is_empty());
    }

    #[test]
    fn escapes_are_undone_and_anything_else_is_kept() {
        for (field, path) in [
            (&b"/a\\011b"[..], &b"/a\tb"[..]),
            (b"/a\\01", b"/a\\01"),
            (b"/a\\999", b"/a\\999"),
            (b"/a\\377", b"/a\xff"),
        ] {
            assert_eq!(unescape(field).as_os_str().as_bytes(), path);
        }
    }
}
