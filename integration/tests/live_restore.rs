//! An engine that is killed, restarted or frozen under running tasks: no status is told that isn't true, output goes on
//! exactly, and a kill works afterwards, or at once where the engine cannot help.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use docker_engine::Deadlines;
use integration::logs_check::{Rig, RigOptions, Run, check_numbers};
use integration::supervised::Task;
use integration::{PrivateEngine, TestScope, eventually, require_private_engine};
use mesos_proto::v1::TaskState;

const SOON: Duration = Duration::from_secs(60);

/// Counts for ever, and takes no notice of SIGTERM.
const COUNT: &str = "i=1; while :; do echo $i; i=$((i+1)); usleep 20000; done";

async fn rig(scope: &TestScope, options: RigOptions) -> Result<Rig> {
    Rig::new(scope.engine().socket(), &scope.agent_id(), &scope.subdir("w")?, options).await
}

async fn lines(run: &Run, more_than: u64) -> Result<u64> {
    eventually(&format!("more than {more_than} lines"), SOON, async || {
        let numbers = check_numbers(&whole_lines(run)?, "")?;
        Ok(Some(numbers.last).filter(|last| *last > more_than))
    })
    .await
}

/// What is in the sandbox up to the last line break.
fn whole_lines(run: &Run) -> Result<Vec<u8>> {
    let mut log = run.read("stdout")?;
    let end = log.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
    log.truncate(end);
    Ok(log)
}

