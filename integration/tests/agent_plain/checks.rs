//! Health checks of tasks without an image: on the machine, in the task's own surroundings.

use anyhow::{Context as _, Result};
use integration::agent::{free_port, states};
use integration::web::Page;
use integration::{WebServer, eventually, require_engine, require_reference};
use rstest::rstest;
use serde_json::{Value, json};

use crate::lab::{LONG, Lab, plain};

/// A health check that fails twice before the task is stopped.
fn check(kind: &str, how: Value) -> Value {
    let mut check = json!({
        "type": kind.to_uppercase(),
        "delay_seconds": 0, "interval_seconds": 0.2, "grace_period_seconds": 0,
        "timeout_seconds": 20, "consecutive_failures": 2,
    });
    check[kind] = how;
    check
}

/// Healthy, then not: the task is stopped and says so.
#[rstest]
#[case::command("command")]
#[case::http("http")]
#[case::tcp("tcp")]
#[tokio::test(flavor = "multi_thread")]
async fn a_task_that_falls_ill_is_stopped(#[case] kind: &str) -> Result<()> {
    let engine = require_engine!(Ok(()));
    require_reference!(Ok(()));
    let lab = Lab::start(&engine, &[]).await?;
    // On the machine's network the server may be anybody's.
    let server = WebServer::start().await?;
    let port: u16 = server
        .serve("/well", Page::new(b"well".to_vec()))
        .rsplit(':')
        .next()
        .and_then(|rest| rest.split('/').next())
        .context("a port")?
        .parse()?;
    let how = match kind {
        "command" => {
            json!({ "value": "test -e $MESOS_SANDBOX/well && test ! -e ill && test \"$OWN\" = own" })
        }
        "http" => json!({ "port": port, "path": "/well" }),
        _ => json!({ "port": port }),
    };
    let mut task = plain("touch well; exec sleep 1000");
    task["command"]["environment"] = json!({ "variables": [{ "name": "OWN", "value": "own" }] });
    task["health_check"] = check(kind, how);
    // It is not healthy before it has begun.
    task["health_check"]["grace_period_seconds"] = json!(5);
    let framework = lab.scene.framework(&task, &["--timeout=140"]).await?;
    eventually("the task to be healthy", crate::lab::SHORT, async || {
        let events = framework.events();
        let is_healthy = events.statuses("TASK_RUNNING").iter().any(|status| status["healthy"] == true);
        Ok(is_healthy.then_some(()))
    })
    .await?;
    if kind == "command" {
        let events = framework.events();
        std::fs::write(lab.scene.sandbox(&events, events.task_id()?)?.join("ill"), "")?;
    } else {
        drop(server);
    }
    let events = framework.end(LONG).await?;
    let told = states(&events);
    assert_eq!(told.last().map(String::as_str), Some("TASK_KILLED"), "{told:?}");
    assert!(told[1..told.len() - 1].iter().all(|state| state == "TASK_RUNNING"), "{told:?}");
    let last = events.last_status()?;
    assert_eq!(last["healthy"], false, "{last}");
    lab.nothing_left().await
}

/// A check that is only told changes nothing else.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_check_sees_is_told() -> Result<()> {
    let engine = require_engine!(Ok(()));
    require_reference!(Ok(()));
    let lab = Lab::start(&engine, &[]).await?;
    let mut task = plain("sleep 1000");
    task["check"] = json!({
        "type": "TCP", "tcp": { "port": free_port()? },
        "delay_seconds": 0, "interval_seconds": 0.2, "timeout_seconds": 20,
    });
    let framework = lab.scene.framework(&task, &["--timeout=140"]).await?;
    eventually("the result of the check", crate::lab::SHORT, async || {
        let events = framework.events();
        let mut told = events.statuses("TASK_RUNNING").into_iter();
        Ok(told.any(|status| status["check_status"]["tcp"]["succeeded"] == false).then_some(()))
    })
    .await?;
    framework.kill_tasks()?;
    assert_eq!(framework.end(LONG).await?.last_status()?["state"], "TASK_KILLED");
    lab.nothing_left().await
}
