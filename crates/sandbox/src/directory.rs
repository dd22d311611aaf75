//! The directory of one run: made, opened, and the only way to the files below it.
//!
//! The path up to the sandbox is ours and trusted. Everything below is the task's.

use std::ffi::OsStr;
use std::fs::{DirBuilder, File};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, fchown};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{AtFlags, CWD, Mode, OFlags, mkdirat, openat, unlinkat};
use rustix::io::Errno;

use crate::error::{Context, SandboxError};
use crate::node::{Identity, InvalidOwner, Kind, Owner, Pinned, adopt};
use crate::place::not_a_directory;
use crate::rel_path::RelPath;
use crate::removal::{Removed, remove_all};
use crate::resolve::{pin, pin_entry};

/// The mode of a sandbox, as Mesos sets it (src/slave/paths.cpp, `createSandboxDirectory`).
const SANDBOX_MODE: u32 = 0o750;

/// The mode of directories on the way to a sandbox, before the umask.
const PARENT_MODE: u32 = 0o755;

/// Flags that open a directory for reading, without following a link in its last component.
pub(crate) const DIRECTORY: OFlags =
    OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// Flags that create a file and fail when the name is taken, be it by a dangling link.
const CREATE: OFlags = OFlags::RDWR
    .union(OFlags::CREATE)
    .union(OFlags::EXCL)
    .union(OFlags::NOFOLLOW)
    .union(OFlags::NOCTTY)
    .union(OFlags::CLOEXEC);

/// The directory of one run, held by descriptor; every open below it goes through here.
#[derive(Debug)]
pub struct Sandbox {
    dir: File,
    path: Arc<Path>,
}

/// An entry of a sandbox that was reached without following a symbolic link.
#[derive(Debug)]
pub struct Resolved {
    /// The entry, pinned (`O_PATH`): good for `fstat` and as a directory descriptor, not for reading.
    pub fd: OwnedFd,
    /// Its path on the host, for the engine to mount.
    ///
    /// The engine resolves it again. Nothing can be swapped in between while no container has the sandbox mounted,
    /// so resolve before the task's own container starts.
    pub host_path: PathBuf,
    /// What it is.
    pub kind: ResolvedKind,
}

/// The kinds of entry that may be mounted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResolvedKind {
    /// A directory.
    Directory,
    /// A regular file with one link.
    File,
}

impl Sandbox {
    /// Makes the directory of a new run, with mode 0750 and the given owner, and its parents where they are missing.
    ///
    /// Follows `createSandboxDirectory` of Mesos (src/slave/paths.cpp): a failed `chown` removes what was made. The
    /// directory must be new or empty, so there is nothing below it to give away; Mesos' recursive `chown` of a
    /// directory that is in use would follow hard links.
    ///
    /// # Errors
    ///
    /// [`SandboxError::NotEmpty`] when the directory is there with something in it, [`SandboxError::Unexpected`] or
    /// [`SandboxError::Symlink`] when something else is, and errors of the system. What was created is removed then.
    pub fn create(path: &Path, owner: Option<Owner>) -> Result<Sandbox, SandboxError> {
        let operation = "create sandbox";
        let path = absolute(path).context(operation, path)?;
        let mut made = Vec::new();
        let result = create_missing(&path, &mut made).and_then(|()| {
            let sandbox = Sandbox::open_for(operation, &path)?;
            if sandbox.has_entries(operation)? {
                return Err(SandboxError::NotEmpty { operation, path: path.clone() });
            }
            adopt(&sandbox.dir, SANDBOX_MODE, owner).context("set mode and owner of sandbox", &path)?;
            Ok(sandbox)
        });
        if result.is_err() {
            for created in made.iter().rev() {
                // A directory that somebody filled in the meantime stays, and so do its parents.
                if unlinkat(CWD, created, AtFlags::REMOVEDIR).is_err() {
                    break;
                }
            }
        }
        result
    }

    /// Opens the directory of a run that exists. Its last component may not be a symbolic link.
    ///
    /// # Errors
    ///
    /// As the system gives them; [`SandboxError::is_not_found`] when there is none.
    pub fn open(path: &Path) -> Result<Sandbox, SandboxError> {
        let path = absolute(path).context("open sandbox", path)?;
        Sandbox::open_for("open sandbox", &path)
    }

