//! Killing every process of a container, however it forks.
//!
//! One round kills what is there: with `cgroup.kill` the kernel does it in one step, so that nothing can fork meanwhile;
//! else the group is frozen, each of its processes gets SIGKILL, and it is thawed, since a v1 process dies only then.
//! Rounds are repeated until nothing is left, as a process may be on its way in, or in a group that a task made itself.
//!
//! ```text
//! round ─► Empty                      done
//!       ─► Left(n) ─► a pause ─► round    until the deadline
//! ```

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, Instant};

use containerizer::cgroups::{Membership, Version};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

use super::dirs::{GroupDir, GroupDirs, below, processes_of, write_file};
use super::error::CgroupsError;
use super::hierarchies::Controller;

/// The first pause between rounds; it doubles up to the longest.
const FIRST_PAUSE: Duration = Duration::from_millis(1);
const LONGEST_PAUSE: Duration = Duration::from_millis(100);

/// How long a round waits for a group to be frozen; a process that waits for a disk may take longer, and is killed in a
/// later round.
const FREEZING: Duration = Duration::from_millis(20);

/// Processes that are named when a kill does not get through.
const NAMED: usize = 10;

/// Why processes are left.
#[derive(Debug, thiserror::Error)]
pub enum KillError {
    /// A group cannot be read or written.
    #[error(transparent)]
    Cgroups(#[from] CgroupsError),
    /// They did not die in time, as those do not that wait for a device.
    #[error(
        "{count} processes are left after {after:?}, among them {named}; one that waits for a disk or a network file \
         system ends when that answers"
    )]
    Left {
        /// How many.
        count: usize,
        /// How long it was tried.
        after: Duration,
        /// The first few ids.
        named: String,
    },
}

/// What a round found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Round {
    /// Nothing was there.
    Empty,
    /// These were, and have had SIGKILL.
    Left(BTreeSet<u32>),
}

/// The pauses between rounds.
#[derive(Debug)]
pub(crate) struct Pauses {
    next: Duration,
}

impl Pauses {
    pub(crate) fn new() -> Self {
        Self { next: FIRST_PAUSE }
    }

    pub(crate) fn next(&mut self) -> Duration {
        let pause = self.next;
        self.next = (pause * 2).min(LONGEST_PAUSE);
        pause
    }
}

impl GroupDirs {
    /// Kills what is there now.
    ///
    /// # Errors
    ///
    /// Groups that cannot be read or written.
    pub(crate) fn kill_round(&self) -> Result<Round, CgroupsError> {
        let Some(tracker) = self.tracker() else { return Ok(Round::Empty) };
        let mut left = tracker.kill()?;
        // Who has left the group that follows it, as root can, is still in the others.
        for dir in self.iter().skip(1) {
            left.extend(signal_all(&dir.path)?);
        }
        Ok(if left.is_empty() { Round::Empty } else { Round::Left(left) })
    }
}

impl GroupDirs {
    /// Lets the processes go on that an agent had stopped which was killed in the middle of a round.
    pub(crate) fn thaw(&self) -> Result<(), CgroupsError> {
        let freezer = self.tracker().and_then(Freezer::of);
        freezer.map_or(Ok(()), |freezer| freezer.thaw())
    }
}

impl KillError {
    pub(crate) fn left(pids: &BTreeSet<u32>, after: Duration) -> Self {
        let named: Vec<_> = pids.iter().take(NAMED).map(u32::to_string).collect();
        Self::Left { count: pids.len(), after, named: named.join(", ") }
    }
}

impl GroupDir {
    fn kill(&self) -> Result<BTreeSet<u32>, CgroupsError> {
        if self.processes()?.is_empty() {
            return Ok(BTreeSet::new());
        }
        let kill = self.path.join("cgroup.kill");
        if self.version == Version::V2 && kill.exists() {
            match write_file(&kill, "1") {
                Err(error) if error.is_gone() => return Ok(BTreeSet::new()),
                Ok(()) => return self.processes(),
                // Control groups that can be read only, as after a mount was changed, name the processes still.
                Err(error) => {
                    tracing::debug!(error = containerizer::chain(&error), "processes are killed one by one")
                }
            }
        }
        let freezer = Freezer::of(self);
        // One that is not frozen is killed all the same, in more rounds.
        let frozen = freezer.as_ref().map_or(Ok(()), Freezer::freeze);
        let signalled = signal_all(&self.path);
        if let Some(freezer) = &freezer {
            let thawed = freezer.thaw();
            if frozen.is_ok() {
                thawed?;
            }
        }
        signalled
    }
}

