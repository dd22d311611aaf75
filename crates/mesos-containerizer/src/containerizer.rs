//! The containerizer of plain processes: the table of containers and the verbs of Mesos' containerizer interface.
//!
//! Source: `src/slave/containerizer/mesos/containerizer.cpp`. Departs from it where stock fails or hangs: a failed launch
//! leaves nothing behind, destroy ends only when nothing of the container is left, and a container whose agent was
//! replaced keeps its exit status. Each container is owned by its driver; a verb looks its driver up and talks to it.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use containerizer::{Amounts, InUse, Kill, Table, Usage, View, blocking, chain};
use mesos_types::resource::LocalVolume;
use mesos_types::{ContainerId, EnvVar, PersistentVolume, PlainTaskSpec, TaskLimits, TaskResources};
use sandbox::Owner;
use tokio::sync::{mpsc, watch};
use tokio_util::task::TaskTracker;

use crate::aside::Surroundings;
use crate::begin::find_program;
use crate::driver::{Command, Driver, Launch, Watched};
use crate::error::ContainerizerError;
use crate::isolation::Contained;
use crate::lifecycle::Life;
use crate::order::{LaunchOrder, Running};
use crate::parent::messages::Identity;
use crate::parent::told::{Line, tell};
use crate::prepare;
use crate::settings::Settings;
use crate::subject::Subject;
use crate::volumes::show_persistent;

/// A container that was handed over, from its owner's side.
pub type Handle = containerizer::Handle<Running>;

/// How many commands may wait for a driver: a kill that finds the queue full is one of many like it.
const COMMANDS: usize = 16;

/// What all drivers share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) settings: Settings,
    pub(crate) tasks: TaskTracker,
    /// The program of parents, or why there is none.
    pub(crate) program: Result<PathBuf, String>,
    table: Table<Running, Reach>,
}

/// How a container is reached, and what it runs with.
#[derive(Debug, Clone)]
struct Reach {
    commands: mpsc::Sender<Command>,
    /// Where its parent listens; none for a process without a parent of ours.
    state: Option<PathBuf>,
    surroundings: Arc<Beside>,
    live: Arc<Mutex<Option<Live>>>,
}

type Entry = containerizer::Entry<Running, Reach>;

/// What a container shares with commands beside it, but for its groups.
#[derive(Debug)]
pub(crate) struct Beside {
    pub(crate) sandbox: PathBuf,
    pub(crate) environment: Vec<(String, String)>,
    pub(crate) identity: Option<Identity>,
    pub(crate) limits: Vec<crate::parent::messages::ResourceLimit>,
}

/// A container that runs.
#[derive(Debug, Clone)]
struct Live {
    subject: Arc<Subject>,
    contained: Contained,
}

/// The containerizer of plain processes of one agent or one `mesos-docker`. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Containerizer {
    pub(crate) shared: Arc<Shared>,
}

/// What is known of a container: its first process, once it was started.
pub type ContainerStatus = containerizer::ContainerStatus<Running>;

impl Shared {
    /// Whether another container has a persistent volume too.
    pub(crate) fn is_used_beside(&self, id: ContainerId, volume: &LocalVolume) -> bool {
        self.table.is_used_beside(id, volume)
    }

    /// Takes note of what a container is made of, from its start on.
    pub(crate) fn runs(&self, id: ContainerId, watched: &Watched) {
        let Some(entry) = self.table.get(id) else { return };
        watched.contained.watch_disk(&watched.sandbox, &entry.amounts().resources);
        let live = Live { subject: watched.subject.clone(), contained: watched.contained.clone() };
        *entry.more.live.lock().unwrap_or_else(PoisonError::into_inner) = Some(live);
    }

    /// Drops the container from the table when its end is told.
    pub(crate) fn forget(&self, view: &watch::Sender<View<Running>>) {
        self.table.forget(view);
    }
}

