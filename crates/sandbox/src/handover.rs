//! A file that another program writes for us, because it takes no open file but a path only.
//!
//! The program gets a directory of its own beside the place, which nobody else can enter, and writes what it likes in
//! it. Then the one file that was asked for is taken out, as a [`Staged`] file, and the directory goes.

use std::ffi::OsStr;
use std::fs::File;
use std::path::PathBuf;

use rustix::fs::{Mode, OFlags, mkdirat, openat, renameat};

use crate::directory::DIRECTORY;
use crate::error::{Context, SandboxError};
use crate::place::Place;
use crate::removal::remove_all;
use crate::resolve::pin_entry;
use crate::staged::Staged;

/// The name of the file in its directory.
const NAME: &str = "file";

/// A directory for another program. Dropping it removes it with everything in it.
#[derive(Debug)]
pub struct Handover {
    place: Option<Place>,
    directory: PathBuf,
}

impl Place {
    /// Makes a directory with mode 0700 and a temporary name beside the place, for a program that writes one file.
    ///
    /// # Errors
    ///
    /// As the system gives them.
    pub fn hand_over(self) -> Result<Handover, SandboxError> {
        let name = self
            .with_temporary(|name| mkdirat(&self.dir, name, Mode::RWXU))
            .context("create a directory for", &self.path)?;
        Ok(Handover { directory: self.path.with_file_name(name), place: Some(self) })
    }
}

impl Handover {
    /// The path that the program is to write. Nothing is there yet.
    #[must_use]
    pub fn path(&self) -> PathBuf {
        self.directory.join(NAME)
    }

    /// The bytes that the program has written so far, under whatever names.
    #[must_use]
    pub fn written(&self) -> u64 {
        let entries = std::fs::read_dir(&self.directory).into_iter().flatten().flatten();
        entries.filter_map(|entry| entry.metadata().ok()).map(|metadata| metadata.len()).sum()
    }

    /// Takes the file that the program wrote, and forgets the rest.
    ///
    /// # Errors
    ///
    /// [`SandboxError::Unexpected`] when it is no regular file with one link, [`SandboxError::is_not_found`] when
    /// there is none, and errors of the system.
    pub fn take(mut self) -> Result<Staged, SandboxError> {
        let operation = "take over";
        let path = self.path();
        let Some(place) = self.place.take() else {
            return Err(SandboxError::from_errno(operation, path, rustix::io::Errno::BADF));
        };
        let dir = File::from(
            openat(rustix::fs::CWD, &self.directory, DIRECTORY, Mode::empty()).context(operation, &path)?,
        );
        let pinned = pin_entry(&dir, OsStr::new(NAME)).context(operation, &path)?;
        pinned.plain().map_err(|found| SandboxError::Unexpected {
            operation,
            path: path.clone(),
            found,
            expected: "a regular file with one link",
        })?;
        let file = pinned.open(OFlags::RDWR).context(operation, &path)?;
        // A name that is free now may be taken by the time of the rename, but only by a name of this process.
        let temporary = place
            .with_temporary(|name| match pin_entry(&place.dir, OsStr::new(name)) {
                Ok(_) => Err(rustix::io::Errno::EXIST),
                Err(_) => renameat(&dir, NAME, &place.dir, name),
            })
            .context(operation, &path)?;
        Ok(Staged::of(place, file, temporary))
    }
}

impl Drop for Handover {
    fn drop(&mut self) {
        // What stays behind has a name that the agent sweeps.
        let _ = remove_all(&self.directory);
    }
}
