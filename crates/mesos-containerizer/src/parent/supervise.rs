//! The command while it runs, and the end of everything that it started.
//!
//! ```text
//! running ──command ended──► lingering (a stop's grace goes on) ──► killing ──no child left──► over
//! ```
//!
//! As in Mesos a container ends with its command: what it left behind is killed. Unlike there, what still ends by itself
//! within the grace of a stop may do so, since the stop signal goes to all of them and the shell is often first.

use std::collections::HashSet;
use std::os::fd::AsFd as _;
use std::os::unix::process::ExitStatusExt as _;
use std::process::ExitStatus;
use std::time::{Duration, Instant};

use nix::errno::Errno as NixErrno;
use nix::sys::signal::{SigSet, Signal as NixSignal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::process::{Pid, Signal, WaitOptions, WaitStatus, wait};

use super::ended::{End, Ended};
use super::output::Output;
use super::told::{Fifo, Grace, Line};
use crate::processes::{ProcessId, all, descendants, kill_tree, signal_all};

/// The first pause between two looks at a tree that is being killed.
const FIRST_LOOK: Duration = Duration::from_millis(5);

/// The longest one.
const LAST_LOOK: Duration = Duration::from_millis(500);

/// How many of the last lines of standard error are kept for the message of a failed task.
const LAST_LINES: usize = 5;

/// A command that runs, and what its parent looks at.
#[derive(Debug)]
pub(super) struct Supervision {
    command: Pid,
    children: SignalFd,
    output: Output,
    fifo: Fifo,
    ended: Option<Ended>,
    /// Whether it left a core dump.
    dumped_core: bool,
    /// Until when what is left may go on.
    grace: Option<Instant>,
    /// Those that were there when the stop began, and have had its signal from the agent.
    asked: HashSet<ProcessId>,
    /// The next pause between two looks at what is being killed.
    look: Duration,
}

/// Whether there are children left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Children {
    Some,
    None,
}

/// What there is to wait for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Next {
    /// Whatever happens.
    Anything,
    /// As before, for so long at most.
    AnythingFor(Duration),
    /// The rest is killed, and looked at again then.
    KillAndLook,
    /// Nothing.
    Over,
}

/// The end of a child, as its parent may know it.
pub(super) fn ended(status: WaitStatus) -> Ended {
    match (status.exit_status(), status.terminating_signal()) {
        (Some(code), _) => Ended::Exited { code },
        (None, Some(signal)) => Ended::Signalled { signal },
        (None, None) => Ended::Signalled { signal: Signal::KILL.as_raw() },
    }
}

/// What to do next; `grace` is what is left of it.
fn next(has_ended: bool, children: Children, grace: Duration) -> Next {
    match (has_ended, children) {
        (false, Children::Some | Children::None) => Next::Anything,
        (true, Children::None) => Next::Over,
        (true, Children::Some) if grace.is_zero() => Next::KillAndLook,
        (true, Children::Some) => Next::AnythingFor(grace),
    }
}

impl Supervision {
    /// Prepares to look after the command's process, which must not have been executed yet.
    ///
    /// # Errors
    ///
    /// The system refuses a descriptor.
    pub(super) fn children() -> nix::Result<SignalFd> {
        let mut mask = SigSet::empty();
        mask.add(NixSignal::SIGCHLD);
        SignalFd::with_flags(&mask, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK)
    }

    pub(super) fn new(command: Pid, children: SignalFd, output: Output, fifo: Fifo) -> Self {
        Self {
            command,
            children,
            output,
            fifo,
            ended: None,
            dumped_core: false,
            grace: None,
            asked: HashSet::new(),
            look: FIRST_LOOK,
        }
    }

