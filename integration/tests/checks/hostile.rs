//! What one task's checks, owners and leftovers do to others: nothing.

use std::num::NonZeroUsize;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use checks::{Check, CheckOrder, CheckSettings, CheckState};
use docker_engine::ExecRequest;
use integration::{eventually, require_engine};
use mesos_types::{CheckTimes, HealthCheckSpec, HttpScheme, IpFamily, ProbeSpec};

use crate::lab::{Container, LONG, Lab, PATIENCE, health, http, is_healthy, settings, shell, tcp, times};

const WAIT: &str = "exec sleep 100000";

/// One check at a time, and it may keep the others waiting for this long.
fn one_at_once(turn: Duration) -> CheckSettings {
    let mut settings = settings();
    settings.commands_at_once = NonZeroUsize::MIN;
    settings.connections_at_once = NonZeroUsize::MIN;
    settings.longest_turn = turn;
    settings
}

fn without_timeout(probe: ProbeSpec) -> HealthCheckSpec {
    HealthCheckSpec { times: CheckTimes { timeout: None, ..times(LONG) }, ..health(probe, LONG) }
}

/// A command or a server that hangs, and may, keeps no other task from being checked.
#[rstest::rstest]
#[case::commands("none", shell("exec sleep 1001"), shell("exit 0"))]
#[case::servers("bridge", http(HttpScheme::Http, 80, "/", IpFamily::V4), tcp(80, IpFamily::V4))]
#[tokio::test]
async fn a_check_that_hangs_for_ever_lets_others_pass(
    #[case] network: &str,
    #[case] hangs: ProbeSpec,
    #[case] other: ProbeSpec,
) -> Result<()> {
    let engine = require_engine!(Ok(()));
    let lab = Lab::through(&engine, engine.socket(), one_at_once(Duration::from_millis(500))).await?;
    let container = lab.container("hangs", network, "exec nc -ll -p 80 -e sleep 1000").await?;
    let mut up = lab.check(&container.target, other.clone(), LONG);
    crate::lab::becomes_healthy(&mut up).await?;
    up.stop().await;
    // It may have failed while its server came up.
    let before = lab.runner.counts();
    let hung = lab.check_with(&container.target, without_timeout(hangs));
    let asking = async || Ok((lab.runner.counts().asking == 1).then_some(()));
    eventually("the check that hangs", PATIENCE, asking).await?;
    is_healthy(&mut lab.check(&container.target, other, LONG)).await?;
    let counts = lab.runner.counts();
    assert_eq!((counts.failed, counts.timed_out), (before.failed, before.timed_out));
    hung.stop().await;
    lab.end().await
}

/// Whoever does not take the news of its checks keeps only these waiting.
#[tokio::test]
async fn an_owner_that_takes_no_news_lets_others_pass() -> Result<()> {
    let engine = require_engine!(Ok(()));
    let lab = Lab::through(&engine, engine.socket(), one_at_once(LONG)).await?;
    let container = lab.container("slow", "none", WAIT).await?;
    let untaken = lab.check(&container.target, shell("exit 1"), LONG);
    // Eight updates wait in the channel, and the ninth for a place in it.
    eventually("nine failures", PATIENCE, async || Ok((lab.runner.counts().failed >= 9).then_some(())))
        .await?;
    is_healthy(&mut lab.check(&container.target, shell("exit 0"), LONG)).await?;
    assert_eq!(lab.runner.counts().failed, 9);
    drop(untaken);
    lab.end().await
}

async fn exec(lab: &Lab, container: &Container, mark: &str, line: &str) -> Result<()> {
    let mut request = ExecRequest::new(["sh", "-c", line]);
    request.env = vec![format!("MESOS_CHECK_RUN={mark}")].into();
    let exec = lab.engine.exec_create(&container.id, &request, PATIENCE).await?;
    lab.engine.exec_start(&exec, PATIENCE).await?;
    Ok(())
}

/// A process that was killed in the middle of a check leaves its command; the next one ends it, and nothing else.
#[tokio::test]
async fn a_command_that_an_earlier_process_has_left_is_killed() -> Result<()> {
    let engine = require_engine!(Ok(()));
    let lab = Lab::new(&engine).await?;
    let container = lab.container("left", "none", WAIT).await?;
    exec(&lab, &container, "health-1", "sleep 1001 & exec sleep 1002").await?;
    exec(&lab, &container, "health-2", "sleep 1003 & setsid sleep 1004 & exit 0").await?;
    exec(&lab, &container, "check-3", "exec sleep 1005").await?;
    for line in ["sleep 1001", "sleep 1002", "sleep 1003", "sleep 1004", "sleep 1005"] {
        lab.runs(&container, line).await?;
    }
    let mut client = lab.scope.client().await?;
    // The shell of the second one has ended.
    lab.has_processes(&container, 6).await?;
    let mut checker = lab.runner.start(CheckOrder {
        check: Check::Health(health(shell("exit 0"), LONG)),
        target: container.target.clone(),
        state: CheckState::default(),
        running_for: Duration::from_secs(60),
    });
    is_healthy(&mut checker).await?;
    checker.stop().await;
    lab.has_processes(&container, 4).await?;
    let top = client.get(&format!("/containers/{}/top", container.id)).await?.ok()?.body;
    let top = String::from_utf8(top.to_vec()).context("text")?;
    for kept in ["sleep 1003", "sleep 1004", "sleep 1005"] {
        ensure!(top.contains(kept), "{kept} is the task's own: {top}");
    }
    lab.end().await
}
