//! Making a task end: stop signal, grace, SIGKILL, and what is told of it.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result, ensure};
use docker_containerizer::{Ending, Exit};
use integration::images::TestImage;
use integration::require_engine;
use integration::supervised::{Options, Supervised, Task};
use mesos_proto::v1::TaskState;
use mesos_proto::v1::task_status::Reason;
use task_supervisor::TaskKilling;

use crate::launch::states;

/// What a kill that does not wait for a grace may take on a busy machine; the graces that it must not wait for are
/// minutes.
const PROMPT: Duration = Duration::from_secs(30);

/// A command that says `ready` once it ignores SIGTERM.
const STUBBORN: &str = "trap '' TERM; echo ready; while :; do sleep 0.1; done";

/// Peer: DockerContainerizerTest.ROOT_DOCKER_Kill.
#[tokio::test]
async fn a_killed_task_is_told_killed_and_its_container_is_gone() -> Result<()> {
    let engine = require_engine!(Ok(()));
    let agent = Supervised::new(&engine).await?;
    let mut task =
        agent.launch(&Task::shell("trap 'exit 0' TERM; echo ready; while :; do sleep 0.1; done"))?;
    task.running().await?;
    task.says("ready").await?;
    task.kill().await?;
    let end = task.terminal().await?;
    assert_eq!(end.outcome.state, TaskState::TaskKilled);
    assert_eq!(end.termination.ending, Ending::Exited(Exit::Code(0)));
    assert!(end.termination.killed.is_some());
    agent.end().await
}

/// The second kill comes before anything was done about the first.
#[tokio::test]
async fn two_kills_at_once_still_send_the_stop_signal() -> Result<()> {
    let engine = require_engine!(Ok(()));
    let agent = Supervised::new(&engine).await?;
    let mut task =
        agent.launch(&Task::shell("trap 'exit 7' TERM; echo ready; while :; do sleep 0.1; done"))?;
    task.running().await?;
    task.says("ready").await?;
    task.kill_within(Duration::from_secs(600)).await?;
    task.kill_within(Duration::from_secs(900)).await?;
    let end = task.terminal().await?;
    assert_eq!((end.outcome.state, end.outcome.exit_code), (TaskState::TaskKilled, 7));
    agent.end().await
}

/// Peer: DockerContainerizerTest.ROOT_DOCKER_TaskKillingCapability.
#[tokio::test]
async fn a_framework_that_can_take_it_hears_killing_before_killed() -> Result<()> {
    let engine = require_engine!(Ok(()));
    let agent = Supervised::new(&engine).await?;
    let mut task = agent.launch(&Task::shell("sleep 1000"))?;
    task.running().await?;
    task.kill_within(Duration::ZERO).await?;
    task.killing().await?;
    assert_eq!(task.terminal().await?.outcome.state, TaskState::TaskKilled);
    assert_eq!(task.states(), states("STARTING RUNNING KILLING KILLED"));
    agent.end().await
}

#[tokio::test]
async fn a_framework_that_cannot_take_it_hears_no_killing() -> Result<()> {
    let engine = require_engine!(Ok(()));
    let agent =
        Supervised::with(&engine, Options { task_killing: TaskKilling::Omitted, ..Options::default() })
            .await?;
    let mut task = agent.launch(&Task::shell("sleep 1000"))?;
    task.running().await?;
    task.kill_within(Duration::ZERO).await?;
    task.terminal().await?;
    assert_eq!(task.states(), states("STARTING RUNNING KILLED"));
    agent.end().await
}

/// Peer: DockerContainerizerTest.ROOT_DOCKER_OverrideKillPolicy.
#[tokio::test]
async fn a_kill_brings_its_own_grace() -> Result<()> {
    let engine = require_engine!(Ok(()));
    let agent = Supervised::new(&engine).await?;
    let mut task = agent.launch(&Task::shell(STUBBORN).grace(Duration::from_secs(600)))?;
    task.running().await?;
    task.says("ready").await?;
    task.kill_within(Duration::from_nanos(100)).await?;
    let end = task.terminal_within(PROMPT).await?;
    assert_eq!(end.outcome.state, TaskState::TaskKilled);
    assert_eq!(end.termination.ending, Ending::Exited(Exit::Code(137)));
    agent.end().await
}

#[tokio::test]
async fn a_second_kill_may_shorten_the_first_ones_grace() -> Result<()> {
    let engine = require_engine!(Ok(()));
    let agent = Supervised::new(&engine).await?;
    let mut task = agent.launch(&Task::shell(STUBBORN).grace(Duration::from_secs(600)))?;
    task.running().await?;
    task.says("ready").await?;
    task.kill().await?;
    task.killing().await?;
    task.kill_within(Duration::ZERO).await?;
    let end = task.terminal_within(PROMPT).await?;
    assert_eq!(end.termination.ending, Ending::Exited(Exit::Code(137)));
    assert_eq!(task.states(), states("STARTING RUNNING KILLING KILLED"));
    agent.end().await
}

