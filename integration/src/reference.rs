//! Owns a stock Mesos 1.11.0 master and agent in one process ([`Cluster`]), for tests of a program of ours under an agent
//! that is not ours, or a master alone ([`Master`]), for our own agent. `reference-mesos/` beside this crate makes and
//! starts them; `scripts/test` builds it into the target directory.

mod master;

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::engine::{REQUIRE, skip};
use crate::eventually;

pub use master::{Framework, IMPATIENT, Master};

/// The environment variable that names the directory it is built in.
pub const DIRECTORY: &str = "REFERENCE_MESOS_DIR";

/// How long the master and its agent may take to find each other.
const PATIENCE: Duration = Duration::from_secs(60);

/// How long one start of several may take.
const ONE_START: Duration = Duration::from_secs(20);

/// For how long a cluster whose agent fails is started again. Most fail at once, and in a row where tests beside this one
/// make and remove many containers.
const STARTS: Duration = Duration::from_secs(100);

/// How long a framework's tasks may take in all.
const FRAMEWORK_SECONDS: u32 = 100;

/// A master and one agent. Dropping it ends the process.
#[derive(Debug)]
pub struct Cluster {
    server: Server,
    work_dir: PathBuf,
}

/// A process of the reference. Dropping it ends the process.
#[derive(Debug)]
struct Server {
    child: Child,
    /// The process lives as long as this is open, so that it cannot outlive a test that crashes.
    stdin: Option<ChildStdin>,
    port: u16,
}

/// The process ended by itself.
#[derive(Debug)]
struct Ended(std::process::ExitStatus);

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
        Self::start_at(0, work_dir, launcher_dir, flags).await
    }

    /// As [`Cluster::start`], at the port where another cluster was: with its `work_dir` it is that one restarted.
    ///
    /// # Errors
    ///
    /// As [`Cluster::start`].
    pub async fn start_at(port: u16, work_dir: &Path, launcher_dir: &Path, flags: &[&str]) -> Result<Self> {
        // One that is started again must find its port free.
        let port = if port == 0 { crate::ports::free_port()? } else { port };
        let arguments = [
            "cluster".to_owned(),
            format!("--port={port}"),
            "--containerizers=docker".to_owned(),
            "--allocation_interval=100ms".to_owned(),
            "--registration_backoff_factor=10ms".to_owned(),
            "--resources=cpus:16;mem:4096;ports:[31000-31999]".to_owned(),
            format!("--work_dir={}", work_dir.display()),
            format!("--launcher_dir={}", launcher_dir.display()),
        ];
        let flags = flags.iter().map(|flag| (*flag).to_owned());
        let arguments: Vec<String> = arguments.into_iter().chain(flags).collect();
        let began = Instant::now();
        while began.elapsed() < STARTS {
            // Its recovery fails, or hangs with its docker client, where a container of another test goes away meanwhile. The
            // process may end with it before it has told its port.
            let Ok(server) = Server::start(work_dir, arguments.clone()).await else { continue };
            let cluster = Self { server, work_dir: work_dir.to_owned() };
            if let Ok(registered) = cluster.registered(ONE_START).await {
                return Ok(registered);
            }
        }
        let server = Server::start(work_dir, arguments).await?;
        Self { server, work_dir: work_dir.to_owned() }.registered(PATIENCE).await
    }

    /// Waits until the agent has registered.
    async fn registered(mut self, patience: Duration) -> Result<Self> {
        eventually("the stock agent to register", patience, async || {
            if let Some(status) = self.server.child.try_wait()? {
                return Err(Ended(status).into());
            }
            let Ok(metrics) = self.get("/metrics/snapshot").await else { return Ok(None) };
            // One that was drained is not active.
            Ok((metrics["master/slaves_connected"].as_f64() == Some(1.0)).then_some(()))
        })
        .await?;
        Ok(self)
    }

    /// Reads a JSON page of the master (`/state`) or of the agent (`/slave(1)/state`).
    ///
    /// # Errors
    ///
    /// There is no answer, or it is not JSON.
    pub async fn get(&self, path: &str) -> Result<Value> {
        self.server.get(path).await
    }

    /// Makes a call of the master's operator API.
    ///
    /// # Errors
    ///
    /// The master refuses it.
    pub async fn call(&self, call: &Value) -> Result<()> {
        let code = post(self.server.port, "/api/v1", call).await?;
        ensure!((200..300).contains(&code), "{call} was answered with {code}");
        Ok(())
    }

    /// Runs one task (a v1 TaskInfo in JSON; ids and small resources may be missing) to its end, as the framework of
    /// `options` (see `framework.py --help`).
    ///
    /// # Errors
    ///
    /// The framework was refused, or time is over.
    pub async fn run(&self, task: &Value, options: &[&str]) -> Result<Events> {
        let within = Duration::from_secs(u64::from(FRAMEWORK_SECONDS) + 20);
        self.framework(task, options).await?.end(within).await
    }

    /// Begins to run a task as [`Cluster::run`] does.
    ///
    /// # Errors
    ///
    /// The framework does not start.
    pub async fn framework(&self, task: &Value, options: &[&str]) -> Result<Framework> {
        let timeout = format!("--timeout={FRAMEWORK_SECONDS}");
        let options: Vec<&str> = options.iter().copied().chain([timeout.as_str()]).collect();
        Framework::start(&format!("127.0.0.1:{}", self.server.port), &self.work_dir, task, &options).await
    }

    /// The port of the master and the agent.
    pub fn port(&self) -> u16 {
        self.server.port
    }

    /// Kills it with SIGKILL, as a machine's operator might, and waits until it has ended.
    pub fn kill(mut self) {
        self.server.kill();
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
        drop(self.server.stdin.take());
        eventually("the cluster to end", PATIENCE, async || Ok(self.server.child.try_wait()?)).await?;
        Ok(())
    }
}

