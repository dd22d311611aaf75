//! Removal of a sandbox: everything in it, nothing outside of it, whatever a task has built there.
//!
//! The walk holds directory descriptors and takes away entries by name relative to them, so a symbolic link is only
//! ever unlinked and a swapped directory leads nowhere. It is a loop, not a recursion. It keeps at most
//! [`MAX_DEPTH`] descriptors: a directory deeper than that is moved up to the top of the sandbox and removed from
//! there. Mounts are never entered. An entry that cannot be removed does not keep the others from going.

use std::ffi::{CStr, CString, OsStr};
use std::fs::File;
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, FileType, Mode, RawDir, SeekFrom, openat, renameat, seek, unlinkat};
use rustix::io::Errno;

use crate::directory::{DIRECTORY, Sandbox};
use crate::error::{Context, SandboxError};
use crate::mounts::{MountKey, mounts_below};

/// Directory descriptors held at once.
const MAX_DEPTH: usize = 32;

/// Passes over one directory before giving up on somebody who keeps filling it.
const MAX_PASSES: u32 = 16;

/// Passes over the top while directories are moved up to it. Each pass takes [`MAX_DEPTH`] levels off the deepest.
const MAX_TOP_PASSES: u32 = 100_000;

/// Names tried for a directory that is moved up.
const MAX_NAMES: u32 = 1000;

/// Bytes of directory entries read at once, which bounds the names held for one directory.
const BATCH_BYTES: usize = 32 * 1024;

/// What a removal took away.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Removed {
    /// Entries that were no directories.
    pub files: u64,
    /// Directories, the sandbox itself included.
    pub directories: u64,
}

/// Removes a sandbox and everything in it. One that is not there is no error, so the call can be repeated.
///
/// # Errors
///
/// * [`SandboxError::Mounted`] names a mount point below it; nothing was removed then.
/// * [`SandboxError::Incomplete`] when something could not be removed, or is a mount that appeared during the removal;
///   everything else is gone.
/// * [`SandboxError::Symlink`] and [`SandboxError::Unexpected`] when the path names no directory.
pub fn remove_all(path: &Path) -> Result<Removed, SandboxError> {
    let operation = "remove";
    let sandbox = match Sandbox::open(path) {
        Ok(sandbox) => sandbox,
        Err(error) if error.is_not_found() => return Ok(Removed::default()),
        Err(error) => return Err(error),
    };
    let (dir, base) = sandbox.into_parts();
    let mounts = mounts_below(&dir).context("list the mounts below", &*base)?;
    if let Some(path) = mounts.into_iter().next() {
        return Err(SandboxError::Mounted { operation, path });
    }
    sweep(dir, &base)
}

/// Removes an open directory, whose path is `base`, and everything in it, but for what is mounted there.
fn sweep(dir: File, base: &Path) -> Result<Removed, SandboxError> {
    let key = MountKey::of(&dir).context("look at the mount of", base)?;
    let mut walk = Walk {
        base,
        key,
        stack: vec![Frame::new(dir, CString::default())],
        removed: Removed::default(),
        first: None,
        hoisted: 0,
        names: 0,
        buffer: Vec::with_capacity(BATCH_BYTES),
    };
    walk.run();
    let Walk { removed, first, .. } = walk;
    match first {
        None => Ok(removed),
        Some(first) => {
            Err(SandboxError::Incomplete { path: base.to_owned(), removed, first: Box::new(first) })
        }
    }
}

/// One directory on the way down.
struct Frame {
    dir: File,
    name: CString,
    /// Subdirectories of the current batch of entries that are still to be entered.
    pending: Vec<CString>,
    /// Passes over the directory so far.
    passes: u32,
    /// Something in it could not be removed, so it stays too.
    keeps: bool,
}

impl Frame {
    fn new(dir: File, name: CString) -> Frame {
        Frame { dir, name, pending: Vec::new(), passes: 1, keeps: false }
    }
}

struct Walk<'a> {
    base: &'a Path,
    key: MountKey,
    stack: Vec<Frame>,
    removed: Removed,
    first: Option<SandboxError>,
    /// Directories moved up since the current pass over the top began.
    hoisted: u32,
    /// The number in the next name for a directory that is moved up.
    names: u32,
    buffer: Vec<u8>,
}

