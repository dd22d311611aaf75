//! Everything that only the Hadoop client reads: `hdfs`, `viewfs`, `hftp`, ...
//!
//! As stock (src/hdfs/hdfs.cpp, src/launcher/fetcher.cpp `downloadWithHadoopClient`): `$HADOOP_HOME/bin/hadoop`, or
//! `hadoop` on the `PATH`, is asked for its version and then for `fs -copyToLocal`. What it says on its standard error
//! goes to ours and is not judged.

use std::ffi::OsStr;
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use std::time::Duration;

use sandbox::{Place, Staged};
use sha2::{Digest, Sha256};
use tokio::io::AsyncReadExt;
use tokio::process::{Child, Command};
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

/// The client of this host.
#[derive(Clone, Debug)]
pub(super) struct Hadoop {
    program: PathBuf,
    patience: Duration,
}

impl Hadoop {
    /// Finds the client in the environment. Whether it is there shows when it is run.
    pub(super) fn new(home: Option<&OsStr>, stall: Duration) -> Hadoop {
        let program = match home.filter(|home| !home.is_empty()) {
            Some(home) => PathBuf::from(home).join("bin/hadoop"),
            None => PathBuf::from("hadoop"),
        };
        Hadoop { program, patience: stall.saturating_mul(PATIENCE) }
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
            if let Ok(status) = tokio::time::timeout(LOOK, client.wait()).await {
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
            if let Some(output) = client.stdout.take() {
                // Bytes that are no text say no size.
                let _ = output.take(MAX_OUTPUT).read_to_string(&mut text).await;
            }
            client.wait().await
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
        let ended = tokio::time::timeout(self.patience, client.wait()).await;
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
    ) -> Result<Child, DownloadError> {
        Command::new(&self.program)
            .args(arguments)
            .args(last)
            .env_remove(crate::info::ENVIRONMENT_VARIABLE)
            .stdin(Stdio::null())
            .stdout(output)
            .kill_on_drop(true)
            .spawn()
            .map_err(|source| DownloadError::NoHadoop { program: self.program.clone(), source })
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
        let program = |home: Option<&str>| Hadoop::new(home.map(OsStr::new), Duration::ZERO).program;
        assert_eq!(program(Some("/opt/hadoop")), PathBuf::from("/opt/hadoop/bin/hadoop"));
        assert_eq!(program(None), PathBuf::from("hadoop"));
        assert_eq!(program(Some("")), PathBuf::from("hadoop"));
    }
}
