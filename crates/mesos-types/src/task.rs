//! A whole task as the supervisor and the containerizer take it.

use std::time::Duration;

use mesos_proto::v1;

use crate::check::{Arguments, CheckSpec, HealthCheckSpec};
use crate::command::{self, CommandSpec, EnvVar};
use crate::common::{self, Common};
use crate::container::ContainerSpec;
use crate::fields::{FieldError, Notice, Notices, ProcessUser, Reading, Strictness};
use crate::ids::TaskId;
use crate::resources::{TaskLimits, TaskResources};
use crate::uri::UriSpec;

/// A Docker task that can be launched: everything in it was checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TaskSpec {
    /// The task's id.
    pub task_id: TaskId,
    /// The task's name, for people.
    pub name: String,
    /// The container.
    pub container: ContainerSpec,
    /// The command line.
    pub command: CommandSpec,
    /// The environment of the command, sorted by name, each name once.
    pub environment: Vec<EnvVar>,
    /// What is fetched into the sandbox before the start, in this order.
    pub uris: Vec<UriSpec>,
    /// The user that owns the sandbox, if the task names one.
    pub user: Option<String>,
    /// Who the process runs as, if not the image's user: a name that the image knows, or numbers. Who resolves the
    /// user on this machine puts the numbers here, so that the process owns its sandbox whatever the image calls it.
    pub run_as: Option<String>,
    /// What the task requests.
    pub resources: TaskResources,
    /// What the task may burst to.
    pub limits: TaskLimits,
    /// How long the task may take to stop (`kill_policy.grace_period`).
    pub grace: Option<Duration>,
    /// How long the task may run (`max_completion_time`).
    pub max_completion: Option<Duration>,
    /// What makes it unhealthy, and ends it then (`health_check`).
    pub health_check: Option<HealthCheckSpec>,
    /// Whose results are told to the framework (`check`).
    pub check: Option<CheckSpec>,
    /// What is accepted without effect.
    pub notices: Vec<Notice>,
}

impl TaskSpec {
    /// Reads a TaskInfo of a command task with a Docker image.
    ///
    /// # Errors
    ///
    /// The first field that cannot be honoured, with its path and the remedy; with [`crate::Strictness::Strict`] also the
    /// first field that would have no effect.
    pub fn from_task_info(task: &v1::TaskInfo, reading: impl Into<Reading>) -> Result<Self, FieldError> {
        let reading = reading.into();
        let mut notices = Notices::new(reading.strictness);
        let command = common::command_of(task, "for the image's own command set command.shell to false")?;
        let Some(container) = &task.container else {
            return Err(FieldError::new("container", "the task has no container")
                .hint("set container.type to DOCKER and container.docker.image to an image"));
        };
        let Common {
            task_id,
            name,
            environment,
            uris,
            user,
            resources,
            limits,
            grace,
            max_completion,
            health_check,
            check,
        } = Common::read(task, command, Arguments::Following, &mut notices)?;
        let container = ContainerSpec::from_proto(container, &resources, &mut notices)?;
        command::note_unused(command, reading.user, &mut notices)?;
        if resources.disk.is_some_and(|disk| disk.0 > 0) {
            notices.note("resources[disk]", "disk usage is not limited")?;
        }
        Ok(Self {
            task_id,
            name,
            command: CommandSpec::from_proto(command)?,
            environment,
            uris,
            run_as: user.clone().filter(|_| reading.user == ProcessUser::Task),
            user,
            container,
            resources,
            limits,
            grace,
            max_completion,
            health_check,
            check,
            notices: notices.into_list(),
        })
    }

