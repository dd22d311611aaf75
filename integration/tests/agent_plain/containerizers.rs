//! The containerizers of the flag: one without the other, one that hangs, and what none of them takes.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use integration::agent::states;
use integration::{Fault, FaultProxy, Rule, TestScope, eventually, require_engine, require_reference};
use rstest::rstest;
use serde_json::{Value, json};

use crate::lab::{LONG, Lab, SHORT, message, plain};

/// What a task is like that none takes.
type Change = fn(&Lab) -> Value;

fn with_docker_image(lab: &Lab) -> Value {
    lab.scene.task("true")
}

fn with_mesos_image(_: &Lab) -> Value {
    let mut task = plain("true");
    task["container"] = json!({ "type": "MESOS", "mesos": { "image": { "type": "DOCKER", "docker": { "name": "busybox" } } } });
    task
}

fn without_container(_: &Lab) -> Value {
    plain("true")
}

/// Told before anything is launched, by what each containerizer said, and with the remedy. The agent goes on.
#[rstest]
#[case::docker_alone("docker", without_container, &[], &["(docker)", "docker: it has no container", "add mesos to --containerizers"])]
#[case::mesos_alone("mesos", with_docker_image, &[], &["(mesos)", "mesos: its container is of type DOCKER", "add docker to --containerizers"])]
#[case::an_image_for_mesos("docker,mesos", with_mesos_image, &[], &["container.mesos.image"])]
#[case::a_group("docker,mesos", without_container, &["--group"], &["task_group", "LAUNCH"])]
#[tokio::test(flavor = "multi_thread")]
async fn what_nobody_takes_is_refused_by_name(
    #[case] containerizers: &str,
    #[case] task: Change,
    #[case] options: &[&str],
    #[case] words: &[&str],
) -> Result<()> {
    let engine = require_engine!(Ok(()));
    require_reference!(Ok(()));
    let lab = Lab::start(&engine, &[&format!("--containerizers={containerizers}")]).await?;
    let options: Vec<&str> =
        options.iter().copied().chain(["--checkpoint", "--expect=TASK_FAILED"]).collect();
    let events = lab.scene.run(&task(&lab), &options).await?;
    assert_eq!(states(&events), ["TASK_FAILED"], "{:?}", events.last_status()?);
    let status = events.last_status()?;
    assert_eq!(status["reason"], "REASON_CONTAINER_LAUNCH_FAILED", "{status}");
    assert!(words.iter().all(|word| message(status).contains(word)), "{status}");
    eventually("the resources of the task", SHORT, async || {
        let used = lab.scene.master.agent().await?["used_resources"]["cpus"].as_f64();
        Ok((used == Some(0.0)).then_some(()))
    })
    .await?;
    let good = if containerizers == "docker" { with_docker_image(&lab) } else { plain("true") };
    lab.ends_as(&good, "TASK_FINISHED").await?;
    lab.nothing_left().await
}

/// `--containerizers=mesos` needs no engine: none is looked for at its start, or after a crash.
#[tokio::test(flavor = "multi_thread")]
async fn an_agent_of_mesos_alone_needs_no_engine() -> Result<()> {
    let engine = require_engine!(Ok(()));
    require_reference!(Ok(()));
    let mut lab =
        Lab::start(&engine, &["--containerizers=mesos", "--docker_socket=/not/there/docker.sock"]).await?;
    let framework = lab.waiting("exit 4").await?;
    lab.scene.crash().await?;
    lab.scene.open_gate()?;
    let events = framework.end(LONG).await?;
    assert_eq!(message(events.last_status()?), "Command exited with status 4");
    ensure!(!lab.scene.agent.log_text().contains("/not/there"), "{}", lab.scene.agent.log_text());
    lab.nothing_left().await
}

