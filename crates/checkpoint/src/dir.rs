//! Directories of the work directory by descriptor: every name is one component, and no symbolic link is followed.
//!
//! A file is replaced as stock does it (`state::checkpoint`): written under a random name of six letters and digits in
//! the same directory and renamed. Unlike stock's, the file and the directory are synced.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::fs::{
    AtFlags, CWD, Dir as Listing, FileType, Mode, OFlags, fsync, mkdirat, openat, readlinkat, renameat,
    statat, symlinkat, unlinkat,
};
use rustix::io::Errno;

use crate::error::{CheckpointError, Context};
use crate::later::{Later, Replacement};
use crate::layout::LATEST;

/// How a directory is opened.
const DIRECTORY: OFlags =
    OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// How a file is opened: never through a link, never waiting for a FIFO.
const FILE: OFlags = OFlags::NOFOLLOW.union(OFlags::NONBLOCK).union(OFlags::NOCTTY).union(OFlags::CLOEXEC);

/// Characters of a temporary name (`mkstemp`).
const LETTERS: &[u8; 62] = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";

/// The length of a temporary name.
const TEMPORARY_LENGTH: usize = 6;

/// The names of the layout that look like a temporary one.
const LAID_OUT: [&str; 2] = [LATEST, "slaves"];

/// Temporary names tried.
const ATTEMPTS: u32 = 100;

/// What an entry of a directory is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum EntryKind {
    File,
    Directory,
    Symlink,
    Other,
}

/// An entry of a directory.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub(crate) name: OsString,
    pub(crate) kind: EntryKind,
}

/// An open directory.
#[derive(Debug)]
pub(crate) struct Dir {
    file: File,
    path: PathBuf,
    /// Where writes wait for each other.
    later: Later,
}

impl Dir {
    /// Opens a directory by its path. Links on the way are the operator's.
    pub(crate) fn open_root(path: &Path) -> Result<Self, CheckpointError> {
        let flags = DIRECTORY.difference(OFlags::NOFOLLOW);
        let file = File::from(openat(CWD, path, flags, Mode::empty()).context("open directory", path)?);
        Ok(Self { file, path: path.to_owned(), later: Later::default() })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Opens a subdirectory; `None` when there is none of that name.
    pub(crate) fn child(&self, name: impl AsRef<OsStr>) -> Result<Option<Self>, CheckpointError> {
        let name = name.as_ref();
        let path = self.path.join(name);
        match openat(&self.file, name, DIRECTORY, Mode::empty()) {
            Ok(fd) => Ok(Some(Self { file: File::from(fd), path, later: self.later.clone() })),
            Err(Errno::NOENT) => Ok(None),
            Err(Errno::NOTDIR | Errno::LOOP) => {
                Err(CheckpointError::Unexpected { operation: "open", path, expected: "a directory" })
            }
            Err(errno) => Err(CheckpointError::from_errno("open directory", path, errno)),
        }
    }

    /// Opens a subdirectory, and makes it where it is missing.
    pub(crate) fn make_child(&self, name: &OsStr, mode: Mode) -> Result<Self, CheckpointError> {
        if let Some(child) = self.child(name)? {
            return Ok(child);
        }
        let path = self.path.join(name);
        match mkdirat(&self.file, name, mode) {
            Ok(()) => self.sync()?,
            Err(Errno::EXIST) => {}
            Err(errno) => return Err(CheckpointError::from_errno("make directory", path, errno)),
        }
        self.child(name)?.ok_or_else(|| CheckpointError::from_errno("open directory", path, Errno::NOENT))
    }

    /// Lists the directory, sorted by name.
    pub(crate) fn entries(&self) -> Result<Vec<Entry>, CheckpointError> {
        let mut found = Vec::new();
        for entry in Listing::read_from(&self.file).context("list", &self.path)? {
            let entry = entry.context("list", &self.path)?;
            if matches!(entry.file_name().to_bytes(), b"." | b"..") {
                continue;
            }
            let name = OsStr::from_bytes(entry.file_name().to_bytes()).to_owned();
            let kind = match entry.file_type() {
                // Not every file system says it in the list.
                FileType::Unknown => match statat(&self.file, &name, AtFlags::SYMLINK_NOFOLLOW) {
                    Ok(stat) => FileType::from_raw_mode(stat.st_mode),
                    Err(Errno::NOENT) => continue,
                    Err(errno) => {
                        return Err(CheckpointError::from_errno("look at", self.path.join(&name), errno));
                    }
                },
                known => known,
            };
            let kind = match kind {
                FileType::RegularFile => EntryKind::File,
                FileType::Directory => EntryKind::Directory,
                FileType::Symlink => EntryKind::Symlink,
                _ => EntryKind::Other,
            };
            found.push(Entry { name, kind });
        }
        found.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(found)
    }

    /// Says whether there is anything of that name, a link included.
    pub(crate) fn exists(&self, name: impl AsRef<OsStr>) -> Result<bool, CheckpointError> {
        let name = name.as_ref();
        match statat(&self.file, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(_) => Ok(true),
            Err(Errno::NOENT) => Ok(false),
            Err(errno) => Err(CheckpointError::from_errno("look at", self.path.join(name), errno)),
        }
    }

    /// Opens a regular file for the access in `flags`; `None` when there is none of that name.
    pub(crate) fn open_file(
        &self,
        name: impl AsRef<OsStr>,
        flags: OFlags,
    ) -> Result<Option<File>, CheckpointError> {
        let name = name.as_ref();
        let path = self.path.join(name);
        let file = match openat(&self.file, name, flags | FILE, Mode::RUSR | Mode::WUSR) {
            Ok(fd) => File::from(fd),
            Err(Errno::NOENT) if !flags.contains(OFlags::CREATE) => return Ok(None),
            Err(Errno::LOOP | Errno::ISDIR | Errno::NXIO) => {
                return Err(CheckpointError::Unexpected {
                    operation: "open",
                    path,
                    expected: "a regular file",
                });
            }
            Err(errno) => return Err(CheckpointError::from_errno("open", path, errno)),
        };
        if file.metadata().context("look at", &path)?.is_file() {
            Ok(Some(file))
        } else {
            Err(CheckpointError::Unexpected { operation: "open", path, expected: "a regular file" })
        }
    }

    /// Reads a file of at most `max` bytes whole; `None` when there is none of that name.
    pub(crate) fn read(&self, name: impl AsRef<OsStr>, max: u64) -> Result<Option<Vec<u8>>, CheckpointError> {
        let name = name.as_ref();
        let Some(file) = self.open_file(name, OFlags::RDONLY)? else { return Ok(None) };
        let path = self.path.join(name);
        let mut bytes = Vec::new();
        file.take(max.saturating_add(1)).read_to_end(&mut bytes).context("read", &path)?;
        if u64::try_from(bytes.len()).unwrap_or(u64::MAX) > max {
            return Err(CheckpointError::TooLarge { path, max });
        }
        Ok(Some(bytes))
    }

    /// Reads where a link points; `None` when there is nothing of that name.
    pub(crate) fn read_link(&self, name: impl AsRef<OsStr>) -> Result<Option<PathBuf>, CheckpointError> {
        let name = name.as_ref();
        let path = self.path.join(name);
        match readlinkat(&self.file, name, Vec::new()) {
            Ok(target) => Ok(Some(PathBuf::from(OsStr::from_bytes(target.to_bytes())))),
            Err(Errno::NOENT) => Ok(None),
            Err(Errno::INVAL) => {
                Err(CheckpointError::Unexpected { operation: "follow", path, expected: "a symbolic link" })
            }
            Err(errno) => Err(CheckpointError::from_errno("read link", path, errno)),
        }
    }

    /// Says whether `path` is this very directory; `None` when there is nothing at `path`.
    pub(crate) fn is_at(&self, path: &Path) -> Result<Option<bool>, CheckpointError> {
        let there = match std::fs::metadata(path) {
            Ok(there) => there,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error).context("look at", path),
        };
        let here = self.file.metadata().context("look at", &self.path)?;
        Ok(Some((here.dev(), here.ino()) == (there.dev(), there.ino())))
    }

