//! Owns a ZooKeeper of a test's own (Debian's `zookeeper`), on loopback and a directory of the test, to be killed,
//! stopped for a while and started again.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result};
use rustix::process::{Pid, Signal, kill_process};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::engine::{REQUIRE, skip};
use crate::eventually;

/// The server, with everything that it needs beside it.
const JAR: &str = "/usr/share/java/zookeeper.jar";
/// How long a server may take to start.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long it may take to answer one question.
const LOOK: Duration = Duration::from_secs(1);

/// A ZooKeeper of one server. Dropping it ends the process.
#[derive(Debug)]
pub struct ZooKeeper {
    child: Option<Child>,
    dir: PathBuf,
    port: u16,
}

/// Tells whether ZooKeeper is installed; says the skip where it is not.
///
/// # Panics
///
/// It is not installed and the environment says that nothing may be skipped.
pub fn is_installed_or_skip(test: &str) -> bool {
    if Path::new(JAR).is_file() {
        return true;
    }
    let why = format!("no {JAR}; install Debian's zookeeper");
    assert!(std::env::var(REQUIRE).as_deref() != Ok("1"), "{test} needs it ({REQUIRE}=1): {why}");
    skip(test, &why);
    false
}

/// Ends the test with a named skip where ZooKeeper is not installed.
#[macro_export]
macro_rules! require_zookeeper {
    ($skipped:expr) => {
        if !$crate::zookeeper::is_installed_or_skip(&$crate::engine::current_test()) {
            return $skipped;
        }
    };
}

impl ZooKeeper {
    /// Starts a server that keeps its data in `dir` and takes short sessions, and waits until it serves.
    ///
    /// # Errors
    ///
    /// It does not start.
    pub async fn start(dir: &Path) -> Result<Self> {
        let port = crate::ports::free_port()?;
        let data = dir.join("zookeeper");
        std::fs::create_dir_all(&data).context("ZooKeeper's directory")?;
        let configuration = format!(
            "tickTime=100\nminSessionTimeout=200\nmaxSessionTimeout=60000\nadmin.enableServer=false\n\
             clientPortAddress=127.0.0.1\nclientPort={port}\ndataDir={}\n4lw.commands.whitelist=srvr\n",
            data.display()
        );
        std::fs::write(dir.join("zoo.cfg"), configuration).context("ZooKeeper's configuration")?;
        let mut zookeeper = Self { child: None, dir: dir.to_owned(), port };
        zookeeper.start_again().await?;
        Ok(zookeeper)
    }

    /// Its address, as `--master=zk://.../path` takes it.
    pub fn servers(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Starts it again after [`ZooKeeper::kill`], with the data that it had.
    ///
    /// # Errors
    ///
    /// It does not start.
    pub async fn start_again(&mut self) -> Result<()> {
        let log = std::fs::File::create(self.dir.join("zookeeper.log")).context("ZooKeeper's log")?;
        // It dies with the thread that started it, so it cannot outlive a test that crashes.
        let child = Command::new("setpriv")
            .args(["--pdeathsig", "KILL", "java", "-Xmx64m", "-cp", JAR])
            .arg("org.apache.zookeeper.server.ZooKeeperServerMain")
            .arg(self.dir.join("zoo.cfg"))
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .context("start ZooKeeper")?;
        self.child = Some(child);
        eventually("ZooKeeper to serve", PATIENCE, async || {
            // A server that is starting may take a question and never answer it.
            let said = timeout(LOOK, self.says("srvr")).await.unwrap_or(Ok(String::new()));
            Ok(said.unwrap_or_default().contains("Mode: standalone").then_some(()))
        })
        .await
        .with_context(|| format!("see {}/zookeeper.log", self.dir.display()))
    }

    /// Kills it with SIGKILL: its clients' connections break.
    ///
    /// # Errors
    ///
    /// It cannot be waited for.
    pub fn kill(&mut self) -> Result<()> {
        if let Some(mut child) = self.child.take() {
            child.kill()?;
            child.wait()?;
        }
        Ok(())
    }

    /// Stops it in its tracks: its clients' connections stay and nothing is answered.
    ///
    /// # Errors
    ///
    /// It has ended.
    pub fn freeze(&self) -> Result<()> {
        self.signal(Signal::STOP)
    }

    /// Lets it go on.
    ///
    /// # Errors
    ///
    /// It has ended.
    pub fn thaw(&self) -> Result<()> {
        self.signal(Signal::CONT)
    }

    fn signal(&self, signal: Signal) -> Result<()> {
        let pid = self.child.as_ref().and_then(|child| Pid::from_raw(child.id().try_into().ok()?));
        kill_process(pid.context("ZooKeeper has ended")?, signal).context("signal ZooKeeper")
    }

    /// The answer to one of ZooKeeper's commands of four letters.
    async fn says(&self, command: &str) -> Result<String> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).await?;
        stream.write_all(command.as_bytes()).await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await?;
        Ok(answer)
    }
}

impl Drop for ZooKeeper {
    fn drop(&mut self) {
        // It fails only where it has ended.
        let _ = self.kill();
    }
}
