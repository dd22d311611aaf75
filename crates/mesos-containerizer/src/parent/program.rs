//! The order of things, from the first instruction to the end on disk.

use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::os::fd::AsFd as _;
use std::os::unix::net::UnixStream;
use std::process::ExitCode;

use nix::sys::signal::SigSet;
use rustix::process::{Signal, WaitId, WaitIdOptions, getpid, kill_process, set_child_subreaper, waitid};

use super::command::{Waiting, fork};
use super::ended::{End, Ended};
use super::messages::{Order, StartFailure, Told, VERSION, Word, receive, send};
use super::output::Output;
use super::supervise::Supervision;
use super::told::Fifo;

/// The program's first argument when it is to be a parent. The id of the container follows, for whoever looks at the list
/// of processes.
pub const MODE: &str = "run";

const USAGE: &str = "\
Usage: mesos-containerizer run CONTAINER_ID
       mesos-containerizer --version

Starts and watches the command of one container without an image. It is started by mesos-agent and mesos-docker, which
tell it on its standard input what to do; there is nothing to be done with it by hand.
";

/// Runs the program.
#[must_use]
pub fn main(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let arguments: Vec<OsString> = arguments.into_iter().collect();
    match arguments.first().and_then(|argument| argument.to_str()) {
        Some(MODE) => match run() {
            Ok(()) => ExitCode::SUCCESS,
            // Whoever started it hears of it by the end of the socket, and nobody else looks at this.
            Err(_) => ExitCode::FAILURE,
        },
        Some("--help") => {
            print!("{USAGE}");
            ExitCode::SUCCESS
        }
        Some("--version") => {
            println!("mesos-containerizer {}", env!("CARGO_PKG_VERSION"));
            ExitCode::SUCCESS
        }
        _ => {
            eprint!("{USAGE}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> io::Result<()> {
    // Nobody but SIGKILL ends it before its command. Blocking cannot fail with a full set.
    let _ = SigSet::all().thread_block();
    let mut agent = settle()?;
    let order: Order = receive(&mut agent)?;
    if order.version != VERSION {
        let what = format!("cannot start the command with mesos-containerizer {}", env!("CARGO_PKG_VERSION"));
        let why = "it is of another version than the agent; install both together".to_owned();
        return send(&mut agent, &Told::Failed(StartFailure { what, why, exit_code: 125 }));
    }
    let tap = if order.tap { Some(File::from(io::stdout().as_fd().try_clone_to_owned()?)) } else { None };
    rustix::stdio::dup2_stdout(File::options().write(true).open("/dev/null")?)?;
    match begin(&mut agent, order, tap) {
        Ok(Some((supervision, state))) => {
            // The agent may go: from now on the record is how it, or the next one, finds us.
            drop(agent);
            let stored = supervision.run().store(&state);
            Fifo::remove(&state);
            stored.map_err(io::Error::other)
        }
        Ok(None) => Ok(()),
        Err(failure) => send(&mut agent, &Told::Failed(failure)),
    }
}

/// Makes this process one that depends on nothing of who started it. Answers the socket to the agent.
fn settle() -> io::Result<UnixStream> {
    let agent = UnixStream::from(io::stdin().as_fd().try_clone_to_owned()?);
    rustix::stdio::dup2_stdin(File::open("/dev/null")?)?;
    close_others(&agent)?;
    nix::unistd::setsid()?;
    set_child_subreaper(Some(getpid()))?;
    std::env::set_current_dir("/")?;
    Ok(agent)
}

/// Closes what was inherited by mistake.
pub(crate) fn close_others(agent: &UnixStream) -> io::Result<()> {
    use std::os::fd::AsRawFd as _;

    let listed = std::fs::read_dir("/proc/self/fd")?;
    let numbers: Vec<i32> = listed
        .flatten()
        .filter_map(|entry| entry.file_name().to_str().and_then(|name| name.parse().ok()))
        .collect();
    for number in numbers.into_iter().filter(|number| *number > 2 && *number != agent.as_raw_fd()) {
        // The one that listed them is closed already.
        let _ = nix::unistd::close(number);
    }
    Ok(())
}

/// Starts the command; `None` when nobody wants it any more.
fn begin(
    agent: &mut UnixStream,
    order: Order,
    tap: Option<File>,
) -> Result<Option<(Supervision, std::path::PathBuf)>, StartFailure> {
    let state = order.state.clone();
    let failed =
        |what: &'static str| move |error: io::Error| StartFailure::new(format!("cannot {what}"), &error);
    let files = Output::files(&order).map_err(|error| failed("write the output")(io::Error::other(error)))?;
    End::clear(&state).map_err(failed("use the state directory"))?;
    End::reserve(&state).map_err(|error| failed("use the state directory")(io::Error::other(error)))?;
    let fifo = Fifo::create(&state).map_err(failed("make a FIFO in the state directory"))?;
    let children =
        Supervision::children().map_err(|errno| failed("watch for the end of children")(errno.into()))?;
    let waiting = fork(&order)?;
    // What the command needs it has; what it was told may be secret.
    drop(order);
    let pid = u32::try_from(waiting.pid.as_raw_nonzero().get()).unwrap_or(0);
    let word: io::Result<Word> = send(agent, &Told::Forked { pid }).and_then(|()| receive(agent));
    if let Err(error) = word {
        give_up(waiting);
        let why = format!("the agent went away during the launch: {error}");
        // The next agent may have launched the run again, and has the word of another parent.
        if fifo.is_current(&state) {
            let _ = End::now(Ended::NeverStarted { why }).store(&state);
            Fifo::remove(&state);
        }
        return Ok(None);
    }
    let command = waiting.pid;
    let started = match waiting.start() {
        Ok(started) => started,
        Err(failure) => {
            let _ = waitid(WaitId::Pid(command), WaitIdOptions::EXITED);
            // For an agent that goes before it hears of it.
            let _ = End::now(Ended::NeverStarted { why: failure.to_string() }).store(&state);
            return Err(failure);
        }
    };
    // An agent that went meanwhile finds a command that runs.
    let _ = send(agent, &Told::Started);
    let output = Output::new(files, started.stdout, started.stderr, tap)
        .map_err(failed("read the output of the command"))?;
    Ok(Some((Supervision::new(started.pid, children, output, fifo), state)))
}

/// Ends a command that nobody wants any more.
fn give_up(waiting: Waiting) {
    let pid = waiting.pid;
    // It sees the end of its gate by itself.
    drop(waiting);
    let _ = kill_process(pid, Signal::KILL);
    let _ = waitid(WaitId::Pid(pid), WaitIdOptions::EXITED);
}
