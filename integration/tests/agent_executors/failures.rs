//! Executors' containers that cannot be what their tasks need.

use anyhow::{Result, ensure};
use integration::agent::Scene;
use integration::executors::{self, Place, Protocol};
use integration::{Fault, FaultProxy, Rule, require_engine, require_reference};
use rstest::rstest;
use serde_json::json;

use crate::lab::{
    BOTH, ID, KEPT, LONG, all_free, each, expect_ends, framework, silent, tasks, told, told_lost, with_keeper,
};

/// An executor's container cannot be given what a task needs: the task is not sent, and the executor is ended.
///
/// Peer: DockerContainerizerTest.ROOT_DOCKER_ExecutorCleanupWhenLaunchFailed.
#[rstest]
#[case(&["--capability=PARTITION_AWARE"], "TASK_GONE")]
#[case(&[], "TASK_LOST")]
#[tokio::test(flavor = "multi_thread")]
async fn one_whose_container_cannot_be_updated_is_ended_and_its_tasks_with_it(
    #[case] options: &[&str],
    #[case] state: &str,
) -> Result<()> {
    let engine = require_engine!(Ok(()));
    require_reference!(Ok(()));
    let proxy = FaultProxy::start(engine.socket()).await?;
    let socket = format!("--docker_socket={}", proxy.socket().display());
    let scene = Scene::start(&engine, &[BOTH, &socket]).await?;
    proxy.add(Rule::new("POST", "/containers/*/update", Fault::error(500, "no room in the cellar")));
    let info = executors::executor(&scene.scope, ID, Protocol::V0, Place::Container).await?;
    let ids = ["a", "b"];
    let options = [options, &["--no-teardown"]].concat();
    let framework = framework(&scene, &tasks(&info, &ids, &json!({})), &options).await?;
    let events = framework.end(LONG).await?;
    assert_eq!(events.by_task(), each(&ids, &[state]));
    expect_ends(&events, state, "SOURCE_AGENT", "REASON_CONTAINER_UPDATE_FAILED", "no room in the cellar")?;
    all_free(&scene, None).await?;
    let said = scene.output(&events, ID, "stdout")?;
    ensure!(said.contains("REGISTERED") && !said.contains("LAUNCH"), "{said}");
    Ok(())
}

/// What goes wrong with an executor's container.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wrong {
    /// It cannot be started.
    Start,
    /// It ends, and the engine does not say what became of it.
    Inspection,
}

/// The framework hears of the executor too, and nothing waits for the engine any more.
///
/// Peer: DockerContainerizerTest.ROOT_DOCKER_DockerInspectDiscard.
#[rstest]
#[case(Wrong::Start, "REASON_CONTAINER_LAUNCH_FAILED")]
#[case(Wrong::Inspection, "REASON_EXECUTOR_TERMINATED")]
#[tokio::test(flavor = "multi_thread")]
async fn the_tasks_of_one_that_does_not_come_to_run_fail_and_it_is_told_lost(
    #[case] wrong: Wrong,
    #[case] reason: &str,
) -> Result<()> {
    let engine = require_engine!(Ok(()));
    require_reference!(Ok(()));
    let proxy = FaultProxy::start(engine.socket()).await?;
    let socket = format!("--docker_socket={}", proxy.socket().display());
    let scene = Scene::start(&engine, &[BOTH, &socket, "--docker_inspect_timeout=1secs"]).await?;
    let rule = match wrong {
        Wrong::Start => Rule::new("POST", "/containers/*/start", Fault::error(500, "no room in the cellar")),
        Wrong::Inspection => Rule::new("GET", "/containers/*/json", Fault::Hang).times(2),
    };
    proxy.add(rule);
    let mut info = silent(&scene, Place::Container);
    info["command"]["value"] = "exit 3".into();
    let ids = ["a", "b"];
    let all = with_keeper(tasks(&info, &ids, &json!({})))?;
    let framework = framework(&scene, &all, &["--no-teardown"]).await?;
    told_lost(&framework).await?;
    told(&framework, "keeper", "TASK_RUNNING").await?;
    framework.kill_tasks()?;
    let events = framework.end(LONG).await?;
    let mut expected = each(&ids, &["TASK_FAILED"]);
    expected.extend(each(&["keeper"], &KEPT));
    assert_eq!(events.by_task(), expected);
    let message = match wrong {
        Wrong::Start => "no room in the cellar",
        Wrong::Inspection => "exited with status 3",
    };
    expect_ends(&events, "TASK_FAILED", "SOURCE_AGENT", reason, message)?;
    all_free(&scene, None).await
}
