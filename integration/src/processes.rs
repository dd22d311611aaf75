//! Owns the end of what tests of tasks without an image leave on the machine when they fail: the processes that supervise
//! commands, which block all signals and outlive agents, all that runs below them, and their control groups. Called by
//! [`TestScope`](crate::TestScope) and [`Plain`](crate::supervised::Plain) when they are dropped.
//!
//! A process is a scope's when it says so by what it cannot have from anybody else: the program that supervises has files
//! below the scope's directory open, a task has its sandbox there in its environment, and both are in control groups with
//! the scope's name, or descend from one of these.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

use crate::engine;

/// The name of the program that supervises, as the kernel cuts it.
const SUPERVISOR: &str = "mesos-container";
/// The variables that tell a task where its sandbox is on this machine.
const PLACES: [&str; 2] = ["MESOS_DIRECTORY=", "MESOS_SANDBOX="];
/// Where the control groups are.
const CGROUPS: &str = "/sys/fs/cgroup";
/// How long what was asked to end, or was killed, may take to be gone.
const PATIENCE: Duration = Duration::from_secs(10);
/// The pause between two looks.
const PAUSE: Duration = Duration::from_millis(20);
/// The environment variable that names a file to which is appended what had to be ended; `scripts/test` reads it.
const LEFT_LOG: &str = "MESOS_TEST_LEFT_LOG";

/// What a test's processes have in common.
#[derive(Debug)]
pub(crate) struct Mark {
    dir: PathBuf,
    group: String,
}

/// What a test is to leave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Left {
    Nothing,
    /// It is a test of the sweep.
    Tasks,
}

/// A process, as one look shows it.
#[derive(Debug)]
struct Seen {
    parent: i32,
    is_zombie: bool,
    name: String,
}

impl Mark {
    /// For what has its place below `dir`, or is in a control group of this name.
    pub(crate) fn new(dir: &Path, group: &str) -> Self {
        Self { dir: dir.canonicalize().unwrap_or_else(|_| dir.to_owned()), group: group.to_owned() }
    }

    /// Ends all that is left. A test that passes leaves nothing: what may be about to end by itself has some time for it,
    /// and what is there then is told. One that has panicked, or leaves something on purpose, is not waited for.
    pub(crate) fn sweep(&self, left: Left) {
        if left == Left::Nothing && !std::thread::panicking() {
            let deadline = Instant::now() + PATIENCE;
            while !self.supervisors().is_empty() && Instant::now() < deadline {
                pause();
            }
            for pid in self.supervisors() {
                let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
                let line =
                    format!("{} {pid} {}", self.group, String::from_utf8_lossy(&line).replace('\0', " "));
                eprintln!("a task was left and is killed: {line}");
                engine::note(LEFT_LOG, &format!("{line}\n"));
            }
        }
        let deadline = Instant::now() + PATIENCE;
        loop {
            thaw(&self.groups());
            // Who forks meanwhile is found by the next look.
            let left = self.kill();
            if left == 0 || Instant::now() > deadline {
                break;
            }
            pause();
        }
        while self.groups().iter().rev().any(|group| fs::remove_dir(group).is_err())
            && Instant::now() < deadline
        {
            pause();
        }
    }

    /// The processes that are there now, none of them a zombie.
    pub(crate) fn processes(&self) -> BTreeSet<i32> {
        let all = look();
        let own = i32::try_from(std::process::id()).unwrap_or(0);
        let mut found: BTreeSet<i32> = all
            .iter()
            .filter(|(pid, seen)| **pid != own && !seen.is_zombie && self.is_its(**pid, &seen.name))
            .map(|(pid, _)| *pid)
            .collect();
        loop {
            let is_below =
                |(pid, seen): &(&i32, &Seen)| !found.contains(*pid) && found.contains(&seen.parent);
            let below: Vec<i32> = all
                .iter()
                .filter(|(_, seen)| !seen.is_zombie)
                .filter(is_below)
                .map(|(pid, _)| *pid)
                .collect();
            if below.is_empty() {
                return found;
            }
            found.extend(below);
        }
    }

