//! The processes that a command of a check has started, on a host whose processes we see.
//!
//! The engine cannot end a command. Its processes are found by a mark in their environment, which children inherit, and
//! by their session and parents, for those that have dropped it. Each is in a control group of the container: that is
//! looked at after the process was taken hold of (a pidfd), and when it started, too, so what is killed is the process
//! that was chosen, and never one of another container or of the host. A process that has left the session, its parents
//! *and* the mark is taken for the task's own.
//!
//! A process may say of itself that any part of its memory is its environment (`PR_SET_MM_MAP`, which needs no
//! privilege), so an environment has no end that can be believed: no more is read than a program can be started with.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{BufRead as _, BufReader, Read};
use std::os::fd::{AsFd as _, OwnedFd};
use std::path::PathBuf;
use std::time::Duration;

use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use rustix::time::{ClockId, clock_gettime};

use crate::namespace::{is_of_container, wait_for_end};

/// The name of the variable that marks the processes of a check.
pub(crate) const MARK: &str = "MESOS_CHECK_RUN";

/// Ticks of `/proc/<pid>/stat` in a second: the kernel's USER_HZ, which is 100 on every architecture that Docker runs on.
const TICKS: u64 = 100;

/// How often it is looked for processes that came to be while others were killed, and how long one of these is waited for
/// before each new look.
const ROUNDS: usize = 20;
const GOING: Duration = Duration::from_millis(50);

/// The most of one environment that is read, in bytes: the kernel starts no program with more (`_STK_LIM / 4 * 3`).
const MOST_OF_ONE: u64 = 6 * 1024 * 1024;

/// The most of all environments of a container that is read in one look, in bytes.
const MOST_OF_ALL: u64 = 64 * 1024 * 1024;

/// One process of a container.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Process {
    pid: u32,
    parent: u32,
    session: u32,
    /// When it started, in ticks since the boot.
    started: u64,
    marked: bool,
}

/// What came of killing a family.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Killed {
    /// There were none.
    NoneFound,
    /// There were some, and none is left.
    All,
    /// Some do not go.
    SomeLeft,
}

/// Finds the processes of one command.
#[derive(Debug, Clone)]
pub(crate) struct Family {
    /// The engine's id of the container.
    pub(crate) container: String,
    /// The container's first process, which is never one of them.
    pub(crate) init: u32,
    /// The whole variable, `MESOS_CHECK_RUN=...`.
    pub(crate) mark: String,
    /// The command's own process, where the engine has told it.
    pub(crate) root: Option<Root>,
}

/// A command's own process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Root {
    pid: u32,
    /// When it started, in ticks since the boot: its number may come to mean another.
    started: u64,
}

impl Root {
    /// The process with this number, if it is in the container. Two looks at `/proc`.
    pub(crate) fn of(pid: u32, container: &str) -> Option<Self> {
        let stat = is_of_container(pid, container).then(|| Stat::of(pid))??;
        Some(Self { pid, started: stat.started })
    }

    /// How long it has been running; `None` if it has ended. One look at `/proc`.
    pub(crate) fn age(&self) -> Option<Duration> {
        let stat = Stat::of(self.pid).filter(|stat| stat.started == self.started)?;
        since(stat.started)
    }
}

impl Family {
    /// How long the oldest of them has been running; `None` if there are none. Blocks on all of `/proc`.
    pub(crate) fn age(&self) -> Option<Duration> {
        self.find().into_iter().map(|process| process.started).min().and_then(since)
    }

    /// Sends SIGKILL to all of them, also to those that come to be meanwhile. One that is in the kernel may still be on
    /// its way out, and is told as left. Blocks on all of `/proc`.
    pub(crate) fn kill(&self) -> Killed {
        let mut killed = Killed::NoneFound;
        for _ in 0..ROUNDS {
            let found = self.find();
            if found.is_empty() {
                return killed;
            }
            killed = Killed::All;
            // One of them is waited for, as many may be as there are numbers.
            let mut last = None;
            for process in &found {
                last = self.kill_one(process).or(last);
            }
            if let Some(last) = last {
                wait_for_end(last.as_fd(), GOING);
            }
        }
        if self.find().is_empty() { killed } else { Killed::SomeLeft }
    }

