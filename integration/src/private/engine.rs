//! Owns the life of a private engine. Made by tests of what happens when daemons die, hang or come back.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use rustix::fs::{FlockOperation, flock};
use rustix::process::{Pid, Signal, geteuid};

use super::cleanup::{self, CONTAINERD_SOCKET, OWNER_LOCK, PREFIX};
use super::daemon::Daemon;
use crate::engine::{REQUIRE, TestEngine, skip};

/// How long each daemon may take to answer after its start.
const START_DEADLINE: Duration = Duration::from_secs(60);
/// How long a daemon may take to end after a signal.
const STOP_DEADLINE: Duration = Duration::from_secs(60);

/// A containerd and a dockerd of the test's own. Dropping it ends both, their containers, and all that they made.
///
/// Both are in a network namespace of their own: the networks `host` and `bridge` of its containers are those of that
/// namespace, which no test can reach but through a container.
#[derive(Debug)]
pub struct PrivateEngine {
    dir: PathBuf,
    arguments: Vec<String>,
    containerd: Option<Daemon>,
    dockerd: Option<Daemon>,
    /// Held as long as the engine is ours; see [`cleanup::remove_stale`].
    _owner: File,
}

/// Ends the test with a named skip unless a private engine can be started here.
#[macro_export]
macro_rules! require_private_engine {
    () => {
        $crate::require_private_engine!(())
    };
    ($skipped:expr) => {
        if !$crate::private::PrivateEngine::require(&$crate::engine::current_test()) {
            return $skipped;
        }
    };
}

impl PrivateEngine {
    /// Tells whether one can be started; if not, says that the test is skipped.
    ///
    /// # Panics
    ///
    /// It can't and the environment says that it must ([`REQUIRE`]).
    pub fn require(test: &str) -> bool {
        let Err(error) = possible() else { return true };
        assert!(
            std::env::var(REQUIRE).as_deref() != Ok("1"),
            "{test} needs a private engine ({REQUIRE}=1): {error:#}"
        );
        skip(test, &format!("{error:#}"));
        false
    }

    /// Starts both daemons and waits until dockerd answers. First removes what killed test runs left.
    ///
    /// # Errors
    ///
    /// A daemon doesn't start or answer in time; the end of its log is in the error.
    pub async fn start() -> Result<Self> {
        Self::start_with(&[]).await
    }

    /// As [`PrivateEngine::start`], with further arguments for dockerd.
    ///
    /// # Errors
    ///
    /// As [`PrivateEngine::start`].
    pub async fn start_with(arguments: &[&str]) -> Result<Self> {
        possible()?;
        let (dir, owner) =
            tokio::task::spawn_blocking(claim_directory).await.context("claim a directory")??;
        // From here on, dropping it removes all.
        let mut engine = Self {
            dir,
            arguments: arguments.iter().map(ToString::to_string).collect(),
            containerd: None,
            dockerd: None,
            _owner: owner,
        };
        engine.start_containerd().await?;
        engine.start_dockerd().await?;
        Ok(engine)
    }

    /// Returns the path of dockerd's socket.
    pub fn socket(&self) -> PathBuf {
        self.dir.join("d.sock")
    }

    /// Returns the engine as the helpers for tests take it.
    ///
    /// # Errors
    ///
    /// dockerd doesn't answer.
    pub fn engine(&self) -> Result<TestEngine> {
        TestEngine::at(self.socket()).map(TestEngine::private)
    }

    /// Returns the engine's directory.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Returns the pid of dockerd while it runs.
    pub fn dockerd_pid(&self) -> Option<Pid> {
        self.dockerd.as_ref().map(Daemon::pid)
    }

    /// Kills dockerd with SIGKILL and waits until it has ended. Its containers go on.
    ///
    /// # Errors
    ///
    /// It isn't running, or doesn't end.
    pub async fn kill_dockerd(&mut self) -> Result<()> {
        self.end_dockerd(Signal::KILL).await
    }

