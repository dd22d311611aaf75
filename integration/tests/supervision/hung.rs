//! An engine that accepts connections and never answers: statuses come late, none is lost, and what must be killed is.

use std::time::Duration;

use anyhow::Result;
use docker_engine::Deadlines;
use integration::supervised::{Net, Options, PATIENCE, Supervised, Task};
use integration::{Fault, FaultProxy, Rule, eventually, require_engine};
use mesos_proto::v1::{self, TaskState};

use crate::{PROMPT, states};

/// Deadlines so short that a call's end can be waited for.
fn short() -> Deadlines {
    let mut deadlines = Deadlines::default();
    deadlines.create = Duration::from_secs(2);
    deadlines.start = Duration::from_secs(2);
    deadlines.inspect = Duration::from_secs(2);
    deadlines.kill = Duration::from_secs(2);
    deadlines.remove = Duration::from_secs(2);
    deadlines
}

/// The engine hangs before anything of a launch is done, and comes back: each call ended at its deadline and was made
/// again, and every status is told once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_launch_outlasts_an_engine_that_hangs() -> Result<()> {
    let engine = require_engine!(Ok(()));
    let proxy = FaultProxy::start(engine.socket()).await?;
    let agent =
        Supervised::with(&engine, Options { deadlines: short(), ..Options::through(proxy.socket()) }).await?;
    let hang = proxy.add(Rule::new("*", "*", Fault::Hang));
    let mut task = agent.launch(&Task::shell("echo done"))?;
    // More than one: the first has met its deadline.
    eventually("a second call", PATIENCE, async || Ok((proxy.hits(hang) >= 2).then_some(()))).await?;
    assert_eq!(task.states(), []);
    proxy.remove(hang);
    task.finished().await?;
    assert_eq!(task.states(), states("STARTING RUNNING FINISHED"));
    assert_eq!(task.stdout()?, "done\n");
    agent.end().await
}

/// The engine hangs while a task runs: it is killed past the engine, and its end is told once the engine is back with the
/// exit code.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kill_is_done_and_told_though_the_engine_hangs() -> Result<()> {
    let engine = require_engine!(Ok(()));
    let proxy = FaultProxy::start(engine.socket()).await?;
    let agent =
        Supervised::with(&engine, Options { deadlines: short(), ..Options::through(proxy.socket()) }).await?;
    let mut task = agent.launch(&Task::shell("trap '' TERM; echo ready; while :; do sleep 0.1; done"))?;
    task.running().await?;
    task.says("ready").await?;
    let hang = proxy.add(Rule::new("*", "*", Fault::Hang));
    // The wait and the log that are under way are lost as well.
    proxy.cut_all();
    task.kill_within(Duration::from_millis(500)).await?;
    task.killing().await?;
    eventually("the end of the process", PROMPT, async || {
        let state = agent.inspect(task.name()).await?["State"].take();
        Ok((state["Running"] == false).then_some(()))
    })
    .await?;
    assert_eq!(task.states(), states("STARTING RUNNING KILLING"), "an end was told without its exit code");
    proxy.remove(hang);
    let end = task.terminal().await?;
    assert_eq!((end.outcome.state, end.outcome.exit_code), (TaskState::TaskKilled, 137));
    assert_eq!(task.states(), states("STARTING RUNNING KILLING KILLED"));
    agent.end().await
}

/// A task ends by itself while the engine hangs: its own exit code is told when the engine is back.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_exit_is_told_late_and_with_its_code() -> Result<()> {
    let engine = require_engine!(Ok(()));
    let proxy = FaultProxy::start(engine.socket()).await?;
    let agent =
        Supervised::with(&engine, Options { deadlines: short(), ..Options::through(proxy.socket()) }).await?;
    let line =
        "echo ready; until [ -e $MESOS_SANDBOX/end ]; do sleep 0.05; done; echo last words >&2; exit 3";
    let mut task = agent.launch(&Task::shell(line))?;
    task.running().await?;
    task.says("ready").await?;
    let hang = proxy.add(Rule::new("*", "*", Fault::Hang));
    proxy.cut_all();
    std::fs::write(task.sandbox().join("end"), "")?;
    eventually("the end of the process", PROMPT, async || {
        Ok((agent.inspect(task.name()).await?["State"]["Running"] == false).then_some(()))
    })
    .await?;
    eventually("calls that hang", PATIENCE, async || Ok((proxy.hits(hang) >= 2).then_some(()))).await?;
    proxy.remove(hang);
    let end = task.terminal().await?;
    assert_eq!((end.outcome.state, end.outcome.exit_code), (TaskState::TaskFailed, 3));
    assert_eq!(end.status.message(), "Container exited with status 3; stderr: last words");
    assert_eq!(task.states(), states("STARTING RUNNING FAILED"));
    agent.end().await
}

