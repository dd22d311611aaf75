//! Credentials for pulls, through a real engine against real registries: where they are taken from, that every password
//! arrives, and that none is seen anywhere.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use docker_containerizer::images::Backoff;
use docker_containerizer::{
    CredentialSources, FetchedCredentials, HelperSettings, OperatorConfig, PullSettings,
};
use docker_engine::{Credentials, Engine, EngineOptions, ExtraHeaders, ImageRef, PullOptions};
use integration::engine::current_test;
use integration::images::TestImage;
use integration::supervised::{
    Options, PATIENCE, Registry, RegistryOptions, Supervised, Task, Terminal, Transport, Watched,
};
use integration::{Fault, FaultProxy, Rule, TestEngine, TestScope, cli_run, eventually, require_engine};
use mesos_proto::v1::TaskState;
use mesos_proto::v1::task_status::Reason;
use serde_json::{Value, json};

/// A user of a registry, and a password that `X-Registry-Auth` needs the URL-safe alphabet for.
const USER: &str = "tester";
const PASSWORD: &str = "hunter2?>~ü";
/// What no part of a leak could be mistaken for.
const NEEDLE: &str = "hunter2";
/// The deadline of helpers that answer.
const HELPER: Duration = Duration::from_secs(60);

/// A supervisor behind a proxy, and a registry with one user that has an image.
struct Private {
    agent: Supervised,
    proxy: FaultProxy,
    registry: Registry,
    image: String,
}

impl Private {
    /// Makes all of it; `sources` gets the registry's host. `None` where there is no registry's program.
    async fn new(
        engine: &TestEngine,
        hidden: FetchedCredentials,
        sources: impl FnOnce(&str) -> Result<CredentialSources>,
    ) -> Result<Option<Self>> {
        let proxy = FaultProxy::start(engine.socket()).await?;
        let scope = TestScope::new(engine).await?;
        let options = RegistryOptions::user(USER, PASSWORD);
        let Some(registry) = Registry::start_with(&scope, &current_test(), options).await? else {
            return Ok(None);
        };
        let image = registry.offer(TestImage::Busybox, scope.id()).await?;
        let credentials = sources(&registry.host())?;
        let options =
            Options { credentials, fetched_credentials: hidden, ..Options::through(proxy.socket()) };
        let agent = Supervised::with(engine, options).await?;
        Ok(Some(Self { agent, proxy, registry, image }))
    }

    /// A task of the private image.
    fn task(&self, line: &str) -> Task {
        Task::shell(line).image_named(&self.image)
    }

    /// Runs a task to its end.
    async fn run(&self, line: &str) -> Result<(Watched, Terminal)> {
        let mut task = self.agent.launch(&self.task(line))?;
        let end = task.terminal().await?;
        Ok((task, end))
    }

    /// Runs a task into whose sandbox these files come before its image is looked for, as a fetcher would bring them.
    async fn run_with(&self, line: &str, files: &[(&str, &str)]) -> Result<(Watched, Terminal)> {
        let look = self.proxy.add(Rule::new("GET", "/images/*/json", Fault::Hang));
        let mut task = self.agent.launch(&self.task(line))?;
        eventually(
            "the look for the image",
            PATIENCE,
            async || Ok((self.proxy.hits(look) > 0).then_some(())),
        )
        .await?;
        for (file, content) in files {
            let path = task.sandbox().join(file);
            std::fs::create_dir_all(path.parent().context("a parent")?)?;
            std::fs::write(path, content)?;
        }
        self.proxy.remove(look);
        let end = task.terminal().await?;
        Ok((task, end))
    }

    /// How many pulls the engine was asked for.
    fn pulls(&self) -> usize {
        let is_pull =
            |target: &str| target.split('?').next().is_some_and(|path| path.ends_with("/images/create"));
        self.proxy.requests().iter().filter(|request| is_pull(&request.target)).count()
    }

    /// Takes the image from the engine again.
    async fn forget(&self) -> Result<()> {
        let path = format!("/images/{}?noprune=1", self.image);
        self.agent.scope().client().await?.delete(&path).await?.ok().map(drop)
    }

    async fn end(self) -> Result<()> {
        let Self { agent, registry, .. } = self;
        agent.end().await?;
        drop(registry);
        Ok(())
    }
}

