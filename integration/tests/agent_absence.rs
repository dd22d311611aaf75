//! Tasks end while our `mesos-agent` is away: their real ends are told and their output is whole.

use std::time::Duration;

use anyhow::{Context as _, Result};
use integration::agent::Scene;
use integration::{require_engine, require_reference};
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
