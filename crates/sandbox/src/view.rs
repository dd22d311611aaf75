//! Looking at a sandbox from outside: what an operator's browser or command line may list and read.
//!
//! Nothing is created or changed here, so one rule is softer than for our own files: a symbolic link is followed while
//! it leads to something below the same directory (`app.log` → `app-7.log`). The kernel proves that (`openat2` with
//! `BENEATH`), also while a task swaps links; without that call every link is refused. Only regular files with one link
//! are opened, and nothing blocks on a FIFO.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::os::fd::BorrowedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags, ResolveFlags, openat, openat2};
use rustix::io::Errno;

use crate::directory::{DIRECTORY, Sandbox};
use crate::error::{Context, SandboxError};
use crate::node::{Found, Kind, Pinned};
use crate::rel_path::RelPath;
use crate::resolve::pin_entry;

/// A pin that follows links, the last one included.
const PIN_TARGET: OFlags = OFlags::PATH.union(OFlags::CLOEXEC);

/// What the kernel must prove: the way never leaves the directory, not even for one step.
const BELOW: ResolveFlags = ResolveFlags::BENEATH.union(ResolveFlags::NO_MAGICLINKS);

/// Times that a way is tried while the tree changes under it.
const ATTEMPTS: u32 = 8;

/// What a path below a sandbox turned out to be.
#[derive(Debug)]
pub enum Viewed {
    /// A regular file, open for reading.
    File(File),
    /// A directory, to be listed.
    Directory(ViewedDirectory),
}

/// A directory that was reached, held by descriptor.
#[derive(Debug)]
pub struct ViewedDirectory {
    dir: File,
    /// From the sandbox; `None` for the sandbox itself.
    rel: Option<RelPath>,
    path: PathBuf,
}

/// One entry of a directory: of a link that stays below the sandbox what it leads to, of any other the link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its name.
    pub name: OsString,
    /// The type and the permission bits, as `stat` gives them.
    pub mode: u32,
    /// The number of names.
    pub links: u64,
    /// The size in bytes.
    pub size: u64,
    /// The time of last modification, in seconds since 1970.
    pub modified: i64,
    /// The owner.
    pub uid: u32,
    /// The group.
    pub gid: u32,
}

impl Sandbox {
    /// Reaches a file or directory for a reader; `None` is the sandbox itself.
    ///
    /// # Errors
    ///
    /// [`SandboxError::is_not_found`] when there is nothing, [`SandboxError::Symlink`] when a link leads out of the
    /// sandbox, [`SandboxError::Unexpected`] for what is neither a directory nor a regular file with one link, and
    /// errors of the system.
    pub fn view(&self, rel: Option<&RelPath>) -> Result<Viewed, SandboxError> {
        let operation = "open";
        let path = rel.map_or_else(|| self.path().to_owned(), |rel| self.path().join(rel));
        let Some(rel) = rel else {
            let dir = openat(self.fd(), ".", DIRECTORY, Mode::empty()).context(operation, &path)?;
            return Ok(Viewed::Directory(ViewedDirectory { dir: dir.into(), rel: None, path }));
        };
        let pinned = pin_target(self.fd(), rel.as_ref().as_os_str())
            .map_err(|errno| SandboxError::from_errno(operation, &path, errno))?;
        let expected = "a directory or a regular file with one link";
        match (pinned.kind(), pinned.plain()) {
            (Kind::Directory, _) => {
                let dir = openat(pinned.as_fd(), ".", DIRECTORY, Mode::empty()).context(operation, &path)?;
                Ok(Viewed::Directory(ViewedDirectory { dir: dir.into(), rel: Some(rel.clone()), path }))
            }
            (_, Ok(())) => Ok(Viewed::File(pinned.open(OFlags::RDONLY).context(operation, path)?)),
            (_, Err(found)) => Err(SandboxError::Unexpected { operation, path, found, expected }),
        }
    }
}

impl ViewedDirectory {
    /// Lists the directory, sorted by name; entries that vanish meanwhile are left out.
    ///
    /// `sandbox` is the one that the directory was reached in.
    ///
    /// # Errors
    ///
    /// [`SandboxError::TooManyEntries`] when there are more than `most`, and errors of the system.
    pub fn list(&self, sandbox: &Sandbox, most: usize) -> Result<Vec<Entry>, SandboxError> {
        let operation = "list";
        let mut names = Vec::new();
        for entry in rustix::fs::Dir::read_from(&self.dir).context(operation, &self.path)? {
            let entry = entry.context(operation, &self.path)?;
            let name = entry.file_name().to_bytes();
            if name == b"." || name == b".." {
                continue;
            }
            if names.len() == most {
                return Err(SandboxError::TooManyEntries { operation, path: self.path.clone(), most });
            }
            names.push(OsStr::from_bytes(name).to_owned());
        }
        names.sort_unstable();
        Ok(names.into_iter().filter_map(|name| self.look(sandbox, name)).collect())
    }

    fn look(&self, sandbox: &Sandbox, name: OsString) -> Option<Entry> {
        let mut pinned = pin_entry(&self.dir, &name).ok()?;
        if pinned.kind() == Kind::Symlink {
            let from_sandbox = self.rel.as_ref().map_or_else(PathBuf::new, |rel| rel.as_path().to_owned());
            if let Ok(target) = pin_target(sandbox.fd(), from_sandbox.join(&name).as_os_str()) {
                pinned = target;
            }
        }
        let status = pinned.status();
        Some(Entry {
            name,
            mode: status.mode,
            links: pinned.links(),
            size: status.size,
            modified: status.modified,
            uid: status.uid,
            gid: status.gid,
        })
    }
}

/// Pins what a path leads to. `ELOOP` stands for a link that leads out.
fn pin_target(dir: BorrowedFd<'_>, rel: &OsStr) -> Result<Pinned, Errno> {
    let pinned =
        |file: File| Pinned::new(file).map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::IO));
    let resolve = || openat2(dir, rel, PIN_TARGET, Mode::empty(), BELOW);
    // The kernel gives up a way through `..` while somebody renames; who does so all the time is refused.
    let found = (0..ATTEMPTS).map(|_| resolve()).find(|found| !matches!(found, Err(Errno::AGAIN)));
    match found.unwrap_or(Err(Errno::AGAIN)) {
        Ok(fd) => pinned(fd.into()),
        Err(Errno::XDEV) => Err(Errno::LOOP),
        // Without the call there is no safe way through a link, so none is taken.
        Err(Errno::NOSYS | Errno::PERM) => {
            let rel = RelPath::new(rel).map_err(|_| Errno::INVAL)?;
            crate::resolve::pin(dir, &rel).map_err(|refused| refused.errno)
        }
        Err(errno) => Err(errno),
    }
}

/// Opens a trusted path, such as the agent's own log, for a reader: a regular file, of any number of links.
///
/// # Errors
///
/// [`SandboxError::Unexpected`] when it is no regular file, and errors of the system.
pub fn view_own_file(path: &Path) -> Result<File, SandboxError> {
    let operation = "open";
    let file = openat(rustix::fs::CWD, path, PIN_TARGET, Mode::empty()).context(operation, path)?;
    let pinned = Pinned::new(file.into()).context(operation, path)?;
    match pinned.kind() {
        Kind::File => pinned.open(OFlags::RDONLY).context(operation, path),
        kind => Err(SandboxError::Unexpected {
            operation,
            path: path.to_owned(),
            found: Found::Node(kind),
            expected: "a regular file",
        }),
    }
}
