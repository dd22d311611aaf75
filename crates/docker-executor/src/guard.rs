//! A small process that stops the container when the executor is gone without having seen its end.
//!
//! Stock leaves the container running when its executor is killed (`wire/recorded` 05d): the agent reports the task as
//! failed, gives its resources away, and removes the container after `--docker_remove_delay`, six hours later. Ours may
//! be killed too, by the kernel for want of memory or by a person. So the executor starts itself once more, as a guard
//! that does nothing but read a pipe:
//!
//! ```text
//! executor ──Orders──► guard ──"done"──────────────► exit
//!                        └───end of file without it─► stop, until the engine says that the container does not run
//! ```
//!
//! It is told to end like the executor is when the agent destroys the container, so it blocks all signals. It has no
//! environment, no other descriptors but standard error, and one thread. A container of that name that is not of this
//! run is left alone, and a standard error that nobody reads holds up nothing. A guard that ends early, killed by whoever,
//! is replaced for as long as the executor lives.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::{Duration, Instant};

use docker_containerizer::labels::PREFIX;
use nix::sys::signal::SigSet;
use serde::{Deserialize, Serialize};
use tokio::signal::unix::{SignalKind, signal};

use crate::output::NeverWaits;

/// The one argument that makes the program a guard.
pub const ARGUMENT: &str = "guard";

/// What the executor writes when the container is known to be stopped.
const DONE: &str = "done";

/// How long an engine that does not answer is asked again.
const PATIENCE: Duration = Duration::from_secs(15 * 60);

/// The pause between two attempts.
const PAUSE: Duration = Duration::from_secs(1);

/// How long the engine may take for an answer beyond the grace.
const ANSWER: Duration = Duration::from_secs(30);

/// The longest answer that is read, in bytes.
const LONGEST: u64 = 4 << 20;

/// How long a guard that was sent home may take to go.
const LEAVES: Duration = Duration::from_secs(1);

/// How often it is looked whether it has gone.
const LOOK: Duration = Duration::from_millis(5);

/// How many guards a task has at most; what ends each of them ends the next.
const GUARDS: usize = 10;

/// The state of a container that was never started.
const CREATED: &str = "created";

/// What a guard must know.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Orders {
    /// The engine's socket.
    pub socket: PathBuf,
    /// The container's name.
    pub container: String,
    /// The id of the run, which the container has as a label.
    pub run: String,
    /// Between stop signal and SIGKILL, in whole seconds.
    pub grace_seconds: u64,
    /// How long a create or a start that was under way may still have an effect, in seconds.
    pub launch_seconds: u64,
    /// The executor's records of the run, which go with the container.
    pub records: PathBuf,
}

/// A guard, from the executor's side.
#[derive(Debug)]
pub struct Guard {
    child: Child,
    /// Until the guard is sent home.
    pipe: Option<ChildStdin>,
}

/// What the engine says about the container.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Seen {
    /// There is none.
    Missing,
    /// It was never started.
    Created,
    /// It runs, with this id.
    Runs(String),
    /// It ran, and does not.
    Over,
    /// It has the name and is not of this run.
    Foreign,
    /// It cannot be told.
    Unknown,
}

