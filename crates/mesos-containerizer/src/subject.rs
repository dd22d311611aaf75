//! What a container is made of, from the agent's side: the processes that are watched and signalled.

use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::process::Child;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use containerizer::{Pidfd, blocking};
use mesos_types::ContainerId;
use rustix::process::Signal;

use crate::parent::told::{Grace, Line, tell};
use crate::processes::{
    ProcessId, Stat, all, descendants, is_gone, kill_tree, look, of_session, read, signal_all, signal_one,
    try_look,
};

/// The processes of a container.
#[derive(Debug)]
pub(crate) enum Subject {
    /// A supervising parent of ours and its command.
    Ours {
        /// The parent, held.
        parent: Held,
        /// The command.
        command: ProcessId,
        /// Where the parent listens.
        state: PathBuf,
        /// The parent as our child, to be waited for; none when an earlier agent started it.
        child: Mutex<Option<Child>>,
    },
    /// A process that an agent which is not ours started.
    Foreign(Held),
    /// What was watched is gone; holds the command, some of whose session may be left.
    Gone(Option<ProcessId>),
}

/// A process that is held.
#[derive(Debug)]
pub(crate) struct Held {
    pidfd: Pidfd,
    id: ProcessId,
}

/// Waits until a process has ended, whoever waits for it; for ever where the system does not tell.
///
/// # Cancel safety
///
/// May be dropped.
pub(crate) async fn ended(id: ProcessId) {
    match blocking(|| Held::open(id)) {
        Ok(Some(held)) => held.ended().await,
        Ok(None) => {}
        Err(error) => {
            tracing::warn!(pid = id.pid, %error, "a process cannot be watched");
            std::future::pending::<()>().await;
        }
    }
}

/// Whether the process with this number is of this container, as its environment or its groups say. Blocks for a moment.
///
/// # Errors
///
/// The system does not tell, as when we have no descriptor left.
pub fn is_of_container(pid: u32, id: ContainerId, sandbox: &Path) -> io::Result<bool> {
    Ok(Held::open_foreign(pid, id, sandbox)?.is_some())
}

impl Held {
    /// Takes hold of a process; `None` if it is not there any more. Blocks for a moment.
    ///
    /// # Errors
    ///
    /// The system does not tell, as when we have no descriptor left. The process may well be there.
    pub(crate) fn open(id: ProcessId) -> io::Result<Option<Self>> {
        let Some(pidfd) = open(id.pid)? else { return Ok(None) };
        // Whoever has the number now is held: it is the one that was meant, or not.
        let found = try_look(id.pid)?.filter(|stat| stat.id == id && !stat.is_zombie);
        Ok(found.map(|_| Self { pidfd, id }))
    }

    /// Takes hold of a process that is known by its number alone, if it is of this container: a stock agent's processes
    /// have their sandbox and their container in the environment, or are in a group of the container.
    ///
    /// # Errors
    ///
    /// As [`Held::open`].
    pub(crate) fn open_foreign(pid: u32, id: ContainerId, sandbox: &Path) -> io::Result<Option<Self>> {
        let Some(pidfd) = open(pid)? else { return Ok(None) };
        let Some(stat) = try_look(pid)?.filter(|stat| !stat.is_zombie) else { return Ok(None) };
        let (environ, groups) = (shown(pid, "environ")?, shown(pid, "cgroup")?);
        let id = id.to_string();
        let is_its = has(&environ, sandbox.as_os_str().as_bytes())
            || has(&environ, id.as_bytes())
            || has(&groups, id.as_bytes());
        // It may have ended while its files were read, and another may have its number.
        let is_the_same = try_look(pid)?.is_some_and(|now| now.id == stat.id);
        Ok((is_its && is_the_same).then_some(Self { pidfd, id: stat.id }))
    }

    /// Which process.
    pub(crate) fn id(&self) -> ProcessId {
        self.id
    }

    async fn ended(&self) {
        if let Err(error) = self.pidfd.ended().await {
            tracing::warn!(pid = self.id.pid, %error, "a process cannot be watched");
            std::future::pending::<()>().await;
        }
    }
}

