//! The agent is killed while executors live, or begin to: those that come back, that do not, and that ended meanwhile.

use std::process::{Child, Command};

use anyhow::{Context as _, Result, ensure};
use integration::agent::{Scene, files};
use integration::executors::{self, Place, Protocol};
use integration::reference::IMPATIENT;
use integration::{
    Fault, FaultProxy, Rule, TestScope, eventually, require_engine, require_pymesos, require_reference,
};
use rstest::rstest;
use rustix::process::{Signal, test_kill_process};
use serde_json::{Value, json};

use crate::lab::{
    BOTH, COMES_BACK, ID, KEPT, LONG, SHORT, STAYS_AWAY, all_free, each, end_executor, expect_ends,
    framework, gone, held_back, on_disk, process, silent, tasks, told, told_lost, with_keeper, with_pid,
};

/// The agent ends before the executor has said a word, and it does not say one later.
///
/// Peer: SlaveRecoveryTest.DISABLED_RecoverUnregisteredExecutorHTTP.
#[rstest]
#[case(Place::Process, &[], "TASK_LOST")]
#[case(Place::Container, &["--capability=PARTITION_AWARE"], "TASK_GONE")]
#[tokio::test(flavor = "multi_thread")]
async fn one_that_never_registered_is_stopped_and_its_tasks_are_lost(
    #[case] place: Place,
    #[case] options: &[&str],
    #[case] state: &str,
) -> Result<()> {
    let engine = require_engine!(Ok(()));
    require_reference!(Ok(()));
    let mut scene = Scene::start(&engine, &[BOTH, STAYS_AWAY]).await?;
    let ids = ["a", "b", "c"];
    let tasks = tasks(&silent(&scene, place), &ids, &json!({}));
    let framework = framework(&scene, &tasks, &[options, &["--no-teardown"][..]].concat()).await?;
    on_disk(&scene, ids.len()).await?;
    let pid = match place {
        Place::Process => Some(process(&scene, &framework.events()).await?),
        Place::Container | Place::Bridge => {
            scene.runs(1).await?;
            None
        }
    };
    scene.agent.kill()?;
    scene.start_again().await?;
    let events = framework.end(LONG).await?;
    assert_eq!(events.by_task(), each(&ids, &[state]));
    let message = "Executor did not reregister within 1secs";
    expect_ends(&events, state, "SOURCE_AGENT", "REASON_EXECUTOR_REREGISTRATION_TIMEOUT", message)?;
    all_free(&scene, pid).await
}

/// The agent ends before the executor has said a word, which comes while the next one waits for executors. One of the v0
/// protocol is told to end, as it says that it is new; one of v1 stays, and gives back the tasks that it never got.
#[rstest]
#[case(Protocol::V0, "TASK_FAILED", "REASON_EXECUTOR_TERMINATED", "")]
#[case(Protocol::V1, "TASK_LOST", "REASON_AGENT_RESTARTED", "Task launched during agent restart")]
#[tokio::test(flavor = "multi_thread")]
async fn one_that_registers_only_with_the_next_agent_gets_no_task_of_the_first(
    #[case] protocol: Protocol,
    #[case] state: &str,
    #[case] reason: &str,
    #[case] message: &str,
) -> Result<()> {
    let engine = require_engine!(Ok(()));
    require_reference!(Ok(()));
    require_pymesos!(Ok(()));
    let mut scene = Scene::start(&engine, &[BOTH, COMES_BACK]).await?;
    let info = executors::executor(&scene.scope, ID, protocol, Place::Process).await?;
    let ids = ["a", "b", "c"];
    let tasks = tasks(&held_back(info), &ids, &json!({}));
    let framework = framework(&scene, &tasks, &["--no-teardown"]).await?;
    on_disk(&scene, ids.len()).await?;
    let pid = process(&scene, &framework.events()).await?;
    let sandbox = scene.sandbox(&framework.events(), ID)?;
    scene.agent.kill()?;
    scene.agent.launch()?;
    scene.logged("waiting for executors to come back").await?;
    std::fs::write(sandbox.join("go"), "")?;
    let events = framework.end(LONG).await?;
    assert_eq!(events.by_task(), each(&ids, &[state]));
    expect_ends(&events, state, "SOURCE_AGENT", reason, message)?;
    all_free(&scene, Some(pid)).await
}

