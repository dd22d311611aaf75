//! What the tests of executors have in common: executors that listen or do not, and what is waited for.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use integration::agent::{PATIENT, Scene, files};
use integration::eventually;
use integration::executors::{self, Place};
use integration::reference::{Events, Framework};
use rustix::process::{Pid, Signal, kill_process, test_kill_process};
use serde_json::{Value, json};

/// How long a framework's tasks may take in all.
pub(crate) const LONG: Duration = Duration::from_secs(150);

/// How long one thing may take.
pub(crate) const SHORT: Duration = Duration::from_secs(60);

/// The executor's id.
pub(crate) const ID: &str = "several";

/// Where an executor writes the number of its process.
pub(crate) const PID: &str = "executor-pid";

/// The life of the task that a framework goes on with.
pub(crate) const KEPT: [&str; 3] = ["TASK_STARTING", "TASK_RUNNING", "TASK_KILLED"];

/// What each agent here is started with.
pub(crate) const BOTH: &str = "--containerizers=docker,mesos";

/// How long executors have to come back where they shall: an interpreter takes its time.
pub(crate) const COMES_BACK: &str = "--executor_reregistration_timeout=15secs";

/// Where they do not.
pub(crate) const STAYS_AWAY: &str = "--executor_reregistration_timeout=1secs";

/// An executor that listens to nobody.
pub(crate) fn silent(scene: &Scene, place: Place) -> Value {
    let mut task = scene.task("sleep 1000");
    let mut info =
        json!({ "type": "CUSTOM", "executor_id": { "value": ID }, "command": task["command"].take() });
    if place != Place::Process {
        info["container"] = task["container"].take();
    }
    with_pid(info)
}

/// Has an executor write its process' number into its working directory, which is the sandbox of one without a container.
pub(crate) fn with_pid(mut info: Value) -> Value {
    let line = info["command"]["value"].as_str().unwrap_or_default().to_owned();
    let line = line.strip_prefix("exec ").unwrap_or(&line);
    info["command"]["value"] = format!("echo $$ > {PID}; exec {line}").into();
    info
}

/// Has an executor's program start only once there is a file `go` in its working directory; its process is there before.
pub(crate) fn held_back(mut info: Value) -> Value {
    let line = info["command"]["value"].as_str().unwrap_or_default().to_owned();
    let waits = format!("echo $$ > {PID}; while [ ! -e go ]; do sleep 0.05; done");
    info["command"]["value"] = format!("{waits}; {line}").into();
    info
}

/// Tasks of an executor, by their ids.
pub(crate) fn tasks(info: &Value, ids: &[&str], orders: &Value) -> Value {
    ids.iter().map(|id| executors::task(info, id, orders)).collect()
}

pub(crate) async fn framework(scene: &Scene, tasks: &Value, options: &[&str]) -> Result<Framework> {
    scene.framework(tasks, &[&PATIENT[..], options].concat()).await
}

/// The number of an executor's process, of one without a container.
pub(crate) async fn process(scene: &Scene, events: &Events) -> Result<Pid> {
    let number = eventually("the executor's process", SHORT, async || {
        let Ok(sandbox) = scene.sandbox(events, ID) else { return Ok(None) };
        let text = std::fs::read_to_string(sandbox.join(PID)).unwrap_or_default();
        Ok(text.trim().parse().ok())
    })
    .await?;
    Pid::from_raw(number).context("a process' number")
}

/// Waits until a task has told a state.
pub(crate) async fn told(framework: &Framework, task: &str, state: &str) -> Result<()> {
    let what = format!("{task} {state}");
    let waited = eventually(&what, SHORT, async || {
        let states = framework.events().by_task().remove(task).unwrap_or_default();
        Ok(states.iter().any(|told| told == state).then_some(()))
    });
    waited.await.with_context(|| format!("it told {:?}", framework.events().summary()))
}

/// Waits until a process is gone.
pub(crate) async fn gone(pid: Pid) -> Result<()> {
    eventually("the end of a process", SHORT, async || Ok(test_kill_process(pid).is_err().then_some(())))
        .await
}

/// Kills an executor itself, wherever it is, and waits until it is gone.
pub(crate) async fn end_executor(scene: &Scene, events: &Events, place: Place) -> Result<()> {
    match place {
        Place::Process => {
            let pid = process(scene, events).await?;
            kill_process(pid, Signal::KILL)?;
            gone(pid).await
        }
        Place::Container | Place::Bridge => {
            for container in scene.running().await? {
                let path = format!("/containers/{container}/kill");
                scene.scope.client().await?.post_empty(&path).await?.ok()?;
            }
            scene.runs(0).await
        }
    }
}

/// Waits until nothing of an executor is left but its sandbox, and the master has what it and its tasks held.
pub(crate) async fn all_free(scene: &Scene, pid: Option<Pid>) -> Result<()> {
    if let Some(pid) = pid {
        gone(pid).await?;
    }
    eventually("the resources of all", SHORT, async || {
        let agent = scene.master.agent().await?;
        Ok((agent["used_resources"]["cpus"].as_f64() == Some(0.0)).then_some(()))
    })
    .await?;
    scene.nothing_left().await
}

/// The tasks that the disk has for the executor, each with a `task.info`.
pub(crate) async fn on_disk(scene: &Scene, count: usize) -> Result<()> {
    eventually("the tasks on the disk", SHORT, async || {
        Ok((files(&scene.agent.work_dir().join("meta"), "task.info").len() == count).then_some(()))
    })
    .await
}

/// Adds a task without an executor, with which the framework goes on when the others have ended.
pub(crate) fn with_keeper(mut tasks: Value) -> Result<Value> {
    let keeper = json!({
        "name": "test", "task_id": { "value": "keeper" }, "command": { "value": "sleep 1000" },
    });
    tasks.as_array_mut().context("a list")?.push(keeper);
    Ok(tasks)
}

/// Waits until the framework hears that the executor is lost.
pub(crate) async fn told_lost(framework: &Framework) -> Result<()> {
    let waited = eventually("the executor to be told lost", SHORT, async || {
        let events = framework.events();
        let lost = events.of_kind("FAILURE");
        Ok(lost.iter().any(|event| event["executor_id"]["value"] == ID).then_some(()))
    });
    waited.await.with_context(|| format!("it told {:?}", framework.events().summary()))
}

/// The states of each task, of which no task may have others.
pub(crate) fn each(ids: &[&str], states: &[&str]) -> BTreeMap<String, Vec<String>> {
    let states: Vec<String> = states.iter().map(|state| (*state).to_owned()).collect();
    ids.iter().map(|id| ((*id).to_owned(), states.clone())).collect()
}

/// Expects the last status of all tasks to have this source and reason, and a message that has this text.
pub(crate) fn expect_ends(
    events: &Events,
    state: &str,
    source: &str,
    reason: &str,
    message: &str,
) -> Result<()> {
    let statuses = events.statuses(state);
    ensure!(!statuses.is_empty(), "no {state}: {:?}", events.summary());
    for status in statuses {
        ensure!(status["source"] == source && status["reason"] == reason, "{status}");
        ensure!(status["message"].as_str().unwrap_or_default().contains(message), "{status}");
    }
    Ok(())
}
