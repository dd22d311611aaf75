//! Signals that reach the process that was meant, or nobody.

use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

use super::stat::{ProcessId, look};

/// Sends a signal to a process. Answers whether it was there to take it.
///
/// # Errors
///
/// The system refuses the signal.
pub fn signal_one(process: ProcessId, signal: Signal) -> Result<bool, Errno> {
    let Some(pid) = i32::try_from(process.pid).ok().and_then(Pid::from_raw) else { return Ok(false) };
    let fd = match pidfd_open(pid, PidfdFlags::empty()) {
        Ok(fd) => fd,
        Err(Errno::SRCH | Errno::INVAL) => return Ok(false),
        Err(errno) => return Err(errno),
    };
    // The descriptor holds whoever has the number now; if that is the one that was meant, it stays the one.
    if look(process.pid).is_none_or(|now| now.id != process) {
        return Ok(false);
    }
    match pidfd_send_signal(&fd, signal) {
        Ok(()) => Ok(true),
        Err(Errno::SRCH) => Ok(false),
        Err(errno) => Err(errno),
    }
}

/// Sends a signal to each of these. Answers how many took it; one that cannot be reached keeps no other from it.
pub fn signal_all(processes: &[ProcessId], signal: Signal) -> usize {
    processes.iter().filter(|process| signal_one(**process, signal).unwrap_or(false)).count()
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt;
    use std::process::Command;

    use super::*;

    #[test]
    fn only_the_process_that_was_meant_is_reached() {
        let mut child = Command::new("sleep").arg("1000").spawn().unwrap();
        let id = look(child.id()).unwrap().id;
        let other = ProcessId { start: id.start + 1, ..id };
        assert_eq!(signal_one(other, Signal::KILL), Ok(false));
        assert!(child.try_wait().unwrap().is_none());
        assert_eq!(signal_all(&[other, id], Signal::TERM), 1);
        assert_eq!(child.wait().unwrap().signal(), Some(15));
        assert_eq!(signal_one(id, Signal::TERM), Ok(false));
        assert_eq!(signal_one(ProcessId { pid: 0, start: 0 }, Signal::KILL), Ok(false));
    }
}