/// The agent ends when the executor has registered and before a task was sent: its container was to be made larger first.
/// The tasks are given up, and the executor, which nobody needs then, is ended.
#[rstest]
#[case(Protocol::V0)]
#[case(Protocol::V1)]
#[tokio::test(flavor = "multi_thread")]
async fn tasks_that_were_not_sent_to_a_registered_one_are_lost(#[case] protocol: Protocol) -> Result<()> {
    let engine = require_engine!(Ok(()));
    require_reference!(Ok(()));
    require_pymesos!(Ok(()));
    let proxy = FaultProxy::start(engine.socket()).await?;
    let socket = format!("--docker_socket={}", proxy.socket().display());
    let mut scene = Scene::start(&engine, &[BOTH, COMES_BACK, &socket]).await?;
    let info = executors::executor(&scene.scope, ID, protocol, Place::Container).await?;
    let rule = proxy.add(Rule::new("POST", "/containers/*/update", Fault::Hang));
    let ids = ["a", "b", "c"];
    let all = with_keeper(tasks(&info, &ids, &json!({})))?;
    let framework = framework(&scene, &all, &[]).await?;
    on_disk(&scene, ids.len() + 1).await?;
    told(&framework, "keeper", "TASK_RUNNING").await?;
    eventually("the executor to register", SHORT, async || Ok((proxy.hits(rule) > 0).then_some(()))).await?;
    scene.agent.kill()?;
    proxy.clear();
    scene.start_again().await?;
    for id in ids {
        told(&framework, id, "TASK_LOST").await?;
    }
    told_lost(&framework).await?;
    framework.kill_tasks()?;
    let events = framework.end(LONG).await?;
    let mut expected = each(&ids, &["TASK_LOST"]);
    expected.extend(each(&["keeper"], &KEPT));
    assert_eq!(events.by_task(), expected);
    let message = "Task launched during agent restart";
    expect_ends(&events, "TASK_LOST", "SOURCE_AGENT", "REASON_AGENT_RESTARTED", message)?;
    ensure!(scene.sandboxes(&events, ID)?.len() == 1, "the executor was started more than once");
    all_free(&scene, None).await
}

/// The agent ends when statuses are on the disk and with the framework, which acknowledges them later.
#[rstest]
#[case(Protocol::V0, Place::Process)]
#[case(Protocol::V0, Place::Container)]
#[case(Protocol::V1, Place::Process)]
#[tokio::test(flavor = "multi_thread")]
async fn statuses_that_were_not_acknowledged_are_told_again_and_count_once(
    #[case] protocol: Protocol,
    #[case] place: Place,
) -> Result<()> {
    let engine = require_engine!(Ok(()));
    require_reference!(Ok(()));
    require_pymesos!(Ok(()));
    let mut scene = Scene::start(&engine, &[BOTH, COMES_BACK]).await?;
    let info = with_pid(executors::executor(&scene.scope, ID, protocol, place).await?);
    let ids = ["a", "b", "c"];
    let tasks = tasks(&info, &ids, &json!({ "seconds": 0.1 }));
    let framework = framework(&scene, &tasks, &["--ack-delay=1", "--no-teardown"]).await?;
    told(&framework, "a", "TASK_RUNNING").await?;
    on_disk(&scene, ids.len()).await?;
    eventually("the streams of all", SHORT, async || {
        let streams = files(&scene.agent.work_dir().join("meta"), "task.updates");
        Ok((streams.len() == ids.len()).then_some(()))
    })
    .await?;
    scene.crash().await?;
    // The first is acknowledged now, and the last is under way.
    told(&framework, "a", "TASK_FINISHED").await?;
    scene.crash().await?;
    let events = framework.end(LONG).await?;
    assert_eq!(events.by_task(), each(&ids, &["TASK_RUNNING", "TASK_FINISHED"]));
    end_executor(&scene, &events, place).await?;
    all_free(&scene, None).await
}

