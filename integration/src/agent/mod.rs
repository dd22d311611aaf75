//! Owns a `mesos-agent` of ours as a process, with a work directory and an address of its own, that a test kills and
//! starts again. Its containers carry the scope's label, so the scope sweeps them.

mod contained;
mod scene;

use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use crate::eventually;
use crate::images::TestImage;
use crate::reference::Master;
use crate::sweep::{SCOPE_LABEL, TestScope};

pub use crate::ports::free_port;
pub use contained::{Contained, Ended};
pub use scene::{PATIENT, Scene, ends, files, running, states};

/// The environment variable that names the program, where it isn't beside the tests.
pub const PROGRAM: &str = "MESOS_TEST_MESOS_AGENT";

/// How long an agent may take to do anything.
const PATIENCE: Duration = Duration::from_secs(60);

/// An agent of ours. Dropping it kills the process, not its tasks.
#[derive(Debug)]
pub struct Agent {
    child: Option<Child>,
    flags: Vec<String>,
    work_dir: PathBuf,
    log: PathBuf,
    starts: usize,
}

/// Finds the program: beside the directory of the test programs, where `cargo build -p agent` puts it.
///
/// # Errors
///
/// It isn't there.
pub fn program() -> Result<PathBuf> {
    if let Some(path) = std::env::var_os(PROGRAM) {
        return Ok(PathBuf::from(path));
    }
    let test = std::env::current_exe().context("the test's own path")?;
    let path = test.parent().and_then(Path::parent).context("a directory of programs")?.join("mesos-agent");
    ensure!(path.is_file(), "{} is not there: build it with 'cargo build -p agent'", path.display());
    Ok(path)
}

/// A task of the scope: this line in a shell of the test image.
pub fn task(scope: &TestScope, line: &str) -> Value {
    let parameter = json!({ "key": "label", "value": format!("{SCOPE_LABEL}={}", scope.id()) });
    json!({
        "name": "test",
        "command": { "shell": true, "value": line },
        "container": { "type": "DOCKER", "docker": {
            "image": TestImage::Busybox.reference(), "network": "HOST", "parameters": [parameter],
        } },
    })
}

impl Agent {
    /// Starts an agent for a master, with these flags beside the test's own, and waits until it is registered.
    ///
    /// # Errors
    ///
    /// It does not start or register.
    pub async fn start(scope: &TestScope, master: &Master, flags: &[&str]) -> Result<Self> {
        let mut agent = Self::prepare(scope, &master.address(), flags)?;
        agent.launch()?;
        master.agent().await.with_context(|| format!("the agent's log:\n{}", agent.log_text()))?;
        // The master knows it before it knows its own id.
        eventually("the agent's id", PATIENCE, async || Ok(agent.id().ok())).await?;
        Ok(agent)
    }

    /// An agent that is not started.
    ///
    /// # Errors
    ///
    /// Its directories cannot be made.
    pub fn prepare(scope: &TestScope, master: &str, flags: &[&str]) -> Result<Self> {
        let work_dir = scope.subdir("agent")?.canonicalize()?;
        let cache = scope.subdir("agent-cache")?;
        let own = [
            format!("--master={master}"),
            format!("--work_dir={}", work_dir.display()),
            format!("--fetcher_cache_dir={}", cache.display()),
            format!("--docker_socket={}", scope.engine().socket().display()),
            "--containerizers=docker".into(),
            "--ip=127.0.0.1".into(),
            "--hostname=127.0.0.1".into(),
            format!("--port={}", free_port()?),
            "--registration_backoff_factor=10ms".into(),
            "--resources=cpus:16;mem:8192;disk:8192;ports:[31000-31999]".into(),
            "--docker_remove_delay=0secs".into(),
        ];
        // What a test gives replaces the harness' own.
        let work_dir =
            flags.iter().find_map(|flag| flag.strip_prefix("--work_dir=")).map_or(work_dir, PathBuf::from);
        let name = |flag: &str| flag.split('=').next().unwrap_or(flag).to_owned();
        let given: Vec<String> = flags.iter().map(|flag| name(flag)).collect();
        let kept = own.into_iter().filter(|flag| !given.contains(&name(flag)));
        Ok(Self {
            child: None,
            flags: kept.chain(flags.iter().map(|flag| (*flag).to_owned())).collect(),
            log: scope.dir().join("agent.log"),
            work_dir,
            starts: 0,
        })
    }

