//! The operator's `--docker_config`: JSON that was given inline, or a file that is read again for every pull.

use std::fmt;
use std::fs::OpenOptions;
use std::io::{self, Read as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use docker_engine::ExtraHeaders;
use rustix::fs::OFlags;
use tokio::sync::Semaphore;

use super::config::{ConfigError, ConfigFile};
use super::error::CredentialError;
use super::proxies::ProxyVariables;

/// The most bytes that a config may have.
pub(super) const MAX_CONFIG: u64 = 1 << 20;

/// How long a read of the file may take: it may be on a file system of the network.
const READ: Duration = Duration::from_secs(10);

/// How often a file is read that is no config: somebody may be writing it in place at this moment.
const TRIES: usize = 5;

/// The pause before it is read again.
const PAUSE: Duration = Duration::from_millis(200);

/// `--docker_config`. `Debug` tells where it is, and nothing of it.
#[derive(Clone)]
pub struct OperatorConfig(Origin);

#[derive(Clone)]
enum Origin {
    Inline(Arc<ConfigFile>),
    File(PathBuf, OneReader),
}

/// Reads on a thread, one after the other: a read of a file system that is gone cannot be ended, and must not take a
/// thread for every pull.
#[derive(Clone)]
struct OneReader {
    free: Arc<Semaphore>,
    deadline: Duration,
}

impl OperatorConfig {
    /// A config that was given as its text.
    ///
    /// # Errors
    ///
    /// [`CredentialError::Operator`]: what cannot be used, without any value of it.
    pub fn inline(text: &str) -> Result<Self, CredentialError> {
        let unusable = |source| CredentialError::Operator { source };
        let config = ConfigFile::parse(text.as_bytes()).map_err(unusable)?;
        config.check().map_err(unusable)?;
        Ok(Self(Origin::Inline(Arc::new(config))))
    }

    /// A config in a file, which may change at any time: the next pull uses what is in it then. It is read once now,
    /// so that a program does not start with a file that cannot be used. Every entry is checked now; later only the
    /// one that a pull needs, so that one that was written badly stops the pulls from its own registry and no others.
    ///
    /// # Errors
    ///
    /// [`CredentialError::Read`] and [`CredentialError::Operator`].
    pub fn file(path: impl Into<PathBuf>) -> Result<Self, CredentialError> {
        let path = path.into();
        read(&path)?.check().map_err(|source| CredentialError::Operator { source })?;
        Ok(Self(Origin::File(path, OneReader::new(READ))))
    }

    /// What the config says now.
    ///
    /// # Errors
    ///
    /// [`CredentialError::Read`] and [`CredentialError::Operator`]: a file that is gone or broken now is an error, not
    /// an anonymous pull, and not what it said before.
    ///
    /// # Cancel safety
    ///
    /// May be dropped; it only reads.
    pub(super) async fn load(&self) -> Result<Arc<ConfigFile>, CredentialError> {
        let (path, reader) = match &self.0 {
            Origin::Inline(config) => return Ok(Arc::clone(config)),
            Origin::File(path, reader) => (path, reader),
        };
        let load = || async {
            let owned = path.clone();
            let result = reader.run(move || read(&owned)).await;
            result.unwrap_or_else(|source| Err(CredentialError::Read { path: path.clone(), source }))
        };
        for _ in 1..TRIES {
            match load().await {
                Err(CredentialError::Operator { source: ConfigError::Json { .. } }) => {
                    tokio::time::sleep(PAUSE).await;
                }
                result => return result.map(Arc::new),
            }
        }
        load().await.map(Arc::new)
    }

    /// `HttpHeaders`, as they are now: what the engine is sent with every request.
    ///
    /// # Errors
    ///
    /// As [`OperatorConfig::file`], and [`ConfigError::Header`] for one that cannot be sent.
    pub fn headers(&self) -> Result<ExtraHeaders, CredentialError> {
        let config = self.now()?;
        ExtraHeaders::new(&config.headers)
            .map_err(|error| CredentialError::Operator { source: ConfigError::Header(crate::chain(&error)) })
    }

    /// `proxies` for containers of the engine behind a socket, as they are now.
    ///
    /// # Errors
    ///
    /// As [`OperatorConfig::file`].
    pub fn proxies(&self, socket: &Path) -> Result<ProxyVariables, CredentialError> {
        Ok(ProxyVariables::of(&self.now()?.proxies, &format!("unix://{}", socket.display())))
    }

    fn now(&self) -> Result<Arc<ConfigFile>, CredentialError> {
        match &self.0 {
            Origin::Inline(config) => Ok(Arc::clone(config)),
            Origin::File(path, _) => read(path).map(Arc::new),
        }
    }
}

impl OneReader {
    fn new(deadline: Duration) -> Self {
        Self { free: Arc::new(Semaphore::new(1)), deadline }
    }

    /// Reads, after those who do it already.
    ///
    /// # Errors
    ///
    /// A read that is not done by the deadline; it goes on, and nobody else reads meanwhile.
    ///
    /// # Cancel safety
    ///
    /// May be dropped; a read that has begun goes on.
    async fn run<T: Send + 'static>(&self, read: impl FnOnce() -> T + Send + 'static) -> io::Result<T> {
        let reading = async {
            let turn = Arc::clone(&self.free).acquire_owned().await.map_err(io::Error::other)?;
            let reading = tokio::task::spawn_blocking(move || {
                let result = read();
                drop(turn);
                result
            });
            reading.await.map_err(|_| io::Error::other("the read was given up"))
        };
        let late = |_| io::Error::new(io::ErrorKind::TimedOut, "its file system does not answer");
        tokio::time::timeout(self.deadline, reading).await.map_err(late)?
    }
}