impl Server {
    /// Starts the program with these arguments, its log in `work_dir`, and waits until it listens.
    async fn start(work_dir: &Path, arguments: impl IntoIterator<Item = String>) -> Result<Self> {
        let log = std::fs::OpenOptions::new().create(true).append(true).open(work_dir.join("reference.log"));
        let mut child = tool("reference-mesos")
            .args(arguments)
            .arg("--exit_on_stdin_eof")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(log.context("the reference's log")?)
            .spawn()
            .context("start the reference")?;
        let stdin = child.stdin.take();
        let stdout = child.stdout.take().context("its output")?;
        let mut server = Self { child, stdin, port: 0 };
        // The line comes when the port is bound; without one the process has ended and so has its output.
        let line = tokio::task::spawn_blocking(move || {
            let mut line = String::new();
            BufReader::new(stdout).read_line(&mut line).map(|_| line)
        });
        let line = line.await?.context("read its first line")?;
        let said: Value = serde_json::from_str(&line).with_context(|| {
            format!("its first line is {line:?}; see {}/reference.log", work_dir.display())
        })?;
        server.port = said["port"].as_u64().and_then(|port| port.try_into().ok()).context("its port")?;
        Ok(server)
    }

    /// Reads a JSON page.
    async fn get(&self, path: &str) -> Result<Value> {
        get(self.port, path).await
    }

    /// Ends the process with SIGKILL.
    fn kill(&mut self) {
        drop(self.stdin.take());
        // Both fail only where it has ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl std::fmt::Display for Ended {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "the reference ended with {}", self.0)
    }
}

impl std::error::Error for Ended {}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}

impl Events {
    pub(crate) fn of(events: Vec<Value>) -> Self {
        Self(events)
    }

    /// The tasks that told this state, each once.
    pub fn tasks_in(&self, state: &str) -> BTreeSet<String> {
        let told = self.updates().filter(|event| event["state"] == state);
        told.filter_map(|event| Some(event["task_id"].as_str()?.to_owned())).collect()
    }

