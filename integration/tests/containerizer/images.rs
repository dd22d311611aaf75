//! Having the image: names that are none, pulls that fail, hang or are forced, and what privileges an image's task gets.

use std::time::Duration;

use anyhow::{Context as _, Result};
use docker_containerizer::{Ending, Phase};
use integration::engine::current_test;
use integration::images::TestImage;
use integration::supervised::{Options, PATIENCE, Registry, Supervised, Task};
use integration::{Fault, FaultProxy, Rule, eventually, require_engine};
use mesos_proto::v1::TaskState;
use mesos_proto::v1::task_status::Reason;
use tokio::net::TcpListener;

use crate::launch::states;

/// What a kill of a pull may take on a busy machine; the pull itself goes on for ever.
const PROMPT: Duration = Duration::from_secs(30);

/// Returns how many requests of this method and path (without version and query) the proxy saw.
fn asked(proxy: &FaultProxy, method: &str, end: &str) -> usize {
    let path = |target: &str| target.split('?').next().unwrap_or_default().to_owned();
    proxy
        .requests()
        .iter()
        .filter(|request| request.method == method && path(&request.target).ends_with(end))
        .count()
}

/// Peer: DockerContainerizerTest.ROOT_DOCKER_DockerPullFailure.
///
/// The error is the engine's own: nothing listens on port 1.
#[tokio::test]
async fn an_image_that_cannot_be_pulled_fails_the_launch_with_the_reason() -> Result<()> {
    let engine = require_engine!(Ok(()));
    let agent = Supervised::new(&engine).await?;
    let mut task = agent.launch(&Task::shell("true").image_named("127.0.0.1:1/no/such/image:tag"))?;
    let end = task.terminal().await?;
    assert_eq!(end.outcome.state, TaskState::TaskFailed);
    assert_eq!(end.status.reason(), Reason::ContainerLaunchFailed);
    assert_eq!(end.outcome.exit_code, 125);
    let message = end.status.message();
    assert!(message.starts_with("Failed to launch container: "), "{message}");
    assert!(
        message.contains("127.0.0.1:1/no/such/image:tag") && message.contains("connection refused"),
        "{message}"
    );
    assert_eq!(task.states(), states("FAILED"));
    agent.end().await
}

#[tokio::test]
async fn an_image_that_the_registry_does_not_have_fails_the_launch() -> Result<()> {
    let engine = require_engine!(Ok(()));
    let agent = Supervised::new(&engine).await?;
    let Some(registry) = Registry::start(agent.scope(), &current_test()).await? else { return Ok(()) };
    let there = registry.offer(TestImage::Busybox, "there").await?;
    let mut task = agent.launch(&Task::shell("true").image_named(&there.replace("/there:", "/absent:")))?;
    let end = task.terminal().await?;
    assert_eq!(end.status.reason(), Reason::ContainerLaunchFailed);
    let message = end.status.message();
    assert!(
        message.starts_with("Failed to launch container: ") && message.contains("not found"),
        "{message}"
    );
    agent.end().await
}

#[tokio::test]
async fn what_is_no_image_reference_is_refused_by_field() -> Result<()> {
    let engine = require_engine!(Ok(()));
    let agent = Supervised::new(&engine).await?;
    for reference in ["path/UPPER", "with space", "a:b:c", "-leading", "a/../b"] {
        let sentence = agent.refusal(&Task::shell("true").image_named(reference))?;
        assert!(sentence.contains("image"), "{reference}: {sentence}");
    }
    agent.end().await
}

#[tokio::test]
async fn a_missing_image_is_pulled() -> Result<()> {
    let engine = require_engine!(Ok(()));
    let proxy = FaultProxy::start(engine.socket()).await?;
    let agent = Supervised::with(&engine, Options::through(proxy.socket())).await?;
    let Some(registry) = Registry::start(agent.scope(), &current_test()).await? else { return Ok(()) };
    let image = registry.offer(TestImage::Busybox, agent.scope().id()).await?;
    let mut task = agent.launch(&Task::shell("echo pulled").image_named(&image))?;
    task.finished().await?;
    assert_eq!(task.stdout()?, "pulled\n");
    assert_eq!(asked(&proxy, "POST", "/images/create"), 1);
    agent.end().await
}

