//! Owns a stock Mesos 1.11.0 master and agent in one process, for tests of a program of ours under an agent that is not
//! ours. `reference-mesos/` beside this crate makes and starts it; `scripts/test` builds it into the target directory.

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::engine::{REQUIRE, skip};
use crate::eventually;

/// The environment variable that names the directory it is built in.
pub const DIRECTORY: &str = "REFERENCE_MESOS_DIR";

/// How long the master and its agent may take to find each other.
const PATIENCE: Duration = Duration::from_secs(60);

/// How long a framework's tasks may take in all.
const FRAMEWORK_SECONDS: u32 = 100;

/// A master and one agent. Dropping it ends the process.
#[derive(Debug)]
pub struct Cluster {
    child: Child,
    /// The process lives as long as this is open, so that it cannot outlive a test that crashes.
    stdin: Option<ChildStdin>,
    port: u16,
    work_dir: PathBuf,
}

/// What became of a framework's tasks.
#[derive(Debug)]
pub struct Events(Vec<Value>);

/// Gives the test its cluster, or ends it with a named skip where the reference is not built.
#[macro_export]
macro_rules! require_reference {
    ($skipped:expr) => {
        if !$crate::reference::is_built_or_skip(&$crate::engine::current_test()) {
            return $skipped;
        }
    };
}

/// Tells whether the reference is built; says the skip where it is not.
///
/// # Panics
///
/// It is not built and the environment says that nothing may be skipped.
pub fn is_built_or_skip(test: &str) -> bool {
    let directory = directory();
    if directory.join("built-from").is_file() {
        return true;
    }
    let why =
        format!("no reference Mesos in {}; integration/reference-mesos/build makes it", directory.display());
    assert!(std::env::var(REQUIRE).as_deref() != Ok("1"), "{test} needs it ({REQUIRE}=1): {why}");
    skip(test, &why);
    false
}

/// The directory of its programs.
fn directory() -> PathBuf {
    let built = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/reference-mesos");
    std::env::var_os(DIRECTORY).map_or_else(built, PathBuf::from)
}

fn tool(name: &str) -> Command {
    let mut command = Command::new(Path::new(env!("CARGO_MANIFEST_DIR")).join("reference-mesos").join(name));
    command.env(DIRECTORY, directory());
    command
}

impl Cluster {
    /// Starts a cluster whose agent takes its programs from `launcher_dir`, and waits until the agent has registered.
    ///
    /// # Errors
    ///
    /// It does not start, or the agent does not register in time.
    pub async fn start(work_dir: &Path, launcher_dir: &Path, flags: &[&str]) -> Result<Self> {
        let log = std::fs::File::create(work_dir.join("reference.log")).context("the cluster's log")?;
        let mut child = tool("reference-mesos")
            .args(["cluster", "--port=0", "--exit_on_stdin_eof", "--containerizers=docker"])
            .args(["--allocation_interval=100ms", "--registration_backoff_factor=10ms"])
            .arg("--resources=cpus:16;mem:4096;ports:[31000-31999]")
            .arg(format!("--work_dir={}", work_dir.display()))
            .arg(format!("--launcher_dir={}", launcher_dir.display()))
            .args(flags)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .context("start the reference cluster")?;
        let stdin = child.stdin.take();
        let stdout = child.stdout.take().context("its output")?;
        let mut cluster = Self { child, stdin, port: 0, work_dir: work_dir.to_owned() };
        // The line comes when the port is bound; without one the process has ended and so has its output.
        let line = tokio::task::spawn_blocking(move || {
            let mut line = String::new();
            BufReader::new(stdout).read_line(&mut line).map(|_| line)
        });
        let line = line.await?.context("read its first line")?;
        let said: Value = serde_json::from_str(&line).with_context(|| {
            format!("its first line is {line:?}; see {}/reference.log", work_dir.display())
        })?;
        cluster.port = said["port"].as_u64().and_then(|port| port.try_into().ok()).context("its port")?;
        eventually("the stock agent to register", PATIENCE, async || {
            let Ok(metrics) = cluster.get("/metrics/snapshot").await else { return Ok(None) };
            Ok((metrics["master/slaves_active"].as_f64() == Some(1.0)).then_some(()))
        })
        .await?;
        Ok(cluster)
    }

