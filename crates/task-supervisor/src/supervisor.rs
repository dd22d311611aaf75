//! Launching and adopting tasks, and the loop that carries each to its terminal status.
//!
//! ```text
//! TaskOrder ──prepare──► Prepared ──launch──► TaskHandle
//!                                               ▲ updates: STARTING, RUNNING, [KILLING], one terminal
//!                                               │ kills
//! Record (on disk) ──adopt──────────────────────┘
//! ```
//!
//! One task of the runtime owns one Mesos task. The record is written before each effect that it tells of; a status is
//! sent once, the terminal one only when the container is known to be stopped and its output is in the sandbox.

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use checks::{CheckCounts, CheckRunner, CheckSettings, EngineHealthWatcher};
use docker_containerizer::{
    AdoptOrder, Checkpoint, Containerizer as Docker, Identity, Labels, LaunchOrder, RemovalDelay, StopSignal,
};
use mesos_containerizer::Containerizer as Mesos;
use mesos_proto::{Message, v1};
use mesos_types::{EnvVar, Notice, PlainTaskSpec, PullPolicy, Reading, TaskSpec};
use nix::unistd::geteuid;
use sandbox::{Owner, Sandbox, SandboxError};
use tokio::sync::mpsc;

use crate::checking::{CheckMakers, Checking};
use crate::composing::{Composing, ComposingError, Handle, Kind, Progress};
use crate::error::{PrepareError, SuperviseError};
use crate::layout::RunLayout;
use crate::machine::{Killing, Machine};
use crate::mask::MaskedVariables;
use crate::order::{Adoption, Given, ImageState, LateOwner, Prepared, TaskHandle, TaskOrder, Uris};
use crate::plan::{DockerPlan, Plan, Terms, add_defaults};
use crate::record::{Phase, Record, RecordStore};
use crate::status::StatusMaker;
use crate::task_loop::Loop;

/// How many updates of a task may wait to be taken.
const UPDATES: usize = 64;

/// How many kills of a task may wait.
const KILLS: usize = 8;

/// What the flags say about supervision.
#[derive(Debug, Clone)]
pub struct SupervisorSettings {
    /// The canonical work directory.
    pub work_dir: PathBuf,
    /// The grace of a task that names none (`--executor_shutdown_grace_period`).
    pub default_grace: Duration,
    /// How tasks are read: whether fields without effect are refused, and whether a task's user is honoured.
    pub reading: Reading,
    /// When stopped containers are removed.
    pub removal: RemovalDelay,
    /// The host's address, for tasks without their own.
    pub host_address: Option<IpAddr>,
    /// Whose values are masked in what is told of a container (`--docker_mask_environment`).
    pub masked: MaskedVariables,
    /// How checks are made.
    pub checks: CheckSettings,
}

/// Supervises tasks with the containerizers of an agent. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Supervisor {
    containerizers: Composing,
    checks: CheckMakers,
    settings: SupervisorSettings,
}

impl Supervisor {
    /// A supervisor that launches with these containerizers, or with this one.
    pub fn new(containerizers: impl Into<Composing>, settings: SupervisorSettings) -> Self {
        let containerizers = containerizers.into();
        let docker = containerizers.docker();
        let checks = CheckMakers {
            runner: CheckRunner::new(settings.checks),
            engine: docker.map(|docker| EngineHealthWatcher::new(docker.engine().clone())),
        };
        Self { containerizers, checks, settings }
    }

    /// The containerizers as one.
    pub fn containerizer(&self) -> &Composing {
        &self.containerizers
    }

    /// The Docker containerizer, if it is among them.
    pub fn docker(&self) -> Option<&Docker> {
        self.containerizers.docker()
    }

    /// What became of the tasks' checks so far, for metrics.
    pub fn check_counts(&self) -> CheckCounts {
        self.checks.runner.counts()
    }

    /// Checks a task and translates it; does nothing else. Its id is taken until what is answered is launched or dropped.
    ///
    /// # Errors
    ///
    /// The first field that cannot be honoured, or that no containerizer takes the task.
    pub fn prepare(&self, order: TaskOrder) -> Result<Prepared, PrepareError> {
        let given = &order.given;
        let layout =
            given.layout.clone().unwrap_or_else(|| RunLayout::of(&self.settings.work_dir, &order.identity));
        let launching = self.containerizers.claim(order.identity.container_id)?;
        let plan = match self.containerizers.choose(&launching, order.info.container.as_ref())? {
            Kind::Docker => Plan::Docker(Box::new(self.plan_docker(&order, &layout)?)),
            Kind::Mesos => Plan::Plain(Box::new(self.plan_plain(&order)?)),
        };
        Ok(Prepared { order, plan, layout, launching })
    }