impl Containerizer {
    /// A containerizer on this machine. Where the program of its parents is not found every launch says so.
    #[must_use]
    pub fn new(settings: Settings) -> Self {
        let program = find_program(settings.launcher_dir.as_deref());
        if let Err(why) = &program {
            tracing::warn!("tasks without an image cannot be started: {why}");
        }
        let shared = Shared { settings, tasks: TaskTracker::new(), program, table: Table::default() };
        Self { shared: Arc::new(shared) }
    }

    /// Launches a container. Answers at once; the handle tells what becomes of it.
    ///
    /// # Errors
    ///
    /// An id that is in use, and a user whose groups cannot be looked up.
    pub fn launch(&self, order: LaunchOrder) -> Result<Handle, ContainerizerError> {
        let id = order.identity.container_id;
        let beside = self.beside(id, &order.task, &order.overlay, &order.paths.sandbox, order.owner)?;
        let launch =
            Launch { environment: beside.environment.clone(), identity: beside.identity.clone(), order };
        let state = Some(launch.order.paths.state.clone());
        let (driver, handle) = self.enter(id, &launch.order.task, state, beside, Life::Fetching)?;
        self.shared.tasks.spawn(driver.launch(launch));
        Ok(handle)
    }

    /// Stops a container, whatever it is doing; `None` for an unknown id. A later call with another grace counts.
    ///
    /// The handle's `terminated` tells the end, once nothing of the container is left.
    pub fn destroy(&self, id: ContainerId, kill: Kill) -> Option<Handle> {
        let entry = self.entry(id)?;
        if entry.more.commands.try_send(Command::Destroy(kill)).is_err() {
            tracing::debug!(container_id = %id, "it is ending, or has kills enough");
        }
        Some(entry.handle())
    }

    /// Appends a line of ours to the standard error of a container that runs, where its owner looks. A container that does
    /// not run, or whose parent does not listen, gets none. Never waits.
    pub fn note(&self, id: ContainerId, line: &str) {
        let Some(state) = self.entry(id).and_then(|entry| entry.more.state) else {
            tracing::debug!(container_id = %id, line, "no container for a note");
            return;
        };
        if let Err(error) = blocking(|| tell(&state, &Line::Note(line.to_owned()))) {
            tracing::debug!(container_id = %id, line, %error, "a note was not taken");
        }
    }

    /// The end of a container; `None` for an unknown id.
    #[must_use]
    pub fn wait(&self, id: ContainerId) -> Option<Handle> {
        self.entry(id).map(|entry| entry.handle())
    }

