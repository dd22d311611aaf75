//! The agent ends or is killed, and starts again.

use anyhow::Result;
use integration::agent::{PATIENT, Scene};
use integration::{require_engine, require_reference};

use crate::told::{LONG, SHORT, each, states};

/// Peer: DockerContainerizerTest.ROOT_DOCKER_SlaveRecoveryTaskContainer.
#[tokio::test(flavor = "multi_thread")]
async fn a_task_goes_on_while_the_agent_is_killed_and_started_again() -> Result<()> {
    let engine = require_engine!(Ok(()));
    require_reference!(Ok(()));
    let mut scene = Scene::start(&engine, &[]).await?;
    let mut framework = scene.framework(&scene.gated("exit 7")?, &PATIENT).await?;
    framework.wait_for("TASK_RUNNING", 1, SHORT).await?;
    let id = scene.agent.id()?;
    scene.crash().await?;
    assert_eq!(scene.agent.id()?, id, "the agent got another id");
    scene.open_gate()?;
    let events = framework.end(LONG).await?;
    assert_eq!(states(&events), each(1, &["TASK_STARTING", "TASK_RUNNING", "TASK_FAILED"]));
    assert_eq!(events.last_status()?["message"], "Container exited with status 7");
    scene.nothing_left().await
}

/// Peer: SlaveRecoveryTest.RecoverTerminatedExecutor.
#[tokio::test(flavor = "multi_thread")]
async fn a_task_that_ended_while_the_agent_was_away_is_told_with_its_exit_code() -> Result<()> {
    let engine = require_engine!(Ok(()));
    require_reference!(Ok(()));
    let mut scene = Scene::start(&engine, &[]).await?;
    let mut framework = scene.framework(&scene.gated("exit 9")?, &PATIENT).await?;
    framework.wait_for("TASK_RUNNING", 1, SHORT).await?;
    scene.agent.kill()?;
    scene.open_gate()?;
    scene.runs(0).await?;
    scene.agent.launch()?;
    let events = framework.end(LONG).await?;
    assert_eq!(states(&events), each(1, &["TASK_STARTING", "TASK_RUNNING", "TASK_FAILED"]));
    assert_eq!(events.last_status()?["message"], "Container exited with status 9");
    scene.nothing_left().await
}

/// Peer: SlaveRecoveryTest.NonCheckpointingFramework.
#[tokio::test(flavor = "multi_thread")]
async fn the_tasks_of_a_framework_without_checkpoints_end_with_the_agent() -> Result<()> {
    let engine = require_engine!(Ok(()));
    require_reference!(Ok(()));
    let mut scene = Scene::start(&engine, &[]).await?;
    let mut framework = scene.framework(&scene.task("sleep 1000"), &["--timeout=100"]).await?;
    framework.wait_for("TASK_RUNNING", 1, SHORT).await?;
    scene.agent.stop().await?;
    // What is left of it is stopped; the next start removes it.
    assert_eq!(scene.running().await?.len(), 0);
    drop(framework);

    let mut framework = {
        scene.agent.launch()?;
        scene.master.agent().await?;
        scene.framework(&scene.task("sleep 1000"), &["--timeout=100"]).await?
    };
    framework.wait_for("TASK_RUNNING", 1, SHORT).await?;
    scene.agent.kill()?;
    assert_eq!(scene.running().await?.len(), 1, "a killed agent cannot stop a task");
    scene.agent.launch()?;
    scene.nothing_left().await
}
