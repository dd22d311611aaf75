//! Health checks and checks of tasks, through the supervisor: what a framework hears.

use std::net::{Ipv4Addr, Ipv6Addr};

use anyhow::{Context as _, Result, ensure};
use integration::require_engine;
use integration::supervised::{Net, Supervised, Task, Watched};
use mesos_proto::v1;
use mesos_proto::v1::health_check::{HttpCheckInfo, TcpCheckInfo, Type};
use mesos_proto::v1::network_info::Protocol;
use mesos_proto::v1::task_status::Reason;
use mesos_proto::v1::{TaskState, TaskStatus, check_info, check_status_info};

use crate::lab::{tls_server, user_network};

/// A health check that begins at once and has no pause and no grace, as in the stock tests.
fn at_once(kind: Type, change: impl FnOnce(&mut v1::HealthCheck)) -> v1::HealthCheck {
    let mut check = v1::HealthCheck {
        delay_seconds: Some(0.0),
        interval_seconds: Some(0.0),
        grace_period_seconds: Some(0.0),
        consecutive_failures: Some(1000),
        timeout_seconds: Some(60.0),
        ..Default::default()
    };
    check.set_type(kind);
    change(&mut check);
    check
}

fn by_command(line: &str) -> v1::HealthCheck {
    at_once(Type::Command, |check| {
        check.command = Some(v1::CommandInfo { value: Some(line.to_owned()), ..Default::default() });
    })
}

fn by_http(scheme: &str, port: u16, family: Protocol) -> v1::HealthCheck {
    at_once(Type::Http, |check| {
        check.http = Some(HttpCheckInfo {
            scheme: Some(scheme.to_owned()),
            port: port.into(),
            path: Some("/".to_owned()),
            protocol: Some(family.into()),
            ..Default::default()
        });
    })
}

fn by_tcp(port: u16, family: Protocol) -> v1::HealthCheck {
    at_once(Type::Tcp, |check| {
        check.tcp = Some(TcpCheckInfo { port: port.into(), protocol: Some(family.into()) });
    })
}

fn with_health(task: Task, check: v1::HealthCheck) -> Task {
    task.change(|info| info.health_check = Some(check))
}

fn is_health_update(status: &TaskStatus, healthy: bool) -> bool {
    status.state() == TaskState::TaskRunning
        && status.reason() == Reason::TaskHealthCheckStatusUpdated
        && status.healthy == Some(healthy)
}

/// Waits for the news that the task is healthy, over failures while its server comes up.
async fn becomes_healthy(task: &mut Watched) -> Result<TaskStatus> {
    loop {
        let status = task.next_status().await?;
        ensure!(status.state() == TaskState::TaskRunning, "{status:?}");
        if is_health_update(&status, true) {
            return Ok(status);
        }
        ensure!(status.reason.is_none() || is_health_update(&status, false), "{status:?}");
    }
}

async fn ends(mut task: Watched, agent: Supervised) -> Result<()> {
    task.kill_within(std::time::Duration::ZERO).await?;
    ensure!(task.terminal().await?.outcome.state == TaskState::TaskKilled);
    agent.end().await
}

/// Runs a task with a server on a network of its own until it is healthy.
async fn on_a_user_network(task: Task, https: Option<Protocol>) -> Result<()> {
    let engine = require_engine!(Ok(()));
    let agent = Supervised::new(&engine).await?;
    let network = user_network(agent.scope()).await?;
    let mut task = agent.launch(&task.network(Net::User(&network)))?;
    ensure!(task.starting().await?.state() == TaskState::TaskStarting);
    let started = task.running().await?;
    if let Some(family) = https {
        let address = match family {
            Protocol::IPv4 => (Ipv4Addr::LOCALHOST, 443).into(),
            Protocol::IPv6 => (Ipv6Addr::LOCALHOST, 443).into(),
        };
        tls_server(started.running.pid, address).await?;
    }
    let status = becomes_healthy(&mut task).await?;
    let network_infos = &status.container_status.context("a container status")?.network_infos;
    ensure!(network_infos.iter().any(|info| !info.ip_addresses.is_empty()), "{network_infos:?}");
    task.kill_within(std::time::Duration::ZERO).await?;
    task.terminal().await?;
    agent.scope().client().await?.delete(&format!("/networks/{network}")).await?;
    agent.end().await
}

