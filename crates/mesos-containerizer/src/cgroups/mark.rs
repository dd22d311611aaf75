//! Whose a group is.
//!
//! Several agents may share a machine and a `--cgroups_root`. A group says whose it is in an extended attribute, which
//! lives and dies with it: the work directory of the agent that made it, as the label of a Docker container does.

use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use rustix::fs::{XattrFlags, getxattr, setxattr};
use rustix::io::Errno;

/// Only root reads and writes it.
const NAME: &str = "trusted.mesos.work_dir";

/// Longer than any path.
const LONGEST: usize = 4096;

/// What a group says about its owner.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mark {
    /// This agent's work directory.
    Ours,
    /// Another one.
    Others,
    /// Nothing: a stock agent made it, or the kernel keeps no attributes here.
    None,
}

/// Marks a group as made for a work directory.
///
/// # Errors
///
/// A kernel without attributes of groups, or a process that may not write them.
pub(crate) fn set_mark(group: &Path, work_dir: &Path) -> io::Result<()> {
    Ok(setxattr(group, NAME, work_dir.as_os_str().as_bytes(), XattrFlags::empty())?)
}

/// Reads the mark of a group.
pub(crate) fn mark_of(group: &Path, work_dir: &Path) -> Mark {
    let mut value = [0; LONGEST];
    match getxattr(group, NAME, &mut value[..]) {
        Ok(length) if value.get(..length) == Some(work_dir.as_os_str().as_bytes()) => Mark::Ours,
        // A value that does not fit is not ours either.
        Ok(_) | Err(Errno::RANGE) => Mark::Others,
        Err(_) => Mark::None,
    }
}
