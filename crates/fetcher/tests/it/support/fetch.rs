//! One fetch: its directories, its request, and what came of it.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::AsyncReadExt;
use tokio::process::{Child, Command};

/// How long a fetch of a test may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// A fetch that is being put together.
#[derive(Debug)]
pub(crate) struct Fetch {
    directory: TempDir,
    info: Value,
    environment: Vec<(String, String)>,
}

/// A fetch that goes on.
#[derive(Debug)]
pub(crate) struct Running {
    pub(crate) child: Child,
    directory: TempDir,
}

/// A fetch that has ended.
#[derive(Debug)]
pub(crate) struct Done {
    pub(crate) status: ExitStatus,
    pub(crate) stderr: String,
    /// What was written to the pipe that is its standard input.
    pub(crate) events: String,
    directory: TempDir,
}

/// An item that bypasses the cache.
pub(crate) fn item(uri: impl AsRef<str>) -> Value {
    json!({ "action": "BYPASS_CACHE", "uri": { "value": uri.as_ref(), "extract": false } })
}

/// The permissions of a file.
pub(crate) fn mode(path: &Path) -> u32 {
    path.metadata().expect("the file is there").permissions().mode() & 0o7777
}

impl Fetch {
    pub(crate) fn new() -> Fetch {
        let directory = tempfile::tempdir().expect("a directory");
        // Users of the tests go through it.
        std::fs::set_permissions(directory.path(), PermissionsExt::from_mode(0o755)).expect("set");
        for name in ["sandbox", "files"] {
            std::fs::create_dir(directory.path().join(name)).expect("made");
        }
        let sandbox = directory.path().join("sandbox");
        let info = json!({
            "sandbox_directory": sandbox, "items": [], "options": {},
            "stall_timeout": { "nanoseconds": 20_000_000_000_u64 },
        });
        Fetch { directory, info, environment: Vec::new() }
    }

    pub(crate) fn sandbox(&self) -> PathBuf {
        self.directory.path().join("sandbox")
    }

    pub(crate) fn cache(&self) -> PathBuf {
        self.directory.path().join("cache")
    }

    /// Writes a local file to be fetched.
    pub(crate) fn file(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.directory.path().join("files").join(name);
        std::fs::write(&path, content).expect("written");
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o644)).expect("set");
        path
    }

    /// Adds an item to the request.
    pub(crate) fn item(mut self, item: Value) -> Fetch {
        self.info["items"].as_array_mut().expect("a list").push(item);
        self
    }

    /// Adds a URI that is copied as it is.
    pub(crate) fn uri(self, uri: impl AsRef<str>) -> Fetch {
        self.item(item(uri))
    }

    /// Sets a member of the request.
    pub(crate) fn info(mut self, name: &str, value: impl Into<Value>) -> Fetch {
        self.info[name] = value.into();
        self
    }

    /// Sets one of our own options.
    pub(crate) fn option(mut self, name: &str, value: impl Into<Value>) -> Fetch {
        self.info["options"][name] = value.into();
        self
    }

    /// Sets a variable of the environment, which has nothing but a `PATH` otherwise.
    pub(crate) fn env(mut self, name: &str, value: impl AsRef<str>) -> Fetch {
        self.environment.push((name.to_owned(), value.as_ref().to_owned()));
        self
    }

    /// Names the directory of the cache.
    pub(crate) fn cached(self) -> Fetch {
        let cache = self.cache();
        self.info("cache_directory", cache.to_str().expect("text"))
    }

    fn command(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_mesos-fetcher"));
        command
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("MESOS_FETCHER_INFO", self.info.to_string())
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        command
    }

    /// Starts it, in a process group of its own.
    pub(crate) fn start(self) -> Running {
        let child = self.command().process_group(0).spawn().expect("started");
        Running { child, directory: self.directory }
    }

    /// Starts it with a pipe for its events as standard input; the reading end is returned.
    pub(crate) fn start_with_pipe(self) -> (Running, std::io::PipeReader) {
        let this = self.option("progress_fd", 0);
        let (reader, writer) = std::io::pipe().expect("a pipe");
        let child = this.command().stdin(writer).process_group(0).spawn().expect("started");
        (Running { child, directory: this.directory }, reader)
    }

    /// Runs it to its end.
    pub(crate) async fn run(self) -> Done {
        let (running, reader) = self.start_with_pipe();
        let events = tokio::task::spawn_blocking(|| std::io::read_to_string(reader).expect("events"));
        let mut done = running.end().await;
        done.events = events.await.expect("read");
        done
    }

    /// Runs it, and expects that it succeeds.
    pub(crate) async fn succeed(self) -> Done {
        let done = self.run().await;
        assert!(done.status.success(), "{}", done.stderr);
        assert!(done.stderr.contains("Successfully fetched all URIs into '"), "{}", done.stderr);
        done
    }

    /// Runs it, and expects that it fails and leaves nothing.
    pub(crate) async fn fail(self) -> Done {
        let done = self.run().await;
        assert_eq!(done.status.code(), Some(1), "{}", done.stderr);
        assert_eq!(done.names(), Vec::<String>::new(), "{}", done.stderr);
        done
    }
}

impl Running {
    /// Waits for its end.
    pub(crate) async fn end(mut self) -> Done {
        let mut stderr = String::new();
        let mut pipe = self.child.stderr.take().expect("a pipe");
        let ended = async {
            pipe.read_to_string(&mut stderr).await.expect("standard error is text");
            self.child.wait().await.expect("waited")
        };
        let status = tokio::time::timeout(PATIENCE, ended).await.expect("the fetch ends in time");
        Done { status, stderr, events: String::new(), directory: self.directory }
    }
}

impl Done {
    pub(crate) fn sandbox(&self) -> PathBuf {
        self.directory.path().join("sandbox")
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.sandbox().join(name)
    }

    pub(crate) fn read(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.path(name)).unwrap_or_else(|error| panic!("{name}: {error}: {}", self.stderr))
    }

    /// The names in the sandbox, sorted.
    pub(crate) fn names(&self) -> Vec<String> {
        names(&self.sandbox())
    }

    /// The names in the cache, sorted.
    pub(crate) fn cache_names(&self) -> Vec<String> {
        names(&self.directory.path().join("cache"))
    }

    /// Expects a text on standard error.
    pub(crate) fn says(&self, text: &str) -> &Done {
        assert!(self.stderr.contains(text), "{text:?} is not in:\n{}", self.stderr);
        self
    }
}

fn names(directory: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(directory).into_iter().flatten();
    let mut names: Vec<_> =
        entries.map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}
