//! Owns a `mesos-docker run` in the background that a test may kill with SIGKILL, and finding the program.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;
use task_supervisor::RunLayout;

use crate::eventually;
use crate::images::TestImage;
use crate::logs_check::{read_stream, runs_below};
use crate::supervised::Task;
use crate::sweep::{SCOPE_LABEL, TestScope};

/// The environment variable that names the program, where it isn't beside the tests.
pub const PROGRAM: &str = "MESOS_TEST_MESOS_DOCKER";
/// How long a run may take to do anything.
const PATIENCE: Duration = Duration::from_secs(120);

/// A run in the background. Dropping it kills the process, not its task.
#[derive(Debug)]
pub struct CliRun {
    child: Child,
    work_dir: PathBuf,
}

/// Finds the program: beside the directory of the test programs, where `cargo build -p cli` puts it.
///
/// # Errors
///
/// It isn't there.
pub fn program() -> Result<PathBuf> {
    if let Some(path) = std::env::var_os(PROGRAM) {
        return Ok(PathBuf::from(path));
    }
    let test = std::env::current_exe().context("the test's own path")?;
    let path = test.parent().and_then(Path::parent).context("a directory of programs")?.join("mesos-docker");
    ensure!(path.is_file(), "{} is not there: build it with 'cargo build -p cli'", path.display());
    Ok(path)
}

impl CliRun {
    /// Starts a run of an app with this command line on the engine behind `socket`; `change` completes the definition.
    ///
    /// # Errors
    ///
    /// The program can't be started.
    pub fn start(
        scope: &TestScope,
        socket: &Path,
        work_dir: &Path,
        line: &str,
        change: impl FnOnce(&mut serde_json::Value),
    ) -> Result<Self> {
        let parameter = json!({ "key": "label", "value": format!("{SCOPE_LABEL}={}", scope.id()) });
        let mut app = json!({
            "id": "/app", "cmd": line, "cpus": 0.1, "mem": 64,
            "container": { "type": "DOCKER", "docker": {
                "image": TestImage::Busybox.reference(), "network": "HOST", "parameters": [parameter],
            } },
        });
        change(&mut app);
        Self::of(scope, socket, work_dir, &app)
    }

    /// Starts a run of a task on the engine behind `socket`.
    ///
    /// # Errors
    ///
    /// The program can't be started.
    pub fn start_task(scope: &TestScope, socket: &Path, work_dir: &Path, task: &Task) -> Result<Self> {
        let task = task.clone().parameter("label", &format!("{SCOPE_LABEL}={}", scope.id()));
        let mut info = mesos_proto::json::to_json_set(task.info(), mesos_proto::json::Names::V1);
        // The program fills it in.
        info.as_object_mut().context("a TaskInfo is an object")?.remove("agent_id");
        Self::of(scope, socket, work_dir, &info)
    }

    fn of(scope: &TestScope, socket: &Path, work_dir: &Path, app: &serde_json::Value) -> Result<Self> {
        let definition = work_dir.join("app.json");
        std::fs::write(&definition, app.to_string()).context("write the app")?;
        let child = Command::new(program()?)
            .arg("run")
            .arg(format!("--agent-id={}", scope.agent_id()))
            .arg(format!("--work_dir={}", work_dir.display()))
            .arg(format!("--docker_socket={}", socket.display()))
            .arg(&definition)
            .env_remove("DOCKER_HOST")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .context("start mesos-docker")?;
        Ok(Self { child, work_dir: work_dir.canonicalize().context("find the work directory")? })
    }

    /// Waits until the run has its directories.
    ///
    /// # Errors
    ///
    /// It doesn't get them in time.
    pub async fn layout(&self) -> Result<RunLayout> {
        eventually("the run's directories", PATIENCE, async || Ok(runs_below(&self.work_dir)?.pop())).await
    }

    /// Waits until so many bytes of a stream are in the sandbox.
    ///
    /// # Errors
    ///
    /// They aren't in time.
    pub async fn wrote(&self, stream: &str, bytes: usize) -> Result<RunLayout> {
        let layout = self.layout().await?;
        eventually(&format!("{bytes} bytes of {stream}"), PATIENCE, async || {
            Ok(read_stream(layout.sandbox(), stream).is_ok_and(|log| log.len() >= bytes).then_some(()))
        })
        .await?;
        Ok(layout)
    }

    /// Waits until the record of the run contains this text.
    ///
    /// # Errors
    ///
    /// It doesn't in time.
    pub async fn recorded(&self, text: &str) -> Result<()> {
        let path = self.layout().await?.state().join("supervision");
        eventually(&format!("{text} in the record"), PATIENCE, async || {
            Ok(std::fs::read_to_string(&path).is_ok_and(|record| record.contains(text)).then_some(()))
        })
        .await
    }

    /// Sends a signal to the process.
    ///
    /// # Errors
    ///
    /// It has ended.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw).context("a pid")?;
        kill_process(pid, signal).context("signal mesos-docker")
    }

    /// Kills the process with SIGKILL and waits until it is gone.
    ///
    /// # Errors
    ///
    /// It had ended before.
    pub fn kill(mut self) -> Result<()> {
        ensure!(self.child.try_wait()?.is_none(), "mesos-docker had ended before it was killed");
        self.child.kill().context("kill mesos-docker")?;
        self.child.wait().context("wait for mesos-docker").map(drop)
    }

    /// Waits for the end of the process.
    ///
    /// # Errors
    ///
    /// It doesn't end in time.
    pub async fn ended(mut self) -> Result<ExitStatus> {
        eventually("the end of mesos-docker", PATIENCE, async || Ok(self.child.try_wait()?)).await
    }
}

impl Drop for CliRun {
    fn drop(&mut self) {
        // Ours alone, and no longer a process once it was waited for.
        if matches!(self.child.try_wait(), Ok(None)) {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}
