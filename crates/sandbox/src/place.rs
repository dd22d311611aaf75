//! A place below a sandbox where something new is put: one name in one directory that is held by descriptor.
//!
//! Downloads and the entries of archives go through here. What is put appears under its name whole or not at all, it
//! replaces what was there without following or opening it, and a directory that holds something is never replaced.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::os::fd::{AsFd, AsRawFd};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::fs::{
    AtFlags, CWD, Mode, OFlags, Timespec, Timestamps, UTIME_OMIT, fchmod, futimens, linkat, mkdirat, openat,
    renameat, symlinkat, unlinkat, utimensat,
};
use rustix::io::Errno;

use crate::directory::{DIRECTORY, Sandbox};
use crate::error::{Context, SandboxError};
use crate::node::{Found, Kind, Pinned};
use crate::rel_path::RelPath;
use crate::resolve::pin_entry;
use crate::staged::Staged;

/// Times that a name is cleared for somebody who keeps filling it.
const ATTEMPTS: u32 = 16;

/// Distinguishes the temporary names of this process.
static COUNTER: AtomicU64 = AtomicU64::new(0);

/// One name in a directory of a sandbox, which may be taken or free.
#[derive(Debug)]
pub struct Place {
    pub(crate) dir: File,
    pub(crate) name: OsString,
    pub(crate) path: PathBuf,
}

/// Whether a directory was made or was there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MadeDirectory {
    /// It is new.
    Created,
    /// It was there, and stays as it was.
    Existed,
}

/// A time of last modification, in seconds and nanoseconds since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Modified {
    /// Whole seconds, rounded down.
    pub seconds: i64,
    /// Nanoseconds after them, less than 1,000,000,000.
    pub nanoseconds: u32,
}

/// A regular file of a sandbox, held without having been opened, to be given a second name.
#[derive(Debug)]
pub struct PinnedFile(Pinned);

/// Device and inode of a [`PinnedFile`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct FileId {
    device: u64,
    inode: u64,
}

impl Modified {
    /// The pair of times for the system: the time of access stays.
    pub(crate) fn timestamps(self) -> Timestamps {
        // The system refuses what is no fraction of a second, and a damaged archive may hold anything.
        let nanoseconds = self.nanoseconds.min(999_999_999);
        Timestamps {
            last_access: Timespec { tv_sec: 0, tv_nsec: UTIME_OMIT },
            last_modification: Timespec { tv_sec: self.seconds, tv_nsec: nanoseconds.into() },
        }
    }
}

impl PinnedFile {
    /// Which file it is.
    #[must_use]
    pub fn id(&self) -> FileId {
        let identity = self.0.identity();
        FileId { device: identity.device, inode: identity.inode }
    }

    /// The number of names it had when it was pinned.
    #[must_use]
    pub fn links(&self) -> u64 {
        self.0.links()
    }
}

impl Sandbox {
    /// Finds the place that a path names. The directory that holds it must be there.
    ///
    /// # Errors
    ///
    /// [`SandboxError::Symlink`] and [`SandboxError::Unexpected`] name what is on the way and no directory,
    /// [`SandboxError::is_not_found`] when a directory is missing, and errors of the system.
    pub fn place(&self, rel: &RelPath) -> Result<Place, SandboxError> {
        let operation = "reach";
        let path = self.path().join(rel);
        let (parent, name) = rel.split();
        let dir = match parent {
            None => self.try_clone()?.into_parts().0,
            Some(parent) => {
                let pinned = self.pin(operation, &parent)?;
                if pinned.kind() != Kind::Directory {
                    return Err(not_a_directory(operation, self.path().join(&parent), pinned.kind()));
                }
                pinned.into_file()
            }
        };
        Ok(Place { dir, name: name.to_owned(), path })
    }

    /// Pins a regular file, on a way without symbolic links, to be linked to. It may have several names already.
    ///
    /// # Errors
    ///
    /// [`SandboxError::Symlink`] names the component that is a link, [`SandboxError::Unexpected`] says what else is
    /// there, and errors of the system.
    pub fn pin_file(&self, rel: &RelPath) -> Result<PinnedFile, SandboxError> {
        let operation = "link to";
        let pinned = self.pin(operation, rel)?;
        match pinned.kind() {
            Kind::File => Ok(PinnedFile(pinned)),
            kind => Err(SandboxError::Unexpected {
                operation,
                path: self.path().join(rel),
                found: Found::Node(kind),
                expected: "a regular file",
            }),
        }
    }
}

