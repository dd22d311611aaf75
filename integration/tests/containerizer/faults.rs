//! An engine that is slow, away, loses answers or hangs, seen through a proxy on its socket.

use std::time::Duration;

use anyhow::Result;
use docker_containerizer::{Ending, Phase};
use docker_engine::Deadlines;
use futures_util::future::try_join_all;
use integration::supervised::{Options, PATIENCE, Supervised, Task};
use integration::{Fault, FaultProxy, Rule, TestEngine, eventually, require_engine};
use mesos_proto::v1::TaskState;
use mesos_proto::v1::task_status::Reason;
use rstest::rstest;

use crate::launch::states;

/// What may pass until something is told that no deadline of minutes holds up.
const PROMPT: Duration = Duration::from_secs(30);

async fn arrange(engine: &TestEngine, deadlines: Deadlines) -> Result<(FaultProxy, Supervised)> {
    let proxy = FaultProxy::start(engine.socket()).await?;
    let agent = Supervised::with(engine, Options { deadlines, ..Options::through(proxy.socket()) }).await?;
    Ok((proxy, agent))
}

fn creates(proxy: &FaultProxy) -> usize {
    let is_create = |target: &str| target.contains("/containers/create");
    proxy.requests().iter().filter(|request| is_create(&request.target)).count()
}

/// A create or start that the engine has is let through, as the engine would go on with it anyway; nothing of it stays.
#[rstest]
#[case::create_before_the_engine_acts("/containers/create", Fault::Hang)]
#[case::create_after_the_engine_acted("/containers/create", Fault::HangAnswer)]
#[case::start_before_the_engine_acts("/containers/*/start", Fault::Hang)]
#[case::start_after_the_engine_acted("/containers/*/start", Fault::HangAnswer)]
#[tokio::test]
async fn a_task_that_is_killed_while_the_engine_works_on_it_leaves_nothing(
    #[case] path: &str,
    #[case] fault: Fault,
) -> Result<()> {
    let engine = require_engine!(Ok(()));
    let (proxy, agent) = arrange(&engine, Deadlines::default()).await?;
    let slow = proxy.add(Rule::new("POST", path, fault));
    let mut task = agent.launch(&Task::shell("sleep 1000"))?;
    task.starting().await?;
    eventually("the request that is slow", PATIENCE, async || Ok((proxy.hits(slow) == 1).then_some(())))
        .await?;
    task.kill_within(Duration::ZERO).await?;
    task.killing().await?;
    proxy.remove(slow);
    let end = task.terminal().await?;
    assert_eq!(end.outcome.state, TaskState::TaskKilled);
    // A container that did start is not told as running any more.
    assert_eq!(task.states(), states("STARTING KILLING KILLED"));
    // The status comes first, and then it is forgotten.
    eventually("the end of it", PATIENCE, async || {
        Ok((!agent.containerizer().containers().contains(&task.container_id())).then_some(()))
    })
    .await?;
    agent.end().await
}

#[tokio::test]
async fn a_create_that_was_killed_before_its_start_is_told_as_killed_during_launch() -> Result<()> {
    let engine = require_engine!(Ok(()));
    let (proxy, agent) = arrange(&engine, Deadlines::default()).await?;
    let slow = proxy.add(Rule::new("POST", "/containers/create", Fault::HangAnswer));
    let mut task = agent.launch(&Task::shell("sleep 1000"))?;
    task.starting().await?;
    eventually("the request that is slow", PATIENCE, async || Ok((proxy.hits(slow) == 1).then_some(())))
        .await?;
    task.kill().await?;
    task.killing().await?;
    proxy.remove(slow);
    let end = task.terminal().await?;
    assert_eq!(end.status.reason(), Reason::TaskKilledDuringLaunch);
    assert_eq!(end.termination.ending, Ending::DestroyedBeforeStart(Phase::Starting));
    assert_eq!(task.states(), states("STARTING KILLING KILLED"));
    agent.end().await
}

/// A create that the engine never answers ends with its deadline, and a kill does not wait for further tries.
#[tokio::test]
async fn a_kill_ends_a_create_that_hangs() -> Result<()> {
    let engine = require_engine!(Ok(()));
    let mut deadlines = Deadlines::default();
    deadlines.create = Duration::from_secs(10);
    let (proxy, agent) = arrange(&engine, deadlines).await?;
    let hang = proxy.add(Rule::new("POST", "/containers/create", Fault::Hang));
    let mut task = agent.launch(&Task::shell("sleep 1000"))?;
    eventually("the create that hangs", PATIENCE, async || Ok((proxy.hits(hang) == 1).then_some(()))).await?;
    task.kill_within(Duration::ZERO).await?;
    let end = task.terminal_within(PROMPT).await?;
    assert_eq!(end.outcome.state, TaskState::TaskKilled);
    assert_eq!(creates(&proxy), 1, "a create was sent again after the kill");
    proxy.remove(hang);
    agent.end().await
}