impl Walk<'_> {
    fn run(&mut self) {
        while let Some(frame) = self.stack.last_mut() {
            if let Some(name) = frame.pending.pop() {
                self.enter(name);
            } else {
                match self.next_batch() {
                    Ok(true) => {}
                    Ok(false) => self.leave(),
                    Err(errno) => {
                        self.fail(None, errno);
                        self.abandon();
                    }
                }
            }
        }
    }

    /// Reads the next entries of the current directory, unlinks those that are no directories and keeps the names of
    /// the others. Says whether there were any.
    fn next_batch(&mut self) -> Result<bool, Errno> {
        let mut names: Vec<(CString, bool)> = Vec::new();
        if let Some(frame) = self.stack.last() {
            let mut entries = RawDir::new(frame.dir.as_fd(), self.buffer.spare_capacity_mut());
            while let Some(entry) = entries.next() {
                let entry = entry?;
                if !matches!(entry.file_name().to_bytes(), b"." | b"..") {
                    names.push((entry.file_name().to_owned(), entry.file_type() == FileType::Directory));
                }
                // Entries skipped here are no end of the directory, so an empty batch asks for the next one.
                if entries.is_buffer_empty() && !names.is_empty() {
                    break;
                }
            }
        }
        let any = !names.is_empty();
        for (name, is_directory) in names {
            if is_directory {
                self.keep_pending(name);
            } else {
                self.unlink(name);
            }
        }
        Ok(any)
    }

    fn keep_pending(&mut self, name: CString) {
        if let Some(frame) = self.stack.last_mut() {
            frame.pending.push(name);
        }
    }

    /// Unlinks an entry that was no directory when it was listed.
    fn unlink(&mut self, name: CString) {
        let Some(frame) = self.stack.last() else { return };
        match unlinkat(&frame.dir, &name, AtFlags::empty()) {
            Ok(()) => self.removed.files += 1,
            Err(Errno::NOENT) => {}
            Err(Errno::ISDIR) => self.keep_pending(name),
            Err(errno) => self.fail(Some(&name), errno),
        }
    }

    /// Goes down into a subdirectory, or moves it up when it is too deep.
    fn enter(&mut self, name: CString) {
        let depth = self.stack.len();
        let Some(frame) = self.stack.last() else { return };
        match openat(&frame.dir, &name, DIRECTORY, Mode::empty()) {
            Ok(fd) => {
                let dir = File::from(fd);
                match MountKey::of(&dir) {
                    Ok(key) if key != self.key => self.fail(Some(&name), Errno::BUSY),
                    Ok(_) if depth >= MAX_DEPTH => self.hoist(&name),
                    Ok(_) => self.stack.push(Frame::new(dir, name)),
                    Err(error) => {
                        self.fail(Some(&name), Errno::from_io_error(&error).unwrap_or(Errno::IO));
                    }
                }
            }
            Err(Errno::NOENT) => {}
            // It was swapped for something else since it was listed.
            Err(Errno::NOTDIR | Errno::LOOP) => match unlinkat(&frame.dir, &name, AtFlags::empty()) {
                Ok(()) => self.removed.files += 1,
                Err(Errno::NOENT) => {}
                Err(errno) => self.fail(Some(&name), errno),
            },
            Err(errno) => self.fail(Some(&name), errno),
        }
    }

    /// Moves a directory that is too deep up to the top, where a later pass finds it.
    fn hoist(&mut self, name: &CStr) {
        let (Some(top), Some(frame)) = (self.stack.first(), self.stack.last()) else { return };
        let mut result = unlinkat(&frame.dir, name, AtFlags::REMOVEDIR);
        if result.is_ok() {
            self.removed.directories += 1;
            return;
        }
        for _ in 0..MAX_NAMES {
            let up = format!(".removing.{}", self.names);
            self.names = self.names.wrapping_add(1);
            result = renameat(&frame.dir, name, &top.dir, up);
            // Renaming a directory onto an empty one replaces it, which loses nothing here.
            if !matches!(result, Err(Errno::EXIST | Errno::NOTEMPTY | Errno::NOTDIR)) {
                break;
            }
        }
        match result {
            Ok(()) => self.hoisted += 1,
            Err(Errno::NOENT) => {}
            Err(errno) => self.fail(Some(name), errno),
        }
    }

    /// Ends a pass over the current directory: removes it, or goes over it again when something came into it.
    fn leave(&mut self) {
        let Some(frame) = self.stack.pop() else { return };
        let top = self.stack.is_empty();
        let removed = match self.stack.last() {
            Some(parent) => unlinkat(&parent.dir, &frame.name, AtFlags::REMOVEDIR),
            None => unlinkat(CWD, self.base, AtFlags::REMOVEDIR),
        };
        // What was moved up is worth another pass over the top even when something else there has to stay.
        let hoisted = top && std::mem::take(&mut self.hoisted) > 0;
        let passes = if hoisted { MAX_TOP_PASSES } else { MAX_PASSES };
        match removed {
            Ok(()) => self.removed.directories += 1,
            Err(Errno::NOENT) => {}
            Err(Errno::NOTEMPTY | Errno::EXIST) if (hoisted || !frame.keeps) && frame.passes < passes => {
                self.again(frame);
            }
            Err(Errno::NOTEMPTY | Errno::EXIST) if frame.keeps => self.mark(),
            Err(errno) if top => self.fail(None, errno),
            Err(errno) => self.fail(Some(&frame.name), errno),
        }
    }

    /// Starts another pass over a directory.
    fn again(&mut self, mut frame: Frame) {
        frame.passes += 1;
        let rewound = seek(&frame.dir, SeekFrom::Start(0));
        self.stack.push(frame);
        if let Err(errno) = rewound {
            self.fail(None, errno);
            self.abandon();
        }
    }

    /// Leaves the current directory where it is.
    fn abandon(&mut self) {
        self.stack.pop();
        self.mark();
    }

    /// Notes that something stays in the current directory.
    fn mark(&mut self) {
        if let Some(frame) = self.stack.last_mut() {
            frame.keeps = true;
        }
    }

    /// Notes what could not be removed, and that its directory stays.
    fn fail(&mut self, name: Option<&CStr>, errno: Errno) {
        if self.first.is_none() {
            let mut path = PathBuf::from(self.base);
            path.extend(self.stack.iter().skip(1).map(|frame| OsStr::from_bytes(frame.name.to_bytes())));
            path.extend(name.map(|name| OsStr::from_bytes(name.to_bytes())));
            let operation = "remove";
            self.first = Some(match errno {
                // The system gives this answer for mount points, and so do we.
                Errno::BUSY | Errno::XDEV => SandboxError::Mounted { operation, path },
                errno => SandboxError::from_errno(operation, path, errno),
            });
        }
        self.mark();
    }
}

