//! What is told of a task that is checked, and what follows. How checks are made is in the tests of the crate `checks`.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use integration::cli_run::CliRun;
use integration::supervised::{Net, PATIENCE, Supervised, Task, Watched};
use integration::{eventually, require_engine};
use mesos_proto::v1::task_status::Reason;
use mesos_proto::v1::{self, TaskState, TaskStatus};
use task_supervisor::{Adoption, TaskKilling};

use crate::{PROMPT, states};

fn command(line: &str) -> v1::CommandInfo {
    v1::CommandInfo { value: Some(line.into()), ..Default::default() }
}

/// A health check without delay and grace, ten times a second.
fn health(check: v1::HealthCheck) -> v1::HealthCheck {
    v1::HealthCheck {
        delay_seconds: Some(0.0),
        interval_seconds: Some(0.1),
        grace_period_seconds: Some(0.0),
        ..check
    }
}

fn health_by_command(line: &str) -> v1::HealthCheck {
    let mut check = health(v1::HealthCheck { command: Some(command(line)), ..Default::default() });
    check.set_type(v1::health_check::Type::Command);
    check
}

fn with_health(task: Task, check: v1::HealthCheck) -> Task {
    task.change(|info| info.health_check = Some(check))
}

/// Waits for the next status, whatever it says.
async fn next_running(task: &mut Watched) -> Result<TaskStatus> {
    let status = task.next_status().await?;
    ensure!(status.state() == TaskState::TaskRunning, "{:?}", status.state());
    Ok(status)
}

/// Waits for a TASK_RUNNING with this health.
async fn turned(task: &mut Watched, healthy: bool) -> Result<TaskStatus> {
    let status = next_running(task).await?;
    ensure!(status.healthy == Some(healthy), "{status:?}");
    assert_eq!(status.reason(), Reason::TaskHealthCheckStatusUpdated);
    Ok(status)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_task_turns_healthy_then_not_and_is_killed_for_it() -> Result<()> {
    let engine = require_engine!(Ok(()));
    let agent = Supervised::new(&engine).await?;
    let check = v1::HealthCheck {
        consecutive_failures: Some(2),
        ..health_by_command("test ! -e $MESOS_SANDBOX/sick")
    };
    let task = Task::shell("trap '' TERM; echo ready; while :; do sleep 0.1; done")
        .network(Net::None)
        .grace(Duration::from_millis(300));
    let mut task = agent.launch(&with_health(task, check))?;
    let started = task.running().await?;
    assert_eq!(started.status.healthy, None);
    let healthy = turned(&mut task, true).await?;
    // Where the task is reached is told again, what it is made of is not.
    assert_eq!(healthy.container_status, started.status.container_status);
    assert_eq!(healthy.data, None);
    std::fs::write(task.sandbox().join("sick"), "")?;
    for _ in 0..2 {
        let sick = turned(&mut task, false).await?;
        assert_eq!(sick.container_status, started.status.container_status);
    }
    let killing = task.killing().await?;
    assert_eq!(killing.healthy, None);
    let end = task.terminal_within(PROMPT).await?;
    assert_eq!((end.status.state(), end.status.healthy), (TaskState::TaskKilled, Some(false)));
    assert_eq!(end.status.reason, None);
    assert_eq!(task.states(), states("STARTING RUNNING RUNNING RUNNING RUNNING KILLING KILLED"));
    agent.end().await
}

/// Peer: DockerContainerizerTest.ROOT_DOCKER_NoTransitionFromKillingToRunning.
///
/// The server goes at SIGTERM and the task stays for a while, so that its checks would fail under the kill.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_task_that_is_killed_does_not_run_again_though_its_check_fails() -> Result<()> {
    let engine = require_engine!(Ok(()));
    let agent = Supervised::new(&engine).await?;
    let mut check = health(v1::HealthCheck {
        tcp: Some(v1::health_check::TcpCheckInfo { port: 8080, ..Default::default() }),
        consecutive_failures: Some(1),
        grace_period_seconds: Some(60.0),
        ..Default::default()
    });
    check.set_type(v1::health_check::Type::Tcp);
    check.grace_period_seconds = Some(60.0);
    let line = "trap 'kill $server; echo closed; sleep 2; exit 0' TERM; \
                httpd -f -p 8080 & server=$!; while :; do wait; done";
    let task = Task::shell(line).network(Net::None).grace(Duration::from_secs(600));
    let mut task = agent.launch(&with_health(task, check))?;
    task.running().await?;
    turned(&mut task, true).await?;
    task.kill().await?;
    assert_eq!(task.killing().await?.healthy, None);
    task.says("closed").await?;
    let end = task.terminal_within(PROMPT).await?;
    assert_eq!((end.status.state(), end.status.healthy), (TaskState::TaskKilled, None));
    assert_eq!(end.outcome.exit_code, 0, "{}", end.outcome.message);
    assert_eq!(task.states(), states("STARTING RUNNING RUNNING KILLING KILLED"));
    agent.end().await
}