    fn open_for(operation: &'static str, path: &Path) -> Result<Sandbox, SandboxError> {
        match openat(CWD, path, DIRECTORY, Mode::empty()) {
            Ok(fd) => Ok(Sandbox { dir: File::from(fd), path: path.into() }),
            Err(errno @ (Errno::NOTDIR | Errno::LOOP)) => Err(match pin_entry(CWD, path.as_os_str()) {
                Ok(pinned) => not_a_directory(operation, path.to_owned(), pinned.kind()),
                Err(_) => SandboxError::from_errno(operation, path, errno),
            }),
            Err(errno) => Err(SandboxError::from_errno(operation, path, errno)),
        }
    }

    /// Opens the same directory again by its path, for a holder that keeps no descriptor of it.
    pub(crate) fn reopen(path: &Arc<Path>, expected: Identity) -> Result<Sandbox, SandboxError> {
        let operation = "open sandbox";
        let sandbox = Sandbox::open_for(operation, path)?;
        if sandbox.identity()? != expected {
            return Err(SandboxError::Moved { operation, path: path.to_path_buf() });
        }
        Ok(Sandbox { dir: sandbox.dir, path: Arc::clone(path) })
    }

    /// The host path of the sandbox, absolute.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The path, to be shared.
    pub(crate) fn shared_path(&self) -> &Arc<Path> {
        &self.path
    }

