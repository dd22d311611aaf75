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

use docker_containerizer::logs::LogTap;
use docker_containerizer::names::container_name;
use docker_containerizer::request::Request;
use docker_containerizer::{
    AdoptOrder, Checkpoint, Containerizer, ContainerizerError, FetchEvent, Identity, Labels, LaunchOrder,
    PullNews, RemovalDelay, Running, Termination,
};
use mesos_proto::{Message, v1};
use mesos_types::{ContainerId, FieldError, Reading, Strictness, TaskSpec};
use sandbox::{Owner, Sandbox, SandboxError};
use tokio::sync::mpsc;

use crate::layout::RunLayout;
use crate::outcome::Outcome;
use crate::record::{Phase, Record, RecordError, RecordStore};
use crate::status::StatusMaker;
use crate::task_loop::Loop;

/// How many updates of a task may wait to be taken.
const UPDATES: usize = 64;

/// How many kills of a task may wait.
const KILLS: usize = 8;

/// Whether the framework takes TASK_KILLING (capability TASK_KILLING_STATE).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TaskKilling {
    /// It is sent.
    Sent,
    /// It is not.
    Omitted,
}

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
}

/// Supervises tasks with one containerizer. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Supervisor {
    containerizer: Containerizer,
    settings: SupervisorSettings,
}

/// A task to run.
#[derive(Debug)]
pub struct TaskOrder {
    /// Whose it is.
    pub identity: Identity,
    /// The task.
    pub info: v1::TaskInfo,
    /// The task as it was received; kept, since decoding drops fields that we do not know.
    pub info_bytes: Vec<u8>,
    /// Whether it outlives this process.
    pub checkpoint: Checkpoint,
    /// Whether TASK_KILLING is sent.
    pub task_killing: TaskKilling,
    /// Who owns the sandbox.
    pub owner: Option<Owner>,
    /// Where a copy of the output goes.
    pub tap: Option<LogTap>,
}

/// A task that was checked and can be launched; nothing was done for it yet.
#[derive(Debug)]
pub struct Prepared {
    order: TaskOrder,
    task: TaskSpec,
    labels: Labels,
    request: Request,
    layout: RunLayout,
}

/// A wish to stop a task.
#[derive(Debug, Clone, Copy)]
pub struct KillRequest {
    /// Another grace than the task's own (`KillPolicy` of the kill).
    pub grace: Option<Duration>,
}

/// What is told of a task.
#[derive(Debug)]
#[non_exhaustive]
pub enum Update {
    /// How far the fetch of a URI is.
    Fetch(Box<FetchEvent>),
    /// How far the pull of the image is.
    Pull(PullNews),
    /// A warning of the engine about the request.
    Warning(String),
    /// A status between the first and the last.
    Status(Box<v1::TaskStatus>),
    /// TASK_RUNNING, with what it was made of.
    Running(Box<v1::TaskStatus>, Box<Running>),
    /// The terminal status, with what it was made of. The last update.
    Terminal(Box<v1::TaskStatus>, Box<Outcome>, Box<Termination>),
}

/// A task under way.
#[derive(Debug)]
pub struct TaskHandle {
    /// What is told of it, in order; ends after the terminal status.
    pub updates: mpsc::Receiver<Update>,
    /// Where kills go. A task that has ended takes none.
    pub kills: mpsc::Sender<KillRequest>,
    /// Where it lives.
    pub layout: RunLayout,
}

