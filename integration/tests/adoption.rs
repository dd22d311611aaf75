//! A second process takes over: `mesos-docker run` is killed with SIGKILL at any moment, and its successor tells what
//! is still to be told, goes on with the output exactly where it ended, and finishes a kill that was under way.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use integration::cli_run::CliRun;
use integration::logs_check::{Rig, RigOptions, Run, check_all_numbers, check_numbers, runs_below};
use integration::{Fault, FaultProxy, Rule, TestScope, eventually, require_engine};
use mesos_proto::v1::TaskState;
use rustix::process::Signal;
use serde_json::json;

const SOON: Duration = Duration::from_secs(60);

async fn successor(scope: &TestScope, work_dir: &Path) -> Result<Rig> {
    Rig::new(scope.engine().socket(), &scope.agent_id(), work_dir, RigOptions::default()).await
}

/// Numbered lines on both streams, with a pause after each ten. The last hundred come once there is a file `go` in the
/// sandbox: the task does not end before its process is killed.
fn ticker(lines: u64) -> String {
    format!(
        "i=1; while [ $i -le {lines} ]; do echo \"out $i\"; echo \"err $i\" >&2; [ $((i%10)) = 0 ] && usleep 5000; \
         [ $i = {waits} ] && until [ -e $MESOS_SANDBOX/go ]; do usleep 10000; done; i=$((i+1)); done",
        waits = lines - 100,
    )
}

