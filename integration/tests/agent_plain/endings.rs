//! How a task without an image is stopped: by its framework, with its own grace or the kill's, or since it takes too long.

use std::time::Duration;

use anyhow::Result;
use integration::agent::states;
use integration::{require_engine, require_reference};
use serde_json::{Value, json};

use crate::lab::{LONG, Lab, SHORT, message, plain};

/// A task that cannot be asked, with this grace.
fn stubborn(grace_nanoseconds: u64) -> Value {
    let mut task = plain("trap '' TERM; echo ready; while :; do sleep 0.1; done");
    task["kill_policy"] = json!({ "grace_period": { "nanoseconds": grace_nanoseconds } });
    task
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_has_its_own_grace_to_end_by_itself() -> Result<()> {
    let engine = require_engine!(Ok(()));
    require_reference!(Ok(()));
    let lab = Lab::start(&engine, &[]).await?;
    let mut task = plain("trap 'echo asked; exit 0' TERM; echo ready; while :; do sleep 0.05; done");
    task["kill_policy"] = json!({ "grace_period": { "nanoseconds": 100_000_000_000_u64 } });
    let framework = lab.scene.framework(&task, &["--expect=TASK_KILLED", "--timeout=140"]).await?;
    lab.says(&framework, "ready").await?;
    framework.kill_tasks()?;
    let events = framework.end(LONG).await?;
    // The framework cannot take TASK_KILLING.
    assert_eq!(states(&events), ["TASK_STARTING", "TASK_RUNNING", "TASK_KILLED"]);
    assert_eq!(lab.stdout(&events)?, "ready\nasked\n");
    lab.nothing_left().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kill_brings_its_own_grace_and_a_later_one_shortens_it() -> Result<()> {
    let engine = require_engine!(Ok(()));
    require_reference!(Ok(()));
    let lab = Lab::start(&engine, &[]).await?;
    let options = [
        "--expect=TASK_KILLED",
        "--timeout=140",
        "--kill-grace=900",
        "--kill-grace=0.5",
        "--capability=TASK_KILLING_STATE",
    ];
    let framework = lab.scene.framework(&stubborn(1_000_000_000_000), &options).await?;
    lab.says(&framework, "ready").await?;
    framework.kill_tasks()?;
    let events = framework.end(LONG).await?;
    assert_eq!(states(&events), ["TASK_STARTING", "TASK_RUNNING", "TASK_KILLING", "TASK_KILLED"]);
    let took = events.between("KILL", "TASK_KILLED")?;
    assert!(took < Duration::from_secs(50), "{took:?}");
    let last = events.last_status()?;
    assert_eq!(message(last), "Command terminated with signal Killed");
    lab.nothing_left().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_grace_is_waited_for() -> Result<()> {
    let engine = require_engine!(Ok(()));
    require_reference!(Ok(()));
    let lab = Lab::start(&engine, &[]).await?;
    let options = ["--expect=TASK_KILLED", "--timeout=140", "--capability=TASK_KILLING_STATE"];
    let framework = lab.scene.framework(&stubborn(1_500_000_000), &options).await?;
    lab.says(&framework, "ready").await?;
    framework.kill_tasks()?;
    let events = framework.end(LONG).await?;
    // From before the kill was sent to after the end was told, which is never less than the grace.
    let took = events.between("KILL", "TASK_KILLED")?;
    assert!(took >= Duration::from_millis(1490) && took < Duration::from_secs(30), "{took:?}");
    lab.nothing_left().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_that_takes_too_long_is_stopped_and_fails() -> Result<()> {
    let engine = require_engine!(Ok(()));
    require_reference!(Ok(()));
    let lab = Lab::start(&engine, &[]).await?;
    let mut task = plain("sleep 1000");
    task["max_completion_time"] = json!({ "nanoseconds": 700_000_000 });
    let (events, status) = lab.ends_as(&task, "TASK_FAILED").await?;
    assert_eq!(status["reason"], "REASON_MAX_COMPLETION_TIME_REACHED");
    // Measured by the framework, from before its launch.
    let took = events.between("LAUNCHED", "TASK_FAILED")?;
    assert!(took >= Duration::from_millis(690), "{took:?}");
    lab.nothing_left().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_framework_that_ends_takes_its_tasks_with_it() -> Result<()> {
    let engine = require_engine!(Ok(()));
    require_reference!(Ok(()));
    let lab = Lab::start(&engine, &[]).await?;
    let line = "(setsid sleep 1000 &) ; exec sleep 1000";
    let mut framework = lab.scene.framework(&plain(line), &["--instances=3", "--timeout=140"]).await?;
    framework.wait_for("TASK_RUNNING", 3, SHORT).await?;
    framework.tear_down(SHORT).await?;
    lab.nothing_left().await
}
