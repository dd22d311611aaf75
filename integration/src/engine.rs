//! Owns finding the engine that tests use, and what happens when there is none: a skip with a name, or a failure where
//! [`REQUIRE`] says so, as CI does. Called through [`require_engine!`](crate::require_engine) at the top of a test.

use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use serde_json::Value;

use crate::raw::RawClient;

/// The environment variable which, set to 1, turns a missing engine into a failure.
pub const REQUIRE: &str = "MESOS_TEST_REQUIRE_ENGINE";
/// The environment variable that names a file to which each skip is appended; `scripts/test` prints it at the end,
/// as runners hide what a passing test prints.
pub const SKIP_LOG: &str = "MESOS_TEST_SKIP_LOG";

const DEFAULT_SOCKET: &str = "/var/run/docker.sock";
/// How long an engine may take to answer a ping.
const PING_DEADLINE: Duration = Duration::from_secs(10);

/// An engine that answered.
#[derive(Clone, Debug)]
pub struct TestEngine {
    socket: PathBuf,
    api_version: String,
    lifetime: Lifetime,
}

/// Whether what a test makes in an engine has to be removed from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lifetime {
    /// The engine stays: each test removes what it made.
    Lasting,
    /// The engine is removed with everything in it.
    Private,
}

/// Gives the test its engine, or ends the test with a named skip: `let engine = require_engine!();`. In a test that
/// returns a value, name it: `require_engine!(Ok(()))`.
#[macro_export]
macro_rules! require_engine {
    () => {
        $crate::require_engine!(())
    };
    ($skipped:expr) => {
        match $crate::engine::TestEngine::require(&$crate::engine::current_test()) {
            Some(engine) => engine,
            None => return $skipped,
        }
    };
}

impl TestEngine {
    /// Finds the engine at `DOCKER_HOST` or the default socket and pings it.
    ///
    /// # Errors
    ///
    /// No engine answers there, or `DOCKER_HOST` isn't a Unix socket.
    pub fn find() -> Result<Self> {
        let socket = match std::env::var("DOCKER_HOST") {
            Ok(address) if !address.is_empty() => match address.strip_prefix("unix://") {
                Some(path) => PathBuf::from(path),
                None => bail!("DOCKER_HOST is {address}: the tests need a unix:// socket"),
            },
            _ => PathBuf::from(DEFAULT_SOCKET),
        };
        Self::at(socket)
    }

    /// Pings the engine at a socket.
    ///
    /// # Errors
    ///
    /// It doesn't answer, or not as an engine does.
    pub fn at(socket: impl Into<PathBuf>) -> Result<Self> {
        let socket = socket.into();
        let api_version = ping(&socket).with_context(|| {
            format!("no engine at {}; 'scripts/engine start' starts one", socket.display())
        })?;
        Ok(Self { socket, api_version, lifetime: Lifetime::Lasting })
    }

    /// Returns the engine, or `None` after it said that the test is skipped.
    ///
    /// # Panics
    ///
    /// There is no engine and the environment says that there must be ([`REQUIRE`]).
    pub fn require(test: &str) -> Option<Self> {
        let error = match Self::find() {
            Ok(engine) => return Some(engine),
            Err(error) => error,
        };
        assert!(
            std::env::var(REQUIRE).as_deref() != Ok("1"),
            "{test} needs an engine ({REQUIRE}=1): {error:#}"
        );
        skip(test, &format!("{error:#}"));
        None
    }

    /// Marks the engine as one that is removed with everything in it.
    #[must_use]
    pub fn private(self) -> Self {
        Self { lifetime: Lifetime::Private, ..self }
    }

    /// Tells whether what a test makes in this engine has to be removed from it.
    pub fn lifetime(&self) -> Lifetime {
        self.lifetime
    }

    /// Returns the engine's socket.
    pub fn socket(&self) -> &Path {
        &self.socket
    }

    /// Returns the socket in the form of `DOCKER_HOST`.
    pub fn url(&self) -> String {
        format!("unix://{}", self.socket.display())
    }

    /// Returns the newest API version the engine speaks, as `1.41`.
    pub fn api_version(&self) -> &str {
        &self.api_version
    }

    /// Returns a bare client of this engine, its paths prefixed with the newest version.
    ///
    /// # Errors
    ///
    /// The engine no longer answers.
    pub async fn client(&self) -> Result<RawClient> {
        let mut client = RawClient::new(&self.socket);
        client.negotiate().await?;
        Ok(client)
    }

    /// Returns what the engine tells of itself (`GET /info`).
    ///
    /// # Errors
    ///
    /// The engine doesn't answer.
    pub async fn info(&self) -> Result<Value> {
        self.client().await?.get("/info").await?.json()
    }
}

/// Returns the name of the test that runs on this thread.
pub fn current_test() -> String {
    std::thread::current().name().unwrap_or("a test").to_owned()
}

/// Says that a test is skipped and why, on stderr and in the file that [`SKIP_LOG`] names.
pub fn skip(test: &str, reason: &str) {
    let line = format!("SKIPPED {test}: {reason}\n");
    eprint!("{line}");
    note(SKIP_LOG, &line);
}

/// Appends a line to the file that an environment variable names, if it names one.
pub(crate) fn note(variable: &str, line: &str) {
    let Some(path) = std::env::var_os(variable) else { return };
    let log = std::fs::OpenOptions::new().create(true).append(true).open(&path);
    if let Err(error) = log.and_then(|mut log| log.write_all(line.as_bytes())) {
        eprintln!("{:?} could not be noted in {}: {error}", line.trim_end(), path.display());
    }
}

fn ping(socket: &Path) -> Result<String> {
    let mut stream = UnixStream::connect(socket).context("connect")?;
    stream.set_read_timeout(Some(PING_DEADLINE))?;
    stream.set_write_timeout(Some(PING_DEADLINE))?;
    stream
        .write_all(b"GET /_ping HTTP/1.1\r\nHost: docker\r\nConnection: close\r\n\r\n")
        .context("send a ping")?;
    let mut answer = String::new();
    stream.take(64 * 1024).read_to_string(&mut answer).context("read the answer to a ping")?;
    if !answer.starts_with("HTTP/1.1 200") {
        bail!("the answer to a ping is {:?}", answer.lines().next().unwrap_or_default());
    }
    answer
        .lines()
        .find_map(|line| line.split_once(':').filter(|(name, _)| name.eq_ignore_ascii_case("api-version")))
        .map(|(_, version)| version.trim().to_owned())
        .context("an answer without Api-Version")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_socket_without_an_engine_is_named_with_the_remedy() {
        let dir = tempfile::tempdir().expect("a directory");
        let error = TestEngine::at(dir.path().join("none.sock")).expect_err("nobody listens there");
        let text = format!("{error:#}");
        assert!(text.contains("none.sock") && text.contains("scripts/engine start"), "{text}");
    }

    #[test]
    fn what_answers_but_is_no_engine_is_refused() {
        let dir = tempfile::tempdir().expect("a directory");
        let socket = dir.path().join("other.sock");
        let listener = std::os::unix::net::UnixListener::bind(&socket).expect("a socket");
        let other = std::thread::spawn(move || {
            let (mut peer, _) = listener.accept().expect("a client");
            let mut request = [0; 512];
            let _ = peer.read(&mut request).expect("a request");
            peer.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nOK")
                .expect("sent");
        });
        assert!(TestEngine::at(&socket).is_err());
        other.join().expect("the other server ends");
    }
}
