//! Whose containers are whose: several of our `mesos-agent`s on one engine never touch each other's, nor anybody else's.

use std::time::Duration;

use anyhow::{Context as _, Result};
use integration::agent::Scene;
use integration::images::TestImage;
use integration::reference::Framework;
use integration::{require_engine, require_reference};
use serde_json::json;

/// How long a framework's tasks may take in all.
const LONG: Duration = Duration::from_secs(150);

/// How long one thing may take.
const SHORT: Duration = Duration::from_secs(60);

async fn gated(scene: &Scene) -> Result<Framework> {
    let mut framework = scene.patient(&scene.gated("true")?, &[]).await?;
    framework.wait_for("TASK_RUNNING", 1, SHORT).await?;
    Ok(framework)
}

/// Makes a container by hand whose name is one that agents give, with these labels beside the scope's.
async fn by_hand(scene: &Scene, work_dir: Option<&str>) -> Result<String> {
    let mut labels = scene.scope.labels();
    let container_id = uuid::Uuid::new_v4();
    if let Some(work_dir) = work_dir {
        for (name, value) in [
            ("agent_id", "somebody-S0"),
            ("framework_id", "framework"),
            ("executor_id", "task"),
            ("task_id", "task"),
            ("container_id", &container_id.to_string()),
            ("work_dir", work_dir),
            ("checkpoint", "true"),
            ("schema", "1"),
        ] {
            labels[format!("org.apache.mesos.{name}")] = json!(value);
        }
    }
    let body = json!({
        "Image": TestImage::Busybox.reference(),
        "Cmd": ["sleep", "1000"],
        "Labels": labels,
        "HostConfig": { "NetworkMode": "host" },
    });
    let mut client = scene.scope.client().await?;
    let name = format!("mesos-somebody-S0-{container_id}");
    let created = client.post(&format!("/containers/create?name={name}"), &body).await?.json()?;
    let id = created["Id"].as_str().context("an answer without an id")?.to_owned();
    client.post_empty(&format!("/containers/{id}/start")).await?.ok()?;
    Ok(id)
}

/// Peer: `SlaveRecoveryTest.MultipleSlaves`.
#[tokio::test(flavor = "multi_thread")]
async fn agents_of_one_engine_adopt_their_own_tasks_and_leave_all_others() -> Result<()> {
    let engine = require_engine!(Ok(()));
    require_reference!(Ok(()));
    let mut first = Scene::start(&engine, &[]).await?;
    let mut second = Scene::start(&engine, &[]).await?;
    let (of_first, of_second) = (gated(&first).await?, gated(&second).await?);
    by_hand(&first, None).await?;
    by_hand(&first, Some("/somewhere/else")).await?;
    let running = (first.running().await?, second.running().await?);
    assert_eq!((running.0.len(), running.1.len()), (3, 1));
    first.agent.kill()?;
    second.agent.kill()?;
    first.start_again().await?;
    assert_eq!((first.running().await?, second.running().await?), running);
    second.start_again().await?;
    first.open_gate()?;
    assert_eq!(of_first.end(LONG).await?.states().last(), Some(&"TASK_FINISHED"));
    first.runs(2).await?;
    assert_eq!(second.running().await?, running.1);
    second.open_gate()?;
    assert_eq!(of_second.end(LONG).await?.states().last(), Some(&"TASK_FINISHED"));
    second.nothing_left().await?;
    assert_eq!(first.running().await?.len(), 2, "a container of somebody else went");
    Ok(())
}

/// An orphan is known by its work directory alone: the agent that lost its id still has its old containers.
#[tokio::test(flavor = "multi_thread")]
async fn an_orphan_is_left_or_removed_as_the_flag_says() -> Result<()> {
    let engine = require_engine!(Ok(()));
    require_reference!(Ok(()));
    let mut scene = Scene::start(&engine, &["--no-docker_kill_orphans"]).await?;
    let work_dir = scene.agent.work_dir().to_string_lossy().into_owned();
    let orphan = by_hand(&scene, Some(&work_dir)).await?;
    let other = by_hand(&scene, Some(&format!("{work_dir}-2"))).await?;
    scene.crash().await?;
    scene.logged("an orphan is left: --no-docker_kill_orphans").await?;
    let framework = gated(&scene).await?;
    assert_eq!(scene.running().await?.len(), 3);
    scene.agent.set_flag("--docker_kill_orphans");
    scene.crash().await?;
    scene.runs(2).await?;
    let left = scene.running().await?;
    assert!(!left.contains(&orphan) && left.contains(&other), "{left:?}");
    scene.open_gate()?;
    assert_eq!(framework.end(LONG).await?.states().last(), Some(&"TASK_FINISHED"));
    Ok(())
}
