//! The master goes away and comes back while tasks run.

use anyhow::{Context as _, Result};
use integration::agent::{Agent, PATIENT, Scene, free_port};
use integration::reference::Master;
use integration::{TestScope, eventually, require_engine, require_reference};
use serde_json::json;

use crate::told::{LONG, SHORT, WHOLE_LIFE, all_end_once, each, states};

#[tokio::test(flavor = "multi_thread")]
async fn what_ends_while_there_is_no_master_is_told_to_the_next_one() -> Result<()> {
    let engine = require_engine!(Ok(()));
    require_reference!(Ok(()));
    let mut scene = Scene::start(&engine, &[]).await?;
    let id = scene.agent.id()?;
    let mut ending =
        scene.framework(&scene.gated("exit 5")?, &[&PATIENT[..], &["--instances=3"]].concat()).await?;
    let killed = [&PATIENT[..], &["--instances=2", "--expect=TASK_KILLED"]].concat();
    let mut staying = scene.framework(&scene.task("sleep 1000"), &killed).await?;
    ending.wait_for("TASK_RUNNING", 3, SHORT).await?;
    staying.wait_for("TASK_RUNNING", 2, SHORT).await?;
    let containers = scene.running().await?;

    scene.master.kill();
    scene.open_gate()?;
    scene.runs(2).await?;
    scene.master.start_again().await?;
    assert_eq!(scene.master.agent().await?["id"], id);
    let events = ending.end(LONG).await?;
    all_end_once(&events, 3, "TASK_FAILED");
    assert!(
        events
            .statuses("TASK_FAILED")
            .iter()
            .all(|status| status["message"] == "Container exited with status 5")
    );

    let left = scene.running().await?;
    assert!(left.len() == 2 && left.iter().all(|one| containers.contains(one)), "{left:?} of {containers:?}");
    eventually("the framework to be back", SHORT, async || {
        Ok((staying.events().of_kind("SUBSCRIBED").len() >= 2).then_some(()))
    })
    .await?;
    staying.kill_tasks()?;
    let events = staying.end(LONG).await?;
    assert_eq!(events.tasks_in("TASK_KILLED").len(), 2, "{:?}", events.summary());
    assert_eq!(scene.agent.id()?, id, "the agent got another id");
    scene.nothing_left().await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_that_finds_no_master_says_so_and_waits() -> Result<()> {
    let engine = require_engine!(Ok(()));
    require_reference!(Ok(()));
    let scope = TestScope::new(&engine).await?;
    let port = free_port()?;
    let mut agent = Agent::prepare(&scope, &format!("127.0.0.1:{port}"), &[])?;
    agent.launch()?;
    // It serves, and its log names who does not answer.
    eventually("an answer of the agent", SHORT, async || {
        let Ok(state) = integration::reference::get(agent.port()?, "/state").await else { return Ok(None) };
        let metrics = integration::reference::get(agent.port()?, "/metrics/snapshot").await?;
        Ok((state["id"] == "" && metrics["slave/registered"] == 0.0).then_some(()))
    })
    .await?;
    eventually("a line about the master", SHORT, async || {
        let log = agent.log_text();
        let is_said = |line: &str| line.contains("WARN") && line.contains(&format!("127.0.0.1:{port}"));
        Ok(log.lines().any(is_said).then_some(()))
    })
    .await
    .with_context(|| agent.log_text())?;
    let master = Master::start_at(port, &scope.subdir("master")?, &[]).await?;
    assert_eq!(master.agent().await?["active"], json!(true));
    let scene = Scene { master, agent, scope };
    let events = scene.run(&scene.task("true"), &[]).await?;
    assert_eq!(states(&events), each(1, &WHOLE_LIFE));
    scene.nothing_left().await
}
