//! Our `mesos-agent` is killed at random moments under load: no task is lost, none ends twice, nothing stays behind.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use integration::agent::{PATIENT, Scene, ends, files};
use integration::reference::{Events, Framework};
use integration::{eventually, require_engine, require_reference};
use serde_json::{Value, json};

/// How long the whole load may take.
const LONG: Duration = Duration::from_secs(280);

/// How long one thing may take.
const SHORT: Duration = Duration::from_secs(60);

/// How long a kill that was not lost takes to stop a task.
const KILLED_AGAIN: Duration = Duration::from_secs(20);

/// The environment variable that repeats a run: the seed that it printed.
const SEED: &str = "MESOS_TEST_SEED";

/// How often the agent is killed while tasks end by themselves, and while those are stopped that do not.
const KILLS: (usize, usize) = (14, 6);

/// A part of the load: its name, how many there are of it, what each does, and how it ends.
type Part = (&'static str, usize, fn(&mut fastrand::Rng) -> String, &'static str);

const LOAD: [Part; 5] = [
    ("short", 10, |_| "echo ended".into(), "TASK_FINISHED"),
    ("whole", 18, |dice| format!("sleep {}; echo ended", dice.u32(1..12)), "TASK_FINISHED"),
    ("broken", 12, |dice| format!("sleep {}; exit 3", dice.u32(0..12)), "TASK_FAILED"),
    ("long", 5, |_| "trap 'exit 0' TERM; while :; do sleep 0.1; done".into(), "TASK_KILLED"),
    ("stubborn", 5, |_| "trap '' TERM; while :; do sleep 0.1; done".into(), "TASK_KILLED"),
];

fn seed() -> u64 {
    let given = std::env::var(SEED).ok().and_then(|seed| seed.parse().ok());
    let seed = given.unwrap_or_else(|| fastrand::u64(..));
    println!("{SEED}={seed} repeats this run");
    seed
}

/// The part of the load that a task is of.
fn part(task: &str) -> &str {
    task.split('-').next().unwrap_or(task)
}

/// How many tasks of each part ended in which ways.
fn ways(events: &Events) -> BTreeMap<(String, Vec<String>), usize> {
    let mut ways = BTreeMap::new();
    for (task, ends) in ends(events) {
        *ways.entry((part(&task).to_owned(), ends)).or_default() += 1;
    }
    ways
}

/// Kills the agent at a moment that is random, whatever it is doing then, and starts it again.
async fn crash(scene: &mut Scene, dice: &mut fastrand::Rng) -> Result<()> {
    tokio::time::sleep(Duration::from_millis(dice.u64(0..1000))).await;
    scene.agent.kill()?;
    scene.agent.launch()
}

/// Waits until so many tasks have told their end.
async fn ended(framework: &Framework, count: usize, within: Duration) -> Result<()> {
    eventually(&format!("the end of {count} tasks"), within, async || {
        let ended = ends(&framework.events()).iter().filter(|(_, ends)| !ends.is_empty()).count();
        Ok((ended >= count).then_some(()))
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn no_task_is_lost_or_ends_twice_when_the_agent_is_killed_at_random_moments() -> Result<()> {
    let engine = require_engine!(Ok(()));
    require_reference!(Ok(()));
    let (started, mut dice) = (Instant::now(), fastrand::Rng::with_seed(seed()));
    let mut scene = Scene::start(&engine, &[]).await?;
    let mut load = Vec::new();
    for (name, count, line, _) in LOAD {
        for number in 0..count {
            let mut task = scene.task(&line(&mut dice));
            task["task_id"] = json!({ "value": format!("{name}-{number}") });
            load.push(task);
        }
    }
    dice.shuffle(&mut load);
    let tasks = load.len();
    let framework = scene.master.framework(&Value::from(load), &PATIENT).await?;
    // Before that the master may still be telling us of them, and a message to a process that is killed is lost.
    eventually("all tasks on the disk", SHORT, async || {
        Ok((files(scene.agent.work_dir(), "task.info").len() == tasks).then_some(()))
    })
    .await?;
    let id = scene.agent.id()?;
    for _ in 0..KILLS.0 {
        crash(&mut scene, &mut dice).await?;
    }
    ended(&framework, LOAD[..3].iter().map(|(_, count, ..)| count).sum(), LONG).await?;
    for _ in 0..KILLS.1 {
        // A kill to an agent that is away is lost, and then the framework's to repeat.
        framework.kill_tasks()?;
        crash(&mut scene, &mut dice).await?;
    }
    while ended(&framework, tasks, KILLED_AGAIN).await.is_err() {
        ensure!(started.elapsed() < LONG, "not all tasks ended: {}", scene.agent.log_text());
        framework.kill_tasks()?;
    }
    let events = framework.end(LONG).await?;

    let way = |(name, count, _, end): &Part| (((*name).to_owned(), vec![(*end).to_owned()]), *count);
    assert_eq!(ways(&events), LOAD.iter().map(way).collect(), "{}", scene.agent.log_text());
    for number in 0..10 {
        let output = scene.output(&events, &format!("short-{number}"), "stdout")?;
        assert_eq!(output, "ended\n", "each task ran once and its output is whole");
    }
    assert_eq!(scene.agent.id()?, id, "the agent got another id");
    scene.nothing_left().await?;
    eventually("no live record to be left", SHORT, async || {
        let state = scene.agent.get(&scene.master, "/state").await?;
        Ok(state["frameworks"].as_array().is_some_and(Vec::is_empty).then_some(()))
    })
    .await?;
    // What the last start finds on the disk is history.
    scene.crash().await?;
    let state = scene.agent.get(&scene.master, "/state").await?;
    assert_eq!(state["frameworks"], json!([]));
    Ok(())
}
