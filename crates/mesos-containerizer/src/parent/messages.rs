//! What the agent and a parent say to each other while a command is started.
//!
//! ```text
//! agent ──Order──► parent          the command waits behind a gate
//!       ◄─Forked──                 the agent writes the record, and puts the command into its control groups
//!       ──Go─────►                 the gate opens
//!       ◄─Started─ or ◄─Failed─
//! ```
//!
//! Each message is a JSON document behind its length, on the socket that is the parent's standard input. The end of the
//! socket before `Go` is the end of the parent: nobody knows of it.

use std::fmt;
use std::io::{self, Read, Write};
use std::num::NonZeroU64;
use std::path::PathBuf;

use sandbox::{Owner, RotationPolicy};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// The version of these messages. Agent and parent are installed together, so there is one at a time; a parent that was
/// started lives on with its own.
pub const VERSION: u32 = 1;

/// The longest message, in bytes: more than Linux passes to a process in arguments and environment.
const LONGEST: usize = 16 << 20;

/// What a parent is to start.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Order {
    /// [`VERSION`].
    pub version: u32,
    /// The directory in which the command starts, and where its output goes.
    pub sandbox: PathBuf,
    /// The directory of our records of the run.
    pub state: PathBuf,
    /// The file to execute: a path, or a name that is looked for in the environment's `PATH`.
    pub executable: String,
    /// Its arguments, the first of which is its own name.
    pub arguments: Vec<String>,
    /// Its whole environment; each name once.
    pub environment: Vec<(String, String)>,
    /// Who it runs as; `None` leaves it as who the parent is.
    pub identity: Option<Identity>,
    /// Who owns the log files; `None` leaves them with the parent's user.
    pub owner: Option<(u32, u32)>,
    /// The resource limits that it gets.
    pub limits: Vec<ResourceLimit>,
    /// How large a log file grows, in bytes; `None` never rotates.
    pub log_max_size: Option<NonZeroU64>,
    /// How many rotated log files are kept.
    pub log_max_files: u32,
    /// Whether the output is also written to the parent's standard output, as [`super::tap`] frames it.
    pub tap: bool,
}

/// Who a command runs as, by numbers: a parent looks up nobody.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// The user.
    pub uid: u32,
    /// Its group.
    pub gid: u32,
    /// Its other groups.
    pub groups: Vec<u32>,
}

/// A resource limit of the command, `-1` for none.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResourceLimit {
    /// The name as in `/etc/security/limits.conf`: `nofile`.
    pub name: String,
    /// The soft limit.
    pub soft: i64,
    /// The hard limit.
    pub hard: i64,
}

/// What the agent says after the order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Word {
    /// The record is written: the command may start.
    Go,
}

/// What a parent says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Told {
    /// The command's process is there and waits.
    Forked {
        /// Its number.
        pid: u32,
    },
    /// The command was executed.
    Started,
    /// It was not, and there is no process.
    Failed(StartFailure),
}

/// Why a command was not started.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{what}: {why}")]
pub struct StartFailure {
    /// What was tried, on what: `cannot execute /bin/x`.
    pub what: String,
    /// Why it failed.
    pub why: String,
    /// The exit code that a shell would give: 127 for a file that is not there, 126 for one that cannot be executed, 125
    /// for what is not the command's fault.
    pub exit_code: i32,
}

impl Order {
    /// When log files are rotated.
    pub fn rotation(&self) -> RotationPolicy {
        RotationPolicy { max_size: self.log_max_size, max_files: self.log_max_files }
    }

    /// Who owns the log files.
    pub fn log_owner(&self) -> Option<Owner> {
        self.owner.and_then(|(uid, gid)| Owner::new(uid, gid).ok())
    }
}

impl fmt::Debug for Order {
    /// Without the values of the environment, which may be secrets, and the arguments.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = self.environment.iter().map(|(name, _)| name.as_str()).collect();
        f.debug_struct("Order")
            .field("sandbox", &self.sandbox)
            .field("executable", &self.executable)
            .field("environment", &names)
            .field("identity", &self.identity)
            .field("limits", &self.limits)
            .finish_non_exhaustive()
    }
}

