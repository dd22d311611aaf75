//! What is held of a task from the moment that it runs: a container's network namespace, or a process.
//!
//! The number of a process may come to mean another process. So the process is taken hold of first (a pidfd), then its
//! namespace is opened, and then the process is asked whether it is the container's and still there: what was opened in
//! between is its namespace.

use std::fs;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use mesos_containerizer::processes::{ProcessId, look};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{Mode, OFlags, fstat, open, stat};
use rustix::process::{Pid, PidfdFlags, pidfd_open};

/// A network namespace, and the process that showed it.
#[derive(Debug)]
pub struct NetNamespace {
    fd: OwnedFd,
    process: OwnedFd,
}

/// A process of this machine.
#[derive(Debug)]
pub(crate) struct Held(OwnedFd);

/// Why a container's namespace cannot be had.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NotVisible {
    /// The engine's process number means nothing here, or something else.
    #[error("the process is not visible here")]
    Process,
    /// The namespace of the process may not be opened.
    #[error("the network namespace of the process cannot be opened")]
    Namespace,
}

impl NetNamespace {
    /// Takes hold of the network namespace of the process `pid`, which is of the container with this engine id.
    pub(crate) fn open(pid: u32, container: &str) -> Result<Self, NotVisible> {
        let raw = i32::try_from(pid).ok().and_then(Pid::from_raw).ok_or(NotVisible::Process)?;
        let process = pidfd_open(raw, PidfdFlags::NONBLOCK).map_err(|_| NotVisible::Process)?;
        let fd = open(format!("/proc/{pid}/ns/net"), OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty());
        if !is_of_container(pid, container) || has_ended(process.as_fd()) {
            return Err(NotVisible::Process);
        }
        Ok(Self { fd: fd.map_err(|_| NotVisible::Namespace)?, process })
    }

    /// Whether it is the namespace of this process, as with the host's network.
    pub(crate) fn is_ours(&self) -> bool {
        let (Ok(its), Ok(ours)) = (fstat(&self.fd), stat("/proc/self/ns/net")) else { return false };
        (its.st_dev, its.st_ino) == (ours.st_dev, ours.st_ino)
    }

    /// Whether the container's process has ended: then no check says anything about the task.
    pub(crate) fn has_ended(&self) -> bool {
        has_ended(self.process.as_fd())
    }
}

impl Held {
    /// Takes hold of a process; `None` if it has ended.
    pub(crate) fn open(process: ProcessId) -> Option<Self> {
        let raw = i32::try_from(process.pid).ok().and_then(Pid::from_raw)?;
        let held = pidfd_open(raw, PidfdFlags::NONBLOCK).ok()?;
        look(process.pid).is_some_and(|stat| stat.id == process && !stat.is_zombie).then_some(Self(held))
    }

    /// Whether it has ended.
    pub(crate) fn has_ended(&self) -> bool {
        has_ended(self.0.as_fd())
    }
}

impl AsFd for NetNamespace {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// Whether the process is in a control group that is named after the container.
pub(crate) fn is_of_container(pid: u32, container: &str) -> bool {
    fs::read_to_string(format!("/proc/{pid}/cgroup")).is_ok_and(|groups| groups.contains(container))
}

/// Whether the process that a pidfd holds has ended.
fn has_ended(process: BorrowedFd<'_>) -> bool {
    wait_for_end(process, Duration::ZERO)
}

/// Waits so long for the end of the process that a pidfd holds; answers whether it has ended.
pub(crate) fn wait_for_end(process: BorrowedFd<'_>, patience: Duration) -> bool {
    let mut fds = [PollFd::from_borrowed_fd(process, PollFlags::IN)];
    let patience = Timespec::try_from(patience).unwrap_or_default();
    poll(&mut fds, Some(&patience)).is_ok_and(|ready| ready > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_of_another_is_not_taken() {
        let own = std::process::id();
        assert_eq!(NetNamespace::open(own, "no such container").unwrap_err(), NotVisible::Process);
        assert_eq!(NetNamespace::open(0, "").unwrap_err(), NotVisible::Process);
        assert_eq!(NetNamespace::open(u32::MAX, "").unwrap_err(), NotVisible::Process);
    }

    #[test]
    fn a_process_is_known_by_its_start() {
        let mut child =
            std::process::Command::new("cat").stdin(std::process::Stdio::piped()).spawn().unwrap();
        let id = look(child.id()).unwrap().id;
        assert!(Held::open(ProcessId { start: id.start + 1, ..id }).is_none());
        let held = Held::open(id).unwrap();
        assert!(!held.has_ended());
        drop(child.stdin.take());
        child.wait().unwrap();
        assert!(held.has_ended());
        assert!(Held::open(id).is_none());
    }

    #[test]
    fn our_own_namespace_is_known_and_an_ended_process_too() {
        // Every process is of the container without a name.
        assert!(NetNamespace::open(std::process::id(), "").unwrap().is_ours());
        let mut child =
            std::process::Command::new("cat").stdin(std::process::Stdio::piped()).spawn().unwrap();
        let namespace = NetNamespace::open(child.id(), "").unwrap();
        assert!(!namespace.has_ended());
        drop(child.stdin.take());
        child.wait().unwrap();
        assert!(namespace.has_ended());
    }
}
