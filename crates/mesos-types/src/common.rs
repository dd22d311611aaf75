//! What every task asks for, with an image or without: read once, for [`TaskSpec`](crate::TaskSpec) and
//! [`PlainTaskSpec`](crate::PlainTaskSpec).

use std::time::Duration;

use mesos_proto::v1;

use crate::check::{Arguments, CheckSpec, HealthCheckSpec};
use crate::command::{self, EnvVar};
use crate::fields::{FieldError, Notice, Notices};
use crate::ids::TaskId;
use crate::resources::{TaskLimits, TaskResources};
use crate::uri::UriSpec;

/// The part of a task that does not depend on how it is contained.
pub(crate) struct Common {
    pub(crate) task_id: TaskId,
    pub(crate) name: String,
    pub(crate) environment: Vec<EnvVar>,
    pub(crate) uris: Vec<UriSpec>,
    pub(crate) user: Option<String>,
    pub(crate) resources: TaskResources,
    pub(crate) limits: TaskLimits,
    pub(crate) grace: Option<Duration>,
    pub(crate) max_completion: Option<Duration>,
    pub(crate) health_check: Option<HealthCheckSpec>,
    pub(crate) check: Option<CheckSpec>,
}

/// The command of a task that runs by itself; `hint` says what a task without one can do.
///
/// # Errors
///
/// A task that has an executor, or no command.
pub(crate) fn command_of<'a>(task: &'a v1::TaskInfo, hint: &str) -> Result<&'a v1::CommandInfo, FieldError> {
    if task.executor.is_some() {
        return Err(FieldError::new("executor", "the task is for an executor of its own to run")
            .hint("an agent launches executors; a task that runs by itself has command and container"));
    }
    task.command.as_ref().ok_or_else(|| FieldError::new("command", "the task has no command").hint(hint))
}

impl Common {
    /// Reads a task with this `command`; `arguments` are those of a health check.
    ///
    /// # Errors
    ///
    /// The first field that cannot be honoured.
    pub(crate) fn read(
        task: &v1::TaskInfo,
        command: &v1::CommandInfo,
        arguments: Arguments,
        notices: &mut Notices,
    ) -> Result<Self, FieldError> {
        let task_id: TaskId = task
            .task_id
            .value
            .parse()
            .map_err(|error| FieldError::new("task_id.value", format!("{error}")))?;
        let resources = TaskResources::from_proto(&task.resources)?;
        let limits = TaskLimits::from_proto(&task.limits, &resources)?;
        let health_check = task
            .health_check
            .as_ref()
            .map(|check| HealthCheckSpec::from_proto(check, arguments, notices))
            .transpose()?;
        let check = task.check.as_ref();
        let check = check.map(|check| CheckSpec::from_proto(check, arguments, notices)).transpose()?;
        let grace = task.kill_policy.as_ref().and_then(|policy| policy.grace_period.as_ref());
        let completion = task.max_completion_time.as_ref();
        Ok(Self {
            task_id,
            name: task.name.clone(),
            environment: command::environment(command)?,
            uris: command.uris.iter().map(UriSpec::from_proto).collect(),
            user: command.user.clone(),
            resources,
            limits,
            grace: grace.map(|grace| period("kill_policy.grace_period", grace)).transpose()?,
            max_completion: completion
                .map(|longest| period("max_completion_time", longest))
                .transpose()?
                .filter(|longest| !longest.is_zero()),
            health_check,
            check,
        })
    }
}

/// Reads a task that runs already with `read`. One is not lost for a health check or check that cannot be made, as one
/// may be that was launched by another version: it goes on unchecked, and what is returned beside it says so.
pub(crate) fn of_running_task<T>(
    task: &v1::TaskInfo,
    read: impl Fn(&v1::TaskInfo) -> Result<T, FieldError>,
) -> Result<(T, Vec<Notice>), FieldError> {
    let (mut task, mut left_out) = (task.clone(), Vec::new());
    loop {
        let error = match read(&task) {
            Ok(spec) => return Ok((spec, left_out)),
            Err(error) => error,
        };
        let field = if task.health_check.is_some() && error.field().starts_with("health_check.") {
            task.health_check = None;
            "health_check"
        } else if task.check.is_some() && error.field().starts_with("check.") {
            task.check = None;
            "check"
        } else {
            return Err(error);
        };
        left_out.push(Notice::new(field, format!("the task goes on unchecked: {error}")));
    }
}

fn period(field: &str, duration: &v1::DurationInfo) -> Result<Duration, FieldError> {
    u64::try_from(duration.nanoseconds)
        .map(Duration::from_nanos)
        .map_err(|_| FieldError::new(field, "the duration is negative"))
}
