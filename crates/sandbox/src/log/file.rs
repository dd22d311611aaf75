//! One stream of a task on disk: held open, appended to, and able to say exactly where it is.

use std::fs::File;
use std::io::{self, IoSlice, Seek, Write};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{fdatasync, ftruncate};
use serde::{Deserialize, Serialize};

use super::look::{Look, check_name, look, open_plain, replace, take_over};
use super::policy::RotationPolicy;
use crate::directory::Sandbox;
use crate::error::{Context, SandboxError};
use crate::node::{Identity, Owner};

/// Where a stream is: how many bytes of which file are ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogPosition {
    /// Bytes from the beginning of the file.
    pub offset: u64,
    /// The file's inode.
    pub inode: u64,
    /// The file's device.
    pub device: u64,
}

impl LogPosition {
    pub(super) fn identity(&self) -> Identity {
        Identity { device: self.device, inode: self.inode }
    }
}

/// A log file of a task, held open for as long as the task is supervised.
///
/// It holds one descriptor. The sandbox is opened again by its path for a rotation, and must still be the same
/// directory then.
#[derive(Debug)]
pub struct LogFile {
    pub(super) file: File,
    pub(super) name: Box<str>,
    pub(super) sandbox: Arc<Path>,
    pub(super) sandbox_identity: Identity,
    pub(super) identity: Identity,
    pub(super) owner: Option<Owner>,
    pub(super) policy: RotationPolicy,
    /// Bytes in the file as far as we wrote them, for the rotation.
    pub(super) size: u64,
    pub(super) at_line_end: bool,
    /// Where the file ends once the rest of a failed append is cut off.
    torn: Option<u64>,
}

impl LogFile {
    /// Makes a stream of a new run: `name` is `stdout` or `stderr`. The file is empty, has mode 0644 and the owner.
    ///
    /// A regular file with one link that is there is truncated, as Mesos does before the fetcher runs
    /// (src/slave/containerizer/fetcher.cpp, `Fetcher::run`). Anything else is moved aside and nothing of it is
    /// touched.
    ///
    /// # Errors
    ///
    /// [`SandboxError::InvalidName`] for a name that is no single component, and errors of the system.
    pub fn create(
        sandbox: &Sandbox,
        name: &str,
        owner: Option<Owner>,
        policy: RotationPolicy,
    ) -> Result<LogFile, SandboxError> {
        check_name(sandbox, name)?;
        let there = match look(sandbox, name)? {
            Look::Plain(pinned) => open_plain(sandbox, name, &pinned)?,
            Look::Missing | Look::Other(..) => None,
        };
        let file = match there {
            Some(file) => {
                truncate(sandbox, name, &file, 0)?;
                take_over(sandbox, name, &file, owner)?;
                file
            }
            None => replace(sandbox, name, owner)?,
        };
        LogFile::hold(sandbox, name, file, owner, policy)
    }

    /// Wraps an open log file, whose end is where the next byte goes.
    pub(super) fn hold(
        sandbox: &Sandbox,
        name: &str,
        file: File,
        owner: Option<Owner>,
        policy: RotationPolicy,
    ) -> Result<LogFile, SandboxError> {
        let path = || sandbox.path().join(name);
        let metadata = file.metadata().context("look at", path())?;
        let size = metadata.size();
        let mut last = [b'\n'];
        if size > 0 {
            // A file that shrinks under our eyes reads nothing, and then there is no line to split.
            file.read_at(&mut last, size - 1).context("read", path())?;
        }
        Ok(LogFile {
            name: name.into(),
            sandbox: Arc::clone(sandbox.shared_path()),
            sandbox_identity: sandbox.identity()?,
            identity: Identity::of(&metadata),
            owner,
            policy,
            size,
            at_line_end: last == [b'\n'],
            torn: None,
            file,
        })
    }

    /// Appends bytes. One system call, unless the system takes only a part of them.
    ///
    /// On an error nothing of `bytes` stays in the file: what was written of them is cut off, now or, when even that
    /// fails, before the next append. So the same bytes can be given again.
    ///
    /// # Errors
    ///
    /// [`SandboxError::NoSpace`] when the file system or a quota is full, and errors of the system. One of these is
    /// `EFBIG`, when the task stretched the file as far as the file system goes; [`LogFile::rotate`] gets out of that.
    pub fn append(&mut self, bytes: &[u8]) -> Result<(), SandboxError> {
        self.append_vectored(&mut [IoSlice::new(bytes)])
    }