    /// Changes what a container may use.
    ///
    /// As in stock an unknown id is no error, and neither is a container that does not run: it ends, or keeps what it was
    /// launched with.
    ///
    /// # Errors
    ///
    /// The kernel's refusal, and a persistent volume that cannot be shown in the sandbox.
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
        let Some(live) = live(&entry) else {
            tracing::warn!(container_id = %id, "a container that does not run is not updated");
            return Ok(());
        };
        let had = entry.amounts().resources.volumes;
        let given: Vec<_> =
            resources.volumes.iter().filter(|volume| !had.contains(volume)).cloned().collect();
        if !given.is_empty() {
            blocking(|| self.give(id, &entry, &given))?;
        }
        blocking(|| live.contained.update(&resources, &limits))
            .map_err(|source| ContainerizerError::Contain { container_id: id, what: "update", source })?;
        entry.set_amounts(Amounts { resources, limits });
        Ok(())
    }

    /// What a container uses.
    ///
    /// # Errors
    ///
    /// An unknown id, a container that does not run, or groups that cannot be read.
    pub fn usage(&self, id: ContainerId) -> Result<Usage, ContainerizerError> {
        let entry = self.entry(id).ok_or(ContainerizerError::Unknown(id))?;
        let live = live(&entry).ok_or(ContainerizerError::NotRunning(id))?;
        let Amounts { resources, limits } = entry.amounts();
        blocking(|| live.contained.usage(live.subject.supervisor(), &resources, &limits))
            .map_err(|error| ContainerizerError::Usage { container_id: id, why: chain(&error) })
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

    /// What a command beside a container's own shares with it; `None` for a container that does not run.
    #[must_use]
    pub fn surroundings(&self, id: ContainerId) -> Option<Surroundings> {
        let entry = self.entry(id)?;
        let live = live(&entry)?;
        let program = self.shared.program.as_ref().ok()?.clone();
        let beside = &entry.more.surroundings;
        Some(Surroundings {
            program,
            sandbox: beside.sandbox.clone(),
            environment: beside.environment.clone().into(),
            identity: beside.identity.clone(),
            limits: beside.limits.clone().into(),
            groups: live.contained.dirs().iter().map(|dir| dir.path.clone()).collect(),
        })
    }

    /// The ids of all containers whose end was not told.
    #[must_use]
    pub fn containers(&self) -> Vec<ContainerId> {
        self.shared.table.ids()
    }

    /// What the fetcher counted, for metrics.
    #[must_use]
    pub fn fetch_metrics(&self) -> fetcher::agent::Metrics {
        self.shared.settings.fetcher.metrics()
    }

    /// How containers are isolated here.
    #[must_use]
    pub fn containment(&self) -> &crate::isolation::Containment {
        &self.shared.settings.containment
    }

    /// Waits until every container has ended.
    pub async fn settled(&self) {
        self.shared.tasks.close();
        self.shared.tasks.wait().await;
        self.shared.tasks.reopen();
    }

    /// Shows persistent volumes in the sandbox of a container that runs: those of a task that its executor is about to be
    /// given. What a task leaves behind stays where it is (stock takes the link away).
    fn give(
        &self,
        id: ContainerId,
        entry: &Entry,
        volumes: &[PersistentVolume],
    ) -> Result<(), ContainerizerError> {
        let beside = &entry.more.surroundings;
        let owner = beside.identity.as_ref().and_then(|user| Owner::new(user.uid, user.gid).ok());
        let work_dir = &self.shared.settings.work_dir;
        let is_used = |volume: &LocalVolume| self.shared.is_used_beside(id, volume);
        show_persistent(volumes, &beside.sandbox, owner, work_dir, is_used).map_err(|failure| {
            ContainerizerError::Volume { container_id: id, why: failure.message().to_owned() }
        })
    }

    fn entry(&self, id: ContainerId) -> Option<Entry> {
        self.shared.table.get(id)
    }

    /// What a container is given, and what commands beside it share.
    pub(crate) fn beside(
        &self,
        id: ContainerId,
        task: &PlainTaskSpec,
        overlay: &[EnvVar],
        sandbox: &std::path::Path,
        owner: Option<Owner>,
    ) -> Result<Beside, ContainerizerError> {
        let identity = blocking(|| prepare::identity(owner, task.user.as_deref())).map_err(|failure| {
            ContainerizerError::User { container_id: id, why: failure.message().to_owned() }
        })?;
        let shown = sandbox.to_string_lossy();
        Ok(Beside {
            sandbox: sandbox.to_owned(),
            environment: prepare::environment(task, overlay, &shown, &id.to_string()),
            identity,
            limits: prepare::limits(task),
        })
    }

    /// Takes a container into the table.
    pub(crate) fn enter(
        &self,
        id: ContainerId,
        task: &PlainTaskSpec,
        state: Option<PathBuf>,
        beside: Beside,
        life: Life,
    ) -> Result<(Driver, Handle), ContainerizerError> {
        let (commands, received) = mpsc::channel(COMMANDS);
        let (view, seen) = watch::channel(View::default());
        let amounts = Amounts { resources: task.resources.clone(), limits: task.limits };
        let reach = Reach { commands, state, surroundings: Arc::new(beside), live: Arc::default() };
        let entry = Entry::new(seen, amounts, reach);
        let handle = entry.handle();
        let entered = self.shared.table.enter(id, entry);
        entered.map_err(|InUse| ContainerizerError::AlreadyStarted(id))?;
        let driver = Driver { shared: self.shared.clone(), id, commands: received, view, life, kill: None };
        Ok((driver, handle))
    }
}

/// What a container runs as; `None` before it was started.
fn live(entry: &Entry) -> Option<Live> {
    entry.more.live.lock().unwrap_or_else(PoisonError::into_inner).clone()
}
