//! Tasks end while our `mesos-agent` is away: their real ends are told and their output is whole.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use integration::agent::{Scene, ends};
use integration::{TestScope, eventually, require_engine, require_reference};
use serde_json::{Value, json};

/// How long a framework's tasks may take in all.
const LONG: Duration = Duration::from_secs(200);

/// How long one thing may take.
const SHORT: Duration = Duration::from_secs(60);

/// How the agent goes away.
#[derive(Clone, Copy)]
enum Going {
    Killed,
    Asked,
}

/// How many lines each task has said before and after the agent went away.
const LINES: [usize; 2] = [700, 1300];

fn lines(name: &str) -> String {
    (1..=LINES[0]).chain(1..=LINES[1]).map(|number| format!("{name} {number}\n")).collect()
}

#[rstest::rstest]
#[case(Going::Killed)]
#[case(Going::Asked)]
#[tokio::test(flavor = "multi_thread")]
async fn what_ended_while_the_agent_was_away_is_told_as_it_was(#[case] going: Going) -> Result<()> {
    let engine = require_engine!(Ok(()));
    require_reference!(Ok(()));
    let mut scene = Scene::start(&engine, &[]).await?;
    let named = |name: &str, end: &str| -> Result<Value> {
        let says = |count| format!("i=0; while [ $i -lt {count} ]; do i=$((i+1)); echo {name} $i; done");
        let mut task = scene.gated(&format!("{}; {end}", says(LINES[1])))?;
        let line = task["command"]["value"].as_str().context("a line")?;
        task["command"]["value"] = json!(format!("{}; {line}", says(LINES[0])));
        task["task_id"] = json!({ "value": name });
        Ok(task)
    };
    let tasks = [named("well", "exit 0")?, named("badly", "exit 3")?, named("worse", "exit 255")?];
    let mut framework = scene.patient(&Value::from(tasks.to_vec()), &[]).await?;
    framework.wait_for("TASK_RUNNING", tasks.len(), SHORT).await?;
    match going {
        Going::Killed => scene.agent.kill()?,
        Going::Asked => scene.agent.stop().await?,
    }
    scene.open_gate()?;
    scene.runs(0).await?;
    scene.start_again().await?;
    let events = framework.end(LONG).await?;
    let told = events.by_task();
    for (name, state, message) in [
        ("well", "TASK_FINISHED", "Container exited with status 0"),
        ("badly", "TASK_FAILED", "Container exited with status 3"),
        ("worse", "TASK_FAILED", "Container exited with status 255"),
    ] {
        assert_eq!(told[name], ["TASK_STARTING", "TASK_RUNNING", state], "{name}");
        let statuses = events.statuses(state);
        let status = statuses.iter().find(|status| status["task_id"]["value"] == name).context("a status")?;
        assert_eq!(status["message"], message, "{name}");
        assert_eq!(scene.output(&events, name, "stdout")?, lines(name));
    }
    scene.nothing_left().await
}

/// When the master has given an agent up that does not answer: stock's 75 seconds.
const PATIENT_MASTER: [&str; 2] = ["--agent_ping_timeout=15secs", "--max_agent_ping_timeouts=5"];

/// How long the agent is away.
const AWAY: Duration = Duration::from_secs(60);

/// Two tasks end at the moment the agent goes, and two more every ten seconds; each kind has one of them.
#[tokio::test(flavor = "multi_thread")]
async fn what_ends_in_a_minute_without_an_agent_is_told_after_it() -> Result<()> {
    const EACH: usize = 6;
    let engine = require_engine!(Ok(()));
    require_reference!(Ok(()));
    let scope = TestScope::new(&engine).await?;
    let mut scene = Scene::with_master(scope, &PATIENT_MASTER, &["--containerizers=docker,mesos"]).await?;
    let gate = scene.scope.subdir("gate")?;
    let mut tasks = Vec::new();
    for number in 0..EACH {
        let then = format!("sleep {}; echo ended; exit {number}", 10 * number);
        let mut docker = scene.gated(&then)?;
        docker["task_id"] = json!({ "value": format!("docker-{number}") });
        let line = format!("while [ ! -e {}/open ]; do sleep 0.05; done; {then}", gate.display());
        let command = json!({ "shell": true, "value": line });
        let plain =
            json!({ "name": "test", "task_id": { "value": format!("plain-{number}") }, "command": command });
        tasks.extend([docker, plain]);
    }
    let count = tasks.len();
    let mut framework = scene.patient(&tasks.into(), &[]).await?;
    framework.wait_for("TASK_RUNNING", count, SHORT).await?;
    let told = framework.events().states().len();

    scene.agent.stop().await?;
    let began = Instant::now();
    scene.open_gate()?;
    eventually("a minute", 2 * AWAY, async || Ok((began.elapsed() > AWAY).then_some(()))).await?;
    scene.runs(0).await?;
    assert_eq!(framework.events().states().len(), told, "told by whom? {:?}", framework.events().summary());
    scene.start_again().await?;

    let events = framework.end(LONG).await?;
    for (task, ends) in ends(&events) {
        let (kind, number) = task.split_once('-').context("an id")?;
        assert_eq!(ends, [if number == "0" { "TASK_FINISHED" } else { "TASK_FAILED" }], "{task}");
        let statuses = [events.statuses("TASK_FINISHED"), events.statuses("TASK_FAILED")].concat();
        let status = statuses.iter().find(|status| status["task_id"]["value"] == task.as_str());
        let what = if kind == "plain" { "Command" } else { "Container" };
        let message = &status.context("a status")?["message"];
        ensure!(*message == format!("{what} exited with status {number}"), "{task}: {message}");
        assert_eq!(scene.output(&events, &task, "stdout")?, "ended\n", "{task}");
    }
    assert_eq!(events.by_task().len(), count);
    scene.nothing_left().await
}
