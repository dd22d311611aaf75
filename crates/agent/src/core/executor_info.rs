//! The executor that the agent makes up for a command task (`Slave::getExecutorInfo` in `src/slave/slave.cpp`).
//!
//! No process stands behind it. It is what `/state`, statuses and the files of the work directory show, so that tools
//! and a stock agent that takes the work directory over find what they know.

use std::path::Path;
use std::time::Duration;

use mesos_proto::v1;

/// What a command executor may use beside its task (`DEFAULT_EXECUTOR_CPUS`); not part of any offer.
const CPUS: f64 = 0.1;

/// The same for its memory, in MB (`DEFAULT_EXECUTOR_MEM`).
const MEMORY: f64 = 32.0;

/// How long stock's executor may take to see the end of its task, and to tell it; added to the task's grace.
const MARGIN: Duration = Duration::from_secs(2);

/// The longest command that is shown whole, in bytes.
const SHOWN: usize = 15;

/// How much is shown of a longer one, in bytes.
const SHORTENED: usize = 12;

/// Makes up the executor of a command task. The role is the one that the task's resources are allocated to.
pub(super) fn generated(
    task: &v1::TaskInfo,
    framework_id: &v1::FrameworkId,
    launcher_dir: &Path,
) -> v1::ExecutorInfo {
    let command = task.command.clone().unwrap_or_default();
    let grace = task.kill_policy.as_ref().and_then(|policy| policy.grace_period.as_ref());
    v1::ExecutorInfo {
        executor_id: v1::ExecutorId { value: task.task_id.value.clone() },
        framework_id: Some(framework_id.clone()),
        container: task.container.clone(),
        name: Some(format!(
            "Command Executor (Task: {}) (Command: {})",
            task.task_id.value,
            shown_command(&command)
        )),
        source: Some(task.task_id.value.clone()),
        command: Some(v1::CommandInfo {
            uris: command.uris,
            environment: command.environment,
            user: command.user,
            shell: Some(false),
            value: Some(launcher_dir.join("mesos-executor").display().to_string()),
            arguments: vec!["mesos-executor".into(), format!("--launcher_dir={}", launcher_dir.display())],
        }),
        labels: task.labels.clone(),
        discovery: task.discovery.clone(),
        shutdown_grace_period: grace.map(|grace| v1::DurationInfo {
            nanoseconds: grace
                .nanoseconds
                .saturating_add(i64::try_from(MARGIN.as_nanos()).unwrap_or(i64::MAX)),
        }),
        resources: overhead(task),
        ..Default::default()
    }
}

/// What the executor holds beside its task, allocated to the task's role.
fn overhead(task: &v1::TaskInfo) -> Vec<v1::Resource> {
    let allocation = task.resources.iter().find_map(|resource| resource.allocation_info.clone());
    [("cpus", CPUS), ("mem", MEMORY)]
        .map(|(name, value)| v1::Resource {
            name: name.into(),
            r#type: v1::value::Type::Scalar.into(),
            scalar: Some(v1::value::Scalar { value }),
            allocation_info: allocation.clone(),
            ..Default::default()
        })
        .into()
}

/// The command as the executor's name shows it.
fn shown_command(command: &v1::CommandInfo) -> String {
    match (command.shell(), &command.value) {
        (true, None) => "NO COMMAND".into(),
        (false, None) => "NO EXECUTABLE".into(),
        (true, Some(value)) => format!("sh -c '{}'", shortened(value)),
        (false, Some(value)) => {
            let all = format!("{value}, {}", command.arguments.join(", "));
            format!("[{}]", shortened(&all))
        }
    }
}

/// A long text's beginning. Stock cuts between two bytes; we cut before the character that would be split.
fn shortened(text: &str) -> String {
    if text.len() <= SHOWN {
        return text.to_owned();
    }
    let end = (0..=SHORTENED).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
    format!("{}...", &text[..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn command(shell: Option<bool>, value: Option<&str>, arguments: &[&str]) -> v1::CommandInfo {
        v1::CommandInfo {
            shell,
            value: value.map(Into::into),
            arguments: arguments.iter().map(|argument| (*argument).to_owned()).collect(),
            ..Default::default()
        }
    }

    /// The names are those that a stock agent gave in the recorded traffic.
    #[rstest::rstest]
    #[case(command(None, Some("sleep 600"), &[]), "sh -c 'sleep 600'")]
    #[case(command(None, Some("echo hello; echo err"), &[]), "sh -c 'echo hello; ...'")]
    #[case(command(None, Some("ls -la /mnt/mesos"), &[]), "sh -c 'ls -la /mnt/...'")]
    #[case(command(Some(false), None, &["a"]), "NO EXECUTABLE")]
    #[case(command(None, None, &[]), "NO COMMAND")]
    #[case(command(Some(false), Some("sleep"), &["2"]), "[sleep, 2]")]
    #[case(command(Some(false), Some("/nosuchbin"), &[]), "[/nosuchbin, ]")]
    #[case(command(Some(false), Some("/bin/echo"), &["one", "two"]), "[/bin/echo, o...]")]
    #[case(command(None, Some("123456789012345"), &[]), "sh -c '123456789012345'")]
    #[case(command(None, Some("12345678901ä5678"), &[]), "sh -c '12345678901...'")]
    fn the_name_shows_the_command_as_stock_does(#[case] command: v1::CommandInfo, #[case] shown: &str) {
        assert_eq!(shown_command(&command), shown);
    }

    #[test]
    fn it_has_the_tasks_role_and_the_grace_with_a_margin() {
        let cpus = v1::Resource {
            name: "cpus".into(),
            allocation_info: Some(v1::resource::AllocationInfo { role: Some("r/s".into()) }),
            ..Default::default()
        };
        let policy = v1::KillPolicy { grace_period: Some(v1::DurationInfo { nanoseconds: 3_000_000_000 }) };
        let task = v1::TaskInfo {
            task_id: v1::TaskId { value: "t".into() },
            resources: vec![cpus],
            kill_policy: Some(policy),
            command: Some(command(None, Some("true"), &[])),
            ..Default::default()
        };
        let made = generated(&task, &v1::FrameworkId { value: "F".into() }, Path::new("/usr/libexec/mesos"));
        assert_eq!(made.name.as_deref(), Some("Command Executor (Task: t) (Command: sh -c 'true')"));
        assert_eq!(made.shutdown_grace_period.map(|grace| grace.nanoseconds), Some(5_000_000_000));
        let roles: Vec<_> = made
            .resources
            .iter()
            .map(|resource| resource.allocation_info.as_ref().and_then(|info| info.role.as_deref()))
            .collect();
        assert_eq!(roles, [Some("r/s"), Some("r/s")]);
        let command = made.command.unwrap();
        assert_eq!(command.value.as_deref(), Some("/usr/libexec/mesos/mesos-executor"));
        assert_eq!(command.arguments, ["mesos-executor", "--launcher_dir=/usr/libexec/mesos"]);
        assert!(!command.shell());
    }

    #[test]
    fn a_task_without_a_grace_leaves_the_flags_one() {
        let made = generated(&v1::TaskInfo::default(), &v1::FrameworkId::default(), Path::new("/l"));
        assert_eq!(made.shutdown_grace_period, None);
    }
}
