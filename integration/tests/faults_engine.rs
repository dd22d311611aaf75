//! Faults on the engine's socket, below every client library: streams that are cut, answers that never come, errors.
//! None of them becomes a false status, loses output, or keeps a task from ending.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use docker_engine::{
    AnonymousVolumes, CreateBody, Deadlines, Engine, EngineError, EngineOptions, ErrorKind, Follow, Force,
    ImageRef, ListFilter, LogRequest,
};
use integration::images::TestImage;
use integration::logs_check::{Rig, RigOptions, check_all_numbers};
use integration::supervised::Task;
use integration::{Fault, FaultProxy, Rule, TestScope, eventually, require_engine};
use mesos_proto::v1::TaskState;

const SOON: Duration = Duration::from_secs(60);

/// Prints numbers until there is a file `go` in the sandbox, then ends.
const UNTIL_GO: &str =
    "i=1; while [ ! -e $MESOS_SANDBOX/go ]; do echo $i; i=$((i+1)); usleep 10000; done; echo $i";

async fn through(proxy: &FaultProxy, scope: &TestScope, options: RigOptions) -> Result<Rig> {
    Rig::new(proxy.socket(), &scope.agent_id(), &scope.subdir("w")?, options).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wait_that_is_cut_twenty_times_is_no_exit() -> Result<()> {
    let engine = require_engine!(Ok(()));
    let scope = TestScope::new(&engine).await?;
    let proxy = FaultProxy::start(engine.socket()).await?;
    let rules = [Fault::CutAnswer, Fault::CutBody(0), Fault::Cut, Fault::error(500, "no")]
        .map(|fault| proxy.add(Rule::new("POST", "/containers/*/wait", fault).times(5)));
    let rig = through(&proxy, &scope, RigOptions::default()).await?;
    let mut run = rig.launch(&Task::shell(UNTIL_GO))?;
    run.running().await?;
    // An answer that is cut needs the engine to answer, which it does only at the end.
    eventually("all cuts", SOON, async || {
        proxy.cut_all();
        Ok(rules.iter().all(|rule| proxy.hits(*rule) == 5).then_some(()))
    })
    .await?;
    ensure!(run.is_quiet(), "a status was told");
    std::fs::write(run.layout().sandbox().join("go"), "")?;
    run.finished().await?;
    let log = run.read("stdout")?;
    let last = log.iter().filter(|byte| **byte == b'\n').count();
    check_all_numbers(&log, "", u64::try_from(last)?)?;
    rig.settled().await?;
    scope.assert_clean().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_stream_that_is_cut_anywhere_stays_exact() -> Result<()> {
    let engine = require_engine!(Ok(()));
    let scope = TestScope::new(&engine).await?;
    let proxy = FaultProxy::start(engine.socket()).await?;
    let cuts =
        [0, 1, 7, 8, 9, 31, 38, 39, 100, 1000, 4097, 16_391, 50_000, 70_001, 200_000, 65_536, 5, 77_777];
    let rules =
        cuts.map(|bytes| proxy.add(Rule::new("GET", "/containers/*/logs", Fault::CutBody(bytes)).times(1)));
    let rig = through(&proxy, &scope, RigOptions::default()).await?;
    let line = "i=1; while [ $i -le 6000 ]; do echo \"out $i\"; echo \"err $i\" >&2; [ $((i%50)) = 0 ] && usleep 20000; \
                i=$((i+1)); done";
    let mut run = rig.launch(&Task::shell(line))?;
    run.finished().await?;
    check_all_numbers(&run.read("stdout")?, "out ", 6000)?;
    check_all_numbers(&run.read("stderr")?, "err ", 6000)?;
    let met = rules.iter().filter(|rule| proxy.hits(**rule) == 1).count();
    println!("{met} of {} cuts were met", cuts.len());
    ensure!(met >= 10, "only {met} cuts were met");
    rig.settled().await?;
    scope.assert_clean().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_stream_that_stalls_does_not_keep_the_task_from_ending() -> Result<()> {
    let engine = require_engine!(Ok(()));
    let scope = TestScope::new(&engine).await?;
    let proxy = FaultProxy::start(engine.socket()).await?;
    proxy.add(Rule::new("GET", "/containers/*/logs", Fault::StallBody(100)).with_query("follow=1"));
    let rig = through(&proxy, &scope, RigOptions::default()).await?;
    let mut run = rig.launch(&Task::shell("seq 1 1000"))?;
    run.finished().await?;
    // What the stream held back came with the last read.
    check_all_numbers(&run.read("stdout")?, "", 1000)?;
    rig.settled().await?;
    scope.assert_clean().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_inspection_that_hangs_after_the_exit_delays_the_status_by_its_deadline_only() -> Result<()> {
    let engine = require_engine!(Ok(()));
    let scope = TestScope::new(&engine).await?;
    let proxy = FaultProxy::start(engine.socket()).await?;
    let mut deadlines = Deadlines::default();
    deadlines.inspect = Duration::from_secs(1);
    let rig = through(&proxy, &scope, RigOptions { deadlines, ..RigOptions::default() }).await?;
    let mut run =
        rig.launch(&Task::shell("while [ ! -e $MESOS_SANDBOX/go ]; do usleep 10000; done; echo x; exit 4"))?;
    run.running().await?;
    let rule = proxy.add(Rule::new("GET", "/containers/*/json", Fault::Hang));
    let began = Instant::now();
    std::fs::write(run.layout().sandbox().join("go"), "")?;
    let ended = run.ended().await?;
    println!("told after {:?}", began.elapsed());
    ensure!(
        (ended.outcome.state, ended.outcome.exit_code) == (TaskState::TaskFailed, 4),
        "{:?}",
        ended.outcome
    );
    ensure!(proxy.hits(rule) > 0 && began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
    ensure!(run.read("stdout")? == b"x\n", "the output");
    proxy.clear();
    rig.settled().await?;
    scope.assert_clean().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kill_that_the_engine_fails_is_done_by_pid() -> Result<()> {
    let engine = require_engine!(Ok(()));
    let scope = TestScope::new(&engine).await?;
    for fault in [Fault::error(500, "cannot kill"), Fault::Hang] {
        let proxy = FaultProxy::start(engine.socket()).await?;
        let rule = proxy.add(Rule::new("POST", "/containers/*/kill", fault.clone()));
        let rig = through(&proxy, &scope, RigOptions::default()).await?;
        let mut run = rig.launch(&Task::shell("while :; do usleep 10000; done"))?;
        run.running().await?;
        let began = Instant::now();
        run.kill(Some(Duration::from_millis(300))).await?;
        let ended = run.ended().await?;
        println!("{fault:?}: killed after {:?}", began.elapsed());
        ensure!(
            (ended.outcome.state, ended.outcome.exit_code) == (TaskState::TaskKilled, 137),
            "{:?}",
            ended.outcome
        );
        ensure!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
        ensure!(proxy.hits(rule) >= 2, "the stop signal and SIGKILL went through the engine first");
        proxy.clear();
        rig.settled().await?;
    }
    scope.assert_clean().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_operation_on_an_engine_that_never_answers_ends_at_its_own_deadline() -> Result<()> {
    let test_engine = require_engine!(Ok(()));
    let proxy = FaultProxy::start(test_engine.socket()).await?;
    let engine = Engine::connect(EngineOptions::new(proxy.socket())).await?;
    proxy.add(Rule::new("*", "*", Fault::Hang));
    let short = Duration::from_millis(300);
    let image = ImageRef::parse(TestImage::Busybox.reference())?;
    let (body, filter, logs) = (CreateBody::default(), ListFilter::default(), LogRequest::all(Follow::Yes));
    let began = Instant::now();
    // All at once: none waits for another.
    let (ping, info, inspect, list, image, create, start, kill, remove, log, wait) = tokio::join!(
        engine.ping(short),
        engine.info(short),
        engine.inspect("c", short),
        engine.list(&filter, short),
        engine.image_inspect(&image, short),
        engine.create("name", &body, short),
        engine.start("c", short),
        engine.kill("c", "SIGTERM", short),
        engine.remove("c", Force::Yes, AnonymousVolumes::Remove, short),
        engine.logs("c", &logs, short),
        engine.wait_not_running("c", short),
    );
    ensure!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
    let errors: [(&str, Option<EngineError>); 11] = [
        ("ping", ping.err()),
        ("info", info.err()),
        ("inspect", inspect.err()),
        ("list", list.err()),
        ("image", image.err()),
        ("create", create.err()),
        ("start", start.err()),
        ("kill", kill.err()),
        ("remove", remove.err()),
        ("log", log.err()),
        ("wait", wait.err()),
    ];
    let mut sentences = std::collections::BTreeSet::new();
    for (name, error) in errors {
        let error = error.with_context(|| format!("{name} was answered"))?;
        ensure!(matches!(error.kind(), ErrorKind::Timeout { .. }), "{name}: {error}");
        println!("{error}");
        ensure!(sentences.insert(error.to_string()), "two operations have one error: {error}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_launch_on_an_engine_that_never_answers_is_killed_at_once() -> Result<()> {
    let engine = require_engine!(Ok(()));
    let scope = TestScope::new(&engine).await?;
    let proxy = FaultProxy::start(engine.socket()).await?;
    let rig = through(&proxy, &scope, RigOptions::default()).await?;
    let rule = proxy.add(Rule::new("*", "*", Fault::Hang));
    let mut run = rig.launch(&Task::shell("echo never"))?;
    eventually("the first question", SOON, async || Ok((proxy.hits(rule) > 0).then_some(()))).await?;
    let began = Instant::now();
    run.kill(None).await?;
    let ended = run.ended().await?;
    ensure!(ended.outcome.state == TaskState::TaskKilled, "{:?}", ended.outcome);
    ensure!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
    proxy.clear();
    rig.settled().await?;
    scope.assert_clean().await
}
