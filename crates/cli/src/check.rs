//! Checking a definition as far as that needs no engine: everything that a field can be wrong about.

use docker_containerizer::policy::{Preset, Verdict};
use docker_containerizer::request::{self, EngineFacts, Request, RequestInput};
use docker_containerizer::{Checkpoint, Identity, Labels};
use mesos_proto::v1::container_info::Type;
use mesos_proto::v1::{ContainerInfo, TaskInfo};
use mesos_types::{ContainerId, FrameworkId, IdError, Notice, PlainTaskSpec, TaskSpec};
use sandbox::Owner;
use task_supervisor::{Kind, RunLayout, owner_of, run_as};

use crate::failure::Failure;
use crate::setup::Setup;

/// A task that is right.
#[derive(Debug)]
pub(crate) struct Checked {
    /// What would run.
    pub(crate) what: What,
    /// Who owns the sandbox, and without an image also who the process runs as; `None` leaves it with us.
    pub(crate) owner: Option<Owner>,
}

/// What a task becomes.
#[derive(Debug)]
pub(crate) enum What {
    /// A container of the engine.
    Docker {
        /// What would be sent for it.
        request: Box<Request>,
        /// What the policy says of the request.
        verdict: Verdict,
    },
    /// A process of this machine.
    Plain(Box<PlainTaskSpec>),
}

impl Checked {
    /// What is checked, if the policy allows it.
    ///
    /// # Errors
    ///
    /// The first thing that the policy does not allow.
    pub(crate) fn allowed(self) -> Result<Self, Failure> {
        if let What::Docker { verdict, .. } = &self.what {
            verdict.clone().into_result().map_err(|error| invalid(&error))?;
        }
        Ok(self)
    }

    /// What of the task has no effect.
    pub(crate) fn notices(&self) -> &[Notice] {
        match &self.what {
            What::Docker { request, .. } => &request.notices,
            What::Plain(task) => &task.notices,
        }
    }
}

/// Who takes a task: the engine where its container is Docker's, or of no type that is known, which it refuses by name.
pub(crate) fn kind_of(container: Option<&ContainerInfo>) -> Kind {
    match container.map(|container| Type::try_from(container.r#type)) {
        None | Some(Ok(Type::Mesos)) => Kind::Mesos,
        Some(Ok(Type::Docker) | Err(_)) => Kind::Docker,
    }
}

/// Checks a task and translates it; sends nothing and makes nothing. The policy is asked by [`Checked::allowed`].
///
/// # Errors
///
/// The first field that cannot be honoured.
pub(crate) fn check(setup: &Setup, info: &TaskInfo, engine: &EngineFacts) -> Result<Checked, Failure> {
    match kind_of(info.container.as_ref()) {
        Kind::Docker => check_docker(setup, info, engine),
        Kind::Mesos => check_plain(setup, info),
    }
}

fn check_docker(setup: &Setup, info: &TaskInfo, engine: &EngineFacts) -> Result<Checked, Failure> {
    let mut task = TaskSpec::from_task_info(info, setup.reading()).map_err(|error| invalid(&error))?;
    let owner = owner(setup, info)?;
    run_as(&mut task, owner);
    let framework_id: FrameworkId = "validate".parse().map_err(|error| invalid(&error))?;
    let labels = Labels {
        identity: identity(info, &framework_id)?,
        work_dir: setup.work_dir.clone(),
        checkpoint: Checkpoint::Yes,
    };
    let layout = RunLayout::of(&setup.work_dir, &labels.identity);
    let (request, verdict) = request::draft(&RequestInput {
        task: &task,
        labels: &labels,
        sandbox: layout.sandbox(),
        name: None,
        overlay: &[],
        settings: &setup.request_settings()?,
        engine,
    })
    .map_err(|error| invalid(&error))?;
    Ok(Checked { what: What::Docker { request: Box::new(request), verdict }, owner })
}

/// Checks a task without an image. A strict policy has no hold on a process of the host, so it allows none.
fn check_plain(setup: &Setup, info: &TaskInfo) -> Result<Checked, Failure> {
    let task = PlainTaskSpec::from_task_info(info, setup.reading()).map_err(|error| invalid(&error))?;
    identity(info, &"validate".parse().map_err(|error| invalid(&error))?)?;
    if setup.policy.base() == Preset::Strict {
        let what = "the task cannot be run: it has no image, so it is a process of this machine, and the host policy holds \
                    what tasks ask of an engine";
        return Err(Failure::ours(what)
            .hint("give it an image (container.docker.image), or leave --docker_policy at permissive"));
    }
    Ok(Checked { owner: owner(setup, info)?, what: What::Plain(Box::new(task)) })
}

/// Who owns the sandbox of a task; only root can give one away.
fn owner(setup: &Setup, info: &TaskInfo) -> Result<Option<Owner>, Failure> {
    let user = info.command.as_ref().and_then(|command| command.user.as_deref());
    let user = user.filter(|_| setup.settings.switch_user && rustix::process::geteuid().is_root());
    user.map(owner_of).transpose().map_err(|error| invalid(&error))
}

/// Whose a task is: a run is a framework of its own, and a command task's executor has the task's id.
///
/// # Errors
///
/// An id that breaks the rules of ids.
pub(crate) fn identity(info: &TaskInfo, framework_id: &FrameworkId) -> Result<Identity, Failure> {
    let of = |field: &'static str| {
        move |error: IdError| Failure::of(format!("the task cannot be run: field {field}"), &error)
    };
    Ok(Identity {
        agent_id: info.agent_id.value.parse().map_err(of("agent_id"))?,
        framework_id: framework_id.clone(),
        executor_id: info.task_id.value.parse().map_err(of("task_id"))?,
        task_id: info.task_id.value.parse().map_err(of("task_id"))?,
        container_id: ContainerId::random(),
    })
}

fn invalid(error: &dyn std::error::Error) -> Failure {
    Failure::of("the task cannot be run", error)
}
