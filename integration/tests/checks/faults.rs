//! Checks over an engine that is slow, hangs, or breaks off: its failures are no verdict on a task, and nothing of a
//! check is left in the container.

use std::time::Duration;

use anyhow::{Result, bail, ensure};
use checks::{CheckNews, CheckSettings, Checker};
use integration::{Fault, FaultProxy, Rule, TestEngine, eventually, require_engine};

use crate::lab::{LONG, Lab, PATIENCE, health, is_healthy, next, settings, shell};

const WAIT: &str = "exec sleep 100000";
const SLOW: Duration = Duration::from_secs(5);
const SHORT: Duration = Duration::from_millis(500);

/// A timeout that an engine which is slow would use up, and a command that ends at once does not.
const UNDER_SLOW: Duration = Duration::from_secs(3);

/// A lab whose checks talk to the engine through a proxy, with this deadline for one call.
async fn arrange(engine: &TestEngine, deadline: Duration) -> Result<(Lab, FaultProxy)> {
    let proxy = FaultProxy::start(engine.socket()).await?;
    let mut settings: CheckSettings = settings();
    settings.engine_deadline = deadline;
    let lab = Lab::through(engine, proxy.socket(), settings).await?;
    Ok((lab, proxy))
}

async fn not_done(checker: &mut Checker) -> Result<String> {
    match next(checker).await? {
        CheckNews::NotDone { why } => Ok(why),
        other => bail!("{other:?}"),
    }
}

/// The time of a command is the age of its process.
#[rstest::rstest]
#[case::before_it_is_made(Rule::new("POST", "/containers/*/exec", Fault::Delay(SLOW)))]
#[case::after_it_was_made(Rule::new("POST", "/containers/*/exec", Fault::DelayAnswer(SLOW)))]
#[case::before_it_starts(Rule::new("POST", "/exec/*/start", Fault::Delay(SLOW)))]
#[case::before_its_code(Rule::new("GET", "/exec/*/json", Fault::Delay(SLOW)))]
#[tokio::test]
async fn an_engine_that_is_slow_counts_against_no_timeout(#[case] rule: Rule) -> Result<()> {
    let engine = require_engine!(Ok(()));
    let (lab, proxy) = arrange(&engine, LONG).await?;
    let container = lab.container("slow", "none", WAIT).await?;
    let slow = proxy.add(rule);
    let mut checker = lab.check(&container.target, shell("exit 0"), UNDER_SLOW);
    is_healthy(&mut checker).await?;
    ensure!(proxy.hits(slow) > 0, "the engine was not slow: {:?}", proxy.requests());
    assert_eq!((lab.runner.counts().timed_out, lab.runner.counts().failed), (0, 0));
    proxy.clear();
    checker.stop().await;
    lab.has_processes(&container, 1).await?;
    lab.end().await
}

/// Each call ends at its deadline, the task is not unhealthy for it, and once the engine is back the check goes on.
#[rstest::rstest]
#[case::when_it_is_made(Rule::new("POST", "/containers/*/exec", Fault::Hang))]
#[case::when_it_was_made(Rule::new("POST", "/containers/*/exec", Fault::HangAnswer))]
#[case::when_it_starts(Rule::new("POST", "/exec/*/start", Fault::Hang))]
#[case::when_it_was_started(Rule::new("POST", "/exec/*/start", Fault::HangAnswer))]
#[case::when_it_is_asked_for_its_code(Rule::new("GET", "/exec/*/json", Fault::Hang))]
#[case::when_it_breaks_off(Rule::new("POST", "/exec/*/start", Fault::CutAnswer))]
#[case::when_it_fails(Rule::new("POST", "/containers/*/exec", Fault::error(500, "out of order")))]
#[tokio::test]
async fn an_engine_that_hangs_is_no_verdict_and_leaves_nothing(#[case] rule: Rule) -> Result<()> {
    let engine = require_engine!(Ok(()));
    let (lab, proxy) = arrange(&engine, Duration::from_secs(1)).await?;
    let container = lab.container("hangs", "none", WAIT).await?;
    proxy.add(rule);
    let mut checker = lab.check_with(&container.target, health(shell("sleep 0.1"), LONG));
    let why = not_done(&mut checker).await?;
    assert!(why.starts_with("COMMAND check could not be made: "), "{why}");
    // Again and again, and told once.
    let counts = eventually("more attempts", PATIENCE, async || {
        let counts = lab.runner.counts();
        Ok((counts.not_done >= 2).then_some(counts))
    })
    .await?;
    assert_eq!((counts.failed, counts.timed_out), (0, 0), "{counts:?}");
    proxy.clear();
    is_healthy(&mut checker).await?;
    checker.stop().await;
    lab.has_processes(&container, 1).await?;
    lab.end().await
}

/// A command out of time is killed also while the engine says nothing: its processes are in sight.
#[tokio::test]
async fn a_command_is_killed_past_an_engine_that_hangs() -> Result<()> {
    let engine = require_engine!(Ok(()));
    let (lab, proxy) = arrange(&engine, Duration::from_secs(1)).await?;
    let container = lab.container("past", "none", WAIT).await?;
    proxy.add(Rule::new("GET", "/exec/*/json", Fault::Hang));
    let mut checker = lab.check(&container.target, shell("sleep 1001 & exec sleep 1002"), SHORT);
    loop {
        match next(&mut checker).await? {
            CheckNews::Unhealthy { why, .. } => {
                assert!(why.contains("did not end within"), "{why}");
                break;
            }
            // The real engine may take longer to make a command than it is given here; another one is tried then.
            CheckNews::NotDone { .. } => {}
            other => bail!("{other:?}"),
        }
    }
    checker.pause();
    lab.has_processes(&container, 1).await?;
    proxy.clear();
    checker.stop().await;
    lab.end().await
}
