//! The examples of `packaging/container`.

use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use integration::agent::task;
use integration::sweep::SCOPE_LABEL;
use integration::{require_engine, require_reference};

use crate::rig::{LONG, Scene};

/// The example starts an agent that lacks nothing: `run` as it is, with a `docker` that labels what it makes.
#[tokio::test(flavor = "multi_thread")]
async fn the_example_starts_an_agent() -> Result<()> {
    let engine = require_engine!(Ok(()));
    require_reference!(Ok(()));
    let scene = Scene::new(&engine, &[]).await?;
    let programs = scene.scope.subdir("bin")?;
    let docker = programs.join("docker");
    let line = format!(
        "#!/bin/sh\nPATH=${{PATH#*:}}\n[ \"$1\" = run ] || exit 9\nshift\nexec docker -H unix://{} run --label {SCOPE_LABEL}={} \"$@\"\n",
        engine.socket().display(),
        scene.scope.id()
    );
    std::fs::write(&docker, line)?;
    std::fs::set_permissions(&docker, std::os::unix::fs::PermissionsExt::from_mode(0o755))?;
    let path = format!("{}:{}", programs.display(), std::env::var("PATH").context("PATH")?);
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("../packaging/container/run");
    let said = tokio::process::Command::new(example)
        .args(scene.agent.flags_of_the_example())
        .env("PATH", path)
        .env("NAME", scene.agent.name())
        .env("IMAGE", scene.agent.image())
        .env("WORK_DIR", scene.agent.work_dir())
        .env("SOCKET_DIRECTORY", engine.socket().parent().context("a directory")?)
        .output()
        .await?;
    ensure!(said.status.success(), "{}", String::from_utf8_lossy(&said.stderr));
    scene.agent.registered(&scene.master).await?;
    let log = scene.agent.log().await?;
    ensure!(!log.contains("lacks"), "{log}");
    let events = scene.patient(&task(&scene.scope, "exit 0"), &[]).await?.end(LONG).await?;
    assert_eq!(events.states(), ["TASK_STARTING", "TASK_RUNNING", "TASK_FINISHED"]);
    scene.end().await
}

/// What is said of how it is started is the same everywhere.
#[test]
fn the_examples_give_the_same_options() -> Result<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let options = [
        "--network=host",
        "--pid=host",
        "--cgroupns=host",
        "--cap-add=SYS_ADMIN",
        "--cap-add=SYS_PTRACE",
        "-v /sys/fs/cgroup:/sys/fs/cgroup:ro",
        "--stop-timeout=30",
    ];
    for name in
        ["container/run", "container/mesos-agent-container.service", "../docs/agent-in-a-container.md"]
    {
        let text = std::fs::read_to_string(root.join("packaging").join(name))?;
        for option in options {
            ensure!(text.contains(option), "{option} is not in {name}");
        }
    }
    let compose = std::fs::read_to_string(root.join("packaging/container/compose.yaml"))?;
    for line in [
        "network_mode: host",
        "pid: host",
        "cgroup: host",
        "cap_add: [SYS_ADMIN, SYS_PTRACE]",
        "- /sys/fs/cgroup:/sys/fs/cgroup:ro",
        "stop_grace_period: 30s",
        "- /var/run:/var/run",
    ] {
        ensure!(compose.lines().any(|found| found.trim() == line), "{line} is not in compose.yaml");
    }
    Ok(())
}