    /// The directory's own descriptor.
    pub(crate) fn fd(&self) -> BorrowedFd<'_> {
        self.dir.as_fd()
    }

    /// Which directory this is.
    pub(crate) fn identity(&self) -> Result<Identity, SandboxError> {
        Ok(Identity::of(&self.dir.metadata().context("look at sandbox", &*self.path)?))
    }

    /// A second handle of the same directory.
    ///
    /// # Errors
    ///
    /// When no descriptor is left.
    pub fn try_clone(&self) -> Result<Sandbox, SandboxError> {
        let dir = self.dir.try_clone().context("duplicate the descriptor of sandbox", &*self.path)?;
        Ok(Sandbox { dir, path: Arc::clone(&self.path) })
    }

    /// Opens a file for reading. It must be a regular file with one link, on a way without symbolic links.
    ///
    /// Returns at once whatever is there: a FIFO or a device is never opened.
    ///
    /// # Errors
    ///
    /// [`SandboxError::Symlink`] names the component that is a link, [`SandboxError::Unexpected`] says what else is
    /// in the way, and errors of the system.
    pub fn open_file(&self, rel: &RelPath) -> Result<File, SandboxError> {
        let operation = "open";
        let pinned = self.pin(operation, rel)?;
        pinned.plain().map_err(|found| SandboxError::Unexpected {
            operation,
            path: self.path.join(rel),
            found,
            expected: "a regular file with one link",
        })?;
        pinned.open(OFlags::RDONLY).context(operation, self.path.join(rel))
    }

    /// Removes a file. It must be a regular file with one link, on a way without symbolic links: of any other the
    /// content would still be reachable.
    ///
    /// # Errors
    ///
    /// [`SandboxError::is_not_found`] when nothing is there, [`SandboxError::Symlink`] and
    /// [`SandboxError::Unexpected`] for what is no such file, and errors of the system.
    pub fn remove_file(&self, rel: &RelPath) -> Result<(), SandboxError> {
        let operation = "remove";
        let path = || self.path.join(rel);
        self.pin(operation, rel)?.plain().map_err(|found| SandboxError::Unexpected {
            operation,
            path: path(),
            found,
            expected: "a regular file with one link",
        })?;
        // The name is taken away where it was pinned; a link that took its place meanwhile would go, not its target.
        match rel.split() {
            (None, name) => unlinkat(self.fd(), name, AtFlags::empty()).context(operation, path()),
            (Some(parent), name) => {
                let parent = self.pin(operation, &parent)?.into_file();
                unlinkat(&parent, name, AtFlags::empty()).context(operation, path())
            }
        }
    }

    /// Creates a file that is not there yet, for reading and writing, with the nine permission bits of `mode`.
    ///
    /// # Errors
    ///
    /// [`SandboxError::is_already_exists`] when the name is taken by anything at all, a dangling link included;
    /// [`SandboxError::Symlink`] when a directory on the way is a link; and errors of the system. A file whose mode or
    /// owner cannot be set is removed again.
    pub fn create_file(&self, rel: &RelPath, mode: u32, owner: Option<Owner>) -> Result<File, SandboxError> {
        let operation = "create";
        match rel.split() {
            (None, name) => self.create_in(self.fd(), name, &self.path.join(rel), mode, owner),
            (Some(parent), name) => {
                let pinned = self.pin(operation, &parent)?;
                if pinned.kind() != Kind::Directory {
                    return Err(not_a_directory(operation, self.path.join(&parent), pinned.kind()));
                }
                let dir = pinned.into_file();
                self.create_in(dir.as_fd(), name, &self.path.join(rel), mode, owner)
            }
        }
    }

    fn create_in(
        &self,
        dir: BorrowedFd<'_>,
        name: &OsStr,
        path: &Path,
        mode: u32,
        owner: Option<Owner>,
    ) -> Result<File, SandboxError> {
        let file =
            File::from(openat(dir, name, CREATE, Mode::from_raw_mode(mode & 0o777)).context("create", path)?);
        if let Err(error) = adopt(&file, mode, owner) {
            // Nobody wrote to it yet, so at worst an empty file of a name that we chose is left.
            let _ = unlinkat(dir, name, AtFlags::empty());
            return Err(SandboxError::from_io("set mode and owner of", path, error));
        }
        Ok(file)
    }

    /// Makes a directory and those on the way to it, without going through any symbolic link.
    ///
    /// Mode and owner are given to the directories made here; those that exist stay as they are. It is meant for
    /// relative host paths and for volumes below the sandbox.
    ///
    /// # Errors
    ///
    /// [`SandboxError::Symlink`] and [`SandboxError::Unexpected`] name the component that is not a directory, and
    /// errors of the system. Directories made before the failure stay, and go with the sandbox.
    pub fn create_dir_all(&self, rel: &RelPath, mode: u32, owner: Option<Owner>) -> Result<(), SandboxError> {
        let operation = "create directory";
        let mut path = self.path.to_path_buf();
        let mut held: Option<File> = None;
        for component in rel.components() {
            let from = held.as_ref().map_or(self.fd(), AsFd::as_fd);
            path.push(component);
            let created = match mkdirat(from, component, Mode::RWXU) {
                Ok(()) => true,
                Err(Errno::EXIST) => false,
                Err(errno) => return Err(SandboxError::from_errno(operation, path, errno)),
            };
            let access = if created { OFlags::RDONLY } else { OFlags::PATH };
            let next = match openat(from, component, DIRECTORY | access, Mode::empty()) {
                Ok(fd) => File::from(fd),
                Err(errno @ (Errno::NOTDIR | Errno::LOOP)) => {
                    return Err(match pin_entry(from, component) {
                        Ok(pinned) => not_a_directory(operation, path, pinned.kind()),
                        Err(_) => SandboxError::from_errno(operation, path, errno),
                    });
                }
                Err(errno) => return Err(SandboxError::from_errno(operation, path, errno)),
            };
            if created {
                adopt(&next, mode, owner).context("set mode and owner of", &path)?;
            }
            held = Some(next);
        }
        Ok(())
    }

    /// Proves that a relative volume path leads to a directory or a plain file below the sandbox, with no symbolic
    /// link on the way, and gives its path on the host.
    ///
    /// # Errors
    ///
    /// [`SandboxError::Symlink`] names the component that is a link, [`SandboxError::Unexpected`] what is neither
    /// directory nor plain file, and errors of the system.
    pub fn resolve_dir_or_file(&self, rel: &RelPath) -> Result<Resolved, SandboxError> {
        let operation = "resolve";
        let pinned = self.pin(operation, rel)?;
        let host_path = self.path.join(rel);
        let kind = match (pinned.kind(), pinned.plain()) {
            (Kind::Directory, _) => ResolvedKind::Directory,
            (_, Ok(())) => ResolvedKind::File,
            (_, Err(found)) => {
                let expected = "a directory or a regular file with one link";
                return Err(SandboxError::Unexpected { operation, path: host_path, found, expected });
            }
        };
        Ok(Resolved { fd: pinned.into_file().into(), host_path, kind })
    }

    /// Opens a directory below this one, on a way without symbolic links.
    ///
    /// # Errors
    ///
    /// [`SandboxError::is_not_found`] when there is none, [`SandboxError::Symlink`] and [`SandboxError::Unexpected`] when
    /// something else is in the way, and errors of the system.
    pub fn subdirectory(&self, rel: &RelPath) -> Result<Sandbox, SandboxError> {
        let operation = "open directory";
        let pinned = self.pin(operation, rel)?;
        let path = self.path.join(rel);
        if pinned.kind() != Kind::Directory {
            return Err(not_a_directory(operation, path, pinned.kind()));
        }
        let dir = openat(pinned.as_fd(), ".", DIRECTORY, Mode::empty()).context(operation, &path)?;
        Ok(Sandbox { dir: File::from(dir), path: path.into() })
    }

    /// Whether nobody but root has the directory.
    ///
    /// # Errors
    ///
    /// Errors of the system.
    pub fn is_roots(&self) -> Result<bool, SandboxError> {
        Ok(self.dir.metadata().context("look at", &*self.path)?.uid() == 0)
    }

    /// Who has the directory.
    ///
    /// # Errors
    ///
    /// Errors of the system.
    pub fn owner(&self) -> Result<Owner, SandboxError> {
        let metadata = self.dir.metadata().context("look at", &*self.path)?;
        let invalid = |error: InvalidOwner| io::Error::new(io::ErrorKind::InvalidData, error);
        Owner::new(metadata.uid(), metadata.gid()).map_err(invalid).context("look at", &*self.path)
    }

    /// Gives the directory itself to an owner, and nothing in it.
    ///
    /// # Errors
    ///
    /// Errors of the system.
    pub fn give_to(&self, owner: Owner) -> Result<(), SandboxError> {
        fchown(&self.dir, Some(owner.uid()), Some(owner.gid())).context("set the owner of", &*self.path)
    }

    /// Removes the sandbox and everything in it, as [`remove_all`] does.
    ///
    /// # Errors
    ///
    /// As [`remove_all`].
    pub fn remove_all(self) -> Result<Removed, SandboxError> {
        remove_all(&self.path)
    }

    pub(crate) fn pin(&self, operation: &'static str, rel: &RelPath) -> Result<Pinned, SandboxError> {
        pin(self.fd(), rel).map_err(|refused| {
            SandboxError::from_errno(operation, self.path.join(&refused.at), refused.errno)
        })
    }

    /// Takes the handle apart, for the removal.
    pub(crate) fn into_parts(self) -> (File, Arc<Path>) {
        (self.dir, self.path)
    }

    fn has_entries(&self, operation: &'static str) -> Result<bool, SandboxError> {
        let mut entries = rustix::fs::Dir::read_from(&self.dir).context(operation, &*self.path)?;
        loop {
            match entries.read().transpose().context(operation, &*self.path)? {
                None => return Ok(false),
                Some(entry) if matches!(entry.file_name().to_bytes(), b"." | b"..") => {}
                Some(_) => return Ok(true),
            }
        }
    }
}

/// Makes a path absolute and takes off trailing slashes, which would make the system follow a link before them.
fn absolute(path: &Path) -> std::io::Result<PathBuf> {
    Ok(std::path::absolute(path)?.components().collect())
}

/// Makes the directories that are missing on a trusted path, and lists those that it made, outermost first.
fn create_missing(path: &Path, made: &mut Vec<PathBuf>) -> Result<(), SandboxError> {
    let operation = "create directory";
    let mut ancestors: Vec<&Path> = path.ancestors().collect();
    ancestors.reverse();
    for ancestor in ancestors.into_iter().skip(1) {
        let mode = if ancestor == path { SANDBOX_MODE } else { PARENT_MODE };
        match DirBuilder::new().mode(mode).create(ancestor) {
            Ok(()) => made.push(ancestor.to_owned()),
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(SandboxError::from_io(operation, ancestor, error)),
        }
    }
    Ok(())
}