impl Place {
    /// The path of the place on the host.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Says what has the name now, a symbolic link itself included, or nothing.
    ///
    /// # Errors
    ///
    /// As the system gives them.
    pub fn found(&self) -> Result<Option<Kind>, SandboxError> {
        match pin_entry(&self.dir, &self.name) {
            Ok(pinned) => Ok(Some(pinned.kind())),
            Err(Errno::NOENT) => Ok(None),
            Err(errno) => Err(SandboxError::from_errno("look at", &self.path, errno)),
        }
    }

    /// Begins a file that gets its name when it is whole ([`Staged::commit`]).
    ///
    /// `mode` is taken as creating a file takes it: the process' umask narrows it, and nothing widens it later.
    ///
    /// # Errors
    ///
    /// As the system gives them.
    pub fn stage(self, mode: u32) -> Result<Staged, SandboxError> {
        Staged::new(self, mode)
    }

    /// Makes a directory. `mode` is narrowed by the process' umask. One that exists stays as it is.
    ///
    /// # Errors
    ///
    /// [`SandboxError::Symlink`] and [`SandboxError::Unexpected`] when something else has the name, and errors of the
    /// system.
    pub fn make_directory(&self, mode: u32) -> Result<MadeDirectory, SandboxError> {
        let operation = "create directory";
        match mkdirat(&self.dir, &self.name, Mode::from_raw_mode(mode & 0o777)) {
            Ok(()) => Ok(MadeDirectory::Created),
            Err(Errno::EXIST) => match self.found()? {
                Some(Kind::Directory) => Ok(MadeDirectory::Existed),
                Some(kind) => Err(not_a_directory(operation, self.path.clone(), kind)),
                None => Err(SandboxError::from_errno(operation, &self.path, Errno::EXIST)),
            },
            Err(errno) => Err(SandboxError::from_errno(operation, &self.path, errno)),
        }
    }

    /// Unlinks what has the name, unless it is a directory. Nothing there is fine.
    ///
    /// # Errors
    ///
    /// As the system gives them.
    pub fn unlink(&self) -> Result<(), SandboxError> {
        match unlinkat(&self.dir, &self.name, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => Ok(()),
            Err(errno) => Err(SandboxError::from_errno("unlink", &self.path, errno)),
        }
    }

    /// Takes permissions from the directory that has the name: it keeps those that `mode` has too, and its owner's.
    ///
    /// # Errors
    ///
    /// As the system gives them, also when it is no directory.
    pub fn narrow_directory(&self, mode: u32) -> Result<(), SandboxError> {
        let operation = "set the mode of";
        let dir = self.open_directory(operation)?;
        let now = rustix::fs::fstat(&dir).context(operation, &self.path)?.st_mode & 0o7777;
        let narrow = now & (mode | !0o077);
        if narrow == now {
            return Ok(());
        }
        fchmod(&dir, Mode::from_raw_mode(narrow)).context(operation, &self.path)
    }

    /// Sets the time of modification of the directory that has the name.
    ///
    /// # Errors
    ///
    /// As the system gives them, also when it is no directory.
    pub fn set_directory_modified(&self, modified: Modified) -> Result<(), SandboxError> {
        let operation = "set the time of";
        let dir = self.open_directory(operation)?;
        futimens(&dir, &modified.timestamps()).context(operation, &self.path)
    }

    /// Puts a symbolic link here, in the place of what has the name. The target is not looked at.
    ///
    /// # Errors
    ///
    /// [`SandboxError::NotEmpty`] when a directory with something in it has the name, and errors of the system.
    pub fn put_symlink(&self, target: &OsStr, modified: Option<Modified>) -> Result<(), SandboxError> {
        let operation = "create symbolic link";
        let temporary = self.with_temporary(|name| symlinkat(target, &self.dir, name));
        let temporary = temporary.context(operation, &self.path)?;
        if let (Some(modified), Ok(link)) = (modified, pin_entry(&self.dir, OsStr::new(&temporary)))
            && link.kind() == Kind::Symlink
        {
            // Through the descriptor, so that nothing else is touched. Kernels before 5.8 cannot, and the time of a
            // link matters to nobody.
            let _ = utimensat(link.into_file(), "", &modified.timestamps(), AtFlags::EMPTY_PATH);
        }
        self.replace_by(operation, &temporary)
    }