/// Peer: DockerContainerizerHealthCheckTest.ROOT_DOCKER_USERNETWORK_NETNAMESPACE_HealthyTaskViaHTTP.
#[rstest::rstest]
#[case::ipv4(Protocol::IPv4)]
#[case::ipv6(Protocol::IPv6)]
#[tokio::test]
async fn a_task_on_a_user_network_is_healthy_by_http(#[case] family: Protocol) -> Result<()> {
    let task = Task::shell("exec httpd -f -p [::]:80 -h /www").id("http");
    on_a_user_network(with_health(task, by_http("http", 80, family)), None).await
}

/// Peer: DockerContainerizerHealthCheckTest.ROOT_DOCKER_USERNETWORK_NETNAMESPACE_HealthyTaskViaHTTPS.
///
/// The server is the test's, in the network of the container: there is none that speaks TLS in the image.
#[rstest::rstest]
#[case::ipv4(Protocol::IPv4)]
#[case::ipv6(Protocol::IPv6)]
#[tokio::test]
async fn a_task_on_a_user_network_is_healthy_by_https(#[case] family: Protocol) -> Result<()> {
    let task = Task::shell("exec sleep 100000").id("https");
    on_a_user_network(with_health(task, by_http("https", 443, family)), Some(family)).await
}

/// Peer: DockerContainerizerHealthCheckTest.ROOT_DOCKER_USERNETWORK_NETNAMESPACE_HealthyTaskViaTCP.
#[rstest::rstest]
#[case::ipv4(Protocol::IPv4)]
#[case::ipv6(Protocol::IPv6)]
#[tokio::test]
async fn a_task_on_a_user_network_is_healthy_by_tcp(#[case] family: Protocol) -> Result<()> {
    let task = Task::shell("exec httpd -f -p [::]:80 -h /www").id("tcp");
    on_a_user_network(with_health(task, by_tcp(80, family)), None).await
}

/// Peer: DockerContainerizerHealthCheckTest.ROOT_DOCKER_DockerHealthyTask.
/// Peer: DockerContainerizerHealthCheckTest.ROOT_DOCKER_DockerHealthyTaskWithQuotedCommand.
#[rstest::rstest]
#[case::plain("exit 0")]
#[case::quoted("echo '\"'")]
#[tokio::test]
async fn a_task_is_healthy_by_a_command(#[case] line: &str) -> Result<()> {
    let engine = require_engine!(Ok(()));
    let agent = Supervised::new(&engine).await?;
    let mut task =
        agent.launch(&with_health(Task::shell("exec sleep 100000").id("command"), by_command(line)))?;
    let running = task.running().await?.status;
    assert_eq!((running.reason, running.healthy), (None, None));
    let status = task.next_status().await?;
    ensure!(is_health_update(&status, true), "{status:?}");
    ends(task, agent).await
}

/// Peer: DockerContainerizerHealthCheckTest.ROOT_DOCKER_DockerHealthStatusChange.
#[tokio::test]
async fn a_health_that_changes_is_told_each_time_and_the_command_runs_inside() -> Result<()> {
    let engine = require_engine!(Ok(()));
    let agent = Supervised::new(&engine).await?;
    // The file is there on this machine too, and must not be touched.
    let file = agent.scope().dir().join("flapping");
    std::fs::write(&file, "bar")?;
    let path = file.display();
    let line = format!(
        "if test -f {path}; then rm {path}; exit 0; else mkdir -p $(dirname {path}); echo foo > {path}; exit 1; fi"
    );
    let mut task =
        agent.launch(&with_health(Task::shell("exec sleep 100000").id("flapping"), by_command(&line)))?;
    task.running().await?;
    for expected in [false, true, false] {
        let status = task.next_status().await?;
        ensure!(is_health_update(&status, expected), "{status:?}");
        if !expected {
            let message = status.message.unwrap_or_default();
            ensure!(message.contains("COMMAND health check failed"), "{message}");
        }
    }
    assert_eq!(std::fs::read_to_string(&file)?, "bar");
    ends(task, agent).await
}

