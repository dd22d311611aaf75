//! What our `mesos-agent` removes, and when: sandboxes after `--gc_delay`, containers after `--docker_remove_delay`; nothing
//! of a task that runs, and also over a restart.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use integration::agent::{PATIENT, Scene, files};
use integration::executors::{self, Place, Protocol};
use integration::reference::Events;
use integration::{eventually, require_engine, require_reference};
use serde_json::{Value, json};

/// How long a framework's tasks may take in all.
const LONG: Duration = Duration::from_secs(150);

/// How long one thing may take.
const SHORT: Duration = Duration::from_secs(60);

/// Waits until nothing is at a path.
async fn gone(path: &Path) -> Result<()> {
    eventually(&format!("the removal of {}", path.display()), SHORT, async || {
        Ok((!path.exists()).then_some(()))
    })
    .await
}

fn framework_of(events: &Events) -> Result<String> {
    events.framework_id().map(str::to_owned).context("the framework never subscribed")
}

/// Peer: `SlaveRecoveryTest.RecoverCompletedExecutor`.
#[tokio::test(flavor = "multi_thread")]
async fn sandboxes_of_tasks_that_ended_go_after_their_time_and_those_of_others_stay() -> Result<()> {
    let engine = require_engine!(Ok(()));
    require_reference!(Ok(()));
    let flags = ["--gc_delay=3secs", "--disk_watch_interval=1secs"];
    let mut scene = Scene::start(&engine, &flags).await?;
    let mut lasting = scene.patient(&scene.gated("echo still here")?, &[]).await?;
    lasting.wait_for("TASK_RUNNING", 1, SHORT).await?;
    let events = lasting.events();
    let kept = scene.executor(&framework_of(&events)?, events.task_id()?)?;
    for is_crashed in [false, true] {
        let mut framework = scene.patient(&scene.task("echo over"), &[]).await?;
        framework.wait_for("TASK_FINISHED", 1, SHORT).await?;
        // Looked at as soon as the end is told: the framework takes its time to end.
        let ended = framework.events();
        let (framework_id, task_id) = (framework_of(&ended)?, ended.task_id()?);
        assert_eq!(scene.output(&ended, task_id, "stdout")?, "over\n", "it is there for a while");
        let work = scene.executor(&framework_id, task_id)?;
        framework.end(LONG).await?;
        if is_crashed {
            scene.crash().await?;
        }
        gone(&work).await?;
        let below = work.strip_prefix(scene.agent.work_dir())?;
        gone(&scene.agent.work_dir().join("meta").join(below)).await?;
        ensure!(kept.join("runs/latest/stdout").is_file(), "the sandbox of a task that runs went");
    }
    scene.open_gate()?;
    lasting.wait_for("TASK_FINISHED", 1, SHORT).await?;
    // Its time begins with its end, though its sandbox is older than that.
    let events = lasting.events();
    assert_eq!(scene.output(&events, events.task_id()?, "stdout")?, "still here\n");
    lasting.end(LONG).await?;
    gone(&kept).await?;
    scene.nothing_left().await
}

/// The delay counts from the task's end, whoever is there to see it out.
///
/// Peer: `Own.RemoveDelaySurvivesARestart`.
#[tokio::test(flavor = "multi_thread")]
async fn a_container_is_kept_for_its_time_also_over_a_restart() -> Result<()> {
    let engine = require_engine!(Ok(()));
    require_reference!(Ok(()));
    let delay = Duration::from_secs(8);
    let mut scene = Scene::start(&engine, &["--docker_remove_delay=8secs"]).await?;
    let before = Instant::now();
    scene.patient(&scene.task("true"), &[]).await?.end(LONG).await?;
    assert_eq!(scene.scope.leftovers().await?.containers.len(), 1);
    scene.crash().await?;
    // The delay of this process is not that of the earlier one.
    scene.nothing_left().await?;
    ensure!(before.elapsed() >= delay, "it was removed after {:?}", before.elapsed());

    scene.patient(&scene.task("true"), &[]).await?.end(LONG).await?;
    let ended = Instant::now();
    scene.agent.kill()?;
    tokio::time::sleep(delay.saturating_sub(ended.elapsed())).await;
    assert_eq!(scene.scope.leftovers().await?.containers.len(), 1, "nobody was there to remove it");
    scene.start_again().await?;
    scene.nothing_left().await?;
    ensure!(ended.elapsed() < delay * 2, "its time began anew: {:?}", ended.elapsed());
    Ok(())
}

/// Its record is where that of the first was, whose time was running.
#[tokio::test(flavor = "multi_thread")]
async fn the_record_of_a_task_whose_id_is_used_again_stays() -> Result<()> {
    let engine = require_engine!(Ok(()));
    require_reference!(Ok(()));
    let scene = Scene::start(&engine, &["--containerizers=docker,mesos", "--gc_delay=3secs"]).await?;
    let executor = executors::executor(&scene.scope, "several", Protocol::V0, Place::Process).await?;
    let task = |id: &str, orders: Value| executors::task(&executor, id, &orders);
    let tasks = json!([task("again", json!({ "seconds": 0.1 })), task("other", json!({ "until": "go" }))]);
    let options: Vec<&str> = PATIENT.iter().chain(&["--calls"]).copied().collect();
    let mut framework = scene.framework(&tasks, &options).await?;
    framework.wait_for("TASK_FINISHED", 1, SHORT).await?;
    framework.call(&json!({ "type": "LAUNCH", "tasks": [task("again", json!({}))] })).await?;
    eventually("the second task of the id", SHORT, async || {
        Ok((framework.events().statuses("TASK_RUNNING").len() == 3).then_some(()))
    })
    .await?;
    let recorded = || {
        let infos = files(&scene.agent.work_dir().join("meta"), "task.info");
        let of =
            |info: &Path| info.parent().and_then(Path::file_name).map(|id| id.to_string_lossy().into_owned());
        infos.iter().filter_map(|info| of(info)).collect::<BTreeSet<_>>()
    };
    assert_eq!(recorded(), ["again".to_owned(), "other".to_owned()].into());
    // Its time begins after that of the first, so when it is gone the first's is over.
    std::fs::write(scene.sandbox(&framework.events(), "several")?.join("go"), "")?;
    eventually("the removal of a record", SHORT, async || Ok((!recorded().contains("other")).then_some(())))
        .await?;
    assert_eq!(recorded(), ["again".to_owned()].into(), "the record of a task that runs went");
    framework.call(&executors::shutdown("several")).await?;
    framework.end(LONG).await?;
    scene.nothing_left().await
}
