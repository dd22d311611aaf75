//! Our `mesos-agent` in a container, of the image that `scripts/image` makes: started, stopped, removed and replaced.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::engine::TestEngine;
use crate::images::{hex, hold_lock};
use crate::raw::RawClient;
use crate::reference::Master;
use crate::{TestScope, eventually};

use super::{free_port, program};

/// The label that tells which programs an image was made from.
const CONTENT_LABEL: &str = "mesos-test.agent-content";

/// The programs in the image.
const PROGRAMS: [&str; 3] = ["mesos-agent", "mesos-fetcher", "mesos-containerizer"];

/// How long anything may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// An agent's container, to be. Dropping it removes nothing: the scope sweeps.
#[derive(Debug)]
pub struct Contained {
    name: String,
    image: String,
    work_dir: PathBuf,
    flags: Vec<String>,
    engine: TestEngine,
    labels: Value,
    port: u16,
}

/// How an agent's container ended.
#[derive(Debug)]
pub struct Ended {
    /// Its exit code.
    pub status: i64,
    /// What it has said.
    pub log: String,
}

impl Contained {
    /// An agent for a master, that is not started; its work directory is the scope's `agent`.
    ///
    /// # Errors
    ///
    /// The image cannot be made.
    pub async fn prepare(scope: &TestScope, master: &str, flags: &[&str]) -> Result<Self> {
        let image = image(scope.engine()).await?;
        let work_dir = scope.subdir("agent")?.canonicalize()?;
        let port = free_port()?;
        let own = [
            format!("--master={master}"),
            format!("--work_dir={}", work_dir.display()),
            format!("--docker_socket={}", scope.engine().socket().display()),
            format!("--port={port}"),
            "--ip=127.0.0.1".into(),
            "--hostname=127.0.0.1".into(),
            "--containerizers=docker,mesos".into(),
            "--registration_backoff_factor=10ms".into(),
            "--resources=cpus:16;mem:8192;disk:8192;ports:[31000-31999]".into(),
            "--docker_remove_delay=0secs".into(),
        ];
        let flags = own.into_iter().chain(flags.iter().map(|flag| (*flag).to_owned())).collect();
        let (name, labels) = (scope.name("agent"), scope.labels());
        Ok(Self { name, image, work_dir, flags, engine: scope.engine().clone(), labels, port })
    }

    /// The container's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The flags that `packaging/container/run` does not give itself.
    pub fn flags_of_the_example(&self) -> impl Iterator<Item = &str> {
        let own = ["--work_dir=", "--docker_socket=", "--docker_mesos_image=", "--containerizers="];
        let flags = self.flags.iter().map(String::as_str);
        flags.filter(move |flag| !own.iter().any(|own| flag.starts_with(own)))
    }

    /// The image's name.
    pub fn image(&self) -> &str {
        &self.image
    }

    /// The work directory.
    pub fn work_dir(&self) -> &Path {
        &self.work_dir
    }

    /// Adds a flag for the next start.
    pub fn add_flag(&mut self, flag: &str) {
        self.flags.push(flag.to_owned());
    }

    /// The request that makes a right container: what `docs/agent-in-a-container.md` says.
    pub fn request(&self) -> Value {
        let sockets = self.engine.socket().parent().unwrap_or(Path::new("/")).display().to_string();
        let work_dir = self.work_dir.display();
        json!({
            "Image": self.image,
            "Cmd": self.flags,
            "Labels": self.labels,
            // With a terminal the log comes as it is.
            "Tty": true,
            "HostConfig": {
                "NetworkMode": "host",
                "PidMode": "host",
                "CgroupnsMode": "host",
                "CapAdd": ["SYS_ADMIN", "SYS_PTRACE"],
                "Binds": [
                    "/sys/fs/cgroup:/sys/fs/cgroup:ro",
                    format!("{work_dir}:{work_dir}"),
                    format!("{sockets}:{sockets}"),
                ],
            },
        })
    }

    /// Makes and starts a container from a request.
    ///
    /// # Errors
    ///
    /// The engine refuses it.
    pub async fn start(&self, request: &Value) -> Result<()> {
        let mut client = self.client().await?;
        client.post(&format!("/containers/create?name={}", self.name), request).await?.json()?;
        self.start_again().await
    }

    /// Starts a stopped container again.
    ///
    /// # Errors
    ///
    /// The engine refuses it.
    pub async fn start_again(&self) -> Result<()> {
        self.client().await?.post_empty(&format!("/containers/{}/start", self.name)).await?.ok().map(drop)
    }

    /// Stops it, as `docker stop` does.
    ///
    /// # Errors
    ///
    /// It does not end well within its grace.
    pub async fn stop(&self) -> Result<()> {
        self.client().await?.post_empty(&format!("/containers/{}/stop?t=20", self.name)).await?.ok()?;
        let ended = self.ended().await?;
        ensure!(ended.status == 0, "the agent ended with {}: {}", ended.status, ended.log);
        Ok(())
    }