#[cfg(test)]
mod tests {
    use rustix::mount::{MountFlags, UnmountFlags, mount, mount_bind, unmount};

    use super::*;

    /// A mount that appears after the list was read: the walk itself must see it, also on the same file system.
    #[test]
    fn the_walk_does_not_enter_mounts() {
        for bind in [false, true] {
            let root = tempfile::tempdir().expect("a directory");
            let (base, outside) = (root.path().join("sandbox"), root.path().join("outside"));
            std::fs::create_dir_all(base.join("a/mounted")).expect("made");
            std::fs::create_dir(&outside).expect("made");
            std::fs::write(base.join("a/file"), "x").expect("written");
            let at = base.join("a/mounted");
            let mounted = match bind {
                true => mount_bind(&outside, &at),
                false => mount("tmpfs", &at, "tmpfs", MountFlags::empty(), None),
            };
            if let Err(errno) = mounted {
                println!("SKIPPED: a mount that appears during a removal: {errno}");
                return;
            }
            std::fs::write(at.join("precious"), "data").expect("written");
            let result = sweep(File::open(&base).expect("opened"), &base);
            let kept = std::fs::read(at.join("precious"));
            unmount(&at, UnmountFlags::DETACH).expect("unmounted");
            let Err(SandboxError::Incomplete { removed, first, .. }) = result else { panic!("{result:?}") };
            assert_eq!(removed, Removed { files: 1, directories: 0 });
            assert!(matches!(&*first, SandboxError::Mounted { path, .. } if *path == at), "{first:?}");
            assert_eq!(kept.expect("kept"), b"data");
            assert_eq!(remove_all(&base).expect("removed"), Removed { files: 0, directories: 3 });
        }
    }
}
