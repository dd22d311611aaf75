//! Our `mesos-agent` is started again: what goes on, what is told, what is refused, and who it is then.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use integration::agent::{Scene, files, states};
use integration::reference::{Framework, IMPATIENT};
use integration::{TestScope, eventually, require_engine, require_reference};
use rustix::process::Signal;
use serde_json::{Value, json};

/// How long a framework's tasks may take in all.
const LONG: Duration = Duration::from_secs(150);

/// How long one thing may take.
const SHORT: Duration = Duration::from_secs(60);

/// Starts one task at the gate and waits until it runs.
async fn gated(scene: &Scene, then: &str) -> Result<Framework> {
    let mut framework = scene.patient(&scene.gated(then)?, &[]).await?;
    framework.wait_for("TASK_RUNNING", 1, SHORT).await?;
    Ok(framework)
}

/// Expects the next start to be refused, and returns the line for a person.
async fn refused(scene: &mut Scene) -> Result<String> {
    let before = scene.agent.log_text().len();
    scene.agent.launch()?;
    let status = scene.agent.ended().await?;
    let log = scene.agent.log_text();
    ensure!(status.code() == Some(1), "it ended with {status}: {log}");
    let line = log[before..].lines().find(|line| line.starts_with("mesos-agent: "));
    line.map(str::to_owned).context("no line for a person")
}

/// Peer: `SlaveRecoveryTest.ReconnectExecutor`.
#[tokio::test(flavor = "multi_thread")]
async fn tasks_go_on_while_the_agent_is_asked_to_end_and_started_again() -> Result<()> {
    let engine = require_engine!(Ok(()));
    require_reference!(Ok(()));
    let mut scene = Scene::start(&engine, &[]).await?;
    let framework = gated(&scene, "echo last words; exit 3").await?;
    let (id, running) = (scene.agent.id()?, scene.running().await?);
    scene.agent.stop().await?;
    assert_eq!(scene.running().await?, running, "SIGTERM touched a task");
    scene.start_again().await?;
    assert_eq!(scene.running().await?, running, "the task was not adopted");
    assert_eq!(scene.agent.id()?, id);
    scene.open_gate()?;
    let events = framework.end(LONG).await?;
    assert_eq!(states(&events), ["TASK_STARTING", "TASK_RUNNING", "TASK_FAILED"]);
    assert_eq!(events.last_status()?["message"], "Container exited with status 3");
    assert_eq!(scene.output(&events, events.task_id()?, "stdout")?, "last words\n");
    scene.nothing_left().await
}

