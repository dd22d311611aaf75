//! The agent's side: one command, from its order to its end.

use std::fmt;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;

use bytes::BytesMut;
use rustix::net::Shutdown;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixStream;
use tokio::process::{Child, Command};

use super::helper::MODE;
use super::messages::{Ended, Leftovers, Order, Told};
use crate::parent::messages::{
    self, Identity, ResourceLimit, StartFailure, VERSION, Word, decode, encode, length,
};

/// What a command beside a container's shares with it. Cheap to clone.
#[derive(Clone)]
pub struct Surroundings {
    /// The program `mesos-containerizer`.
    pub program: PathBuf,
    /// The directory in which the command starts.
    pub sandbox: PathBuf,
    /// The container's whole environment; each name once.
    pub environment: Arc<[(String, String)]>,
    /// Who the container runs as; `None`: as who we are.
    pub identity: Option<Identity>,
    /// The container's resource limits.
    pub limits: Arc<[ResourceLimit]>,
    /// The directories of the container's control groups, none where it has none of its own.
    pub groups: Arc<[PathBuf]>,
}

/// A command to be run beside a container's.
#[derive(Clone, PartialEq, Eq)]
pub struct AsideOrder {
    /// The file to execute: a path, or a name that is looked for in the environment's `PATH`.
    pub executable: String,
    /// Its arguments, the first of which is its own name.
    pub arguments: Vec<String>,
    /// Variables beside the container's, which win.
    pub environment: Vec<(String, String)>,
    /// Who it runs as, where that is another than who the container runs as.
    pub identity: Option<Identity>,
    /// How many bytes of each stream of its output are kept, the last ones.
    pub kept: usize,
}

