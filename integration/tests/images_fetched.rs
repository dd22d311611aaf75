//! Credentials for a pull that the task's own URIs bring: a real fetch, then a pull from a real registry with one user.

use std::path::Path;

use anyhow::{Result, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use docker_containerizer::{CredentialSources, FetchedCredentials};
use flate2::Compression;
use flate2::write::GzEncoder;
use integration::engine::current_test;
use integration::images::TestImage;
use integration::supervised::{Options, Registry, RegistryOptions, Supervised, Task, Watched};
use integration::{TestEngine, TestScope, require_engine};
use mesos_proto::v1;
use mesos_proto::v1::TaskState;
use serde_json::json;
use tempfile::TempDir;

/// A user of a registry, and a password.
const USER: &str = "tester";
const PASSWORD: &str = "hunter2?>~ü";
/// What is never where a task finds it when it is to be hidden.
const NEEDLE: &str = "hunter2";

/// A supervisor, a registry with one user that has an image, and a directory with files to fetch.
struct Private {
    agent: Supervised,
    registry: Registry,
    image: String,
    files: TempDir,
}

impl Private {
    /// Makes all of it; `None` where there is no registry's program.
    async fn new(engine: &TestEngine, hidden: FetchedCredentials) -> Result<Option<Self>> {
        let scope = TestScope::new(engine).await?;
        let options = RegistryOptions::user(USER, PASSWORD);
        let Some(registry) = Registry::start_with(&scope, &current_test(), options).await? else {
            return Ok(None);
        };
        let image = registry.offer(TestImage::Busybox, scope.id()).await?;
        let options = Options {
            credentials: CredentialSources::sandbox_only(),
            fetched_credentials: hidden,
            ..Options::default()
        };
        let agent = Supervised::with(engine, options).await?;
        Ok(Some(Self { agent, registry, image, files: tempfile::tempdir()? }))
    }

    fn entry(&self) -> serde_json::Value {
        json!({ self.registry.host(): { "auth": STANDARD.encode(format!("{USER}:{PASSWORD}")) } })
    }

    fn dockercfg(&self) -> String {
        self.entry().to_string()
    }

    fn config_json(&self) -> String {
        json!({ "auths": self.entry() }).to_string()
    }

    /// Writes a file to fetch and returns its URI.
    fn offer(&self, name: &str, content: impl AsRef<[u8]>) -> Result<String> {
        let path = self.files.path().join(name);
        std::fs::write(&path, content)?;
        Ok(format!("file://{}", path.display()))
    }

    /// Runs a task with these URIs to its end.
    async fn run(&self, line: &str, uris: &[String]) -> Result<(Watched, TaskState, String)> {
        let uri = |value: &String| v1::command_info::Uri { value: value.clone(), ..Default::default() };
        let task = Task::shell(line).image_named(&self.image).change(|info| {
            info.command.get_or_insert_default().uris = uris.iter().map(uri).collect();
        });
        let mut task = self.agent.launch(&task)?;
        let end = task.terminal().await?;
        let message = end.status.message().to_owned();
        Ok((task, end.outcome.state, message))
    }

    async fn end(self) -> Result<()> {
        let Self { agent, registry, .. } = self;
        agent.end().await?;
        drop(registry);
        Ok(())
    }
}

/// The bytes of a `.tar.gz` of these files.
fn tar_gz(files: &[(&str, &str)]) -> Result<Vec<u8>> {
    let mut archive = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::fast()));
    for (name, text) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(text.len() as u64);
        header.set_mode(0o600);
        archive.append_data(&mut header, name, text.as_bytes())?;
    }
    Ok(archive.into_inner()?.finish()?)
}

fn ran(state: TaskState, message: &str) -> Result<()> {
    ensure!(state == TaskState::TaskFinished, "{state:?}: {message}");
    Ok(())
}