    /// Replaces a file: it has the old content or the new one, whenever this is cut short. Its mode is 0600.
    pub(crate) fn replace(&self, name: &OsStr, bytes: &[u8]) -> Result<(), CheckpointError> {
        let path = self.path.join(name);
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | FILE;
        let (fd, temporary) = self
            .temporary(|temporary| openat(&self.file, temporary, flags, Mode::RUSR | Mode::WUSR))
            .context("create", &path)?;
        let mut file = File::from(fd);
        let result = file.write_all(bytes).context("write", &path).and_then(|()| {
            let replacement = Replacement {
                file,
                directory: self.file.try_clone().context("hold", &self.path)?,
                temporary: temporary.clone(),
                name: name.to_owned(),
                path: path.clone(),
                directory_path: self.path.clone(),
            };
            match self.later.replace(replacement)? {
                Some(now) => {
                    now.file.sync_all().context("write", &path)?;
                    self.rename(&temporary, name)
                }
                None => Ok(()),
            }
        });
        if result.is_err() {
            let _ = unlinkat(&self.file, &temporary, AtFlags::empty());
        }
        result
    }

    /// Replaces a symbolic link the same way.
    pub(crate) fn replace_link(&self, name: &OsStr, target: &Path) -> Result<(), CheckpointError> {
        let path = self.path.join(name);
        let ((), temporary) =
            self.temporary(|temporary| symlinkat(target, &self.file, temporary)).context("create", &path)?;
        let result = self.rename(&temporary, name);
        if result.is_err() {
            let _ = unlinkat(&self.file, &temporary, AtFlags::empty());
        }
        result
    }

    /// Renames an entry over another one and syncs the directory.
    pub(crate) fn rename(&self, from: impl AsRef<OsStr>, to: &OsStr) -> Result<(), CheckpointError> {
        renameat(&self.file, from.as_ref(), &self.file, to).context("rename to", self.path.join(to))?;
        self.sync()
    }

