//! No password is seen anywhere.

use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use docker_containerizer::{CredentialSources, FetchedCredentials};
use integration::engine::current_test;
use integration::supervised::{PATIENCE, Registry, RegistryOptions};
use integration::{TestScope, cli_run, require_engine};
use serde_json::json;

use crate::rig::{NEEDLE, PASSWORD, Private, USER, config, entry, inline, ran, refusal};

/// A wrong password is said to be one, with the registry, and neither it nor what it was written in is anywhere: not in
/// the status, the sandbox, our records, the engine's containers, or the arguments of any process.
#[tokio::test]
async fn a_wrong_password_is_told_with_the_registry_and_shown_nowhere() -> Result<()> {
    let engine = require_engine!(Ok(()));
    let wrong = format!("wrong {NEEDLE} {}", uuid::Uuid::new_v4().simple());
    let sources = |host: &str| inline(&config(host, &wrong));
    let Some(test) = Private::new(&engine, FetchedCredentials::Stay, sources).await? else { return Ok(()) };
    let host = test.registry.host();
    let (task, end) = test.run("true").await?;
    let message = refusal(&end)?;
    assert!(message.contains("refused the credentials of --docker_config"), "{message}");
    assert!(message.contains(&host), "{message}");

    let auth = entry(&wrong)["auth"].as_str().context("a text")?.to_owned();
    for secret in [wrong.as_str(), auth.as_str()] {
        ensure!(!format!("{end:?}").contains(secret), "a secret is in the termination");
        search(test.agent.work_dir(), secret)?;
        search_arguments(secret)?;
        ensure!(!task.stderr().unwrap_or_default().contains(secret), "a secret is in stderr");
    }
    test.end().await
}

/// A right one neither, while the task runs.
#[tokio::test]
async fn a_right_password_is_shown_nowhere_either() -> Result<()> {
    let engine = require_engine!(Ok(()));
    let sources = |host: &str| inline(&config(host, PASSWORD));
    let Some(test) = Private::new(&engine, FetchedCredentials::Stay, sources).await? else { return Ok(()) };
    let mut task = test.agent.launch(&test.task("sleep 600"))?;
    let started = task.running().await?;
    let auth = entry(PASSWORD)["auth"].as_str().context("a text")?.to_owned();
    let inspection = test.agent.inspect(task.name()).await?.to_string();
    for secret in [PASSWORD, auth.as_str(), NEEDLE] {
        ensure!(!inspection.contains(secret), "a secret is in the container");
        ensure!(!format!("{:?} {:?}", started.status, task.statuses()).contains(secret));
        search(test.agent.work_dir(), secret)?;
    }
    search_arguments(PASSWORD)?;
    search_arguments(&auth)?;
    task.kill().await?;
    task.terminal().await?;
    test.end().await
}

#[tokio::test]
async fn hidden_credentials_are_gone_before_the_task_starts() -> Result<()> {
    let engine = require_engine!(Ok(()));
    let sources = |_: &str| Ok(CredentialSources::sandbox_only());
    let Some(test) = Private::new(&engine, FetchedCredentials::Hidden, sources).await? else { return Ok(()) };
    let config = config(&test.registry.host(), PASSWORD);
    let files = [(".docker/config.json", config.as_str()), (".dockercfg", &config), ("kept", "kept")];
    let (task, end) = test.run_with("cd $MESOS_SANDBOX; find . -type f | sort", &files).await?;
    ran(&end)?;
    let stdout = task.stdout()?;
    assert!(!stdout.contains(".docker") && stdout.contains("./kept"), "{stdout}");
    search(&task.sandbox(), NEEDLE)?;
    test.end().await
}

/// Nor are credentials in what the program prints, with everything that any of its parts logs.
#[tokio::test]
async fn inline_credentials_work_and_are_warned_of() -> Result<()> {
    let engine = require_engine!(Ok(()));
    let scope = TestScope::new(&engine).await?;
    // One of its own: other tests look for theirs in the arguments of all processes.
    let password = format!("{NEEDLE} inline {}", uuid::Uuid::new_v4().simple());
    let options = RegistryOptions::user(USER, &password);
    let Some(registry) = Registry::start_with(&scope, &current_test(), options).await? else { return Ok(()) };
    let image = registry.publish(scope.id(), "v1", &[]).await?;
    let work_dir = scope.subdir("work")?;
    let app = work_dir.join("app.json");
    let app_json = json!({ "id": "/app", "cmd": "echo inline", "cpus": 0.1, "mem": 64,
        "container": { "type": "DOCKER", "docker": { "image": image, "network": "HOST" } } });
    std::fs::write(&app, app_json.to_string())?;
    let file = scope.dir().join("config.json");
    std::fs::write(&file, config(&registry.host(), &password))?;
    for (value, is_warned) in
        [(format!("file://{}", file.display()), false), (config(&registry.host(), &password), true)]
    {
        let output = tokio::process::Command::new(cli_run::program()?)
            .arg("run")
            .arg(format!("--agent-id={}", scope.agent_id()))
            .arg(format!("--work_dir={}", work_dir.display()))
            .arg(format!("--docker_socket={}", engine.socket().display()))
            .arg(format!("--docker_config={value}"))
            .arg(&app)
            .env_remove("DOCKER_HOST")
            .env("MESOS_DOCKER_LOG", "trace")
            .kill_on_drop(true)
            .output();
        let output =
            tokio::time::timeout(PATIENCE, output).await.context("mesos-docker run does not end")??;
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{stderr}");
        assert!(String::from_utf8_lossy(&output.stdout).contains("inline"), "{stderr}");
        assert_eq!(stderr.contains("every user of this machine can read"), is_warned, "{stderr}");
        let auth = entry(&password)["auth"].as_str().context("a text")?.to_owned();
        // The last one is how every X-Registry-Auth of a user begins.
        for secret in [NEEDLE, &auth, "eyJ1c2VybmFtZSI6"] {
            assert!(!stderr.contains(secret), "{secret} is in {stderr}");
        }
        assert!(stderr.contains("TRACE"), "{stderr}");
        scope.client().await?.delete(&format!("/images/{image}?noprune=1")).await?.ok()?;
    }
    scope.assert_clean().await
}

/// Fails when any file below a directory has this text.
fn search(directory: &Path, secret: &str) -> Result<()> {
    for entry in std::fs::read_dir(directory)? {
        let path = entry?.path();
        if path.is_symlink() {
            continue;
        }
        if path.is_dir() {
            search(&path, secret)?;
        } else if path.is_file() {
            let content = std::fs::read(&path)?;
            let found = content.windows(secret.len()).any(|window| window == secret.as_bytes());
            ensure!(!found, "a secret is in {}", path.display());
        }
    }
    Ok(())
}

/// Fails when the arguments of any process on this machine have this text.
fn search_arguments(secret: &str) -> Result<()> {
    for entry in std::fs::read_dir("/proc")? {
        // Processes come and go.
        let Ok(arguments) = std::fs::read(entry?.path().join("cmdline")) else { continue };
        let found = arguments.windows(secret.len()).any(|window| window == secret.as_bytes());
        ensure!(!found, "a secret is in the arguments {:?}", String::from_utf8_lossy(&arguments));
    }
    Ok(())
}