/// Marathon repeats its kills more often than some graces end: each repetition must not begin the grace anew.
#[tokio::test]
async fn a_kill_that_is_repeated_for_ever_ends_with_its_first_grace() -> Result<()> {
    let engine = require_engine!(Ok(()));
    let agent = Supervised::new(&engine).await?;
    let grace = Duration::from_secs(2);
    let mut task = agent.launch(&Task::shell(STUBBORN).grace(grace))?;
    task.running().await?;
    task.says("ready").await?;
    let began = Instant::now();
    let end = loop {
        // A task that has just ended takes no kill.
        let _ = task.kill().await;
        match tokio::time::timeout(grace / 8, task.terminal()).await {
            Ok(end) => break end?,
            Err(_) => ensure!(began.elapsed() < PROMPT, "{:?}", task.states()),
        }
    };
    assert!(began.elapsed() >= grace, "SIGKILL came {:?} after the kill", began.elapsed());
    assert_eq!(end.termination.ending, Ending::Exited(Exit::Code(137)));
    assert_eq!(task.states(), states("STARTING RUNNING KILLING KILLED"));
    agent.end().await
}

/// As in stock, a later kill with a longer grace counts as well.
#[tokio::test]
async fn a_second_kill_may_lengthen_the_first_ones_grace() -> Result<()> {
    let engine = require_engine!(Ok(()));
    let agent = Supervised::new(&engine).await?;
    let line =
        "trap 'echo term' TERM; echo ready; until [ -e $MESOS_SANDBOX/end ]; do sleep 0.05; done; exit 4";
    let mut task = agent.launch(&Task::shell(line))?;
    task.running().await?;
    task.says("ready").await?;
    let short = Duration::from_secs(10);
    task.kill_within(short).await?;
    task.says("term").await?;
    task.kill_within(Duration::from_secs(600)).await?;
    let over = Instant::now() + short + Duration::from_secs(1);
    integration::eventually("the end of the first grace", PROMPT, async || {
        Ok((Instant::now() > over).then_some(()))
    })
    .await?;
    std::fs::write(task.sandbox().join("end"), "")?;
    let end = task.terminal_within(PROMPT).await?;
    assert_eq!(end.termination.ending, Ending::Exited(Exit::Code(4)));
    // One stop signal is enough, however often the grace changes.
    assert_eq!(task.stdout()?, "ready\nterm\n");
    agent.end().await
}

/// Peer: DockerContainerizerTest.ROOT_DOCKER_NoTransitionFromKillingToFinished.
#[tokio::test]
async fn a_killed_task_that_exits_with_0_is_killed_not_finished() -> Result<()> {
    let engine = require_engine!(Ok(()));
    let agent = Supervised::new(&engine).await?;
    let mut task = agent
        .launch(&Task::shell("trap 'echo bye; exit 0' TERM; echo ready; while :; do sleep 0.1; done"))?;
    task.running().await?;
    task.says("ready").await?;
    task.kill().await?;
    let end = task.terminal().await?;
    assert_eq!(end.termination.ending, Ending::Exited(Exit::Code(0)));
    assert_eq!(task.states(), states("STARTING RUNNING KILLING KILLED"));
    assert_eq!(task.stdout()?, "ready\nbye\n");
    agent.end().await
}

/// Peer: DockerContainerizerTest.ROOT_DOCKER_MaxCompletionTime.
#[tokio::test]
async fn a_task_that_runs_longer_than_it_may_fails() -> Result<()> {
    let engine = require_engine!(Ok(()));
    let agent = Supervised::new(&engine).await?;
    let longest = Duration::from_secs(5);
    let mut task = agent.launch(&Task::shell(STUBBORN).max_completion(longest))?;
    let running = task.running().await?.running;
    let end = task.terminal().await?;
    // The time runs from the container's start, however late we hear of it.
    let started = running.started_at.stamp().context("when it started")?;
    let now = i128::try_from(SystemTime::now().duration_since(UNIX_EPOCH)?.as_nanos())?;
    let ran = Duration::from_nanos(u64::try_from(now - started.as_nanos())?);
    assert!(ran >= longest, "ended after {ran:?}");
    assert_eq!(end.outcome.state, TaskState::TaskFailed);
    assert_eq!(end.status.reason(), Reason::MaxCompletionTimeReached);
    assert_eq!(task.states(), states("STARTING RUNNING FAILED"));
    agent.end().await
}

