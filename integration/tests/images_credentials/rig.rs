//! A registry that asks who one is, a supervisor with credentials for it, and what the tests say of the end of a task.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use docker_containerizer::{CredentialSources, FetchedCredentials, HelperSettings, OperatorConfig};
use integration::engine::current_test;
use integration::images::TestImage;
use integration::supervised::{
    Options, PATIENCE, Registry, RegistryOptions, Supervised, Task, Terminal, Watched,
};
use integration::{Fault, FaultProxy, Rule, TestEngine, TestScope, eventually};
use mesos_proto::v1::TaskState;
use mesos_proto::v1::task_status::Reason;
use serde_json::{Value, json};

/// A user of a registry, and a password that `X-Registry-Auth` needs the URL-safe alphabet for.
pub(crate) const USER: &str = "tester";
pub(crate) const PASSWORD: &str = "hunter2?>~ü";
/// What no part of a leak could be mistaken for.
pub(crate) const NEEDLE: &str = "hunter2";
/// The deadline of helpers that answer.
pub(crate) const HELPER: Duration = Duration::from_secs(60);

/// A supervisor behind a proxy, and a registry with one user that has an image.
pub(crate) struct Private {
    pub(crate) agent: Supervised,
    pub(crate) proxy: FaultProxy,
    pub(crate) registry: Registry,
    pub(crate) image: String,
}

impl Private {
    /// Makes all of it; `sources` gets the registry's host. `None` where there is no registry's program.
    pub(crate) async fn new(
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
    pub(crate) fn task(&self, line: &str) -> Task {
        Task::shell(line).image_named(&self.image)
    }

    /// Runs a task to its end.
    pub(crate) async fn run(&self, line: &str) -> Result<(Watched, Terminal)> {
        let mut task = self.agent.launch(&self.task(line))?;
        let end = task.terminal().await?;
        Ok((task, end))
    }

    /// Runs a task into whose sandbox these files come before its image is looked for, as a fetcher would bring them.
    pub(crate) async fn run_with(&self, line: &str, files: &[(&str, &str)]) -> Result<(Watched, Terminal)> {
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
    pub(crate) fn pulls(&self) -> usize {
        let is_pull =
            |target: &str| target.split('?').next().is_some_and(|path| path.ends_with("/images/create"));
        self.proxy.requests().iter().filter(|request| is_pull(&request.target)).count()
    }

    /// Takes the image from the engine again.
    pub(crate) async fn forget(&self) -> Result<()> {
        let path = format!("/images/{}?noprune=1", self.image);
        self.agent.scope().client().await?.delete(&path).await?.ok().map(drop)
    }

    pub(crate) async fn end(self) -> Result<()> {
        let Self { agent, registry, .. } = self;
        agent.end().await?;
        drop(registry);
        Ok(())
    }
}

pub(crate) fn entry(password: &str) -> Value {
    json!({ "auth": STANDARD.encode(format!("{USER}:{password}")) })
}

/// `config.json` with the entry of one registry.
pub(crate) fn config(host: &str, password: &str) -> String {
    json!({ "auths": { host: entry(password) } }).to_string()
}

pub(crate) fn helpers(path: &Path, timeout: Duration) -> HelperSettings {
    HelperSettings::new(format!("{}:/usr/bin:/bin", path.display()), timeout, 2)
}

/// Sources with an operator's config, whose helpers are nowhere.
pub(crate) fn operator(config: OperatorConfig) -> CredentialSources {
    CredentialSources::with_operator(config, helpers(Path::new("/nonexistent"), HELPER))
}

pub(crate) fn inline(config: &str) -> Result<CredentialSources> {
    Ok(operator(OperatorConfig::inline(config)?))
}

/// Writes a helper `docker-credential-<name>`.
pub(crate) fn write_helper(directory: &Path, name: &str, script: &str) -> Result<()> {
    let path = directory.join(format!("docker-credential-{name}"));
    std::fs::write(&path, format!("#!/bin/sh\n{script}\n"))?;
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o700))?;
    Ok(())
}

pub(crate) fn ran(end: &Terminal) -> Result<()> {
    let message = end.status.message();
    ensure!(end.outcome.state == TaskState::TaskFinished, "{:?}: {message}", end.outcome.state);
    Ok(())
}

/// The sentence of a launch that failed.
pub(crate) fn refusal(end: &Terminal) -> Result<&str> {
    let message = end.status.message();
    ensure!(end.outcome.state == TaskState::TaskFailed, "{:?}: {message}", end.outcome.state);
    ensure!(end.status.reason() == Reason::ContainerLaunchFailed, "{:?}", end.status.reason());
    ensure!(!message.contains(NEEDLE), "a secret is in {message}");
    Ok(message)
}
