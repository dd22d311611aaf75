//! What statuses say, and what they do not.

use anyhow::{Context as _, Result};
use integration::require_engine;
use integration::supervised::{Net, Supervised, Task};
use mesos_proto::v1::{self, TaskState};
use serde_json::Value;
use std::time::Duration;

use crate::PROMPT;

fn variable(name: &str, value: &str) -> v1::environment::Variable {
    v1::environment::Variable { name: name.into(), value: Some(value.into()), ..Default::default() }
}

/// The task has its secrets, and what is told of it has not; what frameworks read is there.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn secrets_in_the_environment_are_not_told() -> Result<()> {
    let engine = require_engine!(Ok(()));
    let agent = Supervised::new(&engine).await?;
    let task = Task::shell("echo \"$DB_PASSWORD $PLAIN\"; login() { :; }; login hunter2hunter2; sleep 1000")
        .network(Net::None)
        .change(|info| {
            let variables = vec![
                variable("DB_PASSWORD", "hunter2hunter2"),
                variable("DATABASE_URL", "postgres://app:hunter3@db.test/app"),
                variable("PLAIN", "shown"),
            ];
            if let Some(command) = &mut info.command {
                command.environment = Some(v1::Environment { variables });
            }
        });
    let mut task = agent.launch(&task)?;
    let started = task.running().await?;
    task.says("hunter2hunter2 shown").await?;
    let text = String::from_utf8(started.status.data().to_vec())?;
    assert!(!text.contains("hunter2") && !text.contains("hunter3"), "{text}");
    let data: Value = serde_json::from_str(&text)?;
    let environment = data[0]["Config"]["Env"].as_array().context("no environment")?;
    for expected in ["DB_PASSWORD=***", "DATABASE_URL=postgres://***@db.test/app", "PLAIN=shown"] {
        assert!(environment.iter().any(|variable| variable == expected), "{expected}: {environment:?}");
    }
    // All else is the engine's own.
    let now = agent.inspect(task.name()).await?;
    for key in ["Id", "Created", "Path", "Image", "Name", "HostConfig", "Mounts"] {
        assert_eq!(data[0][key], now[key], "{key}");
    }
    assert_eq!(data[0]["NetworkSettings"]["Networks"], now["NetworkSettings"]["Networks"]);
    task.kill_within(Duration::ZERO).await?;
    task.terminal_within(PROMPT).await?;
    agent.end().await
}

/// A person reads why a task failed without going to its machine; stock's sentence comes first.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failed_task_tells_its_last_words() -> Result<()> {
    let engine = require_engine!(Ok(()));
    let agent = Supervised::new(&engine).await?;
    let line = "seq 1 100 >&2; printf '\\033[31mcannot open\\033[0m the door\\a\\n' >&2; exit 41";
    let mut task = agent.launch(&Task::shell(line))?;
    let end = task.terminal().await?;
    assert_eq!(end.status.state(), TaskState::TaskFailed);
    assert_eq!(
        end.status.message(),
        "Container exited with status 41; stderr: 97 | 98 | 99 | 100 | cannot open the door"
    );
    agent.end().await
}

/// What we and the fetcher write to the sandbox's stderr are not the task's last words.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn our_own_lines_are_not_the_last_words_of_a_task() -> Result<()> {
    let engine = require_engine!(Ok(()));
    let agent = Supervised::new(&engine).await?;
    let task = Task::shell("exit 3").change(|info| {
        if let Some(command) = &mut info.command {
            // Has no effect, and stderr says so.
            command.user = Some("root".into());
        }
    });
    let mut task = agent.launch(&task)?;
    let end = task.terminal().await?;
    assert!(task.stderr()?.contains("command.user"), "{}", task.stderr()?);
    assert_eq!(end.status.message(), "Container exited with status 3");
    agent.end().await
}