#[tokio::test]
async fn a_forced_pull_asks_the_registry_though_the_image_is_there() -> Result<()> {
    let engine = require_engine!(Ok(()));
    let proxy = FaultProxy::start(engine.socket()).await?;
    let agent = Supervised::with(&engine, Options::through(proxy.socket())).await?;
    let Some(registry) = Registry::start(agent.scope(), &current_test()).await? else { return Ok(()) };
    let image = registry.offer(TestImage::Busybox, agent.scope().id()).await?;
    let forced =
        Task::shell("true").image_named(&image).docker(|docker| docker.force_pull_image = Some(true));
    for pulls in 1..=2 {
        agent.launch(&forced.clone().id(&format!("forced-{pulls}")))?.finished().await?;
        assert_eq!(asked(&proxy, "POST", "/images/create"), pulls);
    }
    agent.launch(&Task::shell("true").image_named(&image))?.finished().await?;
    assert_eq!(asked(&proxy, "POST", "/images/create"), 2, "an image that is there was pulled");
    agent.end().await
}

/// Peer: DockerContainerizerTest.ROOT_DOCKER_DestroyWhilePulling, DockerTest.ROOT_DOCKER_CancelPull.
///
/// Departs from stock, which tells TASK_FAILED: the framework that killed the task hears TASK_KILLED.
#[tokio::test]
async fn a_kill_ends_a_pull_at_once() -> Result<()> {
    let engine = require_engine!(Ok(()));
    let agent = Supervised::new(&engine).await?;
    let silent = TcpListener::bind(("127.0.0.1", 0)).await?;
    let registry = silent.local_addr()?;
    let mut task = agent.launch(&Task::shell("true").image_named(&format!("{registry}/hangs:latest")))?;
    // The registry takes the connection and never says a word.
    let connection = tokio::time::timeout(PATIENCE, silent.accept()).await.context("nobody pulls")??;
    task.kill().await?;
    let end = task.terminal_within(PROMPT).await?;
    assert_eq!(end.outcome.state, TaskState::TaskKilled);
    assert_eq!(end.status.reason(), Reason::TaskKilledDuringLaunch);
    assert_eq!(end.termination.ending, Ending::DestroyedBeforeStart(Phase::Pulling));
    assert_eq!(task.states(), states("KILLED"));
    drop(connection);
    agent.end().await
}

/// The engine said that the image is there, and it is not any more when the container is created.
#[tokio::test]
async fn an_image_that_is_removed_before_the_create_is_pulled_again_once() -> Result<()> {
    let engine = require_engine!(Ok(()));
    let proxy = FaultProxy::start(engine.socket()).await?;
    let agent = Supervised::with(&engine, Options::through(proxy.socket())).await?;
    let Some(registry) = Registry::start(agent.scope(), &current_test()).await? else { return Ok(()) };
    let image = registry.offer(TestImage::Busybox, agent.scope().id()).await?;
    let present = format!("/images/{}/json", TestImage::Busybox.reference());
    let stored = agent.scope().client().await?.get(&present).await?.ok()?.text();
    let look = proxy.add(Rule::new("GET", "/images/*/json", Fault::Replace(200, stored)).times(1));

    let mut task = agent.launch(&Task::shell("echo again").image_named(&image))?;
    task.finished().await?;
    assert_eq!(task.stdout()?, "again\n");
    assert_eq!(proxy.hits(look), 1);
    assert_eq!(asked(&proxy, "POST", "/containers/create"), 2);
    assert_eq!(asked(&proxy, "POST", "/images/create"), 1);
    agent.end().await
}

/// Where the engine cannot start privileged containers (it lacks CAP_SYS_RESOURCE), the status has its sentence, and
/// the request that it was sent is seen while the start is held back.
#[tokio::test]
async fn a_privileged_task_is_asked_for_as_such() -> Result<()> {
    let engine = require_engine!(Ok(()));
    let proxy = FaultProxy::start(engine.socket()).await?;
    let agent = Supervised::with(&engine, Options::through(proxy.socket())).await?;
    let held = proxy.add(Rule::new("POST", "/containers/*/start", Fault::Hang));
    let mut task = agent.launch(&Task::shell("echo ran").docker(|docker| docker.privileged = Some(true)))?;
    eventually("the start", PATIENCE, async || Ok((proxy.hits(held) == 1).then_some(()))).await?;
    assert_eq!(agent.inspect(task.name()).await?["HostConfig"]["Privileged"], true);
    proxy.remove(held);

    let end = task.terminal().await?;
    match end.outcome.state {
        TaskState::TaskFinished => assert_eq!(task.stdout()?, "ran\n"),
        state => {
            assert_eq!(state, TaskState::TaskFailed);
            let message = end.status.message();
            assert!(message.starts_with("Failed to run docker container: "), "{message}");
            assert!(message.contains("operation not permitted"), "{message}");
        }
    }
    agent.end().await
}
