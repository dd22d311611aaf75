//! The order of things, from the environment to the exit code.

use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::{DirBuilderExt, chown};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use mesos_proto::json::Names;
use sandbox::Sandbox;

use super::arguments::{self, Command, USAGE};
use super::entries::Entries;
use super::fetch::Fetch;
use super::identity::{Identity, restrict};
use super::log::Log;
use super::measure::measure;
use super::plan::plan;
use super::reporter::{Reporter, shortened};
use super::{guard, identity, lifeline};
use crate::chain::chain;
use crate::download::{Downloader, Settings};
use crate::extract::ExtractLimits;
use crate::info::{ENVIRONMENT_VARIABLE, InfoError, Mode, Request};
use crate::progress::Event;

/// Downloads that may run at once, whatever the agent asks for: each has a thread.
const MAX_PARALLEL: usize = 64;

/// How long the downloads that are given up may take to end.
const SHUTDOWN: Duration = Duration::from_secs(1);

/// The mode of a cache directory that a stock agent did not make.
const CACHE_DIRECTORY: u32 = 0o755;

/// Why the program ends without a fetch.
#[derive(Debug, thiserror::Error)]
enum StartError {
    #[error("Missing {ENVIRONMENT_VARIABLE} environment variable")]
    Missing,
    #[error(transparent)]
    Info(#[from] InfoError),
    #[error("Missing sandbox directory")]
    NoSandbox,
    #[error("Fetcher could not execute 'os::su()' for user '{user}'")]
    User { user: String, source: identity::IdentityError },
    #[error("Could not set the limits of the fetcher")]
    Limits(#[from] identity::IdentityError),
    #[error("Could not create the fetcher cache directory '{}'", path.display())]
    CacheDirectory { path: PathBuf, source: std::io::Error },
    #[error("Could not open a directory of the fetch")]
    Directory(#[from] sandbox::SandboxError),
    #[error("the only progress_fd that is known is 0, not {fd}")]
    ProgressFd { fd: i32 },
    #[error("Could not start the fetcher")]
    Start(#[source] std::io::Error),
}

/// Runs the program: 0 when everything was fetched, else 1.
#[must_use]
pub fn main() -> ExitCode {
    if let Some(code) = guard::asked(std::env::args_os().skip(1)) {
        return code;
    }
    let environment = |name: &str| std::env::var(name).ok();
    let log = match arguments::read(std::env::args_os().skip(1), environment) {
        Ok(Command::Help) => {
            print!("{USAGE}");
            return ExitCode::SUCCESS;
        }
        Ok(Command::Version) => {
            println!("mesos-fetcher {}", env!("CARGO_PKG_VERSION"));
            return ExitCode::SUCCESS;
        }
        Ok(Command::Run(log)) => log,
        Err(problem) => {
            eprint!("{problem}\n\n{USAGE}");
            return ExitCode::FAILURE;
        }
    };
    match prepare_and_run(log) {
        Ok(code) => code,
        Err(error) => {
            log.error(&chain(&error));
            ExitCode::FAILURE
        }
    }
}

fn prepare_and_run(log: Log) -> Result<ExitCode, StartError> {
    let text = std::env::var(ENVIRONMENT_VARIABLE).map_err(|_| StartError::Missing)?;
    let (request, skipped) = Request::from_json(&text)?;
    if !skipped.is_empty() {
        log.warning(&format!("Ignored unknown members of {ENVIRONMENT_VARIABLE}: {}", skipped.join(", ")));
    }
    if request.info.sandbox_directory.is_empty() {
        return Err(StartError::NoSandbox);
    }
    if request.options.mode == Mode::Fetch {
        let info = mesos_proto::json::to_json(&request.redacted_info(), Names::V0);
        log.info(&format!("Fetcher Info: {info}"));
    }
    let pipe = progress_pipe(&request)?;
    restrict(&request.options.rlimits)?;
    let uses_cache = request.info.items.iter().any(|item| item.cache_filename.is_some());
    let cache = request.info.cache_directory.as_deref().filter(|_| uses_cache).map(Path::new);
    become_user(&request, cache)?;
    // From here on there are threads, and no rights that the task's user has not.
    if pipe.is_some() {
        lifeline::watch().map_err(StartError::Start)?;
    }
    let reporter = Reporter::new(log, pipe);
    let parallel = request.options.parallel.get().min(MAX_PARALLEL);
    // One for each download, which blocks it while it writes. More of them would only wake each other.
    let workers = parallel.min(request.info.items.len()).max(1);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(workers)
        .enable_all()
        .build()
        .map_err(StartError::Start)?;
    let code = runtime.block_on(run(request, reporter, parallel));
    // A client of Hadoop that is given up is killed when its download is dropped, which this waits for.
    runtime.shutdown_timeout(SHUTDOWN);
    code
}

async fn run(request: Request, reporter: Reporter, parallel: usize) -> Result<ExitCode, StartError> {
    let downloader = Downloader::new(Settings {
        stall_timeout: request.stall_timeout(),
        retries: request.options.retries,
        frameworks_home: request.info.frameworks_home.as_ref().map(PathBuf::from),
        hadoop_home: std::env::var_os("HADOOP_HOME"),
    });
    if request.options.mode == Mode::Measure {
        measure(request.info.items, &Arc::new(downloader), &reporter, parallel).await;
        return Ok(ExitCode::SUCCESS);
    }
    let log = reporter.log();
    let cache = request.info.cache_directory.as_deref().filter(|directory| !directory.is_empty());
    let items = match plan(&request.info.items, cache.is_some()) {
        Ok(items) => items,
        Err(refused) => {
            let message = shortened(&chain(&refused.reason));
            reporter.send(&Event::Failed { item: refused.index, uri: refused.uri.clone(), message });
            log.error(&chain(&refused));
            return Ok(ExitCode::FAILURE);
        }
    };
    let uses_cache = request.info.items.iter().any(|item| item.cache_filename.is_some());
    let entries = match cache.filter(|_| uses_cache) {
        Some(directory) => Some(Entries::new(Sandbox::open(Path::new(directory))?)),
        None => None,
    };
    let fetch = Arc::new(Fetch {
        sandbox: Sandbox::open(&request.sandbox())?,
        entries,
        downloader,
        reporter,
        limits: ExtractLimits {
            max_bytes: request.options.extract_max_bytes,
            max_entries: request.options.extract_max_entries,
        },
        container_directory: request.options.container_directory,
        parallel,
    });
    let reporting = Arc::clone(&fetch);
    let reporting = tokio::spawn(async move { reporting.reporter.run().await });
    let result = fetch.run(items).await;
    reporting.abort();
    match result {
        Ok(()) => {
            log.info(&format!("Successfully fetched all URIs into '{}'", fetch.sandbox.path().display()));
            Ok(ExitCode::SUCCESS)
        }
        Err(failed) => {
            let message = chain(&failed.error);
            log.error(&format!("Failed to fetch '{}': {message}", failed.uri));
            let message = shortened(&message);
            fetch.reporter.send(&Event::Failed { item: failed.index, uri: failed.uri, message });
            Ok(ExitCode::FAILURE)
        }
    }
}

/// Makes the user's directory of the cache where it is missing, and becomes the user.
fn become_user(request: &Request, cache: Option<&Path>) -> Result<(), StartError> {
    let user = request.info.user.as_deref().filter(|user| !user.is_empty());
    let failed = |user: &str| {
        let user = user.to_owned();
        move |source| StartError::User { user, source }
    };
    let identity = user.map(|user| Identity::find(user).map_err(failed(user))).transpose()?;
    if let Some(path) = cache {
        create_cache_directory(path, identity.as_ref())
            .map_err(|source| StartError::CacheDirectory { path: path.to_owned(), source })?;
    }
    match (user, identity) {
        (Some(user), Some(identity)) => identity.become_user(user).map_err(failed(user)),
        _ => Ok(()),
    }
}

/// As stock's `createCacheDirectory`, which gives the directory to the user but nothing in it. One that exists and is
/// the user's already, as our own agent makes it, stays as it is.
fn create_cache_directory(path: &Path, identity: Option<&Identity>) -> std::io::Result<()> {
    if !path.is_dir() {
        std::fs::DirBuilder::new().recursive(true).mode(CACHE_DIRECTORY).create(path)?;
    }
    let Some(identity) = identity.filter(|_| nix::unistd::geteuid().is_root()) else { return Ok(()) };
    chown(path, Some(identity.uid().as_raw()), Some(identity.gid().as_raw()))
}

/// Our end of the pipe to the agent.
fn progress_pipe(request: &Request) -> Result<Option<OwnedFd>, StartError> {
    match request.options.progress_fd {
        None => Ok(None),
        Some(0) => std::io::stdin().as_fd().try_clone_to_owned().map(Some).map_err(StartError::Start),
        Some(fd) => Err(StartError::ProgressFd { fd }),
    }
}
