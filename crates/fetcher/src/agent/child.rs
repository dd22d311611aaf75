//! One child from its start to its end: what it prints, what it tells, and that nothing of it stays.
//!
//! The child leads a process group of its own, so that a kill takes all that it started. Its standard input is the
//! writing end of a pipe: there it tells its events, and there it sees when we are gone (see `program::lifeline`).

use std::ffi::OsString;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use rustix::io::Errno;
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process_group, waitid};
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::net::unix::pipe;
use tokio::process::{Child, Command};
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use super::error::FetchError;
use crate::progress::Event;

/// The longest event that is read, in bytes; a URI has its place in one.
const LONGEST_EVENT: usize = 256 << 10;

/// How long output may still come after the child has ended, from a process that it left behind.
const AFTER_END: Duration = Duration::from_secs(1);

/// How much is read at once, in bytes.
const PIECE: usize = 16 << 10;

/// What is heard of a child.
#[derive(Debug)]
pub(super) enum Heard<'a> {
    /// It printed something.
    Stdout(&'a [u8]),
    /// It printed something for people: its log.
    Stderr(&'a [u8]),
    /// It told something.
    Event(Event),
}

/// How a child ended. It stays a zombie until this is dropped, so its number is no other's before: what has the number
/// in its name may be deleted.
#[derive(Debug)]
pub(super) struct Ended {
    /// Its process id.
    pub(super) pid: u32,
    pub(super) status: ExitStatus,
    _zombie: Group,
}

/// A child that nobody has reaped, so that its group's number is still its own. Dropping it kills the group and lets
/// the child be reaped.
#[derive(Debug)]
struct Group {
    child: Child,
    pid: Pid,
}

impl Group {
    fn kill(&self) {
        if let Err(errno) = kill_process_group(self.pid, Signal::KILL) {
            tracing::debug!(%errno, "the fetch had ended already");
        }
    }

    /// Waits for the child's end, and leaves it a zombie.
    ///
    /// # Cancel safety
    ///
    /// May be dropped at any time. The thread that waits ends with the child, which the group's drop kills.
    fn ended(&self) -> impl Future<Output = io::Result<ExitStatus>> + use<> {
        let pid = self.pid;
        let waiting = tokio::task::spawn_blocking(move || ended_unreaped(pid));
        async move { waiting.await.map_err(io::Error::other)? }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Waits until a child has ended, without reaping it. Blocks.
fn ended_unreaped(pid: Pid) -> io::Result<ExitStatus> {
    let options = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
    loop {
        match waitid(WaitId::Pid(pid), options) {
            Ok(Some(status)) => {
                // The form of wait(2): a code is the second byte, a signal the first.
                let code = status.exit_status().map(|code| (code & 0xff) << 8);
                return Ok(ExitStatus::from_raw(code.or(status.terminating_signal()).unwrap_or(0)));
            }
            Ok(None) | Err(Errno::INTR) => {}
            Err(errno) => return Err(errno.into()),
        }
    }
}

/// Runs the program until it ends; a kill ends it and everything in its group at once.
///
/// # Errors
///
/// [`FetchError::Child`] when it cannot be started. How it ended is no error here.
///
/// # Cancel safety
///
/// Dropping it kills the group.
pub(super) async fn run(
    program: &Path,
    environment: Vec<(OsString, OsString)>,
    killed: &CancellationToken,
    mut hear: impl FnMut(Heard<'_>) + Send,
) -> Result<Ended, FetchError> {
    let fail = |operation: &'static str| {
        move |source: io::Error| FetchError::Child { operation, path: program.to_owned(), source }
    };
    let (told, telling) = io::pipe().map_err(fail("make a pipe for"))?;
    let mut events = pipe::Receiver::from_owned_fd(OwnedFd::from(told)).map_err(fail("use a pipe of"))?;
    let mut command = Command::new(program);
    command
        .env_clear()
        .envs(environment)
        .current_dir("/")
        .stdin(Stdio::from(telling))
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .kill_on_drop(true);
    let child = command.spawn().map_err(fail("start"))?;
    // The command holds our copy of the writing end, which would keep the pipe open.
    drop(command);
    let pid = child.id().unwrap_or(0);
    let numbered = i32::try_from(pid).ok().and_then(Pid::from_raw);
    let number = numbered.ok_or_else(|| fail("find")(io::ErrorKind::NotFound.into()))?;
    let mut group = Group { child, pid: number };
    let mut stdout = group.child.stdout.take();
    let mut stderr = group.child.stderr.take();
    let ended = group.ended();
    tokio::pin!(ended);
    let mut events = Some(&mut events);
    let (mut out, mut err, mut told) = (vec![0; PIECE], vec![0; PIECE], vec![0; PIECE]);
    let mut lines = Lines::default();
    let mut is_killed = false;
    let mut status = None;
    let mut last = Instant::now();
    loop {
        tokio::select! {
            biased;
            () = killed.cancelled(), if !is_killed && status.is_none() => {
                is_killed = true;
                group.kill();
            }
            count = read(&mut stdout, &mut out), if stdout.is_some() => match count {
                0 => stdout = None,
                count => hear(Heard::Stdout(&out[..count])),
            },
            count = read(&mut stderr, &mut err), if stderr.is_some() => match count {
                0 => stderr = None,
                count => hear(Heard::Stderr(&err[..count])),
            },
            count = read(&mut events, &mut told), if events.is_some() => match count {
                0 => events = None,
                count => lines.take(&told[..count], |event| hear(Heard::Event(event))),
            },
            ended = &mut ended, if status.is_none() => {
                status = Some(ended.map_err(fail("wait for"))?);
                // However it ended, what it started ends with it: nobody else knows of it.
                group.kill();
                last = Instant::now() + AFTER_END;
            }
            () = sleep_until(last), if status.is_some() => break,
        }
        if status.is_some() && stdout.is_none() && stderr.is_none() && events.is_none() {
            break;
        }
    }
    let status = status.unwrap_or_else(|| ExitStatus::from_raw(0));
    Ok(Ended { pid, status, _zombie: group })
}

/// Reads some bytes; 0 at the end, and for a stream that cannot be read any more.
async fn read(from: &mut Option<impl AsyncRead + Unpin>, into: &mut [u8]) -> usize {
    match from {
        Some(from) => from.read(into).await.unwrap_or(0),
        None => std::future::pending().await,
    }
}

/// How a child ended, in stock's words.
pub(super) fn describe(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exited with status {code}"),
        (None, Some(signal)) => {
            let name = nix::sys::signal::Signal::try_from(signal).map(nix::sys::signal::Signal::as_str);
            format!("terminated with signal {}", name.map_or_else(|_| signal.to_string(), str::to_owned))
        }
        (None, None) => "ended in an unknown way".to_owned(),
    }
}

/// Puts events together from the pieces in which they are read. The child runs as the task's user: what is no event,
/// and what is too long for one, is skipped.
#[derive(Debug, Default)]
struct Lines {
    begun: Vec<u8>,
    is_too_long: bool,
}

impl Lines {
    fn take(&mut self, piece: &[u8], mut event: impl FnMut(Event)) {
        for part in piece.split_inclusive(|byte| *byte == b'\n') {
            self.begun.extend_from_slice(part);
            if self.begun.len() > LONGEST_EVENT {
                self.is_too_long = true;
                self.begun.clear();
            }
            if part.last() != Some(&b'\n') {
                continue;
            }
            let read = std::str::from_utf8(&self.begun).ok().and_then(|line| Event::from_line(line).ok());
            match read {
                Some(read) if !self.is_too_long => event(read),
                _ => tracing::debug!("a line of mesos-fetcher is no event"),
            }
            self.begun.clear();
            self.is_too_long = false;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;
    use std::path::PathBuf;

    use super::*;

    /// Makes a program. Another process writes it: what we wrote ourselves may still be open in a child that a test beside
    /// this one has just made, and is "busy" then.
    fn script(dir: &tempfile::TempDir, text: &str) -> PathBuf {
        let (written, path) = (dir.path().join("text"), dir.path().join("script"));
        fs::write(&written, format!("#!/bin/sh\n{text}\n")).unwrap();
        let copied = std::process::Command::new("cp").args([&written, &path]).status().unwrap();
        assert!(copied.success());
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        path
    }

    fn fetched(item: usize) -> Event {
        Event::Fetched { item, path: "x".into(), registry_config: false }
    }

    #[test]
    fn events_come_together_from_pieces() {
        let text = format!("{}nonsense\n{}", fetched(1).to_line(), fetched(2).to_line());
        for size in [1, 7, text.len()] {
            let mut lines = Lines::default();
            let mut seen = Vec::new();
            text.as_bytes().chunks(size).for_each(|piece| lines.take(piece, |event| seen.push(event)));
            assert_eq!(seen, [fetched(1), fetched(2)]);
        }
    }

    #[test]
    fn a_line_without_an_end_is_not_kept() {
        let mut lines = Lines::default();
        let mut seen = Vec::new();
        for _ in 0..100 {
            lines.take(&[b'x'; PIECE], |event| seen.push(event));
            assert!(lines.begun.len() <= LONGEST_EVENT);
        }
        lines.take(b"\n", |event| seen.push(event));
        lines.take(fetched(1).to_line().as_bytes(), |event| seen.push(event));
        assert_eq!(seen, [fetched(1)]);
    }

    #[tokio::test]
    async fn all_three_streams_are_heard_to_their_end() {
        let dir = tempfile::tempdir().unwrap();
        let line = fetched(3).to_line();
        let program = script(&dir, &format!("echo out; echo $A >&2; printf '%s' '{line}' >&0; exit 3"));
        let (mut out, mut err, mut events) = (Vec::new(), Vec::new(), Vec::new());
        let environment = vec![("A".into(), "err".into())];
        let ended = run(&program, environment, &CancellationToken::new(), |heard| match heard {
            Heard::Stdout(bytes) => out.extend_from_slice(bytes),
            Heard::Stderr(bytes) => err.extend_from_slice(bytes),
            Heard::Event(event) => events.push(event),
        })
        .await
        .unwrap();
        assert_eq!(describe(ended.status), "exited with status 3");
        assert_eq!((out, err, events), (b"out\n".to_vec(), b"err\n".to_vec(), vec![fetched(3)]));
    }

    /// The number of processes of a group.
    fn alive(group: u32) -> usize {
        let stats = fs::read_dir("/proc").unwrap().flatten();
        let stats = stats.filter_map(|entry| fs::read_to_string(entry.path().join("stat")).ok());
        let fields = stats.filter_map(|stat| stat.rsplit_once(") ").map(|(_, rest)| rest.to_owned()));
        fields
            .filter(|rest| {
                !rest.starts_with('Z') && rest.split(' ').nth(2) == Some(group.to_string().as_str())
            })
            .count()
    }

    #[tokio::test]
    async fn a_kill_takes_the_whole_group_at_once() {
        let dir = tempfile::tempdir().unwrap();
        let program = script(&dir, "trap '' TERM; sleep 1000 & echo up; wait");
        let killed = CancellationToken::new();
        let began = Instant::now();
        let ended = run(&program, vec![("PATH".into(), "/bin:/usr/bin".into())], &killed, |heard| {
            if let Heard::Stdout(_) = heard {
                killed.cancel();
            }
        })
        .await
        .unwrap();
        assert_eq!(describe(ended.status), "terminated with signal SIGKILL");
        assert!(began.elapsed() < Duration::from_secs(30));
        let deadline = Instant::now() + Duration::from_secs(30);
        while alive(ended.pid) > 0 {
            assert!(Instant::now() < deadline, "something of the group is left");
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test]
    async fn what_a_child_leaves_behind_ends_with_it_however_it_ends() {
        let dir = tempfile::tempdir().unwrap();
        for (end, expected) in
            [("exit 1", "exited with status 1"), ("kill -KILL $$", "terminated with signal SIGKILL")]
        {
            // What stays holds none of the streams, so nothing but its group shows it.
            let program = script(&dir, &format!("sleep 1000 >/dev/null 2>&1 </dev/null & {end}"));
            let environment = vec![("PATH".into(), "/bin:/usr/bin".into())];
            let ended = run(&program, environment, &CancellationToken::new(), |_| {}).await.unwrap();
            assert_eq!(describe(ended.status), expected);
            let deadline = Instant::now() + Duration::from_secs(30);
            while alive(ended.pid) > 0 {
                assert!(Instant::now() < deadline, "something of the group is left after {end}");
                tokio::task::yield_now().await;
            }
        }
    }

    #[tokio::test]
    async fn the_number_of_a_child_stays_its_own_until_the_end_is_dealt_with() {
        let dir = tempfile::tempdir().unwrap();
        let program = script(&dir, "exit 0");
        let ended = run(&program, Vec::new(), &CancellationToken::new(), |_| {}).await.unwrap();
        let stat = PathBuf::from(format!("/proc/{}/stat", ended.pid));
        assert!(fs::read_to_string(&stat).unwrap().contains(") Z "), "it is a zombie");
        drop(ended);
        assert!(!stat.exists(), "it is reaped");
    }

    #[tokio::test]
    async fn a_program_that_cannot_be_started_is_named() {
        let error = run(Path::new("/no/such/program"), Vec::new(), &CancellationToken::new(), |_| {}).await;
        assert!(error.unwrap_err().to_string().contains("/no/such/program"));
    }
}