/// Two tasks end while the agent cannot listen, and it never will: what they told lies in its socket. The executor tells it
/// again to the next agent, and goes on with the third.
///
/// Peer: DockerContainerizerTest.DISABLED_ROOT_DOCKER_SlaveRecoveryExecutorContainer.
#[rstest]
#[case(Protocol::V0)]
#[case(Protocol::V1)]
#[tokio::test(flavor = "multi_thread")]
async fn what_the_agent_did_not_come_to_hear_is_told_again_by_one_in_a_container(
    #[case] protocol: Protocol,
) -> Result<()> {
    let engine = require_engine!(Ok(()));
    require_reference!(Ok(()));
    require_pymesos!(Ok(()));
    let mut scene = Scene::start(&engine, &[BOTH, COMES_BACK]).await?;
    let info = executors::executor(&scene.scope, ID, protocol, Place::Container).await?;
    let first = executors::task(&info, "a", &json!({ "until": "go-a", "state": "TASK_FAILED" }));
    let second = executors::task(&info, "b", &json!({ "until": "go-b" }));
    let tasks = json!([first, second, executors::task(&info, "c", &json!({}))]);
    let framework = framework(&scene, &tasks, &[]).await?;
    for id in ["a", "b", "c"] {
        told(&framework, id, "TASK_RUNNING").await?;
    }
    let sandbox = scene.sandbox(&framework.events(), ID)?;
    let containers = scene.running().await?;
    scene.agent.signal(Signal::STOP)?;
    for file in ["go-a", "go-b"] {
        std::fs::write(sandbox.join(file), "")?;
        eventually("the end of a task", SHORT, async || Ok((!sandbox.join(file).exists()).then_some(())))
            .await?;
    }
    scene.crash().await?;
    told(&framework, "a", "TASK_FAILED").await?;
    told(&framework, "b", "TASK_FINISHED").await?;
    assert_eq!(scene.running().await?, containers, "another container, or none");
    framework.kill_tasks()?;
    let events = framework.end(LONG).await?;
    let mut expected = each(&["a"], &["TASK_RUNNING", "TASK_FAILED"]);
    expected.extend(each(&["b"], &["TASK_RUNNING", "TASK_FINISHED"]));
    expected.extend(each(&["c"], &["TASK_RUNNING", "TASK_KILLED"]));
    assert_eq!(events.by_task(), expected);
    all_free(&scene, None).await
}

/// Peer: SlaveRecoveryTest.RecoverTerminatedHTTPExecutor.
#[rstest]
#[case(Protocol::V0, Place::Process)]
#[case(Protocol::V1, Place::Process)]
#[case(Protocol::V1, Place::Container)]
#[tokio::test(flavor = "multi_thread")]
async fn the_tasks_of_one_that_ended_meanwhile_fail(
    #[case] protocol: Protocol,
    #[case] place: Place,
) -> Result<()> {
    let engine = require_engine!(Ok(()));
    require_reference!(Ok(()));
    require_pymesos!(Ok(()));
    let mut scene = Scene::start(&engine, &[BOTH, COMES_BACK]).await?;
    let info = with_pid(executors::executor(&scene.scope, ID, protocol, place).await?);
    let ids = ["a", "b", "c"];
    let framework = framework(&scene, &tasks(&info, &ids, &json!({})), &["--no-teardown"]).await?;
    for id in ids {
        told(&framework, id, "TASK_RUNNING").await?;
    }
    scene.agent.kill()?;
    end_executor(&scene, &framework.events(), place).await?;
    scene.start_again().await?;
    let events = framework.end(LONG).await?;
    assert_eq!(events.by_task(), each(&ids, &["TASK_RUNNING", "TASK_FAILED"]));
    expect_ends(&events, "TASK_FAILED", "SOURCE_AGENT", "REASON_EXECUTOR_TERMINATED", "")?;
    all_free(&scene, None).await
}

