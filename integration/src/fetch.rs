//! Makes the fetcher of a test: its child is the program of this build, its cache a directory of the test.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};
use fetcher::agent::{Fetcher, FetcherSettings};

/// Returns the directory of the programs of this build: that of `mesos-fetcher`, as `cargo build -p fetcher` puts it.
///
/// # Errors
///
/// There is no such program.
pub fn launcher_dir() -> Result<PathBuf> {
    let test = std::env::current_exe().context("the test's own path")?;
    let beside = |dir: &Path| dir.join("mesos-fetcher").is_file();
    // Tests are in `deps`, benches and programs beside the program.
    let found = test.ancestors().skip(1).take(2).find(|dir| beside(dir)).map(Path::to_owned);
    ensure!(
        found.is_some(),
        "mesos-fetcher is not beside {}: build it with 'cargo build -p fetcher'",
        test.display()
    );
    found.context("the directory of the programs")
}

/// Makes a fetcher with the settings of no flag and this directory for its cache.
pub fn fetcher(cache: impl Into<PathBuf>) -> Fetcher {
    Fetcher::new(settings(cache))
}

/// Returns the settings of no flag, with this directory for the cache.
pub fn settings(cache: impl Into<PathBuf>) -> FetcherSettings {
    // A test that fetches nothing needs no program; one that does is told what is missing.
    FetcherSettings { launcher_dir: launcher_dir().ok(), ..FetcherSettings::new(cache) }
}
