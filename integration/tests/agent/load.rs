//! Many tasks at once.

use anyhow::{Context as _, Result};
use integration::agent::Scene;
use integration::pymesos;
use integration::{require_engine, require_pymesos, require_reference};

use crate::told::{LONG, WHOLE_LIFE, each, states};

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_tasks_of_one_accept_all_finish() -> Result<()> {
    let engine = require_engine!(Ok(()));
    require_reference!(Ok(()));
    let scene = Scene::start(&engine, &[]).await?;
    // What the first task needs once is there before it is measured.
    assert_eq!(states(&scene.run(&scene.task("true"), &[]).await?), each(1, &WHOLE_LIFE));
    let before = scene.agent.size()?;
    let options = ["--instances=100", "--checkpoint", "--timeout=140"];
    let events = scene.run(&scene.task("true"), &options).await?;
    let launched = events.of_kind("LAUNCHED");
    assert_eq!(launched.len(), 100);
    let offer = &launched.first().context("no launch")?["offer_id"];
    assert!(launched.iter().all(|launch| launch["offer_id"] == *offer), "there was more than one accept");
    assert_eq!(states(&events), each(100, &WHOLE_LIFE), "{}", scene.agent.log_text());
    scene.nothing_left().await?;
    let after = scene.agent.size()?;
    println!("the agent's (kB, threads): {before:?} after one task, {after:?} after 101");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pymesos_framework_runs_twenty_tasks() -> Result<()> {
    let engine = require_engine!(Ok(()));
    require_reference!(Ok(()));
    require_pymesos!(Ok(()));
    let scene = Scene::start(&engine, &[]).await?;
    let events = pymesos::run(&scene.master, &scene.task("echo $MESOS_TASK_ID"), 20, LONG).await?;
    assert_eq!(states(&events), each(20, &WHOLE_LIFE));
    scene.nothing_left().await
}
