//! Owns the identity of one test on the engine, and the removal of everything made under it, also when the test
//! panics. Each test makes a [`TestScope`] of its own, so tests never meet each other's things.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::engine::{self, Lifetime, TestEngine};
use crate::images::{self, TestImage};
use crate::processes::{Left, Mark};
use crate::raw::RawClient;

/// The label on whatever a test makes by hand; its value is the scope's id.
pub const SCOPE_LABEL: &str = "mesos-test.scope";
/// The environment variable that names a file to which each scope's id is appended; `scripts/test` knows by it what on a
/// shared engine is of its own run.
const SCOPE_LOG: &str = "MESOS_TEST_SCOPE_LOG";
/// The label that the containerizer puts on its containers.
const AGENT_LABEL: &str = "org.apache.mesos.agent_id";
/// How long one request of a sweep may take.
const DEADLINE: Duration = Duration::from_secs(60);

/// The identity of one test: an agent id, a label, a prefix for names, and a short directory of its own.
///
/// Dropping it ends the processes of tasks without an image, and removes all containers (by label, by agent label, by name),
/// volumes and networks of the test, and panics if that fails. On a private engine it leaves the latter to the engine's own
/// removal.
#[derive(Debug)]
pub struct TestScope {
    engine: TestEngine,
    id: String,
    dir: TempDir,
    left: Left,
}

/// What a sweep found and removed, by name.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Swept {
    /// Containers, by name.
    pub containers: Vec<String>,
    /// Volumes, by name.
    pub volumes: Vec<String>,
    /// Networks, by name.
    pub networks: Vec<String>,
}

impl TestScope {
    /// Makes a scope on the engine and makes sure that the test images are there.
    ///
    /// # Errors
    ///
    /// The directory can't be made or the images can't be loaded.
    pub async fn new(engine: &TestEngine) -> Result<Self> {
        images::ensure(engine.socket()).await?;
        let id = format!("it{}", &uuid::Uuid::new_v4().simple().to_string()[..12]);
        let dir = tempfile::Builder::new().prefix("mts-").tempdir().context("make the test's directory")?;
        engine::note(SCOPE_LOG, &format!("{id}\n"));
        Ok(Self { engine: engine.clone(), id, dir, left: Left::Nothing })
    }

    /// Returns the scope's id; it is a valid container, volume and network name and a valid label value.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Returns the agent id that the test gives to the code under test.
    pub fn agent_id(&self) -> String {
        format!("{}-S0", self.id)
    }

    /// Returns a name for a thing of the test: the id, a dash, the suffix.
    pub fn name(&self, suffix: &str) -> String {
        format!("{}-{suffix}", self.id)
    }

    /// Returns the name of the control group for tasks of the test, in each hierarchy; it goes with the scope.
    pub fn cgroups_root(&self) -> String {
        format!("mesos-test-{}", self.id)
    }

    /// Has the scope's end not wait for tasks without an image to end by themselves, for a test that leaves some.
    pub fn leaves_tasks(&mut self) {
        self.left = Left::Tasks;
    }

    /// Returns the test's directory.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// Makes a directory below the test's, as a work_dir or a sandbox, and returns its path.
    ///
    /// # Errors
    ///
    /// The directory can't be made.
    pub fn subdir(&self, name: &str) -> Result<PathBuf> {
        let path = self.dir.path().join(name);
        std::fs::create_dir_all(&path).with_context(|| format!("make {}", path.display()))?;
        Ok(path)
    }

    /// Returns the engine.
    pub fn engine(&self) -> &TestEngine {
        &self.engine
    }

    /// Returns a bare client of the engine.
    ///
    /// # Errors
    ///
    /// The engine doesn't answer.
    pub async fn client(&self) -> Result<RawClient> {
        self.engine.client().await
    }

    /// Returns the labels that put a container, volume or network into this scope.
    pub fn labels(&self) -> Value {
        json!({ SCOPE_LABEL: self.id })
    }

    /// Creates and starts a container of the scope on the host network by hand, and returns its id.
    ///
    /// # Errors
    ///
    /// The engine refuses either.
    pub async fn run(&self, suffix: &str, image: TestImage, command: &[&str]) -> Result<String> {
        let mut client = self.client().await?;
        let body = json!({
            "Image": image.reference(),
            "Cmd": command,
            "Labels": self.labels(),
            "HostConfig": { "NetworkMode": "host" },
        });
        let path = format!("/containers/create?name={}", self.name(suffix));
        let created = client.post(&path, &body).await?.json()?;
        let id = created["Id"].as_str().context("an answer without an id")?.to_owned();
        client.post_empty(&format!("/containers/{id}/start")).await?.ok()?;
        Ok(id)
    }

    /// Lists what of this test is on the engine now, and removes nothing.
    ///
    /// # Errors
    ///
    /// The engine doesn't answer.
    pub async fn leftovers(&self) -> Result<Swept> {
        let mut client = self.client().await?.with_deadline(DEADLINE);
        Found::list(&mut client, &self.id).await.map(|found| found.0)
    }

