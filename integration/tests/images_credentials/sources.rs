//! Where credentials are taken from: the operator, the sandbox, or nowhere.

use std::time::Duration;

use anyhow::{Context as _, Result};
use docker_containerizer::images::Backoff;
use docker_containerizer::{CredentialSources, FetchedCredentials, OperatorConfig, PullSettings};
use integration::engine::current_test;
use integration::supervised::{Options, PATIENCE, Registry, RegistryOptions, Supervised, Task};
use integration::{Fault, Rule, TestScope, eventually, require_engine};
use serde_json::json;

use crate::rig::{PASSWORD, Private, USER, config, entry, inline, operator, ran, refusal};

#[tokio::test]
async fn a_public_image_is_pulled_without_credentials() -> Result<()> {
    let engine = require_engine!(Ok(()));
    let agent = Supervised::new(&engine).await?;
    let Some(registry) = Registry::start(agent.scope(), &current_test()).await? else { return Ok(()) };
    let image = registry.publish(agent.scope().id(), "v1", &[]).await?;
    let mut task = agent.launch(&Task::shell("echo public").image_named(&image))?;
    task.finished().await?;
    assert_eq!(task.stdout()?, "public\n");
    agent.end().await
}

#[tokio::test]
async fn a_private_image_without_credentials_fails_and_says_that_there_are_none() -> Result<()> {
    let engine = require_engine!(Ok(()));
    let sources = |_: &str| Ok(CredentialSources::sandbox_only());
    let Some(test) = Private::new(&engine, FetchedCredentials::Stay, sources).await? else { return Ok(()) };
    let (_, end) = test.run("true").await?;
    let message = refusal(&end)?;
    assert!(message.contains("no credentials for the registry"), "{message}");
    assert!(message.contains(&test.registry.host()) && message.contains("--docker_config"), "{message}");
    test.end().await
}

#[tokio::test]
async fn a_private_image_is_pulled_with_the_operators_file() -> Result<()> {
    let engine = require_engine!(Ok(()));
    let dir = tempfile::tempdir()?;
    let path = dir.path().join("config.json");
    let sources = |host: &str| {
        std::fs::write(&path, config(host, PASSWORD))?;
        Ok(operator(OperatorConfig::file(&path)?))
    };
    let Some(test) = Private::new(&engine, FetchedCredentials::Stay, sources).await? else { return Ok(()) };
    let (task, end) = test.run("echo private").await?;
    ran(&end)?;
    assert_eq!((task.stdout()?.as_str(), test.pulls()), ("private\n", 1));
    test.end().await
}

#[tokio::test]
async fn a_private_image_is_pulled_with_the_operators_json() -> Result<()> {
    let engine = require_engine!(Ok(()));
    // The bare map of a .dockercfg, with the scheme and path that old clients wrote.
    let sources = |host: &str| inline(&json!({ format!("http://{host}/v1/"): entry(PASSWORD) }).to_string());
    let Some(test) = Private::new(&engine, FetchedCredentials::Stay, sources).await? else { return Ok(()) };
    ran(&test.run("true").await?.1)?;
    test.end().await
}

#[rstest::rstest]
#[case::modern(".docker/config.json")]
#[case::old(".dockercfg")]
#[tokio::test]
async fn a_private_image_is_pulled_with_the_config_in_the_sandbox(#[case] file: &str) -> Result<()> {
    let engine = require_engine!(Ok(()));
    let sources = |_: &str| Ok(CredentialSources::sandbox_only());
    let Some(test) = Private::new(&engine, FetchedCredentials::Stay, sources).await? else { return Ok(()) };
    let host = test.registry.host();
    let content = match file {
        ".dockercfg" => json!({ host: entry(PASSWORD) }).to_string(),
        _ => config(&host, PASSWORD),
    };
    let line = format!("cat $MESOS_SANDBOX/{file}");
    let (task, end) = test.run_with(&line, &[(file, &content)]).await?;
    ran(&end)?;
    // Without --docker_hide_credentials the task finds what it brought, as in Mesos.
    assert_eq!(task.stdout()?, content);
    test.end().await
}

#[tokio::test]
async fn the_sandbox_wins_over_the_operator() -> Result<()> {
    let engine = require_engine!(Ok(()));
    let sources = |host: &str| inline(&config(host, "hunter2 of the operator, wrong"));
    let Some(test) = Private::new(&engine, FetchedCredentials::Stay, sources).await? else { return Ok(()) };
    let right = config(&test.registry.host(), PASSWORD);
    ran(&test.run_with("true", &[(".docker/config.json", &right)]).await?.1)?;
    test.forget().await?;

    let wrong = config(&test.registry.host(), "hunter2 of the task, wrong");
    let (_, end) = test.run_with("true", &[(".docker/config.json", &wrong)]).await?;
    let message = refusal(&end)?;
    assert!(
        message.contains("refused the credentials of .docker/config.json in the task's sandbox"),
        "{message}"
    );

    // It says nothing of this registry.
    let other = config("reg.test", PASSWORD);
    let (_, end) = test.run_with("true", &[(".docker/config.json", &other)]).await?;
    assert!(refusal(&end)?.contains("refused the credentials of --docker_config"));
    test.end().await
}

