//! The Docker containerizer: the table of containers and the verbs of Mesos' containerizer interface.
//!
//! Source: `src/slave/containerizer/docker.cpp`. Departs from it where stock fails or hangs: a second launch of an id is
//! an error instead of an abort, a failed launch leaves nothing behind, and destroy ends only when the container is
//! gone. Each container is owned by its driver; a verb looks its driver up and talks to it, so one container that hangs
//! does not delay the others.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use containerizer::cgroups::Host;
use containerizer::{Amounts, InUse, Kill, StopSignal, Table, Usage, blocking};
use docker_engine::{Engine, EngineError, Inspection, Terminal};
use fetcher::agent::Fetcher;
use mesos_types::resource::LocalVolume;
use mesos_types::{ContainerId, EnvVar, FieldError, TaskLimits, TaskResources, TaskSpec};
use tokio::sync::{mpsc, watch};
use tokio_util::task::TaskTracker;

use crate::credentials::CredentialSources;
use crate::driver::{Command, Driver, Lines, View, Watched};
use crate::exit::over;
use crate::images::{ImageTimes, PullCounters, PullManager, PullSettings};
use crate::labels::Labels;
use crate::lifecycle::Life;
use crate::logs::{CursorStore, LogFiles, LogSettings, NoteSender, Source};
use crate::names::container_name;
use crate::order::{AdoptOrder, LaunchOrder, Running};
use crate::request::{self, CpuQuota, EngineFacts, Output, Request, RequestInput, RequestSettings};

/// How many commands may wait for a driver: a kill that finds the queue full is one of many like it.
const COMMANDS: usize = 16;

/// How often a container that could not be updated is looked at, to tell whether it is ending.
const LOOKS: usize = 10;

/// How long between two looks.
const BETWEEN_LOOKS: std::time::Duration = std::time::Duration::from_millis(100);

/// What the flags say about the containerizer.
#[derive(Debug, Clone)]
pub struct Settings {
    /// How requests are made.
    pub request: RequestSettings,
    /// How the sandbox's log files are kept.
    pub logs: LogSettings,
    /// How long nothing of the end of a log may be read after the exit.
    pub drain_deadline: Duration,
    /// How long the engine may take to tell an exit code after the process was seen gone.
    pub exit_deadline: Duration,
    /// How images are pulled.
    pub pulls: PullSettings,
    /// Where credentials for pulls come from.
    pub credentials: CredentialSources,
    /// Whether a task finds the credentials that it brought (`--docker_hide_credentials`).
    pub fetched_credentials: FetchedCredentials,
    /// What fetches the tasks' URIs.
    pub fetcher: Fetcher,
}

/// What becomes of the registry credentials that a task brought into its sandbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum FetchedCredentials {
    /// They stay where they are, as in Mesos.
    #[default]
    Stay,
    /// They are removed before the task starts.
    Hidden,
}

/// What all drivers share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) engine: Engine,
    pub(crate) settings: Settings,
    pub(crate) tasks: TaskTracker,
    pub(crate) pulls: PullManager,
    /// Whether containers outlive the engine.
    pub(crate) live_restore: bool,
    table: Table<Running, Reach>,
}

/// How the driver of a container is reached.
#[derive(Debug, Clone)]
struct Reach {
    commands: mpsc::Sender<Command>,
    notes: NoteSender,
}

type Entry = containerizer::Entry<Running, Reach>;

/// The Docker containerizer of one agent or one `mesos-docker`. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Containerizer {
    shared: Arc<Shared>,
    facts: EngineFacts,
    host: Host,
}

/// A container that was handed over, from its owner's side.
pub type Handle = containerizer::Handle<Running>;

/// Why a verb could not be performed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ContainerizerError {
    /// The id is in use.
    #[error("container {0} is already started")]
    AlreadyStarted(ContainerId),
    /// No container has the id.
    #[error("unknown container: {0}")]
    Unknown(ContainerId),
    /// The container does not run, or not yet.
    #[error("container {0} is not running")]
    NotRunning(ContainerId),
    /// Its control groups cannot be read.
    #[error("cannot read the usage of container {container_id}: {why}")]
    Usage {
        /// The container.
        container_id: ContainerId,
        /// The chain of causes.
        why: String,
    },
    /// The engine.
    #[error("cannot {what} container {container_id}")]
    Engine {
        /// The verb.
        what: &'static str,
        /// The container.
        container_id: ContainerId,
        /// Why.
        source: EngineError,
    },
    /// An update that would give it a persistent volume that it was not launched with.
    #[error("cannot update container {0}: it cannot be given a persistent volume while it runs")]
    Volumes(ContainerId),
    /// The files of an adopted run.
    #[error("cannot open the sandbox of container {container_id}")]
    Sandbox {
        /// The container.
        container_id: ContainerId,
        /// Why.
        source: sandbox::SandboxError,
    },
}

