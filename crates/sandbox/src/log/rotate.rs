//! Rotation: the live file becomes `name.1`, and so on.
//!
//! The new file is created first, under `name.new`, so that a full disk is met before anything has moved. A crash
//! between any two steps leaves files that [`LogFile::resume`] understands: the stored position's file is still
//! `name`, or it is `name.1`.

use rustix::fs::{AtFlags, renameat, statat};
use rustix::io::Errno;

use super::file::LogFile;
use super::look::{look, replace};
use crate::aside;
use crate::directory::Sandbox;
use crate::error::{Context, SandboxError};
use crate::node::Found;

/// Files beyond the policy's number that one rotation removes, after the policy was lowered.
const SURPLUS: u32 = 100;

/// What [`LogFile::rotate`] did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RotateOutcome {
    /// The live file is now `name.1`, or gone when none is to be kept.
    Rotated,
    /// The entry at the live file's name was not the file that was written. It was moved aside, the file that was
    /// written is out of reach, and the stream goes on with a fresh file. This is worth one marked line.
    Replaced {
        /// What was there.
        found: Found,
    },
}

impl LogFile {
    /// Starts a new live file and keeps the old one as `name.1`, the one before as `name.2`, up to the policy's
    /// number; older ones are removed. The caller has stored [`LogFile::position`] right before.
    ///
    /// Nothing that a task put under these names is followed, opened or waited for. On an error the stream goes on
    /// with the old file, and the rotation can be tried again.
    ///
    /// # Errors
    ///
    /// [`SandboxError::Moved`] when the sandbox's path names another directory, and errors of the system.
    pub fn rotate(&mut self) -> Result<RotateOutcome, SandboxError> {
        let sandbox = Sandbox::reopen(&self.sandbox, self.sandbox_identity)?;
        let name = &*self.name;
        let next = format!("{name}.new");
        let file = replace_leftover(&sandbox, &next, self)?;
        let live = look(&sandbox, name)?;
        let outcome = if live.is(self.identity) {
            if self.policy.max_files > 0 {
                shift(&sandbox, name, self.policy.max_files)?;
                rename(&sandbox, name, &format!("{name}.1"))?;
            }
            RotateOutcome::Rotated
        } else if live.is_missing() && self.is_rotated_already(&sandbox)? {
            RotateOutcome::Rotated
        } else {
            aside::clear(sandbox.fd(), name).context("move aside", sandbox.path().join(name))?;
            RotateOutcome::Replaced { found: live.found() }
        };
        rename(&sandbox, &next, name)?;
        *self = LogFile::hold(&sandbox, name, file, self.owner, self.policy)?;
        Ok(outcome)
    }

    /// Whether an earlier attempt moved the live file and failed to put the new one in its place.
    fn is_rotated_already(&self, sandbox: &Sandbox) -> Result<bool, SandboxError> {
        Ok(self.policy.max_files > 0 && look(sandbox, &format!("{}.1", self.name))?.is(self.identity))
    }
}

/// Creates the next live file, unlinking what a rotation that was cut short left under its name.
fn replace_leftover(sandbox: &Sandbox, next: &str, log: &LogFile) -> Result<std::fs::File, SandboxError> {
    aside::remove(sandbox.fd(), next).context("remove", sandbox.path().join(next))?;
    replace(sandbox, next, log.owner)
}

/// Makes `name.1` free: moves each rotated file one up, as far as the first number that is free, and removes what
/// would go beyond `max_files`.
fn shift(sandbox: &Sandbox, name: &str, max_files: u32) -> Result<(), SandboxError> {
    let numbered = |number: u32| format!("{name}.{number}");
    let is_free = |number: u32| match statat(sandbox.fd(), numbered(number), AtFlags::SYMLINK_NOFOLLOW) {
        Ok(_) => Ok(false),
        Err(Errno::NOENT) => Ok(true),
        Err(errno) => Err(SandboxError::from_errno("look at", sandbox.path().join(numbered(number)), errno)),
    };
    let mut free = 1;
    while free < max_files && !is_free(free)? {
        free += 1;
    }
    if free == max_files {
        for number in max_files..max_files.saturating_add(SURPLUS) {
            if is_free(number)? {
                break;
            }
            let name = numbered(number);
            aside::remove(sandbox.fd(), &name).context("remove", sandbox.path().join(&name))?;
        }
    }
    for number in (1..free).rev() {
        match rename(sandbox, &numbered(number), &numbered(number + 1)) {
            // Its task removed it in this very moment.
            Err(error) if error.is_not_found() => {}
            result => result?,
        }
    }
    Ok(())
}

/// Renames within the sandbox, onto nothing or a file that may go.
fn rename(sandbox: &Sandbox, from: &str, to: &str) -> Result<(), SandboxError> {
    let dir = sandbox.fd();
    let mut result = renameat(dir, from, dir, to);
    if matches!(result, Err(Errno::ISDIR | Errno::NOTDIR | Errno::NOTEMPTY | Errno::EXIST)) {
        // A task put something there in this very moment.
        aside::clear(dir, to).context("move aside", sandbox.path().join(to))?;
        result = renameat(dir, from, dir, to);
    }
    result.context("rename", sandbox.path().join(from))
}