    /// Gives a file of the sandbox a second name here, in the place of what has it.
    ///
    /// # Errors
    ///
    /// [`SandboxError::NotEmpty`] when a directory with something in it has the name, and errors of the system.
    pub fn put_hard_link(&self, file: &PinnedFile) -> Result<(), SandboxError> {
        let operation = "create hard link";
        let link = proc_path(file.0.as_fd());
        let temporary = self
            .with_temporary(|name| linkat(CWD, &link, &self.dir, name, AtFlags::SYMLINK_FOLLOW))
            .context(operation, &self.path)?;
        let result = self.replace_by(operation, &temporary);
        // Renaming one name of a file onto another name of it does nothing, and both stay.
        let _ = unlinkat(&self.dir, &temporary, AtFlags::empty());
        result
    }

    /// Renames an entry of the same directory onto this name. The entry is removed when that fails.
    pub(crate) fn replace_by(&self, operation: &'static str, temporary: &str) -> Result<(), SandboxError> {
        let result = self.try_replace_by(operation, temporary);
        if result.is_err() {
            let _ = unlinkat(&self.dir, temporary, AtFlags::empty());
        }
        result
    }

    fn try_replace_by(&self, operation: &'static str, temporary: &str) -> Result<(), SandboxError> {
        let mut last = Errno::ISDIR;
        for _ in 0..ATTEMPTS {
            last = match renameat(&self.dir, temporary, &self.dir, &self.name) {
                Ok(()) => return Ok(()),
                Err(errno @ (Errno::ISDIR | Errno::NOTEMPTY | Errno::EXIST)) => errno,
                Err(errno) => return Err(SandboxError::from_errno(operation, &self.path, errno)),
            };
            match unlinkat(&self.dir, &self.name, AtFlags::REMOVEDIR) {
                Ok(()) | Err(Errno::NOENT | Errno::NOTDIR) => {}
                Err(Errno::NOTEMPTY | Errno::EXIST) => {
                    return Err(SandboxError::NotEmpty { operation, path: self.path.clone() });
                }
                Err(errno) => return Err(SandboxError::from_errno(operation, &self.path, errno)),
            }
        }
        Err(SandboxError::from_errno(operation, &self.path, last))
    }

    /// Calls `make` with names that nobody else uses until one is free, and gives the name that was.
    pub(crate) fn with_temporary<T>(
        &self,
        mut make: impl FnMut(&str) -> Result<T, Errno>,
    ) -> Result<String, Errno> {
        let mut last = Errno::EXIST;
        for _ in 0..ATTEMPTS {
            let number = COUNTER.fetch_add(1, Ordering::Relaxed);
            // The form that `is_temporary` knows.
            let name = format!(".fetch.tmp-{}-{number}", std::process::id());
            match make(&name) {
                Ok(_) => return Ok(name),
                Err(Errno::EXIST) => last = Errno::EXIST,
                Err(errno) => return Err(errno),
            }
        }
        Err(last)
    }

    fn open_directory(&self, operation: &'static str) -> Result<File, SandboxError> {
        match openat(&self.dir, &self.name, DIRECTORY, Mode::empty()) {
            Ok(fd) => Ok(File::from(fd)),
            Err(errno @ (Errno::NOTDIR | Errno::LOOP)) => Err(match self.found()? {
                Some(kind) => not_a_directory(operation, self.path.clone(), kind),
                None => SandboxError::from_errno(operation, &self.path, errno),
            }),
            Err(errno) => Err(SandboxError::from_errno(operation, &self.path, errno)),
        }
    }
}

/// The path through which an open descriptor is linked to, whatever its name is by now.
pub(crate) fn proc_path(fd: impl AsFd) -> String {
    format!("/proc/self/fd/{}", fd.as_fd().as_raw_fd())
}

/// Flags that create a file without a name in a directory.
pub(crate) const NAMELESS: OFlags = OFlags::RDWR.union(OFlags::TMPFILE).union(OFlags::CLOEXEC);

/// The error for something that stands where a directory is needed.
pub(crate) fn not_a_directory(operation: &'static str, path: PathBuf, kind: Kind) -> SandboxError {
    match kind {
        Kind::Symlink => SandboxError::Symlink { operation, path },
        kind => {
            SandboxError::Unexpected { operation, path, found: Found::Node(kind), expected: "a directory" }
        }
    }
}
