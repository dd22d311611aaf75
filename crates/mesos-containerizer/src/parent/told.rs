//! What the agent tells a parent while its command runs: lines through a FIFO in the run's state directory, which
//! outlives the agent that made the parent.
//!
//! Only root reaches the directory. A line is written at once and whole, and nobody waits for anybody.

use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::time::Duration;

use nix::sys::stat::Mode as NixMode;
use rustix::fs::{Mode, OFlags, open};
use rustix::param::clock_ticks_per_second;
use rustix::time::{ClockId, clock_gettime};

/// The FIFO's name in the state directory.
pub const FIFO: &str = "plain-told";

/// The longest line, in bytes: what a pipe takes whole.
const LONGEST: usize = 4096;

const NANOSECONDS: u64 = 1_000_000_000;

/// What a parent is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Line {
    /// A line for the sandbox's standard error.
    Note(String),
    /// The container is being stopped: what the command leaves behind may take a while before it is killed.
    Grace(Grace),
}

/// A stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Grace {
    /// How long from now what is left may take.
    pub left: Duration,
    /// When the stop began, in clock ticks since the system's start: who was there before has its signal from the agent.
    /// Who was started later, or in this very tick, may have escaped it.
    pub began: u64,
}

impl Grace {
    /// A stop that begins now.
    #[must_use]
    pub fn of(left: Duration) -> Self {
        Self { left, began: ticks_now() }
    }
}

/// The reading end.
#[derive(Debug)]
pub(super) struct Fifo {
    file: File,
    /// The beginning of a line.
    begun: Vec<u8>,
}

impl Line {
    fn text(&self) -> String {
        match self {
            Self::Note(text) => format!("note {}\n", text.replace(char::is_control, " ")),
            Self::Grace(Grace { left, began }) => format!("grace {} {began}\n", left.as_millis()),
        }
    }

    fn read(line: &str) -> Option<Self> {
        match line.split_once(' ')? {
            ("note", text) => Some(Self::Note(text.to_owned())),
            ("grace", numbers) => {
                let (millis, began) = numbers.split_once(' ')?;
                let left = Duration::from_millis(millis.parse().unwrap_or(u64::MAX));
                Some(Self::Grace(Grace { left, began: began.parse().ok()? }))
            }
            _ => None,
        }
    }
}

/// The time since the system's start, in the clock ticks of processes' start times.
fn ticks_now() -> u64 {
    let now = clock_gettime(ClockId::Boottime);
    let whole = |part: i64| u64::try_from(part).unwrap_or(0);
    let per_second = clock_ticks_per_second().max(1);
    let part = whole(now.tv_nsec).saturating_mul(per_second) / NANOSECONDS;
    whole(now.tv_sec).saturating_mul(per_second).saturating_add(part)
}

/// Tells the parent of a run something. Never waits.
///
/// # Errors
///
/// Nobody listens, or has not listened for long.
pub fn tell(state: &Path, line: &Line) -> io::Result<()> {
    let mut text = line.text();
    if text.len() > LONGEST {
        text.truncate(text.floor_char_boundary(LONGEST - '…'.len_utf8() - 1));
        text.push_str("…\n");
    }
    let flags = OFlags::WRONLY | OFlags::NONBLOCK | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let mut fifo = File::from(open(state.join(FIFO), flags, Mode::empty())?);
    fifo.write_all(text.as_bytes())
}

impl Fifo {
    /// Makes the FIFO of a run.
    pub(super) fn create(state: &Path) -> io::Result<Self> {
        let path = state.join(FIFO);
        match std::fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        nix::unistd::mkfifo(&path, NixMode::S_IRUSR | NixMode::S_IWUSR)?;
        // With an end for writing of our own it never ends.
        let flags = OFlags::RDWR | OFlags::NONBLOCK | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        Ok(Self { file: open(&path, flags, Mode::empty())?.into(), begun: Vec::new() })
    }

    /// Removes the FIFO of a run that is over.
    pub(super) fn remove(state: &Path) {
        // One that stays is told nothing more, and goes with the directory.
        let _ = std::fs::remove_file(state.join(FIFO));
    }

    /// Whether it is this one that the agent finds: another parent may have been started for the run since.
    pub(super) fn is_current(&self, state: &Path) -> bool {
        let current = std::fs::symlink_metadata(state.join(FIFO));
        let (Ok(current), Ok(own)) = (current, self.file.metadata()) else { return false };
        (current.dev(), current.ino()) == (own.dev(), own.ino())
    }

    /// The descriptor to wait for.
    pub(super) fn file(&self) -> &File {
        &self.file
    }

    /// What was told since the last call; an unknown line comes from a newer agent and is skipped.
    pub(super) fn lines(&mut self) -> Vec<Line> {
        let mut buffer = [0; LONGEST];
        if let Ok(count) = self.file.read(&mut buffer) {
            self.begun.extend_from_slice(&buffer[..count]);
        }
        let mut lines = Vec::new();
        while let Some(end) = self.begun.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = self.begun.drain(..=end).collect();
            lines.extend(Line::read(String::from_utf8_lossy(&line[..end]).as_ref()));
        }
        if self.begun.len() > LONGEST {
            self.begun.clear();
        }
        lines
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_reach_the_parent_whole() {
        let dir = tempfile::tempdir().unwrap();
        assert!(tell(dir.path(), &Line::Grace(Grace::of(Duration::ZERO))).is_err(), "nobody is there");
        let mut fifo = Fifo::create(dir.path()).unwrap();
        assert!(fifo.lines().is_empty());
        let told = [Line::Note("one\u{1b} two".into()), Line::Grace(Grace::of(Duration::from_millis(1500)))];
        for line in &told {
            tell(dir.path(), line).unwrap();
        }
        assert_eq!(fifo.lines(), [Line::Note("one  two".into()), told[1].clone()]);
        tell(dir.path(), &Line::Note("é".repeat(LONGEST))).unwrap();
        let Line::Note(text) = fifo.lines().remove(0) else { panic!("a note") };
        assert!(text.ends_with("é…") && text.len() < LONGEST);
        assert!(fifo.is_current(dir.path()));
        let next = Fifo::create(dir.path()).unwrap();
        assert!(!fifo.is_current(dir.path()) && next.is_current(dir.path()));
        drop((fifo, next));
        assert!(tell(dir.path(), &told[0]).is_err(), "nobody listens any more");
    }

    #[test]
    fn a_fifo_that_is_full_keeps_nobody_waiting() {
        let dir = tempfile::tempdir().unwrap();
        let _fifo = Fifo::create(dir.path()).unwrap();
        let line = Line::Note("x".repeat(1000));
        assert!((0..1000).any(|_| tell(dir.path(), &line).is_err()));
    }

    #[test]
    fn what_a_newer_agent_says_is_skipped() {
        assert_eq!(Line::read("dance now"), None);
        assert_eq!(Line::read("grace"), None);
        assert_eq!(Line::read("grace 1500"), None);
    }

    #[test]
    fn the_time_is_that_of_processes() {
        let before = ticks_now();
        let mut child = std::process::Command::new("true").spawn().unwrap();
        let start = crate::processes::look(child.id()).unwrap().id.start;
        assert!((before..=ticks_now()).contains(&start), "{before} {start}");
        child.wait().unwrap();
    }
}
