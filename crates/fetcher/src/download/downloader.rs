//! One downloader for all items of a fetch: it knows the environment and sends each URI to who can read it.

use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use sandbox::{Place, Staged};
use url::Url;

use crate::download::error::DownloadError;
use crate::download::hadoop::Hadoop;
use crate::download::http::Http;
use crate::download::meter::Meter;
use crate::download::objects::{Object, Route, route};
use crate::download::sink::{MODE, Sink};
use crate::download::{ftp, local, tls};
use crate::progress::Validators;
use crate::uri::{FetchUri, Scheme, Source};

/// What holds for all downloads of one fetch.
#[derive(Clone, Debug)]
pub struct Settings {
    /// How long a source may say less than one byte a second; more than nothing.
    pub stall_timeout: Duration,
    /// How often a download is begun again without getting ahead.
    pub retries: u32,
    /// What relative paths are relative to.
    pub frameworks_home: Option<PathBuf>,
    /// Where the Hadoop client is, if not on the `PATH`.
    pub hadoop_home: Option<OsString>,
}

/// Serves the downloads of one fetch. Cheap to share.
#[derive(Debug)]
pub struct Downloader {
    settings: Settings,
    hadoop: Hadoop,
    http: OnceLock<Http>,
}

/// A file that is whole, and has no name yet.
#[derive(Debug)]
pub struct Downloaded {
    /// The file, to be committed.
    pub staged: Staged,
    /// Its size.
    pub bytes: u64,
    /// What the server says of its version.
    pub validators: Validators,
}

/// What is known of a file before it is downloaded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Measured {
    /// Its size.
    pub bytes: u64,
    /// What the server says of its version.
    pub validators: Validators,
}

impl Downloader {
    /// Makes a downloader. The clients for the network are made when they are needed.
    #[must_use]
    pub fn new(settings: Settings) -> Downloader {
        tls::install_provider();
        let path = std::env::var_os("PATH");
        let hadoop = Hadoop::new(settings.hadoop_home.as_deref(), path.as_deref(), settings.stall_timeout);
        Downloader { settings, hadoop, http: OnceLock::new() }
    }

    /// Downloads what a URI names to a place. `say` is for lines that a person should see while it goes on.
    ///
    /// Blocks its thread while it writes: it wants a runtime with a worker for each download that runs at once.
    ///
    /// # Errors
    ///
    /// See [`DownloadError`]. Nothing is left then.
    ///
    /// # Panics
    ///
    /// On a runtime with the current thread only.
    ///
    /// # Cancel safety
    ///
    /// Dropping it ends the download, and nothing is left.
    pub async fn download(
        &self,
        uri: &FetchUri,
        place: Place,
        meter: Arc<Meter>,
        say: &(dyn Fn(String) + Sync),
    ) -> Result<Downloaded, DownloadError> {
        let checksum = uri.checksum();
        let source = Source::of(uri, self.settings.frameworks_home.as_deref())?;
        let (scheme, url) = match self.routed(source) {
            Source::Remote(scheme, url) => (scheme, url),
            Source::Local(path) => {
                return tokio::task::block_in_place(|| {
                    let (file, metadata) = local::open(&path)?;
                    let (staged, bytes) = local::copy(&file, &path, &metadata, place, checksum, meter)?;
                    Ok(Downloaded { staged, bytes, validators: local::version(&metadata) })
                });
            }
            Source::Hadoop(uri) => {
                let (staged, bytes) = self.hadoop.download(&uri, place, checksum, meter).await?;
                return Ok(Downloaded { staged, bytes, validators: Validators::default() });
            }
        };
        let Settings { stall_timeout: stall, retries, .. } = self.settings;
        let mut sink = Sink::create(place, MODE, checksum, meter)?;
        let validators = match scheme {
            Scheme::Http => self.http()?.download(&url, &mut sink, stall, retries, say).await?,
            Scheme::Ftp => ftp::download(&url, &mut sink, stall, retries, say).await?,
            Scheme::S3 | Scheme::Gcs | Scheme::Azure => {
                Object::find(scheme, &url, stall, retries)?.download(&mut sink, stall).await?
            }
        };
        let (staged, bytes) = sink.finish()?;
        Ok(Downloaded { staged, bytes, validators })
    }

    /// Copies a file of the cache, which is open, to a place, sharing its blocks where the file system can. Blocks.
    ///
    /// # Errors
    ///
    /// See [`DownloadError`]. Nothing is left then.
    pub fn copy_open(
        &self,
        file: &std::fs::File,
        path: &std::path::Path,
        place: Place,
        meter: Arc<Meter>,
    ) -> Result<Downloaded, DownloadError> {
        let failed = |source| DownloadError::Local { operation: "look at", path: path.to_owned(), source };
        let metadata = file.metadata().map_err(failed)?;
        let (staged, bytes) = local::copy(file, path, &metadata, place, None, meter)?;
        Ok(Downloaded { staged, bytes, validators: Validators::default() })
    }

    /// Asks how large the file of a URI is, as stock does before it caches: by the file's metadata, a HEAD request,
    /// `SIZE`, or `fs -du`.
    ///
    /// # Errors
    ///
    /// See [`DownloadError`]; [`DownloadError::NoSize`] when a server does not say, or says 0.
    pub async fn measure(&self, uri: &FetchUri) -> Result<Measured, DownloadError> {
        let unversioned = |bytes| Measured { bytes, validators: Validators::default() };
        let versioned = |(bytes, validators)| Measured { bytes, validators };
        let Settings { stall_timeout: stall, retries, .. } = self.settings;
        let source = Source::of(uri, self.settings.frameworks_home.as_deref())?;
        match self.routed(source) {
            Source::Local(path) => {
                let (_, metadata) = local::open(&path)?;
                Ok(versioned((metadata.len(), local::version(&metadata))))
            }
            Source::Hadoop(uri) => self.hadoop.measure(&uri).await.map(unversioned),
            Source::Remote(Scheme::Http, url) => self.http()?.measure(&url, stall).await.map(versioned),
            Source::Remote(Scheme::Ftp, url) => ftp::measure(&url, stall).await.map(versioned),
            Source::Remote(scheme, url) => {
                Object::find(scheme, &url, stall, retries)?.measure(stall).await.map(versioned)
            }
        }
    }

    /// Gives objects to the Hadoop client where it is the one to read them.
    fn routed(&self, source: Source) -> Source {
        let Source::Remote(scheme, url) = source else { return source };
        let names = std::env::vars_os().filter_map(|(name, _)| name.into_string().ok());
        match route(scheme, self.hadoop.is_there(), names) {
            Route::Native => Source::Remote(scheme, url),
            Route::Hadoop => Source::Hadoop(Url::into(url)),
        }
    }

    fn http(&self) -> Result<&Http, DownloadError> {
        if let Some(http) = self.http.get() {
            return Ok(http);
        }
        let http = Http::new()?;
        Ok(self.http.get_or_init(|| http))
    }
}
