//! What an extraction may use up, and what it has used so far.

use std::cell::Cell;
use std::io::{self, Read};
use std::sync::atomic::{AtomicBool, Ordering};

use super::error::{ExtractError, quoted};

/// Bytes of headers that one tar entry may need: long names, and extensions that are held in memory as a whole.
const HEADER_BYTES: u64 = 1024 * 1024;

/// Bytes that a tar archive may spend on headers and padding for each entry, beside what it holds.
const OVERHEAD_PER_ENTRY: u64 = 4096;

/// Bytes that an archive may have beside all of that.
const OVERHEAD: u64 = 4 * HEADER_BYTES;

/// What one archive may put into a sandbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ExtractLimits {
    /// Bytes of all files together; holes count as if they were written.
    pub max_bytes: u64,
    /// Files, links and directories together, with the directories that no entry names.
    pub max_entries: u64,
}

/// Why reading was stopped by us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stop {
    Cancelled,
    TooManyBytes,
}

/// Counts what an extraction uses and stops it at its limits.
#[derive(Debug)]
pub(super) struct Meter<'a> {
    limits: ExtractLimits,
    cancel: &'a AtomicBool,
    written: Cell<u64>,
    entries: Cell<u64>,
    decoded: Cell<u64>,
    /// What is left for the headers of the current entry, while they are read.
    headers: Cell<Option<u64>>,
    /// The end of the data was seen.
    ended: Cell<bool>,
    /// Something follows the compressed data.
    trailing: Cell<bool>,
    /// A file was put where registry credentials are looked for.
    registry_config: Cell<bool>,
    stop: Cell<Option<Stop>>,
}

/// A reader that counts what comes out of it, and checks for a cancellation.
#[derive(Debug)]
pub(super) struct Metered<'a, R> {
    inner: R,
    meter: &'a Meter<'a>,
}

impl Default for ExtractLimits {
    /// 16 GiB and a million entries.
    fn default() -> ExtractLimits {
        ExtractLimits { max_bytes: 16 * 1024 * 1024 * 1024, max_entries: 1_000_000 }
    }
}