    fn plan_docker(&self, order: &TaskOrder, layout: &RunLayout) -> Result<DockerPlan, PrepareError> {
        let mut task = TaskSpec::from_task_info(&order.info, self.settings.reading)?;
        crate::owner::run_as(&mut task, order.owner);
        let given = &order.given;
        add_defaults(&mut task.environment, &given.defaults);
        if given.uris == Uris::Present {
            task.uris.clear();
        }
        if given.image == ImageState::Pulled {
            task.container.pull = PullPolicy::IfMissing;
        }
        let labels = self.labels(&order.identity, order.checkpoint);
        let name = given.container_name.as_deref();
        let docker = self.needed_docker()?;
        let request = docker.plan(&task, &labels, layout.sandbox(), &given.environment, name)?;
        Ok(DockerPlan { task, labels, request })
    }

    fn plan_plain(&self, order: &TaskOrder) -> Result<PlainTaskSpec, PrepareError> {
        let mut task = PlainTaskSpec::from_task_info(&order.info, self.settings.reading)?;
        let given = &order.given;
        if !given.environment.is_empty() {
            let mut environment = given.environment.clone();
            add_defaults(&mut environment, &task.environment);
            task.environment = environment;
        }
        if given.uris == Uris::Present {
            task.uris.clear();
        }
        Ok(task)
    }

    /// Writes the record of a task that was accepted, before anything is done for it: the process that finds it launches
    /// the task. To be called before what tells others of the task is on disk.
    ///
    /// # Errors
    ///
    /// The record cannot be written.
    pub fn note_accepted(&self, identity: &Identity, info: &v1::TaskInfo) -> Result<(), SuperviseError> {
        let layout = RunLayout::of(&self.settings.work_dir, identity);
        let store = record_store(&layout)?;
        Ok(store.write(&Record::waiting(identity, info.encode_to_vec()))?)
    }

    /// Launches a task. Answers when the launch is under way.
    ///
    /// # Errors
    ///
    /// The sandbox or the record cannot be made; nothing is left behind then.
    pub fn launch(&self, prepared: Prepared) -> Result<TaskHandle, SuperviseError> {
        let Prepared { order, plan, layout, launching } = prepared;
        let TaskOrder { identity, info, info_bytes, task_killing, owner, tap, given, .. } = order;
        // The directory is held by whoever opens it; here it must only come to be, or have come to be.
        drop(match given.layout {
            None => Sandbox::create(layout.sandbox(), owner)?,
            Some(_) => Sandbox::open(layout.sandbox())?,
        });
        let store = record_store(&layout)?;
        let terms = plan.terms();
        let record = match &plan {
            Plan::Docker(plan) => Record::accepted(&identity, info_bytes, plan.request.name.clone()),
            Plan::Plain(_) => Record::plain(&identity, info_bytes),
        };
        store.write(&record)?;
        let (handle, progress) = match plan {
            Plan::Docker(plan) => {
                let DockerPlan { task, labels, request } = *plan;
                let docker = self.needed_docker()?;
                let (progress, told) = mpsc::channel(UPDATES);
                let handle = self.containerizers.commit(&launching, || {
                    let launched = docker.launch(LaunchOrder {
                        labels,
                        task,
                        request,
                        paths: layout.paths(),
                        owner,
                        output: given.output,
                        tap,
                        progress: Some(progress),
                        removal: self.settings.removal,
                    });
                    Ok(Handle::Docker(launched?))
                })?;
                (handle, Progress::Docker(told))
            }
            Plan::Plain(task) => {
                let mesos = self.needed_mesos()?;
                let (progress, told) = mpsc::channel(UPDATES);
                let handle = self.containerizers.commit(&launching, || {
                    let launched = mesos.launch(mesos_containerizer::LaunchOrder {
                        identity: identity.clone(),
                        task: *task,
                        overlay: given.defaults,
                        paths: layout.paths(),
                        owner,
                        tap,
                        progress: Some(progress),
                    });
                    Ok(Handle::Mesos(launched?))
                })?;
                (handle, Progress::Mesos(told))
            }
        };
        let machine = Machine::accepted(task_killing, terms.grace.unwrap_or(self.settings.default_grace));
        Ok(self.supervise(Loop {
            containerizers: self.containerizers.clone(),
            handle,
            progress: Some(progress),
            record,
            store,
            maker: self.status_maker(&identity, &info),
            identity,
            machine,
            late: Vec::new(),
            checking: Checking::new(self.checks.clone(), &terms),
            max_completion: terms.max_completion,
            removal: self.settings.removal,
            layout,
        }))
    }