    /// Kills the process if it is still the one that was looked at; returns it, as it may take a moment to go.
    fn kill_one(&self, process: &Process) -> Option<OwnedFd> {
        let pid = i32::try_from(process.pid).ok().and_then(Pid::from_raw)?;
        let held = pidfd_open(pid, PidfdFlags::empty()).ok()?;
        let is_still = is_of_container(process.pid, &self.container)
            && Stat::of(process.pid).is_some_and(|stat| stat.started == process.started);
        // An error says that it has ended.
        (is_still && pidfd_send_signal(&held, Signal::KILL).is_ok()).then_some(held)
    }

    fn find(&self) -> Vec<Process> {
        let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
        let mut budget = MOST_OF_ALL;
        let all: Vec<Process> = entries
            .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
            .filter(|pid| is_of_container(*pid, &self.container))
            .filter_map(|pid| self.look(pid, &mut budget))
            .collect();
        select(all, self.init, self.root)
    }

    fn look(&self, pid: u32, budget: &mut u64) -> Option<Process> {
        let Stat { parent, session, started } = Stat::of(pid)?;
        let marked = variable(pid, budget, |variable| variable == self.mark.as_bytes()).is_some();
        Some(Process { pid, parent, session, started, marked })
    }
}

/// Kills the commands that an earlier process of this program has left in a container, with all that they have started:
/// those whose mark begins with `mark`. Blocks on all of `/proc`.
///
/// Only a command that still runs is one: what it has left behind when it ended, as a server that it was to start, is the
/// task's own. A command's process is known by its parent, which is the engine's and in another process namespace; that
/// of a process which was left behind is the first of its own.
pub(crate) fn reclaim(container: &str, init: u32, mark: &str) -> usize {
    let Ok(entries) = fs::read_dir("/proc") else { return 0 };
    let mut budget = MOST_OF_ALL;
    let left: Vec<Family> = entries
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter(|pid| *pid != init && is_of_container(*pid, container))
        .filter_map(|pid| {
            let Stat { parent, started, .. } = Stat::of(pid)?;
            if process_namespace(pid)? == process_namespace(parent)? {
                return None;
            }
            let mark = variable(pid, &mut budget, |variable| variable.starts_with(mark.as_bytes()))?;
            let (container, mark) = (container.to_owned(), String::from_utf8(mark).ok()?);
            Some(Family { container, init, mark, root: Some(Root { pid, started }) })
        })
        .collect();
    left.iter().filter(|family| family.kill() == Killed::All).count()
}

/// The namespace that a process has its number in.
fn process_namespace(pid: u32) -> Option<PathBuf> {
    fs::read_link(format!("/proc/{pid}/ns/pid")).ok()
}

/// The first variable of a process that is `wanted`.
fn variable(pid: u32, budget: &mut u64, wanted: impl Fn(&[u8]) -> bool) -> Option<Vec<u8>> {
    find_variable(File::open(format!("/proc/{pid}/environ")).ok()?, budget, wanted)
}

/// The first variable of an environment that is `wanted`. Reads no more than the budget, and lowers it by what it read.
fn find_variable(
    environment: impl Read,
    budget: &mut u64,
    wanted: impl Fn(&[u8]) -> bool,
) -> Option<Vec<u8>> {
    let most = MOST_OF_ONE.min(*budget);
    let mut environment = BufReader::new(environment.take(most));
    let mut one = Vec::new();
    let found = loop {
        one.clear();
        match environment.read_until(0, &mut one) {
            Ok(1..) => {
                one.pop_if(|last| *last == 0);
                if wanted(&one) {
                    break Some(one);
                }
            }
            Ok(0) | Err(_) => break None,
        }
    };
    *budget -= most - environment.get_ref().limit();
    found
}

