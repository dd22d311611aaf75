//! The end of the child when the agent is gone: nobody would take the result, or kill a fetch that hangs.

use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use rustix::process::{Signal, getpgrp, getpid, kill_current_process_group, kill_process};

/// Watches the reading end of the pipe that is our standard input, on a thread of its own, and when it is closed kills
/// this process and what it started.
pub(super) fn watch() -> std::io::Result<()> {
    std::thread::Builder::new().name("lifeline".to_owned()).spawn(|| {
        let stdin = std::io::stdin();
        loop {
            // Nothing is asked for: an error of the pipe, which is that nobody reads it, is always told.
            let mut polled = [PollFd::new(&stdin, PollFlags::empty())];
            match poll(&mut polled, None) {
                Ok(_) if polled[0].revents().intersects(PollFlags::ERR | PollFlags::NVAL) => die(),
                Ok(_) | Err(Errno::INTR) => {}
                Err(_) => return,
            }
        }
    })?;
    Ok(())
}

fn die() {
    // The agent gives the child a group of its own. Without one there may be others in it who have nothing to do with us.
    let _ = match getpgrp() == getpid() {
        true => kill_current_process_group(Signal::KILL),
        false => kill_process(getpid(), Signal::KILL),
    };
}