fn entry(password: &str) -> Value {
    json!({ "auth": STANDARD.encode(format!("{USER}:{password}")) })
}

/// `config.json` with the entry of one registry.
fn config(host: &str, password: &str) -> String {
    json!({ "auths": { host: entry(password) } }).to_string()
}

fn helpers(path: &Path, timeout: Duration) -> HelperSettings {
    HelperSettings::new(format!("{}:/usr/bin:/bin", path.display()), timeout, 2)
}

/// Sources with an operator's config, whose helpers are nowhere.
fn operator(config: OperatorConfig) -> CredentialSources {
    CredentialSources::with_operator(config, helpers(Path::new("/nonexistent"), HELPER))
}

fn inline(config: &str) -> Result<CredentialSources> {
    Ok(operator(OperatorConfig::inline(config)?))
}

/// Writes a helper `docker-credential-<name>`.
fn write_helper(directory: &Path, name: &str, script: &str) -> Result<()> {
    let path = directory.join(format!("docker-credential-{name}"));
    std::fs::write(&path, format!("#!/bin/sh\n{script}\n"))?;
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o700))?;
    Ok(())
}

fn ran(end: &Terminal) -> Result<()> {
    let message = end.status.message();
    ensure!(end.outcome.state == TaskState::TaskFinished, "{:?}: {message}", end.outcome.state);
    Ok(())
}

/// The sentence of a launch that failed.
fn refusal(end: &Terminal) -> Result<&str> {
    let message = end.status.message();
    ensure!(end.outcome.state == TaskState::TaskFailed, "{:?}: {message}", end.outcome.state);
    ensure!(end.status.reason() == Reason::ContainerLaunchFailed, "{:?}", end.status.reason());
    ensure!(!message.contains(NEEDLE), "a secret is in {message}");
    Ok(message)
}

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

