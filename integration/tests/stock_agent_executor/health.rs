//! Health checks under a stock agent.

use anyhow::{Context as _, Result, ensure};
use integration::reference::{Events, Framework};
use integration::web::Page;
use integration::{WebServer, eventually, require_engine, require_reference};
use serde_json::{Value, json};

use crate::scene::{PATIENCE, Scene, address};

/// A task that runs until it is let go.
const UNTIL_GO: &str = "while [ ! -e /mnt/mesos/sandbox/go ]; do sleep 0.1; done";

/// A check that kills after two failures, tenths of a second apart.
fn check(kind: &str, what: Value) -> Value {
    let mut check = json!({
        "type": kind, "delay_seconds": 0.0, "interval_seconds": 0.2, "timeout_seconds": 5.0,
        "consecutive_failures": 2, "grace_period_seconds": 0.0,
    });
    check[kind.to_lowercase()] = what;
    check
}

async fn is_killed_by(kind: &str, what: Value) -> Result<()> {
    let engine = require_engine!(Ok(()));
    require_reference!(Ok(()));
    let scene = Scene::start(&engine, &[]).await?;
    let mut task = scene.task("trap 'exit 0' TERM; while :; do sleep 0.1; done");
    task["container"]["docker"]["network"] = json!("BRIDGE");
    task["health_check"] = check(kind, what);
    let events = scene.cluster.run(&task, &["--expect=TASK_KILLED"]).await?;
    let unhealthy: Vec<_> =
        events.statuses("TASK_RUNNING").into_iter().filter(|s| s["healthy"] == false).collect();
    ensure!(!unhealthy.is_empty(), "{events:?}");
    for status in unhealthy {
        assert_eq!(status["reason"], "REASON_TASK_HEALTH_CHECK_STATUS_UPDATED");
    }
    let end = events.last_status()?;
    ensure!(end["state"] == "TASK_KILLED" && end["healthy"] == false, "{end}");
    scene.end().await
}

#[tokio::test]
async fn a_task_whose_command_fails_is_killed() -> Result<()> {
    is_killed_by("COMMAND", json!({ "shell": true, "value": "false" })).await
}

#[tokio::test]
async fn a_task_that_does_not_answer_http_is_killed() -> Result<()> {
    is_killed_by("HTTP", json!({ "scheme": "http", "port": 8080, "path": "/" })).await
}

#[tokio::test]
async fn a_task_that_takes_no_connection_is_killed() -> Result<()> {
    is_killed_by("TCP", json!({ "port": 8080 })).await
}

/// Its check goes on changing its mind in the container, and nothing of that is told once it is being killed.
///
/// Peer: DockerContainerizerTest.ROOT_DOCKER_NoTransitionFromKillingToRunning.
#[tokio::test]
async fn a_task_that_is_being_killed_does_not_run_again() -> Result<()> {
    let engine = require_engine!(Ok(()));
    require_reference!(Ok(()));
    let scene = Scene::start(&engine, &[]).await?;
    let mut task = scene.task("trap '' TERM; while :; do sleep 0.1; done");
    let flapping = "cd /mnt/mesos/sandbox; if [ -e up ]; then rm up; else touch up; fi; [ -e up ]";
    task["health_check"] = check("COMMAND", json!({ "shell": true, "value": flapping }));
    let options = ["--expect=TASK_KILLED", "--kill-grace=2", "--capability=TASK_KILLING_STATE"];
    let mut framework = scene.cluster.framework(&task, &options).await?;
    told(&mut framework, "it to flap", |events| events.statuses("TASK_RUNNING").len() > 2).await?;
    framework.kill_tasks()?;
    let events = framework.end(PATIENCE).await?;
    let states = events.states();
    let killing = states.iter().position(|state| *state == "TASK_KILLING").context("TASK_KILLING")?;
    ensure!(
        states[..killing].iter().filter(|state| **state == "TASK_RUNNING").count() > 2,
        "it did not flap: {states:?}"
    );
    assert_eq!(states[killing..], ["TASK_KILLING", "TASK_KILLED"]);
    scene.end().await
}

/// Peer: DockerContainerizerHealthCheckTest.ROOT_DOCKER_DockerHealthyTask.
#[tokio::test]
async fn a_task_that_becomes_healthy_tells_it_once() -> Result<()> {
    let engine = require_engine!(Ok(()));
    require_reference!(Ok(()));
    let scene = Scene::start(&engine, &[]).await?;
    let mut task = scene.task(UNTIL_GO);
    let line = "echo asked >> /mnt/mesos/sandbox/asked";
    task["health_check"] = check("COMMAND", json!({ "shell": true, "value": line }));
    let framework = scene.cluster.framework(&task, &[]).await?;
    eventually("several checks", PATIENCE, async || {
        let asked = framework.events().task_id().and_then(|id| Ok(scene.sandbox(id)?.join("asked")));
        let asked = asked.ok().and_then(|path| std::fs::read_to_string(path).ok()).unwrap_or_default();
        Ok((asked.lines().count() > 4).then_some(()))
    })
    .await?;
    let events = goes(&scene, framework).await?;
    let healthy = events.statuses("TASK_RUNNING").into_iter().filter(is_healthy).count();
    assert_eq!(healthy, 1);
    scene.end().await
}

/// Waits until something was told.
async fn told(framework: &mut Framework, what: &str, is_so: impl Fn(&Events) -> bool) -> Result<()> {
    eventually(what, PATIENCE, async || Ok(is_so(&framework.events()).then_some(())))
        .await
        .with_context(|| format!("it told {:?}", framework.events().summary()))
}