#[tokio::test]
async fn a_kill_ends_a_start_that_hangs() -> Result<()> {
    let engine = require_engine!(Ok(()));
    let mut deadlines = Deadlines::default();
    deadlines.start = Duration::from_secs(10);
    let (proxy, agent) = arrange(&engine, deadlines).await?;
    let hang = proxy.add(Rule::new("POST", "/containers/*/start", Fault::Hang));
    let mut task = agent.launch(&Task::shell("sleep 1000"))?;
    eventually("the start that hangs", PATIENCE, async || Ok((proxy.hits(hang) == 1).then_some(()))).await?;
    task.kill_within(Duration::ZERO).await?;
    let end = task.terminal_within(PROMPT).await?;
    assert_eq!(end.outcome.state, TaskState::TaskKilled);
    assert_eq!(proxy.hits(hang), 1, "a start was sent again after the kill");
    proxy.remove(hang);
    agent.end().await
}

/// Peer: HungDockerTest.ROOT_DOCKER_InspectHungDuringPull.
///
/// There is no executor that has to register in time; the launch waits for the engine until somebody kills it.
#[tokio::test]
async fn a_kill_ends_a_look_for_the_image_that_hangs() -> Result<()> {
    let engine = require_engine!(Ok(()));
    let (proxy, agent) = arrange(&engine, Deadlines::default()).await?;
    let hang = proxy.add(Rule::new("GET", "/images/*/json", Fault::Hang));
    let mut task = agent.launch(&Task::shell("sleep 1000"))?;
    eventually("the look that hangs", PATIENCE, async || Ok((proxy.hits(hang) == 1).then_some(()))).await?;
    task.kill().await?;
    let end = task.terminal_within(PROMPT).await?;
    assert_eq!(end.status.reason(), Reason::TaskKilledDuringLaunch);
    agent.end().await
}

#[tokio::test]
async fn a_launch_waits_for_an_engine_that_is_away() -> Result<()> {
    let engine = require_engine!(Ok(()));
    let (mut proxy, agent) = arrange(&engine, Deadlines::default()).await?;
    proxy.go_down().await?;
    let mut task = agent.launch(&Task::shell("echo here at last"))?;
    assert!(
        tokio::time::timeout(Duration::from_millis(1500), task.starting()).await.is_err(),
        "something was told while the engine was away: {:?}",
        task.states()
    );
    proxy.come_back().await?;
    task.finished().await?;
    assert_eq!(task.stdout()?, "here at last\n");
    agent.end().await
}

#[tokio::test]
async fn a_kill_ends_a_launch_that_waits_for_an_engine() -> Result<()> {
    let engine = require_engine!(Ok(()));
    let (mut proxy, agent) = arrange(&engine, Deadlines::default()).await?;
    proxy.go_down().await?;
    let mut task = agent.launch(&Task::shell("true"))?;
    task.kill().await?;
    let end = task.terminal_within(PROMPT).await?;
    assert_eq!(end.status.reason(), Reason::TaskKilledDuringLaunch);
    agent.end().await
}

/// The engine made the container and the answer was lost: it is found by its name, and there is no second one.
#[rstest]
#[case::cut(Fault::CutAnswer)]
#[case::conflict(Fault::ReplaceAnswer(409, r#"{"message":"Conflict. The container name is already in use"}"#.to_owned()))]
#[tokio::test]
async fn a_create_whose_answer_is_lost_makes_one_container(#[case] fault: Fault) -> Result<()> {
    let engine = require_engine!(Ok(()));
    let (proxy, agent) = arrange(&engine, Deadlines::default()).await?;
    let lost = proxy.add(Rule::new("POST", "/containers/create", fault).times(1));
    let mut task = agent.launch(&Task::shell("echo once; sleep 1000"))?;
    task.running().await?;
    task.says("once").await?;
    assert_eq!((proxy.hits(lost), creates(&proxy)), (1, 1));
    assert_eq!(agent.scope().leftovers().await?.containers, [format!("/{}", task.name())]);
    task.kill_within(Duration::ZERO).await?;
    task.terminal().await?;
    assert_eq!(task.stdout()?, "once\n");
    agent.end().await
}

#[tokio::test]
async fn a_start_whose_answer_is_lost_starts_once() -> Result<()> {
    let engine = require_engine!(Ok(()));
    let (proxy, agent) = arrange(&engine, Deadlines::default()).await?;
    let lost = proxy.add(Rule::new("POST", "/containers/*/start", Fault::CutAnswer).times(1));
    let mut task = agent.launch(&Task::shell("echo started >> /mnt/mesos/sandbox/starts; exit 4"))?;
    let end = task.terminal().await?;
    assert_eq!(proxy.hits(lost), 1);
    assert_eq!(end.outcome.exit_code, 4);
    assert_eq!(task.read("starts")?, "started\n");
    agent.end().await
}