/// Most registries say of an image that credentials do not reach to that it is not there; whose credentials they were
/// is told all the same.
#[tokio::test]
async fn credentials_that_do_not_reach_to_an_image_are_named() -> Result<()> {
    let engine = require_engine!(Ok(()));
    let scope = TestScope::new(&engine).await?;
    // One that asks nobody who they are, so that it is the refusal that comes to an anonymous pull as well.
    let Some(registry) = Registry::start(&scope, &current_test()).await? else { return Ok(()) };
    let registry = registry.behind_proxy().await?;
    let image = registry.publish(scope.id(), "1", &[]).await?;
    let host = image.split('/').next().context("a host")?;
    let denied = json!({ "errors": [{ "code": "DENIED", "message": "not for you" }] }).to_string();
    registry.proxy().add(Rule::new("*", "*/manifests/*", Fault::Replace(403, denied)));
    let anonymous = CredentialSources::sandbox_only();
    for (credentials, hint) in [
        (inline(&config(host, PASSWORD))?, "the credentials of --docker_config do not reach to it"),
        (anonymous, "give credentials for the registry"),
    ] {
        let agent = Supervised::with(&engine, Options { credentials, ..Options::default() }).await?;
        let end = agent.launch(&Task::shell("true").image_named(&image))?.terminal().await?;
        let message = refusal(&end)?;
        assert!(message.contains(hint) && message.contains(host), "{message}");
        assert!(!message.contains(NEEDLE), "{message}");
        agent.end().await?;
    }
    scope.assert_clean().await
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
    pulls.retry.rate_limit = Backoff { from: second, to: second };
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

/// `X-Registry-Auth` is right for every password, at each of the three places that a letter can have in base64.
#[tokio::test]
async fn every_password_reaches_the_registry() -> Result<()> {
    let engine = require_engine!(Ok(()));
    let scope = TestScope::new(&engine).await?;
    let mut passwords = Vec::new();
    for secret in ["?", ">", "~", "ü", "???", "~~~", ">?>", "ÿ/+", "日本", "\"\\", " ", "a:b"] {
        passwords.extend(["", "x", "xx"].map(|before| format!("{before}{secret}!")));
    }
    let users: Vec<_> =
        passwords.into_iter().enumerate().map(|(at, password)| (format!("u{at:02}"), password)).collect();
    let options = RegistryOptions { users: users.clone(), transport: Transport::Plain };
    let Some(registry) = Registry::start_with(&scope, &current_test(), options).await? else { return Ok(()) };
    let image = ImageRef::parse(&registry.publish(scope.id(), "v1", &[]).await?)?;
    let client = Engine::connect(EngineOptions::new(engine.socket())).await?;
    let options = PullOptions { total: Some(PATIENCE), inactivity: PATIENCE, platform: None };
    for (username, password) in users {
        let mut credentials =
            Credentials { username, password, server_address: registry.host(), ..Credentials::default() };
        client
            .pull(&image, Some(&credentials), options, |_| {})
            .await
            .with_context(|| format!("{:?}", credentials.password))?;
        credentials.password.push('.');
        let refused = client.pull(&image, Some(&credentials), options, |_| {}).await;
        ensure!(refused.is_err(), "{:?} was taken", credentials.password);
    }
    let anonymous = client.pull(&image, None, options, |_| {}).await;
    ensure!(anonymous.is_err(), "the registry asks nobody");
    Ok(())
}

/// The engine takes any certificate from the loopback addresses, so nothing on this machine has to be changed for it.
#[tokio::test]
async fn a_registry_with_tls_is_pulled_from() -> Result<()> {
    let engine = require_engine!(Ok(()));
    let scope = TestScope::new(&engine).await?;
    let options = RegistryOptions { transport: Transport::Tls, ..RegistryOptions::user(USER, PASSWORD) };
    let Some(registry) = Registry::start_with(&scope, &current_test(), options).await? else { return Ok(()) };
    let image = registry.offer(TestImage::Busybox, scope.id()).await?;
    let credentials = inline(&config(&format!("https://{}", registry.host()), PASSWORD))?;
    let agent = Supervised::with(&engine, Options { credentials, ..Options::default() }).await?;
    agent.launch(&Task::shell("true").image_named(&image))?.finished().await?;
    agent.end().await
}

#[tokio::test]
async fn the_operators_headers_go_to_the_engine_with_every_request() -> Result<()> {
    let engine = require_engine!(Ok(()));
    let proxy = FaultProxy::start(engine.socket()).await?;
    let config = json!({ "HttpHeaders": { "X-Meta": "v1", "User-Agent": "Docker-Client/18.09.2 (linux)" } });
    let headers: ExtraHeaders = OperatorConfig::inline(&config.to_string())?.headers()?;
    let agent = Supervised::with(&engine, Options { headers, ..Options::through(proxy.socket()) }).await?;
    agent.launch(&Task::shell("true"))?.finished().await?;
    let requests = proxy.requests();
    assert!(requests.len() > 5);
    for request in requests {
        assert_eq!(request.headers.get("x-meta"), Some("v1"), "{request:?}");
        assert!(request.headers.get("user-agent").is_some_and(|agent| agent.starts_with("mesos-docker/")));
    }
    agent.end().await
}

#[tokio::test]
async fn the_operators_proxies_are_in_the_environment_unless_the_task_sets_them() -> Result<()> {
    let engine = require_engine!(Ok(()));
    let config = json!({ "proxies": { "default": { "httpProxy": "http://p.test:1", "noProxy": "n.test" } } });
    let proxies = OperatorConfig::inline(&config.to_string())?.proxies(engine.socket())?;
    let agent = Supervised::with(&engine, Options { proxies, ..Options::default() }).await?;
    let task = Task::shell("env | grep -i _proxy= | sort").change(|info| {
        let environment = info.command.get_or_insert_default().environment.get_or_insert_default();
        environment.variables.push(mesos_proto::v1::environment::Variable {
            name: "no_proxy".into(),
            value: Some("own.test".into()),
            ..Default::default()
        });
    });
    let mut task = agent.launch(&task)?;
    task.finished().await?;
    let mut lines: Vec<_> = task.stdout()?.lines().map(str::to_owned).collect();
    lines.sort_unstable();
    assert_eq!(
        lines,
        ["HTTP_PROXY=http://p.test:1", "NO_PROXY=n.test", "http_proxy=http://p.test:1", "no_proxy=own.test"]
    );
    agent.end().await
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
