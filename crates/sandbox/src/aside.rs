//! Taking away what stands where one of our files belongs, without following, opening or waiting for it.
//!
//! The log files use it. What was there is kept under a numbered name where possible, because it may be the task's
//! data; a name that is in the way again and again is unlinked in the end, so that names do not pile up.

use std::ffi::OsStr;
use std::os::fd::BorrowedFd;
use std::time::{SystemTime, UNIX_EPOCH};

use rustix::fs::{AtFlags, RenameFlags, renameat, renameat_with, unlinkat};
use rustix::io::Errno;

use crate::resolve::pin_entry;

/// Entries kept under numbered names for each log file.
const KEPT: u32 = 8;

/// Moves the entry `name` in `dir` away to `name.aside.1` .. `name.aside.8`, or unlinks it when these are taken. A
/// directory that cannot be unlinked gets a name with the time in it. Nothing there is fine.
pub(crate) fn clear(dir: BorrowedFd<'_>, name: &str) -> Result<(), Errno> {
    for number in 1..=KEPT {
        match rename_new(dir, name, &format!("{name}.aside.{number}")) {
            Ok(()) | Err(Errno::NOENT) => return Ok(()),
            Err(Errno::EXIST) => {}
            Err(_) => break,
        }
    }
    remove(dir, name)
}

/// Unlinks the entry `name` in `dir`, moving it away when it is a directory that is not empty.
pub(crate) fn remove(dir: BorrowedFd<'_>, name: &str) -> Result<(), Errno> {
    match unlinkat(dir, name, AtFlags::empty()) {
        Err(Errno::ISDIR) => {}
        Ok(()) | Err(Errno::NOENT) => return Ok(()),
        Err(errno) => return Err(errno),
    }
    if unlinkat(dir, name, AtFlags::REMOVEDIR).is_ok() {
        return Ok(());
    }
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    match rename_new(dir, name, &format!("{name}.aside.{}", now.as_nanos())) {
        Err(Errno::NOENT) => Ok(()),
        result => result,
    }
}

/// Renames within `dir`, refusing to replace anything.
fn rename_new(dir: BorrowedFd<'_>, from: &str, to: &str) -> Result<(), Errno> {
    match renameat_with(dir, from, dir, to, RenameFlags::NOREPLACE) {
        // A file system that cannot refuse by itself: look first. Losing the race costs the task one of its own files.
        Err(Errno::INVAL | Errno::NOSYS) => match pin_entry(dir, OsStr::new(to)) {
            Ok(_) => Err(Errno::EXIST),
            Err(Errno::NOENT) => renameat(dir, from, dir, to),
            Err(errno) => Err(errno),
        },
        result => result,
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::os::fd::AsFd;
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn entries_are_kept_under_numbers_until_these_run_out() {
        let root = tempfile::tempdir().expect("a directory");
        let dir = File::open(root.path()).expect("opened");
        let target = root.path().join("target");
        std::fs::write(&target, "kept").expect("written");
        for _ in 0..KEPT + 3 {
            symlink(&target, root.path().join("stdout")).expect("linked");
            clear(dir.as_fd(), "stdout").expect("cleared");
            assert!(root.path().join("stdout").symlink_metadata().is_err());
        }
        let kept = std::fs::read_dir(root.path()).expect("listed").count();
        assert_eq!(kept, KEPT as usize + 1);
        assert_eq!(std::fs::read_to_string(&target).expect("there"), "kept");
    }

    #[test]
    fn a_full_directory_is_never_in_the_way() {
        let root = tempfile::tempdir().expect("a directory");
        let dir = File::open(root.path()).expect("opened");
        for round in 0..KEPT + 3 {
            let full = root.path().join("stdout");
            std::fs::create_dir_all(full.join("sub")).expect("made");
            clear(dir.as_fd(), "stdout").expect("cleared");
            assert!(!full.exists(), "round {round}");
        }
        std::fs::create_dir(root.path().join("stdout")).expect("made");
        remove(dir.as_fd(), "stdout").expect("an empty one is simply removed");
        remove(dir.as_fd(), "stdout").expect("and nothing there is fine");
    }
}