#[rstest::rstest]
#[case::a_link("link")]
#[case::a_fifo("fifo")]
#[tokio::test]
async fn a_config_in_the_sandbox_that_is_no_file_is_an_error(#[case] what: &str) -> Result<()> {
    let engine = require_engine!(Ok(()));
    let dir = tempfile::tempdir()?;
    let sources = |_: &str| Ok(CredentialSources::sandbox_only());
    let Some(test) = Private::new(&engine, FetchedCredentials::Stay, sources).await? else { return Ok(()) };
    let secret = dir.path().join("config.json");
    std::fs::write(&secret, config(&test.registry.host(), PASSWORD))?;
    let look = test.proxy.add(Rule::new("GET", "/images/*/json", Fault::Hang));
    let mut task = test.agent.launch(&test.task("true"))?;
    eventually("the look for the image", PATIENCE, async || Ok((test.proxy.hits(look) > 0).then_some(())))
        .await?;
    let planted = task.sandbox().join(".dockercfg");
    match what {
        "link" => std::os::unix::fs::symlink(&secret, &planted)?,
        _ => {
            let mode = rustix::fs::Mode::RUSR;
            rustix::fs::mknodat(rustix::fs::CWD, &planted, rustix::fs::FileType::Fifo, mode, 0)?;
        }
    }
    test.proxy.remove(look);
    let end = task.terminal().await?;
    let message = refusal(&end)?;
    assert!(message.contains(".dockercfg"), "{message}");
    assert_eq!(test.pulls(), 0);
    test.end().await
}

/// What was in order when it was looked for may have expired in the queue, or in a pause that the registry asked for.
#[tokio::test]
async fn credentials_that_expired_in_a_pause_are_looked_for_again() -> Result<()> {
    let engine = require_engine!(Ok(()));
    let scope = TestScope::new(&engine).await?;
    let options = RegistryOptions::user(USER, PASSWORD);
    let Some(registry) = Registry::start_with(&scope, &current_test(), options).await? else { return Ok(()) };
    let registry = registry.behind_proxy().await?;
    let image = registry.publish(scope.id(), "1", &[]).await?;
    let host = image.split('/').next().context("a host")?;
    let path = scope.dir().join("config.json");
    std::fs::write(&path, config(host, "of five minutes ago"))?;
    let second = Duration::from_secs(1);
    let mut pulls = PullSettings::default();
    // Long enough to write the new credentials meanwhile.
    pulls.retry.rate_limit = Backoff { from: 5 * second, to: 5 * second };
    let credentials = operator(OperatorConfig::file(&path)?);
    let agent = Supervised::with(&engine, Options { credentials, pulls, ..Options::default() }).await?;
    let limited = json!({ "errors": [{ "code": "TOOMANYREQUESTS", "message": "later" }] }).to_string();
    let limit =
        registry.proxy().add(Rule::new("GET", "*/manifests/*", Fault::Replace(429, limited)).times(1));
    let mut task = agent.launch(&Task::shell("true").image_named(&image))?;
    eventually("the first attempt", PATIENCE, async || Ok((registry.proxy().hits(limit) > 0).then_some(())))
        .await?;
    let new = scope.dir().join("config.json.new");
    std::fs::write(&new, config(host, PASSWORD))?;
    std::fs::rename(&new, &path)?;
    task.finished().await?;
    assert!(task.stderr()?.contains("the pull is tried again in"));
    agent.end().await?;
    scope.assert_clean().await
}

#[tokio::test]
async fn a_rotated_file_is_used_by_the_next_pull() -> Result<()> {
    let engine = require_engine!(Ok(()));
    let dir = tempfile::tempdir()?;
    let path = dir.path().join("config.json");
    let sources = |host: &str| {
        std::fs::write(&path, config(host, "hunter2 of yesterday"))?;
        Ok(operator(OperatorConfig::file(&path)?))
    };
    let Some(test) = Private::new(&engine, FetchedCredentials::Stay, sources).await? else { return Ok(()) };
    assert!(refusal(&test.run("true").await?.1)?.contains("refused the credentials of --docker_config"));

    let new = dir.path().join("config.json.new");
    std::fs::write(&new, config(&test.registry.host(), PASSWORD))?;
    std::fs::rename(&new, &path)?;
    ran(&test.run("true").await?.1)?;

    // A file that is gone is an error, not an anonymous pull, nor one with what it said before.
    test.forget().await?;
    std::fs::remove_file(&path)?;
    let pulls = test.pulls();
    let (_, end) = test.run("true").await?;
    let message = refusal(&end)?;
    assert!(message.contains("--docker_config") && message.contains("No such file"), "{message}");
    assert_eq!(test.pulls(), pulls);
    test.end().await
}