/// An inspection, as far as it is read (Engine API `ContainerInspect`).
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Inspection {
    id: String,
    state: State,
    config: Config,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct State {
    status: String,
    running: bool,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Config {
    labels: Option<BTreeMap<String, String>>,
}

impl Guard {
    /// Starts a guard. It does not outlive the executor, except to stop the container.
    ///
    /// # Errors
    ///
    /// The system starts no process.
    pub fn start(orders: &Orders) -> io::Result<Self> {
        let mut child = Command::new("/proc/self/exe")
            .arg0("mesos-docker-executor")
            .arg(ARGUMENT)
            .env_clear()
            .current_dir("/")
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()?;
        let mut pipe = child.stdin.take().ok_or(io::ErrorKind::BrokenPipe)?;
        let mut line = serde_json::to_vec(orders)?;
        line.push(b'\n');
        pipe.write_all(&line)?;
        Ok(Self { child, pipe: Some(pipe) })
    }

    /// Replaces a guard that ends, or did not start, a few times.
    ///
    /// # Cancel safety
    ///
    /// May be dropped: the guard is there or is not.
    pub async fn keep(guard: &mut Option<Self>, orders: &Orders) -> Infallible {
        // Before the first look, so that no end is missed.
        if let Ok(mut children) = signal(SignalKind::child()) {
            for _ in 1..GUARDS {
                while guard.as_mut().is_some_and(Self::is_there) {
                    children.recv().await;
                }
                tokio::time::sleep(PAUSE).await;
                *guard = match Self::start(orders) {
                    Ok(started) => Some(started),
                    Err(error) => {
                        tracing::warn!(%error, "no guard watches over the container");
                        None
                    }
                };
                if guard.is_some() {
                    tracing::warn!("the guard had ended; another watches over the container");
                }
            }
        }
        std::future::pending().await
    }

    fn is_there(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Sends the guard home: the container is known to be stopped. One that cannot go, since somebody has stopped the
    /// process, is killed.
    pub async fn dismiss(mut self) {
        if let Some(mut pipe) = self.pipe.take()
            && let Err(error) = writeln!(pipe, "{DONE}")
        {
            tracing::debug!(%error, "the guard was gone");
        }
        if !self.has_gone().await {
            let killed = self.child.kill();
            tracing::warn!(?killed, "the guard did not go and was killed");
            self.has_gone().await;
        }
    }

    /// Waits a moment for the guard's end.
    async fn has_gone(&mut self) -> bool {
        let began = tokio::time::Instant::now();
        while self.is_there() {
            if began.elapsed() >= LEAVES {
                return false;
            }
            tokio::time::sleep(LOOK).await;
        }
        true
    }
}

/// Is a guard: reads its orders from standard input and acts on them when that ends. Answers the exit code.
pub fn run() -> u8 {
    // The agent signals the whole tree of the executor's processes. Blocking cannot fail with a full set.
    let _ = SigSet::all().thread_block();
    // The system would call it `exe`, after the file that it was started from.
    let _ = rustix::thread::set_name(c"mesos-docker-gu");
    let mut lines = BufReader::new(io::stdin().lock()).lines();
    let orders = match lines.next() {
        Some(Ok(line)) => serde_json::from_str::<Orders>(&line),
        // The executor ended before it said anything, and before it launched anything.
        Some(Err(_)) | None => return 0,
    };
    let Ok(orders) = orders else { return 1 };
    if lines.any(|line| line.is_ok_and(|line| line == DONE)) {
        return 0;
    }
    let container = &orders.container;
    say(&format!("the executor was killed; stopping the container {container}"));
    if stop(&orders, PAUSE) {
        if let Err(error) = std::fs::remove_dir_all(&orders.records) {
            say(&format!("the records in {} were not removed: {error}", orders.records.display()));
        }
        return 0;
    }
    say(&format!("the container {container} could not be stopped: the engine does not answer"));
    1
}

/// Stops the container; answers whether it is known not to run.
fn stop(orders: &Orders, pause: Duration) -> bool {
    let launch = Duration::from_secs(orders.launch_seconds);
    let began = Instant::now();
    // Since when nothing of the executor's last request to the engine is seen. An engine that was away begins anew.
    let mut quiet: Option<Instant> = None;
    loop {
        match look(orders).unwrap_or(Seen::Unknown) {
            Seen::Over => return true,
            Seen::Foreign => {
                say(&format!("the container {} is not of this run, and is left alone", orders.container));
                return true;
            }
            Seen::Missing | Seen::Created => {
                if quiet.get_or_insert_with(Instant::now).elapsed() >= launch {
                    return true;
                }
            }
            Seen::Runs(id) => {
                quiet = None;
                // What became of it is seen by the next look.
                let path = format!("/containers/{id}/stop?t={}", orders.grace_seconds);
                let _ = ask(orders, "POST", &path, Duration::from_secs(orders.grace_seconds));
            }
            Seen::Unknown => quiet = None,
        }
        if quiet.is_none() && began.elapsed() >= PATIENCE {
            return false;
        }
        // Nobody unparks a guard; one that wakes early asks early.
        std::thread::park_timeout(pause);
    }
}

/// Looks at the container.
fn look(orders: &Orders) -> io::Result<Seen> {
    let path = format!("/containers/{}/json", orders.container);
    let (status, body) = ask(orders, "GET", &path, Duration::ZERO)?;
    Ok(meaning(status, &body, &orders.run))
}

/// Asks the engine once; answers the status and the body.
fn ask(orders: &Orders, method: &str, path: &str, grace: Duration) -> io::Result<(u16, Vec<u8>)> {
    let mut stream = UnixStream::connect(&orders.socket)?;
    stream.set_write_timeout(Some(ANSWER))?;
    stream.set_read_timeout(Some(ANSWER + grace))?;
    // The answer of this version ends with the connection and has no chunks.
    write!(stream, "{method} {path} HTTP/1.0\r\nHost: docker\r\nContent-Length: 0\r\n\r\n")?;
    let mut answer = Vec::new();
    stream.take(LONGEST).read_to_end(&mut answer)?;
    let invalid = || io::Error::from(io::ErrorKind::InvalidData);
    let end = answer.windows(4).position(|four| four == b"\r\n\r\n").ok_or_else(invalid)?;
    let head = std::str::from_utf8(&answer[..end]).map_err(|_| invalid())?;
    let status = head.split_whitespace().nth(1).and_then(|status| status.parse().ok()).ok_or_else(invalid)?;
    Ok((status, answer.split_off(end + 4)))
}

/// What an answer to an inspection means for a run.
fn meaning(status: u16, body: &[u8], run: &str) -> Seen {
    if status == 404 {
        return Seen::Missing;
    }
    let inspection = serde_json::from_slice::<Inspection>(body).ok().filter(|_| status == 200);
    let Some(Inspection { id, state, config }) = inspection else { return Seen::Unknown };
    let label = format!("{PREFIX}container_id");
    if config.labels.unwrap_or_default().get(&label).is_none_or(|found| found != run) {
        return Seen::Foreign;
    }
    match (state.running, state.status.as_str()) {
        (true, _) => Seen::Runs(id),
        (false, CREATED) => Seen::Created,
        (false, _) => Seen::Over,
    }
}

/// Tells whoever reads the executor's standard error.
fn say(line: &str) {
    let _ = writeln!(NeverWaits, "[mesos-docker-executor] {line}");
}

#[cfg(test)]
mod tests {
    use super::*;

    const RUN: &str = "f6a82b9d-c49c-4dae-92bc-e1de75e242c6";

    fn container(status: &str, run: &str) -> String {
        serde_json::json!({
            "Id": "abc",
            "State": { "Status": status, "Running": status == "running", "Pid": 7 },
            "Config": { "Labels": { "org.apache.mesos.container_id": run } },
        })
        .to_string()
    }

    #[rstest::rstest]
    #[case(200, &container("running", RUN), Seen::Runs("abc".into()))]
    #[case(200, &container("exited", RUN), Seen::Over)]
    #[case(200, &container("dead", RUN), Seen::Over)]
    // Its start may be under way: that it does not run means nothing yet.
    #[case(200, &container("created", RUN), Seen::Created)]
    #[case(200, &container("running", "another"), Seen::Foreign)]
    #[case(
        200,
        r#"{"Id":"abc","State":{"Status":"running","Running":true},"Config":{"Labels":null}}"#,
        Seen::Foreign
    )]
    #[case(404, r#"{"message":"No such container"}"#, Seen::Missing)]
    #[case(500, &container("exited", RUN), Seen::Unknown)]
    #[case(200, "{", Seen::Unknown)]
    fn only_an_engine_that_says_so_has_stopped_it(
        #[case] status: u16,
        #[case] body: &str,
        #[case] expected: Seen,
    ) {
        assert_eq!(meaning(status, body.as_bytes(), RUN), expected);
    }

    /// What a guard asks an engine that answers with these, one after the other.
    fn asked(answers: Vec<(u16, String)>, launch_seconds: u64) -> Vec<String> {
        let dir = tempfile::tempdir().unwrap();
        let socket = dir.path().join("engine.sock");
        let listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
        let engine = std::thread::spawn(move || {
            let mut asked = Vec::new();
            for (status, body) in answers {
                let (mut stream, _) = listener.accept().unwrap();
                let mut reader = BufReader::new(stream.try_clone().unwrap());
                let mut line = String::new();
                reader.read_line(&mut line).unwrap();
                asked.push(line.trim_end().to_owned());
                while reader.read_line(&mut line).unwrap() > 2 {}
                write!(stream, "HTTP/1.0 {status} X\r\n\r\n{body}").unwrap();
            }
            asked
        });
        let orders = Orders {
            socket,
            container: "mesos-c".into(),
            run: RUN.into(),
            grace_seconds: 5,
            launch_seconds,
            records: dir.path().join("records"),
        };
        assert!(stop(&orders, Duration::from_millis(1)));
        engine.join().unwrap()
    }

    const LOOKS: &str = "GET /containers/mesos-c/json HTTP/1.0";
    const STOPS: &str = "POST /containers/abc/stop?t=5 HTTP/1.0";

    #[test]
    fn a_guard_asks_until_the_container_does_not_run() {
        let answers = vec![
            (500, String::new()),
            (200, container("running", RUN)),
            (500, String::new()),
            (200, container("running", RUN)),
            (204, String::new()),
            (200, container("exited", RUN)),
        ];
        assert_eq!(asked(answers, 0), [LOOKS, LOOKS, STOPS, LOOKS, STOPS, LOOKS]);
    }

    /// The executor was killed while the engine created and started the container.
    #[test]
    fn a_guard_waits_for_a_launch_that_is_under_way() {
        let answers = vec![
            (404, String::new()),
            (200, container("created", RUN)),
            (200, container("running", RUN)),
            (204, String::new()),
            (200, container("exited", RUN)),
        ];
        assert_eq!(asked(answers, 600), [LOOKS, LOOKS, LOOKS, STOPS, LOOKS]);
        assert_eq!(asked(vec![(404, String::new())], 0), [LOOKS], "nothing is under way");
    }

    #[test]
    fn a_guard_leaves_a_container_of_another_run_alone() {
        assert_eq!(asked(vec![(200, container("running", "another"))], 600), [LOOKS]);
    }

    #[tokio::test]
    async fn a_guard_that_was_stopped_does_not_hold_up_the_end() {
        let mut child = Command::new("sleep").arg("1000").stdin(Stdio::piped()).spawn().unwrap();
        let pipe = child.stdin.take();
        let pid = child.id();
        tokio::time::timeout(Duration::from_secs(20), Guard { child, pipe }.dismiss()).await.unwrap();
        assert!(!std::path::Path::new(&format!("/proc/{pid}")).exists());
    }
}
