//! The first phase of a launch: the task's URIs into its sandbox, and the image onto the host.
//!
//! As in Mesos the pull waits for the fetch, since an archive may bring the registry's credentials. Where no URI can,
//! both go on side by side (design §4). A kill ends both at once, and is answered when nothing of the fetch is left.

use std::sync::{Mutex, MutexGuard, PoisonError};

use docker_engine::ImageDetails;
use fetcher::agent::{Account, FetchOrder, Fetched, Fetcher, Told, Wanted, may_bring_registry_config};
use sandbox::{Owner, Sandbox, SandboxError};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::driver::{Command, Driver};
use crate::lifecycle::Event;
use crate::logs::{CursorStore, LogFiles, LogTap, OutputTarget, StreamName};
use crate::order::Progress;
use crate::request::Request;
use containerizer::RunPaths;
use containerizer::blocking;
use containerizer::{Failure, Kill, Phase};

/// Why a container is not created.
#[derive(Debug)]
pub(crate) enum Unprepared {
    /// The fetch or the pull failed.
    Failed(Failure),
    /// A kill came in this phase.
    Killed(Kill, Phase),
}

/// What a fetch needs of its run.
pub(crate) struct Run<'a> {
    pub(crate) paths: &'a RunPaths,
    pub(crate) owner: Option<Owner>,
    /// Shared with the pull that goes on beside it; held for a line or a block at a time.
    pub(crate) files: &'a Mutex<LogFiles>,
    pub(crate) progress: Option<&'a mpsc::Sender<Progress>>,
    /// For messages.
    pub(crate) container_id: String,
}

impl Driver {
    /// Makes the sandbox's log files, if the output goes there, with a line for each field that has no effect.
    ///
    /// Stock's fetcher makes them, also for a task without URIs (`FetcherProcess::run`).
    pub(crate) fn log_files(
        &self,
        paths: &RunPaths,
        request: &Request,
        owner: Option<Owner>,
        output: OutputTarget,
        tap: Option<&LogTap>,
    ) -> Result<LogFiles, Failure> {
        let fail = |error: SandboxError| Failure::new("fetch", crate::chain(&error));
        let directory = Sandbox::open(&paths.sandbox).map_err(fail)?;
        let store = CursorStore::new(&paths.state);
        let mut files = match output {
            OutputTarget::Sandbox => {
                LogFiles::create(&directory, owner, self.shared.settings.logs, store).map_err(fail)?
            }
            OutputTarget::SandboxGoesOn => {
                LogFiles::go_on(&directory, owner, self.shared.settings.logs, store).map_err(fail)?
            }
            OutputTarget::Tap => LogFiles::tapped(tap.cloned(), store),
        };
        for notice in &request.notices {
            files.note(&notice.to_string()).map_err(fail)?;
        }
        Ok(files)
    }