    /// Stops dockerd with SIGTERM and waits until it has ended. Its containers go on (live-restore).
    ///
    /// # Errors
    ///
    /// It isn't running, or doesn't end.
    pub async fn stop_dockerd(&mut self) -> Result<()> {
        self.end_dockerd(Signal::TERM).await
    }

    /// Freezes dockerd and waits until every thread of it has stopped: its socket still accepts, and nothing answers.
    ///
    /// # Errors
    ///
    /// It isn't running, or doesn't stop.
    pub async fn freeze_dockerd(&self) -> Result<()> {
        let dockerd = self.dockerd.as_ref().context("dockerd is not running")?;
        dockerd.signal(Signal::STOP)?;
        crate::eventually("a frozen dockerd", STOP_DEADLINE, async || Ok(dockerd.is_stopped()?.then_some(())))
            .await
    }

    /// Lets a frozen dockerd go on.
    ///
    /// # Errors
    ///
    /// It isn't running.
    pub fn thaw_dockerd(&self) -> Result<()> {
        self.dockerd.as_ref().context("dockerd is not running")?.signal(Signal::CONT)
    }

    /// Starts dockerd (again) and waits until it answers.
    ///
    /// # Errors
    ///
    /// It runs already, or doesn't answer in time.
    pub async fn start_dockerd(&mut self) -> Result<()> {
        ensure!(self.dockerd.is_none(), "dockerd is running already");
        let containerd = self.containerd.as_ref().context("containerd is not running")?;
        let mut command = Command::new(program("nsenter")?);
        command
            .arg(format!("--net=/proc/{}/ns/net", containerd.pid().as_raw_nonzero()))
            .arg("--")
            .arg(program("dockerd")?)
            .arg(format!("--config-file={}", self.path("daemon.json")))
            .arg(format!("--containerd={}", self.path(CONTAINERD_SOCKET)))
            .arg(format!("--data-root={}", self.path("data")))
            .arg(format!("--exec-root={}", self.path("x")))
            .arg(format!("--pidfile={}", self.path("d.pid")))
            .arg(format!("--host=unix://{}", self.path("d.sock")))
            .arg(format!("--cgroup-parent={}", cleanup::cgroup_parent(&self.dir)))
            // The other driver would put the containers below a slice of systemd's, out of reach of the cleanup.
            .arg("--exec-opt=native.cgroupdriver=cgroupfs")
            .args(["--iptables=false", "--ip-forward=false", "--live-restore"])
            .args(&self.arguments);
        let mut dockerd = Daemon::spawn(&self.dir, "dockerd", command)?;
        let socket = self.socket();
        let answered = crate::eventually("an answer of dockerd", START_DEADLINE, async || {
            ensure!(dockerd.is_running(), "dockerd ended: {}", dockerd.log_tail());
            Ok(TestEngine::at(&socket).ok())
        })
        .await;
        let failed = answered.err().map(|error| error.context(dockerd.log_tail()));
        self.dockerd = Some(dockerd);
        failed.map_or(Ok(()), Err)
    }

    /// Ends both daemons and removes all, and says whether that went well; dropping the engine only prints it.
    ///
    /// # Errors
    ///
    /// Something could not be removed.
    pub fn remove(mut self) -> Result<()> {
        self.remove_all()
    }

