//! A whole fetch, and the counters.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use mesos_proto::fetcher::{FetcherInfo, fetcher_info::Item};
use mesos_types::UriSpec;
use sandbox::{RelPath, Sandbox};
use tokio::sync::{OnceCell, Semaphore};
use tokio_util::sync::CancellationToken;

use super::account::Account;
use super::cached::Entries;
use super::child::{self, Ended, Heard, describe};
use super::error::FetchError;
use super::plan::Wanted;
use super::program;
use super::settings::FetcherSettings;
use crate::cache::{Cache, CacheError};
use crate::chain::chain;
use crate::info::{Action, Mode, Options, Request, Rlimit, duration_info};
use crate::progress::Event;

/// The longest text of the child that an error repeats, in characters.
const LONGEST_WHY: usize = 2000;

/// Fetches for tasks, with one cache. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Fetcher {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    settings: FetcherSettings,
    permits: Semaphore,
    /// Opened for the first task that wants it; a directory that is refused is not looked through again.
    cache: OnceCell<Result<Arc<Cache>, String>>,
    succeeded: AtomicU64,
    failed: AtomicU64,
}

/// What one task wants.
#[derive(Clone, Debug)]
pub struct FetchOrder {
    /// The container, for messages.
    pub container_id: String,
    /// The URIs, in the task's order.
    pub uris: Vec<UriSpec>,
    /// The sandbox, which exists and belongs to the account.
    pub sandbox: PathBuf,
    /// Whom the fetch runs as.
    pub account: Account,
    /// The limits of the task's processes, which are the fetch's too where it becomes the task's user.
    pub rlimits: Vec<mesos_types::Rlimit>,
    /// Where the sandbox is mounted in the task's container (`--sandbox_directory`): absolute links of archives may
    /// begin with it.
    pub container_directory: String,
}

/// What is told of a fetch while it goes on.
#[derive(Debug)]
pub enum Told<'a> {
    /// Bytes for the sandbox's `stdout`.
    Stdout(&'a [u8]),
    /// Bytes for the sandbox's `stderr`.
    Stderr(&'a [u8]),
    /// A line of ours for the sandbox's `stderr`.
    Note(String),
    /// How far it is.
    Progress(&'a Event),
}

/// What a fetch has put into the sandbox.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fetched {
    /// Unpacked archives that lie in the sandbox and brought registry credentials.
    pub registry_archives: Vec<RelPath>,
}

/// The counters of stock, by its names.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Metrics {
    /// Tasks whose URIs were all fetched; tasks without URIs are not counted.
    pub task_fetches_succeeded: u64,
    /// Tasks whose fetch failed or was killed.
    pub task_fetches_failed: u64,
    /// The size of the cache.
    pub cache_size_total_bytes: u64,
    /// Bytes of it that are taken or promised.
    pub cache_size_used_bytes: u64,
}

impl Metrics {
    /// Names and values, for an endpoint.
    #[must_use]
    pub fn named(&self) -> [(&'static str, u64); 4] {
        [
            ("containerizer/fetcher/task_fetches_succeeded", self.task_fetches_succeeded),
            ("containerizer/fetcher/task_fetches_failed", self.task_fetches_failed),
            ("containerizer/fetcher/cache_size_total_bytes", self.cache_size_total_bytes),
            ("containerizer/fetcher/cache_size_used_bytes", self.cache_size_used_bytes),
        ]
    }
}

impl Fetcher {
    /// A fetcher; makes nothing yet.
    #[must_use]
    pub fn new(settings: FetcherSettings) -> Fetcher {
        let permits = Semaphore::new(settings.concurrent.get().min(Semaphore::MAX_PERMITS));
        let shared = Shared {
            settings,
            permits,
            cache: OnceCell::new(),
            succeeded: AtomicU64::new(0),
            failed: AtomicU64::new(0),
        };
        Fetcher { shared: Arc::new(shared) }
    }

