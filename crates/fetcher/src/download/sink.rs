//! Where the bytes of a download go: a file without a name, counted and, where a checksum is asked for, hashed.
//!
//! Writes are plain blocking writes to the page cache from the task that reads the network. Handing each piece to
//! another thread costs more than the write, and nothing else in the process needs that worker: the program has one
//! for each download that may run at once.

use std::fs::File;
use std::io::{self, Write};
use std::sync::Arc;

use rustix::io::Errno;
use sandbox::{Place, Staged};
use sha2::{Digest, Sha256};

use crate::download::error::DownloadError;
use crate::download::meter::Meter;
use crate::uri::Checksum;

/// The mode of what is downloaded, as stock's. The umask may narrow it.
pub(super) const MODE: u32 = 0o644;

/// The file that a download writes.
#[derive(Debug)]
pub(super) struct Sink {
    staged: Staged,
    hasher: Option<Sha256>,
    expected: Option<Checksum>,
    meter: Arc<Meter>,
    written: u64,
    total: Option<u64>,
}

impl Sink {
    /// Begins the file. The umask narrows the mode.
    pub(super) fn create(
        place: Place,
        mode: u32,
        expected: Option<Checksum>,
        meter: Arc<Meter>,
    ) -> Result<Sink, DownloadError> {
        let staged = place.stage(mode)?;
        let hasher = expected.map(|_| Sha256::new());
        Ok(Sink { staged, hasher, expected, meter, written: 0, total: None })
    }

    /// Bytes that are in the file.
    pub(super) fn written(&self) -> u64 {
        self.written
    }

    /// Bytes that there will be, if the source said so.
    pub(super) fn total(&self) -> Option<u64> {
        self.total
    }

    /// Notes what the source says of its size.
    pub(super) fn announce(&mut self, total: Option<u64>) {
        self.total = total;
        self.meter.set_total(total);
    }

    /// Appends to the file.
    pub(super) fn write(&mut self, bytes: &[u8]) -> Result<(), DownloadError> {
        self.staged.write_all(bytes).map_err(|error| self.failure(error))?;
        if let Some(hasher) = &mut self.hasher {
            hasher.update(bytes);
        }
        self.written += bytes.len() as u64;
        self.meter.set_bytes(self.written);
        Ok(())
    }

    /// Copies a part of another file, at most `most` bytes, without taking it through this process. `Ok(None)` says
    /// that these two files cannot be copied so.
    pub(super) fn copy_range(&mut self, source: &File, most: usize) -> Result<Option<usize>, DownloadError> {
        match rustix::fs::copy_file_range(source, None, &*self.staged.file(), None, most) {
            Ok(copied) => {
                self.written += copied as u64;
                self.meter.set_bytes(self.written);
                Ok(Some(copied))
            }
            Err(errno @ (Errno::NOSPC | Errno::DQUOT | Errno::FBIG | Errno::IO)) => {
                Err(self.failure(errno.into()))
            }
            Err(_) => Ok(None),
        }
    }

    /// Shares the blocks of another file of `size` bytes, where the file system can. Says whether it did.
    pub(super) fn clone_whole(&mut self, source: &File, size: u64) -> bool {
        let cloned = rustix::fs::ioctl_ficlone(&*self.staged.file(), source).is_ok();
        if cloned {
            self.written = size;
            self.meter.set_bytes(size);
        }
        cloned
    }

    /// Says whether every byte has to be seen.
    pub(super) fn hashes(&self) -> bool {
        self.hasher.is_some()
    }

    /// Empties the file, for a download that begins again from the first byte.
    pub(super) fn restart(&mut self) -> Result<(), DownloadError> {
        if self.written == 0 {
            return Ok(());
        }
        let file = self.staged.file();
        rustix::fs::ftruncate(&*file, 0)
            .and_then(|()| rustix::fs::seek(&*file, rustix::fs::SeekFrom::Start(0)))
            .map_err(|errno| self.failure(errno.into()))?;
        if let Some(hasher) = &mut self.hasher {
            *hasher = Sha256::new();
        }
        self.written = 0;
        self.meter.set_bytes(0);
        Ok(())
    }

    /// Gives the whole file out, once it has the length that was announced and the checksum that was asked for.
    pub(super) fn finish(self) -> Result<(Staged, u64), DownloadError> {
        if let Some(total) = self.total.filter(|total| *total != self.written) {
            return Err(DownloadError::Length { bytes: self.written, total });
        }
        if let (Some(expected), Some(hasher)) = (self.expected, self.hasher) {
            let found = Checksum::of(hasher);
            if found != expected {
                return Err(DownloadError::Checksum { expected, found });
            }
        }
        Ok((self.staged, self.written))
    }

    /// Says what a failed write means. A full disk is told with the sizes.
    fn failure(&mut self, source: io::Error) -> DownloadError {
        write_failure(&mut self.staged, self.written, self.total, source)
    }
}

/// Sorts an error of writing to a staged file.
pub(super) fn write_failure(
    staged: &mut Staged,
    written: u64,
    total: Option<u64>,
    source: io::Error,
) -> DownloadError {
    let path = staged.path().to_owned();
    match Errno::from_io_error(&source) {
        Some(Errno::NOSPC | Errno::DQUOT) => {
            // What is free now includes nothing of what we wrote; the file goes when it is dropped.
            let free =
                rustix::fs::fstatvfs(&*staged.file()).map(|fs| fs.f_bavail.saturating_mul(fs.f_frsize));
            DownloadError::NoSpace { path, written, total, free: free.ok(), source }
        }
        _ => DownloadError::Write { path, written, source },
    }
}
