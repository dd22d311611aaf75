//! Owns a stock Mesos 1.11.0 master alone, for our own agent: started, asked, killed and started again.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};

use super::{Events, PATIENCE, Server, tool};
use crate::eventually;

/// How often the master looks whether an agent lives, and after how many misses it does not: a slow machine may take its
/// time between an agent's end and its next start.
const PINGS: [&str; 2] = ["--agent_ping_timeout=1secs", "--max_agent_ping_timeouts=60"];

/// The flag of a master that gives an agent up soon, for tests of that.
pub const IMPATIENT: &str = "--max_agent_ping_timeouts=5";

/// A master. Dropping it ends the process.
#[derive(Debug)]
pub struct Master {
    server: Server,
    work_dir: PathBuf,
    flags: Vec<String>,
}

/// A framework.py under way. Dropping it kills the process, which tears nothing down.
#[derive(Debug)]
pub struct Framework {
    process: tokio::process::Child,
    /// With `--calls`, what it is told to call.
    calls: Option<tokio::process::ChildStdin>,
    seen: Arc<Mutex<Vec<Value>>>,
    reader: tokio::task::JoinHandle<()>,
    errors: PathBuf,
}

impl Master {
    /// Starts a master that keeps its registry in `work_dir`, with these flags beside the test's own.
    ///
    /// # Errors
    ///
    /// It does not start.
    pub async fn start(work_dir: &Path, flags: &[&str]) -> Result<Self> {
        Self::start_at(0, work_dir, flags).await
    }

    /// As [`Master::start`], at this port of the loopback address.
    ///
    /// # Errors
    ///
    /// It does not start.
    pub async fn start_at(port: u16, work_dir: &Path, flags: &[&str]) -> Result<Self> {
        std::fs::create_dir_all(work_dir).context("the master's work directory")?;
        let flags: Vec<String> = flags.iter().map(|flag| (*flag).to_owned()).collect();
        let server = serve(work_dir, &flags, port).await?;
        Ok(Self { server, work_dir: work_dir.to_owned(), flags })
    }

    /// Where it listens, as `--master` takes it.
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.server.port)
    }

    /// Reads a JSON page.
    ///
    /// # Errors
    ///
    /// There is no answer, or it is not JSON.
    pub async fn get(&self, path: &str) -> Result<Value> {
        self.server.get(path).await
    }

    /// Makes a call of the operator API.
    ///
    /// # Errors
    ///
    /// The master refuses it.
    pub async fn call(&self, call: &Value) -> Result<()> {
        let code = super::post(self.server.port, "/api/v1", call).await?;
        ensure!((200..300).contains(&code), "{call} was answered with {code}");
        Ok(())
    }

    /// Kills it with SIGKILL and starts it again on the same port and registry.
    ///
    /// # Errors
    ///
    /// It does not start again.
    pub async fn restart(&mut self) -> Result<()> {
        self.kill();
        self.start_again().await
    }

    /// Kills it with SIGKILL, as a crash would.
    pub fn kill(&mut self) {
        self.server.kill();
    }

    /// Starts one that was killed again, on the same port and registry.
    ///
    /// # Errors
    ///
    /// It does not start again.
    pub async fn start_again(&mut self) -> Result<()> {
        let port = self.server.port;
        self.server = serve(&self.work_dir, &self.flags, port).await?;
        Ok(())
    }

    /// Waits until an agent is registered and connected, and returns what `/slaves` says of it.
    ///
    /// # Errors
    ///
    /// None comes in time.
    pub async fn agent(&self) -> Result<Value> {
        eventually("an agent at the master", PATIENCE, async || {
            let Ok(page) = self.get("/slaves").await else { return Ok(None) };
            let agents = page["slaves"].as_array();
            let active = agents.and_then(|agents| agents.iter().find(|agent| agent["active"] == true));
            Ok(active.cloned())
        })
        .await
    }

    /// Starts framework.py with one task (a v1 TaskInfo in JSON; ids and small resources may be missing), or several with
    /// `--instances`; see `framework.py --help` for the options.
    ///
    /// # Errors
    ///
    /// It does not start.
    pub async fn framework(&self, task: &Value, options: &[&str]) -> Result<Framework> {
        Framework::start(&self.address(), &self.work_dir, task, options).await
    }
}

impl Framework {
    /// Starts framework.py at a master, its errors in `dir`.
    pub(super) async fn start(address: &str, dir: &Path, task: &Value, options: &[&str]) -> Result<Self> {
        let errors = dir.join(format!("framework-{}.log", uuid::Uuid::new_v4().simple()));
        let mut process = tokio::process::Command::from(tool("framework.py"))
            .arg(format!("--master={}", address))
            .arg("--task=-")
            .args(options)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(std::fs::File::create(&errors)?)
            .kill_on_drop(true)
            .spawn()
            .context("start framework.py")?;
        let mut stdin = process.stdin.take().context("its input")?;
        stdin.write_all(format!("{task}\n").as_bytes()).await?;
        let calls = options.contains(&"--calls").then_some(stdin);
        let mut lines = BufReader::new(process.stdout.take().context("its output")?).lines();
        let seen: Arc<Mutex<Vec<Value>>> = Arc::default();
        let writer = seen.clone();
        let reader = tokio::spawn(async move {
            while let Ok(Some(line)) = lines.next_line().await {
                if let Ok(event) = serde_json::from_str(&line) {
                    writer.lock().unwrap_or_else(PoisonError::into_inner).push(event);
                }
            }
        });
        Ok(Self { process, calls, seen, reader, errors })
    }

