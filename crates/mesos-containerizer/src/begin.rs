//! The agent's side of a start: the parent's process, its order, the record, the word.
//!
//! See [`crate::parent::messages`] for what is said. Dropping a [`Begun`] before the word is the end of it.

use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use containerizer::{Failure, blocking, chain};
use mesos_types::ContainerId;
use serde::de::DeserializeOwned;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixStream;
use tokio::time::timeout;

use crate::parent::MODE;
use crate::parent::messages::{Order, StartFailure, Told, Word, decode, encode, length};
use crate::processes::{ProcessId, try_look};
use crate::subject::Held;

/// The program's file name.
const PROGRAM: &str = "mesos-containerizer";

/// How long the parent may take to answer; it does nothing that waits for anybody.
const ANSWER: Duration = Duration::from_secs(30);

/// How long the execution of the command may take, whose file may be far away.
const EXECUTION: Duration = Duration::from_secs(120);

/// What an operator does about a program that is none of ours.
const REMEDY: &str =
    "is it this agent's own, of its version? Mesos' packages have another program of that name";

/// The phase that failures here are of.
const PHASE: &str = "start";

/// A parent that was started, and a command that waits at its gate.
#[derive(Debug)]
pub(crate) struct Begun {
    socket: UnixStream,
    pub(crate) child: Child,
    pub(crate) parent: Held,
    pub(crate) command: ProcessId,
}

/// Finds the program: beside our own, since that one is of our version, else in the launcher directory.
///
/// # Errors
///
/// It is in neither.
pub(crate) fn find_program(launcher_dir: Option<&Path>) -> Result<PathBuf, String> {
    let own = std::env::current_exe().ok().and_then(|exe| exe.parent().map(Path::to_owned));
    let places: Vec<PathBuf> =
        own.into_iter().chain(launcher_dir.map(Path::to_owned)).map(|dir| dir.join(PROGRAM)).collect();
    let found = places.iter().find_map(|path| path.canonicalize().ok().filter(|found| found.is_file()));
    found.ok_or_else(|| {
        let places: Vec<_> = places.iter().map(|place| place.display().to_string()).collect();
        format!(
            "cannot find the program {PROGRAM} at {}: install it beside this program, or name its directory \
             with --launcher_dir",
            places.join(" or ")
        )
    })
}

impl Begun {
    /// Starts a parent with its order, up to the command that waits. `groups` are the files into which the parent's number
    /// is written, so that it is no part of what the agent is.
    ///
    /// # Errors
    ///
    /// What went wrong; nothing is left.
    pub(crate) async fn begin(
        program: &Path,
        id: ContainerId,
        order: &Order,
        tap: Option<OwnedFd>,
        groups: &[PathBuf],
    ) -> Result<Self, Failure> {
        let failed = |what: &str, error: &dyn std::error::Error| {
            Failure::new(PHASE, format!("cannot {what} {}: {}", program.display(), chain(error)))
        };
        let bytes = encode(order).map_err(|error| failed("give its order to", &error))?;
        let spawned = blocking(|| spawn(program, id, tap, groups)).map_err(|error| failed("run", &error))?;
        let (child, socket, parent) = spawned;
        let command = parent.id();
        let mut begun = Self { socket, child, parent, command };
        match timeout(ANSWER, begun.forked(program, &bytes)).await {
            Ok(Ok(command)) => {
                begun.command = command;
                Ok(begun)
            }
            Ok(Err(failure)) => {
                begun.clear();
                Err(failure)
            }
            Err(_) => {
                begun.clear();
                Err(Failure::new(PHASE, format!("{} did not answer within {ANSWER:?}", program.display())))
            }
        }
    }

    /// Gives the word, and waits until the command was executed.
    ///
    /// # Errors
    ///
    /// It was not, and nothing is left of it.
    ///
    /// # Cancel safety
    ///
    /// Must run to its end: the word may be on its way.
    pub(crate) async fn go(mut self) -> Result<(Child, Held, ProcessId), Failure> {
        let told = timeout(EXECUTION, async {
            self.socket.write_all(&encode(&Word::Go)?).await?;
            receive(&mut self.socket).await
        });
        let failure = match told.await {
            Ok(Ok(Told::Started)) => return Ok((self.child, self.parent, self.command)),
            Ok(Ok(Told::Failed(failure))) => start_failure(&failure),
            Ok(Ok(Told::Forked { .. })) => {
                Failure::new(PHASE, "the parent of the command answered out of turn")
            }
            Ok(Err(error)) => {
                Failure::new(PHASE, format!("the parent of the command ended: {}", chain(&error)))
            }
            Err(_) => Failure::new(PHASE, format!("the command was not executed within {EXECUTION:?}")),
        };
        self.clear();
        Err(failure)
    }