/// Those that belong to a command: marked, in the session of its process, or below one of these.
///
/// The number of the command's own process counts only while its parent is outside the container, as that of a process
/// which the engine put there is: a number that has come to mean another process has its parent inside.
fn select(all: Vec<Process>, init: u32, root: Option<Root>) -> Vec<Process> {
    let inside: BTreeSet<u32> = all.iter().map(|process| process.pid).collect();
    let root = root.filter(|root| {
        let process = all.iter().find(|process| process.pid == root.pid);
        // Its number is not given away while it names a session.
        process.is_none_or(|process| {
            process.started == root.started && (process.marked || !inside.contains(&process.parent))
        })
    });
    let root = root.map(|root| root.pid);
    let is_first = |process: &Process| process.marked || root.is_some_and(|root| process.session == root);
    let mut chosen: BTreeSet<u32> = all.iter().filter(|p| is_first(p)).map(|p| p.pid).collect();
    chosen.extend(root.filter(|root| inside.contains(root)));
    loop {
        let before = chosen.len();
        chosen.extend(
            all.iter().filter(|process| chosen.contains(&process.parent)).map(|p| p.pid).collect::<Vec<_>>(),
        );
        if chosen.len() == before {
            break;
        }
    }
    all.into_iter().filter(|process| process.pid != init && chosen.contains(&process.pid)).collect()
}

/// How long ago a process started.
fn since(ticks: u64) -> Option<Duration> {
    let now = clock_gettime(ClockId::Boottime);
    let now = Duration::new(u64::try_from(now.tv_sec).ok()?, u32::try_from(now.tv_nsec).ok()?);
    Some(now.saturating_sub(Duration::from_millis(ticks.saturating_mul(1000 / TICKS))))
}

/// What `/proc/<pid>/stat` tells of a process that has not ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stat {
    parent: u32,
    session: u32,
    started: u64,
}

