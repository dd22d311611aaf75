//! Our process is killed with SIGKILL in the middle of something: its successor brings each task to the right end, at the
//! time that was set before.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result, ensure};
use docker_containerizer::RemovalDelay;
use integration::cli_run::CliRun;
use integration::supervised::{Options, PATIENCE, Supervised, Task, Watched};
use integration::{Fault, FaultProxy, Rule, eventually, require_engine};
use mesos_proto::v1::task_status::Reason;
use mesos_proto::v1::{self, TaskState};
use rustix::process::Signal;
use task_supervisor::{Adoption, KillCause, KillRequest, Record, RecordStore, RunLayout, TaskKilling};

use crate::{PROMPT, states};

/// Says so once it heeds no SIGTERM, and again at each.
const STUBBORN: &str = "trap 'echo got TERM' TERM; echo ready; while :; do sleep 0.1; done";

fn now_ns() -> Result<u64> {
    Ok(u64::try_from(SystemTime::now().duration_since(UNIX_EPOCH)?.as_nanos())?)
}

fn record(layout: &RunLayout) -> Result<Record> {
    Ok(RecordStore::new(layout.state()).read()?)
}

/// Waits until a point in time of a record has passed.
async fn passed(deadline_ns: u64) -> Result<()> {
    eventually("a deadline", PATIENCE, async || Ok((now_ns()? > deadline_ns).then_some(()))).await
}

/// A run that is stopped with a grace of its own, up to the moment in which its process is killed. Answers when SIGKILL is
/// due.
async fn killed_in_mid_grace(agent: &Supervised, grace: Duration) -> Result<(RunLayout, u64)> {
    let task = Task::shell(STUBBORN).grace(grace);
    let run = CliRun::start_task(agent.scope(), agent.scope().engine().socket(), agent.work_dir(), &task)?;
    let layout = run.wrote("stdout", "ready\n".len()).await?;
    run.recorded("\"running\"").await?;
    run.signal(Signal::TERM)?;
    run.wrote("stdout", "ready\ngot TERM\n".len()).await?;
    run.recorded("\"signalled\":true").await?;
    run.kill()?;
    let deadline = record(&layout)?.kill.context("no kill is recorded")?.deadline_ns;
    ensure!(now_ns()? < deadline, "the grace was over before the process was killed");
    Ok((layout, deadline))
}

