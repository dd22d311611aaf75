//! What a host hands over for a task, and what it hears of it.

use std::time::Duration;

use docker_containerizer::logs::{LogTap, OutputTarget};
use docker_containerizer::request::Request;
use docker_containerizer::{Checkpoint, FetchEvent, Identity, PullNews, Termination};
use mesos_proto::{Message, v1};
use mesos_types::{ContainerId, EnvVar, Notice, TaskId};
use sandbox::Owner;
use tokio::sync::mpsc;

use crate::composing::{Kind, Launching, Running};
use crate::layout::RunLayout;
use crate::outcome::{KillCause, Outcome};
use crate::plan::Plan;

/// Whether the framework takes TASK_KILLING (capability TASK_KILLING_STATE).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TaskKilling {
    /// It is sent.
    Sent,
    /// It is not.
    Omitted,
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
    /// What an agent that is not ours has done or promised before.
    pub given: Given,
}

/// What a host that is not our agent has done for a task, or promised of it: the usual is nothing.
#[derive(Debug, Default)]
pub struct Given {
    /// The container's name on the engine, which the agent looks for.
    pub container_name: Option<String>,
    /// Where the run lives, if not below the work directory.
    pub layout: Option<RunLayout>,
    /// Variables that win over the task's own (hooks, `--task_environment`).
    pub environment: Vec<EnvVar>,
    /// Variables that the task's own win over: what an agent tells an executor, and a task without an image.
    pub defaults: Vec<EnvVar>,
    /// Whether the URIs are in the sandbox.
    pub uris: Uris,
    /// Whether the image was pulled as the task wants it.
    pub image: ImageState,
    /// Where the output goes: [`OutputTarget::Tap`] gives it to the tap alone.
    pub output: OutputTarget,
}

/// Whether the URIs of a task are in its sandbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Uris {
    /// They are fetched.
    #[default]
    Wanted,
    /// They are there.
    Present,
}

/// Whether the image of a task was pulled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ImageState {
    /// It is pulled as the task wants it.
    #[default]
    Wanted,
    /// It was; it is pulled only if it is gone again.
    Pulled,
}

/// How a run of an earlier process is taken over.
#[derive(Debug)]
pub struct Adoption {
    /// Whether TASK_KILLING is sent.
    pub task_killing: TaskKilling,
    /// Where a copy of the output goes, from where the earlier process ended.
    pub tap: Option<LogTap>,
    /// The last state that the host is sure to have for the framework: what follows it is told. `None` trusts the
    /// record, which is written before a status is told.
    pub told: Option<v1::TaskState>,
    /// Variables that the task's own win over, for a task that the earlier process did not come to launch.
    pub defaults: Vec<EnvVar>,
    /// Who owns the sandbox of such a task, and whom it runs as.
    pub owner: LateOwner,
}

/// Who owns the sandbox of a task that an earlier process has accepted and not launched.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LateOwner {
    /// The user that its command names, if it names one.
    #[default]
    OfCommand,
    /// This one; nobody but us, if it is none.
    Given(Option<Owner>),
}

/// A task that was checked and can be launched; nothing was done for it yet.
#[derive(Debug)]
pub struct Prepared {
    pub(crate) order: TaskOrder,
    pub(crate) plan: Plan,
    pub(crate) layout: RunLayout,
    pub(crate) launching: Launching,
}

/// A wish to stop a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KillRequest {
    /// Another grace than the task's own (`KillPolicy` of the kill). Under a kill with the same grace nothing changes:
    /// frameworks repeat their kills. Another grace begins anew, shorter or longer.
    pub grace: Option<Duration>,
    /// Who wants it.
    pub cause: KillCause,
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
    /// A line for people about the running task: a check that could not be made.
    Note(String),
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

impl TaskOrder {
    /// A task of our own agent, or of `mesos-docker`, that outlives this process; its sandbox is root's.
    pub fn new(identity: Identity, info: v1::TaskInfo, task_killing: TaskKilling) -> Self {
        Self {
            identity,
            info_bytes: info.encode_to_vec(),
            info,
            checkpoint: Checkpoint::Yes,
            task_killing,
            owner: None,
            tap: None,
            given: Given::default(),
        }
    }
}

impl TaskKilling {
    /// As the framework's capabilities have it.
    pub fn of(framework: &v1::FrameworkInfo) -> Self {
        use v1::framework_info::capability::Type;

        let has =
            framework.capabilities.iter().any(|capability| capability.r#type() == Type::TaskKillingState);
        if has { Self::Sent } else { Self::Omitted }
    }
}

impl KillRequest {
    /// A framework's kill, with the grace of its own if it has one.
    pub fn new(grace: Option<Duration>) -> Self {
        Self { grace, cause: KillCause::Framework }
    }
}

impl Adoption {
    /// Trusts the record.
    pub fn new(task_killing: TaskKilling) -> Self {
        Self { task_killing, tap: None, told: None, defaults: Vec::new(), owner: LateOwner::OfCommand }
    }

    /// Gives a copy of the output.
    #[must_use]
    pub fn tap(self, tap: Option<LogTap>) -> Self {
        Self { tap, ..self }
    }

    /// Tells what follows this state.
    #[must_use]
    pub fn told(self, told: v1::TaskState) -> Self {
        Self { told: Some(told), ..self }
    }
}

impl Prepared {
    /// The request that will be sent to the engine, for people who want to see it; none of a task without an image.
    pub fn request(&self) -> Option<&Request> {
        match &self.plan {
            Plan::Docker(plan) => Some(&plan.request),
            Plan::Plain(_) => None,
        }
    }

    /// Which containerizer takes the task.
    pub fn kind(&self) -> Kind {
        self.plan.kind()
    }

    /// The task's id.
    pub fn task_id(&self) -> &TaskId {
        self.plan.task_id()
    }

    /// The fields of the task that have no effect.
    pub fn notices(&self) -> &[Notice] {
        self.plan.notices()
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
