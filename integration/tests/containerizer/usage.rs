//! What a container uses, from its control groups.

use anyhow::{Context as _, Result};
use docker_containerizer::ContainerizerError;
use integration::supervised::{Options, PATIENCE, Supervised, Task};
use integration::{FaultProxy, eventually, require_engine};

/// Burns time in user mode and in the kernel, and holds some memory.
const BUSY: &str = "while :; do dd if=/dev/zero of=/dev/null bs=1M count=50 2>/dev/null; i=0; \
                    while [ $i -lt 20000 ]; do i=$((i+1)); done; done";

/// Peer: DockerContainerizerTest.ROOT_DOCKER_Usage.
///
/// The proxy shows that no engine call is made for it.
#[tokio::test]
async fn usage_comes_from_the_kernel_alone() -> Result<()> {
    let engine = require_engine!(Ok(()));
    let proxy = FaultProxy::start(engine.socket()).await?;
    let agent = Supervised::with(&engine, Options::through(proxy.socket())).await?;
    let containerizer = agent.containerizer().clone();
    let task =
        Task::shell(BUSY).scalar("cpus", 1.0).scalar("mem", 1024.0).limit("cpus", 2.0).limit("mem", 2048.0);
    let mut task = agent.launch(&task)?;
    let id = task.container_id();
    task.running().await?;

    // Everything that follows a start (its logs, its wait) is under way when their requests are.
    eventually("the requests that follow a start", PATIENCE, async || {
        let asked = proxy.requests();
        let has = |part: &str| asked.iter().any(|request| request.target.contains(part));
        Ok((has("/logs?") && has("/wait?")).then_some(()))
    })
    .await?;
    let asked = proxy.requests().len();
    let usage = eventually("CPU time in both modes", PATIENCE, async || {
        let usage = containerizer.usage(id)?;
        let is_busy =
            usage.cpus_user_time_secs > 0.0 && usage.cpus_system_time_secs > 0.0 && usage.mem_rss_bytes > 0;
        Ok(is_busy.then_some(usage))
    })
    .await?;
    assert_eq!(proxy.requests().len(), asked, "usage asked the engine: {:?}", &proxy.requests()[asked..]);

    assert_eq!((usage.cpus_soft_limit, usage.cpus_limit), (Some(1.0), Some(2.0)));
    assert_eq!((usage.mem_soft_limit_bytes, usage.mem_limit_bytes), (Some(1 << 30), Some(2 << 30)));
    assert!(usage.mem_total_bytes.context("no mem_total_bytes")? >= usage.mem_rss_bytes);
    assert!(usage.timestamp > 1e9);

    task.kill_within(std::time::Duration::ZERO).await?;
    task.terminal().await?;
    let error = containerizer.usage(id).expect_err("a container that is gone uses something");
    assert!(matches!(error, ContainerizerError::Unknown(_)), "{error}");
    agent.end().await
}

#[tokio::test]
async fn there_is_no_usage_before_the_start() -> Result<()> {
    let engine = require_engine!(Ok(()));
    let proxy = FaultProxy::start(engine.socket()).await?;
    let agent = Supervised::with(&engine, Options::through(proxy.socket())).await?;
    let hang = proxy.add(integration::Rule::new("POST", "/containers/create", integration::Fault::Hang));
    let mut task = agent.launch(&Task::shell("sleep 1000"))?;
    task.starting().await?;
    let error = agent
        .containerizer()
        .usage(task.container_id())
        .expect_err("a container that is not there uses something");
    assert!(matches!(error, ContainerizerError::NotRunning(_)), "{error}");
    proxy.remove(hang);
    task.running().await?;
    assert!(agent.containerizer().usage(task.container_id())?.mem_rss_bytes < 1 << 30);
    task.kill().await?;
    task.terminal().await?;
    agent.end().await
}
