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
    AdoptOrder, Checkpoint, Containerizer, Identity, Labels, LaunchOrder, RemovalDelay, StopSignal,
};
use mesos_proto::{Message, v1};
use mesos_types::{FieldError, PullPolicy, Reading, TaskSpec};
use sandbox::Sandbox;
use tokio::sync::mpsc;

use crate::checking::{CheckMakers, Checking};
use crate::error::SuperviseError;
use crate::layout::RunLayout;
use crate::machine::{Killing, Machine};
use crate::mask::MaskedVariables;
use crate::order::{Adoption, ImageState, Prepared, TaskHandle, TaskOrder, Uris};
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

/// Supervises tasks with one containerizer. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Supervisor {
    containerizer: Containerizer,
    checks: CheckMakers,
    settings: SupervisorSettings,
}

impl Supervisor {
    /// A supervisor that launches with this containerizer.
    pub fn new(containerizer: Containerizer, settings: SupervisorSettings) -> Self {
        let checks = CheckMakers {
            runner: CheckRunner::new(settings.checks),
            engine: EngineHealthWatcher::new(containerizer.engine().clone()),
        };
        Self { containerizer, checks, settings }
    }

    /// The containerizer.
    pub fn containerizer(&self) -> &Containerizer {
        &self.containerizer
    }

    /// What became of the tasks' checks so far, for metrics.
    pub fn check_counts(&self) -> CheckCounts {
        self.checks.runner.counts()
    }

    /// Checks a task and translates it; does nothing else.
    ///
    /// # Errors
    ///
    /// The first field that cannot be honoured.
    pub fn prepare(&self, order: TaskOrder) -> Result<Prepared, FieldError> {
        let mut task = TaskSpec::from_task_info(&order.info, self.settings.reading)?;
        crate::owner::run_as(&mut task, order.owner);
        let given = &order.given;
        if given.uris == Uris::Present {
            task.uris.clear();
        }
        if given.image == ImageState::Pulled {
            task.container.pull = PullPolicy::IfMissing;
        }
        let labels = Labels {
            identity: order.identity.clone(),
            work_dir: self.settings.work_dir.clone(),
            checkpoint: order.checkpoint,
        };
        let layout =
            given.layout.clone().unwrap_or_else(|| RunLayout::of(&self.settings.work_dir, &order.identity));
        let name = given.container_name.as_deref();
        let request = self.containerizer.plan(&task, &labels, layout.sandbox(), &given.environment, name)?;
        Ok(Prepared { order, task, labels, request, layout })
    }

    /// Launches a task. Answers when the launch is under way.
    ///
    /// # Errors
    ///
    /// The sandbox or the record cannot be made; nothing is left behind then.
    pub fn launch(&self, prepared: Prepared) -> Result<TaskHandle, SuperviseError> {
        let Prepared { order, task, labels, request, layout } = prepared;
        // The directory is held by whoever opens it; here it must only come to be, or have come to be.
        drop(match order.given.layout {
            None => Sandbox::create(layout.sandbox(), order.owner)?,
            Some(_) => Sandbox::open(layout.sandbox())?,
        });
        layout
            .create_state()
            .map_err(|source| SuperviseError::State { path: layout.state().to_owned(), source })?;
        let store = RecordStore::new(layout.state());
        let record = Record::accepted(&order.identity, order.info_bytes, request.name.clone());
        store.write(&record)?;
        let (progress, told) = mpsc::channel(UPDATES);
        let grace = task.grace;
        let max_completion = task.max_completion;
        let checking = Checking::new(self.checks.clone(), &task);
        let handle = self.containerizer.launch(LaunchOrder {
            labels,
            task,
            request,
            paths: layout.paths(),
            owner: order.owner,
            output: order.given.output,
            tap: order.tap,
            progress: Some(progress),
            removal: self.settings.removal,
        })?;
        let maker = self.status_maker(&order.identity, &order.info);
        Ok(self.supervise(Loop {
            containerizer: self.containerizer.clone(),
            identity: order.identity,
            handle,
            progress: Some(told),
            record,
            store,
            maker,
            machine: Machine::accepted(order.task_killing, grace.unwrap_or(self.settings.default_grace)),
            late: Vec::new(),
            checking,
            max_completion,
            removal: self.settings.removal,
            layout,
        }))
    }