async fn adopted(agent: &Supervised, layout: RunLayout) -> Result<Watched> {
    agent.adopt_with(layout, Adoption::new(TaskKilling::Sent)).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_grace_goes_on_over_a_crash_neither_shorter_nor_anew() -> Result<()> {
    let engine = require_engine!(Ok(()));
    let agent = Supervised::new(&engine).await?;
    let (layout, deadline) = killed_in_mid_grace(&agent, Duration::from_secs(15)).await?;
    let mut task = adopted(&agent, layout.clone()).await?;
    let end = task.terminal().await?;
    ensure!(now_ns()? >= deadline, "SIGKILL came before its time");
    ensure!(record(&layout)?.kill.is_some_and(|kill| kill.deadline_ns == deadline), "the grace began anew");
    ensure!(now_ns()? < deadline + u64::try_from(PROMPT.as_nanos())?, "SIGKILL came late");
    assert_eq!((end.outcome.state, end.outcome.exit_code), (TaskState::TaskKilled, 137));
    assert_eq!(task.states(), states("KILLED"));
    // Some programs take a second SIGTERM as a wish to end at once.
    assert_eq!(task.stdout()?, "ready\ngot TERM\n");
    agent.end().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_grace_that_ended_while_nobody_was_there_ends_the_task_at_once() -> Result<()> {
    let engine = require_engine!(Ok(()));
    let agent = Supervised::new(&engine).await?;
    let (layout, deadline) = killed_in_mid_grace(&agent, Duration::from_secs(12)).await?;
    passed(deadline).await?;
    let mut task = adopted(&agent, layout).await?;
    let end = task.terminal_within(PROMPT).await?;
    assert_eq!((end.outcome.state, end.outcome.exit_code), (TaskState::TaskKilled, 137));
    agent.end().await
}

/// A framework repeats its kill after the agent has come back: that does not begin the grace anew, and another grace does.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kill_that_is_repeated_after_a_crash_changes_nothing_and_a_shorter_one_ends_it() -> Result<()> {
    let engine = require_engine!(Ok(()));
    let agent = Supervised::new(&engine).await?;
    let (layout, deadline) = killed_in_mid_grace(&agent, Duration::from_secs(600)).await?;
    let supervisor = agent.supervisor();
    let handle = supervisor.adopt(layout.clone(), Adoption::new(TaskKilling::Sent)).await?;
    handle.kills.send(KillRequest::new(None)).await?;
    handle.kills.send(KillRequest { grace: Some(Duration::ZERO), cause: KillCause::Shutdown }).await?;
    let mut updates = handle.updates;
    let state = tokio::time::timeout(PROMPT, async {
        let mut last = None;
        while let Some(update) = updates.recv().await {
            if let task_supervisor::Update::Terminal(status, _, _) = update {
                last = Some(status.state());
            }
        }
        last
    });
    assert_eq!(state.await?, Some(TaskState::TaskKilled));
    let kill = record(&layout)?.kill.context("no kill is recorded")?;
    ensure!(kill.deadline_ns < deadline && kill.cause == KillCause::Framework, "{kill:?}");
    agent.end().await
}

/// A run with a longest time, up to the moment in which its process is killed. Answers when its time is up.
async fn killed_in_mid_life(agent: &Supervised, longest: Duration) -> Result<(RunLayout, u64)> {
    let task = Task::shell(STUBBORN).max_completion(longest).grace(Duration::from_secs(600));
    let run = CliRun::start_task(agent.scope(), agent.scope().engine().socket(), agent.work_dir(), &task)?;
    let layout = run.wrote("stdout", "ready\n".len()).await?;
    run.recorded("\"running\"").await?;
    run.kill()?;
    let deadline = record(&layout)?.completion_deadline_ns.context("no longest time is recorded")?;
    ensure!(now_ns()? < deadline, "the time was up before the process was killed");
    Ok((layout, deadline))
}

#[rstest::rstest]
#[case::adopted_in_time(Duration::from_secs(15), false)]
#[case::adopted_late(Duration::from_secs(12), true)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_longest_time_of_a_task_goes_on_over_a_crash(
    #[case] longest: Duration,
    #[case] late: bool,
) -> Result<()> {
    let engine = require_engine!(Ok(()));
    let agent = Supervised::new(&engine).await?;
    let (layout, deadline) = killed_in_mid_life(&agent, longest).await?;
    if late {
        passed(deadline).await?;
    }
    let mut task = adopted(&agent, layout.clone()).await?;
    let end = task.terminal_within(longest + PROMPT).await?;
    ensure!(now_ns()? >= deadline, "it ended before its time");
    assert_eq!(record(&layout)?.completion_deadline_ns, Some(deadline));
    assert_eq!(end.outcome.state, TaskState::TaskFailed);
    assert_eq!(end.status.reason(), Reason::MaxCompletionTimeReached);
    // No grace, no TASK_KILLING, and no stop signal.
    assert_eq!(task.states(), states("FAILED"));
    assert_eq!(task.stdout()?, "ready\n");
    agent.end().await
}

/// A container that was created and not started is no task; one that was killed then is told as killed.
#[rstest::rstest]
#[case::left(false, TaskState::TaskFailed, Reason::ContainerLaunchFailed)]
#[case::killed(true, TaskState::TaskKilled, Reason::TaskKilledDuringLaunch)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crash_between_create_and_start_leaves_nothing(
    #[case] is_killed: bool,
    #[case] state: TaskState,
    #[case] reason: Reason,
) -> Result<()> {
    let engine = require_engine!(Ok(()));
    let agent = Supervised::new(&engine).await?;
    let proxy = FaultProxy::start(engine.socket()).await?;
    let start = proxy.add(Rule::new("POST", "/containers/*/start", Fault::Hang));
    let run =
        CliRun::start_task(agent.scope(), proxy.socket(), agent.work_dir(), &Task::shell("echo never"))?;
    eventually("the start", PATIENCE, async || Ok((proxy.hits(start) == 1).then_some(()))).await?;
    let layout = run.layout().await?;
    if is_killed {
        run.signal(Signal::TERM)?;
        run.recorded("\"grace_ns\"").await?;
    }
    run.kill()?;
    let mut task = adopted(&agent, layout).await?;
    let end = task.terminal_within(PROMPT).await?;
    assert_eq!((end.status.state(), end.status.reason()), (state, reason), "{}", end.outcome.message);
    assert_eq!(task.stdout()?, "");
    agent.end().await
}