    /// Appends several pieces as if they were one. The slices are used up.
    ///
    /// # Errors
    ///
    /// As [`LogFile::append`].
    pub fn append_vectored(&mut self, pieces: &mut [IoSlice<'_>]) -> Result<(), SandboxError> {
        self.mend()?;
        let total: usize = pieces.iter().map(|piece| piece.len()).sum();
        let Some(last) = pieces.iter().rev().find_map(|piece| piece.last().copied()) else {
            return Ok(());
        };
        if let Err((written, error)) = write_all(&mut self.file, pieces) {
            if written > 0 {
                // The end of our own last write, wherever another writer has taken the file since.
                self.torn = self.file.stream_position().ok().map(|end| end.saturating_sub(written));
                // A failure now is met again before the next append.
                let _ = self.mend();
            }
            return Err(SandboxError::from_io("append to", self.path(), error));
        }
        self.size = self.size.saturating_add(u64::try_from(total).unwrap_or(u64::MAX));
        self.at_line_end = last == b'\n';
        Ok(())
    }

    /// Cuts off the rest of a failed append.
    fn mend(&mut self) -> Result<(), SandboxError> {
        if let Some(end) = self.torn {
            ftruncate(&self.file, end).context("cut off a failed append to", self.path())?;
            self.torn = None;
        }
        Ok(())
    }

    /// Says where the stream is: everything before this offset of this file is to be kept.
    ///
    /// Costs one `fstat`, so that a file that its task has truncated, or that has a second writer, gives its real end.
    #[must_use]
    pub fn position(&self) -> LogPosition {
        let size = self.file.metadata().map_or(self.size, |metadata| metadata.size());
        let offset = self.torn.map_or(size, |end| end.min(size));
        LogPosition { offset, inode: self.identity.inode, device: self.identity.device }
    }

    /// Says whether the file has reached its size and ends with a line, or has reached twice its size.
    #[must_use]
    pub fn wants_rotation(&self) -> bool {
        self.policy.is_due(self.size, self.at_line_end)
    }

    /// Says whether what was appended ends with a whole line, or nothing was.
    #[must_use]
    pub fn is_at_line_end(&self) -> bool {
        self.at_line_end
    }

    /// Says how many of `bytes` belong into this file before it wants to be rotated. Never 0, except of none.
    ///
    /// For callers that append more than one line at a time: append that many, store the position, rotate, and go on
    /// with the rest. Only for a line longer than the policy's size the cut is inside of a line.
    #[must_use]
    pub fn fitting(&self, bytes: &[u8]) -> usize {
        self.policy.fitting(self.size, bytes)
    }

    /// Waits until what was appended is on disk.
    ///
    /// # Errors
    ///
    /// As the system gives them.
    pub fn sync_data(&self) -> Result<(), SandboxError> {
        fdatasync(&self.file).context("sync", self.path())
    }

    /// The file itself, for [`last_lines`](crate::last_lines).
    #[must_use]
    pub fn file(&self) -> &File {
        &self.file
    }

    /// The path of the live file on the host.
    #[must_use]
    pub fn path(&self) -> PathBuf {
        self.sandbox.join(&*self.name)
    }
}

/// Sets the length of an open log file.
pub(super) fn truncate(sandbox: &Sandbox, name: &str, file: &File, length: u64) -> Result<(), SandboxError> {
    ftruncate(file, length).context("truncate", sandbox.path().join(name))
}

/// Writes all pieces, and says how many bytes had been written when it failed.
fn write_all(writer: &mut impl Write, mut pieces: &mut [IoSlice<'_>]) -> Result<(), (u64, io::Error)> {
    let mut written = 0_u64;
    // Takes away empty pieces at the front, of which a write of nothing would be the result.
    IoSlice::advance_slices(&mut pieces, 0);
    while !pieces.is_empty() {
        match writer.write_vectored(pieces) {
            Ok(0) => return Err((written, io::ErrorKind::WriteZero.into())),
            Ok(count) => {
                written = written.saturating_add(u64::try_from(count).unwrap_or(u64::MAX));
                IoSlice::advance_slices(&mut pieces, count);
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err((written, error)),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Takes a few bytes at a time, is interrupted, and fails when it is full.
    struct Stubborn {
        taken: Vec<u8>,
        room: usize,
        calls: u32,
    }

    impl Write for Stubborn {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.calls += 1;
            if self.calls.is_multiple_of(2) {
                return Err(io::ErrorKind::Interrupted.into());
            }
            if self.taken.len() >= self.room {
                return Err(io::ErrorKind::StorageFull.into());
            }
            let count = bytes.len().min(3).min(self.room - self.taken.len());
            self.taken.extend_from_slice(&bytes[..count]);
            Ok(count)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn short_and_interrupted_writes_lose_nothing() {
        let mut writer = Stubborn { taken: Vec::new(), room: 100, calls: 0 };
        let mut pieces = [&b""[..], b"hello ", b"", b"world\n", b""].map(IoSlice::new);
        write_all(&mut writer, &mut pieces).expect("written");
        assert_eq!(writer.taken, b"hello world\n");
    }

    #[test]
    fn a_failed_write_says_how_far_it_got() {
        let mut writer = Stubborn { taken: Vec::new(), room: 7, calls: 0 };
        let mut pieces = [&b"hello "[..], b"world\n"].map(IoSlice::new);
        let (written, error) = write_all(&mut writer, &mut pieces).expect_err("full");
        assert_eq!((written, error.kind()), (7, io::ErrorKind::StorageFull));
    }
}