    async fn start_containerd(&mut self) -> Result<()> {
        std::fs::write(self.dir.join("c.toml"), CONTAINERD_CONFIG)
            .context("write containerd's configuration")?;
        std::fs::write(self.dir.join("daemon.json"), "{}").context("write dockerd's configuration")?;
        // The namespace's own loopback is down at first.
        let up = r#""$0" ip link set lo up && exec "$@""#;
        let busybox = program("busybox")?;
        let mut command = Command::new(program("unshare")?);
        command
            .args(["--net", "--"])
            .arg(&busybox)
            .args(["sh", "-c", up])
            .arg(&busybox)
            .arg(program("containerd")?)
            .arg(format!("--config={}", self.path("c.toml")))
            .arg(format!("--root={}", self.path("cr")))
            .arg(format!("--state={}", self.path("cs")))
            .arg(format!("--address={}", self.path(CONTAINERD_SOCKET)));
        let mut containerd = Daemon::spawn(&self.dir, "containerd", command)?;
        let socket = self.dir.join(CONTAINERD_SOCKET);
        let answered = crate::eventually("containerd's socket", START_DEADLINE, async || {
            ensure!(containerd.is_running(), "containerd ended: {}", containerd.log_tail());
            Ok(tokio::net::UnixStream::connect(&socket).await.ok())
        })
        .await;
        self.containerd = Some(containerd);
        answered.map(drop)
    }

    async fn end_dockerd(&mut self, signal: Signal) -> Result<()> {
        let dockerd = self.dockerd.as_mut().context("dockerd is not running")?;
        dockerd.signal(signal)?;
        dockerd.ended(STOP_DEADLINE).await?;
        self.dockerd = None;
        // A killed daemon leaves its pid file, and the next one refuses to start if that pid has a new owner.
        match std::fs::remove_file(self.dir.join("d.pid")) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(error).context("remove dockerd's pid file")
            }
            _ => Ok(()),
        }
    }

    fn path(&self, name: &str) -> String {
        self.dir.join(name).display().to_string()
    }

    fn remove_all(&mut self) -> Result<()> {
        for daemon in [self.dockerd.take(), self.containerd.take()].iter_mut().flatten() {
            daemon.kill_now();
        }
        if self.dir.exists() { cleanup::remove(&self.dir) } else { Ok(()) }
    }
}

impl Drop for PrivateEngine {
    fn drop(&mut self) {
        if let Err(error) = self.remove_all() {
            eprintln!("a private engine was not removed: {error:#}");
        }
    }
}

/// No plugin that would touch anything outside the engine's directory.
const CONTAINERD_CONFIG: &str = r#"version = 2
disabled_plugins = [
  "io.containerd.grpc.v1.cri",
  "io.containerd.internal.v1.opt",
  "io.containerd.snapshotter.v1.aufs",
  "io.containerd.snapshotter.v1.btrfs",
  "io.containerd.snapshotter.v1.devmapper",
  "io.containerd.snapshotter.v1.zfs",
]
"#;

/// Makes the engine's directory and takes its lock; removes stale ones first.
fn claim_directory() -> Result<(PathBuf, File)> {
    let parent = std::env::temp_dir();
    // Held while a new directory isn't locked yet, so that no other start takes it for stale.
    let door_path = parent.join("mesos-test-private.lock");
    let door = File::options()
        .create(true)
        .append(true)
        .open(&door_path)
        .with_context(|| format!("open {}", door_path.display()))?;
    flock(&door, FlockOperation::LockExclusive).with_context(|| format!("lock {}", door_path.display()))?;
    cleanup::remove_stale(&parent)?;
    let dir =
        tempfile::Builder::new().prefix(PREFIX).tempdir_in(&parent).context("make the engine's directory")?;
    let owner = File::create(dir.path().join(OWNER_LOCK)).context("make the owner's lock")?;
    flock(&owner, FlockOperation::LockExclusive).context("take the owner's lock")?;
    Ok((dir.keep(), owner))
}

fn possible() -> Result<()> {
    ensure!(geteuid().is_root(), "a private engine needs root");
    for name in ["dockerd", "containerd", "busybox", "unshare", "nsenter"] {
        program(name)?;
    }
    Ok(())
}

fn program(name: &str) -> Result<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let dirs = std::env::split_paths(&path).chain([PathBuf::from("/usr/sbin"), PathBuf::from("/usr/bin")]);
    for dir in dirs {
        let candidate = dir.join(name);
        if candidate.is_file() {
            return Ok(candidate);
        }
    }
    bail!(
        "{name} is not installed; Debian's docker.io, busybox-static and util-linux have what a private engine needs"
    )
}
