//! What a stock agent gives its command executor, which passes it on to the task, is what ours gives the task.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use anyhow::{Context as _, Result};
use integration::agent::files;
use integration::reference::{Cluster, Events};
use integration::{TestScope, require_engine, require_reference};
use serde_json::{Value, json};

use crate::lab::{Lab, plain};

/// What the shell sets, which is nobody's environment.
const OF_THE_SHELL: [&str; 4] = ["PWD", "OLDPWD", "SHLVL", "_"];

/// What stock's own launcher adds for the task when it starts one (`src/slave/containerizer/mesos/launch.cpp` and
/// `src/launcher/executor.cpp`).
const OF_THE_LAUNCHER: [&str; 3] = ["PATH", "MESOS_CONTAINER_NAME", "MESOS_ALLOCATION_ROLE"];

/// A task with a variable of its own.
fn task(line: &str) -> Value {
    let mut task = plain(line);
    task["command"]["environment"] = json!({ "variables": [{ "name": "OWN", "value": "own" }] });
    task
}

/// The environment that a stock agent would have its executor started with, from a stand-in for the program that starts it.
async fn stock(scope: &TestScope, flags: &[&str], options: &[&str]) -> Result<BTreeMap<String, String>> {
    let launcher_dir = scope.subdir("stock-programs")?;
    let kept = scope.subdir("stock-kept")?.join("launch-info");
    for name in ["mesos-containerizer", "mesos-executor"] {
        let program = launcher_dir.join(name);
        std::fs::write(
            &program,
            format!("#!/bin/sh\necho \"$MESOS_CONTAINERIZER_LAUNCH_INFO\" > {}\nexit 1\n", kept.display()),
        )?;
        std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755))?;
    }
    let flags: Vec<&str> = ["--containerizers=mesos", "--isolation=posix/cpu,posix/mem"]
        .into_iter()
        .chain(flags.iter().copied())
        .collect();
    let cluster = Cluster::start(&scope.subdir("stock")?, &launcher_dir, &flags).await?;
    let options: Vec<&str> = ["--expect=TASK_FAILED"].into_iter().chain(options.iter().copied()).collect();
    let events = cluster.run(&task("true"), &options).await?;
    let info: Value = serde_json::from_str(&std::fs::read_to_string(&kept)?)?;
    let variables = info["environment"]["variables"].as_array().context("no environment")?;
    let named = |one: &Value| Some((one["name"].as_str()?.to_owned(), one["value"].as_str()?.to_owned()));
    let given: BTreeMap<_, _> = variables.iter().filter_map(named).collect();
    let sandbox = given.get("MESOS_DIRECTORY").context("no sandbox")?.clone();
    let port = cluster.port();
    let agent = events.of_kind("LAUNCHED")[0]["agent_id"].as_str().context("no agent")?.to_owned();
    cluster.stop().await?;
    generalise(given, &events, &agent, port, &sandbox)
}

/// The environment with what differs from run to run by its meaning.
fn generalise(
    given: BTreeMap<String, String>,
    events: &Events,
    agent: &str,
    port: u16,
    sandbox: &str,
) -> Result<BTreeMap<String, String>> {
    let framework = events.framework_id().context("no framework")?;
    let changes = [
        (sandbox, "SANDBOX"),
        (framework, "FRAMEWORK"),
        (events.task_id()?, "TASK"),
        (agent, "AGENT"),
        (&format!("127.0.0.1:{port}"), "ADDRESS"),
    ];
    let change = |value: String| changes.iter().fold(value, |value, (old, new)| value.replace(old, new));
    Ok(given.into_iter().map(|(name, value)| (name, change(value))).collect())
}

/// With and without checkpoints, which decide what an executor is told of an agent that is away.
#[rstest::rstest]
#[case::plain(&[], &[])]
#[case::checkpointing(&[], &["--checkpoint"])]
#[case::with_flags(
    &[r#"--executor_environment_variables={"GIVEN":"by the agent","OWN":"lost"}"#, "--executor_shutdown_grace_period=7secs", "--recovery_timeout=3mins", "--executor_reregistration_timeout=4secs"],
    &["--checkpoint"]
)]
#[tokio::test(flavor = "multi_thread")]
async fn the_environment_is_that_of_stocks_executor(
    #[case] flags: &[&str],
    #[case] options: &[&str],
) -> Result<()> {
    let engine = require_engine!(Ok(()));
    require_reference!(Ok(()));
    let lab = Lab::start(&engine, flags).await?;
    let before = TestScope::new(&engine).await?;
    let mut theirs = stock(&before, flags, options).await?;

    let events = lab.scene.run(&task("tr '\\0' '\\n' < /proc/self/environ"), options).await?;
    assert_eq!(events.last_status()?["state"], "TASK_FINISHED");
    let output = lab.stdout(&events)?;
    let given = output.lines().filter_map(|line| line.split_once('='));
    let given = given.filter(|(name, _)| !OF_THE_SHELL.contains(name));
    let given: BTreeMap<_, _> = given.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    let sandbox = lab.scene.sandbox(&events, events.task_id()?)?;
    let container = sandbox.file_name().context("no container")?.to_string_lossy().into_owned();
    let agent = lab.scene.agent.id()?;
    let port = lab.scene.agent.port()?;
    let mut ours = generalise(given, &events, &agent, port, &sandbox.display().to_string())?;
    let added: Vec<_> = OF_THE_LAUNCHER.iter().map(|name| ours.remove(*name).unwrap_or_default()).collect();
    assert_eq!(added[0], "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
    assert!(added[1].contains(&container), "{added:?}");
    assert_eq!(added[2], "*");
    // The agent's own address, where libprocess was told one by the environment; ours is told by a flag.
    for all in [&mut theirs, &mut ours] {
        all.remove("LIBPROCESS_IP");
    }
    assert_eq!(ours, theirs);
    assert_eq!(files(Path::new(&sandbox), "stdout").len(), 1);
    lab.nothing_left().await
}
