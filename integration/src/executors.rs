//! Owns the custom executors of tests: on pymesos (`pymesos/executor.py`, v1 HTTP) and on libprocess messages
//! (`bin/v0_executor.rs`), each as a process or in a container of an image made on the spot.
//!
//! Both do what a task's data says and say the same lines; `pymesos/executor.py` lists them.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::TestScope;
use crate::images::{self, hex};
use crate::pymesos;
use crate::sweep::SCOPE_LABEL;

/// Raised when the layout of the executors' images changes.
const LAYOUT: u32 = 1;

/// The environment variable that names the v0 executor, where it isn't beside the tests.
pub const V0_PROGRAM: &str = "MESOS_TEST_V0_EXECUTOR";

/// Which executor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// libprocess messages.
    V0,
    /// `POST /api/v1/executor`, by pymesos.
    V1,
}

/// Where it runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// In a process: an ExecutorInfo without a container.
    Process,
    /// In a container on the host's network.
    Container,
    /// In a container on the engine's bridge.
    Bridge,
}

impl Place {
    /// The engine's name of the network, in a container.
    fn network(self) -> Option<&'static str> {
        match self {
            Self::Process => None,
            Self::Container => Some("HOST"),
            Self::Bridge => Some("BRIDGE"),
        }
    }
}

/// An ExecutorInfo (v1 JSON) of this executor. In a container it carries the scope's label.
///
/// # Errors
///
/// Its program is not built, or its image cannot be made.
pub async fn executor(scope: &TestScope, id: &str, protocol: Protocol, place: Place) -> Result<Value> {
    let mut info = json!({ "type": "CUSTOM", "executor_id": { "value": id }, "source": "test" });
    let python_path = json!({ "name": "PYTHONPATH", "value": pymesos::packages() });
    info["command"] = match (protocol, place) {
        (Protocol::V0, Place::Process) => json!({ "value": format!("exec {}", v0_program()?.display()) }),
        (Protocol::V0, Place::Container | Place::Bridge) => json!({ "value": "exec /v0-executor" }),
        (Protocol::V1, Place::Process) => json!({
            "value": format!("exec {} -B {}", python()?.display(), source("executor.py").display()),
            "environment": { "variables": [python_path] },
        }),
        (Protocol::V1, Place::Container | Place::Bridge) => json!({
            "value": "exec /python /executor.pyc",
            "environment": { "variables": [python_path] },
        }),
    };
    if let Some(network) = place.network() {
        let label = json!({ "key": "label", "value": format!("{SCOPE_LABEL}={}", scope.id()) });
        info["container"] = json!({ "type": "DOCKER", "docker": {
            "image": image(scope.engine().socket(), protocol).await?,
            "network": network,
            "parameters": [label],
        }});
    }
    Ok(info)
}

/// The machine's address on the engine's bridge, where an agent must listen for executors there.
///
/// # Errors
///
/// The engine has no bridge.
pub async fn bridge_address(scope: &TestScope) -> Result<String> {
    let bridge = scope.client().await?.get("/networks/bridge").await?.json()?;
    let gateway = bridge["IPAM"]["Config"][0]["Gateway"].as_str();
    Ok(gateway.with_context(|| format!("no address in {bridge}"))?.to_owned())
}

/// A task of an executor, with what it is to do; see `pymesos/executor.py`.
pub fn task(executor: &Value, id: &str, orders: &Value) -> Value {
    json!({
        "name": "test",
        "task_id": { "value": id },
        "executor": executor,
        "data": BASE64_STANDARD.encode(orders.to_string()),
    })
}

/// The call of a framework (`--calls`) that sends an executor this text.
pub fn message(executor_id: &str, text: &str) -> Value {
    let data = BASE64_STANDARD.encode(text);
    json!({ "type": "MESSAGE", "message": { "executor_id": { "value": executor_id }, "data": data } })
}

/// The call of a framework (`--calls`) that shuts an executor down.
pub fn shutdown(executor_id: &str) -> Value {
    json!({ "type": "SHUTDOWN", "shutdown": { "executor_id": { "value": executor_id } } })
}

