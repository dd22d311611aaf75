//! Tasks outlive the agent's container, and the agent its engine.

use std::os::fd::AsFd as _;

use anyhow::{Context as _, Result, ensure};
use integration::agent::{files, states, task};
use integration::{PrivateEngine, require_engine, require_private_engine, require_reference};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use crate::rig::{COUNT, LONG, SHORT, Scene, check_count, goes_on};

#[tokio::test(flavor = "multi_thread")]
async fn tasks_go_on_while_the_container_is_stopped_removed_and_replaced_twice() -> Result<()> {
    let engine = require_engine!(Ok(()));
    require_reference!(Ok(()));
    let scene = Scene::new(&engine, &[]).await?;
    scene.start().await?;
    let mut framework = scene.patient(&scene.gated(COUNT)?, &["--instances=3"]).await?;
    framework.wait_for("TASK_RUNNING", 3, SHORT).await?;
    let running = scene.running().await?;
    assert_eq!(running.len(), 3);
    let told = framework.events().by_task();
    let outputs = files(scene.agent.work_dir(), "stdout");
    assert_eq!(outputs.len(), 3);

    // As `docker compose up` and unit files do it.
    scene.agent.stop().await?;
    assert_eq!(scene.running().await?, running, "a task was touched by the stop");
    scene.agent.remove().await?;
    scene.start().await?;
    for output in &outputs {
        goes_on(output).await?;
    }
    // As an impatient person does it.
    scene.agent.remove().await?;
    assert_eq!(scene.running().await?, running, "a task was touched by the removal");
    scene.start().await?;
    for output in &outputs {
        goes_on(output).await?;
    }
    // A restart of the same container.
    scene.agent.stop().await?;
    scene.agent.start_again().await?;
    for output in &outputs {
        goes_on(output).await?;
    }
    assert_eq!(scene.running().await?, running, "the tasks were not adopted");
    // One that was told again, as its acknowledgement did not come in time, is no new one.
    let now = framework.events();
    assert_eq!(now.by_task(), told, "a status was told: {:?}", now.summary());

    scene.open_gate()?;
    let events = framework.end(LONG).await?;
    for (task, states) in events.by_task() {
        assert_eq!(states, ["TASK_STARTING", "TASK_RUNNING", "TASK_FINISHED"], "{task}");
    }
    for output in &outputs {
        ensure!(check_count(output)? > 10, "a task has hardly run");
    }
    scene.end().await
}

/// The host's network of a private engine's containers is a namespace of its own, where the master and the frameworks must
/// be, too.
fn inside(
    engine: PrivateEngine,
    test: impl AsyncFnOnce(PrivateEngine) -> Result<()> + Send + 'static,
) -> Result<()> {
    let entered = std::thread::spawn(move || {
        let dockerd = engine.dockerd_pid().context("dockerd does not run")?;
        let namespace = std::fs::File::open(format!("/proc/{}/ns/net", dockerd.as_raw_nonzero()))?;
        move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network))?;
        // Its threads are children of this one, so they are in the namespace as well.
        tokio::runtime::Runtime::new()?.block_on(test(engine))
    });
    entered.join().expect("no panic")
}

/// The reason why the directory of the engine's socket is mounted and not the socket.
#[tokio::test(flavor = "multi_thread")]
async fn the_engine_restarts_under_the_agents_container() -> Result<()> {
    require_private_engine!(Ok(()));
    require_reference!(Ok(()));
    let private = PrivateEngine::start_with(&["--bridge=none"]).await?;
    tokio::task::spawn_blocking(move || inside(private, restart_the_engine)).await?
}

async fn restart_the_engine(mut private: PrivateEngine) -> Result<()> {
    let scene = Scene::new(&private.engine()?, &[]).await?;
    scene.start().await?;
    let mut framework = scene.patient(&scene.gated(COUNT)?, &["--instances=2"]).await?;
    framework.wait_for("TASK_RUNNING", 2, SHORT).await?;
    let running = scene.running().await?;
    let told = framework.events().by_task();
    let outputs = files(scene.agent.work_dir(), "stdout");
    let process = scene.agent.process().await?;

    for crash in [true, false] {
        if crash {
            private.kill_dockerd().await?;
        } else {
            private.stop_dockerd().await?;
        }
        // An agent that waited for its engine there would not answer.
        scene.agent.get("/state").await?;
        private.start_dockerd().await?;
        for output in &outputs {
            goes_on(output).await?;
        }
        // It reaches the engine that is there now.
        let next = task(&scene.scope, "exit 3");
        let events = scene.patient(&next, &["--expect=TASK_FAILED"]).await?.end(LONG).await?;
        assert_eq!(states(&events), ["TASK_STARTING", "TASK_RUNNING", "TASK_FAILED"]);
        assert_eq!(events.last_status()?["message"], "Container exited with status 3");
    }
    assert_eq!(scene.agent.process().await?, process, "the agent was started again");
    assert_eq!(scene.running().await?, running, "a task was touched");
    assert_eq!(framework.events().by_task(), told, "{:?}", framework.events().summary());

    scene.open_gate()?;
    let events = framework.end(LONG).await?;
    for (task, states) in events.by_task() {
        assert_eq!(states, ["TASK_STARTING", "TASK_RUNNING", "TASK_FINISHED"], "{task}");
    }
    for output in &outputs {
        ensure!(check_count(output)? > 10, "a task has hardly run");
    }
    scene.end().await?;
    private.remove()
}