/// A task ends by itself and in time while the engine hangs. Its longest time passes before anybody can tell its exit code,
/// and its health check finds nobody: it has ended as it has.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_task_that_is_gone_is_not_too_late_and_not_unhealthy() -> Result<()> {
    let engine = require_engine!(Ok(()));
    let proxy = FaultProxy::start(engine.socket()).await?;
    let agent =
        Supervised::with(&engine, Options { deadlines: short(), ..Options::through(proxy.socket()) }).await?;
    let line = "httpd -f -p 8080 & echo ready; until [ -e $MESOS_SANDBOX/end ]; do sleep 0.05; done; exit 3";
    let longest = Duration::from_secs(20);
    let task = Task::shell(line).network(Net::None).max_completion(longest).change(|info| {
        let mut check = v1::HealthCheck {
            delay_seconds: Some(0.0),
            interval_seconds: Some(0.2),
            // Over with the first success: the server may take a moment to listen.
            grace_period_seconds: Some(60.0),
            consecutive_failures: Some(2),
            tcp: Some(v1::health_check::TcpCheckInfo { port: 8080, ..Default::default() }),
            ..Default::default()
        };
        check.set_type(v1::health_check::Type::Tcp);
        info.health_check = Some(check);
    });
    let mut task = agent.launch(&task)?;
    task.running().await?;
    let began = std::time::Instant::now();
    while task.next_status().await?.healthy != Some(true) {}
    let hang = proxy.add(Rule::new("*", "*", Fault::Hang));
    proxy.cut_all();
    std::fs::write(task.sandbox().join("end"), "")?;
    eventually("the end of the process", PROMPT, async || {
        Ok((agent.inspect(task.name()).await?["State"]["Running"] == false).then_some(()))
    })
    .await?;
    anyhow::ensure!(began.elapsed() < longest, "it ended late");
    eventually("the end of its longest time", PATIENCE, async || {
        Ok((began.elapsed() > longest).then_some(()))
    })
    .await?;
    proxy.remove(hang);
    let end = task.terminal().await?;
    assert_eq!((end.outcome.state, end.outcome.exit_code), (TaskState::TaskFailed, 3), "{:?}", end.status);
    assert_eq!((end.status.reason, end.status.healthy), (None, None));
    agent.end().await
}

/// A check that cannot be made says nothing of the task; its owner reads so where he looks, once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_check_that_cannot_be_made_is_told_in_the_sandbox() -> Result<()> {
    let engine = require_engine!(Ok(()));
    let proxy = FaultProxy::start(engine.socket()).await?;
    let agent =
        Supervised::with(&engine, Options { deadlines: short(), ..Options::through(proxy.socket()) }).await?;
    let refusal = r#"{"message": "no room"}"#.to_owned();
    let rule = proxy.add(Rule::new("POST", "/containers/*/exec", Fault::Replace(500, refusal)));
    let task = Task::shell("printf partial >&2; sleep 1000").network(Net::None).change(|info| {
        let mut check = v1::HealthCheck {
            delay_seconds: Some(0.0),
            interval_seconds: Some(0.1),
            grace_period_seconds: Some(0.0),
            consecutive_failures: Some(1),
            command: Some(v1::CommandInfo { value: Some("true".into()), ..Default::default() }),
            ..Default::default()
        };
        check.set_type(v1::health_check::Type::Command);
        info.health_check = Some(check);
    });
    let mut task = agent.launch(&task)?;
    task.running().await?;
    eventually("the note", PATIENCE, async || {
        Ok(task.stderr()?.contains("[mesos-agent] COMMAND check could not be made").then_some(()))
    })
    .await?;
    eventually("more checks", PATIENCE, async || Ok((proxy.hits(rule) > 3).then_some(()))).await?;
    task.kill_within(Duration::ZERO).await?;
    let end = task.terminal_within(PROMPT).await?;
    assert_eq!((end.status.state(), end.status.healthy), (TaskState::TaskKilled, None));
    let stderr = task.stderr()?;
    assert_eq!(stderr.matches("could not be made").count(), 1, "{stderr}");
    assert!(stderr.lines().any(|line| line == "partial"), "{stderr}");
    agent.end().await
}