/// The record says that the task runs and the framework has not heard it: the host says so, and it is told again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn running_that_was_lost_in_a_crash_is_told_again() -> Result<()> {
    let engine = require_engine!(Ok(()));
    let agent = Supervised::new(&engine).await?;
    let run = CliRun::start_task(
        agent.scope(),
        engine.socket(),
        agent.work_dir(),
        &Task::shell("echo ready; sleep 1000"),
    )?;
    let layout = run.wrote("stdout", "ready\n".len()).await?;
    run.recorded("\"running\"").await?;
    run.kill()?;
    let heard = Adoption::new(TaskKilling::Sent).told(TaskState::TaskStarting);
    let mut task = agent.adopt_with(layout, heard).await?;
    let started = task.running().await?;
    ensure!(started.status.data().starts_with(b"[{"), "no inspection");
    task.kill_within(Duration::ZERO).await?;
    task.terminal_within(PROMPT).await?;
    assert_eq!(task.states(), states("RUNNING KILLING KILLED"));
    agent.end().await
}

/// A run that goes on until somebody makes the file `end` in its sandbox, up to the moment in which its process is killed.
async fn left_alone(agent: &Supervised, task: Task) -> Result<(RunLayout, String)> {
    let run = CliRun::start_task(agent.scope(), agent.scope().engine().socket(), agent.work_dir(), &task)?;
    let layout = run.wrote("stdout", "ready\n".len()).await?;
    run.recorded("\"running\"").await?;
    run.kill()?;
    let name = record(&layout)?.container_name;
    Ok((layout, name))
}

/// Says so once it runs, and ends well when it is told to.
const UNTIL_END: &str = "echo ready; until [ -e $MESOS_SANDBOX/end ]; do sleep 0.05; done; exit 0";

/// The task ended in time; that we came late is not its fault, and neither are its checks'.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_task_that_ended_in_time_while_nobody_was_there_has_finished() -> Result<()> {
    let engine = require_engine!(Ok(()));
    let agent = Supervised::new(&engine).await?;
    let task = Task::shell(UNTIL_END).max_completion(Duration::from_secs(20)).change(|info| {
        let mut check = v1::HealthCheck {
            // Nobody listens: it is first made when the process of ours is gone.
            delay_seconds: Some(15.0),
            grace_period_seconds: Some(0.0),
            consecutive_failures: Some(1),
            tcp: Some(v1::health_check::TcpCheckInfo { port: 1, ..Default::default() }),
            ..Default::default()
        };
        check.set_type(v1::health_check::Type::Tcp);
        info.health_check = Some(check);
    });
    let (layout, name) = left_alone(&agent, task).await?;
    let deadline = record(&layout)?.completion_deadline_ns.context("no longest time is recorded")?;
    std::fs::write(layout.sandbox().join("end"), "")?;
    eventually("the end", PATIENCE, async || {
        Ok((agent.inspect(&name).await?["State"]["Running"] == false).then_some(()))
    })
    .await?;
    ensure!(now_ns()? < deadline, "it ended late");
    passed(deadline).await?;
    let mut task = adopted(&agent, layout).await?;
    let end = task.terminal_within(PROMPT).await?;
    assert_eq!((end.status.state(), end.outcome.exit_code), (TaskState::TaskFinished, 0));
    assert_eq!((end.status.reason, task.states()), (None, states("FINISHED")));
    agent.end().await
}

/// The run that was launched is over, as where we see it happen; what somebody began afterwards is no task, and goes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_container_that_was_restarted_while_nobody_was_there_has_failed_and_goes() -> Result<()> {
    let engine = require_engine!(Ok(()));
    let agent =
        Supervised::with(&engine, Options { removal: RemovalDelay::Never, ..Options::default() }).await?;
    let (layout, name) = left_alone(&agent, Task::shell(UNTIL_END)).await?;
    let mut client = agent.scope().client().await?;
    client.post_empty(&format!("/containers/{name}/restart?t=0")).await?.ok()?;
    let mut task = adopted(&agent, layout).await?;
    let end = task.terminal_within(PROMPT).await?;
    assert_eq!((end.status.state(), task.states()), (TaskState::TaskFailed, states("FAILED")));
    assert!(end.status.message().contains("restarted from outside"), "{}", end.status.message());
    let now = agent.inspect(&name).await?;
    assert_eq!(now["State"]["Running"], false, "{}", now["State"]);
    client.delete(&format!("/containers/{name}?force=1&v=1")).await?.ok()?;
    agent.end().await
}