impl StartFailure {
    /// A failure of the system to do something.
    pub fn new(what: impl Into<String>, error: &io::Error) -> Self {
        Self { what: what.into(), why: error.to_string(), exit_code: 125 }
    }
}

/// A message as it is sent.
///
/// # Errors
///
/// A message that is too long.
pub fn encode(message: &impl Serialize) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; 4];
    serde_json::to_writer(&mut bytes, message)?;
    let length = bytes.len() - 4;
    let too_long =
        || io::Error::new(io::ErrorKind::InvalidInput, "the command and its environment are too long");
    let header = u32::try_from(length).ok().filter(|_| length <= LONGEST).ok_or_else(too_long)?;
    bytes[..4].copy_from_slice(&header.to_le_bytes());
    Ok(bytes)
}

/// The length of a message by its first four bytes.
///
/// # Errors
///
/// A length that no message has: whoever is at the other end speaks another language.
pub fn length(header: [u8; 4]) -> io::Result<usize> {
    let length = usize::try_from(u32::from_le_bytes(header)).unwrap_or(usize::MAX);
    if length > LONGEST {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "what was read is no message"));
    }
    Ok(length)
}

/// Reads a message from its bytes.
///
/// # Errors
///
/// Bytes that are no such message.
pub fn decode<T: DeserializeOwned>(bytes: &[u8]) -> io::Result<T> {
    // The words of the parser may quote the message, which has secrets.
    serde_json::from_slice(bytes)
        .map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "what was read is no message"))
}

/// Reads a message, waiting for it.
///
/// # Errors
///
/// The end of the stream, what is no message, and errors of the system.
pub fn receive<T: DeserializeOwned>(from: &mut impl Read) -> io::Result<T> {
    let mut header = [0; 4];
    from.read_exact(&mut header)?;
    let mut bytes = vec![0; length(header)?];
    from.read_exact(&mut bytes)?;
    decode(&bytes)
}

/// Sends a message, waiting for room.
///
/// # Errors
///
/// A message that is too long, and errors of the system.
pub fn send(to: &mut impl Write, message: &impl Serialize) -> io::Result<()> {
    to.write_all(&encode(message)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order() -> Order {
        Order {
            version: VERSION,
            sandbox: "/s".into(),
            state: "/r".into(),
            executable: "/bin/sh".into(),
            arguments: vec!["sh".into(), "-c".into(), "echo $PASSWORD".into()],
            environment: vec![("PASSWORD".into(), "geheim".into())],
            identity: Some(Identity { uid: 1, gid: 2, groups: vec![3] }),
            owner: Some((1, 2)),
            limits: vec![ResourceLimit { name: "nofile".into(), soft: 10, hard: -1 }],
            log_max_size: NonZeroU64::new(4096),
            log_max_files: 3,
            tap: false,
        }
    }

    #[test]
    fn messages_come_as_they_were_sent() {
        let mut wire = Vec::new();
        send(&mut wire, &order()).unwrap();
        send(&mut wire, &Word::Go).unwrap();
        let mut wire = wire.as_slice();
        assert_eq!(receive::<Order>(&mut wire).unwrap(), order());
        assert_eq!(receive::<Word>(&mut wire).unwrap(), Word::Go);
        assert_eq!(receive::<Word>(&mut wire).unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
    }

    #[test]
    fn what_another_program_prints_is_no_message() {
        let mut usage = &b"Usage: mesos-containerizer <subcommand>"[..];
        assert_eq!(receive::<Told>(&mut usage).unwrap_err().kind(), io::ErrorKind::InvalidData);
    }

    #[test]
    fn secrets_are_neither_printed_nor_in_errors() {
        let printed = format!("{:?}", order());
        assert!(printed.contains("PASSWORD") && !printed.contains("geheim"), "{printed}");
        let error = decode::<Told>(br#"{"Failed": "geheim"}"#).unwrap_err();
        assert!(!format!("{error:?} {error}").contains("geheim"));
    }

    #[test]
    fn a_message_without_end_is_refused() {
        assert!(encode(&"x".repeat(LONGEST)).is_err());
        assert!(length(u32::MAX.to_le_bytes()).is_err());
    }
}
