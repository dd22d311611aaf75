//! Killing a tree that forks while it is killed.

use std::collections::HashSet;
use std::io;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use super::signal::signal_one;
use super::stat::{ProcessId, Stat, all};

/// How long passes may take before everything that was found is killed all the same; the caller looks again.
const LONGEST: Duration = Duration::from_secs(2);

/// Kills what `members` chooses of all processes, and says how many there were.
///
/// One SIGKILL after the other loses against a fork bomb: each death gives room for a new process. So they are stopped
/// first, pass after pass, until one finds nobody new: who is stopped forks no more and keeps its place, so that a bomb
/// comes to an end when the machine has no more processes for it at the latest. Then all of them are killed.
///
/// # Errors
///
/// The processes cannot be listed: what was found until then is killed, and there may be more.
pub fn kill_tree(members: impl Fn(&[Stat]) -> Vec<ProcessId>) -> io::Result<usize> {
    let began = Instant::now();
    let mut found: HashSet<ProcessId> = HashSet::new();
    let whole = loop {
        let all = match all() {
            Ok(all) => all,
            Err(error) => break Err(error),
        };
        let new: Vec<ProcessId> =
            members(&all).into_iter().filter(|process| found.insert(*process)).collect();
        for process in &new {
            // Who is gone by now needs no signal, and who cannot be reached is told by the kill's own caller.
            let _ = signal_one(*process, Signal::STOP);
        }
        if new.is_empty() || began.elapsed() > LONGEST {
            break Ok(());
        }
    };
    for process in &found {
        let _ = signal_one(*process, Signal::KILL);
    }
    whole.map(|()| found.len())
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};

    use super::*;
    use crate::processes::{look, of_session};

    /// It is in a session of its own, and is held by nothing but its own patience: 3 processes that fork all the time.
    #[test]
    fn processes_that_fork_all_the_time_are_gone() {
        let mut child = Command::new("setsid")
            .args(["sh", "-c", "hop() { (hop) & }; hop; hop; hop; exec sleep 1000"])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let deadline = Instant::now() + Duration::from_secs(30);
        let mut leader = look(child.id()).unwrap();
        while leader.session != child.id() {
            assert!(Instant::now() < deadline, "a session begins");
            leader = look(child.id()).unwrap();
        }
        let members = |all: &[Stat]| of_session(all, leader.id);
        let mut killed = 0;
        // One look may miss a process that was just forked by one that has just ended.
        let mut quiet = 0;
        while quiet < 20 {
            let count = kill_tree(members).unwrap();
            quiet = if count == 0 { quiet + 1 } else { 0 };
            killed += count;
            assert!(Instant::now() < deadline, "they are gone");
            // The kernel ends who was killed in its own time.
            std::thread::yield_now();
            let _ = child.try_wait();
        }
        assert!(killed > 0);
        child.wait().unwrap();
        assert_eq!(kill_tree(members).unwrap(), 0);
    }
}
