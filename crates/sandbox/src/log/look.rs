//! Judging the entry at a log file's name, and putting a fresh file there.

use std::ffi::OsStr;
use std::fs::File;
use std::os::fd::BorrowedFd;

use rustix::fs::{Mode, OFlags, openat};
use rustix::io::Errno;

use crate::aside;
use crate::directory::Sandbox;
use crate::error::{Context, SandboxError};
use crate::node::{Found, Identity, Owner, Pinned, adopt};
use crate::resolve::pin_entry;

/// The mode of log files, as Mesos sets it (src/slave/containerizer/fetcher.cpp, `Fetcher::run`).
const LOG_MODE: u32 = 0o644;

/// Attempts to create a file before giving up on somebody who keeps taking its name.
const ATTEMPTS: u32 = 8;

/// The longest name of a stream, in bytes. It leaves room for what is appended to it.
const MAX_NAME: usize = 200;

/// Flags of an open log file. Appending keeps a file right that is truncated by its task, and one that has a second
/// writer.
const LOG: OFlags = OFlags::RDWR.union(OFlags::APPEND);

/// What stands at a name.
pub(super) enum Look {
    /// Nothing.
    Missing,
    /// A regular file with one link.
    Plain(Pinned),
    /// Anything else.
    Other(Pinned, Found),
}

impl Look {
    /// Whether this is the plain file with the given identity, which may be truncated and appended to.
    pub(super) fn is_plain(&self, identity: Identity) -> bool {
        matches!(self, Look::Plain(pinned) if pinned.identity() == identity)
    }

    /// Whether this is the file with the given identity, whatever other names it has. Good for a rename only.
    pub(super) fn is(&self, identity: Identity) -> bool {
        matches!(self, Look::Plain(pinned) | Look::Other(pinned, _) if pinned.identity() == identity)
    }

    /// Whether nothing is there.
    pub(super) fn is_missing(&self) -> bool {
        matches!(self, Look::Missing)
    }

    /// What to tell a person when this had to make way.
    pub(super) fn found(&self) -> Found {
        match self {
            Look::Missing => Found::Missing,
            Look::Plain(_) => Found::OtherFile,
            Look::Other(_, found) => *found,
        }
    }
}

/// Refuses a name of a stream that is no single, short path component.
pub(super) fn check_name(sandbox: &Sandbox, name: &str) -> Result<(), SandboxError> {
    let component = !name.is_empty() && name.len() <= MAX_NAME && !matches!(name, "." | "..");
    if component && !name.bytes().any(|byte| byte == b'/' || byte == 0) {
        return Ok(());
    }
    let shown = name.chars().take(MAX_NAME).collect();
    Err(SandboxError::InvalidName { path: sandbox.path().to_owned(), name: shown })
}

/// Looks at the entry `name` of a sandbox without opening it.
pub(super) fn look(sandbox: &Sandbox, name: &str) -> Result<Look, SandboxError> {
    match pin_entry(sandbox.fd(), OsStr::new(name)) {
        Ok(pinned) => Ok(match pinned.plain() {
            Ok(()) => Look::Plain(pinned),
            Err(found) => Look::Other(pinned, found),
        }),
        Err(Errno::NOENT) => Ok(Look::Missing),
        Err(errno) => Err(SandboxError::from_errno("look at", sandbox.path().join(name), errno)),
    }
}

/// Opens a pinned plain file for appending. `None` says that the system does not let us, for a reason that lies in
/// the file itself: it is being executed, has a lease on it, is immutable.
pub(super) fn open_plain(
    sandbox: &Sandbox,
    name: &str,
    pinned: &Pinned,
) -> Result<Option<File>, SandboxError> {
    match pinned.open(LOG) {
        Ok(file) => Ok(Some(file)),
        Err(Errno::AGAIN | Errno::TXTBSY | Errno::PERM | Errno::ACCESS) => Ok(None),
        Err(errno) => Err(SandboxError::from_errno("open", sandbox.path().join(name), errno)),
    }
}

/// Creates the file `name`, moving away what is there.
pub(super) fn replace(sandbox: &Sandbox, name: &str, owner: Option<Owner>) -> Result<File, SandboxError> {
    let path = || sandbox.path().join(name);
    let mut result = create(sandbox.fd(), name);
    for _ in 0..ATTEMPTS {
        if !matches!(result, Err(Errno::EXIST)) {
            break;
        }
        aside::clear(sandbox.fd(), name).context("move aside", path())?;
        result = create(sandbox.fd(), name);
    }
    let file = result.context("create", path())?;
    adopt(&file, LOG_MODE, owner).context("set mode and owner of", path())?;
    Ok(file)
}

/// Gives a file that was there before the mode and owner of a log file.
pub(super) fn take_over(
    sandbox: &Sandbox,
    name: &str,
    file: &File,
    owner: Option<Owner>,
) -> Result<(), SandboxError> {
    adopt(file, LOG_MODE, owner).context("set mode and owner of", sandbox.path().join(name))
}

fn create(dir: BorrowedFd<'_>, name: &str) -> Result<File, Errno> {
    let flags = LOG | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::NOCTTY | OFlags::CLOEXEC;
    openat(dir, name, flags, Mode::from_raw_mode(LOG_MODE)).map(File::from)
}
