//! Everything that only the Hadoop client reads: `hdfs`, `viewfs`, `hftp`, ...
//!
//! As stock (src/hdfs/hdfs.cpp, src/launcher/fetcher.cpp `downloadWithHadoopClient`): `$HADOOP_HOME/bin/hadoop`, or
//! `hadoop` on the `PATH`, is asked for its version and then for `fs -copyToLocal`. What it says on its standard error
//! goes to ours and is not judged.
//!
//! The client is a script that starts a virtual machine, so killing it alone would leave that one. It runs under a
//! guard, which is this program once more (`program::guard`), in a process group of its own.

use std::ffi::OsStr;
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use std::time::Duration;

use rustix::fs::{Access, access};
use rustix::process::{Pid, Signal, kill_process_group};
use sandbox::{Place, Staged};
use sha2::{Digest, Sha256};
use tokio::io::AsyncReadExt;
use tokio::process::{Child, ChildStdin, Command};
use tokio::time::Instant;

use crate::download::error::DownloadError;
use crate::download::meter::Meter;
use crate::uri::Checksum;

/// How much more patience the client gets than a server: it starts a virtual machine, may fail over between name nodes,
/// and retries by itself.
const PATIENCE: u32 = 10;

/// How often it is looked at how far the client is.
const LOOK: Duration = Duration::from_secs(1);

/// The most that is read of what `fs -du` prints.
const MAX_OUTPUT: u64 = 4096;

/// The argument that makes this program a guard of the client. No one else gives it.
pub(crate) const GUARD: &str = "--guard-client";

/// The exit code of a guard that could not run the client, as a shell has it.
pub(crate) const CANNOT_RUN: u8 = 126;

/// This program.
const OURSELVES: &str = "/proc/self/exe";

/// The client of this host.
#[derive(Clone, Debug)]
pub(super) struct Hadoop {
    program: PathBuf,
    is_there: bool,
    patience: Duration,
}

/// A client that runs, with its guard. Dropping it kills both and all that they started.
#[derive(Debug)]
struct Client {
    guard: Child,
    /// Closed when this process ends in whatever way; then the guard kills the client.
    _lifeline: Option<ChildStdin>,
}

impl Drop for Client {
    fn drop(&mut self) {
        // There is no number once the guard has ended, and then its group has been killed.
        let pid = self.guard.id().and_then(|pid| Pid::from_raw(i32::try_from(pid).ok()?));
        if let Some(pid) = pid {
            // It may have ended this moment, which is as well.
            let _ = kill_process_group(pid, Signal::KILL);
        }
    }
}

impl Hadoop {
    /// Finds the client: in its home, or else on the `PATH` that is given.
    pub(super) fn new(home: Option<&OsStr>, path: Option<&OsStr>, stall: Duration) -> Hadoop {
        let is_program = |path: &PathBuf| access(path, Access::EXEC_OK).is_ok() && path.is_file();
        let program = match home.filter(|home| !home.is_empty()) {
            Some(home) => Some(PathBuf::from(home).join("bin/hadoop")),
            None => path.and_then(|path| {
                std::env::split_paths(path).map(|directory| directory.join("hadoop")).find(is_program)
            }),
        };
        let is_there = program.as_ref().is_some_and(is_program);
        let program = program.unwrap_or_else(|| PathBuf::from("hadoop"));
        Hadoop { program, is_there, patience: stall.saturating_mul(PATIENCE) }
    }

    /// Says whether there is a client.
    pub(super) fn is_there(&self) -> bool {
        self.is_there
    }

    /// Copies a file here.
    ///
    /// # Cancel safety
    ///
    /// Dropping it kills the client, and nothing is left.
    pub(super) async fn download(
        &self,
        uri: &str,
        place: Place,
        expected: Option<Checksum>,
        meter: Arc<Meter>,
    ) -> Result<(Staged, u64), DownloadError> {
        self.check().await?;
        let handover = place.hand_over()?;
        let mut client =
            self.start(&["fs", "-copyToLocal", uri].map(OsStr::new), Some(handover.path()), Stdio::null())?;
        let mut last = Instant::now();
        let status = loop {
            if let Ok(status) = tokio::time::timeout(LOOK, client.guard.wait()).await {
                break self.ended(status)?;
            }
            let written = handover.written();
            if written != meter.read().bytes {
                meter.set_bytes(written);
                last = Instant::now();
            }
            if last.elapsed() > self.patience {
                return Err(DownloadError::Stalled { timeout: self.patience });
            }
        };
        if !status.success() {
            return Err(self.failed("fs -copyToLocal", status));
        }
        if handover.path().is_dir() {
            return Err(DownloadError::HadoopDirectory);
        }
        let mut staged = handover.take()?;
        let path = staged.path().to_owned();
        let size = staged.file().metadata().map(|metadata| metadata.len());
        let size = size.map_err(|source| DownloadError::Local { operation: "look at", path, source })?;
        meter.set_bytes(size);
        match expected {
            Some(expected) => Ok((tokio::task::block_in_place(|| verified(staged, expected))?, size)),
            None => Ok((staged, size)),
        }
    }