    /// Removes what is left of this test, and tells what that was.
    ///
    /// # Errors
    ///
    /// The engine doesn't answer, or something is still there afterwards.
    pub async fn sweep(&self) -> Result<Swept> {
        sweep(self.engine.socket(), &self.id).await
    }

    /// Ends the test: nothing of it may be left on the engine.
    ///
    /// # Errors
    ///
    /// Something was left; it is named, and removed when the scope is dropped.
    pub async fn assert_clean(&self) -> Result<()> {
        let left = self.leftovers().await?;
        ensure!(left == Swept::default(), "the code under test left behind: {left:?}");
        Ok(())
    }
}

impl Drop for TestScope {
    fn drop(&mut self) {
        Mark::new(self.dir(), &self.cgroups_root()).sweep(self.left);
        if self.engine.lifetime() == Lifetime::Private {
            return;
        }
        let socket = self.engine.socket().to_owned();
        let id = self.id.clone();
        // A runtime of its own on a thread of its own, as this may run inside one or while unwinding.
        let swept = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            runtime.block_on(sweep(&socket, &id))
        })
        .join();
        let failure = match swept {
            Ok(Ok(_)) => return,
            Ok(Err(error)) => format!("sweep of {}: {error:#}", self.id),
            Err(_) => format!("sweep of {}: panicked", self.id),
        };
        // What stays behind fails the test that made it, unless that has failed already.
        assert!(std::thread::panicking(), "{failure}");
        eprintln!("{failure}");
    }
}

/// Removes every container, volume and network of a scope from the engine at `socket`.
///
/// # Errors
///
/// The engine doesn't answer, or something is still there afterwards.
pub async fn sweep(socket: &Path, id: &str) -> Result<Swept> {
    let mut client = RawClient::new(socket).with_deadline(DEADLINE);
    client.negotiate().await?;
    let mut swept = Swept::default();
    // Again and again: a removal may be refused while a create or start is under way, and a request that a test gave
    // up may make something after the first look.
    crate::eventually(&format!("the removal of all of {id}"), DEADLINE, async || {
        let Found(left, container_ids) = Found::list(&mut client, id).await?;
        for container in &container_ids {
            client.delete(&format!("/containers/{container}?force=1&v=1")).await?;
        }
        for volume in &left.volumes {
            client.delete(&format!("/volumes/{volume}?force=1")).await?;
        }
        for network in &left.networks {
            client.delete(&format!("/networks/{network}")).await?;
        }
        let is_clean = left == Swept::default();
        swept.add(left);
        Ok(is_clean.then_some(()))
    })
    .await?;
    Ok(swept)
}

impl Swept {
    fn add(&mut self, other: Self) {
        for (names, more) in [
            (&mut self.containers, other.containers),
            (&mut self.volumes, other.volumes),
            (&mut self.networks, other.networks),
        ] {
            for name in more {
                if !names.contains(&name) {
                    names.push(name);
                }
            }
        }
    }
}

/// What a look found: names for people, and the ids of the containers.
struct Found(Swept, Vec<String>);

impl Found {
    async fn list(client: &mut RawClient, id: &str) -> Result<Self> {
        let mut swept = Swept::default();
        let mut ids = Vec::new();
        for filter in [
            json!({ "label": [format!("{SCOPE_LABEL}={id}")] }),
            json!({ "label": [format!("{AGENT_LABEL}={id}-S0")] }),
            json!({ "name": [id] }),
        ] {
            let path = format!("/containers/json?all=1&filters={}", encode(&filter.to_string()));
            for container in client.get(&path).await?.json()?.as_array().into_iter().flatten() {
                let found = container["Id"].as_str().context("a container without an id")?.to_owned();
                if !ids.contains(&found) {
                    swept.containers.push(container["Names"][0].as_str().unwrap_or(&found).to_owned());
                    ids.push(found);
                }
            }
        }
        for filter in [json!({ "label": [format!("{SCOPE_LABEL}={id}")] }), json!({ "name": [id] })] {
            let filter = encode(&filter.to_string());
            let volumes = client.get(&format!("/volumes?filters={filter}")).await?.json()?;
            collect(&volumes["Volumes"], &mut swept.volumes);
            let networks = client.get(&format!("/networks?filters={filter}")).await?.json()?;
            collect(&networks, &mut swept.networks);
        }
        Ok(Self(swept, ids))
    }
}

fn collect(things: &Value, names: &mut Vec<String>) {
    for name in things.as_array().into_iter().flatten().filter_map(|thing| thing["Name"].as_str()) {
        if !names.iter().any(|known| known == name) {
            names.push(name.to_owned());
        }
    }
}

/// Percent-encodes a query value.
fn encode(text: &str) -> String {
    text.bytes()
        .map(|byte| match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' => char::from(byte).to_string(),
            _ => format!("%{byte:02X}"),
        })
        .collect()
}
