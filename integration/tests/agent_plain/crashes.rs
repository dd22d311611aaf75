//! The agent is killed while tasks without an image are launched, run, end and are stopped.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use integration::agent::{PATIENT, Scene, ends, files, states};
use integration::reference::Framework;
use integration::web::{Page, Reply};
use integration::{WebServer, eventually, require_engine, require_reference};
use rstest::rstest;
use serde_json::{Value, json};

use crate::lab::{LONG, Lab, SHORT, named, plain};

/// How often the agent is killed while tasks end by themselves, and while those are stopped that do not.
const KILLS: (usize, usize) = (8, 4);

/// How long a kill that was not lost takes to stop a task.
const KILLED_AGAIN: Duration = Duration::from_secs(15);

/// The environment variable that repeats a run: the seed that it printed.
const SEED: &str = "MESOS_TEST_SEED";

/// A part of the load: its name, how many there are of it, what each does, and how it ends.
type Part = (&'static str, usize, fn(&mut fastrand::Rng) -> String, &'static str);

const LOAD: [Part; 5] = [
    ("short", 15, |_| "echo ended".into(), "TASK_FINISHED"),
    ("whole", 10, |dice| format!("sleep {}; echo ended", dice.u32(1..6)), "TASK_FINISHED"),
    ("broken", 10, |dice| format!("sleep {}; exit 3", dice.u32(0..6)), "TASK_FAILED"),
    ("long", 8, |_| "exec sleep 1000".into(), "TASK_KILLED"),
    ("stubborn", 7, |_| "trap '' TERM; while :; do sleep 0.3; done".into(), "TASK_KILLED"),
];

/// Kills the agent at a moment that is random, whatever it is doing then, and starts it again.
async fn crash(scene: &mut Scene, dice: &mut fastrand::Rng, within: u64) -> Result<()> {
    tokio::time::sleep(Duration::from_millis(dice.u64(0..within))).await;
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
    let given = std::env::var(SEED).ok().and_then(|seed| seed.parse().ok());
    let seed = given.unwrap_or_else(|| fastrand::u64(..));
    println!("{SEED}={seed} repeats this run");
    let (began, mut dice) = (Instant::now(), fastrand::Rng::with_seed(seed));
    let mut lab = Lab::start(&engine, &[]).await?;
    let mut load = Vec::new();
    for (name, count, line, _) in LOAD {
        load.extend((0..count).map(|number| named(plain(&line(&mut dice)), &format!("{name}-{number}"))));
    }
    dice.shuffle(&mut load);
    let tasks = load.len();
    let framework = lab.scene.framework(&Value::from(load), &PATIENT).await?;
    // Before that the master may still be telling us of them, and a message to a process that is killed is lost.
    eventually("all tasks on the disk", SHORT, async || {
        Ok((files(lab.scene.agent.work_dir(), "task.info").len() == tasks).then_some(()))
    })
    .await?;
    for number in 0..KILLS.0 {
        crash(&mut lab.scene, &mut dice, if number < 3 { 50 } else { 800 }).await?;
    }
    ended(&framework, LOAD[..3].iter().map(|(_, count, ..)| count).sum(), LONG).await?;
    for _ in 0..KILLS.1 {
        // A kill to an agent that is away is lost, and then the framework's to repeat.
        framework.kill_tasks()?;
        crash(&mut lab.scene, &mut dice, 800).await?;
    }
    while ended(&framework, tasks, KILLED_AGAIN).await.is_err() {
        ensure!(began.elapsed() < LONG, "not all tasks ended: {}", lab.scene.agent.log_text());
        framework.kill_tasks()?;
    }
    let events = framework.end(LONG).await?;

    let mut ways: BTreeMap<(String, Vec<String>), usize> = BTreeMap::new();
    for (task, ends) in ends(&events) {
        let part = task.split('-').next().unwrap_or(&task).to_owned();
        *ways.entry((part, ends)).or_default() += 1;
    }
    let way = |(name, count, _, end): &Part| (((*name).to_owned(), vec![(*end).to_owned()]), *count);
    assert_eq!(ways, LOAD.iter().map(way).collect(), "{}", lab.scene.agent.log_text());
    for number in 0..LOAD[0].1 {
        let output = lab.scene.output(&events, &format!("short-{number}"), "stdout")?;
        assert_eq!(output, "ended\n", "each task ran once and its output is whole");
    }
    lab.nothing_left().await
}

/// The agent is killed as soon as a file of the launch is on the disk; the phases after it are as likely.
#[rstest]
#[case("task.info")]
#[case("supervision")]
#[case("plain-processes")]
#[case("stdout")]
#[tokio::test(flavor = "multi_thread")]
async fn a_task_runs_once_though_the_agent_is_killed_in_its_launch(#[case] file: &str) -> Result<()> {
    let engine = require_engine!(Ok(()));
    require_reference!(Ok(()));
    let mut lab = Lab::start(&engine, &[]).await?;
    let marks = lab.scene.scope.subdir("gate")?.join("marks");
    let task = plain(&format!("echo mark >> {}; echo ran; exit 5", marks.display()));
    let framework = lab.scene.patient(&task, &[]).await?;
    let deadline = Instant::now() + SHORT;
    // The moment counts, so this looks without a pause.
    while files(lab.scene.agent.work_dir(), file).is_empty() {
        ensure!(Instant::now() < deadline, "no {file}: {}", lab.scene.agent.log_text());
        std::thread::yield_now();
    }
    lab.scene.crash().await?;
    let events = framework.end(LONG).await?;
    let told = events.last_status()?;
    let marks = std::fs::read_to_string(&marks).unwrap_or_default();
    if file == "supervision" && told["reason"] == "REASON_RECONCILIATION" {
        // The record comes before what says that the agent has the task: it has not been begun.
        assert_eq!((states(&events), marks.as_str()), (vec!["TASK_LOST".to_owned()], ""));
        return lab.nothing_left().await;
    }
    assert_eq!(told["message"].as_str(), Some("Command exited with status 5"), "{told} {marks:?}");
    assert_eq!(states(&events), ["TASK_STARTING", "TASK_RUNNING", "TASK_FAILED"]);
    assert_eq!(marks, "mark\n", "it ran once");
    assert_eq!(lab.stdout(&events)?, "ran\n");
    lab.nothing_left().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_launch_that_was_cut_short_in_its_fetch_is_made_again() -> Result<()> {
    let engine = require_engine!(Ok(()));
    require_reference!(Ok(()));
    let server = WebServer::start().await?;
    let uri =
        server.serve("/slow", Page::new(vec![b'x'; 1 << 16]).replies([Reply::Stall(1 << 10), Reply::Well]));
    let programs = integration::fetch::launcher_dir()?;
    let mut lab = Lab::start(&engine, &[&format!("--launcher_dir={}", programs.display())]).await?;
    let mut task = plain("wc -c < slow");
    task["command"]["uris"] = json!([{ "value": uri, "extract": false }]);
    let framework = lab.scene.patient(&task, &[]).await?;
    eventually("the fetch", SHORT, async || Ok((server.count("GET", "/slow") > 0).then_some(()))).await?;
    lab.scene.crash().await?;
    let events = framework.end(LONG).await?;
    assert_eq!(states(&events), ["TASK_STARTING", "TASK_RUNNING", "TASK_FINISHED"]);
    let output = lab.stdout(&events)?;
    assert_eq!(output.lines().last().map(str::trim).context("no output")?, "65536");
    lab.nothing_left().await
}