    /// What it has told so far.
    pub fn events(&self) -> Events {
        Events::of(self.seen.lock().unwrap_or_else(PoisonError::into_inner).clone())
    }

    /// Waits until a task (any, if only one was launched) has told this state so many times as there are instances.
    ///
    /// # Errors
    ///
    /// It does not in time, or the framework ended before.
    pub async fn wait_for(&mut self, state: &str, times: usize, within: Duration) -> Result<()> {
        let seen = self.seen.clone();
        let what = format!("{times} times {state}");
        let waited = eventually(&what, within, async || {
            let events = Events::of(seen.lock().unwrap_or_else(PoisonError::into_inner).clone());
            Ok((events.tasks_in(state).len() >= times).then_some(()))
        });
        waited.await.with_context(|| format!("it told {:?}", self.events().summary()))
    }

    /// Tears the framework down with its tasks, and waits for its end.
    ///
    /// # Errors
    ///
    /// It does not end.
    pub async fn tear_down(self, within: Duration) -> Result<Events> {
        let pid = self.process.id().and_then(|pid| pid.try_into().ok()).and_then(Pid::from_raw);
        kill_process(pid.context("the framework has ended")?, Signal::TERM).context("signal it")?;
        let Self { mut process, seen, reader, .. } = self;
        tokio::time::timeout(within, process.wait()).await.context("its end")??;
        reader.await.context("its output")?;
        Ok(Events::of(std::mem::take(&mut *seen.lock().unwrap_or_else(PoisonError::into_inner))))
    }

    /// Has it kill all its tasks that were launched and have not ended.
    ///
    /// # Errors
    ///
    /// It has ended.
    pub fn kill_tasks(&self) -> Result<()> {
        let pid = self.process.id().and_then(|pid| pid.try_into().ok()).and_then(Pid::from_raw);
        kill_process(pid.context("the framework has ended")?, Signal::USR1).context("signal it")
    }

    /// Has a framework with `--calls` make a call of the scheduler API, or launch more tasks; see `framework.py --help`.
    ///
    /// # Errors
    ///
    /// It was started without, or has ended.
    pub async fn call(&mut self, call: &Value) -> Result<()> {
        let calls = self.calls.as_mut().context("the framework was started without --calls")?;
        calls.write_all(format!("{call}\n").as_bytes()).await.context("tell the framework")
    }

    /// Kills the process, which tears nothing down: its master waits for it as long as `--failover-timeout` says.
    ///
    /// # Errors
    ///
    /// It does not end.
    pub async fn crash(mut self) -> Result<Events> {
        self.process.kill().await.context("kill the framework")?;
        self.reader.await.context("its output")?;
        Ok(Events::of(std::mem::take(&mut *self.seen.lock().unwrap_or_else(PoisonError::into_inner))))
    }

    /// The process' id, for a signal.
    pub fn pid(&self) -> Option<u32> {
        self.process.id()
    }

    /// Waits for its end and returns what it told.
    ///
    /// # Errors
    ///
    /// It was refused, or its time (`--timeout`) was over.
    pub async fn end(mut self, within: Duration) -> Result<Events> {
        let status = tokio::time::timeout(within, self.process.wait()).await;
        let status = status.with_context(|| format!("it told {:?}", self.events().summary()))??;
        self.reader.await.context("its output")?;
        let events = Events::of(self.seen.lock().unwrap_or_else(PoisonError::into_inner).clone());
        // 1 is a task that ended otherwise than expected, which is for the test to judge.
        if !matches!(status.code(), Some(0 | 1)) {
            let errors = std::fs::read_to_string(&self.errors).unwrap_or_default();
            bail!("the framework ended with {status}: {:?} {errors}", events.summary());
        }
        Ok(events)
    }
}

async fn serve(work_dir: &Path, flags: &[String], port: u16) -> Result<Server> {
    let name = |flag: &str| flag.split('=').next().unwrap_or(flag).to_owned();
    let given: Vec<String> = flags.iter().map(|flag| name(flag)).collect();
    let pings = PINGS.into_iter().filter(|flag| !given.contains(&name(flag))).map(str::to_owned);
    // One that is started again must find its port free.
    let at = if port == 0 { crate::ports::free_port()? } else { port };
    let server = Server::start(
        work_dir,
        ["master".into(), format!("--port={at}"), "--ip=127.0.0.1".into()]
            .into_iter()
            .chain(["--allocation_interval=100ms".into()])
            .chain(pings)
            .chain([format!("--work_dir={}", work_dir.join("registry").display())])
            .chain(flags.iter().cloned()),
    )
    .await?;
    eventually("the master to serve", PATIENCE, async || {
        let Ok(metrics) = server.get("/metrics/snapshot").await else { return Ok(None) };
        Ok((metrics["master/elected"].as_f64() == Some(1.0)).then_some(()))
    })
    .await?;
    ensure!(server.port == at, "the master came back on another port");
    Ok(server)
}
