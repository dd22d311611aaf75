//! Credential helpers: programs of the operator, which a task cannot name.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Result;
use docker_containerizer::{CredentialSources, FetchedCredentials, OperatorConfig};
use integration::supervised::PATIENCE;
use integration::{eventually, require_engine};
use mesos_proto::v1::TaskState;
use serde_json::json;

use crate::rig::{HELPER, PASSWORD, Private, USER, entry, helpers, ran, refusal, write_helper};

#[rstest::rstest]
#[case::of_the_very_host("credHelpers")]
#[case::of_all_hosts("credsStore")]
#[tokio::test]
async fn a_private_image_is_pulled_with_a_credential_helper(#[case] key: &str) -> Result<()> {
    let engine = require_engine!(Ok(()));
    let dir = tempfile::tempdir()?;
    let asked = dir.path().join("asked");
    let sources = |host: &str| {
        let answer = json!({ "ServerURL": host, "Username": USER, "Secret": PASSWORD });
        let script = format!("cat >{}; printf '%s' '{answer}'", asked.display());
        write_helper(dir.path(), "test-1", &script)?;
        let value = if key == "credHelpers" { json!({ host: "test-1" }) } else { json!("test-1") };
        let config = json!({ key: value, "auths": { host: entry("wrong") } });
        let config = OperatorConfig::inline(&config.to_string())?;
        Ok(CredentialSources::with_operator(config, helpers(dir.path(), HELPER)))
    };
    let Some(test) = Private::new(&engine, FetchedCredentials::Stay, sources).await? else { return Ok(()) };
    ran(&test.run("true").await?.1)?;
    assert_eq!(std::fs::read_to_string(&asked)?, test.registry.host());
    test.end().await
}

#[tokio::test]
async fn a_helper_that_hangs_fails_the_launch_at_its_deadline() -> Result<()> {
    let engine = require_engine!(Ok(()));
    let dir = tempfile::tempdir()?;
    let sources = |host: &str| {
        write_helper(dir.path(), "hangs", "sleep 600")?;
        let config = OperatorConfig::inline(&json!({ "credHelpers": { host: "hangs" } }).to_string())?;
        Ok(CredentialSources::with_operator(config, helpers(dir.path(), Duration::from_secs(1))))
    };
    let Some(test) = Private::new(&engine, FetchedCredentials::Stay, sources).await? else { return Ok(()) };
    let (_, end) = test.run("true").await?;
    let message = refusal(&end)?;
    assert!(message.contains("docker-credential-hangs") && message.contains("within 1s"), "{message}");
    assert!(message.contains(&test.registry.host()), "{message}");
    assert_eq!(test.pulls(), 0, "it became an anonymous pull");
    test.end().await
}

#[tokio::test]
async fn a_kill_ends_a_helper_that_hangs() -> Result<()> {
    let engine = require_engine!(Ok(()));
    let dir = tempfile::tempdir()?;
    let pid = dir.path().join("pid");
    let sources = |host: &str| {
        let script = format!("echo $$ >{0}.new; mv {0}.new {0}; exec sleep 600", pid.display());
        write_helper(dir.path(), "hangs", &script)?;
        let config = OperatorConfig::inline(&json!({ "credHelpers": { host: "hangs" } }).to_string())?;
        Ok(CredentialSources::with_operator(config, helpers(dir.path(), Duration::from_secs(600))))
    };
    let Some(test) = Private::new(&engine, FetchedCredentials::Stay, sources).await? else { return Ok(()) };
    let mut task = test.agent.launch(&test.task("true"))?;
    eventually("the helper", PATIENCE, async || Ok(pid.exists().then_some(()))).await?;
    task.kill().await?;
    let end = task.terminal().await?;
    assert_eq!(end.outcome.state, TaskState::TaskKilled);
    let helper = PathBuf::from(format!("/proc/{}", std::fs::read_to_string(&pid)?.trim()));
    eventually("the end of the helper", PATIENCE, async || Ok((!helper.exists()).then_some(()))).await?;
    assert_eq!(test.pulls(), 0);
    test.end().await
}

#[tokio::test]
async fn a_config_in_the_sandbox_runs_no_program() -> Result<()> {
    let engine = require_engine!(Ok(()));
    let dir = tempfile::tempdir()?;
    let ran = dir.path().join("ran");
    let sources = |_: &str| {
        write_helper(dir.path(), "evil", &format!("touch {}", ran.display()))?;
        let config = OperatorConfig::inline("{}")?;
        Ok(CredentialSources::with_operator(config, helpers(dir.path(), HELPER)))
    };
    let Some(test) = Private::new(&engine, FetchedCredentials::Stay, sources).await? else { return Ok(()) };
    let host = test.registry.host();
    for (key, part) in [
        ("credsStore", json!("evil")),
        ("credHelpers", json!({ host.as_str(): "evil" })),
        ("HttpHeaders", json!({ "X-Evil": "hunter2" })),
        ("proxies", json!({ "default": { "httpProxy": "http://hunter2.test" } })),
    ] {
        let config = json!({ key: part, "auths": { host.as_str(): entry(PASSWORD) } }).to_string();
        let (_, end) = test.run_with("true", &[(".docker/config.json", &config)]).await?;
        let message = refusal(&end)?;
        assert!(
            message.contains(&format!("{key:?}")) && message.contains(".docker/config.json"),
            "{message}"
        );
    }
    assert!(!ran.exists(), "a task's config ran a program");
    assert_eq!(test.pulls(), 0);
    test.end().await
}
