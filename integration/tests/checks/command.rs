//! COMMAND checks: what they answer, who they run as, and that nothing of them is left.

use std::time::Duration;

use anyhow::{Result, ensure};
use checks::{Check, CheckNews, CheckOrder, CheckState, Verdict};
use integration::require_engine;
use mesos_proto::v1::check_status_info::Command;
use tokio::time::timeout;

use crate::lab::{
    LONG, Lab, PATIENCE, argv, becomes_healthy, health, is_healthy, is_unhealthy, next, out_of_time, shell,
    shell_as, times,
};

const WAIT: &str = "exec sleep 100000";

#[tokio::test]
async fn an_exit_code_is_the_answer_and_the_last_words_are_told() -> Result<()> {
    let engine = require_engine!(Ok(()));
    let lab = Lab::new(&engine).await?;
    let container = lab.container("codes", "none", WAIT).await?;
    is_healthy(&mut lab.check(&container.target, shell("exit 0"), LONG)).await?;
    let why = is_unhealthy(&mut lab.check(&container.target, shell("echo out; echo bad >&2; exit 3"), LONG))
        .await?;
    assert_eq!(why, "COMMAND health check failed: the command exited with status 3: bad");
    let why = is_unhealthy(&mut lab.check(&container.target, argv(&["no-such-command"]), LONG)).await?;
    assert!(why.contains("status 126") || why.contains("status 127"), "{why}");
    let why =
        is_unhealthy(&mut lab.check(&container.target, shell_as("true", Some("no-such-user"), &[]), LONG))
            .await?;
    assert!(why.contains("no-such-user"), "{why}");
    lab.has_processes(&container, 1).await?;
    lab.end().await
}