    /// Asks for the size of a file (`fs -du`), as stock does.
    pub(super) async fn measure(&self, uri: &str) -> Result<u64, DownloadError> {
        self.check().await?;
        let mut client = self.start(&["fs", "-du", uri].map(OsStr::new), None, Stdio::piped())?;
        let mut text = String::new();
        let asked = async {
            if let Some(output) = client.guard.stdout.take() {
                // Bytes that are no text say no size.
                let _ = output.take(MAX_OUTPUT).read_to_string(&mut text).await;
            }
            client.guard.wait().await
        };
        let status = tokio::time::timeout(self.patience, asked).await;
        let status = status.map_err(|_| DownloadError::Stalled { timeout: self.patience })?;
        match self.ended(status)? {
            status if !status.success() => Err(self.failed("fs -du", status)),
            _ => size_of(&text).ok_or_else(|| DownloadError::HadoopSize { program: self.program.clone() }),
        }
    }

    /// Proves that the client is there and runs.
    async fn check(&self) -> Result<(), DownloadError> {
        let mut client = self.start(&[OsStr::new("version")], None, Stdio::null())?;
        let ended = tokio::time::timeout(self.patience, client.guard.wait()).await;
        let ended = ended.map_err(|_| DownloadError::Stalled { timeout: self.patience })?;
        match self.ended(ended)? {
            status if status.success() => Ok(()),
            status => Err(self.failed("version", status)),
        }
    }

    fn start(
        &self,
        arguments: &[&OsStr],
        last: Option<PathBuf>,
        output: Stdio,
    ) -> Result<Client, DownloadError> {
        let failed = |source| DownloadError::NoHadoop { program: self.program.clone(), source };
        if !self.is_there {
            return Err(failed(std::io::ErrorKind::NotFound.into()));
        }
        let mut guard = Command::new(OURSELVES)
            .arg0("mesos-fetcher")
            .arg(GUARD)
            .arg(&self.program)
            .args(arguments)
            .args(last)
            .env_remove(crate::info::ENVIRONMENT_VARIABLE)
            .stdin(Stdio::piped())
            .stdout(output)
            .process_group(0)
            .spawn()
            .map_err(failed)?;
        // Waiting for a child closes what is left in it.
        let lifeline = guard.stdin.take();
        Ok(Client { guard, _lifeline: lifeline })
    }

    fn ended(&self, status: std::io::Result<ExitStatus>) -> Result<ExitStatus, DownloadError> {
        status.map_err(|source| DownloadError::NoHadoop { program: self.program.clone(), source })
    }

    fn failed(&self, command: &'static str, status: ExitStatus) -> DownloadError {
        DownloadError::Hadoop { program: self.program.clone(), command, status }
    }
}

/// The first number that a line of `fs -du` begins with. Warnings may be before it.
fn size_of(text: &str) -> Option<u64> {
    text.lines().find_map(|line| line.split_whitespace().next()?.parse().ok())
}

/// Hashes a file that somebody else wrote. Blocks.
fn verified(mut staged: Staged, expected: Checksum) -> Result<Staged, DownloadError> {
    let mut hasher = Sha256::new();
    let path = staged.path().to_owned();
    std::io::copy(staged.file(), &mut hasher).map_err(|source| DownloadError::Local {
        operation: "read",
        path,
        source,
    })?;
    let found = Checksum::of(hasher);
    if found == expected { Ok(staged) } else { Err(DownloadError::Checksum { expected, found }) }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("123  hdfs://h/a\n", Some(123))]
    #[case("123  369  hdfs://h/a", Some(123))]
    #[case("WARN something\n12 /a", Some(12))]
    #[case("Found 1 items\n", None)]
    #[case("", None)]
    fn sizes(#[case] text: &str, #[case] size: Option<u64>) {
        assert_eq!(size_of(text), size);
    }

    #[test]
    fn the_program_is_in_the_home_or_on_the_path() {
        let directory = tempfile::tempdir().unwrap();
        let found = directory.path().join("hadoop");
        std::fs::write(&found, "").unwrap();
        std::fs::set_permissions(&found, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        let path = std::env::join_paths([std::path::Path::new("/no/such"), directory.path()]).unwrap();
        let client = |home: Option<&str>, path: Option<&OsStr>| {
            let hadoop = Hadoop::new(home.map(OsStr::new), path, Duration::ZERO);
            (hadoop.program.clone(), hadoop.is_there())
        };
        assert_eq!(client(Some("/opt/no-hadoop"), Some(&path)), ("/opt/no-hadoop/bin/hadoop".into(), false));
        assert_eq!(client(None, Some(&path)), (found.clone(), true));
        assert_eq!(client(Some(""), Some(&path)), (found, true));
        assert_eq!(client(None, Some(OsStr::new("/no/such"))), ("hadoop".into(), false));
        assert_eq!(client(None, None), ("hadoop".into(), false));
    }
}
