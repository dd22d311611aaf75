//! What the system says about a process, and which run of the system it is.

use std::fs;
use std::io;

use rustix::io::Errno;
use serde::{Deserialize, Serialize};

/// A process: a number alone may come to mean another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ProcessId {
    /// The process' number.
    pub pid: u32,
    /// When it was started, in clock ticks since the system's start.
    pub start: u64,
}

/// What is known of a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stat {
    /// Which process.
    pub id: ProcessId,
    /// Its parent.
    pub parent: u32,
    /// Its process group.
    pub group: u32,
    /// Its session.
    pub session: u32,
    /// Whether it has ended and was not waited for. One whose first thread has ended while others go on has not.
    pub is_zombie: bool,
}

impl Stat {
    /// Reads `/proc/<pid>/stat`. The name, in parentheses, may have any byte in it: a task chooses it.
    fn parse(text: &[u8]) -> Option<Self> {
        let text = String::from_utf8_lossy(text);
        let (front, back) = text.rsplit_once(") ")?;
        let pid = front.split_once(' ')?.0.parse().ok()?;
        let mut fields = back.split(' ');
        let state = fields.next()?;
        let mut number = || fields.next()?.parse::<i64>().ok();
        // A group or session outside of this namespace is 0.
        let mut id = || number().map(|value| u32::try_from(value).unwrap_or(0));
        let (parent, group, session) = (id()?, id()?, id()?);
        // The fields from the terminal to `nice` lie between.
        let threads: u64 = fields.nth(13)?.parse().ok()?;
        // And `itrealvalue`.
        let start = fields.nth(1)?.parse().ok()?;
        let is_zombie = matches!(state, "Z" | "X" | "x") && threads <= 1;
        Some(Self { id: ProcessId { pid, start }, parent, group, session, is_zombie })
    }
}

/// What is known of the process with a number; `None` if there is none, or if the system does not tell.
#[must_use]
pub fn look(pid: u32) -> Option<Stat> {
    try_look(pid).ok().flatten()
}

/// What is known of the process with a number; `None` if there is none.
///
/// # Errors
///
/// The system does not tell, as when this process has no descriptor left: that says nothing about the other.
pub fn try_look(pid: u32) -> io::Result<Option<Stat>> {
    Ok(read(pid, "stat")?.and_then(|text| Stat::parse(&text)))
}

/// Reads a file of a process; `None` once the process is gone.
///
/// # Errors
///
/// The system does not tell.
pub(crate) fn read(pid: u32, file: &str) -> io::Result<Option<Vec<u8>>> {
    match fs::read(format!("/proc/{pid}/{file}")) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if is_gone(&error) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Whether an error of a look at a process says that the process is gone.
pub(crate) fn is_gone(error: &io::Error) -> bool {
    let code = error.raw_os_error();
    error.kind() == io::ErrorKind::NotFound || code == Some(Errno::SRCH.raw_os_error())
}

/// All processes that can be seen. One that comes or goes meanwhile may be missing, and no other.
///
/// # Errors
///
/// `/proc` cannot be listed, or a process in it not be looked at.
pub fn all() -> io::Result<Vec<Stat>> {
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc")? {
        let pid = entry?.file_name().to_str().and_then(|name| name.parse().ok());
        let Some(pid) = pid else { continue };
        match try_look(pid) {
            // With `hidepid` those of other users are not shown.
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {}
            looked => found.extend(looked?),
        }
    }
    Ok(found)
}

/// The id of this run of the system.
///
/// # Errors
///
/// The system does not tell it.
pub fn boot_id() -> io::Result<String> {
    Ok(fs::read_to_string("/proc/sys/kernel/random/boot_id")?.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[rstest::rstest]
    #[case::plain("12 (sh) S 1 12 10 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 9912345 1 2", Some((12, 9_912_345, 1, 12, 10, false)))]
    #[case::a_name_that_lies("12 (a) Z 9 (b) ) Z 1 12 10 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 77 1 2", Some((12, 77, 1, 12, 10, true)))]
    #[case::another_namespace("12 (sh) S 0 0 0 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 77 1 2", Some((12, 77, 0, 0, 0, false)))]
    #[case::the_first_thread_has_ended("12 (sh) Z 1 12 10 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 2 0 77 1 2", Some((12, 77, 1, 12, 10, false)))]
    #[case::cut("12 (sh) S 1 12", None)]
    #[case::nothing("", None)]
    fn a_process_is_read(#[case] text: &str, #[case] expected: Option<(u32, u64, u32, u32, u32, bool)>) {
        let read = Stat::parse(text.as_bytes())
            .map(|stat| (stat.id.pid, stat.id.start, stat.parent, stat.group, stat.session, stat.is_zombie));
        assert_eq!(read, expected);
    }

    #[test]
    fn we_are_among_all() {
        let own = look(std::process::id()).unwrap();
        assert_eq!(own.id.pid, std::process::id());
        assert!(own.id.start > 0);
        assert!(all().unwrap().iter().any(|stat| stat.id == own.id));
        assert_eq!(look(u32::MAX), None);
        assert_eq!(boot_id().unwrap().len(), 36);
    }

    /// A task names itself as it likes, and is found all the same.
    #[test]
    fn a_name_that_is_no_text_hides_nobody() {
        let read =
            Stat::parse(b"12 (\xff\xfe) ) S 1 12 10 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 77 1 2").unwrap();
        assert_eq!((read.id, read.parent), (ProcessId { pid: 12, start: 77 }, 1));
    }
}