/// Makes sure that the engine has the executor's image, and returns its name.
///
/// # Errors
///
/// It cannot be made or loaded.
pub async fn image(socket: &Path, protocol: Protocol) -> Result<&'static str> {
    let (reference, content) = match protocol {
        Protocol::V0 => ("mesos-test/v0-executor:latest", hash(&[v0_program()?])?),
        Protocol::V1 => {
            let files = [source("executor.py"), source("bundle.py"), python()?, pymesos::built_from()];
            // The modules have the paths that they have here, and another checkout may use the engine too.
            let content = format!("{} {}", hash(&files)?, pymesos::packages().display());
            ("mesos-test/pymesos-executor:latest", content)
        }
    };
    images::ensure_layered(socket, reference, &content, || match protocol {
        Protocol::V0 => v0_layer(),
        Protocol::V1 => v1_layer(),
    })
    .await?;
    Ok(reference)
}

/// Makes sure that the engine has an image of our `mesos-docker-executor` in this launcher directory, for a stock agent with
/// `--docker_mesos_image`, and returns its name.
///
/// # Errors
///
/// The program is not built, or the image cannot be loaded.
pub async fn docker_executor_image(socket: &Path, launcher_dir: &Path) -> Result<&'static str> {
    let reference = "mesos-test/docker-executor:latest";
    let program = launcher_dir.join("mesos-docker-executor");
    ensure!(program.is_file(), "{} is not there: 'cargo build -p docker-executor'", program.display());
    let content = hash(std::slice::from_ref(&program))?;
    let name = program.display().to_string();
    images::ensure_layered(socket, reference, &content, || with_libraries(name, program)).await?;
    Ok(reference)
}

/// The v0 executor: beside the directory of the test programs, as cargo builds it with them.
fn v0_program() -> Result<PathBuf> {
    if let Some(path) = std::env::var_os(V0_PROGRAM) {
        return Ok(PathBuf::from(path));
    }
    let test = std::env::current_exe().context("the test's own path")?;
    let path = test.parent().and_then(Path::parent).context("a directory of programs")?.join("v0-executor");
    ensure!(path.is_file(), "{} is not there: 'cargo build -p integration'", path.display());
    Ok(path)
}

/// The machine's interpreter itself, as neither PATH nor a version manager's wrapper is in an executor's environment.
fn python() -> Result<PathBuf> {
    let said = Command::new("python3")
        .args(["-c", "import os, sys; print(os.path.realpath(sys.executable))"])
        .output()
        .context("ask python3 for its path")?;
    ensure!(said.status.success(), "python3: {}", String::from_utf8_lossy(&said.stderr));
    Ok(PathBuf::from(String::from_utf8(said.stdout).context("a path")?.trim()))
}

fn source(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("pymesos").join(name)
}

fn v1_layer() -> Result<Vec<u8>> {
    let bundle = Command::new("python3")
        .arg("-B")
        .arg(source("bundle.py"))
        .env("PYTHONPATH", pymesos::packages())
        .output()
        .context("run bundle.py")?;
    ensure!(bundle.status.success(), "bundle.py: {}", String::from_utf8_lossy(&bundle.stderr));
    Ok(bundle.stdout)
}

fn v0_layer() -> Result<Vec<u8>> {
    with_libraries("v0-executor".into(), v0_program()?)
}

/// A layer of a program and the libraries that it needs, where its loader looks for them.
fn with_libraries(name: String, program: PathBuf) -> Result<Vec<u8>> {
    let relative = |path: &str| path.trim_start_matches('/').to_owned();
    let mut files = vec![(relative(&name), program.clone())];
    for library in libraries(&program)? {
        files.push((relative(&library.display().to_string()), library));
    }
    images::files_layer(&files)
}

/// The shared libraries of a program, its loader among them, as `ldd` tells them.
fn libraries(program: &Path) -> Result<Vec<PathBuf>> {
    let said = Command::new("ldd").arg(program).output().context("run ldd")?;
    ensure!(said.status.success(), "ldd: {}", String::from_utf8_lossy(&said.stderr));
    let text = String::from_utf8(said.stdout).context("the libraries")?;
    ensure!(!text.contains("not found"), "a library of {} is missing: {text}", program.display());
    Ok(text.split_whitespace().filter(|word| word.starts_with('/')).map(PathBuf::from).collect())
}

fn hash(files: &[PathBuf]) -> Result<String> {
    let mut hash = Sha256::new();
    hash.update(LAYOUT.to_be_bytes());
    for file in files {
        hash.update(std::fs::read(file).with_context(|| format!("read {}", file.display()))?);
    }
    Ok(hex(&hash.finalize()))
}