/// Lets a task go on to its end.
fn let_go(run: &Run) -> Result<()> {
    std::fs::write(run.layout().sandbox().join("go"), "").context("let the task go on")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn output_goes_on_exactly_after_a_kill_at_any_moment() -> Result<()> {
    let engine = require_engine!(Ok(()));
    let scope = TestScope::new(&engine).await?;
    for round in 0..5_usize {
        let work_dir = scope.subdir(&format!("w{round}"))?;
        let run = CliRun::start(&scope, engine.socket(), &work_dir, &ticker(1500), |_| {})?;
        let layout = run.wrote("stdout", 1 + round * 1931).await?;
        run.recorded("\"running\"").await?;
        run.kill()?;
        let rig = successor(&scope, &work_dir).await?;
        let mut adopted = rig.adopt(layout).await?;
        let_go(&adopted)?;
        adopted.finished().await?;
        // TASK_RUNNING was told before.
        ensure!(adopted.states() == [TaskState::TaskFinished], "{:?}", adopted.states());
        check_all_numbers(&adopted.read("stdout")?, "out ", 1500)
            .with_context(|| format!("round {round}"))?;
        check_all_numbers(&adopted.read("stderr")?, "err ", 1500)
            .with_context(|| format!("round {round}"))?;
        rig.settled().await?;
    }
    scope.assert_clean().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn heavy_output_goes_on_exactly_after_a_kill() -> Result<()> {
    let engine = require_engine!(Ok(()));
    let scope = TestScope::new(&engine).await?;
    let numbers =
        |from, to| format!("awk 'BEGIN {{ for (i = {from}; i <= {to}; i++) printf \"%099d\\n\", i }}'");
    let line = format!(
        "{}; until [ -e $MESOS_SANDBOX/go ]; do usleep 10000; done; {}",
        numbers(1, 90_000),
        numbers(90_001, 100_000)
    );
    for round in 0..4_usize {
        let work_dir = scope.subdir(&format!("w{round}"))?;
        let run = CliRun::start(&scope, engine.socket(), &work_dir, &line, |_| {})?;
        let layout = run.wrote("stdout", 1 + round * 1_200_000).await?;
        run.kill()?;
        let rig = successor(&scope, &work_dir).await?;
        let mut adopted = rig.adopt(layout).await?;
        let_go(&adopted)?;
        adopted.finished().await?;
        check_all_numbers(&adopted.read("stdout")?, "", 100_000).with_context(|| format!("round {round}"))?;
        rig.settled().await?;
    }
    scope.assert_clean().await
}

/// With the sandbox's own rotation, and two successors of which the first is dropped as well.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rotated_output_goes_on_exactly_over_two_successors() -> Result<()> {
    let engine = require_engine!(Ok(()));
    let scope = TestScope::new(&engine).await?;
    let work_dir = scope.subdir("w")?;
    let options = || RigOptions {
        rotation: sandbox::RotationPolicy { max_size: std::num::NonZeroU64::new(5000), max_files: 100 },
        ..RigOptions::default()
    };
    let agent = scope.agent_id();
    let new = || Rig::new(engine.socket(), &agent, &work_dir, options());
    let task = integration::supervised::Task::shell(&ticker(2000));
    // A runtime of its own is what a process is: dropping it drops all that it was doing, wherever it was.
    let first = std::thread::scope(|threads| {
        threads
            .spawn(|| -> Result<_> {
                let runtime =
                    tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
                let layout = runtime.block_on(async {
                    let rig = new().await?;
                    let mut run = rig.launch(&task)?;
                    run.running().await?;
                    eventually("some output", SOON, async || {
                        Ok(run.read("stdout").is_ok_and(|log| log.len() > 7000).then_some(()))
                    })
                    .await?;
                    anyhow::Ok(run.layout().clone())
                });
                runtime.shutdown_timeout(Duration::from_secs(10));
                layout
            })
            .join()
    });
    let layout = first.map_err(|_| anyhow::anyhow!("the first process panicked"))??;
    let rig = new().await?;
    let mut adopted = rig.adopt(layout).await?;
    let_go(&adopted)?;
    adopted.finished().await?;
    check_all_numbers(&adopted.read("stdout")?, "out ", 2000)?;
    check_all_numbers(&adopted.read("stderr")?, "err ", 2000)?;
    ensure!(adopted.layout().sandbox().join("stdout.1").exists(), "nothing was rotated");
    rig.settled().await?;
    scope.assert_clean().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_task_that_ended_while_nobody_was_there_is_told_with_its_code_and_all_of_its_output() -> Result<()>
{
    let engine = require_engine!(Ok(()));
    let scope = TestScope::new(&engine).await?;
    let work_dir = scope.subdir("w")?;
    let go = work_dir.join("go");
    let line = "seq 1 1000; while [ ! -e $MESOS_SANDBOX/go ]; do usleep 10000; done; seq 1001 30000; exit 3";
    let run = CliRun::start(&scope, engine.socket(), &work_dir, line, |_| {})?;
    let layout = run.wrote("stdout", 3000).await?;
    run.recorded("\"running\"").await?;
    run.kill()?;
    drop(go);
    std::fs::write(layout.sandbox().join("go"), "")?;
    let mut client = scope.client().await?;
    let name = scope.leftovers().await?.containers.pop().context("the container")?;
    eventually("the exit", SOON, async || {
        let state = client.get(&format!("/containers{name}/json")).await?.json()?["State"].take();
        Ok((state["Status"] == "exited").then_some(()))
    })
    .await?;
    let rig = successor(&scope, &work_dir).await?;
    let mut adopted = rig.adopt(layout).await?;
    let ended = adopted.ended().await?;
    ensure!(
        (ended.outcome.state, ended.outcome.exit_code) == (TaskState::TaskFailed, 3),
        "{:?}",
        ended.outcome
    );
    ensure!(adopted.states() == [TaskState::TaskFailed], "{:?}", adopted.states());
    check_all_numbers(&adopted.read("stdout")?, "", 30_000)?;
    rig.settled().await?;
    scope.assert_clean().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kill_under_way_goes_on_with_the_rest_of_its_grace() -> Result<()> {
    let engine = require_engine!(Ok(()));
    let scope = TestScope::new(&engine).await?;
    let work_dir = scope.subdir("w")?;
    let line = "trap 'echo got TERM' TERM; echo ready; while :; do sleep 0.1; done";
    let change = |app: &mut serde_json::Value| app["taskKillGracePeriodSeconds"] = json!(10);
    let run = CliRun::start(&scope, engine.socket(), &work_dir, line, change)?;
    let layout = run.wrote("stdout", "ready\n".len()).await?;
    run.recorded("\"running\"").await?;
    let began = Instant::now();
    run.signal(Signal::TERM)?;
    run.recorded("deadline_ns").await?;
    run.wrote("stdout", "ready\ngot TERM\n".len()).await?;
    run.kill()?;
    let rig = successor(&scope, &work_dir).await?;
    let mut adopted = rig.adopt(layout).await?;
    let ended = adopted.ended().await?;
    let took = began.elapsed();
    ensure!(
        (ended.outcome.state, ended.outcome.exit_code) == (TaskState::TaskKilled, 137),
        "{:?}",
        ended.outcome
    );
    ensure!(took >= Duration::from_millis(9900) && took < Duration::from_secs(60), "{took:?}");
    println!("a grace of 10 s over two processes took {took:?}");
    rig.settled().await?;
    scope.assert_clean().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_container_that_was_created_and_not_started_fails_and_is_removed() -> Result<()> {
    let engine = require_engine!(Ok(()));
    let scope = TestScope::new(&engine).await?;
    let work_dir = scope.subdir("w")?;
    let proxy = FaultProxy::start(engine.socket()).await?;
    let rule = proxy.add(Rule::new("POST", "/containers/*/start", Fault::Hang));
    let run = CliRun::start(&scope, proxy.socket(), &work_dir, "echo never", |_| {})?;
    eventually("the start", SOON, async || Ok((proxy.hits(rule) == 1).then_some(()))).await?;
    let layout = run.layout().await?;
    run.kill()?;
    let rig = successor(&scope, &work_dir).await?;
    let mut adopted = rig.adopt(layout).await?;
    let ended = adopted.ended().await?;
    ensure!(ended.outcome.state == TaskState::TaskFailed, "{:?}", ended.outcome);
    ensure!(adopted.states() == [TaskState::TaskFailed], "{:?}", adopted.states());
    rig.settled().await?;
    scope.assert_clean().await
}

/// Whatever the process was doing, its successor brings the task to one end, and nothing stays.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kill_during_the_launch_leaves_nothing() -> Result<()> {
    let engine = require_engine!(Ok(()));
    let scope = TestScope::new(&engine).await?;
    for (round, (method, path)) in [
        ("GET", "/images/*/json"),
        ("POST", "/containers/create"),
        ("POST", "/containers/*/start"),
        ("GET", "/containers/*/logs"),
        ("GET", "/containers/*/json"),
        ("POST", "/containers/*/wait"),
    ]
    .into_iter()
    .enumerate()
    {
        let work_dir = scope.subdir(&format!("w{round}"))?;
        let proxy = FaultProxy::start(engine.socket()).await?;
        // The engine acts and the process never learns of it.
        let rule = proxy.add(Rule::new(method, path, Fault::HangAnswer));
        let run = CliRun::start(&scope, proxy.socket(), &work_dir, "seq 1 50", |_| {})?;
        eventually(path, SOON, async || Ok((proxy.hits(rule) > 0).then_some(()))).await?;
        let layout = run.layout().await?;
        run.kill()?;
        let rig = successor(&scope, &work_dir).await?;
        // The proxy says that the engine was asked, not that it has acted, and a list shows a container before its create
        // has ended: it is there when it can be inspected.
        if path.ends_with("create") {
            let id = layout.sandbox().file_name().and_then(|id| id.to_str()).context("a container id")?;
            let look = format!("/containers/mesos-{}-{id}/json", scope.agent_id());
            let mut client = scope.client().await?;
            eventually("the container", SOON, async || {
                Ok((client.get(&look).await?.status() == 200).then_some(()))
            })
            .await?;
        }
        let mut adopted = rig.adopt(layout).await?;
        let ended = adopted.ended().await?;
        let log = check_numbers(&adopted.read("stdout")?, "")?;
        match ended.outcome.state {
            TaskState::TaskFinished => ensure!(log.lines == 50 && log.gaps == 0, "{path}: {log:?}"),
            TaskState::TaskFailed => ensure!(log.lines == 0, "{path}: {log:?}"),
            other => anyhow::bail!("{path}: {other:?}"),
        }
        println!("killed at {path}: {:?}", adopted.states());
        rig.settled().await?;
    }
    scope.assert_clean().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_terminal_goes_on_behind_a_marked_line() -> Result<()> {
    let engine = require_engine!(Ok(()));
    let scope = TestScope::new(&engine).await?;
    let work_dir = scope.subdir("w")?;
    let line =
        "i=1; while [ ! -e $MESOS_SANDBOX/enough ]; do echo $i; usleep 20000; i=$((i+1)); done; echo $i";
    let run = CliRun::start(&scope, engine.socket(), &work_dir, line, |app| app["tty"] = json!(true))?;
    let layout = run.wrote("stdout", 20).await?;
    run.recorded("\"running\"").await?;
    run.kill()?;
    let rig = successor(&scope, &work_dir).await?;
    let mut adopted = rig.adopt(layout).await?;
    eventually("output behind the mark", SOON, async || {
        let log = String::from_utf8_lossy(&adopted.read("stdout")?).into_owned();
        Ok(log
            .split_once("output may be missing here")
            .filter(|(_, rest)| rest.lines().count() > 5)
            .map(drop))
    })
    .await?;
    std::fs::write(adopted.layout().sandbox().join("enough"), "")?;
    adopted.finished().await?;
    let log = adopted.read("stdout")?;
    let numbers = check_numbers(&log, "")?;
    ensure!(numbers.gaps == 1, "{numbers:?}");
    rig.settled().await?;
    scope.assert_clean().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_that_has_ended_is_not_adopted() -> Result<()> {
    let engine = require_engine!(Ok(()));
    let scope = TestScope::new(&engine).await?;
    let work_dir = scope.subdir("w")?;
    let run = CliRun::start(&scope, engine.socket(), &work_dir, "true", |_| {})?;
    ensure!(run.ended().await?.success(), "the run failed");
    let rig = successor(&scope, &work_dir).await?;
    let layout = runs_below(rig.work_dir())?.pop().context("the run")?;
    let error = rig.adopt(layout).await.err().context("it was adopted")?;
    ensure!(format!("{error:#}").contains("ended"), "{error:#}");
    scope.assert_clean().await
}
