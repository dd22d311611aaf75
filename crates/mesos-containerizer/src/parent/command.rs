//! The command's process: forked, held behind a gate, then made what the order says and executed.
//!
//! The process has a session of its own from its first moment. It does nothing until the gate opens, and ends when the
//! parent does: before the gate since the gate's other end is gone, later by its parent-death signal. So no command is
//! ever without its parent, except what it has itself put out of its reach.

use std::convert::Infallible;
use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::os::fd::OwnedFd;
use std::path::Path;

use nix::unistd::ForkResult;
use rustix::fs::{Mode, OFlags, fchown, open};
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::{Gid, Pid, Signal, Uid, fchdir, getpid, getppid, set_parent_process_death_signal};

use super::execute::execute;
use super::limits::set_limit;
use super::messages::{Identity, Order, StartFailure};

/// The highest number of a signal.
const LAST_SIGNAL: i32 = 64;

/// A command whose process waits at its gate.
#[derive(Debug)]
pub(crate) struct Waiting {
    pub(crate) pid: Pid,
    pub(crate) stdout: OwnedFd,
    pub(crate) stderr: OwnedFd,
    gate: File,
    failed: File,
}

/// The command's own ends.
struct Ends {
    stdout: OwnedFd,
    stderr: OwnedFd,
    gate: File,
    failed: File,
    directory: OwnedFd,
}

/// Forks the command's process.
///
/// # Errors
///
/// The system has no process, or no pipe, or the sandbox cannot be opened.
pub(crate) fn fork(order: &Order) -> Result<Waiting, StartFailure> {
    let pipe = || pipe_with(PipeFlags::CLOEXEC).map_err(|errno| failed("make a pipe", errno));
    let (stdout, stdout_in) = pipe()?;
    let (stderr, stderr_in) = pipe()?;
    if let Some(identity) = &order.identity {
        // A task opens `/dev/stderr` by its name, which is a question of whose pipe it is.
        for end in [&stdout_in, &stderr_in] {
            fchown(end, Some(Uid::from_raw(identity.uid)), Some(Gid::from_raw(identity.gid)))
                .map_err(|errno| failed("give a pipe to the task's user", errno))?;
        }
    }
    let (gate_out, gate) = pipe()?;
    let (failure, failure_in) = pipe()?;
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let directory = open(&order.sandbox, flags, Mode::empty())
        .map_err(|errno| failed(&format!("open the sandbox {}", order.sandbox.display()), errno))?;
    let ends = Ends {
        stdout: stdout_in,
        stderr: stderr_in,
        gate: gate_out.into(),
        failed: failure_in.into(),
        directory,
    };
    let parent = getpid();
    match fork_process().map_err(|errno| failed("fork", errno))? {
        ForkResult::Child => {
            // Our own copies of the parent's ends: with the gate's open we would never see that the parent has ended.
            drop((stdout, stderr, gate, failure));
            let Err(failure) = become_command(order, &ends, parent);
            let code = failure.exit_code;
            let written = serde_json::to_vec(&failure).map_err(io::Error::from);
            let mut to = &ends.failed;
            // A parent that does not read it any more is gone.
            let _ = written.and_then(|bytes| to.write_all(&bytes));
            leave(code)
        }
        ForkResult::Parent { child } => {
            let pid = Pid::from_raw(child.as_raw()).ok_or_else(|| failed("fork", rustix::io::Errno::SRCH))?;
            Ok(Waiting { pid, stdout, stderr, gate: gate.into(), failed: failure.into() })
        }
    }
}

#[expect(unsafe_code, reason = "there is no safe fork, and a program of one thread may do anything after it")]
fn fork_process() -> nix::Result<ForkResult> {
    // SAFETY: this program never starts a thread, so the child has the whole process: no lock is held by a thread that
    // it has not.
    unsafe { nix::unistd::fork() }
}

impl Waiting {
    /// Opens the gate, and waits until the command was executed.
    ///
    /// # Errors
    ///
    /// What the process could not do. It ends then.
    pub(crate) fn start(self) -> Result<Started, StartFailure> {
        let Self { pid, stdout, stderr, mut gate, mut failed } = self;
        // A process that was killed meanwhile takes nothing, and its end tells the rest.
        let _ = gate.write_all(b"g");
        drop(gate);
        let mut told = Vec::new();
        let read = failed.read_to_end(&mut told);
        if told.is_empty() {
            read.map_err(|error| StartFailure::new("cannot hear of the command", &error))?;
            return Ok(Started { pid, stdout, stderr });
        }
        let unreadable =
            |error: serde_json::Error| StartFailure::new("cannot start the command", &error.into());
        Err(serde_json::from_slice(&told).unwrap_or_else(unreadable))
    }
}

/// A command that runs.
#[derive(Debug)]
pub(crate) struct Started {
    pub(crate) pid: Pid,
    pub(crate) stdout: OwnedFd,
    pub(crate) stderr: OwnedFd,
}