/// Lets a task end, and returns all that was told.
async fn goes(scene: &Scene, framework: Framework) -> Result<Events> {
    std::fs::write(scene.sandbox(framework.events().task_id()?)?.join("go"), "")?;
    framework.end(PATIENCE).await
}

fn is_healthy(status: &&Value) -> bool {
    status["healthy"] == true
}

/// Runs a task, [`UNTIL_GO`], until its check says that it is healthy.
async fn becomes_healthy(scene: &Scene, task: &Value) -> Result<()> {
    let mut framework = scene.cluster.framework(task, &[]).await?;
    told(&mut framework, "it to be healthy", |events| events.statuses("TASK_RUNNING").iter().any(is_healthy))
        .await?;
    let events = goes(scene, framework).await?;
    let healthy: Vec<_> = events.statuses("TASK_RUNNING").into_iter().filter(is_healthy).collect();
    ensure!(!healthy.is_empty() && events.last_status()?["state"] == "TASK_FINISHED", "{events:?}");
    for status in healthy {
        assert_eq!(status["reason"], "REASON_TASK_HEALTH_CHECK_STATUS_UPDATED");
        address(status)?;
    }
    Ok(())
}

/// A check that does not kill while a server comes up.
fn patient(kind: &str, what: Value) -> Value {
    let mut check = check(kind, what);
    check["consecutive_failures"] = json!(1000);
    check
}

/// Peer: DockerContainerizerHealthCheckTest.ROOT_DOCKER_USERNETWORK_NETNAMESPACE_HealthyTaskViaHTTP.
/// Peer: DockerContainerizerHealthCheckTest.ROOT_DOCKER_USERNETWORK_NETNAMESPACE_HealthyTaskViaTCP.
#[tokio::test]
async fn a_task_on_a_user_network_is_healthy_by_http_and_tcp() -> Result<()> {
    let engine = require_engine!(Ok(()));
    require_reference!(Ok(()));
    let scene = Scene::start(&engine, &[]).await?;
    let network = scene.scope.name("net");
    let body = json!({ "Name": network, "Labels": scene.scope.labels() });
    scene.scope.client().await?.post("/networks/create", &body).await?.ok()?;
    for (kind, what) in [
        ("HTTP", json!({ "scheme": "http", "port": 80, "path": "/etc/hostname" })),
        ("TCP", json!({ "port": 80 })),
    ] {
        let mut task = scene.task(&format!("httpd -p 80 -h /; {UNTIL_GO}"));
        task["container"]["docker"]["network"] = json!("USER");
        task["container"]["network_infos"] = json!([{ "name": network }]);
        task["health_check"] = patient(kind, what);
        becomes_healthy(&scene, &task).await?;
    }
    scene.end().await
}

/// The server is the test's, on the host's network: there is none that speaks TLS in the image.
///
/// Peer: DockerContainerizerHealthCheckTest.ROOT_DOCKER_USERNETWORK_NETNAMESPACE_HealthyTaskViaHTTPS.
#[tokio::test]
async fn a_task_is_healthy_by_https_whoever_signed_the_certificate() -> Result<()> {
    let engine = require_engine!(Ok(()));
    require_reference!(Ok(()));
    let scene = Scene::start(&engine, &[]).await?;
    let web = WebServer::start_tls().await?;
    web.serve("/health", Page::new("fine"));
    let mut task = scene.task(UNTIL_GO);
    let port = web.address().port();
    task["health_check"] = patient("HTTP", json!({ "scheme": "https", "port": port, "path": "/health" }));
    becomes_healthy(&scene, &task).await?;
    scene.end().await
}

/// Peer: DockerContainerizerHealthCheckTest.ROOT_DOCKER_DockerHealthyTaskWithQuotedCommand.
#[tokio::test]
async fn a_command_with_quotes_is_run_as_it_is_written() -> Result<()> {
    let engine = require_engine!(Ok(()));
    require_reference!(Ok(()));
    let scene = Scene::start(&engine, &[]).await?;
    let mut task = scene.task(UNTIL_GO);
    let command = json!({ "shell": true, "value": "test \"$(echo '\"')\" = '\"'" });
    task["health_check"] = check("COMMAND", command);
    becomes_healthy(&scene, &task).await?;
    scene.end().await
}

/// Peer: DockerContainerizerHealthCheckTest.ROOT_DOCKER_DockerHealthStatusChange.
#[tokio::test]
async fn a_health_that_changes_is_told_each_time() -> Result<()> {
    let engine = require_engine!(Ok(()));
    require_reference!(Ok(()));
    let scene = Scene::start(&engine, &[]).await?;
    let mut task = scene.task(UNTIL_GO);
    let line = "if [ -e /up ]; then rm /up; exit 1; else touch /up; fi";
    task["health_check"] = patient("COMMAND", json!({ "shell": true, "value": line }));
    let mut framework = scene.cluster.framework(&task, &[]).await?;
    let healths = |events: &Events| -> Vec<bool> {
        events.statuses("TASK_RUNNING").iter().filter_map(|s| s["healthy"].as_bool()).collect()
    };
    told(&mut framework, "three changes", |events| healths(events).len() >= 3).await?;
    let told = healths(&goes(&scene, framework).await?);
    ensure!(told.len() >= 3 && told[0] && told.windows(2).all(|two| two[0] != two[1]), "{told:?}");
    scene.end().await
}