/// Peer: Own.SandboxDockerConfig.
#[tokio::test(flavor = "multi_thread")]
async fn a_private_image_is_pulled_with_a_fetched_dockercfg() -> Result<()> {
    let engine = require_engine!(Ok(()));
    let Some(test) = Private::new(&engine, FetchedCredentials::Stay).await? else { return Ok(()) };
    // The image is nobody's without it.
    let (_, state, message) = test.run("true", &[]).await?;
    ensure!(state == TaskState::TaskFailed && message.contains("no credentials"), "{state:?}: {message}");
    let uri = test.offer(".dockercfg", test.dockercfg())?;
    let (task, state, message) = test.run("cat $MESOS_SANDBOX/.dockercfg", &[uri]).await?;
    ran(state, &message)?;
    // Without --docker_hide_credentials the task finds what it brought, as in Mesos.
    assert_eq!(task.stdout()?, test.dockercfg());
    test.end().await
}

/// Peer: Own.SandboxDockerConfig.
#[tokio::test(flavor = "multi_thread")]
async fn a_private_image_is_pulled_with_the_config_of_a_fetched_archive() -> Result<()> {
    let engine = require_engine!(Ok(()));
    let Some(test) = Private::new(&engine, FetchedCredentials::Stay).await? else { return Ok(()) };
    let archive = tar_gz(&[(".docker/config.json", &test.config_json())])?;
    let uri = test.offer("docker.tar.gz", archive)?;
    let line = "cd $MESOS_SANDBOX; ls docker.tar.gz; cat .docker/config.json";
    let (task, state, message) = test.run(line, &[uri]).await?;
    ran(state, &message)?;
    assert_eq!(task.stdout()?, format!("docker.tar.gz\n{}", test.config_json()));
    test.end().await
}

#[tokio::test(flavor = "multi_thread")]
async fn hidden_credentials_and_their_archive_are_gone_before_the_task_starts() -> Result<()> {
    let engine = require_engine!(Ok(()));
    let Some(test) = Private::new(&engine, FetchedCredentials::Hidden).await? else { return Ok(()) };
    let with = tar_gz(&[(".docker/config.json", &test.config_json()), ("brought", "with")])?;
    let without = tar_gz(&[("also", "without"), ("app/config.json", "the app's own")])?;
    let uris = [test.offer("docker.tar.gz", with)?, test.offer("other.tar.gz", without)?];
    let (task, state, message) = test.run("cd $MESOS_SANDBOX; find . -type f | sort", &uris).await?;
    ran(state, &message)?;
    let stdout = task.stdout()?;
    let seen: Vec<_> = stdout.lines().filter(|line| !line.starts_with("./std")).collect();
    assert_eq!(seen, ["./also", "./app/config.json", "./brought", "./other.tar.gz"]);
    search(&task.sandbox())?;
    test.end().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hidden_dockercfg_is_gone_before_the_task_starts() -> Result<()> {
    let engine = require_engine!(Ok(()));
    let Some(test) = Private::new(&engine, FetchedCredentials::Hidden).await? else { return Ok(()) };
    let uri = test.offer(".dockercfg", test.dockercfg())?;
    let (task, state, message) = test.run("ls -A $MESOS_SANDBOX", &[uri]).await?;
    ran(state, &message)?;
    assert_eq!(task.stdout()?, "stderr\nstdout\n");
    search(&task.sandbox())?;
    test.end().await
}

/// Fails when a file of a sandbox has the password, as it is or encoded.
fn search(directory: &Path) -> Result<()> {
    let encoded = STANDARD.encode(format!("{USER}:{PASSWORD}"));
    for entry in std::fs::read_dir(directory)? {
        let path = entry?.path();
        if path.is_dir() && !path.is_symlink() {
            search(&path)?;
        } else if path.is_file() {
            let content = String::from_utf8_lossy(&std::fs::read(&path)?).into_owned();
            let found = content.contains(NEEDLE) || content.contains(&encoded);
            ensure!(!found, "a secret is in {}", path.display());
        }
    }
    Ok(())
}