async fn gone(pid: u32) -> Result<()> {
    let path = format!("/proc/{pid}");
    eventually(&format!("the end of process {pid}"), SOON, async || {
        Ok((!Path::new(&path).exists()).then_some(()))
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_tasks_outlive_a_killed_dockerd_without_a_status_and_are_killed_afterwards() -> Result<()> {
    require_private_engine!(Ok(()));
    let mut private = PrivateEngine::start_with(&["--bridge=none"]).await?;
    let scope = TestScope::new(&private.engine()?).await?;
    let rig = rig(&scope, RigOptions::default()).await?;
    let mut runs = Vec::new();
    for _ in 0..3 {
        let mut run = rig.launch(&Task::shell(COUNT))?;
        let pid = run.running().await?.pid.context("a pid")?;
        runs.push((run, pid));
    }
    let mut before = Vec::new();
    for (run, _) in &runs {
        before.push(lines(run, 20).await?);
    }
    private.kill_dockerd().await?;
    let began = Instant::now();
    private.start_dockerd().await?;
    println!("dockerd is back after {:?}", began.elapsed());
    let mut client = scope.client().await?;
    for ((run, pid), before) in runs.iter_mut().zip(before) {
        lines(run, before + 100).await?;
        ensure!(run.is_quiet(), "a status was told");
        let name = format!("mesos-{}-{}", scope.agent_id(), run.container_id());
        let state = client.get(&format!("/containers/{name}/json")).await?.json()?["State"].take();
        ensure!(state["Pid"] == *pid, "{state}");
    }
    println!("all go on after {:?}", began.elapsed());
    for (run, pid) in &mut runs {
        run.kill(Some(Duration::ZERO)).await?;
        let ended = run.ended().await?;
        ensure!(
            (ended.outcome.state, ended.outcome.exit_code) == (TaskState::TaskKilled, 137),
            "{:?}",
            ended.outcome
        );
        gone(*pid).await?;
        let numbers = check_numbers(&whole_lines(run)?, "")?;
        ensure!(numbers.gaps == 0, "{numbers:?}");
    }
    rig.settled().await?;
    scope.assert_clean().await?;
    private.remove()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_exit_while_dockerd_is_away_is_told_when_it_is_back() -> Result<()> {
    require_private_engine!(Ok(()));
    let mut private = PrivateEngine::start_with(&["--bridge=none"]).await?;
    let scope = TestScope::new(&private.engine()?).await?;
    let rig = rig(&scope, RigOptions::default()).await?;
    let line = "echo begin; while [ ! -e $MESOS_SANDBOX/go ]; do usleep 10000; done; echo end; exit 7";
    let mut run = rig.launch(&Task::shell(line))?;
    let pid = run.running().await?.pid.context("a pid")?;
    eventually("the first line", SOON, async || Ok((run.read("stdout")? == b"begin\n").then_some(())))
        .await?;
    private.kill_dockerd().await?;
    std::fs::write(run.layout().sandbox().join("go"), "")?;
    gone(pid).await?;
    ensure!(run.is_quiet(), "a status was told while nobody can know the exit code");
    private.start_dockerd().await?;
    let ended = run.ended().await?;
    println!("exit 7 while dockerd was away: {:?}", ended.outcome);
    ensure!(ended.outcome.state == TaskState::TaskFailed, "{:?}", ended.outcome);
    ensure!([7, 125].contains(&ended.outcome.exit_code), "{:?}", ended.outcome);
    // What the engine never read out of the pipe is lost with it; what it logged is there.
    ensure!(run.read("stdout")?.starts_with(b"begin\n"), "{:?}", run.read("stdout"));
    rig.settled().await?;
    scope.assert_clean().await?;
    private.remove()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_frozen_dockerd_does_not_keep_a_killed_task_alive() -> Result<()> {
    require_private_engine!(Ok(()));
    let private = PrivateEngine::start_with(&["--bridge=none"]).await?;
    let scope = TestScope::new(&private.engine()?).await?;
    let mut deadlines = Deadlines::default();
    deadlines.inspect = Duration::from_secs(1);
    deadlines.kill = Duration::from_secs(1);
    let options = RigOptions {
        deadlines,
        exit_deadline: Duration::from_secs(10),
        drain_deadline: Duration::from_secs(2),
        ..RigOptions::default()
    };
    let rig = rig(&scope, options).await?;
    let mut first = rig.launch(&Task::shell(COUNT))?;
    let first_pid = first.running().await?.pid.context("a pid")?;
    let mut second = rig.launch(&Task::shell(COUNT))?;
    let second_pid = second.running().await?.pid.context("a pid")?;
    lines(&first, 5).await?;

    private.freeze_dockerd().await?;
    let began = Instant::now();
    first.kill(Some(Duration::from_millis(500))).await?;
    gone(first_pid).await?;
    println!("the process is gone after {:?}", began.elapsed());
    // The engine never tells: the deadline does.
    let ended = first.ended().await?;
    println!("the terminal status came after {:?}: {:?}", began.elapsed(), ended.outcome);
    ensure!(ended.outcome.state == TaskState::TaskKilled, "{:?}", ended.outcome);
    ensure!(began.elapsed() < Duration::from_secs(45), "{:?}", began.elapsed());

    // One that thaws in time tells the code itself.
    second.kill(Some(Duration::ZERO)).await?;
    gone(second_pid).await?;
    private.thaw_dockerd()?;
    let ended = second.ended().await?;
    ensure!(
        (ended.outcome.state, ended.outcome.exit_code) == (TaskState::TaskKilled, 137),
        "{:?}",
        ended.outcome
    );
    rig.settled().await?;
    scope.assert_clean().await?;
    private.remove()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_live_restore_a_restart_ends_the_tasks_and_their_exit_is_seen() -> Result<()> {
    require_private_engine!(Ok(()));
    let mut private = PrivateEngine::start_with(&["--bridge=none", "--live-restore=false"]).await?;
    let scope = TestScope::new(&private.engine()?).await?;
    let rig = rig(&scope, RigOptions::default()).await?;
    let mut polite =
        rig.launch(&Task::shell("trap 'exit 5' TERM; echo ready; while :; do usleep 10000; done"))?;
    polite.running().await?;
    eventually("the trap", SOON, async || Ok((polite.read("stdout")? == b"ready\n").then_some(()))).await?;
    private.stop_dockerd().await?;
    private.start_dockerd().await?;
    let ended = polite.ended().await?;
    ensure!(
        (ended.outcome.state, ended.outcome.exit_code) == (TaskState::TaskFailed, 5),
        "{:?}",
        ended.outcome
    );

    let mut killed = rig.launch(&Task::shell(COUNT))?;
    let pid = killed.running().await?.pid.context("a pid")?;
    lines(&killed, 5).await?;
    private.kill_dockerd().await?;
    private.start_dockerd().await?;
    let ended = killed.ended().await?;
    println!("dockerd killed without live-restore: {:?}", ended.outcome);
    ensure!(ended.outcome.state == TaskState::TaskFailed, "{:?}", ended.outcome);
    gone(pid).await?;
    ensure!(check_numbers(&whole_lines(&killed)?, "")?.gaps == 0, "a gap");
    rig.settled().await?;
    scope.assert_clean().await?;
    private.remove()
}

/// Without live-restore an engine that comes back after a crash stops its containers: the task has failed, and its message
/// says why, so that nobody looks for the reason in the task. An engine that is stopped tells the ends of its containers
/// while it still answers, and those cannot be told from others.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_engine_that_takes_its_containers_along_is_named_in_the_message() -> Result<()> {
    require_private_engine!(Ok(()));
    let mut private = PrivateEngine::start_with(&["--bridge=none", "--live-restore=false"]).await?;
    let scope = TestScope::new(&private.engine()?).await?;
    let rig = rig(&scope, RigOptions::default()).await?;
    let mut run = rig.launch(&Task::shell(COUNT))?;
    run.running().await?;
    lines(&run, 5).await?;
    private.kill_dockerd().await?;
    private.start_dockerd().await?;
    let ended = run.ended().await?;
    let outcome = &ended.outcome;
    ensure!(outcome.state == TaskState::TaskFailed, "{outcome:?}");
    ensure!(outcome.message.contains("Docker Engine was restarted"), "{}", outcome.message);
    rig.settled().await?;
    scope.assert_clean().await?;
    private.remove()
}