impl fmt::Debug for OperatorConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Origin::Inline(_) => f.write_str("inline"),
            Origin::File(path, _) => path.fmt(f),
        }
    }
}

fn read(path: &Path) -> Result<ConfigFile, CredentialError> {
    let text =
        read_bounded(path).map_err(|source| CredentialError::Read { path: path.to_owned(), source })?;
    ConfigFile::parse(&text).map_err(|source| CredentialError::Operator { source })
}

/// Reads a small regular file. Links are followed: what mounts secrets for a program changes them by a link.
fn read_bounded(path: &Path) -> io::Result<Vec<u8>> {
    let flags = OFlags::NONBLOCK | OFlags::NOCTTY;
    let flags = i32::try_from(flags.bits()).map_err(io::Error::other)?;
    let file = OpenOptions::new().read(true).custom_flags(flags).open(path)?;
    if !file.metadata()?.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file"));
    }
    let mut bytes = Vec::new();
    file.take(MAX_CONFIG + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MAX_CONFIG {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, "the file is larger than 1 MB"));
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::credentials::registry::Registry;
    use docker_engine::ImageRef;
    use std::sync::atomic::{AtomicUsize, Ordering};

    const GOOD: &str = r#"{"auths": {"a.test": {"username": "u", "password": "hunter2"}}}"#;

    #[tokio::test(start_paused = true)]
    async fn a_file_is_read_again_and_a_broken_one_is_an_error_until_it_is_repaired() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("config.json");
        std::fs::write(&path, "{").unwrap();
        assert!(OperatorConfig::file(&path).is_err(), "a program does not start with it");
        std::fs::write(&path, GOOD).unwrap();
        let config = OperatorConfig::file(&path).unwrap();
        assert!(config.load().await.unwrap().store.is_none());

        std::fs::write(&path, r#"{"credsStore": "other"}"#).unwrap();
        assert_eq!(config.load().await.unwrap().store.as_deref(), Some("other"));

        std::fs::write(&path, &GOOD[..50]).unwrap();
        let error = config.load().await.unwrap_err();
        assert!(matches!(error, CredentialError::Operator { source: ConfigError::Json { .. } }), "{error:?}");
        std::fs::remove_file(&path).unwrap();
        let error = crate::chain(&config.load().await.unwrap_err());
        assert!(error.contains("config.json") && error.contains("No such file"), "{error}");

        std::fs::write(&path, GOOD).unwrap();
        config.load().await.unwrap();
    }

    #[tokio::test]
    async fn a_file_that_is_being_written_is_waited_for() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("config.json");
        std::fs::write(&path, GOOD).unwrap();
        let config = OperatorConfig::file(&path).unwrap();
        std::fs::write(&path, &GOOD[..20]).unwrap();
        let (loaded, ()) = tokio::join!(config.load(), async {
            tokio::task::yield_now().await;
            std::fs::write(&path, GOOD).unwrap();
        });
        loaded.unwrap();
    }

    #[test]
    fn a_link_is_followed_and_what_is_no_small_file_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("v1"), GOOD).unwrap();
        std::os::unix::fs::symlink("v1", dir.path().join("link")).unwrap();
        OperatorConfig::file(dir.path().join("link")).unwrap();

        let fifo = dir.path().join("fifo");
        rustix::fs::mknodat(rustix::fs::CWD, &fifo, rustix::fs::FileType::Fifo, rustix::fs::Mode::RUSR, 0)
            .unwrap();
        std::fs::write(dir.path().join("large"), " ".repeat((1 << 20) + 1)).unwrap();
        for (path, why) in [(fifo, "not a regular file"), (dir.path().join("large"), "larger than")] {
            let error = crate::chain(&OperatorConfig::file(path).unwrap_err());
            assert!(error.contains(why), "{error}");
        }
    }

    #[tokio::test]
    async fn a_bad_entry_that_comes_later_stops_its_own_registry_only() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("config.json");
        std::fs::write(&path, GOOD).unwrap();
        let config = OperatorConfig::file(&path).unwrap();
        let rotated =
            r#"{"auths": {"bad.test": {"auth": "unpadded"}, "a.test": {"username": "u", "password": "p"}}}"#;
        std::fs::write(&path, rotated).unwrap();
        let loaded = config.load().await.unwrap();
        let registry = |image: &str| Registry::of(&ImageRef::parse(image).unwrap()).unwrap();
        assert_eq!(loaded.entry(&registry("a.test/x")).unwrap().unwrap().password, "p");
        assert_eq!(loaded.entry(&registry("bad.test/x")), Err(ConfigError::Auth("bad.test".into())));
        assert!(OperatorConfig::file(&path).is_err(), "a program does not start with it");
    }

    /// The thread of a read that hangs cannot be taken back.
    #[tokio::test]
    async fn a_read_that_hangs_holds_one_thread_however_many_ask() {
        let reader = OneReader::new(Duration::from_secs(1));
        let (hung, hangs) = std::sync::mpsc::channel::<()>();
        let begun = Arc::new(AtomicUsize::new(0));
        let counted = |read: Box<dyn FnOnce() + Send>| {
            let begun = Arc::clone(&begun);
            reader.run(move || {
                begun.fetch_add(1, Ordering::Relaxed);
                read();
            })
        };
        let first = counted(Box::new(move || _ = hangs.recv()));
        let others = futures_util::future::join_all((0..20).map(|_| counted(Box::new(|| {}))));
        let (first, others) = tokio::join!(first, others);
        for late in others.into_iter().chain([first]) {
            assert_eq!(late.unwrap_err().kind(), io::ErrorKind::TimedOut);
        }
        assert_eq!(begun.load(Ordering::Relaxed), 1);
        drop(hung);
        let patient = OneReader { deadline: READ, ..reader.clone() };
        assert_eq!(patient.run(|| 7).await.unwrap(), 7);
    }

    #[test]
    fn every_entry_is_checked_at_the_start_and_nothing_of_it_is_shown() {
        let error = OperatorConfig::inline(r#"{"auths": {"a.test": {"auth": "hunter2"}}}"#).unwrap_err();
        assert!(crate::chain(&error).contains("a.test"));
        assert!(!format!("{error:?} {}", crate::chain(&error)).contains("hunter2"));
        let config = OperatorConfig::inline(GOOD).unwrap();
        assert!(!format!("{config:?}").contains("hunter2"));
    }
}