    /// Reads the TaskInfo of a task that runs already. One is not lost for a health check or check that cannot be made,
    /// as one may be that was launched by another version: it goes on unchecked, and what is returned beside it says so.
    ///
    /// # Errors
    ///
    /// The first other field that cannot be honoured.
    pub fn of_running_task(task: &v1::TaskInfo) -> Result<(Self, Vec<Notice>), FieldError> {
        common::of_running_task(task, |task| Self::from_task_info(task, Strictness::Lenient))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_running_task_is_not_lost_for_its_checks() {
        let mut info = task();
        info.health_check = Some(v1::HealthCheck::default());
        info.check = Some(v1::CheckInfo::default());
        TaskSpec::from_task_info(&info, Strictness::Lenient).unwrap_err();
        let (spec, left_out) = TaskSpec::of_running_task(&info).unwrap();
        assert_eq!((spec.health_check, spec.check), (None, None));
        let fields: Vec<&str> = left_out.iter().map(|notice| notice.field.as_str()).collect();
        assert_eq!(fields, ["health_check", "check"]);
        assert!(
            left_out[0].what.contains("goes on unchecked: Task uses invalid health check"),
            "{left_out:?}"
        );
        info.container = None;
        assert_eq!(TaskSpec::of_running_task(&info).unwrap_err().field(), "container");
        assert_eq!(TaskSpec::of_running_task(&task()).unwrap().1, []);
    }

    fn task() -> v1::TaskInfo {
        let mut container = v1::ContainerInfo {
            docker: Some(v1::container_info::DockerInfo { image: "busybox".into(), ..Default::default() }),
            ..Default::default()
        };
        container.set_type(v1::container_info::Type::Docker);
        v1::TaskInfo {
            name: "t".into(),
            task_id: v1::TaskId { value: "t.1".into() },
            agent_id: v1::AgentId { value: "local".into() },
            command: Some(v1::CommandInfo { value: Some("true".into()), ..Default::default() }),
            container: Some(container),
            ..Default::default()
        }
    }

    #[test]
    fn a_plain_task_has_no_notices() {
        let spec = TaskSpec::from_task_info(&task(), Strictness::Strict).unwrap();
        assert_eq!(spec.command, CommandSpec::Shell("true".into()));
        assert!(spec.notices.is_empty());
    }

    #[test]
    fn an_ignored_field_is_noted_or_refused() {
        let mut given = task();
        given.command.as_mut().unwrap().user = Some("nobody".into());
        let spec = TaskSpec::from_task_info(&given, Strictness::Lenient).unwrap();
        assert_eq!(spec.notices[0].field, "command.user");
        let error = TaskSpec::from_task_info(&given, Strictness::Strict).unwrap_err().to_string();
        assert!(error.contains("command.user") && error.contains("--docker_strict_fields"), "{error}");
    }

    #[test]
    fn a_user_that_is_honoured_is_not_noted() {
        let mut given = task();
        given.command.as_mut().unwrap().user = Some("nobody".into());
        let reading = Reading { strictness: Strictness::Strict, user: ProcessUser::Task };
        let spec = TaskSpec::from_task_info(&given, reading).unwrap();
        assert_eq!((spec.run_as.as_deref(), spec.notices.len()), (Some("nobody"), 0));
        let spec = TaskSpec::from_task_info(&given, Strictness::Lenient).unwrap();
        assert_eq!(spec.run_as, None);
    }

    #[test]
    fn a_grace_period_is_exact_to_the_nanosecond() {
        let mut given = task();
        given.kill_policy =
            Some(v1::KillPolicy { grace_period: Some(v1::DurationInfo { nanoseconds: 7_400_000_000 }) });
        let spec = TaskSpec::from_task_info(&given, Strictness::Lenient).unwrap();
        assert_eq!(spec.grace, Some(Duration::from_millis(7400)));
        given.kill_policy = Some(v1::KillPolicy { grace_period: Some(v1::DurationInfo { nanoseconds: -1 }) });
        assert!(TaskSpec::from_task_info(&given, Strictness::Lenient).is_err());
    }

    #[rstest::rstest]
    #[case(|t: &mut v1::TaskInfo| t.command = None, "command")]
    #[case(|t: &mut v1::TaskInfo| t.container = None, "container")]
    #[case(|t: &mut v1::TaskInfo| t.task_id.value = "a/b".into(), "task_id.value")]
    #[case(|t: &mut v1::TaskInfo| t.executor = Some(Default::default()), "executor")]
    #[case(|t: &mut v1::TaskInfo| t.health_check = Some(Default::default()), "health_check.type")]
    #[case(|t: &mut v1::TaskInfo| t.check = Some(Default::default()), "check.type")]
    fn a_task_that_cannot_run_names_the_field(#[case] spoil: fn(&mut v1::TaskInfo), #[case] field: &str) {
        let mut given = task();
        spoil(&mut given);
        assert_eq!(TaskSpec::from_task_info(&given, Strictness::Lenient).unwrap_err().field(), field);
    }
}