/// An executor gives up an agent that is away for too long. (pymesos never does.)
///
/// Peer: SlaveRecoveryTest.DISABLED_RecoveryTimeout.
#[rstest]
#[case(Place::Process)]
#[case(Place::Container)]
#[tokio::test(flavor = "multi_thread")]
async fn one_that_waited_for_the_agent_for_too_long_has_ended_and_its_tasks_fail(
    #[case] place: Place,
) -> Result<()> {
    let engine = require_engine!(Ok(()));
    require_reference!(Ok(()));
    let mut scene = Scene::start(&engine, &[BOTH, COMES_BACK, "--recovery_timeout=500ms"]).await?;
    let info = with_pid(executors::executor(&scene.scope, ID, Protocol::V0, place).await?);
    let ids = ["a", "b"];
    let framework = framework(&scene, &tasks(&info, &ids, &json!({})), &["--no-teardown"]).await?;
    for id in ids {
        told(&framework, id, "TASK_RUNNING").await?;
    }
    scene.agent.kill()?;
    match place {
        Place::Process => gone(process(&scene, &framework.events()).await?).await?,
        Place::Container | Place::Bridge => scene.runs(0).await?,
    }
    scene.start_again().await?;
    let events = framework.end(LONG).await?;
    assert_eq!(events.by_task(), each(&ids, &["TASK_RUNNING", "TASK_FAILED"]));
    expect_ends(&events, "TASK_FAILED", "SOURCE_AGENT", "REASON_EXECUTOR_TERMINATED", "")?;
    assert!(scene.output(&events, ID, "stdout")?.contains("DISCONNECTED\nSHUTDOWN\n"));
    all_free(&scene, None).await
}

/// The master gives the tasks up once the agent does not answer any more.
///
/// Peer: SlaveRecoveryTest.DISABLED_CleanupExecutorHTTP.
#[rstest]
#[case(Place::Process)]
#[case(Place::Container)]
#[tokio::test(flavor = "multi_thread")]
async fn a_cleanup_ends_executors_and_the_agent_and_the_master_loses_their_tasks(
    #[case] place: Place,
) -> Result<()> {
    let engine = require_engine!(Ok(()));
    require_reference!(Ok(()));
    require_pymesos!(Ok(()));
    let scope = TestScope::new(&engine).await?;
    let mut scene = Scene::with_master(scope, &[IMPATIENT], &[BOTH, COMES_BACK]).await?;
    let info = with_pid(executors::executor(&scene.scope, ID, Protocol::V1, place).await?);
    let ids = ["a", "b"];
    let framework = framework(&scene, &tasks(&info, &ids, &json!({})), &[]).await?;
    for id in ids {
        told(&framework, id, "TASK_RUNNING").await?;
    }
    let pid = match place {
        Place::Process => Some(process(&scene, &framework.events()).await?),
        Place::Container | Place::Bridge => None,
    };
    let registrations = scene.registrations();
    scene.agent.kill()?;
    scene.agent.set_flag("--recover=cleanup");
    scene.agent.launch()?;
    let status = scene.agent.ended().await?;
    assert!(status.success(), "{status}: {}", scene.agent.log_text());
    if let Some(pid) = pid {
        gone(pid).await?;
    }
    scene.nothing_left().await?;
    assert_eq!(scene.registrations(), registrations, "it does not register");
    let events = framework.end(LONG).await?;
    assert_eq!(events.by_task(), each(&ids, &["TASK_RUNNING", "TASK_LOST"]));
    expect_ends(&events, "TASK_LOST", "SOURCE_MASTER", "REASON_AGENT_REMOVED", "")
}

/// A process that has nothing to do with the executor whose number it has.
struct Bystander(Child);

impl Bystander {
    fn start() -> Result<Self> {
        Ok(Self(Command::new("sleep").arg("1000").spawn().context("start a bystander")?))
    }
}

