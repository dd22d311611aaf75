//! Owns finding the `docker` clients of this machine and running one of them, in an environment that is the same
//! everywhere: no configuration, no variables, no terminal.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use tokio::process::Command;
use tokio::time::timeout;

/// How long one run of a client may take.
const DEADLINE: Duration = Duration::from_secs(60);

/// A `docker` client on this machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DockerClient {
    path: PathBuf,
    /// Its version, as `28.2.2`.
    version: String,
}

/// How a run of a client ended.
#[derive(Debug)]
pub struct Ran {
    /// The exit code; 125 is the client's own or the engine's refusal.
    pub code: Option<i32>,
    /// What it printed to stdout.
    pub stdout: String,
    /// What it printed to stderr.
    pub stderr: String,
}

impl DockerClient {
    /// Finds every client in `PATH`, one for each version.
    ///
    /// # Errors
    ///
    /// A program of that name doesn't tell its version.
    pub async fn all() -> Result<Vec<Self>> {
        let mut seen = BTreeSet::new();
        let mut clients: Vec<Self> = Vec::new();
        for directory in std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default()) {
            let Ok(path) = directory.join("docker").canonicalize() else { continue };
            if !seen.insert(path.clone()) {
                continue;
            }
            let mut client = Self { path, version: String::new() };
            let home = tempfile::tempdir().context("make a home for the client")?;
            let ran = client.run(home.path(), &["--version"]).await?;
            client.version = version(&ran.stdout)
                .with_context(|| format!("{}: no version in {:?}", client.path.display(), ran.stdout))?;
            if clients.iter().all(|other| other.version != client.version) {
                clients.push(client);
            }
        }
        Ok(clients)
    }

    /// Returns the client's version, as `28.2.2`.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// Returns the first number of its version.
    pub fn major(&self) -> u32 {
        self.version.split('.').next().and_then(|major| major.parse().ok()).unwrap_or_default()
    }

    /// Runs the client in a directory with nothing of this machine's configuration, and waits for its end.
    ///
    /// # Errors
    ///
    /// It cannot be started, or does not end within the deadline; it is killed then.
    pub async fn run(&self, directory: &Path, arguments: &[impl AsRef<str>]) -> Result<Ran> {
        let child = Command::new(&self.path)
            .args(arguments.iter().map(AsRef::as_ref))
            .current_dir(directory)
            .env_clear()
            .env("HOME", "/nonexistent")
            .env("DOCKER_CONFIG", "/nonexistent")
            // Wide enough that the help has each option on one line.
            .env("COLUMNS", "200")
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .output();
        let output = timeout(DEADLINE, child)
            .await
            .with_context(|| format!("{}: not done within {DEADLINE:?}", self.path.display()))?
            .with_context(|| format!("run {}", self.path.display()))?;
        Ok(Ran {
            code: output.status.code(),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        })
    }

    /// Reads the long options of `docker run` from the client's help; `host` is an engine's address, since a client
    /// hides what its engine is too old for.
    ///
    /// # Errors
    ///
    /// The client prints no help.
    pub async fn run_options(&self, host: &str) -> Result<BTreeSet<String>> {
        let home = tempfile::tempdir().context("make a home for the client")?;
        let ran = self.run(home.path(), &["-H", host, "run", "--help"]).await?;
        let options = long_options(&ran.stdout);
        ensure!(options.contains("volume"), "docker {} prints no help: {ran:?}", self.version);
        Ok(options)
    }
}

impl Ran {
    /// Returns the sentence of a refusal: the first line of stderr that is no warning.
    pub fn sentence(&self) -> String {
        let lines = self.stderr.lines().map(str::trim);
        let is_warning = |line: &str| line.starts_with("WARNING") || line.contains("level=warning");
        let mut lines = lines.filter(|line| !line.is_empty() && !is_warning(line));
        lines.next().unwrap_or_default().trim_start_matches("docker: ").to_owned()
    }
}

/// Reads `Docker version 28.2.2, build e6534b4`.
fn version(text: &str) -> Option<String> {
    let word = text.strip_prefix("Docker version ")?.split([',', '+', ' ']).next()?;
    Some(word.to_owned())
}

/// Reads the long options of a help page: `  -a, --attach list   Attach to …`.
fn long_options(help: &str) -> BTreeSet<String> {
    let lines = help.lines().filter_map(|line| {
        let line = line.trim_start();
        let long = match line.strip_prefix('-') {
            Some(rest) if rest.starts_with('-') => rest.strip_prefix('-')?,
            Some(rest) => rest.get(1..)?.strip_prefix(", --")?,
            None => return None,
        };
        long.split_whitespace().next()
    });
    lines.map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_help_page_gives_its_long_options() {
        let help = "Usage:  docker run [OPTIONS]\n\nOptions:\n      --add-host list   Add (a --b)\n  -a, --attach list\n                --no-option\n";
        let found: Vec<_> = long_options(help).into_iter().collect();
        assert_eq!(found, ["add-host", "attach", "no-option"]);
    }

    #[test]
    fn a_version_is_read_without_its_build() {
        assert_eq!(version("Docker version 20.10.24+dfsg1, build 297e128\n").as_deref(), Some("20.10.24"));
        assert_eq!(version("podman version 4"), None);
    }
}
