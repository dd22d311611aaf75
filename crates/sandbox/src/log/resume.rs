//! Going on with a stream after this process, or its predecessor, was killed.

use std::fs::File;

use super::file::{LogFile, LogPosition, truncate};
use super::look::{Look, check_name, look, open_plain, replace};
use super::policy::RotationPolicy;
use crate::directory::Sandbox;
use crate::error::{Context, SandboxError};
use crate::node::{Found, Owner};

/// A stream that goes on, and how.
#[derive(Debug)]
pub struct Resumed {
    /// The stream, at the point where the caller's next byte belongs.
    pub file: LogFile,
    /// What was found on disk.
    pub outcome: ResumeOutcome,
}

/// What [`LogFile::resume`] found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResumeOutcome {
    /// The file is ours and goes on at the stored position.
    Continued {
        /// Bytes cut off, which the predecessor wrote after it stored the position.
        dropped: u64,
    },
    /// The file is ours and shorter than the stored position, because its task truncated it. It goes on at its end.
    Shortened {
        /// Bytes that are gone.
        missing: u64,
    },
    /// The file was rotated after the position was stored, and the stream goes on with an empty live file.
    Rotated {
        /// Bytes cut off, in both files.
        dropped: u64,
    },
    /// Something else stood in the file's place. It was moved aside and the stream goes on with a fresh file. This is
    /// worth one marked line for the task's owner.
    Replaced {
        /// What was there.
        found: Found,
    },
}

impl LogFile {
    /// Goes on with the stream `name` at a stored position, so that what follows it on disk is only what the caller
    /// appends from now on.
    ///
    /// The position must be the last one stored, and stored before each [`LogFile::rotate`]: then at most one
    /// rotation lies behind it, and a rotated file is `name.1`.
    ///
    /// Files are matched by device and inode, must be regular and have one link. Nothing else is ever truncated.
    ///
    /// # Errors
    ///
    /// [`SandboxError::InvalidName`] for a name that is no single component, and errors of the system.
    pub fn resume(
        sandbox: &Sandbox,
        name: &str,
        at: &LogPosition,
        owner: Option<Owner>,
        policy: RotationPolicy,
    ) -> Result<Resumed, SandboxError> {
        check_name(sandbox, name)?;
        let live = look(sandbox, name)?;
        let (file, outcome) = match go_on(sandbox, name, &live, at)? {
            Some(found) => found,
            None => match after_rotation(sandbox, name, &live, at, owner, policy)? {
                Some(found) => found,
                None => {
                    // Our own file can end up here only when the system refuses to open it.
                    let found = if live.is_plain(at.identity()) { Found::Locked } else { live.found() };
                    (replace(sandbox, name, owner)?, ResumeOutcome::Replaced { found })
                }
            },
        };
        let file = LogFile::hold(sandbox, name, file, owner, policy)?;
        Ok(Resumed { file, outcome })
    }

    /// Goes on with the stream `name` behind what another program has written to it: an agent that is not ours, before it
    /// handed the run over. Anything else than a regular file with one link is moved aside.
    ///
    /// # Errors
    ///
    /// [`SandboxError::InvalidName`] for a name that is no single component, and errors of the system.
    pub fn go_on(
        sandbox: &Sandbox,
        name: &str,
        owner: Option<Owner>,
        policy: RotationPolicy,
    ) -> Result<LogFile, SandboxError> {
        check_name(sandbox, name)?;
        let there = match look(sandbox, name)? {
            Look::Plain(pinned) => open_plain(sandbox, name, &pinned)?,
            Look::Missing | Look::Other(..) => None,
        };
        let file = there.map_or_else(|| replace(sandbox, name, owner), Ok)?;
        LogFile::hold(sandbox, name, file, owner, policy)
    }
}

/// Goes on with the live file when it is the one of the stored position.
fn go_on(
    sandbox: &Sandbox,
    name: &str,
    live: &Look,
    at: &LogPosition,
) -> Result<Option<(File, ResumeOutcome)>, SandboxError> {
    let Look::Plain(pinned) = live else { return Ok(None) };
    if pinned.identity() != at.identity() {
        return Ok(None);
    }
    let Some(file) = open_plain(sandbox, name, pinned)? else { return Ok(None) };
    let outcome = match cut(sandbox, name, &file, at.offset)? {
        Cut::Dropped(dropped) => ResumeOutcome::Continued { dropped },
        Cut::Missing(missing) => ResumeOutcome::Shortened { missing },
    };
    Ok(Some((file, outcome)))
}

/// Undoes what came after the stored position when that includes a rotation: cuts the rotated file at the position and
/// empties the live one.
fn after_rotation(
    sandbox: &Sandbox,
    name: &str,
    live: &Look,
    at: &LogPosition,
    owner: Option<Owner>,
    policy: RotationPolicy,
) -> Result<Option<(File, ResumeOutcome)>, SandboxError> {
    if live.is_plain(at.identity()) {
        return Ok(None);
    }
    let rotated = format!("{name}.1");
    let mut dropped = 0;
    match look(sandbox, &rotated)? {
        Look::Plain(pinned) if pinned.identity() == at.identity() => {
            if let Some(file) = open_plain(sandbox, &rotated, &pinned)?
                && let Cut::Dropped(bytes) = cut(sandbox, &rotated, &file, at.offset)?
            {
                dropped += bytes;
            }
        }
        // With no rotated files kept, a rotation leaves no trace but a new live file.
        _ if policy.max_files == 0 && policy.max_size.is_some() && matches!(live, Look::Plain(_)) => {}
        _ => return Ok(None),
    }
    if let Look::Plain(pinned) = live
        && let Some(file) = open_plain(sandbox, name, pinned)?
        && let Cut::Dropped(bytes) = cut(sandbox, name, &file, 0)?
    {
        return Ok(Some((file, ResumeOutcome::Rotated { dropped: dropped + bytes })));
    }
    Ok(Some((replace(sandbox, name, owner)?, ResumeOutcome::Rotated { dropped })))
}

/// How a file compared to the offset that it was cut at.
enum Cut {
    /// So many bytes were cut off.
    Dropped(u64),
    /// The file was so many bytes too short, and is left as it is.
    Missing(u64),
}

fn cut(sandbox: &Sandbox, name: &str, file: &File, offset: u64) -> Result<Cut, SandboxError> {
    let length = file.metadata().context("look at", sandbox.path().join(name))?.len();
    if length < offset {
        return Ok(Cut::Missing(offset - length));
    }
    if length > offset {
        truncate(sandbox, name, file, offset)?;
    }
    Ok(Cut::Dropped(length - offset))
}
