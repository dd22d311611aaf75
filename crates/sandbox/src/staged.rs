//! A file that has no name until it is whole.
//!
//! It is created without any name where the file system can do that (`O_TMPFILE`), so not even a SIGKILL leaves a part
//! of it behind. Elsewhere it has a temporary name ([`is_temporary`](crate::is_temporary)), which is removed when the
//! file is given up.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Write};
use std::path::Path;

use rustix::fs::{AtFlags, CWD, Mode, OFlags, futimens, linkat, openat, renameat, unlinkat};
use rustix::io::Errno;

use crate::error::{Context, SandboxError};
use crate::place::{Modified, NAMELESS, Place, proc_path};

/// Flags of the file with a temporary name.
const NAMED: OFlags =
    OFlags::RDWR.union(OFlags::CREATE).union(OFlags::EXCL).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// A file on its way to a [`Place`]. Dropping it gives it up, and nothing is left.
#[derive(Debug)]
pub struct Staged {
    place: Place,
    file: File,
    /// Its name until it is committed, where it has to have one.
    temporary: Option<String>,
}

impl Staged {
    pub(crate) fn new(place: Place, mode: u32) -> Result<Staged, SandboxError> {
        let operation = "create a file for";
        let mode = Mode::from_raw_mode(mode & 0o777);
        match openat(&place.dir, ".", NAMELESS, mode) {
            Ok(fd) => Ok(Staged { place, file: File::from(fd), temporary: None }),
            // File systems and kernels that know no files without a name.
            Err(Errno::OPNOTSUPP | Errno::ISDIR | Errno::INVAL | Errno::NOENT) => {
                Staged::with_name(place, mode, operation)
            }
            Err(errno) => Err(SandboxError::from_errno(operation, &place.path, errno)),
        }
    }

    fn with_name(place: Place, mode: Mode, operation: &'static str) -> Result<Staged, SandboxError> {
        let mut file = None;
        let temporary = place
            .with_temporary(|name| {
                openat(&place.dir, name, NAMED, mode).map(|fd| file = Some(File::from(fd)))
            })
            .context(operation, &place.path)?;
        match file {
            Some(file) => Ok(Staged { place, file, temporary: Some(temporary) }),
            None => Err(SandboxError::from_errno(operation, &place.path, Errno::IO)),
        }
    }

    /// Takes over a file that has a temporary name beside the place already.
    pub(crate) fn of(place: Place, file: File, temporary: String) -> Staged {
        Staged { place, file, temporary: Some(temporary) }
    }

    /// The path that it will have.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.place.path()
    }

    /// The file, for reading and writing. It stays the same file when it gets its name.
    pub fn file(&mut self) -> &mut File {
        &mut self.file
    }

    /// Sets the time of modification, after the last write.
    ///
    /// # Errors
    ///
    /// As the system gives them.
    pub fn set_modified(&self, modified: Modified) -> Result<(), SandboxError> {
        futimens(&self.file, &modified.timestamps()).context("set the time of", &self.place.path)
    }

    /// Gives the file its name, in the place of what has it. Whoever opens the name sees the old or the new, never a
    /// part.
    ///
    /// # Errors
    ///
    /// [`SandboxError::NotEmpty`] when a directory with something in it has the name, and errors of the system. The
    /// file is gone then, and what had the name stays.
    pub fn commit(mut self) -> Result<(), SandboxError> {
        let operation = "write";
        let temporary = match self.temporary.take() {
            Some(temporary) => temporary,
            None => match self.link(&self.place.name) {
                Ok(()) => return Ok(()),
                Err(Errno::EXIST) => self
                    .place
                    .with_temporary(|name| self.link(name.as_ref()))
                    .context(operation, &self.place.path)?,
                Err(errno) => return Err(SandboxError::from_errno(operation, &self.place.path, errno)),
            },
        };
        self.place.replace_by(operation, &temporary)
    }

    /// Gives the file its name at another place of the same file system, which may not have existed when it was begun.
    ///
    /// # Errors
    ///
    /// Those of [`Staged::commit`]. The file is gone then.
    pub fn commit_to(mut self, place: Place) -> Result<(), SandboxError> {
        let operation = "write";
        let Some(temporary) = self.temporary.clone() else {
            self.place = place;
            return self.commit();
        };
        // The name is this process' own in either directory, so nothing is replaced.
        renameat(&self.place.dir, &temporary, &place.dir, &temporary).context(operation, &place.path)?;
        self.temporary = None;
        place.replace_by(operation, &temporary)
    }

    fn link(&self, name: &OsStr) -> Result<(), Errno> {
        linkat(CWD, proc_path(&self.file), &self.place.dir, name, AtFlags::SYMLINK_FOLLOW)
    }
}

impl Write for Staged {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl Drop for Staged {
    fn drop(&mut self) {
        if let Some(temporary) = self.temporary.take() {
            let _ = unlinkat(&self.place.dir, &temporary, AtFlags::empty());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{RelPath, Sandbox};

    /// File systems without files that have no name are rare, so that way is taken here by hand.
    #[test]
    fn a_file_with_a_temporary_name_ends_the_same() {
        let root = tempfile::tempdir().expect("a directory");
        let sandbox = Sandbox::open(root.path()).expect("opened");
        let rel = RelPath::new("file").expect("valid");
        let names = || {
            let listed = std::fs::read_dir(root.path()).expect("listed");
            listed
                .map(|entry| entry.expect("read").file_name().into_string().expect("text"))
                .collect::<Vec<_>>()
        };
        let stage = || {
            let place = sandbox.place(&rel).expect("a place");
            Staged::with_name(place, Mode::from_raw_mode(0o640), "create").expect("staged")
        };
        let mut given_up = stage();
        given_up.write_all(b"part").expect("written");
        assert!(crate::is_temporary(&names()[0]), "{:?}", names());
        drop(given_up);
        assert!(names().is_empty());

        for content in ["first", "second"] {
            let mut staged = stage();
            staged.write_all(content.as_bytes()).expect("written");
            staged.commit().expect("committed");
            assert_eq!(std::fs::read_to_string(root.path().join("file")).expect("read"), content);
            assert_eq!(names(), ["file"]);
        }

        std::fs::remove_file(root.path().join("file")).expect("removed");
        std::fs::create_dir_all(root.path().join("file/full")).expect("made");
        assert!(matches!(stage().commit(), Err(SandboxError::NotEmpty { .. })));
        assert_eq!(names(), ["file"]);
    }
}