/// Plain tasks start, run and are killed while the engine does not answer; those with an image go on when it does.
#[rstest]
#[case::docker_first("docker,mesos")]
#[case::mesos_first("mesos,docker")]
#[tokio::test(flavor = "multi_thread")]
async fn an_engine_that_hangs_does_not_stop_tasks_without_an_image(
    #[case] containerizers: &str,
) -> Result<()> {
    let engine = require_engine!(Ok(()));
    require_reference!(Ok(()));
    let scope = TestScope::new(&engine).await?;
    let proxy = FaultProxy::start(engine.socket()).await?;
    let flags = [
        format!("--docker_socket={}", proxy.socket().display()),
        format!("--containerizers={containerizers}"),
    ];
    let lab = Lab::in_scope(scope, &flags.iter().map(String::as_str).collect::<Vec<_>>()).await?;
    let rule = proxy.add(Rule::new("*", "*", Fault::Hang));
    let docker = lab.scene.framework(&lab.scene.task("true"), &["--timeout=140", "--checkpoint"]).await?;
    eventually("the engine to be asked", SHORT, async || Ok((proxy.hits(rule) > 0).then_some(()))).await?;

    let events = lab.scene.run(&plain("exit 0"), &["--instances=5", "--checkpoint"]).await?;
    assert_eq!(events.tasks_in("TASK_FINISHED").len(), 5, "{:?}", events.summary());
    let took = events.between("LAUNCHED", "TASK_FINISHED")?;
    assert!(took < Duration::from_secs(20), "{took:?}");
    let mut framework = lab.scene.framework(&plain("sleep 1000"), &["--expect=TASK_KILLED"]).await?;
    framework.wait_for("TASK_RUNNING", 1, SHORT).await?;
    framework.kill_tasks()?;
    assert_eq!(framework.end(LONG).await?.last_status()?["state"], "TASK_KILLED");
    assert!(docker.events().statuses("TASK_FINISHED").is_empty());

    proxy.clear();
    let told = docker.end(LONG).await?;
    assert_eq!(told.last_status()?["state"], "TASK_FINISHED", "{:?}", told.last_status()?);
    lab.nothing_left().await
}

/// A kill that comes before the launch is done ends it, whoever is asked.
#[tokio::test(flavor = "multi_thread")]
async fn a_kill_that_races_the_launch_ends_each_task_once() -> Result<()> {
    let engine = require_engine!(Ok(()));
    require_reference!(Ok(()));
    let lab = Lab::start(&engine, &[]).await?;
    let tasks: Vec<Value> = (0..20)
        .map(|number| {
            let task = if number % 4 == 0 { lab.scene.task("sleep 1000") } else { plain("exec sleep 1000") };
            crate::lab::named(task, &format!("one-{number}"))
        })
        .collect();
    let framework = lab.scene.framework(&tasks.into(), &["--expect=TASK_KILLED", "--timeout=140"]).await?;
    eventually("the launch", SHORT, async || {
        Ok((framework.events().of_kind("LAUNCHED").len() == 20).then_some(()))
    })
    .await?;
    framework.kill_tasks()?;
    let events = framework.end(LONG).await?;
    let ends = integration::agent::ends(&events);
    ensure!(ends.len() == 20, "{:?}", events.summary());
    for (task, ends) in ends {
        assert_eq!(ends, ["TASK_KILLED"], "{task}: {:?}", events.summary());
    }
    events.last_status().context("a status")?;
    lab.nothing_left().await
}

/// An agent that is started again without the containerizer of a task that runs could neither follow nor stop it. It says
/// so and ends, the task goes on, and the agent that has the containerizer again carries it to its end.
#[tokio::test(flavor = "multi_thread")]
async fn an_agent_does_not_start_without_the_containerizer_of_a_task_that_runs() -> Result<()> {
    let engine = require_engine!(Ok(()));
    require_reference!(Ok(()));
    let mut lab = Lab::start(&engine, &[]).await?;
    let docker = lab.scene.patient(&lab.scene.gated("exit 5")?, &[]).await?;
    let framework = lab.waiting("exit 3").await?;
    eventually("the task with an image", SHORT, async || {
        Ok((!docker.events().statuses("TASK_RUNNING").is_empty()).then_some(()))
    })
    .await?;
    lab.scene.agent.kill()?;
    for (left, missing) in [("docker", "mesos"), ("mesos", "docker")] {
        lab.scene.agent.set_flag(&format!("--containerizers={left}"));
        lab.scene.agent.launch()?;
        assert_eq!(lab.scene.agent.ended().await?.code(), Some(1));
        let log = lab.scene.agent.log_text();
        ensure!(log.contains(&format!("add {missing} to --containerizers")), "{log}");
    }
    ensure!(!lab.processes().is_empty(), "the task was ended");
    lab.scene.agent.set_flag("--containerizers=docker,mesos");
    lab.scene.start_again().await?;
    lab.scene.open_gate()?;
    for (framework, message_of) in
        [(framework, "Command exited with status 3"), (docker, "Container exited with status 5")]
    {
        let events = framework.end(LONG).await?;
        assert_eq!(states(&events), ["TASK_STARTING", "TASK_RUNNING", "TASK_FAILED"]);
        assert!(message(events.last_status()?).starts_with(message_of), "{:?}", events.last_status()?);
    }
    lab.nothing_left().await
}
