//! The process of a stock agent's executor: found by forked.pid, held by a pidfd, killed with all that it has started.
//!
//! A number may have come to mean another process. The one that was meant was made before forked.pid was written, since
//! stock's launcher writes it while the child waits, and nobody has its number from then on until it ends. Clocks that
//! were set since can spoil that comparison, so a process that has the run in its environment, or is in a control group
//! of the run's, counts as well. After another boot there is no forked.pid any more.

use std::collections::BTreeSet;
use std::io;
use std::path::Path;
use std::time::{Duration, SystemTime};

use containerizer::{Pidfd, blocking};
use mesos_containerizer::is_of_container;
use mesos_containerizer::processes::{self, ProcessId, Stat};
use mesos_types::ContainerId;
use rustix::io::Errno;
use rustix::process::Signal;
use rustix::time::{ClockId, clock_gettime};

use crate::driver::open_runs::ForkedPid;

/// How much later than its number was written a process may seem to have started: its start is told in hundredths of a
/// second, and the clocks are read one after the other. No number comes to mean another process in so short a time.
const SLACK: Duration = Duration::from_millis(50);

/// How often what is left of a tree is looked for.
const ROUNDS: usize = 5;

/// The process of an executor.
#[derive(Debug)]
pub(super) struct StockProcess {
    held: Pidfd,
    id: ProcessId,
}

impl StockProcess {
    /// Takes hold of the process; `None` where it has ended, or its number means another one now. Blocks on `/proc`.
    ///
    /// # Errors
    ///
    /// The system does not tell, as when we have no descriptor left. The process may well be there.
    pub(super) fn open(forked: ForkedPid, id: ContainerId, sandbox: &Path) -> io::Result<Option<Self>> {
        let held = match Pidfd::open(forked.pid) {
            Ok(held) => held,
            Err(error) if error.raw_os_error() == Some(Errno::SRCH.raw_os_error()) => return Ok(None),
            Err(error) => return Err(error),
        };
        // Looked at after it was taken hold of, so that the answers are about the one that is held.
        let Some(stat) = processes::try_look(forked.pid)?.filter(|stat| !stat.is_zombie) else {
            return Ok(None);
        };
        let written = forked.written.and_then(since_boot);
        let is_in_time = written.is_some_and(|written| is_old_enough(started(&stat), written));
        let is_its = is_in_time || is_of_container(forked.pid, id, sandbox)?;
        Ok(is_its.then_some(Self { held, id: stat.id }))
    }

    /// Waits for its end.
    ///
    /// # Cancel safety
    ///
    /// May be dropped and called again.
    pub(super) async fn ended(&self) {
        if let Err(error) = self.held.ended().await {
            tracing::warn!(pid = self.held.pid(), %error, "a process cannot be watched");
            std::future::pending::<()>().await;
        }
    }

    /// Kills it with everything that descends from it, sessions of its children among it. Blocks on `/proc`.
    pub(super) fn kill(&self) {
        blocking(|| {
            let mut tree: BTreeSet<ProcessId> = [self.id].into();
            for _ in 0..ROUNDS {
                let Ok(all) = processes::all() else { return };
                let of_tree: Vec<ProcessId> = tree.iter().copied().collect();
                for id in of_tree {
                    // Its number is its own for as long as it is there with its start time.
                    if all.iter().any(|stat| stat.id == id) {
                        tree.extend(processes::descendants(&all, id.pid));
                    }
                    tree.extend(processes::of_session(&all, id));
                }
                let living: Vec<ProcessId> = tree
                    .iter()
                    .filter(|id| all.iter().any(|stat| stat.id == **id && !stat.is_zombie))
                    .copied()
                    .collect();
                if living.is_empty() {
                    return;
                }
                processes::signal_all(&living, Signal::KILL);
            }
        });
    }
}

/// When a process was started, since the boot.
fn started(stat: &Stat) -> Duration {
    let ticks = rustix::param::clock_ticks_per_second().max(1);
    Duration::from_millis(stat.id.start.saturating_mul(1000) / ticks)
}

/// A time of the wall clock as time since the boot; `None` for one before that.
fn since_boot(time: SystemTime) -> Option<Duration> {
    let now = clock_gettime(ClockId::Boottime);
    let now = Duration::new(u64::try_from(now.tv_sec).ok()?, u32::try_from(now.tv_nsec).ok()?);
    match SystemTime::now().duration_since(time) {
        Ok(ago) => now.checked_sub(ago),
        Err(ahead) => now.checked_add(ahead.duration()),
    }
}

/// Whether a process was there when its number was written.
fn is_old_enough(started: Duration, written: Duration) -> bool {
    started <= written.saturating_add(SLACK)
}

#[cfg(test)]
mod tests {
    use std::process::{Child, Command};

    use super::*;

    fn sleeping(directory: &Path) -> Child {
        // A shell with a child in a session of its own, as stock's executor has its task.
        let line = "setsid sleep 1000 & sleep 1000";
        let mut command = Command::new("sh");
        command.args(["-c", line]).env("MESOS_DIRECTORY", directory).spawn().unwrap()
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_process_is_held_and_killed_with_its_tree() {
        let sandbox = tempfile::tempdir().unwrap();
        let elsewhere = tempfile::tempdir().unwrap();
        let mut child = sleeping(sandbox.path());
        let pid = child.id();
        let forked = |written| ForkedPid { pid, written };
        let hour = Duration::from_secs(3600);
        let id = ContainerId::random();
        let open = |written, sandbox: &Path| StockProcess::open(forked(written), id, sandbox).unwrap();
        // Made just now: not the one whose number was written an hour ago, unless it says that it is of the run.
        let long_ago = Some(SystemTime::now() - hour);
        assert!(open(long_ago, elsewhere.path()).is_none());
        assert!(open(None, elsewhere.path()).is_none());
        assert!(open(long_ago, sandbox.path()).is_some());
        let held = open(Some(SystemTime::now()), elsewhere.path()).unwrap();

        let descendants = |pid| processes::descendants(&processes::all().unwrap(), pid);
        let deadline = std::time::Instant::now() + Duration::from_secs(20);
        while descendants(pid).len() < 2 {
            assert!(std::time::Instant::now() < deadline);
            tokio::task::yield_now().await;
        }
        let tree = descendants(pid);
        held.kill();
        held.ended().await;
        child.wait().unwrap();
        for id in tree {
            let is_gone = || processes::look(id.pid).is_none_or(|now| now.id != id || now.is_zombie);
            while !is_gone() {
                assert!(std::time::Instant::now() < deadline, "{id:?} goes on");
                tokio::task::yield_now().await;
            }
        }
        assert!(open(Some(SystemTime::now()), sandbox.path()).is_none());
    }

    #[rstest::rstest]
    #[case(100, 100, true)]
    #[case(99, 100, true)]
    #[case(1, 100, true)]
    #[case(101, 100, false)]
    fn a_process_is_older_than_its_number(
        #[case] started: u64,
        #[case] written: u64,
        #[case] expected: bool,
    ) {
        assert_eq!(is_old_enough(Duration::from_secs(started), Duration::from_secs(written)), expected);
    }
}