    fn supervisors(&self) -> Vec<i32> {
        let of = |(pid, seen): (i32, Seen)| {
            (!seen.is_zombie && seen.name == SUPERVISOR && self.is_its(pid, &seen.name)).then_some(pid)
        };
        look().into_iter().filter_map(of).collect()
    }

    /// Kills all, and returns how many there were.
    fn kill(&self) -> usize {
        // First held, then looked at: a number that is another's by now is not signalled.
        let held: Vec<(i32, OwnedFd)> = self
            .processes()
            .into_iter()
            .filter_map(|pid| Some((pid, pidfd_open(Pid::from_raw(pid)?, PidfdFlags::empty()).ok()?)))
            .collect();
        let still = self.processes();
        for (_, process) in held.iter().filter(|(pid, _)| still.contains(pid)) {
            // It may have ended.
            let _ = pidfd_send_signal(process, Signal::KILL);
        }
        still.len()
    }

    fn is_its(&self, pid: i32, name: &str) -> bool {
        let process = PathBuf::from(format!("/proc/{pid}"));
        let is_below = |path: PathBuf| path.starts_with(&self.dir);
        let has_open = || {
            let files = fs::read_dir(process.join("fd")).into_iter().flatten().flatten();
            files.filter_map(|file| fs::read_link(file.path()).ok()).any(is_below)
        };
        let has_sandbox = || {
            let all = fs::read(process.join("environ")).unwrap_or_default();
            all.split(|byte| *byte == 0).any(|variable| {
                PLACES.iter().any(|name| {
                    let place = variable.strip_prefix(name.as_bytes());
                    place.is_some_and(|place| is_below(PathBuf::from(std::ffi::OsStr::from_bytes(place))))
                })
            })
        };
        let is_in_group = || {
            let groups = fs::read_to_string(process.join("cgroup")).unwrap_or_default();
            groups.split(['/', '\n']).any(|part| part == self.group)
        };
        (name == SUPERVISOR && has_open()) || has_sandbox() || is_in_group()
    }

    /// The control groups, each before those in it.
    fn groups(&self) -> Vec<PathBuf> {
        let hierarchies = fs::read_dir(CGROUPS).into_iter().flatten().flatten().map(|entry| entry.path());
        let roots = std::iter::once(PathBuf::from(CGROUPS)).chain(hierarchies);
        // Some hierarchies are there under two names.
        let roots = roots.filter_map(|root| root.join(&self.group).canonicalize().ok());
        let mut groups: Vec<PathBuf> = roots.collect::<BTreeSet<_>>().into_iter().collect();
        let mut next = 0;
        while let Some(group) = groups.get(next) {
            let entries = fs::read_dir(group).into_iter().flatten().flatten();
            let below: Vec<PathBuf> =
                entries.map(|entry| entry.path()).filter(|path| path.is_dir()).collect();
            groups.extend(below);
            next += 1;
        }
        groups
    }
}

/// Lets frozen processes go on, as only so they can be killed.
fn thaw(groups: &[PathBuf]) {
    for group in groups {
        for (file, text) in [("freezer.state", "THAWED"), ("cgroup.freeze", "0")] {
            let file = group.join(file);
            if file.exists() {
                // It may be gone, or be no group that can be frozen.
                let _ = fs::write(file, text);
            }
        }
    }
}

fn look() -> BTreeMap<i32, Seen> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let seen = |entry: fs::DirEntry| {
        let pid: i32 = entry.file_name().to_str()?.parse().ok()?;
        let text = fs::read(entry.path().join("stat")).ok()?;
        let text = String::from_utf8_lossy(&text);
        // A name may hold anything, parentheses too.
        let (name, rest) = text.split_once('(')?.1.rsplit_once(')')?;
        let mut rest = rest.split_whitespace();
        let is_zombie = rest.next()? == "Z";
        Some((pid, Seen { parent: rest.next()?.parse().ok()?, is_zombie, name: name.to_owned() }))
    };
    entries.filter_map(seen).collect()
}

#[expect(
    clippy::disallowed_methods,
    reason = "the pause between two looks, with a deadline, also while unwinding"
)]
fn pause() {
    std::thread::sleep(PAUSE);
}