/// What is known of a container: what the engine said of it when it started.
pub type ContainerStatus = containerizer::ContainerStatus<Running>;

impl Shared {
    /// Whether another container has a persistent volume too.
    pub(crate) fn is_used_beside(&self, id: ContainerId, volume: &LocalVolume) -> bool {
        self.table.is_used_beside(id, volume)
    }

    /// Drops the container from the table when its end is told.
    pub(crate) fn forget(&self, view: &watch::Sender<View>) {
        self.table.forget(view);
    }
}

impl Containerizer {
    /// A containerizer on an engine.
    ///
    /// # Errors
    ///
    /// The engine does not tell what it is.
    pub async fn new(engine: Engine, mut settings: Settings) -> Result<Self, EngineError> {
        let info = engine.info(engine.deadlines().info).await?;
        Arc::make_mut(&mut settings.request.policy).set_default_runtime(&info.default_runtime);
        let facts = EngineFacts::from(&info);
        let host = Host { cpus: f64::from(info.ncpu), memory: info.mem_total };
        let tasks = TaskTracker::new();
        let pulls = PullManager::new(engine.clone(), settings.pulls, tasks.clone());
        let live_restore = info.live_restore;
        let shared = Shared { engine, settings, tasks, pulls, live_restore, table: Table::default() };
        Ok(Self { shared: Arc::new(shared), facts, host })
    }

    /// The engine that it drives.
    pub fn engine(&self) -> &Engine {
        &self.shared.engine
    }

    /// Translates a task into the request that [`Containerizer::launch`] sends; sends nothing itself. Blocks on the file
    /// system where the policy constrains host paths or devices; the other tasks of a runtime's thread go on elsewhere.
    ///
    /// # Errors
    ///
    /// The field that cannot be translated, or a persistent volume that is not there.
    pub fn plan(
        &self,
        task: &TaskSpec,
        labels: &Labels,
        sandbox: &Path,
        overlay: &[EnvVar],
        name: Option<&str>,
    ) -> Result<Request, FieldError> {
        let input = RequestInput {
            task,
            labels,
            sandbox,
            name,
            overlay,
            settings: &self.shared.settings.request,
            engine: &self.facts,
        };
        blocking(|| {
            let request = request::build(&input)?;
            crate::mount::check_volumes(&request.mount_points)?;
            Ok(request)
        })
    }

    /// Launches a container. Answers at once; the handle tells what becomes of it.
    ///
    /// # Errors
    ///
    /// An id that is in use.
    pub fn launch(&self, order: LaunchOrder) -> Result<Handle, ContainerizerError> {
        let id = order.labels.identity.container_id;
        let name = order.request.name.clone();
        let (driver, handle) = self.enter(id, name, order.task.clone(), Life::accepted(), order.removal)?;
        self.shared.tasks.spawn(driver.launch(order));
        Ok(handle)
    }

    /// Takes over a container that an earlier process launched, running or stopped, and carries it to its end.
    ///
    /// # Errors
    ///
    /// An id that is in use, a sandbox that cannot be opened, or an engine that does not answer. A container that is
    /// gone is no error: its end is told as removed from outside.
    pub async fn adopt(&self, order: AdoptOrder) -> Result<Handle, ContainerizerError> {
        let identity = &order.labels.identity;
        let id = identity.container_id;
        let engine = &self.shared.engine;
        let inspection = engine
            .inspect(&order.engine_id, engine.deadlines().inspect)
            .await
            .map_err(|source| ContainerizerError::Engine { what: "adopt", container_id: id, source })?;
        let directory = sandbox::Sandbox::open(&order.paths.sandbox)
            .map_err(|source| ContainerizerError::Sandbox { container_id: id, source })?;
        let store = CursorStore::new(&order.paths.state);
        let complete = blocking(|| store.load()).is_some_and(|cursors| cursors.complete);
        let settings = self.shared.settings.logs;
        let (mut files, remarks) = blocking(|| LogFiles::resume(&directory, order.owner, settings, store))
            .map_err(|source| ContainerizerError::Sandbox { container_id: id, source })?;
        for remark in remarks {
            if let Err(error) = files.note(&remark) {
                tracing::warn!(container_id = %id, error = crate::chain(&error), "a remark was not written");
            }
        }
        let name = container_name(&identity.agent_id, id);
        let (mut driver, handle) = self.enter(id, name, order.task, Life::adopted(), order.removal)?;
        driver.view.send_modify(|view| view.signalled = order.stop_signal == StopSignal::Sent);
        let has_terminal = inspection.as_ref().map_or(driver.task.container.terminal, |now| now.tty);
        let terminal = if has_terminal { Terminal::Yes } else { Terminal::No };
        let source = match &inspection {
            Some(now) if request::output_of(&now.log_driver, now.tty) == Output::Attach => {
                Source::Reattach(terminal)
            }
            Some(_) if complete => Source::Read,
            Some(_) => Source::Log,
            None => Source::Read,
        };
        let engine_id = inspection.as_ref().map_or(order.engine_id, |now| now.id.clone());
        // A container that was never started ends every wait with 0, which would look like success.
        let never_started = match &inspection {
            Some(now) => !now.state.started_at.is_set(),
            None => order.started_at.is_none(),
        };
        if never_started {
            driver.life = Life::accepted();
            self.shared.tasks.spawn(driver.abandon(engine_id));
            return Ok(handle);
        }
        let file_size = request::file_size(inspection.as_ref().and_then(max_log_size).as_deref());
        let (stopped, logs) = driver.follow(&engine_id, files, order.tap, source, file_size);
        let watched = match &inspection {
            Some(now) => {
                if let Some(signal) = now.stop_signal.as_ref() {
                    driver.stop_signal.clone_from(signal);
                }
                let mut watched = driver.watch(now, stopped, logs);
                if let Some(started_at) = order.started_at {
                    watched.started_at = started_at;
                }
                watched.over = over(Some(now), &watched.started_at);
                watched
            }
            None => Watched {
                engine_id,
                started_at: order.started_at.unwrap_or_default(),
                process: None,
                cgroups: None,
                stopped,
                logs,
                over: None,
            },
        };
        self.shared.tasks.spawn(driver.run(watched));
        Ok(handle)
    }