/// What the new process does. Returns only when it failed.
fn become_command(order: &Order, ends: &Ends, parent: Pid) -> Result<Infallible, StartFailure> {
    nix::unistd::setsid().map_err(|errno| failed("begin a session", errno))?;
    let mut gate = &ends.gate;
    if gate.read(&mut [0]).map_err(|error| StartFailure::new("cannot wait", &error))? == 0 {
        leave(0);
    }
    set_streams(ends).map_err(|error| StartFailure::new("cannot set the standard streams", &error))?;
    be_killed_for_memory(Path::new("/proc/self/oom_score_adj"));
    for limit in &order.limits {
        set_limit(limit)?;
    }
    if let Some(identity) = &order.identity {
        become_user(identity)?;
    }
    // As the task's user: one that may not look into its sandbox is told so.
    fchdir(&ends.directory)
        .map_err(|errno| failed(&format!("change to the sandbox {}", order.sandbox.display()), errno))?;
    // A change of user takes it away again, so it comes after.
    set_parent_process_death_signal(Some(Signal::KILL))
        .map_err(|errno| failed("set the parent-death signal", errno))?;
    if getppid() != Some(parent) {
        leave(0);
    }
    default_signals();
    let all = nix::sys::signal::SigSet::all();
    all.thread_unblock().map_err(|errno| failed("unblock signals", errno))?;
    execute(&order.executable, &order.arguments, &order.environment)
}

/// Gives back what keeps an agent alive when the machine is out of memory (`OOMScoreAdjust=` of its unit), which a command
/// would inherit. A score by which it is killed sooner stays.
fn be_killed_for_memory(file: &Path) {
    let score = std::fs::read_to_string(file).ok().and_then(|text| text.trim().parse::<i64>().ok());
    if score.is_some_and(|score| score < 0) {
        // Nobody is refused a score by which it is killed sooner.
        let _ = std::fs::write(file, "0");
    }
}

fn set_streams(ends: &Ends) -> io::Result<()> {
    let null = File::open("/dev/null")?;
    rustix::stdio::dup2_stdin(&null)?;
    rustix::stdio::dup2_stdout(&ends.stdout)?;
    rustix::stdio::dup2_stderr(&ends.stderr)?;
    Ok(())
}

/// Becomes the user for good, with its groups. Nothing is done where it is the user already and could become nobody else.
fn become_user(identity: &Identity) -> Result<(), StartFailure> {
    let uid = nix::unistd::Uid::from_raw(identity.uid);
    let gid = nix::unistd::Gid::from_raw(identity.gid);
    if !nix::unistd::geteuid().is_root() && nix::unistd::geteuid() == uid && nix::unistd::getegid() == gid {
        return Ok(());
    }
    // What an agent that is not root was given to be able to become others (`AmbientCapabilities=` of its unit) would go
    // on to them. A kernel before 4.3 has none.
    let _ = rustix::thread::clear_ambient_capability_set();
    let fail = |what: &str| {
        let what = format!("{what} of the user {}", identity.uid);
        move |errno: nix::Error| failed(&what, errno)
    };
    let groups: Vec<_> = identity.groups.iter().map(|group| nix::unistd::Gid::from_raw(*group)).collect();
    nix::unistd::setgroups(&groups).map_err(fail("take the supplementary groups"))?;
    nix::unistd::setgid(gid).map_err(fail("take the group"))?;
    nix::unistd::setuid(uid).map_err(fail("take the id"))
}

/// Ends the command's process, which was not executed: it is a copy of the parent and may run nothing of what ends one.
#[expect(clippy::disallowed_methods, reason = "there is no way back to `main` that is not the parent's")]
fn leave(code: i32) -> ! {
    std::process::exit(code)
}

/// Undoes what this program, and whoever started it, made of signals: what is ignored stays so for the command.
#[expect(unsafe_code, reason = "no crate has a safe way to set the default action of every signal")]
fn default_signals() {
    for number in 1..=LAST_SIGNAL {
        // SAFETY: the default action is no function of ours that could be called at a wrong moment. Numbers that cannot
        // be set are refused without harm.
        unsafe { nix::libc::signal(number, nix::libc::SIG_DFL) };
    }
}

fn failed(what: &str, errno: impl Into<io::Error>) -> StartFailure {
    StartFailure::new(format!("cannot {what}"), &errno.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[rstest::rstest]
    #[case::of_an_agent_that_is_kept_alive("-500\n", "0")]
    #[case::of_a_task_that_may_burst("700\n", "700\n")]
    #[case::of_nobody("0\n", "0\n")]
    fn what_keeps_an_agent_alive_is_not_its_tasks(#[case] score: &str, #[case] expected: &str) {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("oom_score_adj");
        std::fs::write(&file, score).unwrap();
        be_killed_for_memory(&file);
        assert_eq!(std::fs::read_to_string(&file).unwrap(), expected);
        be_killed_for_memory(&dir.path().join("none"));
    }
}