    /// Ends what was begun: without the socket the parent ends, and one that does not is killed, its command with it.
    pub(crate) fn clear(mut self) {
        drop(self.socket);
        blocking(|| {
            // Its death is the command's too, in whatever state either is.
            let _ = self.child.kill();
            if let Err(error) = self.child.wait() {
                tracing::debug!(%error, "the parent of a command was waited for by another");
            }
        });
    }

    async fn forked(&mut self, program: &Path, order: &[u8]) -> Result<ProcessId, Failure> {
        let failed = |error: io::Error| {
            let program = program.display();
            Failure::new(
                PHASE,
                format!("{program} does not answer as it should ({REMEDY}): {}", chain(&error)),
            )
        };
        // One that ends at once may have told why.
        let sent = self.socket.write_all(order).await;
        let told = receive(&mut self.socket).await;
        match (sent, told) {
            (_, Ok(Told::Failed(failure))) => Err(start_failure(&failure)),
            (Err(error), _) | (Ok(()), Err(error)) => Err(failed(error)),
            (Ok(()), Ok(Told::Started)) => Err(failed(io::ErrorKind::InvalidData.into())),
            (Ok(()), Ok(Told::Forked { pid })) => {
                let found = blocking(|| try_look(pid)).map_err(failed)?.map(|stat| stat.id);
                found.ok_or_else(|| {
                    Failure::new(PHASE, "the process of the command was killed before its start")
                })
            }
        }
    }
}

/// Starts the parent, which has nothing of ours.
fn spawn(
    program: &Path,
    id: ContainerId,
    tap: Option<OwnedFd>,
    groups: &[PathBuf],
) -> io::Result<(Child, UnixStream, Held)> {
    let (ours, theirs) = std::os::unix::net::UnixStream::pair()?;
    ours.set_nonblocking(true)?;
    let child = Command::new(program)
        .arg(MODE)
        .arg(id.to_string())
        .env_clear()
        .current_dir("/")
        .stdin(Stdio::from(OwnedFd::from(theirs)))
        .stdout(tap.map_or_else(Stdio::null, Stdio::from))
        .stderr(Stdio::null())
        .spawn();
    let mut child = child?;
    // It is our child, so its number is its own until it is waited for.
    let held = try_look(child.id()).and_then(|stat| stat.map_or(Ok(None), |stat| Held::open(stat.id)));
    let held =
        held.and_then(|held| held.ok_or_else(|| io::Error::other(format!("it ended at once ({REMEDY})"))));
    let known = held.and_then(|parent| Ok((UnixStream::from_std(ours)?, parent)));
    match known {
        Ok((socket, parent)) => {
            for file in groups {
                // It stays where the agent is then, which matters when that is ended as a whole.
                if let Err(error) = fs::write(file, parent.id().pid.to_string()) {
                    tracing::warn!(file = %file.display(), %error, "the parent of a command stays in the agent's control group");
                }
            }
            Ok((child, socket, parent))
        }
        Err(error) => {
            let _ = child.kill().and_then(|()| child.wait());
            Err(error)
        }
    }
}

async fn receive<T: DeserializeOwned>(socket: &mut UnixStream) -> io::Result<T> {
    let mut header = [0; 4];
    socket.read_exact(&mut header).await?;
    let mut bytes = vec![0; length(header)?];
    socket.read_exact(&mut bytes).await?;
    decode(&bytes)
}

fn start_failure(failure: &StartFailure) -> Failure {
    let hint = match failure.exit_code {
        126 => " (hint: the command of the task cannot be run; is it executable?)",
        127 => " (hint: there is no such command or file on this agent)",
        _ => "",
    };
    Failure::new(PHASE, format!("{failure}{hint}")).exit_code(failure.exit_code.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As where `--launcher_dir` is that of a stock installation: its program knows no such order and ends.
    #[tokio::test]
    async fn another_program_of_that_name_is_told_as_such() {
        let program = Path::new("/bin/true");
        let order = Order {
            version: crate::parent::messages::VERSION,
            sandbox: "/s".into(),
            state: "/r".into(),
            executable: "/bin/sh".into(),
            arguments: vec!["sh".into()],
            environment: Vec::new(),
            identity: None,
            owner: None,
            limits: Vec::new(),
            log_max_size: None,
            log_max_files: 0,
            tap: false,
        };
        for _ in 0..20 {
            // It has ended before it is looked at, or has not.
            let failure = Begun::begin(program, ContainerId::random(), &order, None, &[]).await.unwrap_err();
            let told = failure.to_string();
            assert!(told.contains(REMEDY) && told.contains("/bin/true"), "{told}");
        }
    }
}