impl Stat {
    fn of(pid: u32) -> Option<Self> {
        Self::parse(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
    }

    /// Reads the line; `None` also for a zombie: it has ended, and only its parent can take it away. The name of the
    /// program may hold anything.
    fn parse(text: &str) -> Option<Self> {
        let (_, rest) = text.rsplit_once(')')?;
        let fields: Vec<&str> = rest.split_ascii_whitespace().collect();
        // Fields 3, 4, 6 and 22 of proc(5).
        if matches!(*fields.first()?, "Z" | "X") {
            return None;
        }
        let [parent, session] = [1, 3].map(|at| fields.get(at)?.parse().ok());
        Some(Self { parent: parent?, session: session?, started: fields.get(19)?.parse().ok()? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::{Command, Stdio};

    #[test]
    fn a_stat_line_is_read_whatever_the_program_is_called() {
        let line = "4026 (a) b) S 1 4026 4020 0 -1 4194304 1 2 3 4 5 6 7 8 20 0 1 0 123456 1 2 3";
        assert_eq!(Stat::parse(line), Some(Stat { parent: 1, session: 4020, started: 123_456 }));
        assert_eq!(Stat::parse(&line.replace(") S", ") Z")), None);
        assert_eq!(Stat::parse("1 (x) S"), None);
        assert_eq!(Stat::parse(""), None);
    }

    fn process(pid: u32, parent: u32, session: u32) -> Process {
        Process { pid, parent, session, started: 0, marked: false }
    }

    fn chosen(all: Vec<Process>, root: Option<u32>) -> Vec<u32> {
        let root = root.map(|pid| Root { pid, started: 0 });
        select(all, 10, root).into_iter().map(|process| process.pid).collect()
    }

    #[test]
    fn a_family_is_its_marked_its_session_and_their_children() {
        // 10 is the container's first process, 5 the engine's helper outside.
        let all = vec![
            process(10, 5, 10),
            process(11, 10, 10),
            process(20, 5, 20),
            process(21, 20, 20),
            process(22, 10, 20),
            process(23, 21, 23),
            Process { marked: true, ..process(30, 10, 30) },
            process(31, 30, 31),
        ];
        assert_eq!(chosen(all.clone(), Some(20)), [20, 21, 22, 23, 30, 31]);
        assert_eq!(chosen(all, None), [30, 31]);
    }

    #[test]
    fn a_number_that_means_another_process_is_not_believed() {
        let all = vec![process(10, 5, 10), process(20, 10, 20), process(21, 20, 20)];
        assert!(chosen(all, Some(20)).is_empty());
        // A command of somebody else, which the engine put into the container later.
        let all = vec![process(10, 5, 10), Process { started: 7, ..process(20, 5, 20) }, process(21, 20, 20)];
        assert!(chosen(all, Some(20)).is_empty());
        // The first process is never chosen, whatever its environment holds.
        let all = vec![Process { marked: true, ..process(10, 5, 10) }];
        assert!(chosen(all, Some(10)).is_empty());
    }

    #[test]
    fn a_number_that_was_given_away_before_the_kill_is_spared() {
        let mut child = Command::new("sleep").arg("1000").stdin(Stdio::null()).spawn().unwrap();
        let pid = child.id();
        let Root { started, .. } = Root::of(pid, "").unwrap();
        let family = Family { container: String::new(), init: 1, mark: String::new(), root: None };
        assert!(family.kill_one(&Process { started: started - 1, ..process(pid, 1, 1) }).is_none());
        assert!(Root { pid, started }.age().is_some(), "it still runs");
        assert_eq!(Root { pid, started: started - 1 }.age(), None);
        assert!(family.kill_one(&Process { started, ..process(pid, 1, 1) }).is_some());
        assert!(!child.wait().unwrap().success());
    }

    fn has_variable(environment: impl Read, variable: &[u8], budget: &mut u64) -> bool {
        find_variable(environment, budget, |one| one == variable).is_some()
    }

    /// As a process shows it that says its environment is some terabytes of untouched memory.
    #[test]
    fn an_environment_without_end_is_read_to_a_bound() {
        let mut budget = MOST_OF_ALL;
        assert!(!has_variable(std::io::repeat(0), b"A=1", &mut budget));
        assert!(!has_variable(std::io::repeat(b'x'), b"A=1", &mut budget));
        assert_eq!(budget, MOST_OF_ALL - 2 * MOST_OF_ONE);
        let mut small = 3;
        assert!(!has_variable(&b"PATH=/bin\0A=1\0"[..], b"A=1", &mut small));
        assert_eq!(small, 0);
    }

    #[rstest::rstest]
    #[case(b"PATH=/bin\0A=1\0B=2\0", true)]
    #[case(b"B=2\0A=1", true)]
    #[case(b"BA=1\0A=12\0", false)]
    #[case(b"", false)]
    fn a_variable_is_found_whole(#[case] environment: &[u8], #[case] expected: bool) {
        assert_eq!(has_variable(environment, b"A=1", &mut 1000), expected);
    }

    /// Every process is of the container without a name, so the mark alone chooses here.
    #[test]
    fn marked_processes_are_found_and_killed() {
        let value = uuid::Uuid::new_v4().to_string();
        let mark = format!("{MARK}={value}");
        let mut child = Command::new("sh")
            .args(["-c", "sleep 1000 & sleep 1000"])
            .env(MARK, &value)
            .stdin(Stdio::null())
            .spawn()
            .unwrap();
        let family = Family { container: String::new(), init: 1, mark, root: Root::of(child.id(), "") };
        let root = family.root.unwrap();
        let other = Family { container: "no such container".into(), ..family.clone() };
        assert_eq!((other.kill(), Root::of(child.id(), &other.container)), (Killed::NoneFound, None));
        let is_young = |age: Option<Duration>| age.is_some_and(|age| age < Duration::from_secs(600));
        assert!(is_young(family.age()) && is_young(root.age()));
        // The grandchild is another process's to collect, so it may be a zombie, which does not count.
        assert_eq!(family.kill(), Killed::All);
        assert!(!child.wait().unwrap().success());
        assert_eq!((family.age(), root.age()), (None, None));
    }
}
