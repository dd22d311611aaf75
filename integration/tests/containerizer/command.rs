//! What is run, with which environment and user, and where its output goes.

use anyhow::Result;
use docker_containerizer::{Ending, Exit};
use integration::images::TestImage;
use integration::require_engine;
use integration::supervised::{Supervised, Task};
use mesos_proto::v1;
use mesos_proto::v1::TaskState;

use crate::launch::states;

/// Peer: DockerContainerizerTest.ROOT_DOCKER_Logs.
#[tokio::test]
async fn each_stream_has_its_file() -> Result<()> {
    let engine = require_engine!(Ok(()));
    let agent = Supervised::new(&engine).await?;
    let mut task = agent.launch(&Task::shell("echo out-line; echo err-line 1>&2"))?;
    task.finished().await?;
    assert_eq!(task.stdout()?, "out-line\n");
    assert_eq!(task.stderr()?, "err-line\n");
    assert_eq!(task.states(), states("STARTING RUNNING FINISHED"));
    agent.end().await
}

/// Peer: DockerContainerizerTest.ROOT_DOCKER_Default_CMD.
#[tokio::test]
async fn without_a_command_the_image_decides() -> Result<()> {
    let engine = require_engine!(Ok(()));
    let agent = Supervised::new(&engine).await?;
    let mut task = agent.launch(&Task::image_default().image(TestImage::Inky))?;
    task.finished().await?;
    assert_eq!((task.stdout()?, task.stderr()?), ("inky\n".to_owned(), String::new()));
    agent.end().await
}

/// Peer: DockerContainerizerTest.ROOT_DOCKER_Default_CMD_Override.
#[tokio::test]
async fn a_value_takes_the_place_of_the_images_cmd() -> Result<()> {
    let engine = require_engine!(Ok(()));
    let agent = Supervised::new(&engine).await?;
    let word = uuid::Uuid::new_v4().to_string();
    let command = v1::CommandInfo { shell: Some(false), value: Some(word.clone()), ..Default::default() };
    let mut task = agent.launch(&Task::with_command(command).image(TestImage::Inky))?;
    task.finished().await?;
    assert_eq!((task.stdout()?, task.stderr()?), (format!("{word}\n"), String::new()));
    agent.end().await
}

/// Peer: DockerContainerizerTest.ROOT_DOCKER_Default_CMD_Args.
#[tokio::test]
async fn arguments_take_the_place_of_the_images_cmd() -> Result<()> {
    let engine = require_engine!(Ok(()));
    let agent = Supervised::new(&engine).await?;
    let word = uuid::Uuid::new_v4().to_string();
    let mut task = agent.launch(&Task::arguments(&[&word]).image(TestImage::Inky))?;
    task.finished().await?;
    assert_eq!((task.stdout()?, task.stderr()?), (format!("{word}\n"), String::new()));
    agent.end().await
}

/// Peer: DockerContainerizerTest.ROOT_DOCKER_AllocationRoleEnvironmentVariable.
#[tokio::test]
async fn the_allocation_role_is_in_the_environment() -> Result<()> {
    let engine = require_engine!(Ok(()));
    let agent = Supervised::new(&engine).await?;
    let mut task = agent.launch(&Task::shell("test \"$MESOS_ALLOCATION_ROLE\" = role1").role("role1"))?;
    task.finished().await?;
    agent.end().await
}

#[tokio::test]
async fn the_environment_is_the_tasks_over_the_images_and_mesos_over_both() -> Result<()> {
    let engine = require_engine!(Ok(()));
    let agent = Supervised::new(&engine).await?;
    let variable = |name: &str, value: &str| v1::environment::Variable {
        name: name.into(),
        value: Some(value.into()),
        ..Default::default()
    };
    let task = Task::shell("echo $COLOR; echo \"$SPACED\"; echo $MESOS_SANDBOX; echo $MESOS_CONTAINER_NAME")
        .image(TestImage::Environment)
        .change(|info| {
            let command = info.command.get_or_insert_default();
            command.environment = Some(v1::Environment {
                variables: vec![
                    variable("COLOR", "task"),
                    variable("SPACED", "a  b=c\td"),
                    variable("MESOS_SANDBOX", "elsewhere"),
                ],
            });
        });
    let mut task = agent.launch(&task)?;
    task.finished().await?;
    assert_eq!(task.stdout()?, format!("task\na  b=c\td\n/mnt/mesos/sandbox\n{}\n", task.name()));
    agent.end().await
}

/// Peer: DockerContainerizerTest.ROOT_DOCKER_UNPRIVILEGED_USER_NonRootSandbox.
#[tokio::test]
async fn the_sandbox_of_a_user_belongs_to_that_user() -> Result<()> {
    use std::os::unix::fs::MetadataExt as _;

    let engine = require_engine!(Ok(()));
    let agent = Supervised::new(&engine).await?;
    let task = Task::shell("id -u; echo mine > /mnt/mesos/sandbox/file")
        .parameter("user", "65534")
        .owned_by("nobody");
    let mut task = agent.launch(&task)?;
    task.finished().await?;
    assert_eq!(task.stdout()?, "65534\n");
    for file in ["", "stdout", "stderr", "file"] {
        assert_eq!(std::fs::metadata(task.sandbox().join(file))?.uid(), 65534, "{file:?}");
    }
    agent.end().await
}