    /// Fetches the URIs of a task into its sandbox. What the child prints goes to `tell`, which must be quick.
    ///
    /// Nothing is done for a task without URIs.
    ///
    /// # Errors
    ///
    /// See [`FetchError`]. The entries of the cache that this fetch was to fill are gone then.
    ///
    /// # Cancel safety
    ///
    /// Cancel it by `killed`: the child's group is killed at once, and the answer is [`FetchError::Killed`] when nothing
    /// of it is left. A future that is dropped kills the group too, without the sweeping.
    pub async fn fetch(
        &self,
        order: &FetchOrder,
        killed: &CancellationToken,
        tell: &mut (dyn FnMut(Told<'_>) + Send),
    ) -> Result<Fetched, FetchError> {
        if order.uris.is_empty() {
            return Ok(Fetched::default());
        }
        let result = self.fetch_all(order, killed, tell).await;
        let counter = if result.is_ok() { &self.shared.succeeded } else { &self.shared.failed };
        counter.fetch_add(1, Ordering::Relaxed);
        result
    }

    /// The counters.
    #[must_use]
    pub fn metrics(&self) -> Metrics {
        let (used, _) = self.cache_usage();
        Metrics {
            task_fetches_succeeded: self.shared.succeeded.load(Ordering::Relaxed),
            task_fetches_failed: self.shared.failed.load(Ordering::Relaxed),
            cache_size_total_bytes: self.shared.settings.cache.size,
            cache_size_used_bytes: used,
        }
    }

    /// Bytes of the cache that are taken or promised, and how many entries it has.
    #[must_use]
    pub fn cache_usage(&self) -> (u64, usize) {
        let opened = self.shared.cache.get().and_then(|opened| opened.as_ref().ok());
        opened.map_or((0, 0), |cache| cache.used())
    }

    /// The settings.
    #[must_use]
    pub fn settings(&self) -> &FetcherSettings {
        &self.shared.settings
    }

    /// The cache, opened and emptied at the first call, away from the threads of the runtime. What is wrong with its
    /// directory is found once; one that another process has is tried again.
    ///
    /// # Errors
    ///
    /// Why there is none, with all causes.
    ///
    /// # Cancel safety
    ///
    /// May be dropped; the next call opens it.
    pub(super) async fn cache(&self) -> Result<Arc<Cache>, String> {
        let opening = async || {
            let settings = self.shared.settings.cache.clone();
            let open = move || Cache::open(&settings.directory, settings.size);
            match tokio::task::spawn_blocking(open).await {
                Ok(Ok(cache)) => Ok(Ok(Arc::new(cache))),
                Ok(Err(error @ CacheError::InUse(_))) => Err(chain(&error)),
                Ok(Err(error)) => Ok(Err(chain(&error))),
                Err(error) => Err(chain(&error)),
            }
        };
        self.shared.cache.get_or_try_init(opening).await?.clone()
    }

    async fn fetch_all(
        &self,
        order: &FetchOrder,
        killed: &CancellationToken,
        tell: &mut (dyn FnMut(Told<'_>) + Send),
    ) -> Result<Fetched, FetchError> {
        let wanted = Wanted::all(&order.uris)?;
        let mut entries = Entries::take(self, order, &wanted, killed, tell).await?;
        let items: Vec<_> = wanted.iter().enumerate().map(|(at, one)| one.item(entries.of(at))).collect();
        // Those that say so are taken out: an archive whose word was lost is treated as one with credentials.
        let mut archives = staying_archives(&wanted, &items);
        let place = entries.place.clone();
        let directory = place.as_ref().map(|(_, directory)| directory.as_path());
        let mut why = None;
        let mut hear = |event: Event| match event {
            Event::Downloaded { cache_filename: Some(name), validators, .. } => {
                entries.downloaded(name, validators)
            }
            Event::Failed { uri, message, .. } => {
                why = Some(one_line(&format!("Failed to fetch '{uri}': {message}")))
            }
            Event::Fetched { item, registry_config, .. } => {
                if !registry_config {
                    archives.remove(&item);
                }
                entries.fetched(item);
            }
            _ => {}
        };
        let result = self.child(order, Mode::Fetch, items, directory, killed, tell, &mut hear).await;
        let ended = match result {
            Ok(ended) if ended.status.success() => {
                entries.succeeded();
                return Ok(Fetched { registry_archives: archives.into_values().collect() });
            }
            Ok(ended) => ended,
            // No child was started.
            Err(error) => return Err(error),
        };
        // The entries go after the files, so that nobody fills one of them anew meanwhile.
        if let Some((cache, _)) = &place {
            cache.sweep(order.account.name(), ended.pid);
        }
        let sandbox = order.sandbox.clone();
        let sweep = move || sweep_sandbox(&sandbox, &wanted, ended.pid);
        if let Err(error) = tokio::task::spawn_blocking(sweep).await {
            tracing::warn!(%error, "half a download may be left in a sandbox");
        }
        if killed.is_cancelled() {
            return Err(FetchError::Killed);
        }
        Err(FetchError::Failed {
            container_id: order.container_id.clone(),
            status: describe(ended.status),
            why,
        })
    }

    /// Runs one child. Its events go to `hear`, those about progress to `tell` as well.
    #[expect(clippy::too_many_arguments, reason = "all of one child, at its two places")]
    pub(super) async fn child(
        &self,
        order: &FetchOrder,
        mode: Mode,
        items: Vec<Item>,
        cache_directory: Option<&Path>,
        killed: &CancellationToken,
        tell: &mut (dyn FnMut(Told<'_>) + Send),
        hear: &mut (dyn FnMut(Event) + Send),
    ) -> Result<Ended, FetchError> {
        let settings = &self.shared.settings;
        let _permit = tokio::select! {
            biased;
            () = killed.cancelled() => return Err(FetchError::Killed),
            permit = self.shared.permits.acquire() => permit,
        };
        let program = program::find(settings.launcher_dir.as_deref())?;
        let request = Request {
            info: FetcherInfo {
                sandbox_directory: order.sandbox.to_string_lossy().into_owned(),
                cache_directory: cache_directory.map(|path| path.to_string_lossy().into_owned()),
                items,
                user: order.account.switched().map(|_| order.account.name().to_owned()),
                frameworks_home: settings
                    .frameworks_home
                    .as_ref()
                    .map(|home| home.to_string_lossy().into_owned()),
                stall_timeout: Some(duration_info(settings.stall_timeout)),
            },
            options: Options {
                mode,
                parallel: settings.parallel,
                retries: settings.retries,
                extract_max_bytes: settings.extract_max_bytes,
                extract_max_entries: settings.extract_max_entries,
                progress_fd: Some(0),
                container_directory: order.container_directory.clone(),
                rlimits: rlimits(order),
            },
        };
        let environment =
            program::environment(std::env::vars_os(), settings.hadoop_home.as_deref(), request.to_json())?;
        child::run(&program, environment, killed, |heard| match heard {
            Heard::Stdout(bytes) => tell(Told::Stdout(bytes)),
            Heard::Stderr(bytes) => tell(Told::Stderr(bytes)),
            Heard::Event(event) => {
                tell(Told::Progress(&event));
                hear(event);
            }
        })
        .await
    }
}

/// The limits that the child puts on itself. Without the rights of root they could be lowered only, and nothing of the
/// task's is asked for then: the fetch stays what we are.
fn rlimits(order: &FetchOrder) -> Vec<Rlimit> {
    if order.account.switched().is_none() {
        return Vec::new();
    }
    // A bound that is no number is none at all.
    let bound = |bound: i64| u64::try_from(bound).ok();
    let limits = order.rlimits.iter().map(|limit| Rlimit {
        kind: format!("RLMT_{}", limit.name.to_ascii_uppercase()),
        soft: bound(limit.soft),
        hard: bound(limit.hard),
    });
    limits.collect()
}

/// The archives that are unpacked and stay in the sandbox, by item: one that is unpacked from the cache is not there.
fn staying_archives(wanted: &[Wanted], items: &[Item]) -> BTreeMap<usize, RelPath> {
    let stays = |(_, (one, item)): &(usize, (&Wanted, &Item))| {
        one.is_unpacked() && item.action() == Action::BypassCache
    };
    let all = wanted.iter().zip(items).enumerate().filter(stays);
    all.map(|(at, (one, _))| (at, one.destination.clone())).collect()
}

/// Deletes what a child left half done where it puts files: in the sandbox and beside each output file, and anywhere
/// below where an archive was unpacked. Only file systems without files that have no name make this needed. Blocks.
fn sweep_sandbox(path: &Path, wanted: &[Wanted], pid: u32) {
    let sweep = || -> Result<(), sandbox::SandboxError> {
        let sandbox = Sandbox::open(path)?;
        let root = File::open(path);
        let parents = wanted.iter().filter_map(|one| one.destination.as_path().parent());
        let parents = parents.filter_map(|parent| RelPath::new(parent).ok());
        // A directory that is not there, or is not one, has nothing of ours.
        let below = parents.filter_map(|parent| sandbox.resolve_dir_or_file(&parent).ok());
        let of_directory = if wanted.iter().any(Wanted::is_unpacked) {
            crate::cache::sweep_tree
        } else {
            crate::cache::sweep
        };
        for dir in root.ok().into_iter().chain(below.map(|found| File::from(found.fd))) {
            if let Err(error) = of_directory(&dir, pid) {
                tracing::debug!(%error, "half a download may be left in a sandbox");
            }
        }
        Ok(())
    };
    if let Err(error) = sweep() {
        tracing::warn!(error = chain(&error), "half a download may be left in a sandbox");
    }
}

/// The child's words in one line of bounded length.
fn one_line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(LONGEST_WHY).collect()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn order(account: Account) -> FetchOrder {
        FetchOrder {
            container_id: "container".into(),
            uris: Vec::new(),
            sandbox: "/nonexistent".into(),
            account,
            rlimits: vec![
                mesos_types::Rlimit { name: "nofile", soft: 10, hard: 20 },
                mesos_types::Rlimit { name: "core", soft: -1, hard: -1 },
            ],
            container_directory: "/box".into(),
        }
    }

    #[test]
    fn the_task_s_limits_are_the_child_s_where_it_becomes_the_user() {
        assert_eq!(rlimits(&order(Account::ours())), []);
        let account = Account::of(sandbox::Owner::new(0, 0).unwrap(), None).unwrap();
        let limit = |kind: &str, soft, hard| Rlimit { kind: kind.into(), soft, hard };
        let expected = [limit("RLMT_NOFILE", Some(10), Some(20)), limit("RLMT_CORE", None, None)];
        assert_eq!(rlimits(&order(account)), expected);
    }

    #[tokio::test]
    async fn a_directory_that_is_in_use_is_tried_again_and_one_that_is_refused_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let fetcher = || Fetcher::new(FetcherSettings::new(dir.path()));
        let first = Cache::open(dir.path(), 1).unwrap();
        let waiting = fetcher();
        assert!(waiting.cache().await.unwrap_err().contains("in use"));
        drop(first);
        let cache = waiting.cache().await.unwrap();
        assert!(Arc::ptr_eq(&cache, &waiting.cache().await.unwrap()));
        drop((cache, waiting));

        let foreign = dir.path().join("thesis.tex");
        fs::write(&foreign, "x").unwrap();
        let refused = fetcher();
        let why = refused.cache().await.unwrap_err();
        fs::remove_file(&foreign).unwrap();
        assert_eq!(refused.cache().await.unwrap_err(), why);
        assert_eq!(refused.cache_usage(), (0, 0));
        fetcher().cache().await.unwrap();
    }
}