    /// Stops a container, whatever it is doing; `None` for an unknown id. A later call with another grace counts.
    ///
    /// The handle's [`Handle::terminated`] tells the end, once the container is known to be stopped.
    pub fn destroy(&self, id: ContainerId, kill: Kill) -> Option<Handle> {
        let entry = self.entry(id)?;
        if entry.more.commands.try_send(Command::Destroy(kill)).is_err() {
            tracing::debug!(container_id = %id, "it is ending, or has kills enough");
        }
        Some(entry.handle())
    }

    /// Appends a line of ours to the standard error of a container that runs, where its owner looks. It is written with
    /// the output, soon; a container that has ended, or has lines enough waiting, gets none. Never waits.
    pub fn note(&self, id: ContainerId, line: &str) {
        match self.entry(id) {
            Some(entry) => entry.more.notes.send(line),
            None => tracing::debug!(container_id = %id, line, "no container for a note"),
        }
    }

    /// The end of a container; `None` for an unknown id.
    pub fn wait(&self, id: ContainerId) -> Option<Handle> {
        self.entry(id).map(|entry| entry.handle())
    }

    /// Changes what a container may use: shares, quota and memory, up and down. A limit that is absent now and was there
    /// before is taken back.
    ///
    /// As in stock an unknown id is no error, and neither is a container that does not run: it ends, or keeps what it was
    /// launched with.
    ///
    /// # Errors
    ///
    /// The engine's refusal, and other persistent volumes than the container was launched with.
    pub async fn update(
        &self,
        id: ContainerId,
        resources: TaskResources,
        limits: TaskLimits,
    ) -> Result<(), ContainerizerError> {
        let Some(entry) = self.entry(id) else {
            tracing::warn!(container_id = %id, "an unknown container is not updated");
            return Ok(());
        };
        let engine_id = entry.running().map(|running| running.engine_id);
        let Some(engine_id) = engine_id else {
            tracing::warn!(container_id = %id, "a container that does not run is not updated");
            return Ok(());
        };
        let quota = self.shared.settings.request.cfs;
        let had = entry.amounts();
        // What a task of an executor leaves behind stays mounted, for the next one.
        if resources.volumes.iter().any(|volume| !had.resources.volumes.contains(volume)) {
            return Err(ContainerizerError::Volumes(id));
        }
        let before = request::amounts(&had.resources, &had.limits, quota, self.facts.memory);
        let change = request::update(before, &resources, &limits, quota, self.facts.memory);
        let resources = TaskResources { volumes: had.resources.volumes, ..resources };
        let engine = &self.shared.engine;
        if let Err(source) = engine.update(&engine_id, &change, engine.deadlines().update).await {
            if self.is_ending(&engine_id).await {
                tracing::debug!(container_id = %id, "a container that has ended meanwhile is not updated");
                return Ok(());
            }
            return Err(ContainerizerError::Engine { what: "update", container_id: id, source });
        }
        entry.set_amounts(Amounts { resources, limits });
        Ok(())
    }

