//! A task that the agent knows nothing of any more is told as lost, or as dropped to frameworks that know partitions.

use anyhow::Result;
use integration::agent::{PATIENT, Scene};
use integration::{require_engine, require_reference};
use rstest::rstest;
use serde_json::json;

use crate::told::{LONG, SHORT, each, states};

/// The master names the tasks that it has and the agent has not when the agent registers again.
///
/// Peer: SlaveRecoveryTest.ReconcileTasksMissingFromSlave.
#[rstest]
#[case::unaware(&[], "TASK_LOST")]
#[case::aware(&["--capability=PARTITION_AWARE"], "TASK_DROPPED")]
#[tokio::test(flavor = "multi_thread")]
async fn a_task_whose_checkpoint_is_gone_is_told(
    #[case] options: &[&str],
    #[case] state: &str,
) -> Result<()> {
    let engine = require_engine!(Ok(()));
    require_reference!(Ok(()));
    let mut scene = Scene::start(&engine, &[]).await?;
    let expect = format!("--expect={state}");
    let options = [&PATIENT[..], options, &["--instances=2", &expect]].concat();
    let mut framework = scene.framework(&scene.task("sleep 1000"), &options).await?;
    framework.wait_for("TASK_RUNNING", 2, SHORT).await?;
    scene.agent.kill()?;
    let agent = scene.agent.work_dir().join("meta/slaves").join(scene.agent.id()?);
    std::fs::remove_dir_all(agent.join("frameworks"))?;
    scene.agent.launch()?;
    let events = framework.end(LONG).await?;
    assert_eq!(states(&events), each(2, &["TASK_STARTING", "TASK_RUNNING", state]));
    let status = events.last_status()?;
    assert_eq!(
        (&status["reason"], &status["source"]),
        (&json!("REASON_RECONCILIATION"), &json!("SOURCE_AGENT"))
    );
    // Nobody counts on their containers.
    scene.nothing_left().await
}