/// Too many failures in a row: the task is killed, and told as not healthy.
#[tokio::test]
async fn a_task_that_stays_unhealthy_is_killed() -> Result<()> {
    let engine = require_engine!(Ok(()));
    let agent = Supervised::new(&engine).await?;
    let mut check = by_command("echo broken >&2; exit 7");
    check.consecutive_failures = Some(2);
    let task = Task::shell("trap 'exit 0' TERM; sleep 100000 & wait").id("unhealthy");
    let mut task = agent.launch(&with_health(task, check))?;
    task.running().await?;
    for _ in 0..2 {
        let status = task.next_status().await?;
        ensure!(is_health_update(&status, false), "{status:?}");
        let message = status.message.unwrap_or_default();
        ensure!(message.contains("status 7: broken"), "{message}");
    }
    let end = task.terminal().await?;
    assert_eq!((end.outcome.state, end.status.healthy), (TaskState::TaskKilled, Some(false)));
    agent.end().await
}

/// `TaskInfo.check`, at whose sight the stock executor aborts (MESOS-7250).
///
/// Peer: Own.TaskCheckOfADockerTask.
#[tokio::test]
async fn a_check_of_a_task_tells_its_results() -> Result<()> {
    let engine = require_engine!(Ok(()));
    let agent = Supervised::new(&engine).await?;
    let mut check = v1::CheckInfo {
        tcp: Some(check_info::Tcp { port: 80 }),
        delay_seconds: Some(0.0),
        interval_seconds: Some(0.0),
        ..Default::default()
    };
    check.set_type(check_info::Type::Tcp);
    let task = Task::shell("exec httpd -f -p 80 -h /www").id("check").network(Net::Bridge);
    let mut task = agent.launch(&task.change(|info| info.check = Some(check)))?;
    let running = task.running().await?.status;
    let empty = running.check_status.context("the status of a task with a check has one")?;
    assert_eq!(empty.tcp, Some(check_status_info::Tcp { succeeded: None }));
    loop {
        let status = task.next_status().await?;
        assert_eq!(status.reason(), Reason::TaskCheckStatusUpdated);
        let result = status.check_status.context("a result")?.tcp.context("of TCP")?;
        if result.succeeded == Some(true) {
            break;
        }
        assert_eq!(result.succeeded, Some(false), "the server may come up meanwhile");
    }
    ends(task, agent).await
}

/// Docker's own HEALTHCHECK is off unless the task asks; then its verdicts are told.
#[tokio::test]
async fn the_engines_health_check_is_told_when_asked_for() -> Result<()> {
    let engine = require_engine!(Ok(()));
    let agent = Supervised::new(&engine).await?;
    let mut plain = agent.launch(&Task::shell("exec sleep 100000").id("plain"))?;
    plain.running().await?;
    let config = agent.inspect(plain.name()).await?["Config"]["Healthcheck"].clone();
    assert_eq!(config, serde_json::json!({ "Test": ["NONE"] }));
    plain.kill_within(std::time::Duration::ZERO).await?;
    plain.terminal().await?;
    let task = Task::shell("exec sleep 100000")
        .id("asked")
        .parameter("health-cmd", "test -f /tmp/well || { echo not well; exit 1; }")
        .parameter("health-interval", "1s")
        .parameter("health-retries", "1");
    let mut task = agent.launch(&task)?;
    task.running().await?;
    let status = task.next_status().await?;
    ensure!(is_health_update(&status, false), "{status:?}");
    ensure!(status.message.as_deref().is_some_and(|message| message.contains("not well")), "{status:?}");
    let made = serde_json::json!({ "AttachStdout": true, "Cmd": ["touch", "/tmp/well"] });
    let mut client = agent.scope().client().await?;
    let exec = client.post(&format!("/containers/{}/exec", task.name()), &made).await?.ok()?.json()?;
    let id = exec["Id"].as_str().context("an id")?.to_owned();
    client.post(&format!("/exec/{id}/start"), &serde_json::json!({ "Detach": true })).await?.ok()?;
    let status = task.next_status().await?;
    ensure!(is_health_update(&status, true), "{status:?}");
    ends(task, agent).await
}

/// Nonsense is refused by name before anything is made, in the words of the master.
#[tokio::test]
async fn a_health_check_that_is_nonsense_is_refused_by_name() -> Result<()> {
    let engine = require_engine!(Ok(()));
    let agent = Supervised::new(&engine).await?;
    let task = with_health(Task::shell("true"), by_http("ftp", 80, Protocol::IPv4));
    let sentence = agent.refusal(&task)?;
    assert_eq!(
        sentence,
        "Task uses invalid health check: Unsupported HTTP health check scheme: 'ftp' (field health_check.http.scheme)"
    );
    agent.end().await
}