    /// Takes over a run of an earlier process: follows its output from where that one ended, and tells what is still
    /// to be told. One that it did not come to launch is launched.
    ///
    /// # Errors
    ///
    /// A record that cannot be used, a run that has ended, or an engine that does not answer.
    pub async fn adopt(&self, layout: RunLayout, adoption: Adoption) -> Result<TaskHandle, SuperviseError> {
        let store = RecordStore::new(layout.state());
        let record = store.read().map_err(|error| match error {
            error if error.is_missing() => SuperviseError::UnknownRun { path: layout.state().to_owned() },
            error => error.into(),
        })?;
        if record.phase == Phase::Terminal {
            return Err(SuperviseError::Ended(record.end().map(Box::new)));
        }
        let info = v1::TaskInfo::decode(record.task_info.as_slice()).map_err(|_| SuperviseError::TaskInfo)?;
        if record.is_waiting {
            return self.launch_late(record, info, adoption);
        }
        let Adoption { task_killing, tap, told, defaults, owner: _ } = adoption;
        let identity = record.identity();
        let (terms, unchecked, handle) = match record.containerizer {
            // The future is large, and so are the tasks of a host that adopts many.
            Kind::Docker => Box::pin(self.adopt_docker(&record, &info, &layout, tap)).await?,
            Kind::Mesos => Box::pin(self.adopt_plain(&record, &info, &layout, defaults)).await?,
        };
        for notice in unchecked {
            tracing::warn!(container = %identity.container_id, %notice, "an adopted task goes on unchecked");
            self.containerizers.note(identity.container_id, &notice.to_string());
        }
        let grace = terms.grace.unwrap_or(self.settings.default_grace);
        let killing = record.kill.map(|kill| Killing { cause: kill.cause, grace: kill.grace(grace) });
        let is_running = record.phase == Phase::Running;
        let (machine, late) = Machine::adopted(task_killing, grace, is_running, killing, told);
        let mut maker = self.status_maker(&identity, &info);
        maker.ran(record.image.clone());
        if let Some(checks) = &record.checks {
            let check = terms.check.as_ref().map(|check| checks.check.status(check));
            maker.checked_before(checks.healthy, check);
        }
        Ok(self.supervise(Loop {
            containerizers: self.containerizers.clone(),
            identity,
            handle,
            progress: None,
            record,
            store,
            maker,
            machine,
            late,
            checking: Checking::new(self.checks.clone(), &terms),
            max_completion: terms.max_completion,
            removal: self.settings.removal,
            layout,
        }))
    }

    /// Launches a task that an earlier process has accepted and done nothing for.
    fn launch_late(
        &self,
        record: Record,
        info: v1::TaskInfo,
        adoption: Adoption,
    ) -> Result<TaskHandle, SuperviseError> {
        let owner = match adoption.owner {
            LateOwner::Given(owner) => owner,
            LateOwner::OfCommand => {
                let user = info.command.as_ref().and_then(|command| command.user.as_deref());
                // Without an owner it would run as who we are.
                user.map(crate::owner::owner_of).transpose()?
            }
        };
        let order = TaskOrder {
            info_bytes: record.task_info.clone(),
            owner,
            tap: adoption.tap,
            given: Given { defaults: adoption.defaults, ..Given::default() },
            ..TaskOrder::new(record.identity(), info, adoption.task_killing)
        };
        self.launch(self.prepare(order)?)
    }

