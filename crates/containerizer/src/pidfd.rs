//! A process that is held: its number cannot come to mean another one, and its end is told.

use std::io;
use std::os::fd::OwnedFd;

use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// A process of this machine, whoever its parent is. Whether it is the one that was meant is for the caller to see after
/// it was taken hold of.
#[derive(Debug)]
pub struct Pidfd {
    fd: AsyncFd<OwnedFd>,
    pid: u32,
}

impl Pidfd {
    /// Takes hold of the process that has a number now; needs a runtime.
    ///
    /// # Errors
    ///
    /// No process has the number, in this pid namespace, or the system has no descriptor to give.
    pub fn open(pid: u32) -> io::Result<Self> {
        let raw = i32::try_from(pid).ok().and_then(Pid::from_raw).ok_or(rustix::io::Errno::SRCH)?;
        Ok(Self { fd: register(pidfd_open(raw, PidfdFlags::NONBLOCK)?, Interest::READABLE)?, pid })
    }

    /// The number of the process.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// Waits until the process has ended.
    ///
    /// # Errors
    ///
    /// The runtime shuts down.
    ///
    /// # Cancel safety
    ///
    /// May be dropped and called again.
    pub async fn ended(&self) -> io::Result<()> {
        self.fd.readable().await.map(drop)
    }

    /// Sends a signal to the process.
    ///
    /// # Errors
    ///
    /// It has ended, or the system refuses.
    pub fn signal(&self, signal: Signal) -> io::Result<()> {
        Ok(pidfd_send_signal(self.fd.get_ref(), signal)?)
    }
}

/// Registers a descriptor with the runtime, which tells when it is ready for this.
///
/// # Errors
///
/// A descriptor that cannot be polled.
#[expect(
    unsafe_code,
    reason = "tokio has no safe way to register a descriptor, and no crate wraps a pidfd in one"
)]
pub fn register(fd: OwnedFd, interest: Interest) -> io::Result<AsyncFd<OwnedFd>> {
    // SAFETY: an `OwnedFd` is one open descriptor, the same in every call of `as_raw_fd`, until it is dropped; the
    // `AsyncFd` owns it and never lends it mutably.
    unsafe { AsyncFd::register_with_interest(fd, interest) }.map_err(io::Error::from)
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt;
    use std::process::Command;

    use super::*;

    #[tokio::test]
    async fn the_end_of_a_process_is_told() {
        let mut child = Command::new("sleep").arg("1000").spawn().unwrap();
        let held = Pidfd::open(child.id()).unwrap();
        assert!(tokio::time::timeout(std::time::Duration::ZERO, held.ended()).await.is_err());
        held.signal(Signal::TERM).unwrap();
        held.ended().await.unwrap();
        assert_eq!(child.wait().unwrap().signal(), Some(15));
        held.signal(Signal::TERM).unwrap_err();
        Pidfd::open(0).unwrap_err();
        Pidfd::open(u32::MAX).unwrap_err();
    }
}
