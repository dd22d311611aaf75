//! The program's side: starts the command, waits for its end or for the agent's word, and leaves nothing behind.

use std::io;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::process::ExitCode;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::{OFlags, fcntl_setfl};
use rustix::io::Errno;
use rustix::process::{
    Pid, PidfdFlags, WaitOptions, WaitStatus, getpid, pidfd_open, set_child_subreaper, wait, waitpid,
};

use super::messages::{Ended, Leftovers, Order, Told};
use crate::parent::close_others;
use crate::parent::command::{Started, fork};
use crate::parent::messages::{StartFailure, VERSION, Word, receive, send};
use crate::processes::{descendants, kill_tree};

/// The argument that makes the program a helper.
pub const MODE: &str = "aside";

/// How much is read at once, in bytes, and how often in one go: a pipe holds no more than that by itself.
const CHUNK: usize = 4096;
const CHUNKS: usize = 16;

/// The pause before processes are looked for again that were not found.
const LOOK_AGAIN: Duration = Duration::from_millis(5);

/// The last bytes of a pipe.
struct Tail {
    /// `None` after its end.
    pipe: Option<OwnedFd>,
    kept: Vec<u8>,
    most: usize,
}

/// What a wait was for.
enum Happened {
    /// The command's process has ended.
    Ended,
    /// The agent wants no more of it, or is gone.
    GivenUp,
}

/// Runs the helper: its standard input is the socket.
#[must_use]
pub fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        // The agent sees the end of the socket, which is all that there is to say.
        Err(_) => ExitCode::FAILURE,
    }
}

fn run() -> io::Result<()> {
    let mut socket = UnixStream::from(io::stdin().as_fd().try_clone_to_owned()?);
    close_others(&socket)?;
    let order: Order = receive(&mut socket)?;
    set_child_subreaper(Some(getpid()))?;
    let started = match start(&mut socket, &order)? {
        Ok(started) => started,
        Err(failure) => return send(&mut socket, &Told::Failed(failure)),
    };
    let Started { pid, stdout, stderr } = started;
    // An agent that went meanwhile is seen by the end of the socket.
    let _ = send(&mut socket, &Told::Started);
    let process = pidfd_open(pid, PidfdFlags::empty())?;
    let mut output = [Tail::new(stdout, order.kept)?, Tail::new(stderr, order.kept)?];
    let status = match await_end(&socket, process.as_fd(), &mut output)? {
        Happened::GivenUp => end_all(pid)?,
        Happened::Ended => {
            let status = waitpid(Some(pid), WaitOptions::empty())?.map(|(_, status)| status);
            if order.leftovers == Leftovers::Kill {
                end_all(pid)?;
            }
            status
        }
    };
    output.iter_mut().for_each(Tail::drain);
    let status = status.ok_or(Errno::CHILD)?.as_raw();
    let [stdout, stderr] = output.map(|tail| tail.kept);
    // An agent that is gone does not hear it.
    send(&mut socket, &Told::Ended(Ended { status, stdout, stderr }))
}

/// Starts the command when the agent says so. The end of the socket before that ends its process, by the gate.
fn start(socket: &mut UnixStream, order: &Order) -> io::Result<Result<Started, StartFailure>> {
    if order.command.version != VERSION {
        let why = format!("the agent speaks version {}, and the program {VERSION}", order.command.version);
        return Ok(Err(StartFailure { what: "cannot read the order".to_owned(), why, exit_code: 125 }));
    }
    let waiting = match fork(&order.command) {
        Ok(waiting) => waiting,
        Err(failure) => return Ok(Err(failure)),
    };
    send(socket, &Told::Forked { pid: waiting.pid.as_raw_nonzero().get().unsigned_abs() })?;
    let Word::Go = receive(socket)?;
    Ok(waiting.start())
}

/// Waits for one of the two, and reads what the command prints meanwhile.
fn await_end(socket: &UnixStream, process: BorrowedFd<'_>, output: &mut [Tail; 2]) -> io::Result<Happened> {
    loop {
        let mut polled =
            vec![PollFd::from_borrowed_fd(process, PollFlags::IN), PollFd::new(socket, PollFlags::IN)];
        polled.extend(
            output.iter().filter_map(|tail| tail.pipe.as_ref()).map(|pipe| PollFd::new(pipe, PollFlags::IN)),
        );
        match poll(&mut polled, None) {
            Err(Errno::INTR) => continue,
            result => result?,
        };
        // What is read is at the end; who has ended and is given up at once is given up.
        let [process, socket] = [0, 1].map(|at| !polled[at].revents().is_empty());
        if socket {
            return Ok(Happened::GivenUp);
        }
        if process {
            return Ok(Happened::Ended);
        }
        output.iter_mut().for_each(Tail::drain);
    }
}

/// Kills all that descends from this process, and waits until none of it is left. Answers how the command ended, if it
/// had not yet been waited for.
#[expect(clippy::disallowed_methods, reason = "nobody tells when processes can be listed again")]
fn end_all(command: Pid) -> io::Result<Option<WaitStatus>> {
    let mut of_command = None;
    let mut take = |(pid, status)| of_command = of_command.or((pid == command).then_some(status));
    loop {
        let killed = kill_tree(|all| descendants(all, std::process::id()));
        // One that was killed ends; what it leaves becomes ours, and is looked for again. Who was not found, or could not
        // be looked for, must not be waited for.
        let options = if matches!(killed, Ok(1..)) { WaitOptions::empty() } else { WaitOptions::NOHANG };
        match wait(options) {
            Ok(Some(ended)) => take(ended),
            Ok(None) => std::thread::sleep(LOOK_AGAIN),
            Err(Errno::INTR) => {}
            Err(Errno::CHILD) => return Ok(of_command),
            Err(errno) => return Err(errno.into()),
        }
        while let Ok(Some(ended)) = wait(WaitOptions::NOHANG) {
            take(ended);
        }
    }
}

impl Tail {
    fn new(pipe: OwnedFd, most: usize) -> io::Result<Self> {
        fcntl_setfl(&pipe, OFlags::NONBLOCK)?;
        Ok(Self { pipe: Some(pipe), kept: Vec::new(), most })
    }

    /// Reads what is there, and no more than a pipe holds.
    fn drain(&mut self) {
        let mut chunk = [0; CHUNK];
        for _ in 0..CHUNKS {
            let Some(pipe) = &self.pipe else { return };
            match rustix::io::read(pipe, &mut chunk) {
                Ok(read @ 1..) => {
                    self.kept.extend_from_slice(&chunk[..read]);
                    let more = self.kept.len().saturating_sub(self.most);
                    self.kept.drain(..more);
                }
                Err(Errno::AGAIN) => return,
                Err(Errno::INTR) => {}
                Ok(0) | Err(_) => self.pipe = None,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    #[test]
    fn the_last_of_a_pipe_is_kept() {
        let (reader, mut writer) = io::pipe().unwrap();
        let mut tail = Tail::new(reader.into(), 8).unwrap();
        tail.drain();
        assert!(tail.kept.is_empty() && tail.pipe.is_some());
        writer.write_all(&[b'x'; 10_000]).unwrap();
        writer.write_all(b"the end").unwrap();
        tail.drain();
        assert_eq!(tail.kept, b"xthe end");
        drop(writer);
        tail.drain();
        assert!(tail.pipe.is_none());
        assert_eq!(tail.kept, b"xthe end");
    }
}