/// Every status of a task with a check has the latest result, and before the first one its kind.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_check_is_told_and_nothing_follows_from_it() -> Result<()> {
    let engine = require_engine!(Ok(()));
    let agent = Supervised::new(&engine).await?;
    let mut check = v1::CheckInfo {
        command: Some(v1::check_info::Command {
            command: command("test -e $MESOS_SANDBOX/result || exit 7; exit $(cat $MESOS_SANDBOX/result)"),
        }),
        delay_seconds: Some(0.0),
        interval_seconds: Some(0.1),
        ..Default::default()
    };
    check.set_type(v1::check_info::Type::Command);
    let task = Task::shell("sleep 1000").change(|info| info.check = Some(check));
    let mut task = agent.launch(&task)?;
    let result = |status: &TaskStatus| {
        status.check_status.as_ref().and_then(|check| check.command.as_ref()).map(|command| command.exit_code)
    };
    let starting = task.starting().await?;
    assert_eq!(result(&starting), Some(None));
    let started = task.running().await?;
    assert_eq!(result(&started.status), Some(None));
    for code in ["0", "3"] {
        let told = next_running(&mut task).await?;
        let before = if code == "0" { 7 } else { 0 };
        assert_eq!(result(&told), Some(Some(before)));
        assert_eq!(told.reason(), Reason::TaskCheckStatusUpdated);
        assert_eq!(told.healthy, None);
        std::fs::write(task.sandbox().join("new"), code)?;
        std::fs::rename(task.sandbox().join("new"), task.sandbox().join("result"))?;
    }
    assert_eq!(result(&next_running(&mut task).await?), Some(Some(3)));
    task.kill_within(Duration::ZERO).await?;
    let end = task.terminal_within(PROMPT).await?;
    assert_eq!(result(&end.status), Some(Some(3)));
    agent.end().await
}

/// Docker's own health check, for a task that asks for it: its verdict is told, and nothing follows from it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_engines_health_check_is_told_and_does_not_kill() -> Result<()> {
    let engine = require_engine!(Ok(()));
    let agent = Supervised::new(&engine).await?;
    let task = Task::shell("exec sleep 1000")
        .parameter("health-cmd", "test ! -e $MESOS_SANDBOX/sick")
        .parameter("health-interval", "500ms")
        .parameter("health-retries", "1");
    let mut task = agent.launch(&task)?;
    let started = task.running().await?;
    let healthy = turned(&mut task, true).await?;
    assert_eq!(healthy.container_status, started.status.container_status);
    std::fs::write(task.sandbox().join("sick"), "")?;
    turned(&mut task, false).await?;
    std::fs::remove_file(task.sandbox().join("sick"))?;
    turned(&mut task, true).await?;
    task.kill_within(Duration::ZERO).await?;
    let end = task.terminal_within(PROMPT).await?;
    assert_eq!((end.status.state(), end.status.healthy), (TaskState::TaskKilled, None));
    agent.end().await
}

/// The first process dies after two failures of three: the next one kills at its first. The third check waits, so that it
/// is not the first process that makes it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn failures_in_a_row_go_on_over_a_crash() -> Result<()> {
    let engine = require_engine!(Ok(()));
    let agent = Supervised::new(&engine).await?;
    let line = "cd $MESOS_SANDBOX; echo asked >> asked; [ $(wc -l < asked) -le 2 ] || until [ -e go ]; do sleep 0.1; done; false";
    let check = v1::HealthCheck {
        consecutive_failures: Some(3),
        timeout_seconds: Some(600.0),
        ..health_by_command(line)
    };
    let task = with_health(Task::shell("echo ready; exec sleep 1000").grace(Duration::ZERO), check);
    let run = CliRun::start_task(agent.scope(), engine.socket(), agent.work_dir(), &task)?;
    run.recorded("\"consecutive_failures\":2").await?;
    let layout = run.layout().await?;
    run.kill()?;
    std::fs::write(layout.sandbox().join("go"), "")?;
    let heard = Adoption::new(TaskKilling::Sent).told(TaskState::TaskRunning);
    let mut task = agent.adopt_with(layout, heard).await?;
    let end = task.terminal_within(PROMPT).await?;
    assert_eq!((end.status.state(), end.status.healthy), (TaskState::TaskKilled, Some(false)));
    assert_eq!(task.states(), states("RUNNING KILLING KILLED"));
    agent.end().await
}

/// A task that was healthy is not told healthy again by the next process, and its grace period is over.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_healthy_task_stays_healthy_over_a_crash() -> Result<()> {
    let engine = require_engine!(Ok(()));
    let agent = Supervised::new(&engine).await?;
    let check = v1::HealthCheck {
        grace_period_seconds: Some(600.0),
        consecutive_failures: Some(1),
        ..health_by_command("echo asked >> $MESOS_SANDBOX/asked; test ! -e $MESOS_SANDBOX/sick")
    };
    let task = with_health(Task::shell("echo ready; exec sleep 1000").grace(Duration::ZERO), check);
    let run = CliRun::start_task(agent.scope(), engine.socket(), agent.work_dir(), &task)?;
    run.recorded("\"healthy\":true").await?;
    let layout = run.layout().await?;
    run.kill()?;
    let asked = layout.sandbox().join("asked");
    let count = || Ok::<_, anyhow::Error>(std::fs::read_to_string(&asked)?.lines().count());
    let before = count()?;
    let mut task = agent.adopt_with(layout.clone(), Adoption::new(TaskKilling::Sent)).await?;
    eventually("checks of the second process", PATIENCE, async || Ok((count()? > before + 3).then_some(())))
        .await?;
    std::fs::write(layout.sandbox().join("sick"), "")?;
    turned(&mut task, false).await.context("healthy was told again")?;
    let end = task.terminal_within(PROMPT).await?;
    assert_eq!(end.status.healthy, Some(false));
    agent.end().await
}
