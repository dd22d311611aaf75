//! Owns an image registry of a test's own, and the removal of the images that came from it.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;

use anyhow::{Context as _, Result, bail};
use tempfile::TempDir;

use crate::engine::{REQUIRE, skip};
use crate::eventually;
use crate::images::TestImage;
use crate::raw::RawClient;
use crate::sweep::TestScope;

use super::PATIENCE;

/// The program.
const PROGRAM: &str = "docker-registry";
/// How often another port is tried, when somebody takes the one that was free.
const TRIES: usize = 5;
/// The credentials of nobody, in the form that a push must carry.
const ANONYMOUS: (&str, &str) = ("X-Registry-Auth", "e30=");

/// A registry on a port of its own. Dropping it ends it and removes its images from the engine.
#[derive(Debug)]
pub struct Registry {
    socket: PathBuf,
    port: u16,
    child: Child,
    references: Mutex<Vec<String>>,
    /// Holds the registry's storage; removed last.
    _dir: TempDir,
}

impl Registry {
    /// Starts a registry, or says that the test is skipped, for there is no such program here.
    ///
    /// # Errors
    ///
    /// It doesn't answer in time.
    ///
    /// # Panics
    ///
    /// There is none and the environment says that there must be ([`REQUIRE`]).
    pub async fn start(scope: &TestScope, test: &str) -> Result<Option<Self>> {
        for _ in 0..TRIES {
            let dir = tempfile::Builder::new()
                .prefix("mreg-")
                .tempdir()
                .context("make the registry's directory")?;
            let port = free_port()?;
            let config = write_config(dir.path(), port)?;
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
            let mut registry = Self { socket, port, child, references: Mutex::default(), _dir: dir };
            if registry.answers().await? {
                return Ok(Some(registry));
            }
        }
        bail!("{PROGRAM} did not start on any of {TRIES} ports")
    }

    /// Pushes a test image under a name of this registry, takes that name from the engine, and returns it.
    ///
    /// # Errors
    ///
    /// The engine or the registry refuses.
    pub async fn offer(&self, image: TestImage, name: &str) -> Result<String> {
        let repository = format!("127.0.0.1:{}/{name}", self.port);
        let reference = format!("{repository}:latest");
        self.references.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push(reference.clone());
        let mut client = RawClient::new(&self.socket).with_deadline(PATIENCE);
        client.negotiate().await?;
        let tag = format!("/images/{}/tag?repo={repository}&tag=latest", image.reference());
        client.post_empty(&tag).await?.ok()?;
        let push = format!("/images/{repository}/push?tag=latest");
        let mut answer = client.stream("POST", &push, &[ANONYMOUS], None).await?;
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
        let (socket, references) = (self.socket.clone(), std::mem::take(&mut self.references));
        let removed = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            let references = references.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
            runtime.block_on(remove(&socket, &references))
        })
        .join();
        match removed {
            Ok(Ok(())) => {}
            Ok(Err(error)) => eprintln!("an image of the registry stays: {error:#}"),
            Err(_) => eprintln!("an image of the registry stays"),
        }
    }
}

async fn remove(socket: &Path, references: &[String]) -> Result<()> {
    let mut client = RawClient::new(socket);
    client.negotiate().await?;
    for reference in references {
        // 404 is as good: the test had removed it.
        client.delete(&format!("/images/{reference}?noprune=1&force=1")).await?;
    }
    Ok(())
}

fn write_config(dir: &Path, port: u16) -> Result<PathBuf> {
    let path = dir.join("config.yml");
    let storage = dir.join("storage");
    let text = format!(
        "version: 0.1\nlog: {{level: error, accesslog: {{disabled: true}}}}\n\
         storage: {{filesystem: {{rootdirectory: \"{}\"}}}}\nhttp: {{addr: \"127.0.0.1:{port}\"}}\n",
        storage.display()
    );
    std::fs::write(&path, text).with_context(|| format!("write {}", path.display()))?;
    Ok(path)
}

/// Returns a port that was free a moment ago.
fn free_port() -> Result<u16> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).context("find a free port")?;
    Ok(listener.local_addr()?.port())
}