/// Why a task could not be launched or adopted.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SuperviseError {
    /// A field of the task.
    #[error("the task cannot be run")]
    Field(#[from] FieldError),
    /// The sandbox.
    #[error("cannot make the sandbox")]
    Sandbox(#[from] SandboxError),
    /// The directory of our records.
    #[error("cannot make the directory {}", path.display())]
    State {
        /// The directory.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The record.
    #[error("cannot use the record of the run")]
    Record(#[from] RecordError),
    /// The task in the record.
    #[error("the TaskInfo of the record cannot be decoded")]
    TaskInfo,
    /// The containerizer.
    #[error("the containerizer refused")]
    Containerizer(#[from] ContainerizerError),
    /// The run ended before.
    #[error("the run has ended: {0}")]
    Ended(String),
}

impl Prepared {
    /// The request that will be sent, for people who want to see it.
    pub fn request(&self) -> &Request {
        &self.request
    }

    /// The task as it was understood.
    pub fn task(&self) -> &TaskSpec {
        &self.task
    }

    /// The container's id.
    pub fn container_id(&self) -> ContainerId {
        self.order.identity.container_id
    }

    /// Where the run will live.
    pub fn layout(&self) -> &RunLayout {
        &self.layout
    }
}

impl Supervisor {
    /// A supervisor that launches with this containerizer.
    pub fn new(containerizer: Containerizer, settings: SupervisorSettings) -> Self {
        Self { containerizer, settings }
    }

    /// The containerizer.
    pub fn containerizer(&self) -> &Containerizer {
        &self.containerizer
    }

    /// Checks a task and translates it; does nothing else.
    ///
    /// # Errors
    ///
    /// The first field that cannot be honoured.
    pub fn prepare(&self, order: TaskOrder) -> Result<Prepared, FieldError> {
        let mut task = TaskSpec::from_task_info(&order.info, self.settings.reading)?;
        crate::owner::run_as(&mut task, order.owner);
        let labels = Labels {
            identity: order.identity.clone(),
            work_dir: self.settings.work_dir.clone(),
            checkpoint: order.checkpoint,
        };
        let layout = RunLayout::of(&self.settings.work_dir, &order.identity);
        let request = self.containerizer.plan(&task, &labels, layout.sandbox(), &[])?;
        Ok(Prepared { order, task, labels, request, layout })
    }

    /// Launches a task. Answers when the launch is under way.
    ///
    /// # Errors
    ///
    /// The sandbox or the record cannot be made; nothing is left behind then.
    pub fn launch(&self, prepared: Prepared) -> Result<TaskHandle, SuperviseError> {
        let Prepared { order, task, labels, request, layout } = prepared;
        // The directory is held by whoever opens it; here it must only come to be.
        drop(Sandbox::create(layout.sandbox(), order.owner)?);
        layout
            .create_state()
            .map_err(|source| SuperviseError::State { path: layout.state().to_owned(), source })?;
        let store = RecordStore::new(layout.state());
        let record = Record::accepted(&order.identity, order.info_bytes, request.name.clone());
        store.write(&record)?;
        let (progress, told) = mpsc::channel(UPDATES);
        let grace = task.grace;
        let max_completion = task.max_completion;
        let handle = self.containerizer.launch(LaunchOrder {
            labels,
            task,
            request,
            paths: layout.paths(),
            owner: order.owner,
            tap: order.tap,
            progress: Some(progress),
            removal: self.settings.removal,
        })?;
        let maker = StatusMaker::new(order.identity.clone(), &order.info, self.settings.host_address);
        Ok(self.supervise(Loop {
            containerizer: self.containerizer.clone(),
            identity: order.identity,
            handle,
            progress: Some(told),
            record,
            store,
            maker,
            grace: grace.unwrap_or(self.settings.default_grace),
            max_completion,
            task_killing: order.task_killing,
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
    pub async fn adopt(
        &self,
        layout: RunLayout,
        task_killing: TaskKilling,
        tap: Option<LogTap>,
    ) -> Result<TaskHandle, SuperviseError> {
        let store = RecordStore::new(layout.state());
        let record = store.read()?;
        if record.phase == Phase::Terminal {
            return Err(SuperviseError::Ended("its terminal status was told".into()));
        }
        let info = v1::TaskInfo::decode(record.task_info.as_slice()).map_err(|_| SuperviseError::TaskInfo)?;
        let task = TaskSpec::from_task_info(&info, Strictness::Lenient)?;
        let identity = record.identity();
        let owner = task.user.as_deref().and_then(|user| crate::owner::owner_of(user).ok());
        let labels = Labels {
            identity: identity.clone(),
            work_dir: self.settings.work_dir.clone(),
            checkpoint: Checkpoint::Yes,
        };
        let (grace, max_completion) = (task.grace, task.max_completion);
        let handle = self
            .containerizer
            .adopt(AdoptOrder {
                labels,
                task,
                engine_id: record
                    .engine_id
                    .clone()
                    .unwrap_or_else(|| container_name(&identity.agent_id, identity.container_id)),
                started_at: record.started_at(),
                paths: layout.paths(),
                owner,
                tap,
                removal: self.settings.removal,
            })
            .await?;
        let mut maker = StatusMaker::new(identity.clone(), &info, self.settings.host_address);
        maker.ran(record.image.clone());
        Ok(self.supervise(Loop {
            containerizer: self.containerizer.clone(),
            identity,
            handle,
            progress: None,
            record,
            store,
            maker,
            grace: grace.unwrap_or(self.settings.default_grace),
            max_completion,
            task_killing,
            removal: self.settings.removal,
            layout,
        }))
    }

    fn supervise(&self, task: Loop) -> TaskHandle {
        let (updates, told) = mpsc::channel(UPDATES);
        let (kills, wanted) = mpsc::channel(KILLS);
        let layout = task.layout.clone();
        tokio::spawn(task.run(updates, wanted));
        TaskHandle { updates: told, kills, layout }
    }
}
