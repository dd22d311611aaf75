//! The run through the plan: files are obtained all at once, within a bound, and put into the sandbox in order.
//!
//! The order makes the result that of stock, which fetches one after the other: of two items with one name the later
//! stays, the first failure in the order of the items is the one that is told, and what comes behind it leaves nothing
//! in the sandbox. Only the cache fills out of order, as its files have names of their own.

use std::fs::File;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use futures_util::{StreamExt, stream};
use rustix::fs::{Mode, fchmod};
use sandbox::{RelPath, Sandbox, SandboxError};
use tokio::task::{JoinError, JoinHandle};

use super::entries::Entries;
use super::plan::{Filling, Finish, Item, LOG_FILES, Way};
use super::reporter::Reporter;
use crate::download::{DownloadError, Downloaded, Downloader};
use crate::extract::{ExtractError, ExtractLimits, Extraction, extract};
use crate::progress::Event;
use crate::uri::shown_path;

/// The mode of what is to be executed, as stock's.
const EXECUTABLE: u32 = 0o755;

/// The mode of directories for output files, as stock's.
const DIRECTORY: u32 = 0o755;

/// One fetch.
#[derive(Debug)]
pub(super) struct Fetch {
    pub(super) sandbox: Sandbox,
    pub(super) entries: Option<Entries>,
    pub(super) downloader: Downloader,
    pub(super) reporter: Reporter,
    pub(super) limits: ExtractLimits,
    pub(super) container_directory: String,
    pub(super) parallel: usize,
}

/// The item that made the fetch fail.
#[derive(Debug)]
pub(super) struct Failed {
    pub(super) index: usize,
    pub(super) uri: String,
    pub(super) error: FetchError,
}

