//! Checking a definition as far as that needs no engine: everything that a field can be wrong about.

use docker_containerizer::policy::Verdict;
use docker_containerizer::request::{self, EngineFacts, Request, RequestInput};
use docker_containerizer::{Checkpoint, Identity, Labels};
use mesos_proto::v1::TaskInfo;
use mesos_types::{ContainerId, FrameworkId, IdError, TaskSpec};
use sandbox::Owner;
use task_supervisor::{RunLayout, owner_of, run_as};

use crate::failure::Failure;
use crate::setup::Setup;

/// A task that is right, and what would be sent for it.
#[derive(Debug)]
pub(crate) struct Checked {
    pub(crate) request: Request,
    /// What the policy says of the request.
    pub(crate) verdict: Verdict,
    /// Who owns the sandbox; `None` leaves it with us.
    pub(crate) owner: Option<Owner>,
}

impl Checked {
    /// What is checked, if the policy allows it.
    ///
    /// # Errors
    ///
    /// The first thing that the policy does not allow.
    pub(crate) fn allowed(self) -> Result<Self, Failure> {
        self.verdict.clone().into_result().map_err(|error| invalid(&error))?;
        Ok(self)
    }
}

/// Checks a task and translates it; sends nothing and makes nothing. The policy is asked by [`Checked::allowed`].
///
/// # Errors
///
/// The first field that cannot be honoured.
pub(crate) fn check(setup: &Setup, info: &TaskInfo, engine: &EngineFacts) -> Result<Checked, Failure> {
    let mut task = TaskSpec::from_task_info(info, setup.reading()).map_err(|error| invalid(&error))?;
    // Only root can give a sandbox away.
    let user = info.command.as_ref().and_then(|command| command.user.as_deref());
    let user = user.filter(|_| setup.settings.switch_user && rustix::process::geteuid().is_root());
    let owner = user.map(owner_of).transpose().map_err(|error| invalid(&error))?;
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
    Ok(Checked { request, verdict, owner })
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