/// Why a command was not started, or why its end is not known.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AsideError {
    /// The command cannot be executed. Its fault if the exit code says 126 or 127.
    #[error("cannot start the command")]
    Start(#[from] StartFailure),
    /// The helper cannot be run.
    #[error("cannot run {}", program.display())]
    Helper {
        /// The program.
        program: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The command cannot be put into a control group.
    #[error("cannot put the command into the control group {}", group.display())]
    Group {
        /// The group.
        group: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The helper ended before its command did, or spoke another language.
    #[error("the helper of the command failed")]
    Lost(#[source] io::Error),
}

/// How a command ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AsideEnd {
    /// Its status.
    pub status: ExitStatus,
    /// The last of its standard output.
    pub stdout: Vec<u8>,
    /// The last of its standard error.
    pub stderr: Vec<u8>,
}

/// A command that runs. Dropping it kills it, in the background.
#[derive(Debug)]
pub struct Aside {
    helper: Child,
    talk: Talk,
}

/// The socket, with what has arrived of the next message.
#[derive(Debug)]
struct Talk {
    socket: UnixStream,
    arrived: BytesMut,
}

impl Aside {
    /// Starts a command. Answers once it is executed.
    ///
    /// # Errors
    ///
    /// It was not started, and nothing of it is left.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future kills what was begun.
    pub async fn start(surroundings: &Surroundings, order: AsideOrder) -> Result<Self, AsideError> {
        let failed = |source| AsideError::Helper { program: surroundings.program.clone(), source };
        let order = encode(&whole(surroundings, order)).map_err(failed)?;
        let mut aside = Self::spawn(&surroundings.program).map_err(failed)?;
        aside.talk.socket.write_all(&order).await.map_err(AsideError::Lost)?;
        loop {
            match aside.talk.next().await.map_err(AsideError::Lost)? {
                Told::Forked { pid } => {
                    containerizer::blocking(|| join(pid, &surroundings.groups))?;
                    let go = encode(&Word::Go).map_err(AsideError::Lost)?;
                    aside.talk.socket.write_all(&go).await.map_err(AsideError::Lost)?;
                }
                Told::Started => return Ok(aside),
                Told::Failed(failure) => return Err(failure.into()),
                Told::Ended(_) => return Err(AsideError::Lost(io::ErrorKind::InvalidData.into())),
            }
        }
    }

    /// Runs the helper.
    fn spawn(program: &Path) -> io::Result<Self> {
        let (ours, its) = std::os::unix::net::UnixStream::pair()?;
        ours.set_nonblocking(true)?;
        let helper = Command::new(program)
            .arg(MODE)
            .env_clear()
            .current_dir("/")
            .stdin(Stdio::from(OwnedFd::from(its)))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            // What is typed on our terminal is not for it.
            .process_group(0)
            .spawn()?;
        let talk = Talk { socket: UnixStream::from_std(ours)?, arrived: BytesMut::new() };
        Ok(Self { helper, talk })
    }

    /// Waits for its end.
    ///
    /// # Errors
    ///
    /// The helper was killed by somebody, and the command with it.
    ///
    /// # Cancel safety
    ///
    /// May be dropped and called again; nothing is lost.
    pub async fn ended(&mut self) -> Result<AsideEnd, AsideError> {
        match self.talk.next().await.map_err(AsideError::Lost)? {
            Told::Ended(Ended { status, stdout, stderr }) => {
                Ok(AsideEnd { status: ExitStatus::from_raw(status), stdout, stderr })
            }
            Told::Forked { .. } | Told::Started | Told::Failed(_) => {
                Err(AsideError::Lost(io::ErrorKind::InvalidData.into()))
            }
        }
    }

    /// Has it killed with all that it has started, as dropping it would. Its end follows.
    pub fn kill(&mut self) {
        // A helper that is gone has done it.
        let _ = rustix::net::shutdown(&self.talk.socket, Shutdown::Write);
    }

    /// Waits until it is gone with all that had to go; what is killed may take a moment.
    ///
    /// # Cancel safety
    ///
    /// May be dropped and called again; nothing is lost.
    pub async fn gone(&mut self) {
        // An error says that there is no such child any more.
        let _ = self.helper.wait().await;
    }
}

impl fmt::Debug for Surroundings {
    /// Without the values of the environment, which may be secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = self.environment.iter().map(|(name, _)| name.as_str()).collect();
        f.debug_struct("Surroundings")
            .field("sandbox", &self.sandbox)
            .field("environment", &names)
            .field("identity", &self.identity)
            .field("groups", &self.groups)
            .finish_non_exhaustive()
    }
}

impl Talk {
    /// The next message. May be dropped and called again.
    async fn next(&mut self) -> io::Result<Told> {
        loop {
            if let Some((header, rest)) = self.arrived.split_first_chunk::<4>()
                && let Some(message) = rest.get(..length(*header)?)
            {
                let told = decode(message)?;
                let taken = header.len() + message.len();
                let _ = self.arrived.split_to(taken);
                return Ok(told);
            }
            if self.socket.read_buf(&mut self.arrived).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
    }
}

/// Puts a process into control groups.
fn join(pid: u32, groups: &[PathBuf]) -> Result<(), AsideError> {
    groups.iter().try_for_each(|group| {
        let written = std::fs::write(group.join("cgroup.procs"), pid.to_string());
        written.map_err(|source| AsideError::Group { group: group.clone(), source })
    })
}

/// The whole order of a command.
fn whole(surroundings: &Surroundings, order: AsideOrder) -> Order {
    let command = messages::Order {
        version: VERSION,
        sandbox: surroundings.sandbox.clone(),
        state: PathBuf::new(),
        executable: order.executable,
        arguments: order.arguments,
        environment: with_additions(&surroundings.environment, &order.environment),
        identity: order.identity.or_else(|| surroundings.identity.clone()),
        owner: None,
        limits: surroundings.limits.to_vec(),
        log_max_size: None,
        log_max_files: 0,
        tap: false,
    };
    let leftovers = if surroundings.groups.is_empty() { Leftovers::Kill } else { Leftovers::Stay };
    Order { command, leftovers, kept: order.kept }
}

/// A container's environment with what a command adds to it.
fn with_additions(own: &[(String, String)], additions: &[(String, String)]) -> Vec<(String, String)> {
    let is_replaced = |name: &str| additions.iter().any(|(other, _)| other == name);
    own.iter().filter(|(name, _)| !is_replaced(name)).chain(additions).cloned().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn variables(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn what_a_command_adds_wins() {
        let own = variables(&[("A", "1"), ("B", "2")]);
        let both = with_additions(&own, &variables(&[("B", "3"), ("C", "4")]));
        assert_eq!(both, variables(&[("A", "1"), ("B", "3"), ("C", "4")]));
    }

    #[test]
    fn values_are_not_printed() {
        let surroundings = Surroundings {
            program: "/p".into(),
            sandbox: "/s".into(),
            environment: variables(&[("PASSWORD", "geheim")]).into(),
            identity: None,
            limits: Arc::default(),
            groups: Arc::default(),
        };
        let printed = format!("{surroundings:?}");
        assert!(printed.contains("PASSWORD") && !printed.contains("geheim"), "{printed}");
    }
}
