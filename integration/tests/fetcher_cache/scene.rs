//! A fetcher with its cache, and sandboxes for it to fetch into.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use anyhow::{Context as _, Result, anyhow, ensure};
use fetcher::agent::{Account, FetchError, FetchOrder, Fetched, Fetcher, FetcherSettings, Told};
use fetcher::progress::Event;
use integration::fetch::settings;
use mesos_types::UriSpec;
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

/// A fetcher of a test's own.
pub(crate) struct Scene {
    dir: TempDir,
    pub(crate) fetcher: Fetcher,
}

/// What became of one fetch.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) sandbox: PathBuf,
    pub(crate) result: Result<Fetched, FetchError>,
    /// What the child printed, and our lines.
    pub(crate) stderr: String,
}

/// What a test does when something is told.
type OnTold<'a> = Box<dyn FnMut(&Told<'_>) + Send + 'a>;

/// One fetch to be.
pub(crate) struct Wish<'a> {
    uris: Vec<UriSpec>,
    account: Account,
    killed: CancellationToken,
    on_told: OnTold<'a>,
    rlimits: Vec<mesos_types::Rlimit>,
    container_directory: String,
}

/// A URI as a task gives it; an archive is unpacked.
pub(crate) fn uri(value: impl Into<String>) -> UriSpec {
    UriSpec { value: value.into(), executable: false, extract: true, cache: false, output_file: None }
}

/// The same through the cache.
pub(crate) fn cached(value: impl Into<String>) -> UriSpec {
    UriSpec { cache: true, ..uri(value) }
}

impl<'a> Wish<'a> {
    pub(crate) fn of(uris: &[UriSpec]) -> Self {
        Self {
            uris: uris.to_vec(),
            account: Account::ours(),
            killed: CancellationToken::new(),
            on_told: Box::new(|_| {}),
            rlimits: Vec::new(),
            container_directory: "/mnt/mesos/sandbox".into(),
        }
    }

    pub(crate) fn limited(mut self, limit: mesos_types::Rlimit) -> Self {
        self.rlimits.push(limit);
        self
    }

    pub(crate) fn mounted_at(mut self, directory: &str) -> Self {
        self.container_directory = directory.to_owned();
        self
    }

    pub(crate) fn by(mut self, account: Account) -> Self {
        self.account = account;
        self
    }

    pub(crate) fn killed_by(mut self, killed: &CancellationToken) -> Self {
        self.killed = killed.clone();
        self
    }

    pub(crate) fn when_told(mut self, on_told: impl FnMut(&Told<'_>) + Send + 'a) -> Self {
        self.on_told = Box::new(on_told);
        self
    }
}

impl Scene {
    pub(crate) fn new() -> Result<Self> {
        Self::with(|_| {})
    }

    /// A fetcher with other settings. Its directories can be passed through by any user.
    pub(crate) fn with(change: impl FnOnce(&mut FetcherSettings)) -> Result<Self> {
        let dir = tempfile::tempdir()?;
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o711))?;
        let mut settings = settings(dir.path().join("cache"));
        ensure!(settings.launcher_dir.is_some(), "build the program with 'cargo build -p fetcher'");
        change(&mut settings);
        Ok(Self { dir, fetcher: Fetcher::new(settings) })
    }

    pub(crate) fn path(&self) -> &Path {
        self.dir.path()
    }

    /// Makes a local file of this size, which everybody may read.
    pub(crate) fn file(&self, name: &str, bytes: usize) -> Result<String> {
        let path = self.dir.path().join(name);
        fs::write(&path, vec![b'x'; bytes])?;
        // Whatever the umask is.
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644))?;
        Ok(path.to_str().context("a temporary path")?.to_owned())
    }

    /// Makes a local archive `name` of one file `inside` with this text.
    pub(crate) fn archive(&self, name: &str, inside: &str, text: &str) -> Result<String> {
        let path = self.dir.path().join(name);
        fs::write(&path, tar_of(inside, text)?)?;
        Ok(path.to_str().context("a temporary path")?.to_owned())
    }

    /// Fetches into a new sandbox.
    pub(crate) async fn fetch(&self, uris: &[UriSpec]) -> Result<Run> {
        self.run(Wish::of(uris)).await
    }

    pub(crate) async fn run(&self, wish: Wish<'_>) -> Result<Run> {
        self.run_in(&self.dir.path().join(format!("sandbox-{}", uuid::Uuid::new_v4().simple())), wish).await
    }

    /// Fetches into this sandbox, which is made.
    pub(crate) async fn run_in(&self, sandbox: &Path, mut wish: Wish<'_>) -> Result<Run> {
        drop(sandbox::Sandbox::create(sandbox, wish.account.switched())?);
        let order = FetchOrder {
            container_id: "container".into(),
            uris: wish.uris,
            sandbox: sandbox.to_owned(),
            account: wish.account,
            rlimits: wish.rlimits,
            container_directory: wish.container_directory,
        };
        let said = Arc::new(Mutex::new(Vec::new()));
        let mut tell = |told: Told<'_>| {
            (wish.on_told)(&told);
            let mut said = said.lock().expect("not poisoned");
            match told {
                Told::Stderr(bytes) => said.extend_from_slice(bytes),
                Told::Note(line) => said.extend_from_slice(format!("{line}\n").as_bytes()),
                Told::Stdout(_) | Told::Progress(_) => {}
            }
        };
        let result = self.fetcher.fetch(&order, &wish.killed, &mut tell).await;
        let stderr = String::from_utf8_lossy(&said.lock().expect("not poisoned")).into_owned();
        Ok(Run { sandbox: sandbox.to_owned(), result, stderr })
    }

    /// The names of all files in the cache, of all users; temporary ones too.
    pub(crate) fn cache_files(&self) -> Result<Vec<String>> {
        let mut names = Vec::new();
        let Ok(accounts) = fs::read_dir(self.dir.path().join("cache")) else { return Ok(names) };
        for account in accounts.collect::<Result<Vec<_>, _>>()? {
            if account.file_type()?.is_dir() {
                for file in fs::read_dir(account.path())? {
                    names.push(file?.file_name().to_string_lossy().into_owned());
                }
            }
        }
        names.sort();
        Ok(names)
    }

    /// Bytes in use and entries, which must be what is on disk.
    pub(crate) fn usage(&self) -> Result<(u64, usize)> {
        let (used, entries) = self.fetcher.cache_usage();
        let files = self.cache_files()?;
        ensure!(files.len() == entries, "{entries} entries, and on disk {files:?}");
        ensure!(self.fetcher.metrics().cache_size_used_bytes == used);
        Ok((used, entries))
    }

    /// How many fetches succeeded and failed.
    pub(crate) fn counts(&self) -> (u64, u64) {
        let metrics = self.fetcher.metrics();
        (metrics.task_fetches_succeeded, metrics.task_fetches_failed)
    }
}