/// What stops all processes of a group at once.
struct Freezer<'a> {
    group: &'a Path,
    version: Version,
}

impl<'a> Freezer<'a> {
    fn of(dir: &'a GroupDir) -> Option<Self> {
        let freezes = match dir.version {
            Version::V1 => dir.controllers.contains(&Controller::Freezer),
            Version::V2 => dir.path.join("cgroup.freeze").exists(),
        };
        freezes.then_some(Self { group: &dir.path, version: dir.version })
    }

    /// Freezes, or begins to: one that takes longer than [`FREEZING`] goes on while its processes are killed.
    fn freeze(&self) -> Result<(), CgroupsError> {
        let began = Instant::now();
        self.set("FROZEN", "1")?;
        while !self.is_frozen() && began.elapsed() < FREEZING {
            #[expect(
                clippy::disallowed_methods,
                reason = "the kernel tells nobody when a v1 group is frozen"
            )]
            sleep(FIRST_PAUSE);
        }
        Ok(())
    }

    /// Thaws the group, and those below it that a task froze itself.
    fn thaw(&self) -> Result<(), CgroupsError> {
        let file = match self.version {
            Version::V1 => "freezer.state",
            Version::V2 => "cgroup.freeze",
        };
        let value = if self.version == Version::V1 { "THAWED" } else { "0" };
        for group in below(self.group)? {
            ignore_gone(write_file(&group.join(file), value))?;
        }
        Ok(())
    }

    fn set(&self, v1: &str, v2: &str) -> Result<(), CgroupsError> {
        ignore_gone(match self.version {
            Version::V1 => write_file(&self.group.join("freezer.state"), v1),
            Version::V2 => write_file(&self.group.join("cgroup.freeze"), v2),
        })
    }

    fn is_frozen(&self) -> bool {
        match self.version {
            Version::V1 => fs::read_to_string(self.group.join("freezer.state"))
                .map_or(true, |state| state.trim() == "FROZEN"),
            Version::V2 => fs::read_to_string(self.group.join("cgroup.events"))
                .map_or(true, |events| events.lines().any(|line| line == "frozen 1")),
        }
    }
}

/// Sends SIGKILL to the processes of a group and of those below it, and says which there were.
fn signal_all(group: &Path) -> Result<BTreeSet<u32>, CgroupsError> {
    let mut found = BTreeSet::new();
    for group in below(group)? {
        for pid in processes_of(&group)? {
            found.insert(pid);
            signal(pid, &group);
        }
    }
    Ok(found)
}

/// Sends SIGKILL to a process that is in a group. Its number may have come to mean another one since it was read, so the
/// process is held first, and killed only if it is in the group then.
fn signal(pid: u32, group: &Path) {
    let Some(id) = i32::try_from(pid).ok().and_then(Pid::from_raw) else { return };
    let Ok(process) = pidfd_open(id, PidfdFlags::empty()) else { return };
    let named = group.file_name().map(|name| name.to_string_lossy().into_owned());
    // A task that is root may have made groups whose names are no text.
    let is_there = fs::read(format!("/proc/{pid}/cgroup")).is_ok_and(|text| {
        let text = String::from_utf8_lossy(&text);
        let membership = Membership::parse(&text);
        named
            .is_some_and(|named| membership.iter().any(|(_, path)| path.split('/').any(|part| part == named)))
    });
    if is_there {
        // A process that is gone by now needs no signal.
        let _ = pidfd_send_signal(process, Signal::KILL);
    }
}

fn ignore_gone(result: Result<(), CgroupsError>) -> Result<(), CgroupsError> {
    match result {
        Err(error) if error.is_gone() => Ok(()),
        result => result,
    }
}