    /// Moves an entry into another directory under the same name.
    pub(crate) fn move_to(&self, name: &OsStr, other: &Dir) -> Result<(), CheckpointError> {
        renameat(&self.file, name, &other.file, name).context("move", self.path.join(name))?;
        other.sync()?;
        self.sync()
    }

    /// Removes a file or link. One that is not there is no error.
    pub(crate) fn remove(&self, name: impl AsRef<OsStr>) -> Result<(), CheckpointError> {
        let name = name.as_ref();
        // It may be about to get this name.
        self.later.settle()?;
        match unlinkat(&self.file, name, AtFlags::empty()) {
            Ok(()) => self.sync(),
            Err(Errno::NOENT) => Ok(()),
            Err(errno) => Err(CheckpointError::from_errno("remove", self.path.join(name), errno)),
        }
    }

    /// Where the writes below this directory wait for each other.
    pub(crate) fn later(&self) -> &Later {
        &self.later
    }

    /// Waits until a file in this directory is on the disk; among writes that wait together, when they do.
    pub(crate) fn sync_appended(&self, name: &OsStr, file: &File) -> Result<(), CheckpointError> {
        let path = self.path.join(name);
        match self.later.append(path.clone(), file)? {
            true => Ok(()),
            false => file.sync_data().context("sync", path),
        }
    }

    /// Waits until the entries of the directory are on the disk; among writes that wait together, when they do.
    pub(crate) fn sync(&self) -> Result<(), CheckpointError> {
        if self.later.directory(&self.path, &self.file)? {
            return Ok(());
        }
        fsync(&self.file).context("sync directory", &self.path)
    }

    fn temporary<T>(&self, create: impl Fn(&OsStr) -> Result<T, Errno>) -> Result<(T, OsString), Errno> {
        let mut result = Err(Errno::EXIST);
        for _ in 0..ATTEMPTS {
            let name = OsString::from(temporary_name());
            result = create(&name).map(|made| (made, name));
            if !matches!(result, Err(Errno::EXIST)) {
                break;
            }
        }
        result
    }
}

/// Says whether a file name may be that of a write that was cut short, ours or stock's.
pub(crate) fn is_temporary(name: &OsStr) -> bool {
    // Two names of the layout have the same form.
    name.len() == TEMPORARY_LENGTH
        && name.as_bytes().iter().all(u8::is_ascii_alphanumeric)
        && !LAID_OUT.iter().any(|known| name == *known)
}

fn temporary_name() -> String {
    loop {
        let random = uuid::Uuid::new_v4();
        // The first six bytes of a random UUID are random in full.
        let letters =
            random.as_bytes().iter().take(TEMPORARY_LENGTH).map(|byte| usize::from(*byte) % LETTERS.len());
        let name: String =
            letters.filter_map(|at| LETTERS.get(at)).map(|letter| char::from(*letter)).collect();
        if !LAID_OUT.contains(&name.as_str()) {
            return name;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    #[test]
    fn a_temporary_name_has_the_form_of_stocks() {
        for _ in 0..100 {
            assert!(is_temporary(OsStr::new(&temporary_name())));
        }
        for name in ["latest", "slaves", "boot_id", "a.b.cd", "abcdefg", "abcde", "abcde\u{e9}"] {
            assert!(!is_temporary(OsStr::new(name)), "{name}");
        }
    }

    #[test]
    fn a_replaced_file_is_ours_alone_and_leaves_nothing_beside_it() {
        let root = tempfile::tempdir().unwrap();
        std::fs::write(root.path().join("outside"), "old").unwrap();
        symlink("outside", root.path().join("file")).unwrap();
        let dir = Dir::open_root(root.path()).unwrap();
        dir.replace(OsStr::new("file"), b"new").unwrap();
        let metadata = std::fs::symlink_metadata(root.path().join("file")).unwrap();
        assert!(metadata.is_file(), "the planted link was replaced, not followed");
        assert_eq!(metadata.permissions().mode() & 0o777, 0o600);
        assert_eq!(std::fs::read(root.path().join("outside")).unwrap(), b"old");
        let names: Vec<_> = dir.entries().unwrap().into_iter().map(|entry| entry.name).collect();
        assert_eq!(names, ["file", "outside"]);
    }

    #[test]
    fn nothing_but_a_regular_file_is_read() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path();
        std::fs::write(path.join("file"), "text").unwrap();
        symlink("file", path.join("link")).unwrap();
        std::fs::create_dir(path.join("dir")).unwrap();
        rustix::fs::mknodat(CWD, path.join("fifo"), FileType::Fifo, Mode::RUSR, 0).unwrap();
        let dir = Dir::open_root(path).unwrap();
        assert_eq!(dir.read("file", 4).unwrap().unwrap(), b"text");
        assert!(dir.read("none", 4).unwrap().is_none());
        assert!(matches!(dir.read("file", 3), Err(CheckpointError::TooLarge { max: 3, .. })));
        for name in ["link", "dir", "fifo"] {
            let error = dir.read(name, 4).unwrap_err();
            assert!(matches!(error, CheckpointError::Unexpected { .. }), "{name}: {error:?}");
        }
        assert!(matches!(dir.child("link"), Err(CheckpointError::Unexpected { .. })));
    }
}