/// Peer: DockerContainerizerTest.ROOT_DOCKER_LaunchSandboxWithColon.
#[tokio::test]
async fn a_sandbox_path_may_have_colons() -> Result<()> {
    let engine = require_engine!(Ok(()));
    let agent = Supervised::new(&engine).await?;
    let mut task =
        agent.launch(&Task::shell("echo here > /mnt/mesos/sandbox/file; sleep 1000").id("test:colon"))?;
    task.running().await?;
    assert!(task.sandbox().to_string_lossy().contains("test:colon"));
    task.kill_within(std::time::Duration::ZERO).await?;
    assert_eq!(task.terminal().await?.outcome.state, TaskState::TaskKilled);
    agent.end().await
}

#[tokio::test]
async fn what_is_written_below_a_sandbox_path_with_colons_is_on_the_host() -> Result<()> {
    let engine = require_engine!(Ok(()));
    let agent = Supervised::new(&engine).await?;
    let mut task = agent.launch(&Task::shell("echo here > /mnt/mesos/sandbox/file").id("a:b:c"))?;
    task.finished().await?;
    assert_eq!(task.read("file")?, "here\n");
    agent.end().await
}

#[tokio::test]
async fn an_exit_code_is_the_tasks_own() -> Result<()> {
    let engine = require_engine!(Ok(()));
    let agent = Supervised::new(&engine).await?;
    let mut task = agent.launch(&Task::shell("echo why 1>&2; exit 3"))?;
    let end = task.terminal().await?;
    assert_eq!(end.outcome.state, TaskState::TaskFailed);
    assert_eq!(end.outcome.exit_code, 3);
    assert_eq!(end.status.message(), "Container exited with status 3; stderr: why");
    assert_eq!(end.termination.ending, Ending::Exited(Exit::Code(3)));
    assert!(end.termination.last_errors.contains("why"), "{:?}", end.termination.last_errors);
    agent.end().await
}

#[tokio::test]
async fn a_command_that_is_not_there_is_127_with_the_engines_sentence() -> Result<()> {
    let engine = require_engine!(Ok(()));
    let agent = Supervised::new(&engine).await?;
    let mut task = agent.launch(&Task::arguments(&["/no/such/command"]))?;
    let end = task.terminal().await?;
    assert_eq!(end.outcome.state, TaskState::TaskFailed);
    assert_eq!(end.outcome.exit_code, 127);
    let message = end.status.message();
    assert!(message.starts_with("Failed to run docker container: "), "{message}");
    assert!(message.contains("/no/such/command") && message.contains("no such file"), "{message}");
    assert_eq!(task.states(), states("STARTING FAILED"));
    agent.end().await
}

#[tokio::test]
async fn a_command_that_is_no_program_is_126_with_the_engines_sentence() -> Result<()> {
    let engine = require_engine!(Ok(()));
    let agent = Supervised::new(&engine).await?;
    let mut task = agent.launch(&Task::arguments(&["/etc/passwd"]))?;
    let end = task.terminal().await?;
    assert_eq!(end.outcome.exit_code, 126);
    let message = end.status.message();
    assert!(message.contains("/etc/passwd") && message.contains("permission denied"), "{message}");
    agent.end().await
}

#[tokio::test]
async fn an_image_without_a_command_fails_with_the_engines_sentence() -> Result<()> {
    let engine = require_engine!(Ok(()));
    let agent = Supervised::new(&engine).await?;
    let mut task = agent.launch(&Task::image_default().image(TestImage::NoCommand))?;
    let end = task.terminal().await?;
    assert_eq!((end.outcome.state, end.outcome.exit_code), (TaskState::TaskFailed, 125));
    assert!(end.status.message().to_lowercase().contains("no command specified"), "{}", end.status.message());
    agent.end().await
}

/// Peer: DockerTest.ROOT_DOCKER_CheckCommandWithShell.
#[tokio::test]
async fn a_shell_needs_a_line() -> Result<()> {
    let engine = require_engine!(Ok(()));
    let agent = Supervised::new(&engine).await?;
    let command = v1::CommandInfo { shell: Some(true), ..Default::default() };
    let sentence = agent.refusal(&Task::with_command(command))?;
    assert!(sentence.contains("Shell specified but no command value provided"), "{sentence}");
    agent.end().await
}

#[tokio::test]
async fn a_hostname_is_set() -> Result<()> {
    let engine = require_engine!(Ok(()));
    let agent = Supervised::new(&engine).await?;
    let task = Task::shell("hostname").network(integration::supervised::Net::None);
    let mut by_parameter = agent.launch(&task.clone().parameter("hostname", "by-parameter"))?;
    let mut by_field =
        agent.launch(&task.container(|container| container.hostname = Some("by-field".into())))?;
    by_parameter.finished().await?;
    by_field.finished().await?;
    assert_eq!(by_parameter.stdout()?, "by-parameter\n");
    assert_eq!(by_field.stdout()?, "by-field\n");
    agent.end().await
}