    /// Removes it, killed first if it runs, with its anonymous volumes, as `docker rm -f -v` does.
    ///
    /// # Errors
    ///
    /// The engine refuses it.
    pub async fn remove(&self) -> Result<()> {
        let path = format!("/containers/{}?force=1&v=1", self.name);
        self.client().await?.delete(&path).await?.ok().map(drop)
    }

    /// Waits for its end.
    ///
    /// # Errors
    ///
    /// It does not end in time.
    pub async fn ended(&self) -> Result<Ended> {
        let mut client = self.client().await?;
        let path = format!("/containers/{}/json", self.name);
        let status = eventually("the agent's container to end", PATIENCE, async || {
            let state = client.get(&path).await?.json()?["State"].clone();
            Ok(if state["Running"] == false { state["ExitCode"].as_i64() } else { None })
        });
        let status = match status.await {
            Ok(status) => status,
            Err(error) => return Err(error.context(self.log().await?)),
        };
        Ok(Ended { status, log: self.log().await? })
    }

    /// The number of its process.
    ///
    /// # Errors
    ///
    /// It does not run.
    pub async fn process(&self) -> Result<i64> {
        let path = format!("/containers/{}/json", self.name);
        let state = self.client().await?.get(&path).await?.json()?["State"].take();
        ensure!(state["Running"] == true, "the agent's container does not run: {state}");
        state["Pid"].as_i64().context("a pid")
    }

    /// Waits until the master knows it as registered and active, which it became after this was asked for the last time.
    ///
    /// # Errors
    ///
    /// It does not in time.
    pub async fn registered(&self, master: &Master) -> Result<()> {
        let waited = eventually("the agent's registration", PATIENCE, async || {
            let log = self.log().await?;
            ensure!(!log.contains("mesos-agent: "), "{log}");
            Ok(log.contains("registered agent_id").then_some(()))
        });
        if let Err(error) = waited.await {
            return Err(error.context(self.log().await?));
        }
        master.agent().await.map(drop)
    }

    /// What it has said since it was made.
    ///
    /// # Errors
    ///
    /// The engine does not answer.
    pub async fn log(&self) -> Result<String> {
        let path = format!("/containers/{}/logs?stdout=1&stderr=1", self.name);
        Ok(plain(&self.client().await?.get(&path).await?.ok()?.text()))
    }

    /// Reads a JSON page of the agent.
    ///
    /// # Errors
    ///
    /// There is no answer, or it is not JSON.
    pub async fn get(&self, path: &str) -> Result<Value> {
        crate::reference::get(self.port, path).await
    }

    async fn client(&self) -> Result<RawClient> {
        Ok(self.engine.client().await?.with_deadline(PATIENCE))
    }
}

/// A text without the colours that a terminal gets.
fn plain(text: &str) -> String {
    let mut parts = text.split('\u{1b}');
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |text, part| text + part.split_once('m').map_or(part, |(_, rest)| rest))
}

/// Makes sure that the engine has the agent's image, made from the programs beside the tests, and returns its name.
async fn image(engine: &TestEngine) -> Result<String> {
    let programs = program()?.parent().context("a directory of programs")?.to_owned();
    // A tag for each directory, so that two builds of the project do not take it from each other.
    let place = hex(&Sha256::digest(programs.display().to_string().as_bytes()));
    let reference = format!("mesos-test/agent:{}", &place[..8]);
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../scripts/image");
    let content = content(&programs, &script)?;
    let lock = tokio::task::spawn_blocking(hold_lock).await.context("wait for the image lock")??;
    let mut client = engine.client().await?;
    let path = format!("/images/{reference}/json");
    let old = client.get(&path).await?;
    let old = if old.status() == 404 { Value::Null } else { old.json()? };
    if old["Config"]["Labels"][CONTENT_LABEL] != content {
        let made = tokio::process::Command::new(&script)
            .args(["--name", &reference, "--label", &format!("{CONTENT_LABEL}={content}")])
            .arg("--programs")
            .arg(&programs)
            .arg("--engine")
            .arg(engine.socket())
            .kill_on_drop(true)
            .output();
        let made = tokio::time::timeout(PATIENCE, made).await.context("scripts/image takes too long")??;
        ensure!(made.status.success(), "scripts/image: {}", String::from_utf8_lossy(&made.stderr));
        if let Some(id) = old["Id"].as_str() {
            // A container of another test may use it.
            let _ = client.delete(&format!("/images/{id}")).await?;
        }
    }
    drop(lock);
    Ok(reference)
}

/// What the image is made of: the script, and which build of the programs.
fn content(programs: &Path, script: &Path) -> Result<String> {
    let mut hash = Sha256::new();
    hash.update(std::fs::read(script).with_context(|| format!("read {}", script.display()))?);
    for path in PROGRAMS.map(|name| programs.join(name)) {
        let known = std::fs::metadata(&path);
        let known = known.with_context(|| format!("{} is missing: build the programs", path.display()))?;
        hash.update(format!("{} {:?}", known.len(), known.modified()?));
    }
    Ok(hex(&hash.finalize()))
}
