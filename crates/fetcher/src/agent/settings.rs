//! What the flags say about fetching.

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

use crate::info::{DEFAULT_STALL_TIMEOUT, Options};

/// Stock's `--fetcher_cache_size`, in bytes.
const DEFAULT_CACHE_SIZE: u64 = 2 << 30;

/// How many children there are at once when nobody says.
const DEFAULT_CONCURRENT: NonZeroUsize = NonZeroUsize::new(16).unwrap();

/// What the flags say about fetching.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FetcherSettings {
    /// Where the program `mesos-fetcher` is (`--launcher_dir`); `None` is beside our own program.
    pub launcher_dir: Option<PathBuf>,
    /// The cache.
    pub cache: CacheSettings,
    /// How long a download may go on without a byte (`--fetcher_stall_timeout`).
    pub stall_timeout: Duration,
    /// How many URIs of one task are downloaded at once (`--fetcher_parallel`).
    pub parallel: NonZeroUsize,
    /// How many children there are at once (`--fetcher_max_concurrent`).
    pub concurrent: NonZeroUsize,
    /// How often a download is begun again after a cut (`--fetcher_retries`).
    pub retries: u32,
    /// What relative paths are relative to (`--frameworks_home`).
    pub frameworks_home: Option<PathBuf>,
    /// Where the Hadoop client is (`--hadoop_home`).
    pub hadoop_home: Option<PathBuf>,
    /// The most bytes that the archives of one task may unpack to (`--fetcher_extract_max_size`).
    pub extract_max_bytes: u64,
    /// The most entries that the archives of one task may have (`--fetcher_extract_max_entries`).
    pub extract_max_entries: u64,
}

/// What the flags say about the cache.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CacheSettings {
    /// Its directory (`--fetcher_cache_dir`).
    pub directory: PathBuf,
    /// Its size in bytes (`--fetcher_cache_size`); 0 is none.
    pub size: u64,
    /// Whether the source is asked before a cached file is used (`--fetcher_cache_revalidate`).
    pub revalidation: Revalidation,
}

impl FetcherSettings {
    /// What the flags say when none is given, with the cache in `directory`.
    #[must_use]
    pub fn new(directory: impl Into<PathBuf>) -> FetcherSettings {
        let options = Options::default();
        FetcherSettings {
            launcher_dir: None,
            cache: CacheSettings {
                directory: directory.into(),
                size: DEFAULT_CACHE_SIZE,
                revalidation: Revalidation::Never,
            },
            stall_timeout: DEFAULT_STALL_TIMEOUT,
            parallel: options.parallel,
            concurrent: DEFAULT_CONCURRENT,
            retries: options.retries,
            frameworks_home: None,
            hadoop_home: None,
            extract_max_bytes: options.extract_max_bytes,
            extract_max_entries: options.extract_max_entries,
        }
    }
}

/// Whether the source of a cached file is asked for a newer version.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Revalidation {
    /// Never, as stock: a URI stands for one content.
    #[default]
    Never,
    /// Before each use: size, entity tag and time of change must be the same.
    Always,
}