/// A stream that breaks is not an exit: the engine is asked, and the task goes on.
#[tokio::test]
async fn a_cut_connection_is_not_an_exit() -> Result<()> {
    let engine = require_engine!(Ok(()));
    let (mut proxy, agent) = arrange(&engine, Deadlines::default()).await?;
    let line =
        "i=0; until [ -e $MESOS_SANDBOX/enough ]; do i=$((i+1)); echo line $i; sleep 0.02; done; echo end $i";
    let mut task = agent.launch(&Task::shell(line))?;
    task.running().await?;
    for cut in 1..=3 {
        task.says(&format!("line {}", cut * 20)).await?;
        proxy.cut_all();
    }
    proxy.go_down().await?;
    proxy.come_back().await?;
    task.says("line 100").await?;
    assert_eq!(task.states(), states("STARTING RUNNING"));
    std::fs::write(task.sandbox().join("enough"), "")?;
    task.finished().await?;

    // Each line once and in order, over all the cuts.
    let output = task.stdout()?;
    let lines: Vec<_> = output.lines().collect();
    let count = lines.len() - 1;
    let expected =
        (1..=count).map(|i| format!("line {i}")).chain([format!("end {count}")]).collect::<Vec<_>>();
    assert_eq!(lines, expected);
    assert_eq!(task.stderr()?, "");
    agent.end().await
}

/// A container whose inspection hangs is parked; its neighbours go on.
#[tokio::test]
async fn a_container_whose_inspection_hangs_does_not_stop_the_others() -> Result<()> {
    let engine = require_engine!(Ok(()));
    let (proxy, agent) = arrange(&engine, Deadlines::default()).await?;
    let hang = proxy.add(Rule::new("GET", "/containers/*/json", Fault::Hang).times(1));
    let mut parked = agent.launch(&Task::shell("sleep 1000"))?;
    parked.starting().await?;
    eventually("the inspection that hangs", PATIENCE, async || Ok((proxy.hits(hang) == 1).then_some(())))
        .await?;

    let mut others = (0..5).map(|_| agent.launch(&Task::shell("echo done"))).collect::<Result<Vec<_>>>()?;
    try_join_all(others.iter_mut().map(|task| task.finished())).await?;
    assert_eq!(parked.states(), states("STARTING"));

    proxy.remove(hang);
    parked.running().await?;
    parked.kill_within(Duration::ZERO).await?;
    parked.terminal().await?;
    agent.end().await
}

/// SIGKILL by the engine hangs: the process is killed past it.
#[tokio::test]
async fn a_kill_that_hangs_in_the_engine_is_done_past_it() -> Result<()> {
    let engine = require_engine!(Ok(()));
    let (proxy, agent) = arrange(&engine, Deadlines::default()).await?;
    let mut task = agent.launch(&Task::shell("sleep 1000"))?;
    task.running().await?;
    let hang = proxy.add(Rule::new("POST", "/containers/*/kill", Fault::Hang));
    task.kill_within(Duration::ZERO).await?;
    let end = task.terminal_within(PROMPT).await?;
    assert_eq!((end.outcome.state, end.outcome.exit_code), (TaskState::TaskKilled, 137));
    proxy.remove(hang);
    agent.end().await
}

/// The engine takes SIGKILL and nothing happens: the process is killed past it at the second try.
#[tokio::test]
async fn a_kill_that_the_engine_takes_without_effect_is_done_past_it() -> Result<()> {
    let engine = require_engine!(Ok(()));
    let (proxy, agent) = arrange(&engine, Deadlines::default()).await?;
    let mut task = agent.launch(&Task::shell("sleep 1000"))?;
    task.running().await?;
    let lie = proxy.add(Rule::new("POST", "/containers/*/kill", Fault::Replace(204, String::new())));
    task.kill_within(Duration::ZERO).await?;
    let end = task.terminal_within(PROMPT).await?;
    assert_eq!((end.outcome.state, end.outcome.exit_code), (TaskState::TaskKilled, 137));
    assert!(proxy.hits(lie) >= 2, "it was killed past the engine at once");
    proxy.remove(lie);
    agent.end().await
}

/// The engine tells an end that did not happen: none is told before the process is gone.
#[tokio::test]
async fn no_end_is_told_while_the_process_lives() -> Result<()> {
    let engine = require_engine!(Ok(()));
    let (proxy, agent) = arrange(&engine, Deadlines::default()).await?;
    let lie = r#"{"StatusCode":7}"#.to_owned();
    proxy.add(Rule::new("POST", "/containers/*/wait", Fault::Replace(200, lie)));
    let mut task = agent.launch(&Task::shell("sleep 1000"))?;
    let pid = task.running().await?.running.pid;
    let stat = format!("/proc/{}/stat", pid.unwrap_or_default());
    let end = task.terminal_within(PROMPT).await?;
    // One that has ended and was not waited for yet is a zombie.
    let lives = std::fs::read_to_string(&stat).is_ok_and(|stat| !stat.contains(") Z "));
    assert!(!lives, "{:?} while the process lives", end.outcome);
    assert_eq!(end.outcome.state, TaskState::TaskFailed);
    agent.end().await
}