/// Why.
#[derive(Debug, thiserror::Error)]
pub(super) enum FetchError {
    #[error(transparent)]
    Download(#[from] DownloadError),
    #[error(transparent)]
    Sandbox(#[from] SandboxError),
    #[error("Failed to open cache file '{}'", shown_path(path))]
    CacheFile { path: std::path::PathBuf, source: SandboxError },
    #[error("cannot look at the archive")]
    Archive(#[source] std::io::Error),
    #[error("Failed to extract '{}'", shown_path(path))]
    Extract { path: std::path::PathBuf, source: ExtractError },
    #[error("cannot make '{}' executable", shown_path(path))]
    Mode { path: std::path::PathBuf, source: rustix::io::Errno },
    #[error("the download ended unexpectedly")]
    Ended(#[from] JoinError),
    #[error("cache directory not specified")]
    NoCache,
}

/// What was obtained for an item.
#[derive(Debug)]
enum Obtained {
    /// A file for the sandbox.
    File(Downloaded),
    /// A file of the cache, to be extracted.
    CacheFile(File),
}

/// A task that ends with its owner.
struct Aborting<T>(JoinHandle<T>);

impl<T> Drop for Aborting<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Fetch {
    /// Fetches all items.
    ///
    /// # Cancel safety
    ///
    /// Dropping it ends all downloads.
    pub(super) async fn run(self: &Arc<Fetch>, items: Vec<Item>) -> Result<(), Failed> {
        let mut left = self.limits;
        let obtaining = stream::iter(items).map(|item| {
            let fetch = Arc::clone(self);
            async move {
                let obtaining = {
                    let item = item.clone();
                    async move { fetch.obtain(&item).await }
                };
                let mut task = Aborting(tokio::spawn(obtaining));
                let obtained = (&mut task.0).await.map_err(FetchError::from).and_then(|obtained| obtained);
                (item, obtained)
            }
        });
        let mut obtained = obtaining.buffered(self.parallel);
        while let Some((item, obtained)) = obtained.next().await {
            let publish = |obtained| tokio::task::block_in_place(|| self.publish(&item, obtained, &mut left));
            match obtained.and_then(publish) {
                Ok(registry_config) => self.reporter.send(&Event::Fetched {
                    item: item.index,
                    path: shown_path(item.destination.as_path()),
                    registry_config,
                }),
                Err(error) => {
                    return Err(Failed { index: item.index, uri: item.uri.to_string(), error });
                }
            }
        }
        Ok(())
    }

    /// Gets the file of an item, without a name yet.
    async fn obtain(&self, item: &Item) -> Result<Obtained, FetchError> {
        let log = self.reporter.log();
        let uri = &item.uri;
        log.info(&format!("Fetching URI '{uri}'"));
        let Way::Cached { file, filling } = &item.way else {
            log.info(&format!("Fetching '{uri}' directly into the sandbox directory"));
            let downloaded = self.download(item, &self.sandbox, &item.destination).await?;
            self.reporter.send(&downloaded_event(item, &downloaded, None));
            return Ok(Obtained::File(downloaded));
        };
        let entries = self.entries.as_ref().ok_or(FetchError::NoCache)?;
        log.info(&format!("Fetching URI '{uri}' from cache"));
        if *filling == Filling::Download {
            entries.filled(file).get_or_try_init(|| self.fill(item, entries, file)).await?;
        }
        let path = entries.path(file);
        let open =
            entries.open(file).map_err(|source| FetchError::CacheFile { path: path.clone(), source })?;
        if matches!(item.finish, Finish::Extract { .. }) {
            return Ok(Obtained::CacheFile(open));
        }
        let followed = self.reporter.follow(item.index, uri);
        let place = self.sandbox.place(&stage_name(&item.destination))?;
        let copied = tokio::task::block_in_place(|| {
            self.downloader.copy_open(&open, &path, place, Arc::clone(&followed.meter))
        })?;
        Ok(Obtained::File(copied))
    }

    /// Downloads a file of the cache, unless it is there.
    async fn fill(&self, item: &Item, entries: &Entries, file: &RelPath) -> Result<(), FetchError> {
        if entries.open(file).is_ok() {
            return Ok(());
        }
        let downloaded = self.download(item, entries.directory(), file).await?;
        let said = downloaded_event(item, &downloaded, Some(file));
        downloaded.staged.commit()?;
        // Our agent looks for the file when it hears this.
        self.reporter.send(&said);
        Ok(())
    }

    async fn download(
        &self,
        item: &Item,
        directory: &Sandbox,
        name: &RelPath,
    ) -> Result<Downloaded, FetchError> {
        let uri = &item.uri;
        let log = self.reporter.log();
        let to = directory.path().join(name);
        log.info(&format!("Downloading resource from '{uri}' to '{}'", shown_path(&to)));
        let place = directory.place(&stage_name(name))?;
        let followed = self.reporter.follow(item.index, uri);
        let meter = Arc::clone(&followed.meter);
        let say = |line: String| log.warning(&format!("{line} ('{uri}')"));
        let downloaded = self.downloader.download(uri, place, meter, &say).await?;
        drop(followed);
        Ok(downloaded)
    }

    /// Puts what was obtained into the sandbox and says whether an archive brought registry credentials. Blocks.
    fn publish(&self, item: &Item, obtained: Obtained, left: &mut ExtractLimits) -> Result<bool, FetchError> {
        let log = self.reporter.log();
        let path = self.sandbox.path().join(&item.destination);
        let from = match (&item.way, &self.entries) {
            (Way::Cached { file, .. }, Some(entries)) => entries.path(file),
            _ => path.clone(),
        };
        let archive = match obtained {
            Obtained::CacheFile(file) => Some(file),
            Obtained::File(downloaded) => self.name(item, downloaded, &path)?,
        };
        let mut registry_config = false;
        match (&item.finish, archive) {
            (Finish::Extract { name }, Some(archive)) => {
                registry_config = self.extract(&archive, name, &from, left)?;
                log.info(&format!("Extracted '{}' into '{}'", shown_path(&from), self.sandbox.path().display()));
            }
            (Finish::NotAnArchive, _) => log.warning(&format!(
                "Copying instead of extracting resource from URI with 'extract' flag, because it does not seem to be \
                 an archive: {}",
                shown_path(&path)
            )),
            _ => {}
        }
        log.info(&format!("Fetched '{}' to '{}'", item.uri, shown_path(&path)));
        Ok(registry_config)
    }

    /// Gives a file its name, and gives it back where it is to be extracted.
    fn name(&self, item: &Item, downloaded: Downloaded, path: &Path) -> Result<Option<File>, FetchError> {
        let mut staged = downloaded.staged;
        if item.finish == Finish::Executable {
            fchmod(&*staged.file(), Mode::from_raw_mode(EXECUTABLE))
                .map_err(|source| FetchError::Mode { path: path.to_owned(), source })?;
        }
        let archive = match item.finish {
            Finish::Extract { .. } => Some(staged.file().try_clone().map_err(FetchError::Archive)?),
            _ => None,
        };
        if let Some(parent) = parent(&item.destination) {
            self.sandbox.create_dir_all(&parent, DIRECTORY, None)?;
        }
        staged.commit_to(self.sandbox.place(&item.destination)?)?;
        Ok(archive)
    }

    /// Extracts an archive within what is left of the limits of the whole fetch; says whether it brought registry
    /// credentials.
    fn extract(
        &self,
        archive: &File,
        name: &std::ffi::OsStr,
        path: &Path,
        left: &mut ExtractLimits,
    ) -> Result<bool, FetchError> {
        let log = self.reporter.log();
        let extraction = Extraction {
            archive,
            file_name: name,
            into: &self.sandbox,
            limits: *left,
            keep_out: &LOG_FILES,
            aliases: &[Path::new(&self.container_directory)],
            cancel: &AtomicBool::new(false),
        };
        let extracted =
            extract(&extraction, &mut |note| log.warning(&format!("{}: {note}", shown_path(path))))
                .map_err(|source| FetchError::Extract { path: path.to_owned(), source })?;
        left.max_bytes = left.max_bytes.saturating_sub(extracted.bytes);
        left.max_entries = left.max_entries.saturating_sub(extracted.entries);
        Ok(extracted.registry_config)
    }
}

/// What is told of a download that is over; `cached` is its file in the cache, which has its name by then.
fn downloaded_event(item: &Item, downloaded: &Downloaded, cached: Option<&RelPath>) -> Event {
    Event::Downloaded {
        item: item.index,
        uri: item.uri.to_string(),
        bytes: downloaded.bytes,
        cache_filename: cached.map(ToString::to_string),
        validators: downloaded.validators.clone(),
    }
}

/// The name under which a file is begun, in the directory itself: directories on the way are made when it is its turn.
fn stage_name(destination: &RelPath) -> RelPath {
    let name = destination.as_path().file_name().unwrap_or_default();
    RelPath::new(name).unwrap_or_else(|_| destination.clone())
}

fn parent(destination: &RelPath) -> Option<RelPath> {
    RelPath::new(destination.as_path().parent()?).ok()
}