    /// Takes over a run of an earlier process: follows its output from where that one ended, and tells what is still
    /// to be told. A kill that was under way goes on with the rest of its grace.
    ///
    /// # Errors
    ///
    /// A record that cannot be used, a run that has ended, or an engine that does not answer.
    pub async fn adopt(&self, layout: RunLayout, adoption: Adoption) -> Result<TaskHandle, SuperviseError> {
        let Adoption { task_killing, tap, told } = adoption;
        let store = RecordStore::new(layout.state());
        let record = store.read().map_err(|error| match error {
            error if error.is_missing() => SuperviseError::UnknownRun { path: layout.state().to_owned() },
            error => error.into(),
        })?;
        if record.phase == Phase::Terminal {
            return Err(SuperviseError::Ended(record.end().map(Box::new)));
        }
        let info = v1::TaskInfo::decode(record.task_info.as_slice()).map_err(|_| SuperviseError::TaskInfo)?;
        let (task, unchecked) = TaskSpec::of_running_task(&info)?;
        let identity = record.identity();
        let owner = task.user.as_deref().and_then(|user| crate::owner::owner_of(user).ok());
        let labels = Labels {
            identity: identity.clone(),
            work_dir: self.settings.work_dir.clone(),
            checkpoint: Checkpoint::Yes,
        };
        let max_completion = task.max_completion;
        let checking = Checking::new(self.checks.clone(), &task);
        let task_check = task.check.clone();
        let grace = task.grace.unwrap_or(self.settings.default_grace);
        let killing = record.kill.map(|kill| Killing { cause: kill.cause, grace: kill.grace(grace) });
        let is_running = record.phase == Phase::Running;
        let (machine, late) = Machine::adopted(task_killing, grace, is_running, killing, told);
        let order = AdoptOrder {
            labels,
            task,
            engine_id: record.engine_id.clone().unwrap_or_else(|| record.container_name.clone()),
            started_at: record.started_at(),
            stop_signal: match record.kill {
                Some(kill) if kill.signalled => StopSignal::Sent,
                Some(_) | None => StopSignal::Due,
            },
            paths: layout.paths(),
            owner,
            tap,
            removal: self.settings.removal,
        };
        // The future is large, and so are the tasks of a host that adopts many.
        let handle = Box::pin(self.containerizer.adopt(order)).await?;
        for notice in unchecked {
            tracing::warn!(container = %identity.container_id, %notice, "an adopted task goes on unchecked");
            self.containerizer.note(identity.container_id, &notice.to_string());
        }
        let mut maker = self.status_maker(&identity, &info);
        maker.ran(record.image.clone());
        if let Some(checks) = &record.checks {
            let check = task_check.map(|check| checks.check.status(&check));
            maker.checked_before(checks.healthy, check);
        }
        Ok(self.supervise(Loop {
            containerizer: self.containerizer.clone(),
            identity,
            handle,
            progress: None,
            record,
            store,
            maker,
            machine,
            late,
            checking,
            max_completion,
            removal: self.settings.removal,
            layout,
        }))
    }

    /// What makes statuses of a task, for a host that has to tell one itself.
    pub fn status_maker(&self, identity: &Identity, info: &v1::TaskInfo) -> StatusMaker {
        StatusMaker::new(identity.clone(), info, self.settings.host_address, self.settings.masked)
    }

    fn supervise(&self, task: Loop) -> TaskHandle {
        let (updates, told) = mpsc::channel(UPDATES);
        let (kills, wanted) = mpsc::channel(KILLS);
        let layout = task.layout.clone();
        tokio::spawn(task.run(updates, wanted));
        TaskHandle { updates: told, kills, layout }
    }
}