    async fn adopt_docker(
        &self,
        record: &Record,
        info: &v1::TaskInfo,
        layout: &RunLayout,
        tap: Option<docker_containerizer::logs::LogTap>,
    ) -> Result<(Terms, Vec<Notice>, Handle), SuperviseError> {
        let (task, unchecked) = TaskSpec::of_running_task(info)?;
        let terms = Terms::from(&task);
        let order = AdoptOrder {
            labels: self.labels(&record.identity(), Checkpoint::Yes),
            task,
            engine_id: record.engine_id.clone().unwrap_or_else(|| record.container_name.clone()),
            started_at: record.started_at(),
            stop_signal: stop_signal(record),
            paths: layout.paths(),
            owner: owner_of_task(terms.user.as_deref()),
            tap,
            removal: self.settings.removal,
        };
        let handle = self.needed_docker()?.adopt(order).await.map_err(ComposingError::from)?;
        Ok((terms, unchecked, Handle::Docker(handle)))
    }

    async fn adopt_plain(
        &self,
        record: &Record,
        info: &v1::TaskInfo,
        layout: &RunLayout,
        overlay: Vec<EnvVar>,
    ) -> Result<(Terms, Vec<Notice>, Handle), SuperviseError> {
        let (task, unchecked) = PlainTaskSpec::of_running_task(info)?;
        let terms = Terms::from(&task);
        let owner = owner_of_sandbox(layout).map_err(ComposingError::Sandbox)?;
        let order = mesos_containerizer::AdoptOrder {
            identity: record.identity(),
            task,
            overlay,
            stop_signal: stop_signal(record),
            paths: layout.paths(),
            owner,
        };
        let handle = self.needed_mesos()?.adopt(order).await.map_err(ComposingError::from)?;
        Ok((terms, unchecked, Handle::Mesos(handle)))
    }

    /// What makes statuses of a task, for a host that has to tell one itself.
    pub fn status_maker(&self, identity: &Identity, info: &v1::TaskInfo) -> StatusMaker {
        StatusMaker::new(identity.clone(), info, self.settings.host_address, self.settings.masked)
    }

    fn needed_docker(&self) -> Result<&Docker, ComposingError> {
        self.docker().ok_or(ComposingError::Absent(Kind::Docker))
    }

    fn needed_mesos(&self) -> Result<&Mesos, ComposingError> {
        self.containerizers.mesos().ok_or(ComposingError::Absent(Kind::Mesos))
    }

    fn labels(&self, identity: &Identity, checkpoint: Checkpoint) -> Labels {
        Labels { identity: identity.clone(), work_dir: self.settings.work_dir.clone(), checkpoint }
    }

    fn supervise(&self, task: Loop) -> TaskHandle {
        let (updates, told) = mpsc::channel(UPDATES);
        let (kills, wanted) = mpsc::channel(KILLS);
        let layout = task.layout.clone();
        tokio::spawn(task.run(updates, wanted));
        TaskHandle { updates: told, kills, layout }
    }
}

/// The store of a run's record, whose directory is made.
fn record_store(layout: &RunLayout) -> Result<RecordStore, SuperviseError> {
    layout
        .create_state()
        .map_err(|source| SuperviseError::State { path: layout.state().to_owned(), source })?;
    Ok(RecordStore::new(layout.state()))
}

/// The owner of a sandbox that an earlier process has made for this user.
fn owner_of_task(user: Option<&str>) -> Option<Owner> {
    user.and_then(|user| crate::owner::owner_of(user).ok())
}

/// Whom a task without an image runs as that an earlier process has launched: what its sandbox says, which no task can give
/// away, and not the database of users, which may say something else by now, or nothing. `None`: who we are, or nobody, as
/// nothing can be run in a sandbox that is gone.
fn owner_of_sandbox(layout: &RunLayout) -> Result<Option<Owner>, SandboxError> {
    match Sandbox::open(layout.sandbox()).and_then(|sandbox| sandbox.owner()) {
        Ok(owner) => Ok(Some(owner).filter(|owner| owner.uid() != geteuid().as_raw())),
        Err(error) if error.is_not_found() => Ok(None),
        Err(error) => Err(error),
    }
}

/// Whether an earlier process has seen the container take its stop signal.
fn stop_signal(record: &Record) -> StopSignal {
    match record.kill {
        Some(kill) if kill.signalled => StopSignal::Sent,
        Some(_) | None => StopSignal::Due,
    }
}
