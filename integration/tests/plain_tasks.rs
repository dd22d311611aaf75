//! Tasks without an image, as frameworks hear of them: the statuses of stock's command executor from processes of this
//! machine, kills of the whole tree, checks, and what the process finds that comes after one which was killed. No engine
//! is asked.

use std::time::Duration;

use anyhow::{Context as _, Result};
use docker_containerizer::Identity;
use integration::eventually;
use integration::supervised::{PATIENCE, Plain};
use mesos_proto::v1::task_status::{Reason, Source};
use mesos_proto::v1::{self, TaskState};
use mesos_types::{TaskLimits, TaskResources};
use sandbox::Owner;
use task_supervisor::{
    Adoption, ComposingError, Kind, LateOwner, RecordStore, RunLayout, SuperviseError, TaskKilling,
    TaskOrder, Update,
};

/// Reads `RUNNING KILLED` as states.
fn states(names: &str) -> Vec<TaskState> {
    names.split(' ').map(|name| TaskState::from_str_name(&format!("TASK_{name}")).expect("a state")).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_command_tells_where_it_runs_and_how_it_ended() -> Result<()> {
    let agent = Plain::new()?;
    let mut task = agent.launch("echo out; echo err >&2; pwd; echo $MESOS_SANDBOX")?;
    let (status, running) = task.runs().await?;
    assert!(running.docker().is_none());
    let container = status.container_status.clone().context("where it is")?;
    assert_eq!(container.container_id.context("its id")?.value, task.container_id().to_string());
    assert!(container.executor_pid.is_some());
    let addresses: Vec<_> = container
        .network_infos
        .iter()
        .flat_map(|info| &info.ip_addresses)
        .map(|ip| ip.ip_address())
        .collect();
    assert_eq!(addresses, ["127.0.0.1"]);
    assert_eq!((status.data, status.message, status.reason), (None, None, None));
    let end = task.finished().await?;
    assert_eq!(end.status.message(), "Command exited with status 0");
    assert_eq!((end.status.source(), end.status.reason), (Source::Executor, None));
    assert_eq!(task.states(), states("STARTING RUNNING FINISHED"));
    let sandbox = task.sandbox().display().to_string();
    assert_eq!(task.stdout()?, format!("out\n{sandbox}\n{sandbox}\n"));
    assert!(task.stderr()?.ends_with("err\n"), "{:?}", task.stderr());
    agent.end().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_command_that_fails_tells_its_code_or_its_signal() -> Result<()> {
    let agent = Plain::new()?;
    let mut coded = agent.launch("echo why >&2; exit 3")?;
    let end = coded.terminal().await?;
    assert_eq!((end.outcome.state, end.outcome.exit_code), (TaskState::TaskFailed, 3));
    assert_eq!(end.status.message(), "Command exited with status 3; stderr: why");
    // No signal that leaves a core dump on some machines, which is told.
    let mut signalled = agent.launch("kill -USR1 $$")?;
    let end = signalled.terminal().await?;
    assert_eq!(end.outcome.state, TaskState::TaskFailed);
    assert_eq!(end.status.message(), "Command terminated with signal User defined signal 1");
    agent.end().await
}

/// A kill reaches all that the command has started, also what has left its session, and leaves nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kill_ends_the_whole_tree_after_its_grace() -> Result<()> {
    let agent = Plain::new()?;
    let line = "setsid sh -c 'trap \"\" TERM; echo $$ > daemon; while :; do sleep 0.1; done' & \
                trap '' TERM; echo ready; while :; do sleep 0.1; done";
    let mut task = agent.launch(line)?;
    task.runs().await?;
    task.says("ready").await?;
    let daemon = eventually("the daemon's number", PATIENCE, async || {
        Ok(task.read("daemon").ok().and_then(|text| text.trim().parse::<u32>().ok()))
    })
    .await?;
    task.kill_within(Duration::from_millis(300)).await?;
    let end = task.terminal().await?;
    assert_eq!(end.outcome.state, TaskState::TaskKilled);
    assert_eq!(end.status.message(), "Command terminated with signal Killed");
    assert_eq!(task.states(), states("STARTING RUNNING KILLING KILLED"));
    assert!(!std::path::Path::new(&format!("/proc/{daemon}/status")).exists(), "the daemon is left");
    agent.end().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_command_that_runs_longer_than_it_may_fails() -> Result<()> {
    let agent = Plain::new()?;
    let longest = v1::DurationInfo { nanoseconds: 300_000_000 };
    let mut task =
        agent.launch_order(agent.order("sleep 1000", |info| info.max_completion_time = Some(longest))?)?;
    let end = task.terminal().await?;
    assert_eq!(end.outcome.state, TaskState::TaskFailed);
    assert_eq!(end.status.reason(), Reason::MaxCompletionTimeReached);
    agent.end().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_command_is_killed_when_its_health_check_fails_too_often() -> Result<()> {
    let agent = Plain::new()?;
    let check = v1::HealthCheck {
        r#type: Some(v1::health_check::Type::Command.into()),
        command: Some(v1::CommandInfo { value: Some("test ! -e sick".into()), ..Default::default() }),
        delay_seconds: Some(0.0),
        interval_seconds: Some(0.1),
        grace_period_seconds: Some(0.0),
        consecutive_failures: Some(2),
        timeout_seconds: Some(20.0),
        ..Default::default()
    };
    let mut task = agent.launch_order(agent.order("sleep 1000", |info| info.health_check = Some(check))?)?;
    task.runs().await?;
    assert!(task.next_status().await?.healthy());
    std::fs::write(task.sandbox().join("sick"), "")?;
    let end = task.terminal().await?;
    assert_eq!((end.outcome.state, end.status.healthy), (TaskState::TaskKilled, Some(false)));
    agent.end().await
}

/// Launches from a runtime that is shut down once the task runs.
fn launched_before(agent: &Plain, line: &str) -> Result<Identity> {
    ordered_before(agent, agent.order(line, |_| {})?)
}

/// As [`launched_before`], an order.
fn ordered_before(agent: &Plain, order: TaskOrder) -> Result<Identity> {
    let identity = order.identity.clone();
    std::thread::scope(|scope| {
        let before = scope.spawn(|| {
            let runtime =
                tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
            runtime.block_on(async {
                let supervisor = agent.another()?;
                let mut handle = supervisor.launch(supervisor.prepare(order)?)?;
                let running = async {
                    while let Some(update) = handle.updates.recv().await {
                        if matches!(update, Update::Running(..)) {
                            return anyhow::Ok(());
                        }
                    }
                    anyhow::bail!("the task ended")
                };
                tokio::time::timeout(PATIENCE, running).await.context("the task does not run")?
            })?;
            runtime.shutdown_timeout(PATIENCE);
            anyhow::Ok(())
        });
        before.join().map_err(|_| anyhow::anyhow!("the process before panicked"))?
    })?;
    Ok(identity)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_command_goes_on_without_us_and_its_end_is_told_by_the_next_process() -> Result<()> {
    let agent = Plain::new()?;
    let line = "i=0; until [ -e enough ]; do i=$((i+1)); echo line $i; sleep 0.02; done; echo end; exit 6";
    let identity = launched_before(&agent, line)?;
    let mut task = agent.adopt(&identity).await?;
    assert!(agent.supervisor().containerizer().usage(identity.container_id).is_ok());
    task.says("line 50").await?;
    std::fs::write(task.sandbox().join("enough"), "")?;
    let end = task.terminal().await?;
    assert_eq!((end.outcome.state, end.outcome.exit_code), (TaskState::TaskFailed, 6));
    assert!(end.status.message().starts_with("Command exited with status 6"), "{:?}", end.status.message);
    // What the process before has told is not told again.
    assert_eq!(task.states(), states("FAILED"));
    assert!(task.stdout()?.ends_with("end\n"));
    agent.end().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_command_that_ended_while_nobody_looked_keeps_its_code() -> Result<()> {
    let agent = Plain::new()?;
    let identity = launched_before(&agent, "until [ -e enough ]; do sleep 0.02; done; exit 7")?;
    let layout = RunLayout::of(&agent.work_dir(), &identity);
    let record = RecordStore::new(layout.state()).read()?;
    let pid = record.process.context("its process is recorded")?.pid;
    std::fs::write(layout.sandbox().join("enough"), "")?;
    let there = format!("/proc/{pid}");
    eventually("the end of the command", PATIENCE, async || {
        Ok((!std::path::Path::new(&there).exists()).then_some(()))
    })
    .await?;
    let mut task = agent.adopt(&identity).await?;
    let end = task.terminal().await?;
    assert_eq!((end.outcome.state, end.outcome.exit_code), (TaskState::TaskFailed, 7));
    agent.end().await
}

/// A process that was killed between its promise and the launch: the next one launches the task.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_task_that_was_accepted_and_not_begun_is_launched_by_the_next_process() -> Result<()> {
    let agent = Plain::new()?;
    let order = agent.order("echo late", |_| {})?;
    agent.another()?.note_accepted(&order.identity, &order.info)?;
    let mut task = agent.adopt(&order.identity).await?;
    task.finished().await?;
    assert_eq!(task.states(), states("STARTING RUNNING FINISHED"));
    assert_eq!(task.stdout()?, "late\n");
    agent.end().await
}

/// The database of users knows nothing of the task's user any more when it is taken over: the commands of its checks must
/// not become root's for that.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_checks_of_a_task_that_is_taken_over_run_as_its_user_whatever_became_of_that() -> Result<()> {
    const NOBODYS: u32 = 54_321;

    let agent = Plain::new()?;
    let check = v1::HealthCheck {
        r#type: Some(v1::health_check::Type::Command.into()),
        command: Some(v1::CommandInfo {
            value: Some("id -u >> checked; test $(id -u) = 54321".into()),
            ..Default::default()
        }),
        delay_seconds: Some(0.0),
        interval_seconds: Some(0.1),
        grace_period_seconds: Some(0.0),
        consecutive_failures: Some(1),
        timeout_seconds: Some(20.0),
        ..Default::default()
    };
    let mut order = agent.order("until [ -e enough ]; do sleep 0.05; done", |info| {
        info.health_check = Some(check);
        info.command.get_or_insert_default().user = Some("removed-meanwhile".into());
    })?;
    order.owner = Some(Owner::new(NOBODYS, NOBODYS)?);
    // The way to the sandbox is for all.
    let open: std::fs::Permissions = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(agent.work_dir().parent().context("a parent")?, open.clone())?;
    std::fs::set_permissions(agent.work_dir(), open)?;
    let identity = ordered_before(&agent, order)?;
    let layout = RunLayout::of(&agent.work_dir(), &identity);
    let checked = layout.sandbox().join("checked");
    let before = std::fs::read_to_string(&checked).unwrap_or_default().len();
    let mut task = agent.adopt(&identity).await?;
    eventually("checks by the process that took it over", PATIENCE, async || {
        let now = std::fs::read_to_string(&checked).unwrap_or_default();
        Ok((now.len() > before + 3 * "54321\n".len()).then_some(()))
    })
    .await?;
    let users = std::fs::read_to_string(&checked)?;
    assert!(users.lines().all(|user| user == "54321"), "{users}");
    std::fs::write(layout.sandbox().join("enough"), "")?;
    task.finished().await?;
    agent.end().await
}

/// A user that is not known launches nothing: the task would be root's.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_task_that_was_not_begun_is_not_launched_as_somebody_else() -> Result<()> {
    let agent = Plain::new()?;
    let order = agent.order("id -u > who", |info| {
        info.command.get_or_insert_default().user = Some("no-such-user-here".into());
    })?;
    agent.another()?.note_accepted(&order.identity, &order.info)?;
    let refused = agent.adopt(&order.identity).await.expect_err("there is no such user");
    assert!(format!("{refused:#}").contains("no-such-user-here"), "{refused:#}");
    // An agent without --switch_user has asked for nobody.
    let layout = RunLayout::of(&agent.work_dir(), &order.identity);
    assert!(!layout.sandbox().join("who").exists());
    let ours = Adoption { owner: LateOwner::Given(None), ..Adoption::new(TaskKilling::Sent) };
    let mut handle = agent.supervisor().adopt(layout.clone(), ours).await?;
    while let Some(update) = tokio::time::timeout(PATIENCE, handle.updates.recv()).await? {
        if let Update::Terminal(status, ..) = update {
            assert_eq!(status.state(), TaskState::TaskFinished, "{:?}", status.message);
        }
    }
    let ours = std::fs::metadata(agent.work_dir())?;
    let who = std::fs::read_to_string(layout.sandbox().join("who"))?;
    assert_eq!(who.trim(), std::os::unix::fs::MetadataExt::uid(&ours).to_string());
    agent.end().await
}

/// A process whose containerizer is not there any more is neither waited for nor touched; where it is there again, the
/// task goes on.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_task_of_an_absent_containerizer_is_left_alone_and_told_apart() -> Result<()> {
    let agent = Plain::new()?;
    let identity = launched_before(&agent, "until [ -e enough ]; do sleep 0.05; done")?;
    let layout = RunLayout::of(&agent.work_dir(), &identity);
    let pid = RecordStore::new(layout.state()).read()?.process.context("its process")?.pid;
    let without = agent.without_containerizers();
    let refused = without
        .adopt(layout.clone(), Adoption::new(TaskKilling::Sent))
        .await
        .expect_err("nobody can follow it");
    assert_eq!((refused.absent(), refused.is_passing()), (Some(Kind::Mesos), false));
    assert!(
        matches!(refused, SuperviseError::Containerizer(ComposingError::Absent(Kind::Mesos))),
        "{refused:?}"
    );
    assert!(std::path::Path::new(&format!("/proc/{pid}")).exists(), "it was ended");
    let mut task = agent.adopt(&identity).await?;
    std::fs::write(layout.sandbox().join("enough"), "")?;
    task.finished().await?;
    agent.end().await
}

/// The container of an executor gets what its tasks bring and gives back what they held, with their persistent volumes: a
/// volume that goes is no reason to refuse an update, which would be the end of the other tasks.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_update_shows_a_persistent_volume_and_takes_one_back() -> Result<()> {
    let agent = Plain::new()?;
    let mut task = agent.launch("until [ -e enough ]; do sleep 0.05; done; cat data/file")?;
    task.runs().await?;
    let directory = agent.work_dir().join("volumes/roles/r/v");
    std::fs::create_dir_all(&directory)?;
    std::fs::write(directory.join("file"), "kept\n")?;
    let volume: v1::Resource = v1::Resource {
        name: "disk".into(),
        r#type: v1::value::Type::Scalar.into(),
        scalar: Some(v1::value::Scalar { value: 32.0 }),
        reservations: vec![v1::resource::ReservationInfo {
            r#type: Some(v1::resource::reservation_info::Type::Dynamic.into()),
            role: Some("r".into()),
            ..Default::default()
        }],
        disk: Some(v1::resource::DiskInfo {
            persistence: Some(v1::resource::disk_info::Persistence { id: "v".into(), principal: None }),
            volume: Some(v1::Volume {
                container_path: "data".into(),
                mode: v1::volume::Mode::Rw.into(),
                ..Default::default()
            }),
            source: None,
        }),
        ..Default::default()
    };
    let with = TaskResources::from_proto(&[volume])?;
    let (id, containers) = (task.container_id(), agent.supervisor().containerizer());
    containers.update(id, with.clone(), TaskLimits::default()).await?;
    assert_eq!(std::fs::read_link(task.sandbox().join("data"))?, directory);
    containers.update(id, TaskResources::default(), TaskLimits::default()).await?;
    containers.update(id, with.clone(), TaskLimits::default()).await?;
    // What is in the way is not lost for it.
    std::fs::remove_file(task.sandbox().join("data"))?;
    containers.update(id, TaskResources::default(), TaskLimits::default()).await?;
    std::fs::create_dir(task.sandbox().join("data"))?;
    std::fs::write(task.sandbox().join("data/file"), "mine\n")?;
    let refused = containers.update(id, with, TaskLimits::default()).await.expect_err("it is in the way");
    assert!(docker_containerizer::chain(&refused).contains("persistent volume v"), "{refused:?}");
    std::fs::write(task.sandbox().join("enough"), "")?;
    task.finished().await?;
    assert_eq!(task.stdout()?, "mine\n");
    agent.end().await
}