impl Run {
    /// Fails the test unless the fetch succeeded.
    pub(crate) fn ok(self) -> Result<Self> {
        match &self.result {
            Ok(_) => Ok(self),
            Err(error) => Err(anyhow!("{}\n{}", chain(error), self.stderr)),
        }
    }

    /// The sentence of a fetch that failed.
    pub(crate) fn error(&self) -> Result<String> {
        match &self.result {
            Ok(_) => Err(anyhow!("it did not fail:\n{}", self.stderr)),
            Err(error) => Ok(chain(error)),
        }
    }

    pub(crate) fn read(&self, name: &str) -> Result<String> {
        fs::read_to_string(self.sandbox.join(name)).with_context(|| format!("{name} in {:?}", self.names()))
    }

    /// The permissions of a file.
    pub(crate) fn mode(&self, name: &str) -> Result<u32> {
        Ok(fs::metadata(self.sandbox.join(name))?.permissions().mode() & 0o777)
    }

    /// What is in the sandbox, at its top.
    pub(crate) fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(&self.sandbox).into_iter().flatten().flatten();
        let mut names: Vec<_> =
            entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
        names.sort();
        names
    }

    /// The actions that the child was told, in the order of the URIs: what it prints first.
    pub(crate) fn actions(&self) -> Result<Vec<String>> {
        let (_, json) = self.stderr.rsplit_once("Fetcher Info: ").context("no Fetcher Info in stderr")?;
        let info: serde_json::Value = serde_json::from_str(json.lines().next().unwrap_or_default())?;
        let items = info["items"].as_array().context("no items")?;
        Ok(items.iter().filter_map(|item| item["action"].as_str().map(str::to_owned)).collect())
    }
}

/// The bytes of an archive of one file, which is executable in it.
pub(crate) fn tar_of(inside: &str, text: &str) -> Result<Vec<u8>> {
    let mut archive = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_gnu();
    header.set_size(text.len() as u64);
    header.set_mode(0o755);
    archive.append_data(&mut header, inside, text.as_bytes())?;
    Ok(archive.into_inner()?)
}

/// A user of this machine.
pub(crate) fn user(name: &str) -> Result<Account> {
    Ok(Account::of(task_supervisor::owner_of(name)?, Some(name))?)
}

/// Waits until something is so.
pub(crate) async fn until(what: &str, is_so: impl Fn() -> Result<bool>) -> Result<()> {
    let look = async || Ok(is_so()?.then_some(()));
    integration::eventually(what, std::time::Duration::from_secs(30), look).await
}

/// Whether it is told that a size was asked for.
pub(crate) fn is_measured(told: &Told<'_>) -> bool {
    matches!(told, Told::Progress(Event::Measured { .. }))
}

fn chain(error: &FetchError) -> String {
    docker_containerizer::chain(error)
}