impl Drop for Bystander {
    fn drop(&mut self) {
        // It may have ended.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// What the next agent finds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Left {
    /// What ours leaves, and the machine was booted.
    Booted,
    /// What ours leaves, and the number was used again in the same run of the system.
    SameBoot,
    /// What a stock agent leaves, and the machine was booted.
    OfStock,
}

/// Writes the number of another process wherever an agent has that of an executor, as if it had been used again.
fn reuse(scene: &Scene, left: Left, pid: u32) -> Result<()> {
    const BOOT: &str = "01234567-89ab-cdef-0123-456789abcdef";
    let meta = scene.agent.work_dir().join("meta");
    let record = files(&meta, "plain-processes").pop().context("no record of processes")?;
    let state = record.parent().context("a directory")?;
    let mut processes: Value = serde_json::from_slice(&std::fs::read(&record)?)?;
    for process in ["parent", "command"] {
        processes[process]["pid"] = pid.into();
    }
    if left != Left::SameBoot {
        processes["boot_id"] = "another".into();
        ensure!(meta.join("boot_id").is_file(), "no boot id");
        std::fs::write(meta.join("boot_id"), BOOT)?;
    }
    std::fs::write(&record, processes.to_string())?;
    if left == Left::OfStock {
        std::fs::remove_file(&record)?;
        std::fs::remove_file(state.join("supervision"))?;
    }
    let pids = state.join("pids");
    ensure!(pids.join("libprocess.pid").is_file(), "no address of the executor in {}", pids.display());
    std::fs::write(pids.join("forked.pid"), pid.to_string()).context("plant a number")
}

/// Peer: SlaveRecoveryTest.RebootWithExecutorPidReused.
#[rstest]
#[case(Left::Booted)]
#[case(Left::SameBoot)]
#[case(Left::OfStock)]
#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_got_an_executors_number_is_not_taken_for_it(#[case] left: Left) -> Result<()> {
    let engine = require_engine!(Ok(()));
    require_reference!(Ok(()));
    let mut scene = Scene::start(&engine, &[BOTH, STAYS_AWAY]).await?;
    let info = with_pid(executors::executor(&scene.scope, ID, Protocol::V0, Place::Process).await?);
    let ids = ["a", "b"];
    let framework = framework(&scene, &tasks(&info, &ids, &json!({})), &["--no-teardown"]).await?;
    for id in ids {
        told(&framework, id, "TASK_RUNNING").await?;
    }
    let id = scene.agent.id()?;
    scene.agent.kill()?;
    end_executor(&scene, &framework.events(), Place::Process).await?;
    let mut bystander = Bystander::start()?;
    reuse(&scene, left, bystander.0.id())?;
    scene.start_again().await?;
    assert_eq!(scene.agent.id()?, id);
    let events = framework.end(LONG).await?;
    assert_eq!(events.by_task(), each(&ids, &["TASK_RUNNING", "TASK_FAILED"]));
    expect_ends(&events, "TASK_FAILED", "SOURCE_AGENT", "REASON_EXECUTOR_TERMINATED", "")?;
    all_free(&scene, None).await?;
    assert_eq!(bystander.0.try_wait()?, None, "the bystander was ended");
    Ok(())
}

/// Executors whose container is not one of Docker's are not looked for there, and go on.
///
/// Peer: DockerContainerizerTest.ROOT_DOCKER_SkipRecoverNonDocker.
#[tokio::test(flavor = "multi_thread")]
async fn one_with_a_container_of_mesos_is_none_of_dockers_and_goes_on() -> Result<()> {
    let engine = require_engine!(Ok(()));
    require_reference!(Ok(()));
    let proxy = FaultProxy::start(engine.socket()).await?;
    let socket = format!("--docker_socket={}", proxy.socket().display());
    let mut scene = Scene::start(&engine, &[BOTH, COMES_BACK, &socket]).await?;
    let mut info = with_pid(executors::executor(&scene.scope, ID, Protocol::V0, Place::Process).await?);
    info["container"] = json!({ "type": "MESOS" });
    let framework = framework(&scene, &tasks(&info, &["a"], &json!({})), &[]).await?;
    told(&framework, "a", "TASK_RUNNING").await?;
    let pid = process(&scene, &framework.events()).await?;
    let sandbox = scene.sandbox(&framework.events(), ID)?;
    scene.crash().await?;
    test_kill_process(pid).context("the executor was ended")?;
    framework.kill_tasks()?;
    let events = framework.end(LONG).await?;
    assert_eq!(events.by_task(), each(&["a"], &["TASK_RUNNING", "TASK_KILLED"]));
    all_free(&scene, Some(pid)).await?;
    let container = sandbox.file_name().and_then(|name| name.to_str()).context("a container id")?;
    let asked = proxy.requests().into_iter().find(|request| format!("{request:?}").contains(container));
    ensure!(asked.is_none(), "the engine was asked for it: {asked:?}");
    Ok(())
}