    /// Carries the command to its end, and everything it started.
    pub(super) fn run(mut self) -> End {
        loop {
            let children = self.reap();
            let grace = self.grace.map_or(Duration::ZERO, |at| at.saturating_duration_since(Instant::now()));
            match next(self.ended.is_some(), children, grace) {
                Next::Over => break,
                Next::Anything => self.wait(None),
                Next::AnythingFor(left) => {
                    self.ask_the_others();
                    self.wait(Some(left));
                }
                Next::KillAndLook => {
                    // It is tried again for as long as there are children.
                    let _ = kill_tree(|all| descendants(all, std::process::id()));
                    let pause = self.look;
                    self.look = (pause * 2).min(LAST_LOOK);
                    self.wait(Some(pause));
                }
            }
        }
        self.output.drain();
        let ended = self.ended.unwrap_or(Ended::Signalled { signal: Signal::KILL.as_raw() });
        let mut end = End::now(ended);
        end.last_errors = self.output.last_errors(LAST_LINES);
        end.is_complete = self.output.is_complete();
        end.dumped_core = self.dumped_core;
        end
    }

    /// Sends the stop signal to those that were started since it was sent: a script may go on with its next command when
    /// the one before has ended by it.
    fn ask_the_others(&mut self) {
        let others: Vec<ProcessId> = tree().into_iter().filter(|id| !self.asked.contains(id)).collect();
        signal_all(&others, Signal::TERM);
        self.asked.extend(others);
    }

    /// Waits for every child that has ended.
    fn reap(&mut self) -> Children {
        loop {
            // One call tells who it was and how it ended: between two, another may end and be taken for it.
            match wait(WaitOptions::NOHANG) {
                // Its number may come to be another's.
                Ok(Some((child, status))) if child == self.command && self.ended.is_none() => {
                    self.ended = Some(ended(status));
                    self.dumped_core = ExitStatus::from_raw(status.as_raw()).core_dumped();
                }
                Ok(Some(_)) | Err(Errno::INTR) => {}
                Ok(None) => return Children::Some,
                Err(_) => return Children::None,
            }
        }
    }

    /// Waits until something happens, and deals with it.
    fn wait(&mut self, most: Option<Duration>) {
        let most = most.map(|most| Timespec::try_from(most).unwrap_or_default());
        let mut polled = vec![
            PollFd::from_borrowed_fd(self.children.as_fd(), PollFlags::IN),
            PollFd::new(self.fifo.file(), PollFlags::IN),
        ];
        let pipes: Vec<usize> = self.output.pipes().map(|(at, _)| at).collect();
        polled.extend(self.output.pipes().map(|(_, pipe)| PollFd::from_borrowed_fd(pipe, PollFlags::IN)));
        if poll(&mut polled, most.as_ref()).is_err() {
            return;
        }
        let ready: Vec<bool> = polled.iter().map(|fd| !fd.revents().is_empty()).collect();
        drop(polled);
        if ready[0] {
            // Children are counted by waiting for them; one signal may stand for many.
            while matches!(self.children.read_signal(), Ok(Some(_)) | Err(NixErrno::EINTR)) {}
        }
        for (pipe, _) in pipes.iter().zip(&ready[2..]).filter(|(_, ready)| **ready) {
            self.output.copy(*pipe);
        }
        if ready[1] {
            for line in self.fifo.lines() {
                match line {
                    Line::Note(text) => self.output.note(&text),
                    Line::Grace(Grace { left, began }) => {
                        // The signal is sent once, however often the grace changes.
                        if self.grace.is_none() {
                            self.asked.extend(tree().iter().filter(|id| id.start < began));
                        }
                        self.grace = Instant::now().checked_add(left);
                    }
                }
            }
        }
    }
}

/// All that descends from this process.
fn tree() -> Vec<ProcessId> {
    all().map_or_else(|_| Vec::new(), |all| descendants(&all, std::process::id()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEFT: Duration = Duration::from_millis(1);

    #[rstest::rstest]
    #[case::it_runs(false, Children::Some, Duration::ZERO, Next::Anything)]
    #[case::it_runs_on_in_a_grace(false, Children::Some, LEFT, Next::Anything)]
    #[case::nothing_is_left(true, Children::None, LEFT, Next::Over)]
    #[case::something_is_left(true, Children::Some, Duration::ZERO, Next::KillAndLook)]
    #[case::something_is_left_in_a_grace(true, Children::Some, LEFT, Next::AnythingFor(LEFT))]
    fn a_container_ends_with_its_command(
        #[case] has_ended: bool,
        #[case] children: Children,
        #[case] grace: Duration,
        #[case] expected: Next,
    ) {
        assert_eq!(next(has_ended, children, grace), expected);
    }
}