    /// Whether a container has stopped, or is about to be seen so: its process is gone a moment before the engine knows.
    async fn is_ending(&self, engine_id: &str) -> bool {
        let engine = &self.shared.engine;
        for _ in 0..LOOKS {
            match engine.inspect(engine_id, engine.deadlines().inspect).await {
                Ok(Some(found)) if found.state.running => tokio::time::sleep(BETWEEN_LOOKS).await,
                Ok(Some(_) | None) => return true,
                Err(_) => return false,
            }
        }
        false
    }

    /// What a container uses, from its control groups; no engine call.
    ///
    /// # Errors
    ///
    /// An unknown id, a container that does not run, or groups that cannot be read.
    pub fn usage(&self, id: ContainerId) -> Result<Usage, ContainerizerError> {
        let entry = self.entry(id).ok_or(ContainerizerError::Unknown(id))?;
        let cgroups = entry.running().and_then(|running| running.cgroups);
        let cgroups = cgroups.ok_or(ContainerizerError::NotRunning(id))?;
        let amounts = entry.amounts();
        let quota: CpuQuota = self.shared.settings.request.cfs;
        cgroups
            .usage(&amounts.resources, &amounts.limits, quota, self.host)
            .map_err(|error| ContainerizerError::Usage { container_id: id, why: crate::chain(&error) })
    }

    /// What is known of a container.
    ///
    /// # Errors
    ///
    /// An unknown id.
    pub fn status(&self, id: ContainerId) -> Result<ContainerStatus, ContainerizerError> {
        let entry = self.entry(id).ok_or(ContainerizerError::Unknown(id))?;
        Ok(ContainerStatus { container_id: id, running: entry.running() })
    }

    /// The ids of all containers whose end was not told.
    pub fn containers(&self) -> Vec<ContainerId> {
        self.shared.table.ids()
    }

    /// What became of pulls so far, for metrics.
    pub fn pull_counters(&self) -> PullCounters {
        self.shared.pulls.counters()
    }

    /// What the fetcher counted, for metrics.
    pub fn fetch_metrics(&self) -> fetcher::agent::Metrics {
        self.shared.settings.fetcher.metrics()
    }

    /// How long launches took to have their image, for metrics.
    pub fn image_times(&self) -> ImageTimes {
        self.shared.pulls.image_times()
    }

    /// Waits until every container has ended and every due removal is done.
    pub async fn settled(&self) {
        self.shared.tasks.close();
        self.shared.tasks.wait().await;
        self.shared.tasks.reopen();
    }

    pub(crate) fn shared(&self) -> Arc<Shared> {
        self.shared.clone()
    }

    /// The engine's id of a container that runs.
    pub(crate) fn engine_id(&self, id: ContainerId) -> Result<String, ContainerizerError> {
        let entry = self.entry(id).ok_or(ContainerizerError::Unknown(id))?;
        let engine_id = entry.running().map(|running| running.engine_id);
        engine_id.ok_or(ContainerizerError::NotRunning(id))
    }

    /// Adds what a container asked for to what it uses.
    pub(crate) fn add_bounds(&self, id: ContainerId, usage: &mut Usage) {
        let Some(entry) = self.entry(id) else { return };
        let amounts = entry.amounts();
        let quota = self.shared.settings.request.cfs;
        containerizer::cgroups::add_bounds(usage, &amounts.resources, &amounts.limits, quota, self.host);
    }

    fn entry(&self, id: ContainerId) -> Option<Entry> {
        self.shared.table.get(id)
    }

    pub(crate) fn enter(
        &self,
        id: ContainerId,
        name: String,
        task: TaskSpec,
        life: Life,
        removal: containerizer::RemovalDelay,
    ) -> Result<(Driver, Handle), ContainerizerError> {
        let (commands, received) = mpsc::channel(COMMANDS);
        let (view, seen) = watch::channel(View::default());
        let (sender, notes) = crate::logs::notes();
        let amounts = Amounts { resources: task.resources.clone(), limits: task.limits };
        let entry = Entry::new(seen, amounts, Reach { commands, notes: sender });
        let handle = entry.handle();
        let entered = self.shared.table.enter(id, entry);
        entered.map_err(|InUse| ContainerizerError::AlreadyStarted(id))?;
        let lines = Lines { commands: received, view, notes };
        let driver = Driver::new(self.shared.clone(), task, name, lines, removal, life);
        Ok((driver, handle))
    }
}

/// The size of the files of a container's log, as the engine was told it.
fn max_log_size(inspection: &Inspection) -> Option<String> {
    let raw: serde_json::Value = serde_json::from_slice(&inspection.raw).ok()?;
    raw.pointer("/HostConfig/LogConfig/Config/max-size")?.as_str().map(str::to_owned)
}
