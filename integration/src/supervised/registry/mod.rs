//! Owns an image registry of a test's own, and the removal of the images that came from it.
//!
//! * [`Registry::offer`] pushes a test image through the engine, as a person would;
//! * [`Registry::publish`] puts an image there past the engine, so that the engine has none of its layers.
//! * [`Registry::behind_proxy`] puts a proxy before it that fails on demand.

mod config;
mod proxied;
mod publish;

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;

use anyhow::{Context as _, Result, bail};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE;
use serde_json::json;
use tempfile::TempDir;

use crate::engine::{REQUIRE, skip};
use crate::eventually;
use crate::images::TestImage;
use crate::ports::free_port;
use crate::raw::RawClient;
use crate::sweep::TestScope;

use super::PATIENCE;

pub use config::{RegistryOptions, Transport};
pub use proxied::ProxiedRegistry;
pub use publish::Layer;

/// The program.
const PROGRAM: &str = "docker-registry";
/// How often another port is tried, when somebody takes the one that was free.
const TRIES: usize = 5;

/// A registry on a port of its own. Dropping it ends it and removes its images from the engine.
#[derive(Debug)]
pub struct Registry {
    socket: PathBuf,
    port: u16,
    options: RegistryOptions,
    child: Child,
    references: Mutex<Vec<String>>,
    /// Holds the registry's storage; removed last.
    _dir: TempDir,
}

impl Registry {
    /// Starts a registry that asks nobody who they are, or says that the test is skipped, for there is no such program
    /// here.
    ///
    /// # Errors
    ///
    /// It doesn't answer in time.
    ///
    /// # Panics
    ///
    /// There is none and the environment says that there must be ([`REQUIRE`]).
    pub async fn start(scope: &TestScope, test: &str) -> Result<Option<Self>> {
        Self::start_with(scope, test, RegistryOptions::default()).await
    }

    /// As [`Registry::start`], with users, or with TLS.
    ///
    /// # Errors
    ///
    /// It doesn't answer in time, or its certificate can't be made.
    ///
    /// # Panics
    ///
    /// As [`Registry::start`].
    pub async fn start_with(scope: &TestScope, test: &str, options: RegistryOptions) -> Result<Option<Self>> {
        for _ in 0..TRIES {
            let dir = tempfile::Builder::new()
                .prefix("mreg-")
                .tempdir()
                .context("make the registry's directory")?;
            let port = free_port()?;
            let config = config::write(dir.path(), port, &options)?;
            let child = Command::new(PROGRAM)
                .arg("serve")
                .arg(config)
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn();
            let child = match child {
                Ok(child) => child,
                Err(error) => {
                    let reason = format!("{PROGRAM} cannot be started: {error}");
                    assert!(std::env::var(REQUIRE).as_deref() != Ok("1"), "{test}: {reason}");
                    skip(test, &reason);
                    return Ok(None);
                }
            };
            let socket = scope.engine().socket().to_owned();
            let references = Mutex::default();
            let options = options.clone();
            let mut registry = Self { socket, port, options, child, references, _dir: dir };
            if registry.answers().await? {
                return Ok(Some(registry));
            }
        }
        bail!("{PROGRAM} did not start on any of {TRIES} ports")
    }

    /// Returns host and port, as references begin.
    pub fn host(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Notes a reference, whose image is removed from the engine in the end.
    fn note(&self, reference: &str) {
        self.references.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push(reference.to_owned());
    }

    /// Returns the value of the header that a push must carry: the first user's credentials, or those of nobody.
    fn auth(&self) -> String {
        let credentials = match self.options.users.first() {
            Some((user, password)) => json!({ "username": user, "password": password }),
            None => json!({}),
        };
        URL_SAFE.encode(credentials.to_string())
    }

    /// Pushes a test image under a name of this registry, takes that name from the engine, and returns it.
    ///
    /// # Errors
    ///
    /// The engine or the registry refuses.
    pub async fn offer(&self, image: TestImage, name: &str) -> Result<String> {
        let repository = format!("{}/{name}", self.host());
        let reference = format!("{repository}:latest");
        self.note(&reference);
        let mut client = RawClient::new(&self.socket).with_deadline(PATIENCE);
        client.negotiate().await?;
        let tag = format!("/images/{}/tag?repo={repository}&tag=latest", image.reference());
        client.post_empty(&tag).await?.ok()?;
        let push = format!("/images/{repository}/push?tag=latest");
        let mut answer = client.stream("POST", &push, &[("X-Registry-Auth", &self.auth())], None).await?;
        let mut text = Vec::new();
        while let Some(piece) = answer.next().await? {
            text.extend_from_slice(&piece);
        }
        let text = String::from_utf8_lossy(&text);
        if answer.head.status != 200 || text.contains("\"error\"") {
            bail!("the push of {reference} failed: {} {text}", answer.head.status);
        }
        client.delete(&format!("/images/{reference}?noprune=1")).await?.ok()?;
        Ok(reference)
    }

    /// Waits until the registry answers; `false` when it ended instead, as it does on a port that is taken.
    async fn answers(&mut self) -> Result<bool> {
        let port = self.port;
        let child = &mut self.child;
        eventually("the registry", PATIENCE, async || {
            if child.try_wait().context("look at the registry")?.is_some() {
                return Ok(Some(false));
            }
            Ok(tokio::net::TcpStream::connect(("127.0.0.1", port)).await.is_ok().then_some(true))
        })
        .await
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        // Ours alone: the child was started by us and not waited for yet.
        if let Err(error) = self.child.kill().and_then(|()| self.child.wait().map(drop)) {
            eprintln!("the registry was not ended: {error}");
        }
        let (socket, host) = (self.socket.clone(), self.host());
        let references = std::mem::take(&mut self.references);
        let removed = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            let references = references.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
            runtime.block_on(remove(&socket, &host, &references))
        })
        .join();
        match removed {
            Ok(Ok(())) => {}
            Ok(Err(error)) => eprintln!("an image of the registry stays: {error:#}"),
            Err(_) => eprintln!("an image of the registry stays"),
        }
    }
}

/// Removes the images of these references, and those that lost their tag to a later one.
async fn remove(socket: &Path, host: &str, references: &[String]) -> Result<()> {
    let mut client = RawClient::new(socket);
    client.negotiate().await?;
    for reference in references {
        // 404 is as good: the test had removed it.
        client.delete(&format!("/images/{reference}?noprune=1&force=1")).await?;
    }
    let images = client.get("/images/json").await?.ok()?.json()?;
    let digests = images.as_array().into_iter().flatten().flat_map(|image| image["RepoDigests"].as_array());
    for digest in digests.flatten().filter_map(serde_json::Value::as_str) {
        if digest.strip_prefix(host).is_some_and(|rest| rest.starts_with('/')) {
            client.delete(&format!("/images/{digest}?noprune=1&force=1")).await?;
        }
    }
    Ok(())
}