impl Subject {
    /// Waits until the process that is watched has ended.
    ///
    /// # Cancel safety
    ///
    /// May be dropped and called again.
    pub(crate) async fn ended(&self) {
        match self {
            Self::Ours { parent, child, .. } => {
                parent.ended().await;
                // It has ended, so this does not wait.
                if let Some(mut child) = child.lock().unwrap_or_else(PoisonError::into_inner).take()
                    && let Err(error) = child.wait()
                {
                    tracing::debug!(%error, "the parent of a command was waited for by another");
                }
            }
            Self::Foreign(root) => root.ended().await,
            Self::Gone(_) => {}
        }
    }

    /// Sends a signal to every process of the container, as far as they can be found as a tree. Blocks for a moment;
    /// answers how many took it.
    ///
    /// # Errors
    ///
    /// Processes cannot be listed: nobody took it.
    pub(crate) fn signal(&self, signal: Signal) -> io::Result<usize> {
        self.wake_parent();
        Ok(signal_all(&self.processes(&all()?), signal))
    }

    /// Kills every process of the container, as far as they can be found as a tree. Blocks for a moment; answers how many
    /// there were.
    ///
    /// # Errors
    ///
    /// Processes cannot be listed: there may be more.
    pub(crate) fn kill(&self) -> io::Result<usize> {
        self.wake_parent();
        kill_tree(|all| self.processes(all))
    }

    /// Kills what is left when the process that was watched has ended. Answers how many there were.
    ///
    /// # Errors
    ///
    /// Processes cannot be listed: there may be more.
    pub(crate) fn kill_rest(&self) -> io::Result<usize> {
        kill_tree(|all| self.rest(all))
    }

    /// Lets the parent go on: a task that is root may have stopped it.
    fn wake_parent(&self) {
        if let Self::Ours { parent, .. } = self {
            let _ = signal_one(parent.id, Signal::CONT);
        }
    }

    fn rest(&self, all: &[Stat]) -> Vec<ProcessId> {
        let first = match self {
            Self::Ours { command, .. } => Some(*command),
            Self::Foreign(root) => Some(root.id),
            Self::Gone(command) => *command,
        };
        first.map(|first| of_session(all, first)).unwrap_or_default()
    }

    /// Tells the parent how long what its command leaves behind may take.
    pub(crate) fn tell_grace(&self, grace: Duration) {
        if let Self::Ours { state, .. } = self
            && let Err(error) = tell(state, &Line::Grace(Grace::of(grace)))
        {
            tracing::debug!(%error, "the parent of a command does not listen");
        }
    }

    /// Kills a parent that does not end.
    pub(crate) fn kill_parent(&self) {
        if let Self::Ours { parent, .. } = self {
            tracing::warn!(pid = parent.id.pid, "the parent of a command does not end and is killed");
            let _ = signal_one(parent.id, Signal::KILL);
        }
    }

    /// The process below which the container's are.
    pub(crate) fn supervisor(&self) -> Option<u32> {
        match self {
            Self::Ours { parent, .. } => Some(parent.id.pid),
            Self::Foreign(root) => Some(root.id.pid),
            Self::Gone(_) => None,
        }
    }

    fn processes(&self, all: &[Stat]) -> Vec<ProcessId> {
        match self {
            // Without the parent they are somebody else's children.
            Self::Ours { parent, .. } if look(parent.id.pid).is_some_and(|stat| stat.id == parent.id) => {
                descendants(all, parent.id.pid)
            }
            Self::Ours { .. } | Self::Gone(_) => self.rest(all),
            Self::Foreign(root) => {
                let mut found = of_session(all, root.id);
                found.push(root.id);
                found.extend(descendants(all, root.id.pid));
                found.sort_unstable();
                found.dedup();
                found
            }
        }
    }
}

