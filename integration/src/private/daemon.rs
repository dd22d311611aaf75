//! Owns one daemon process: its start with a log and a pid file, its signals, and the certainty that a pid still is
//! the process that was started. Used by [`super::engine`] and [`super::cleanup`].

use std::fs::File;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, kill_process, pidfd_open};

/// A daemon that this process started.
#[derive(Debug)]
pub(super) struct Daemon {
    name: &'static str,
    log: PathBuf,
    child: Child,
}

/// A pid and the start time that makes it unique, in clock ticks since boot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Identity {
    pub(super) pid: Pid,
    started: u64,
}

impl Daemon {
    /// Starts a daemon in a process group of its own; its log is `<name>.log` and its identity `<name>.identity`
    /// in `dir`.
    pub(super) fn spawn(dir: &Path, name: &'static str, mut command: Command) -> Result<Self> {
        let log = dir.join(format!("{name}.log"));
        let output = File::options().create(true).append(true).open(&log).context("open a daemon's log")?;
        let child = command
            .stdin(Stdio::null())
            .stdout(output.try_clone().context("share a daemon's log")?)
            .stderr(output)
            .process_group(0)
            .spawn()
            .with_context(|| format!("start {name}: {}", command.get_program().display()))?;
        let daemon = Self { name, log, child };
        let identity = Identity::of(daemon.pid())
            .with_context(|| format!("{name} ended at once: {}", daemon.log_tail()))?;
        identity.write(&dir.join(format!("{name}.identity")))?;
        Ok(daemon)
    }

    pub(super) fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }

    pub(super) fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    pub(super) fn signal(&self, signal: Signal) -> Result<()> {
        kill_process(self.pid(), signal).with_context(|| format!("send {signal:?} to {}", self.name))
    }

    /// Tells whether every thread is stopped by a signal; one that isn't yet may still answer a request.
    pub(super) fn is_stopped(&self) -> Result<bool> {
        let tasks = format!("/proc/{}/task", self.pid().as_raw_nonzero());
        for task in std::fs::read_dir(&tasks).with_context(|| format!("list {tasks}"))? {
            let stat = std::fs::read_to_string(task?.path().join("stat")).unwrap_or_default();
            if !stat.rsplit_once(')').is_some_and(|(_, fields)| fields.trim_start().starts_with('T')) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Waits until the process has ended, and reaps it.
    pub(super) async fn ended(&mut self, within: Duration) -> Result<()> {
        let name = self.name;
        crate::eventually(&format!("the end of {name}"), within, async || {
            Ok(self.child.try_wait().context("look after a daemon")?.map(drop))
        })
        .await
    }

    /// Kills and reaps it; for cleanup, where nothing can be awaited.
    pub(super) fn kill_now(&mut self) {
        // An error means that it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Returns the last lines of the log, for messages.
    pub(super) fn log_tail(&self) -> String {
        let text = std::fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<_> = text.lines().collect();
        lines[lines.len().saturating_sub(12)..].join("\n")
    }
}

impl Identity {
    /// Returns the identity of a process; `None` when there is none, or only its zombie.
    pub(super) fn of(pid: Pid) -> Option<Self> {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_nonzero())).ok()?;
        // The name in brackets may hold anything, brackets included; the fields after the last one are numbers.
        let (_, fields) = stat.rsplit_once(')')?;
        let mut fields = fields.split_whitespace();
        if matches!(fields.next()?, "Z" | "X") {
            return None;
        }
        Some(Self { pid, started: fields.nth(18)?.parse().ok()? })
    }

    pub(super) fn write(self, path: &Path) -> Result<()> {
        std::fs::write(path, format!("{} {}\n", self.pid.as_raw_nonzero(), self.started))
            .with_context(|| format!("write {}", path.display()))
    }

    /// Reads what [`Identity::write`] wrote; `None` unless that very process still runs.
    pub(super) fn read(path: &Path) -> Option<Self> {
        let text = std::fs::read_to_string(path).ok()?;
        let (pid, started) = text.trim().split_once(' ')?;
        let pid = Pid::from_raw(pid.parse().ok()?)?;
        Self::of(pid).filter(|identity| started.parse() == Ok(identity.started))
    }

    /// Kills the process and waits until it has ended.
    pub(super) fn kill_and_wait(self, within: Duration) -> Result<()> {
        let Ok(handle) = pidfd_open(self.pid, PidfdFlags::empty()) else { return Ok(()) };
        // Between the look and the open the pid may have got another owner.
        if Self::of(self.pid) != Some(self) {
            return Ok(());
        }
        rustix::process::pidfd_send_signal(&handle, Signal::KILL).context("kill a process")?;
        let mut waited = [PollFd::new(&handle, PollFlags::IN)];
        let limit = Timespec::try_from(within).context("a wait too long")?;
        let ready = poll(&mut waited, Some(&limit)).context("wait for a killed process")?;
        ensure!(ready > 0, "process {} did not end within {within:?} of SIGKILL", self.pid.as_raw_nonzero());
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_known_by_its_start_time_and_not_by_its_pid_alone() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("identity");
        let own = Identity::of(rustix::process::getpid()).expect("this process");
        own.write(&path).expect("written");
        assert_eq!(Identity::read(&path), Some(own));
        Identity { started: own.started + 1, ..own }.write(&path).expect("written");
        assert_eq!(Identity::read(&path), None);
    }

    #[test]
    fn a_killed_process_is_waited_for() {
        let mut child = Command::new("sleep").arg("1000").spawn().expect("sleep");
        let identity = Identity::of(Pid::from_child(&child)).expect("a running process");
        identity.kill_and_wait(Duration::from_secs(10)).expect("killed");
        assert_eq!(Identity::of(identity.pid), None);
        child.wait().expect("reaped");
    }
}