    /// Reads a JSON page of the master (`/state`) or of the agent (`/slave(1)/state`).
    ///
    /// # Errors
    ///
    /// There is no answer, or it is not JSON.
    pub async fn get(&self, path: &str) -> Result<Value> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).await?;
        let request = format!("GET {path} HTTP/1.0\r\nHost: localhost\r\n\r\n");
        stream.write_all(request.as_bytes()).await?;
        let mut answer = Vec::new();
        tokio::time::timeout(PATIENCE, stream.read_to_end(&mut answer)).await.context("an answer")??;
        let body = answer.windows(4).position(|four| four == b"\r\n\r\n").context("a body")?;
        serde_json::from_slice(&answer[body + 4..]).with_context(|| format!("{path} is no JSON"))
    }

    /// Runs one task (a v1 TaskInfo in JSON; ids and small resources may be missing) to its end, as the framework of
    /// `options` (see `framework.py --help`).
    ///
    /// # Errors
    ///
    /// The framework was refused, or time is over.
    pub async fn run(&self, task: &Value, options: &[&str]) -> Result<Events> {
        let mut command = tokio::process::Command::from(tool("framework.py"));
        let mut framework = command
            .arg(format!("--master=127.0.0.1:{}", self.port))
            .arg("--task=-")
            .arg(format!("--timeout={FRAMEWORK_SECONDS}"))
            .args(options)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .context("start framework.py")?;
        let mut stdin = framework.stdin.take().context("its input")?;
        stdin.write_all(task.to_string().as_bytes()).await?;
        drop(stdin);
        let output = framework.wait_with_output().await?;
        let text = String::from_utf8_lossy(&output.stdout);
        let events: Vec<Value> =
            text.lines().map(serde_json::from_str).collect::<Result<_, _>>().context("an event")?;
        // 1 is a task that ended otherwise than expected, which is for the test to judge.
        if !matches!(output.status.code(), Some(0 | 1)) {
            let errors = String::from_utf8_lossy(&output.stderr);
            bail!("the framework ended with {}: {text}{errors}", output.status);
        }
        Ok(Events(events))
    }

    /// The sandboxes of all runs of a task, as the agent laid them out.
    ///
    /// # Errors
    ///
    /// The work directory cannot be read.
    pub fn sandboxes(&self, task_id: &str) -> Result<Vec<PathBuf>> {
        let mut found = Vec::new();
        for framework in children(&self.work_dir.join("agents/0/work/slaves"), "frameworks")? {
            let runs = framework.join("executors").join(task_id).join("runs");
            if runs.is_dir() {
                let entries = std::fs::read_dir(&runs)?.collect::<Result<Vec<_>, _>>()?;
                found.extend(entries.iter().map(std::fs::DirEntry::path).filter(|path| !path.is_symlink()));
            }
        }
        Ok(found)
    }

    /// Ends it and waits until it has ended.
    ///
    /// # Errors
    ///
    /// It cannot be waited for.
    pub async fn stop(mut self) -> Result<()> {
        drop(self.stdin.take());
        eventually("the cluster to end", PATIENCE, async || Ok(self.child.try_wait()?)).await?;
        Ok(())
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        drop(self.stdin.take());
        // Both fail only where it has ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Events {
    /// The task's id.
    ///
    /// # Errors
    ///
    /// No task was launched.
    pub fn task_id(&self) -> Result<&str> {
        let launched = self.0.iter().find(|event| event["event"] == "LAUNCHED");
        launched.and_then(|event| event["task_id"].as_str()).context("no task was launched")
    }

    /// The states that were told, in order.
    pub fn states(&self) -> Vec<&str> {
        self.updates().filter_map(|event| event["state"].as_str()).collect()
    }

    /// The last status.
    ///
    /// # Errors
    ///
    /// None was told.
    pub fn last_status(&self) -> Result<&Value> {
        let last = self.updates().last().map(|event| &event["status"]);
        let last = last.with_context(|| format!("no status was told: {:?}", self.0))?;
        ensure!(last.is_object(), "a status of another form: {last}");
        Ok(last)
    }

    fn updates(&self) -> impl Iterator<Item = &Value> {
        self.0.iter().filter(|event| event["event"] == "UPDATE")
    }
}

/// The directories `<parent>/*/<name>/*`.
fn children(parent: &Path, name: &str) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for agent in std::fs::read_dir(parent).with_context(|| format!("read {}", parent.display()))? {
        let Ok(entries) = std::fs::read_dir(agent?.path().join(name)) else { continue };
        for entry in entries {
            found.push(entry?.path());
        }
    }
    Ok(found)
}