/// Peer: `SlaveRecoveryTest.CleanupExecutor`.
#[tokio::test(flavor = "multi_thread")]
async fn a_cleanup_stops_the_tasks_and_ends_and_the_next_start_is_a_new_agents() -> Result<()> {
    let engine = require_engine!(Ok(()));
    require_reference!(Ok(()));
    let mut scene = Scene::start(&engine, &[]).await?;
    let framework = gated(&scene, "true").await?;
    let id = scene.agent.id()?;
    scene.agent.kill()?;
    scene.agent.set_flag("--recover=cleanup");
    let registrations = scene.registrations();
    scene.agent.launch()?;
    let status = scene.agent.ended().await?;
    assert!(status.success(), "{status}: {}", scene.agent.log_text());
    scene.nothing_left().await?;
    assert_eq!(scene.registrations(), registrations, "it does not register");
    scene.agent.set_flag("--recover=reconnect");
    scene.start_again().await?;
    assert_ne!(scene.agent.id()?, id);
    let events = framework.end(LONG).await?;
    assert_eq!(states(&events), ["TASK_STARTING", "TASK_RUNNING", "TASK_LOST"]);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_cannot_be_read_is_refused_or_put_aside() -> Result<()> {
    let engine = require_engine!(Ok(()));
    require_reference!(Ok(()));
    let mut scene = Scene::start(&engine, &[]).await?;
    let ended = scene.patient(&scene.task("true"), &["--no-teardown"]).await?.end(LONG).await?;
    let framework = gated(&scene, "true").await?;
    let (id, running) = (scene.agent.id()?, scene.running().await?);
    let meta = scene.agent.work_dir().join("meta");
    let infos = files(&meta, "executor.info");
    let of_ended =
        |path: &&std::path::PathBuf| ended.task_id().is_ok_and(|task| path.to_string_lossy().contains(task));
    let broken = infos.iter().find(of_ended).context("the ended task's executor")?.clone();
    scene.agent.kill()?;
    std::fs::write(&broken, [8, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff])?;

    let line = refused(&mut scene).await?;
    ensure!(line.contains(&broken.display().to_string()) && line.contains("strict"), "{line}");
    assert_eq!(scene.running().await?, running, "a start that is refused touches nothing");

    scene.agent.set_flag("--no-strict");
    scene.start_again().await?;
    ensure!(scene.agent.log_text().contains(&broken.display().to_string()), "nothing was said of the file");
    assert_eq!(scene.agent.id()?, id);
    assert_eq!(scene.running().await?, running);
    let metrics = scene.agent.get(&scene.master, "/metrics/snapshot").await?;
    ensure!(metrics["slave/recovery_errors"].as_f64().is_some_and(|errors| errors >= 1.0), "{metrics}");
    // The next start may be strict again.
    scene.agent.set_flag("--strict");
    scene.crash().await?;
    scene.open_gate()?;
    assert_eq!(framework.end(LONG).await?.tasks_in("TASK_FINISHED").len(), 1);
    scene.nothing_left().await
}

/// After a boot the engine has the containers, stopped.
///
/// Peer: `SlaveRecoveryTest.Reboot`.
#[tokio::test(flavor = "multi_thread")]
async fn after_a_boot_the_tasks_that_it_ended_are_told() -> Result<()> {
    let engine = require_engine!(Ok(()));
    require_reference!(Ok(()));
    let mut scene = Scene::start(&engine, &[]).await?;
    let framework = gated(&scene, "true").await?;
    let id = scene.agent.id()?;
    scene.agent.kill()?;
    for container in scene.running().await? {
        scene.scope.client().await?.post_empty(&format!("/containers/{container}/kill")).await?.ok()?;
    }
    boot(&scene)?;
    scene.start_again().await?;
    assert_eq!(scene.agent.id()?, id);
    let events = framework.end(LONG).await?;
    assert_eq!(states(&events), ["TASK_STARTING", "TASK_RUNNING", "TASK_FAILED"]);
    let message = events.last_status()?["message"].as_str().unwrap_or_default();
    ensure!(message.starts_with("Container exited with status 137"), "{message}");
    scene.nothing_left().await
}

/// Plants the id of another boot.
fn boot(scene: &Scene) -> Result<()> {
    let path = scene.agent.work_dir().join("meta/boot_id");
    ensure!(path.is_file(), "no boot id");
    std::fs::write(path, "01234567-89ab-cdef-0123-456789abcdef").context("plant a boot id")
}

/// Peer: `SlaveRecoveryTest.RebootWithSlaveInfoMismatch`.
/// Peer: `SlaveRecoveryTest.RebootWithSlaveInfoMismatchAndRestart`.
#[tokio::test(flavor = "multi_thread")]
async fn after_a_boot_other_resources_make_a_new_agent_that_stays_itself() -> Result<()> {
    let engine = require_engine!(Ok(()));
    require_reference!(Ok(()));
    let mut scene = Scene::start(&engine, &[]).await?;
    let first = scene.agent.id()?;
    scene.agent.kill()?;
    boot(&scene)?;
    scene.agent.set_flag("--resources=cpus:2;mem:1024;disk:1024;ports:[31000-31099]");
    scene.start_again().await?;
    let second = scene.agent.id()?;
    assert_ne!(second, first);
    scene.crash().await?;
    assert_eq!(scene.agent.id()?, second);
    Ok(())
}

/// Peer: `SlaveRecoveryTest.AgentReconfigurationWithRunningTask`.
#[tokio::test(flavor = "multi_thread")]
async fn other_flags_are_refused_with_what_to_do_or_taken_as_the_policy_says() -> Result<()> {
    let engine = require_engine!(Ok(()));
    require_reference!(Ok(()));
    let mut scene = Scene::start(&engine, &["--attributes=rack:a"]).await?;
    let framework = gated(&scene, "true").await?;
    let (id, running) = (scene.agent.id()?, scene.running().await?);
    let latest = scene.agent.work_dir().join("meta/slaves/latest").display().to_string();
    let resources = |cpus| format!("--resources=cpus:{cpus};mem:8192;disk:8192;ports:[31000-31999]");
    scene.agent.kill()?;
    for (flag, back) in
        [(resources(32), resources(16)), ("--attributes=rack:b".into(), "--attributes=rack:a".into())]
    {
        scene.agent.set_flag(&flag);
        let line = refused(&mut scene).await?;
        ensure!(line.contains("--reconfiguration_policy") && line.contains(&latest), "{line}");
        scene.agent.set_flag(&back);
    }

    scene.agent.set_flag("--reconfiguration_policy=additive");
    scene.agent.set_flag(&resources(8));
    let line = refused(&mut scene).await?;
    ensure!(line.contains("cpus") && line.contains(&latest), "{line}");
    scene.agent.set_flag(&resources(32));
    scene.agent.set_flag("--attributes=rack:a;zone:c");
    scene.start_again().await?;
    assert_eq!(scene.agent.id()?, id);
    assert_eq!(scene.running().await?, running);
    let agent = scene.master.agent().await?;
    assert_eq!(agent["resources"]["cpus"], 32.0);
    assert_eq!(agent["attributes"]["zone"], "c");
    scene.crash().await?;
    scene.open_gate()?;
    assert_eq!(framework.end(LONG).await?.states().last(), Some(&"TASK_FINISHED"));
    scene.nothing_left().await
}

/// Peer: `SlaveRecoveryTest.RemoveNonCheckpointingFramework`.
/// Peer: `SlaveRecoveryTest.MultipleFrameworks`.
#[tokio::test(flavor = "multi_thread")]
async fn the_next_start_stops_what_was_not_checkpointed_and_says_nothing_of_it() -> Result<()> {
    let engine = require_engine!(Ok(()));
    require_reference!(Ok(()));
    let mut scene = Scene::start(&engine, &[]).await?;
    let lasting = gated(&scene, "true").await?;
    let kept = scene.running().await?;
    let mut passing = scene.master.framework(&scene.task("sleep 1000"), &["--timeout=100"]).await?;
    passing.wait_for("TASK_RUNNING", 1, SHORT).await?;
    scene.runs(2).await?;
    scene.agent.kill()?;
    // The master gives its task up as soon as we are gone.
    let told = passing.end(LONG).await?;
    assert_eq!(states(&told), ["TASK_STARTING", "TASK_RUNNING", "TASK_LOST"]);
    assert_eq!(scene.running().await?.len(), 2);
    scene.start_again().await?;
    scene.runs(1).await?;
    assert_eq!(scene.running().await?, kept);
    scene.open_gate()?;
    assert_eq!(lasting.end(LONG).await?.states().last(), Some(&"TASK_FINISHED"));
    scene.nothing_left().await
}

/// Peer: `SlaveRecoveryTest.KillTask`.
#[tokio::test(flavor = "multi_thread")]
async fn a_task_that_was_adopted_is_killed() -> Result<()> {
    let engine = require_engine!(Ok(()));
    require_reference!(Ok(()));
    let mut scene = Scene::start(&engine, &[]).await?;
    let framework = gated(&scene, "true").await?;
    scene.crash().await?;
    framework.kill_tasks()?;
    assert_eq!(states(&framework.end(LONG).await?), ["TASK_STARTING", "TASK_RUNNING", "TASK_KILLED"]);
    scene.nothing_left().await
}

/// Peer: `SlaveRecoveryTest.ReconcileKillTask`.
#[tokio::test(flavor = "multi_thread")]
async fn a_kill_that_came_while_the_agent_was_away_is_made_up_for() -> Result<()> {
    let engine = require_engine!(Ok(()));
    require_reference!(Ok(()));
    let mut scene = Scene::start(&engine, &[]).await?;
    let framework = gated(&scene, "true").await?;
    scene.agent.kill()?;
    framework.kill_tasks()?;
    eventually("the master to be asked", SHORT, async || {
        let metrics = scene.master.get("/metrics/snapshot").await?;
        Ok((metrics["master/messages_kill_task"].as_f64() >= Some(1.0)).then_some(()))
    })
    .await?;
    scene.start_again().await?;
    assert_eq!(states(&framework.end(LONG).await?), ["TASK_STARTING", "TASK_RUNNING", "TASK_KILLED"]);
    scene.nothing_left().await
}

/// Peer: `SlaveRecoveryTest.ReconcileShutdownFramework`.
#[tokio::test(flavor = "multi_thread")]
async fn a_framework_that_ended_while_the_agent_was_away_leaves_nothing() -> Result<()> {
    let engine = require_engine!(Ok(()));
    require_reference!(Ok(()));
    let mut scene = Scene::start(&engine, &[]).await?;
    let framework = gated(&scene, "true").await?;
    scene.agent.kill()?;
    framework.tear_down(SHORT).await?;
    assert_eq!(scene.running().await?.len(), 1);
    scene.start_again().await?;
    scene.nothing_left().await
}

/// Peer: `SlaveRecoveryTest.SchedulerFailover`.
#[tokio::test(flavor = "multi_thread")]
async fn a_scheduler_that_failed_over_while_the_agent_was_away_kills_its_task() -> Result<()> {
    let engine = require_engine!(Ok(()));
    require_reference!(Ok(()));
    let mut scene = Scene::start(&engine, &[]).await?;
    let framework = gated(&scene, "true").await?;
    scene.agent.kill()?;
    let events = framework.crash().await?;
    scene.start_again().await?;
    let mut task = scene.gated("true")?;
    task["task_id"] = json!({ "value": events.task_id()? });
    let again = format!("--framework-id={}", events.framework_id().context("an id")?);
    let mut framework = scene.patient(&task, &[&again]).await?;
    framework.wait_for("TASK_RUNNING", 1, SHORT).await?;
    framework.kill_tasks()?;
    assert_eq!(framework.end(LONG).await?.states().last(), Some(&"TASK_KILLED"));
    scene.nothing_left().await
}

/// Peer: `SlaveRecoveryTest.MasterFailover`.
#[tokio::test(flavor = "multi_thread")]
async fn a_master_that_failed_over_while_the_agent_was_away_hears_of_its_tasks() -> Result<()> {
    let engine = require_engine!(Ok(()));
    require_reference!(Ok(()));
    let mut scene = Scene::start(&engine, &[]).await?;
    let framework = gated(&scene, "true").await?;
    let id = scene.agent.id()?;
    scene.agent.kill()?;
    scene.master.restart().await?;
    scene.start_again().await?;
    assert_eq!(scene.master.agent().await?["id"], id);
    scene.open_gate()?;
    assert_eq!(framework.end(LONG).await?.tasks_in("TASK_FINISHED").len(), 1);
    scene.nothing_left().await
}

/// Peer: `SlaveRecoveryTest.ShutdownSlaveSIGUSR1`.
#[tokio::test(flavor = "multi_thread")]
async fn sigusr1_unregisters_stops_the_tasks_and_gives_the_id_up() -> Result<()> {
    let engine = require_engine!(Ok(()));
    require_reference!(Ok(()));
    let mut scene = Scene::start(&engine, &[]).await?;
    let framework = gated(&scene, "true").await?;
    let id = scene.agent.id()?;
    scene.agent.signal(Signal::USR1)?;
    let status = scene.agent.ended().await?;
    assert!(status.success(), "{status}: {}", scene.agent.log_text());
    scene.scope.assert_clean().await?;
    // It has told the master, which needs a moment to write that down.
    eventually("the agent to be none of the master's", SHORT, async || {
        Ok((scene.master.get("/slaves").await?["slaves"] == json!([])).then_some(()))
    })
    .await?;
    scene.start_again().await?;
    assert_ne!(scene.agent.id()?, id);
    let events = framework.end(LONG).await?;
    assert_eq!(states(&events), ["TASK_STARTING", "TASK_RUNNING", "TASK_LOST"]);
    Ok(())
}

/// Peer: `SlaveRecoveryTest.ShutdownSlave`.
#[tokio::test(flavor = "multi_thread")]
async fn an_agent_that_the_master_wants_gone_stops_its_tasks_and_gives_its_id_up() -> Result<()> {
    let engine = require_engine!(Ok(()));
    require_reference!(Ok(()));
    let mut scene = Scene::start(&engine, &[]).await?;
    let framework = gated(&scene, "true").await?;
    let id = scene.agent.id()?;
    let call = json!({ "type": "MARK_AGENT_GONE", "mark_agent_gone": { "agent_id": { "value": id } } });
    scene.master.call(&call).await?;
    let status = scene.agent.ended().await?;
    assert!(status.success(), "{status}: {}", scene.agent.log_text());
    scene.scope.assert_clean().await?;
    scene.start_again().await?;
    assert_ne!(scene.agent.id()?, id);
    let events = framework.end(LONG).await?;
    assert_eq!(events.states().last(), Some(&"TASK_LOST"), "{:?}", events.summary());
    Ok(())
}

/// Peer: `SlaveRecoveryTest.RegisterDisconnectedSlave`.
#[tokio::test(flavor = "multi_thread")]
async fn an_agent_that_lost_its_id_is_a_new_one_and_its_old_tasks_go() -> Result<()> {
    let engine = require_engine!(Ok(()));
    require_reference!(Ok(()));
    let mut scene = Scene::start(&engine, &[]).await?;
    let framework = gated(&scene, "true").await?;
    let id = scene.agent.id()?;
    scene.agent.kill()?;
    std::fs::remove_file(scene.agent.work_dir().join("meta/slaves/latest"))?;
    scene.start_again().await?;
    assert_ne!(scene.agent.id()?, id);
    let events = framework.end(LONG).await?;
    assert_eq!(states(&events), ["TASK_STARTING", "TASK_RUNNING", "TASK_LOST"]);
    scene.nothing_left().await
}

/// While it waits for an engine it answers the master's pings, so that it stays a member.
///
/// Peer: `SlaveRecoveryTest.PingTimeoutDuringRecovery`.
#[tokio::test(flavor = "multi_thread")]
async fn pings_are_answered_during_a_long_recovery() -> Result<()> {
    let engine = require_engine!(Ok(()));
    require_reference!(Ok(()));
    let mut scene = Scene::with_master(TestScope::new(&engine).await?, &[IMPATIENT], &[]).await?;
    let (id, framework) = (scene.agent.id()?, gated(&scene, "true").await?);
    let socket = scene.scope.dir().join("engine.sock");
    scene.agent.kill()?;
    scene.agent.set_flag(&format!("--docker_socket={}", socket.display()));
    let registrations = scene.registrations();
    scene.agent.launch()?;
    // The master gives up who misses five pings, one a second.
    tokio::time::sleep(Duration::from_secs(8)).await;
    ensure!(scene.agent.log_text().contains("no Docker Engine answers"), "{}", scene.agent.log_text());
    assert_eq!(scene.registrations(), registrations);
    std::os::unix::fs::symlink(engine.socket(), &socket)?;
    scene.registered(registrations + 1).await?;
    assert_eq!(scene.agent.id()?, id);
    let metrics: Value = scene.master.get("/metrics/snapshot").await?;
    assert_eq!(metrics["master/slave_unreachable_scheduled"], 0.0, "{metrics}");
    scene.open_gate()?;
    assert_eq!(framework.end(LONG).await?.states().last(), Some(&"TASK_FINISHED"));
    scene.nothing_left().await
}