    /// Replaces or adds a flag for the next start.
    pub fn set_flag(&mut self, flag: &str) {
        // `--no-strict` is the flag `--strict` too.
        let name = |flag: &str| flag.split('=').next().unwrap_or(flag).replacen("--no-", "--", 1);
        self.flags.retain(|known| name(known) != name(flag));
        self.flags.push(flag.to_owned());
    }

    /// Starts the process; does not wait for anything.
    ///
    /// # Errors
    ///
    /// It cannot be started.
    pub fn launch(&mut self) -> Result<()> {
        let log = std::fs::OpenOptions::new().create(true).append(true).open(&self.log)?;
        let mut command = Command::new(program()?);
        for (name, _) in std::env::vars_os() {
            let name_text = name.to_string_lossy();
            if name_text.starts_with("MESOS_") || name_text.starts_with("LIBPROCESS_") {
                command.env_remove(&name);
            }
        }
        let child = command
            .args(&self.flags)
            .env_remove("DOCKER_HOST")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .context("start mesos-agent")?;
        self.child = Some(child);
        self.starts += 1;
        Ok(())
    }

    /// Kills it with SIGKILL, as a crash would, and waits until it is gone.
    ///
    /// # Errors
    ///
    /// It did not run.
    pub fn kill(&mut self) -> Result<()> {
        let mut child = self.child.take().context("the agent does not run")?;
        child.kill().context("kill the agent")?;
        child.wait().context("wait for the agent")?;
        Ok(())
    }

    /// Sends a signal.
    ///
    /// # Errors
    ///
    /// It does not run.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        let child = self.child.as_ref().context("the agent does not run")?;
        let pid = Pid::from_child(child);
        kill_process(pid, signal).context("signal the agent")
    }

    /// Waits for the end of the process.
    ///
    /// # Errors
    ///
    /// It does not end in time.
    pub async fn ended(&mut self) -> Result<ExitStatus> {
        let child = self.child.as_mut().context("the agent does not run")?;
        let status = eventually("the agent to end", PATIENCE, async || Ok(child.try_wait()?)).await?;
        self.child = None;
        Ok(status)
    }

    /// Ends it as an operator does, and waits for it.
    ///
    /// # Errors
    ///
    /// It does not end in time, or with a failure.
    pub async fn stop(&mut self) -> Result<()> {
        self.signal(Signal::TERM)?;
        let status = self.ended().await?;
        ensure!(status.success(), "the agent ended with {status}: {}", self.log_text());
        Ok(())
    }

    /// Its resident memory in kB, and how many threads it has.
    ///
    /// # Errors
    ///
    /// It does not run.
    pub fn size(&self) -> Result<(u64, u64)> {
        let pid = self.child.as_ref().context("the agent does not run")?.id();
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).context("the agent's status")?;
        let number = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name)).context("no such line")?;
            line.split_whitespace().next().and_then(|word| word.parse().ok()).context("no number")
        };
        Ok((number("VmRSS:")?, number("Threads:")?))
    }

    /// Where it listens.
    ///
    /// # Errors
    ///
    /// Its flags say no port.
    pub fn port(&self) -> Result<u16> {
        let port = self.flags.iter().find_map(|flag| flag.strip_prefix("--port="));
        port.context("no --port")?.parse().context("the port")
    }

    /// The work directory.
    pub fn work_dir(&self) -> &Path {
        &self.work_dir
    }

    /// What it has logged, all starts together.
    pub fn log_text(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// The id that the master gave it, as its work directory says.
    ///
    /// # Errors
    ///
    /// It never registered.
    pub fn id(&self) -> Result<String> {
        let latest = self.work_dir.join("meta/slaves/latest");
        let target = std::fs::read_link(&latest).context("the latest agent")?;
        let name = target.file_name().context("a name")?;
        Ok(name.to_string_lossy().into_owned())
    }

    /// Reads a JSON page of the agent, at the address that it told the master.
    ///
    /// # Errors
    ///
    /// There is no answer, or it is not JSON.
    pub async fn get(&self, master: &Master, path: &str) -> Result<Value> {
        let agent = master.agent().await?;
        let pid = agent["pid"].as_str().context("the agent's pid")?;
        let port = pid.rsplit(':').next().and_then(|port| port.parse().ok()).context("its port")?;
        crate::reference::get(port, path).await
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        if self.child.is_some() {
            // It may have ended.
            let _ = self.kill();
        }
        if std::thread::panicking() {
            eprintln!("the agent's log:\n{}", self.log_text());
        }
    }
}