/// Kills fall into every phase of forty launches at once.
#[tokio::test(flavor = "multi_thread")]
async fn a_kill_at_any_moment_ends_in_one_killed_and_leaves_nothing() -> Result<()> {
    let engine = require_engine!(Ok(()));
    let agent = Supervised::new(&engine).await?;
    let ended = (0..40).map(|number| {
        let task = agent.launch(&Task::shell("sleep 1000"));
        async move {
            let mut task = task?;
            let moment = Duration::from_millis(number * 25);
            let ran = tokio::time::timeout(moment, task.running()).await.is_ok();
            task.kill_within(Duration::ZERO).await?;
            let end = task.terminal().await?;
            assert_eq!(end.outcome.state, TaskState::TaskKilled, "{}", end.outcome.message);
            let all = states("STARTING RUNNING KILLING KILLED");
            let mut rest = all.iter();
            let heard = task.states();
            assert!(heard.iter().all(|state| rest.any(|next| next == state)), "out of order: {heard:?}");
            assert!(!ran || heard == all, "{heard:?}");
            anyhow::Ok(ran)
        }
    });
    let ran = futures_util::future::try_join_all(ended).await?;
    assert!(ran.contains(&false), "no kill came before its task ran");
    agent.end().await
}

/// Peer: DockerTest.ROOT_DOCKER_kill.
#[tokio::test]
async fn sigkill_ends_a_container_with_137() -> Result<()> {
    let engine = require_engine!(Ok(()));
    let agent = Supervised::new(&engine).await?;
    let mut task = agent.launch(&Task::shell("sleep 1000"))?;
    let started = task.running().await?;
    assert!(started.running.pid.is_some());
    task.kill_within(Duration::ZERO).await?;
    let end = task.terminal_within(PROMPT).await?;
    assert_eq!(end.termination.ending, Ending::Exited(Exit::Code(137)));
    assert_eq!(end.outcome.exit_code, 137);
    agent.end().await
}

#[tokio::test]
async fn the_images_stop_signal_is_sent() -> Result<()> {
    let engine = require_engine!(Ok(()));
    let agent = Supervised::new(&engine).await?;
    let line =
        "trap 'echo term' TERM; trap 'echo usr1; exit 7' USR1; echo ready; while :; do sleep 0.1; done";
    let mut task =
        agent.launch(&Task::shell(line).image(TestImage::StopSignal).grace(Duration::from_secs(600)))?;
    task.running().await?;
    task.says("ready").await?;
    task.kill().await?;
    let end = task.terminal_within(PROMPT).await?;
    assert_eq!(end.termination.ending, Ending::Exited(Exit::Code(7)));
    assert_eq!(end.outcome.state, TaskState::TaskKilled);
    assert_eq!(task.stdout()?, "ready\nusr1\n");
    agent.end().await
}

/// The container notes the time of SIGTERM and then every few hundredths of a second, so its last note is when SIGKILL
/// came. The grace runs from the kill, so what the engine takes to deliver SIGTERM is missing between the two, and a busy
/// machine takes tenths of a second: one kill of six shows that the grace is not rounded, neither to 1 s nor to 2 s.
#[tokio::test]
async fn the_grace_is_exact_to_a_tenth_of_a_second() -> Result<()> {
    const GRACE: Duration = Duration::from_millis(1300);
    let engine = require_engine!(Ok(()));
    let agent = Supervised::new(&engine).await?;
    let line = "trap 'read now rest </proc/uptime; echo term $now' TERM; echo ready; \
                while :; do read now rest </proc/uptime; echo tick $now; sleep 0.02; done";
    let mut seen = Vec::new();
    for _ in 0..6 {
        let mut task = agent.launch(&Task::shell(line).grace(GRACE))?;
        task.running().await?;
        task.says("ready").await?;
        let asked = Instant::now();
        task.kill().await?;
        let end = task.terminal().await?;
        assert!(asked.elapsed() >= GRACE, "SIGKILL came {:?} after the kill", asked.elapsed());
        assert_eq!(end.termination.ending, Ending::Exited(Exit::Code(137)));
        let output = task.stdout()?;
        let time = |line: &str| line.split(' ').nth(1).and_then(|now| now.parse::<f64>().ok());
        let term = output
            .lines()
            .find(|line| line.starts_with("term "))
            .and_then(time)
            .context("no SIGTERM came")?;
        let last =
            output.lines().rfind(|line| line.starts_with("tick ")).and_then(time).context("no tick")?;
        seen.push(last - term);
        if (1.1..1.9).contains(&(last - term)) {
            return agent.end().await;
        }
    }
    ensure!(false, "between SIGTERM and SIGKILL were {seen:?} seconds, with a grace of {GRACE:?}");
    Ok(())
}
