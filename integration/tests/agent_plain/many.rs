//! Many tasks at once, and tasks of both kinds.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use integration::agent::{PATIENT, ends, files};
use integration::reference::Events;
use integration::{eventually, require_engine, require_reference};
use serde_json::Value;

use crate::lab::{LONG, Lab, SHORT, message, named, plain};

/// How many tasks there are of a kind.
const TASKS: usize = 50;

/// How often the agent is killed while the tasks are launched.
const KILLS: usize = 3;

/// The exit code of a task.
fn code(number: usize) -> usize {
    number % 4
}

/// How a status of a task begins that ended with its code.
fn told(kind: &str, number: usize) -> String {
    let what = if kind == "plain" { "Command" } else { "Container" };
    format!("{what} exited with status {}", code(number))
}

/// That each task ended once, with its own code, and wrote what it should.
fn judge(lab: &Lab, events: &Events, kinds: &[&str]) -> Result<()> {
    let ends: BTreeMap<_, _> = ends(events).into_iter().collect();
    ensure!(ends.len() == TASKS * kinds.len(), "{:?}", events.summary());
    for (kind, number) in kinds.iter().flat_map(|kind| (0..TASKS).map(move |number| (*kind, number))) {
        let id = format!("{kind}-{number}");
        let state = if code(number) == 0 { "TASK_FINISHED" } else { "TASK_FAILED" };
        ensure!(ends.get(&id).is_some_and(|ends| *ends == [state]), "{id}: {:?}", ends.get(&id));
        let statuses = events.statuses(state);
        let status = statuses.iter().find(|status| status["task_id"]["value"] == id.as_str());
        let status = status.context("no status")?;
        // A container that ended well is told without a message.
        ensure!(
            message(status).starts_with(&told(kind, number)) || (kind == "docker" && code(number) == 0),
            "{status}"
        );
        let output = lab.scene.output(events, &id, "stdout")?;
        ensure!(output == format!("I am {id}\n"), "{id} wrote {output:?}: it did not run once and whole");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn fifty_tasks_end_with_their_codes_and_leave_nothing() -> Result<()> {
    let engine = require_engine!(Ok(()));
    require_reference!(Ok(()));
    let lab = Lab::start(&engine, &[]).await?;
    let tasks: Vec<Value> = (0..TASKS)
        .map(|number| {
            let line = format!("echo I am $MESOS_EXECUTOR_ID; touch made; exit {}", code(number));
            named(plain(&line), &format!("plain-{number}"))
        })
        .collect();
    let events = lab.scene.run(&tasks.into(), &["--checkpoint", "--timeout=140"]).await?;
    judge(&lab, &events, &["plain"])?;
    lab.nothing_left().await
}

/// Those that end while the agent is away are told with their own codes.
#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_lost_of_a_mixed_load_whose_agent_is_killed() -> Result<()> {
    let engine = require_engine!(Ok(()));
    require_reference!(Ok(()));
    let mut lab = Lab::start(&engine, &[]).await?;
    let mut tasks = Vec::new();
    for number in 0..TASKS {
        let exit = code(number);
        tasks.push(named(
            lab.gated(&format!("echo I am plain-{number}; exit {exit}"))?,
            &format!("plain-{number}"),
        ));
        let docker = lab.scene.gated(&format!("echo I am docker-{number}; exit {exit}"))?;
        tasks.push(named(docker, &format!("docker-{number}")));
    }
    let mut framework = lab.scene.framework(&tasks.into(), &PATIENT).await?;
    // Before that the master may still be telling us of them, and a message to a process that is killed is lost.
    eventually("all tasks on the disk", SHORT, async || {
        let accepted = files(lab.scene.agent.work_dir(), "task.info").len();
        Ok((accepted == 2 * TASKS).then_some(()))
    })
    .await?;
    let id = lab.scene.agent.id()?;
    for _ in 0..KILLS {
        tokio::time::sleep(Duration::from_millis(fastrand::u64(0..500))).await;
        lab.scene.agent.kill()?;
        lab.scene.agent.launch()?;
    }
    framework.wait_for("TASK_RUNNING", 2 * TASKS, LONG).await?;
    lab.scene.agent.kill()?;
    lab.scene.open_gate()?;
    lab.no_processes().await?;
    lab.scene.runs(0).await?;
    lab.scene.agent.launch()?;
    let events = framework.end(LONG).await?;
    judge(&lab, &events, &["plain", "docker"])?;
    assert_eq!(lab.scene.agent.id()?, id, "the agent got another id");
    lab.nothing_left().await
}
