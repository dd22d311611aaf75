//! How far a download is: written by the downloader, read by whoever shows progress.

use std::sync::atomic::{AtomicU64, Ordering};

/// No total is known. No file is so large.
const UNKNOWN: u64 = u64::MAX;

/// The counters of one download.
#[derive(Debug)]
pub struct Meter {
    bytes: AtomicU64,
    total: AtomicU64,
}

/// What a meter shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reading {
    /// Bytes that are in the file.
    pub bytes: u64,
    /// Bytes that there will be, where the source said so.
    pub total: Option<u64>,
}

impl Default for Meter {
    fn default() -> Meter {
        Meter { bytes: AtomicU64::new(0), total: AtomicU64::new(UNKNOWN) }
    }
}

impl Meter {
    /// Reads both counters. They are independent; a reader may see one before the other.
    #[must_use]
    pub fn read(&self) -> Reading {
        let total = self.total.load(Ordering::Relaxed);
        Reading { bytes: self.bytes.load(Ordering::Relaxed), total: (total != UNKNOWN).then_some(total) }
    }

    pub(super) fn set_bytes(&self, bytes: u64) {
        self.bytes.store(bytes, Ordering::Relaxed);
    }

    /// Sets the counter as a downloader does.
    #[cfg(test)]
    pub(crate) fn count_for_test(&self, bytes: u64) {
        self.set_bytes(bytes);
    }

    pub(super) fn set_total(&self, total: Option<u64>) {
        self.total.store(total.unwrap_or(UNKNOWN), Ordering::Relaxed);
    }
}