/// Peer: Own.HealthCheckEnvironmentAndTimeout.
#[tokio::test]
async fn the_environment_and_the_user_are_those_of_the_command() -> Result<()> {
    let engine = require_engine!(Ok(()));
    let lab = Lab::new(&engine).await?;
    let container = lab.container("env", "none", WAIT).await?;
    let line = r#"test "$COLOR" = "bl ue" && test "$(id -u)" = 65534 && test -n "$PATH""#;
    let probe = shell_as(line, Some("nobody"), &[("COLOR", "bl ue")]);
    is_healthy(&mut lab.check(&container.target, probe, LONG)).await?;
    // Without them it is the container's user.
    is_healthy(&mut lab.check(&container.target, shell(r#"test "$(id -u)" = 0"#), LONG)).await?;
    lab.end().await
}

/// A command that does not end is killed with all that it has started, also with what has left its session or its parent.
///
/// Peer: Own.HealthCheckEnvironmentAndTimeout.
#[tokio::test]
async fn a_command_out_of_time_is_killed_with_its_children() -> Result<()> {
    let engine = require_engine!(Ok(()));
    let lab = Lab::new(&engine).await?;
    let container = lab.container("timeout", "none", WAIT).await?;
    let line = "echo working; sleep 1001 & setsid sleep 1002 & (sleep 1003 &) ; env -i sleep 1004";
    let mut checker = lab.check(&container.target, shell(line), Duration::from_millis(500));
    assert_eq!(out_of_time(&mut checker, "0.500s").await?, "working");
    checker.stop().await;
    lab.has_processes(&container, 1).await?;
    let counts = lab.runner.counts();
    assert!(counts.timed_out >= 1 && counts.killed_commands >= 1, "{counts:?}");
    assert_eq!((counts.left_commands, counts.not_done), (0, 0), "{counts:?}");
    lab.end().await
}

/// As an agent in a container of its own does it: from within, as no process is in sight.
#[tokio::test]
async fn a_command_is_killed_from_within_where_processes_are_out_of_sight() -> Result<()> {
    let engine = require_engine!(Ok(()));
    let lab = Lab::new(&engine).await?;
    let container = lab.container("within", "none", WAIT).await?;
    let target = container.target.clone().from_afar(None, None);
    let probe = shell_as("sleep 1001 & exec sleep 1002", Some("nobody"), &[]);
    let mut checker = lab.check(&target, probe, Duration::from_millis(500));
    let why = is_unhealthy(&mut checker).await?;
    assert!(why.contains("did not end within 0.500s"), "{why}");
    checker.stop().await;
    lab.has_processes(&container, 1).await?;
    assert_eq!(lab.runner.counts().left_commands, 0);
    lab.end().await
}

#[tokio::test]
async fn a_pause_and_a_stop_kill_what_runs() -> Result<()> {
    let engine = require_engine!(Ok(()));
    let lab = Lab::new(&engine).await?;
    let container = lab.container("pause", "none", WAIT).await?;
    let mut checker = lab.check(&container.target, shell("sleep 1001"), LONG);
    lab.runs(&container, "sleep 1001").await?;
    checker.pause();
    lab.has_processes(&container, 1).await?;
    assert_eq!(lab.runner.counts().failed, 0, "a check that was given up has not failed");
    checker.resume();
    lab.runs(&container, "sleep 1001").await?;
    drop(checker);
    lab.has_processes(&container, 1).await?;
    // And one that is stopped is gone when that is over.
    checker = lab.check(&container.target, shell("sleep 1002"), LONG);
    lab.runs(&container, "sleep 1002").await?;
    checker.stop().await;
    lab.has_processes(&container, 1).await?;
    lab.end().await
}

/// A child that keeps the output open does not keep the check.
#[tokio::test]
async fn a_command_ends_when_it_ends_whatever_holds_its_output() -> Result<()> {
    let engine = require_engine!(Ok(()));
    let lab = Lab::new(&engine).await?;
    let container = lab.container("output", "none", WAIT).await?;
    is_healthy(&mut lab.check(&container.target, shell("sleep 100000 & exit 0"), LONG)).await?;
    assert_eq!(lab.runner.counts().timed_out, 0);
    lab.end().await
}

#[tokio::test]
async fn three_failures_in_a_row_end_the_task_and_a_success_starts_anew() -> Result<()> {
    let engine = require_engine!(Ok(()));
    let lab = Lab::new(&engine).await?;
    let container = lab.container("row", "none", WAIT).await?;
    // Fails twice, succeeds once, fails from then on.
    let line = "echo x >> /tmp/n; n=$(wc -l < /tmp/n); test $n = 3";
    let mut checker = lab.check(&container.target, shell(line), LONG);
    let mut told = Vec::new();
    while told.last() != Some(&Some((3, Verdict::Kill))) && told.len() < 10 {
        told.push(match next(&mut checker).await? {
            CheckNews::Unhealthy { consecutive_failures, verdict, .. } => {
                Some((consecutive_failures, verdict))
            }
            CheckNews::Healthy => None,
            other => anyhow::bail!("{other:?}"),
        });
    }
    let lives = |n| Some((n, Verdict::Lives));
    assert_eq!(told, [lives(1), lives(2), None, lives(1), lives(2), Some((3, Verdict::Kill))]);
    lab.end().await
}

/// Peer: Own.TaskCheckOfADockerTask.
#[tokio::test]
async fn a_general_check_tells_each_change() -> Result<()> {
    let engine = require_engine!(Ok(()));
    let lab = Lab::new(&engine).await?;
    let container = lab.container("general", "none", WAIT).await?;
    // 1, 1, 0, nothing within the time.
    let line = "echo x >> /tmp/n; case $(wc -l < /tmp/n) in 1|2) exit 1;; 3) exit 0;; *) sleep 1000;; esac";
    let mut checker = lab.general(&container.target, shell(line), Duration::from_secs(4));
    for expected in [Some(1), Some(0), None] {
        let CheckNews::Status(status) = next(&mut checker).await? else { anyhow::bail!("a status") };
        assert_eq!(status.command, Some(Command { exit_code: expected }));
    }
    lab.end().await
}

/// A container that ends while it is checked ends its checks; its end is told by others.
#[tokio::test]
async fn a_container_that_ends_is_not_unhealthy() -> Result<()> {
    let engine = require_engine!(Ok(()));
    let lab = Lab::new(&engine).await?;
    let container = lab.container("ends", "none", WAIT).await?;
    let mut checker = lab.check(&container.target, shell("sleep 1001"), LONG);
    lab.runs(&container, "sleep 1001").await?;
    lab.scope.client().await?.post_empty(&format!("/containers/{}/kill", container.id)).await?.ok()?;
    let told = timeout(PATIENCE, checker.next()).await?;
    ensure!(told.is_none(), "{told:?}");
    lab.end().await
}

/// After an adoption: the state goes on, and the delay is not waited for again.
#[tokio::test]
async fn an_adopted_check_goes_on() -> Result<()> {
    let engine = require_engine!(Ok(()));
    let lab = Lab::new(&engine).await?;
    let container = lab.container("adopted", "none", WAIT).await?;
    let mut spec = health(shell("exit 1"), LONG);
    spec.times = mesos_types::CheckTimes { delay: Duration::from_secs(100_000), ..times(LONG) };
    spec.grace = Duration::from_secs(1_000_000);
    let mut checker = lab.runner.start(CheckOrder {
        check: Check::Health(spec),
        target: container.target.clone(),
        state: CheckState { consecutive_failures: 2, succeeded: true, last: None },
        running_for: Duration::from_secs(200_000),
    });
    let news = next(&mut checker).await?;
    let CheckNews::Unhealthy { consecutive_failures: 3, verdict: Verdict::Kill, .. } = news else {
        anyhow::bail!("{news:?}")
    };
    lab.end().await
}

#[tokio::test]
async fn a_command_that_reads_its_input_sees_its_end() -> Result<()> {
    let engine = require_engine!(Ok(()));
    let lab = Lab::new(&engine).await?;
    let container = lab.container("input", "none", WAIT).await?;
    becomes_healthy(&mut lab.check(&container.target, shell("cat; echo '\"'"), LONG)).await?;
    lab.end().await
}