impl<'a> Meter<'a> {
    pub(super) fn new(limits: ExtractLimits, cancel: &'a AtomicBool) -> Meter<'a> {
        Meter {
            limits,
            cancel,
            written: Cell::new(0),
            entries: Cell::new(0),
            decoded: Cell::new(0),
            headers: Cell::new(None),
            ended: Cell::new(false),
            trailing: Cell::new(false),
            registry_config: Cell::new(false),
            stop: Cell::new(None),
        }
    }

    pub(super) fn limits(&self) -> ExtractLimits {
        self.limits
    }

    pub(super) fn written(&self) -> u64 {
        self.written.get()
    }

    pub(super) fn entries(&self) -> u64 {
        self.entries.get()
    }

    /// Notes that a file was put where registry credentials are looked for.
    pub(super) fn set_registry_config(&self) {
        self.registry_config.set(true);
    }

    pub(super) fn has_registry_config(&self) -> bool {
        self.registry_config.get()
    }

    /// Says whether the end of the data was reached.
    pub(super) fn has_ended(&self) -> bool {
        self.ended.get()
    }

    pub(super) fn has_trailing(&self) -> bool {
        self.trailing.get()
    }

    pub(super) fn set_trailing(&self) {
        self.trailing.set(true);
    }

    /// Fails when the caller gave up.
    pub(super) fn check(&self) -> Result<(), ExtractError> {
        if self.cancel.load(Ordering::Relaxed) { Err(ExtractError::Cancelled) } else { Ok(()) }
    }

    /// Counts one more file, link or directory.
    pub(super) fn add_entry(&self) -> Result<(), ExtractError> {
        self.check()?;
        let entries = self.entries.get() + 1;
        if entries > self.limits.max_entries {
            return Err(ExtractError::TooManyEntries { limit: self.limits.max_entries });
        }
        self.entries.set(entries);
        Ok(())
    }

    /// Counts bytes that are about to be written.
    pub(super) fn add_bytes(&self, bytes: u64) -> Result<(), ExtractError> {
        self.check()?;
        let written = self.written.get().saturating_add(bytes);
        if written > self.limits.max_bytes {
            return Err(ExtractError::TooManyBytes { limit: self.limits.max_bytes });
        }
        self.written.set(written);
        Ok(())
    }

    /// Bounds what is read until [`Meter::end_headers`], because it is kept in memory.
    pub(super) fn begin_headers(&self) {
        self.headers.set(Some(HEADER_BYTES));
    }

    /// Ends what [`Meter::begin_headers`] began.
    pub(super) fn end_headers(&self) {
        self.headers.set(None);
    }

    /// Gives our own reason for a failed read, when there is one.
    pub(super) fn stopped(&self) -> Option<ExtractError> {
        if let Err(cancelled) = self.check() {
            return Some(cancelled);
        }
        self.stop.get().map(|stop| match stop {
            Stop::Cancelled => ExtractError::Cancelled,
            Stop::TooManyBytes => ExtractError::TooManyBytes { limit: self.limits.max_bytes },
        })
    }

    /// Sorts an error of reading: our own stop, the disk's, or the archive's.
    pub(super) fn read_error(
        &self,
        format: &'static str,
        entry: Option<String>,
        source: io::Error,
    ) -> ExtractError {
        match self.stopped() {
            Some(stopped) => stopped,
            // Only the operating system's own errors have a number.
            None if source.raw_os_error().is_some() => ExtractError::Read { source },
            None => ExtractError::Damaged { format, entry, source: quoted(&source) },
        }
    }

    /// Everything that may come out of the decompressor.
    fn decoded_limit(&self) -> u64 {
        let headers = self.limits.max_entries.saturating_mul(OVERHEAD_PER_ENTRY);
        self.limits.max_bytes.saturating_add(headers).saturating_add(OVERHEAD)
    }

    /// How much may be read next, or why nothing.
    fn allowance(&self, wanted: usize) -> io::Result<usize> {
        if self.cancel.load(Ordering::Relaxed) {
            return Err(self.stop_with(Stop::Cancelled, "cancelled"));
        }
        let wanted_bytes = u64::try_from(wanted).unwrap_or(u64::MAX);
        let left = self.decoded_limit().saturating_sub(self.decoded.get());
        if left == 0 && wanted > 0 {
            return Err(self.stop_with(Stop::TooManyBytes, "too many bytes"));
        }
        let headers = self.headers.get().unwrap_or(u64::MAX);
        if headers == 0 && wanted > 0 {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                format!("the headers of one entry have more than {HEADER_BYTES} bytes"),
            ));
        }
        Ok(usize::try_from(wanted_bytes.min(left).min(headers)).unwrap_or(wanted))
    }

    fn stop_with(&self, stop: Stop, text: &'static str) -> io::Error {
        self.stop.set(Some(stop));
        io::Error::other(text)
    }

    fn note_read(&self, count: usize, wanted: usize) {
        let count = u64::try_from(count).unwrap_or(u64::MAX);
        if count == 0 && wanted > 0 {
            self.ended.set(true);
        }
        self.decoded.set(self.decoded.get().saturating_add(count));
        self.headers.set(self.headers.get().map(|left| left.saturating_sub(count)));
    }
}

impl<'a, R: Read> Metered<'a, R> {
    pub(super) fn new(inner: R, meter: &'a Meter<'a>) -> Metered<'a, R> {
        Metered { inner, meter }
    }
}

impl<R: Read> Read for Metered<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let allowed = self.meter.allowance(buffer.len())?;
        let count = self.inner.read(&mut buffer[..allowed])?;
        self.meter.note_read(count, allowed);
        Ok(count)
    }
}
