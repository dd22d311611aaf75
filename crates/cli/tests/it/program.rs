//! Running the program as a person does, and what the tests of this crate share.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal};
use tempfile::TempDir;

/// How long a command may take before the test gives up on it.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// The program in a world of its own: a work directory, a directory for temporary files, nothing from our environment
/// that would change what it does.
pub(crate) struct Program {
    /// Everything that it may write to.
    pub(crate) home: TempDir,
    socket: PathBuf,
    agent_id: String,
}

/// What a command said.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Program {
    /// For an engine at `socket`.
    pub(crate) fn new(socket: &Path, agent_id: &str) -> Self {
        let home = tempfile::Builder::new().prefix("mdc-").tempdir().expect("a directory");
        std::fs::create_dir(home.path().join("tmp")).expect("made");
        Self { home, socket: socket.to_owned(), agent_id: agent_id.to_owned() }
    }

    /// Without any engine.
    pub(crate) fn without_engine() -> Self {
        Self::new(Path::new("/nonexistent/docker.sock"), "local")
    }

    /// The work directory; the program makes it.
    pub(crate) fn work_dir(&self) -> PathBuf {
        self.home.path().join("work")
    }

    /// A command with this program's work directory and engine.
    pub(crate) fn command(&self, verb: &str) -> Command {
        let mut command = Command::new(assert_cmd::cargo::cargo_bin!("mesos-docker"));
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("MESOS_") {
                command.env_remove(name);
            }
        }
        command
            .env_remove("DOCKER_HOST")
            .env("TMPDIR", self.home.path().join("tmp"))
            .arg(verb)
            .arg(format!("--work_dir={}", self.work_dir().display()))
            .arg(format!("--docker_socket={}", self.socket.display()))
            .stdin(Stdio::null());
        if matches!(verb, "run" | "validate") {
            command.arg("--agent-id").arg(&self.agent_id);
        }
        command
    }

    /// Runs a command to its end.
    pub(crate) fn say(&self, verb: &str, args: &[&str]) -> Said {
        said(self.command(verb).args(args))
    }

    /// Writes a definition and answers its path.
    pub(crate) fn file(&self, name: &str, content: impl AsRef<[u8]>) -> String {
        let path = self.home.path().join(name);
        std::fs::write(&path, content).expect("written");
        path.display().to_string()
    }

    /// Starts `run` on a definition in the background.
    pub(crate) fn start(&self, definition: &str) -> Running {
        let path = self.file("app.json", definition);
        let mut command = self.command("run");
        command.arg(path);
        self.background("run", command)
    }

    /// Starts a command in the background; its output and errors go to files.
    pub(crate) fn background(&self, name: &str, mut command: Command) -> Running {
        let (out, err) =
            (self.home.path().join(format!("{name}.out")), self.home.path().join(format!("{name}.err")));
        let open = |path: &Path| std::fs::File::create(path).expect("a file");
        let child = command.stdout(open(&out)).stderr(open(&err)).spawn().expect("started");
        Running { child, out, err }
    }
}

/// Runs a command to its end. One that takes too long is killed, and the test fails.
pub(crate) fn said(command: &mut Command) -> Said {
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("started");
    let pid = child.id();
    let (ended, end) = std::sync::mpsc::channel();
    std::thread::spawn(move || ended.send(child.wait_with_output()));
    let Ok(output) = end.recv_timeout(PATIENCE) else {
        signal(pid, Signal::KILL);
        panic!("{command:?} did not end");
    };
    let Output { status, stdout, stderr } = output.expect("its output");
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    Said { code: status.code(), out: text(stdout), err: text(stderr) }
}

/// Sends a signal to a process that the test started.
pub(crate) fn signal(pid: u32, signal: Signal) {
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw).expect("a process");
    rustix::process::kill_process(pid, signal).expect("signalled");
}

/// A command in the background. It is killed when the test ends first.
pub(crate) struct Running {
    child: Child,
    out: PathBuf,
    err: PathBuf,
}

impl Running {
    /// What it wrote to standard output so far.
    pub(crate) fn out(&self) -> String {
        std::fs::read_to_string(&self.out).unwrap_or_default()
    }

    /// What it wrote to standard error so far.
    pub(crate) fn err(&self) -> String {
        std::fs::read_to_string(&self.err).unwrap_or_default()
    }

    /// Ends it as a crash does.
    pub(crate) fn crash(&mut self) {
        self.child.kill().expect("killed");
        self.child.wait().expect("ended");
    }

    /// Its process id.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Waits for its end and answers the exit code.
    pub(crate) async fn code(&mut self) -> Option<i32> {
        let child = &mut self.child;
        integration::eventually("the end of a command", PATIENCE, async || Ok(child.try_wait()?))
            .await
            .unwrap_or_else(|error| panic!("{error:#}\n{}", self.err()))
            .code()
    }

    /// Waits until standard error holds a text.
    pub(crate) async fn says(&mut self, text: &str) {
        let found = integration::eventually(&format!("{text:?} from a command"), PATIENCE, async || {
            Ok(self.err().contains(text).then_some(()))
        })
        .await;
        assert!(found.is_ok(), "{found:?}: {}", self.err());
    }

    /// Waits until standard output has this many lines.
    pub(crate) async fn prints(&mut self, lines: usize) {
        let found = integration::eventually(&format!("{lines} lines from a command"), PATIENCE, async || {
            Ok((self.out().lines().count() >= lines).then_some(()))
        })
        .await;
        assert!(found.is_ok(), "{found:?}: {}", self.err());
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