    /// The states that each task told, in order; a state that was told again in a row with the same uuid, as updates are
    /// that were not acknowledged, stands there once.
    pub fn by_task(&self) -> BTreeMap<String, Vec<String>> {
        let mut tasks: BTreeMap<String, Vec<String>> = BTreeMap::new();
        let mut uuids = BTreeSet::new();
        for event in self.updates() {
            let (Some(task), Some(state)) = (event["task_id"].as_str(), event["state"].as_str()) else {
                continue;
            };
            let uuid = event["status"]["uuid"].as_str().map(str::to_owned);
            if uuid.is_none_or(|uuid| uuids.insert(uuid)) {
                tasks.entry(task.to_owned()).or_default().push(state.to_owned());
            }
        }
        tasks
    }

    /// The statuses of a state, in order.
    pub fn statuses(&self, state: &str) -> Vec<&Value> {
        self.updates().filter(|event| event["state"] == state).map(|event| &event["status"]).collect()
    }

    /// All events of a kind (`LAUNCHED`, `KILL`), in order.
    pub fn of_kind(&self, kind: &str) -> Vec<&Value> {
        self.0.iter().filter(|event| event["event"] == kind).collect()
    }

    /// The framework's id, once it is subscribed.
    pub fn framework_id(&self) -> Option<&str> {
        self.of_kind("SUBSCRIBED").first().and_then(|event| event["framework_id"].as_str())
    }

    /// The names of the events, with the states of updates, for a message.
    pub fn summary(&self) -> Vec<String> {
        let name = |event: &Value| match event["state"].as_str() {
            Some(state) => format!("{} {state}", event["task_id"].as_str().unwrap_or("?")),
            None => event["event"].as_str().unwrap_or("?").to_owned(),
        };
        self.0.iter().map(name).collect()
    }

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

    /// The first status of this state.
    ///
    /// # Errors
    ///
    /// None was told.
    pub fn status(&self, state: &str) -> Result<&Value> {
        let found = self.updates().find(|event| event["state"] == state).map(|event| &event["status"]);
        found.with_context(|| format!("no {state} was told: {:?}", self.0))
    }

    /// How long after the first event of one kind the first update to a state came.
    ///
    /// # Errors
    ///
    /// One of them did not come.
    pub fn between(&self, event: &str, state: &str) -> Result<Duration> {
        let time = |found: Option<&Value>| found.and_then(|found| found["time"].as_f64());
        let from = time(self.0.iter().find(|found| found["event"] == event || found["state"] == event));
        let to = time(self.updates().find(|found| found["state"] == state));
        let (Some(from), Some(to)) = (from, to) else { bail!("no {event} or {state}: {:?}", self.0) };
        Ok(Duration::from_secs_f64((to - from).max(0.0)))
    }

    fn updates(&self) -> impl Iterator<Item = &Value> {
        self.0.iter().filter(|event| event["event"] == "UPDATE")
    }
}

/// Reads a JSON page of who listens at a port of this machine.
///
/// # Errors
///
/// There is no answer, or it is not JSON.
pub async fn get(port: u16, path: &str) -> Result<Value> {
    let body = read(port, path).await?;
    serde_json::from_slice(&body).with_context(|| format!("{path} is no JSON"))
}

/// Reads a page of who listens at a port of this machine.
///
/// # Errors
///
/// There is no answer.
pub async fn read(port: u16, path: &str) -> Result<Vec<u8>> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await?;
    let request = format!("GET {path} HTTP/1.0\r\nHost: localhost\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut answer = Vec::new();
    tokio::time::timeout(PATIENCE, stream.read_to_end(&mut answer)).await.context("an answer")??;
    let body = answer.windows(4).position(|four| four == b"\r\n\r\n").context("a body")?;
    Ok(answer.split_off(body + 4))
}

/// Sends JSON to who listens at a port of this machine, and returns the status code of the answer.
///
/// # Errors
///
/// There is no answer.
pub async fn post(port: u16, path: &str, body: &Value) -> Result<u16> {
    let body = body.to_string();
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await?;
    let head = format!(
        "POST {path} HTTP/1.0\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(format!("{head}{body}").as_bytes()).await?;
    let mut answer = Vec::new();
    tokio::time::timeout(PATIENCE, stream.read_to_end(&mut answer)).await.context("an answer")??;
    let line = String::from_utf8_lossy(&answer);
    line.split(' ').nth(1).and_then(|code| code.parse().ok()).context("a status code")
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
