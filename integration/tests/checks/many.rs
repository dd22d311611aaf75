//! A hundred tasks with a COMMAND check every second: far more than one engine can do.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use checks::{CheckNews, Checker};
use futures_util::future::try_join_all;
use futures_util::stream::{self, StreamExt as _, TryStreamExt as _};
use integration::{eventually, require_engine};
use mesos_types::CheckTimes;
use tokio::time::timeout;

use crate::lab::{Container, Lab, PATIENCE, health, shell};

const TASKS: usize = 100;

/// How long all of it may take on a machine that does other things too.
const ALL: Duration = Duration::from_secs(600);

/// Time in our own queue counts against no timeout: nobody is unhealthy; what is late is counted; nothing is left.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_tasks_wait_in_line_and_none_is_unhealthy() -> Result<()> {
    let engine = require_engine!(Ok(()));
    let lab = Lab::new(&engine).await?;
    let names: Vec<String> = (0..TASKS).map(|n| format!("t{n}")).collect();
    let containers: Vec<Container> = stream::iter(&names)
        .map(|name| lab.container(name, "none", "exec sleep 100000"))
        .buffer_unordered(8)
        .try_collect()
        .await?;
    let second = Duration::from_secs(1);
    let times = CheckTimes { delay: Duration::ZERO, interval: second, timeout: Some(4 * second) };
    let mut checkers: Vec<Checker> = containers
        .iter()
        .map(|container| {
            let spec = mesos_types::HealthCheckSpec { times, ..health(shell("exit 0"), second) };
            lab.check_with(&container.target, spec)
        })
        .collect();
    let first = try_join_all(checkers.iter_mut().map(async |checker| -> Result<CheckNews> {
        // One that waits at the end of the line waits for all others.
        Ok(timeout(ALL, checker.next()).await?.context("the check has ended")?.news)
    }))
    .await?;
    ensure!(first.iter().all(|news| *news == CheckNews::Healthy), "{first:?}");
    // Three rounds more; a success after a success tells nothing, a failure would.
    let most = lab.runner.counts().begun + 3 * TASKS as u64;
    eventually("three rounds", ALL, async || Ok((lab.runner.counts().begun >= most).then_some(()))).await?;
    let counts = lab.runner.counts();
    assert_eq!((counts.failed, counts.timed_out, counts.not_done), (0, 0, 0), "{counts:?}");
    assert!(counts.late > 0 && counts.waited_most > Duration::from_millis(100), "{counts:?}");
    assert!(counts.asking <= 8, "{counts:?}");
    println!("{counts:?}");
    try_join_all(
        checkers
            .into_iter()
            .map(async |checker| -> Result<()> { Ok(timeout(PATIENCE, checker.stop()).await?) }),
    )
    .await?;
    for container in &containers {
        lab.has_processes(container, 1).await?;
    }
    assert_eq!(lab.runner.counts().left_commands, 0);
    lab.end().await
}