    /// Fetches the task's URIs and has the image on the host. What `image` does begins when it may.
    pub(crate) async fn fetch_and_pull(
        &mut self,
        run: Run<'_>,
        image: impl Future<Output = Result<ImageDetails, Failure>>,
    ) -> Result<(ImageDetails, Fetched), Unprepared> {
        let order = FetchOrder {
            container_id: run.container_id.clone(),
            uris: self.task.uris.clone(),
            sandbox: run.paths.sandbox.clone(),
            account: blocking(|| account(run.owner, self.task.user.as_deref()))
                .map_err(Unprepared::Failed)?,
            rlimits: self.task.container.rlimits.clone(),
            container_directory: self.shared.settings.request.sandbox_directory.clone(),
        };
        let side_by_side = Wanted::all(&order.uris).is_ok_and(|wanted| !may_bring_registry_config(&wanted));
        let killed = CancellationToken::new();
        let shared = self.shared.clone();
        let mut fetch =
            std::pin::pin!(fetch(&shared.settings.fetcher, &order, run, &shared.settings.logs, &killed));
        let mut image = std::pin::pin!(image);
        let (mut fetched, mut pulled) = (None, None);
        let stopped = loop {
            tokio::select! {
                biased;
                Some(Command::Destroy(kill)) = self.commands.recv() => {
                    let phase = if fetched.is_none() { Phase::Fetching } else { Phase::Pulling };
                    break Unprepared::Killed(kill, phase);
                }
                result = &mut fetch, if fetched.is_none() => match result {
                    Ok(files) => {
                        self.step(Event::Fetched);
                        fetched = Some(files);
                    }
                    Err(failure) => return Err(Unprepared::Failed(failure)),
                },
                result = &mut image, if pulled.is_none() && (side_by_side || fetched.is_some()) => match result {
                    Ok(details) => {
                        self.step(Event::Pulled);
                        pulled = Some(details);
                    }
                    Err(failure) => break Unprepared::Failed(failure),
                },
            }
            match (fetched.take(), pulled.take()) {
                (Some(fetched), Some(pulled)) => return Ok((pulled, fetched)),
                both => (fetched, pulled) = both,
            }
        };
        killed.cancel();
        if fetched.is_none() {
            // It answers when the child is gone and what it left half done is swept.
            let _ = fetch.await;
        }
        Err(stopped)
    }
}

/// Whom a fetch runs as: the owner of the sandbox, if it is not left with us.
fn account(owner: Option<Owner>, user: Option<&str>) -> Result<Account, Failure> {
    let fail = |error| Failure::new("fetch", crate::chain(&error));
    owner.map_or_else(|| Ok(Account::ours()), |owner| Account::of(owner, user).map_err(fail))
}

async fn fetch(
    fetcher: &Fetcher,
    order: &FetchOrder,
    run: Run<'_>,
    settings: &crate::logs::LogSettings,
    killed: &CancellationToken,
) -> Result<Fetched, Failure> {
    let Run { paths, owner, files, progress, .. } = run;
    let mut tell = |told: Told<'_>| match told {
        Told::Stdout(bytes) => written(blocking(|| lock(files).print(StreamName::Stdout, bytes))),
        Told::Stderr(bytes) => written(blocking(|| lock(files).print(StreamName::Stderr, bytes))),
        Told::Note(line) => written(blocking(|| lock(files).note(&line))),
        // A courtesy, as with a pull.
        Told::Progress(event) => {
            drop(progress.map(|to| to.try_send(Progress::Fetch(Box::new(event.clone())))))
        }
    };
    let result = fetcher.fetch(order, killed, &mut tell).await;
    let fetched = result.map_err(|error| Failure::new("fetch", crate::chain(&error)));
    if !order.uris.is_empty() {
        written(blocking(|| lock(files).persist()));
        if fetched.is_ok() {
            let fail = |error: SandboxError| Failure::new("fetch", crate::chain(&error));
            blocking(|| take_up(&mut lock(files), paths, owner, *settings)).map_err(fail)?;
        }
    }
    fetched
}

fn lock(files: &Mutex<LogFiles>) -> MutexGuard<'_, LogFiles> {
    files.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Opens the log files again after a fetch: an archive, or an output file, may have put something in their place. It
/// is moved aside, as for anything that a task puts there.
fn take_up(
    files: &mut LogFiles,
    paths: &RunPaths,
    owner: Option<Owner>,
    settings: crate::logs::LogSettings,
) -> Result<(), SandboxError> {
    let directory = Sandbox::open(&paths.sandbox)?;
    let (taken, remarks) = LogFiles::resume(&directory, owner, settings, CursorStore::new(&paths.state))?;
    *files = taken;
    remarks.iter().try_for_each(|remark| files.note(remark))
}

/// A line that is not in the sandbox is no reason to fail a fetch; a full disk fails it by itself.
fn written(result: Result<(), SandboxError>) {
    if let Err(error) = result {
        tracing::warn!(error = crate::chain(&error), "what the fetcher printed was not written");
    }
}