/// Whose session and what descends from it is still to be killed of a container whose parent is gone for an unknown time;
/// `None` where there is a session of this number that is not the container's: once nobody was left of it, the number could
/// be given to another.
///
/// # Errors
///
/// Processes cannot be looked at.
pub(crate) fn left_of(command: ProcessId, id: ContainerId, sandbox: &Path) -> io::Result<Option<ProcessId>> {
    let id = id.to_string();
    let is_its = |pid: u32| -> io::Result<bool> {
        let (environ, groups) = (shown(pid, "environ")?, shown(pid, "cgroup")?);
        let is_inside =
            std::fs::read_link(format!("/proc/{pid}/cwd")).is_ok_and(|cwd| cwd.starts_with(sandbox));
        let names_it = has(&environ, id.as_bytes()) || has(&environ, sandbox.as_os_str().as_bytes());
        Ok(is_inside || names_it || has(&groups, id.as_bytes()))
    };
    let members = of_session(&all()?, command);
    for member in &members {
        if is_its(member.pid)? {
            return Ok(Some(command));
        }
    }
    Ok(members.is_empty().then_some(command))
}

/// Takes hold of who has a number now, if anybody.
fn open(pid: u32) -> io::Result<Option<Pidfd>> {
    match Pidfd::open(pid) {
        Ok(pidfd) => Ok(Some(pidfd)),
        // A number of a thread is no process's.
        Err(error) if is_gone(&error) || error.kind() == io::ErrorKind::InvalidInput => Ok(None),
        Err(error) => Err(error),
    }
}

/// A file of a process, as far as we may read it.
fn shown(pid: u32, file: &str) -> io::Result<Vec<u8>> {
    match read(pid, file) {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Ok(Vec::new()),
        read => Ok(read?.unwrap_or_default()),
    }
}

fn has(text: &[u8], what: &[u8]) -> bool {
    text.windows(what.len()).any(|window| window == what)
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::CommandExt as _;
    use std::process::Command;

    use super::*;

    /// A session whose leader has ended, and a member of it that goes on.
    fn session(sandbox: Option<&Path>) -> (ProcessId, ProcessId) {
        let mut leader = Command::new("setsid");
        leader
            .args(["-w", "sh", "-c", "sleep 1000 >/dev/null 2>&1 & echo $$ $!"])
            .process_group(0)
            .env_clear();
        leader.env("PATH", "/usr/bin:/bin");
        if let Some(sandbox) = sandbox {
            leader.env("MESOS_SANDBOX", sandbox);
        }
        let output = leader.current_dir("/").output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        let pids: Vec<u32> = text.split_whitespace().map(|pid| pid.parse().unwrap()).collect();
        let member = look(pids[1]).unwrap().id;
        (ProcessId { pid: pids[0], start: member.start }, member)
    }

    #[test]
    fn a_session_that_has_come_to_be_anothers_is_left_alone() {
        let (id, sandbox) = (ContainerId::random(), Path::new("/no/such/sandbox"));
        for (environment, is_its) in [(None, false), (Some(sandbox), true)] {
            let (leader, member) = session(environment);
            let found = left_of(leader, id, sandbox);
            signal_one(member, Signal::KILL).unwrap();
            assert_eq!(found.unwrap(), is_its.then_some(leader));
        }
        let own = look(std::process::id()).unwrap().id;
        let nobody = ProcessId { pid: own.pid, start: own.start + 1 };
        assert_eq!(
            left_of(nobody, id, sandbox).unwrap(),
            Some(nobody),
            "nobody is left, and more may be seen later"
        );
    }

    #[test]
    fn a_process_that_is_there_is_held_and_one_that_is_gone_is_not() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let _entered = runtime.enter();
        let own = look(std::process::id()).unwrap().id;
        assert_eq!(Held::open(own).unwrap().map(|held| held.id()), Some(own));
        assert!(Held::open(ProcessId { start: own.start + 1, ..own }).unwrap().is_none());
        assert!(Held::open(ProcessId { pid: 0, start: 0 }).unwrap().is_none());
        assert!(Held::open(ProcessId { pid: u32::MAX, start: 0 }).unwrap().is_none());
    }
}
