//! A guard for a client that is not ours: the program `mesos-fetcher` once more, which starts the client and sees to
//! it that the client and all that it started end with the fetch, however that ends.
//!
//! The guard leads a process group, in which the client is. Its standard input is a pipe of which the fetch holds the
//! other end: when that is closed, by the fetch or by the end of its process (SIGKILL, memory), the guard kills its
//! group. That needs nothing of the agent, so it holds under a stock one as well. What the client leaves behind when it
//! ends by itself is killed too.

use std::ffi::OsString;
use std::io::Read;
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, ExitCode, ExitStatus, Stdio};

use rustix::process::{
    Signal, getpgid, getpid, getppid, kill_current_process_group, kill_process_group, setpgid,
};

use crate::download::{CANNOT_RUN, GUARD};

/// Runs the guard, if the command line asks for one: `--guard-client PROGRAM ARGUMENT...`, which is for us only.
pub(super) fn asked(mut arguments: impl Iterator<Item = OsString>) -> Option<ExitCode> {
    if arguments.next()? != GUARD {
        return None;
    }
    Some(match arguments.next() {
        Some(program) => guard(Command::new(program).args(arguments)),
        None => ExitCode::FAILURE,
    })
}

fn guard(client: &mut Command) -> ExitCode {
    let watching = std::thread::Builder::new().name("guard".to_owned()).spawn(|| {
        // Nothing is ever written there.
        let _ = std::io::stdin().read(&mut [0]);
        let _ = kill_current_process_group(Signal::KILL);
    });
    if let Err(error) = watching {
        eprintln!("cannot watch the Hadoop client: {error}");
        return ExitCode::from(CANNOT_RUN);
    }
    let status = match client.stdin(Stdio::null()).status() {
        Ok(status) => status,
        Err(error) => {
            eprintln!("cannot run '{}': {error}", client.get_program().display());
            return ExitCode::from(CANNOT_RUN);
        }
    };
    // We leave the group before it is killed; while we live its number is no other's.
    if getppid()
        .is_some_and(|parent| getpgid(Some(parent)).is_ok_and(|group| setpgid(None, Some(group)).is_ok()))
    {
        let _ = kill_process_group(getpid(), Signal::KILL);
    }
    code(status)
}

/// As a shell has it: a signal is 128 and its number.
fn code(status: ExitStatus) -> ExitCode {
    let code = status.code().or(status.signal().map(|signal| 128 + signal));
    ExitCode::from(code.and_then(|code| u8::try_from(code).ok()).unwrap_or(1))
}
