//! The task's output and our own log lines, where the agent's container logger wants them.
//!
//! Standard output and error are what the logger gave us: the sandbox's `stdout` and `stderr`, or pipes of a module. In
//! the first case the supervisor writes the files itself, behind what the fetcher wrote, exactly and with rotation; in
//! the other the output is copied to our descriptors. A logger that stops reading holds up the output alone, because the
//! end of a task is told behind its output: what it does not take within [`Patience`] is dropped until it takes some
//! again, with one line in our log when that begins and one when it ends.

use std::fs::{self, File};
use std::io::{self, IsTerminal as _, Write as _};
use std::os::fd::{AsFd, AsRawFd as _, OwnedFd};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::time::Duration;

use docker_containerizer::logs::{LogChunk, OutputTarget, StreamName};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{FileType, Mode, OFlags};
use rustix::io::Errno;
use tokio::net::unix::pipe;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tracing::level_filters::LevelFilter;
use tracing_subscriber::fmt::MakeWriter;

/// How many pieces of output may wait for a logger.
const WAITING: usize = 16;

/// How often a socket is tried that takes nothing.
const LOOK: Duration = Duration::from_millis(20);

/// Where the task's output goes, and what there is to copy.
#[derive(Debug)]
pub struct Output {
    /// As the supervisor takes it.
    pub target: OutputTarget,
    /// Where the supervisor gives the output to, if it is to be copied.
    pub tap: Option<mpsc::Sender<LogChunk>>,
    /// Copies until the supervisor has given all; `None` if there is nothing to copy.
    pub copier: Option<Copier>,
}

/// Copies the task's output to our own standard output and error.
#[derive(Debug)]
pub struct Copier {
    chunks: mpsc::Receiver<LogChunk>,
    stdout: Sink,
    stderr: Sink,
}

/// How long a logger may hold up the output.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Patience {
    /// So long without taking anything; one that takes some may begin anew.
    Stall(Duration),
    /// So long in all from now on, since somebody waits for the end.
    Hurry(Duration),
}

/// One of our descriptors.
#[derive(Debug)]
struct Sink {
    descriptor: Descriptor,
    /// How many bytes were dropped since the logger took the last.
    dropped: usize,
}

/// What was waited for the logger.
#[derive(Debug)]
struct Waits {
    patience: watch::Receiver<Patience>,
    /// In all, since somebody waits for the end.
    hurried: Duration,
}

#[derive(Debug)]
enum Descriptor {
    /// A pipe or a terminal, by a description of its own that does not block.
    Pipe(pipe::Sender),
    /// A socket, whose description is shared with others and blocks.
    Socket(OwnedFd),
    /// A file or a device that is always ready.
    Other(File),
}

impl Output {
    /// Looks at our descriptors. Called within a runtime.
    ///
    /// # Errors
    ///
    /// A descriptor cannot be used.
    pub fn of(sandbox: &Path) -> io::Result<Self> {
        let (stdout, stderr) = (io::stdout(), io::stderr());
        if is_file(&stdout, &sandbox.join("stdout")) && is_file(&stderr, &sandbox.join("stderr")) {
            return Ok(Self { target: OutputTarget::SandboxGoesOn, tap: None, copier: None });
        }
        let (tap, chunks) = mpsc::channel(WAITING);
        let copier = Copier { chunks, stdout: Sink::of(&stdout)?, stderr: Sink::of(&stderr)? };
        Ok(Self { target: OutputTarget::Tap, tap: Some(tap), copier: Some(copier) })
    }
}

impl Copier {
    /// Copies until there is no more. Output that nobody takes is dropped, as for a program whose reader is gone.
    pub async fn run(mut self, patience: watch::Receiver<Patience>) {
        let mut waits = Waits { patience, hurried: Duration::ZERO };
        while let Some(chunk) = self.chunks.recv().await {
            let sink = match chunk.stream {
                StreamName::Stdout => &mut self.stdout,
                StreamName::Stderr => &mut self.stderr,
            };
            if let Err(error) = sink.write(&chunk.bytes, &mut waits).await {
                tracing::debug!(%error, "the logger did not take some output");
            }
        }
        self.stdout.tell_dropped();
        self.stderr.tell_dropped();
    }
}

impl Sink {
    fn of(fd: &impl AsFd) -> io::Result<Self> {
        Ok(Self { descriptor: Descriptor::of(fd)?, dropped: 0 })
    }

    /// Writes all, or drops what the logger does not take in time.
    async fn write(&mut self, bytes: &[u8], waits: &mut Waits) -> io::Result<()> {
        let mut rest = bytes;
        while !rest.is_empty() {
            // One that took nothing for so long is not waited for again, and may come back.
            let written = match self.dropped {
                0 => waits.within(self.descriptor.write(rest)).await,
                _ => timeout(Duration::ZERO, self.descriptor.write(rest)).await.ok(),
            };
            let Some(written) = written else {
                if self.dropped == 0 {
                    tracing::warn!("the logger takes no output; it is dropped until it does");
                }
                self.dropped += rest.len();
                return Ok(());
            };
            rest = &rest[written?..];
            // Once nothing is waited for any more, some of the output may be missing at any place.
            if !waits.are_over() {
                self.tell_dropped();
            }
        }
        Ok(())
    }

    fn tell_dropped(&mut self) {
        if self.dropped > 0 {
            tracing::warn!(bytes = self.dropped, "some output was dropped that the logger did not take");
            self.dropped = 0;
        }
    }
}

impl Waits {
    /// Waits for a write for as long as may be, which may change meanwhile.
    async fn within<T>(&mut self, write: impl Future<Output = T>) -> Option<T> {
        let mut began = Instant::now();
        let mut is_hurried = self.is_hurried();
        let mut write = std::pin::pin!(write);
        let written = loop {
            let longest = match *self.patience.borrow_and_update() {
                Patience::Stall(longest) => longest,
                Patience::Hurry(longest) => longest.saturating_sub(self.hurried),
            };
            tokio::select! {
                biased;
                written = &mut write => break Some(written),
                Ok(()) = self.patience.changed() => {
                    if !is_hurried && self.is_hurried() {
                        (is_hurried, began) = (true, Instant::now());
                    }
                }
                () = sleep_until(began + longest) => break None,
            }
        };
        if is_hurried {
            self.hurried += began.elapsed();
        }
        written
    }

    /// Whether nothing is waited for any more.
    fn are_over(&self) -> bool {
        matches!(*self.patience.borrow(), Patience::Hurry(longest) if self.hurried >= longest)
    }

    fn is_hurried(&self) -> bool {
        matches!(*self.patience.borrow(), Patience::Hurry(_))
    }
}

impl Descriptor {
    fn of(fd: &impl AsFd) -> io::Result<Self> {
        let owned = fd.as_fd().try_clone_to_owned()?;
        let kind = FileType::from_raw_mode(rustix::fs::fstat(&owned)?.st_mode);
        // A description of its own: that it does not block must not be seen by whoever shares ours.
        let path = format!("/proc/self/fd/{}", owned.as_raw_fd());
        match kind {
            FileType::Fifo => match pipe::OpenOptions::new().open_sender(path) {
                // Its reader is gone: a write fails at once, and waits for nothing.
                Err(error) if error.raw_os_error() == Some(Errno::NXIO.raw_os_error()) => {}
                opened => return opened.map(Self::Pipe),
            },
            FileType::Socket => return Ok(Self::Socket(owned)),
            FileType::CharacterDevice if owned.is_terminal() => {
                let flags = OFlags::WRONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
                let terminal = File::from(rustix::fs::open(path, flags, Mode::empty())?);
                return Ok(Self::Pipe(pipe::Sender::from_file_unchecked(terminal)?));
            }
            _ => {}
        }
        Ok(Self::Other(File::from(owned)))
    }

    async fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Pipe(pipe) => tokio::io::AsyncWriteExt::write(pipe, bytes).await,
            Self::Socket(socket) => {
                while !has_room(socket) {
                    sleep(LOOK).await;
                }
                write_piece(socket, bytes)
            }
            Self::Other(file) => file.write(bytes),
        }
    }
}

/// Whether a descriptor is this very file.
fn is_file(fd: &impl AsFd, path: &Path) -> bool {
    let (Ok(open), Ok(there)) = (rustix::fs::fstat(fd), fs::symlink_metadata(path)) else { return false };
    there.is_file() && (open.st_dev, open.st_ino) == (there.dev(), there.ino())
}

/// Begins to log on standard error.
pub fn log(level: LevelFilter) {
    tracing_subscriber::fmt()
        .with_max_level(level)
        .with_writer(NeverWaits)
        .with_ansi(false)
        .with_target(false)
        .log_internal_errors(false)
        .init();
}

/// Standard error, of which a line is dropped rather than waited for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct NeverWaits;

impl<'a> MakeWriter<'a> for NeverWaits {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        Self
    }
}

impl io::Write for NeverWaits {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        write_or_drop(&io::stderr(), line)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Writes the beginning of a line, or drops the line if that would have to wait. Answers how much is dealt with.
fn write_or_drop(fd: &impl AsFd, line: &[u8]) -> io::Result<usize> {
    if has_room(fd) { write_piece(fd, line) } else { Ok(line.len()) }
}

/// Whether a piece can be written at once.
fn has_room(fd: &impl AsFd) -> bool {
    let now = Timespec { tv_sec: 0, tv_nsec: 0 };
    matches!(poll(&mut [PollFd::new(fd, PollFlags::OUT)], Some(&now)), Ok(1..))
}

/// Writes the beginning. A pipe or a socket is ready when so much of it is free; more would wait for the rest.
fn write_piece(fd: &impl AsFd, bytes: &[u8]) -> io::Result<usize> {
    Ok(rustix::io::write(fd, &bytes[..bytes.len().min(rustix::pipe::PIPE_BUF)])?)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// More than a pipe or a socket holds.
    const MUCH: usize = 1 << 20;

    fn waits(patience: Patience) -> (watch::Sender<Patience>, Waits) {
        let (sender, patience) = watch::channel(patience);
        (sender, Waits { patience, hurried: Duration::ZERO })
    }

    #[test]
    fn a_descriptor_is_known_by_its_file_and_not_by_its_name() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("stdout");
        let file = File::create(&path).unwrap();
        assert!(is_file(&file, &path));
        fs::rename(&path, dir.path().join("old")).unwrap();
        assert!(!is_file(&file, &path));
        // Somebody who links elsewhere does not make us write there.
        std::os::unix::fs::symlink(dir.path().join("old"), &path).unwrap();
        assert!(!is_file(&file, &path));
    }

    #[tokio::test]
    async fn a_pipe_gets_all_and_its_reader_holds_up_nothing_else() {
        let (reader, writer) = io::pipe().unwrap();
        let (tap, chunks) = mpsc::channel(WAITING);
        let copier =
            Copier { chunks, stdout: Sink::of(&writer).unwrap(), stderr: Sink::of(&writer).unwrap() };
        drop(writer);
        let (_sender, patience) = watch::channel(Patience::Stall(Duration::from_secs(1000)));
        let copying = tokio::spawn(copier.run(patience));
        // More than a pipe holds, while nobody reads: this runtime of one thread goes on.
        let chunk = |stream| LogChunk { stream, bytes: vec![b'x'; 100_000].into() };
        tap.send(chunk(StreamName::Stdout)).await.unwrap();
        tap.send(chunk(StreamName::Stderr)).await.unwrap();
        drop(tap);
        let read = std::thread::spawn(move || io::read_to_string(reader).unwrap().len());
        copying.await.unwrap();
        assert_eq!(read.join().unwrap(), 200_000);
    }

    #[test]
    fn a_line_longer_than_a_pipe_has_room_for_waits_for_nobody() {
        let (reader, writer) = io::pipe().unwrap();
        let line = vec![b'x'; 1 << 20];
        let mut rest = &line[..];
        while !rest.is_empty() {
            rest = &rest[write_or_drop(&writer, rest).unwrap()..];
        }
        drop(writer);
        let read = io::read_to_string(reader).unwrap().len();
        assert!((4096..line.len()).contains(&read), "{read}");
    }

    #[tokio::test]
    async fn a_pipe_whose_reader_is_gone_does_not_keep_a_task_from_running() {
        let (reader, writer) = io::pipe().unwrap();
        drop(reader);
        let mut sink = Sink::of(&writer).unwrap();
        let (_sender, mut waits) = waits(Patience::Stall(Duration::from_secs(1000)));
        assert_eq!(sink.write(b"lost", &mut waits).await.unwrap_err().kind(), io::ErrorKind::BrokenPipe);
    }

    /// Nobody reads: the first write waits, those after it do not.
    async fn is_dropped(writer: &impl AsFd) {
        let mut sink = Sink::of(writer).unwrap();
        let (_sender, mut waits) = waits(Patience::Stall(Duration::from_millis(300)));
        let began = Instant::now();
        for _ in 0..1000 {
            sink.write(&vec![b'x'; MUCH], &mut waits).await.unwrap();
        }
        let took = began.elapsed();
        assert!((Duration::from_millis(300)..Duration::from_secs(60)).contains(&took), "{took:?}");
        assert!(sink.dropped > 900 * MUCH, "{}", sink.dropped);
    }

    #[tokio::test]
    async fn what_a_pipe_does_not_take_in_time_is_dropped_until_it_takes_some() {
        let (reader, writer) = io::pipe().unwrap();
        is_dropped(&writer).await;
        let reading = std::thread::spawn(move || io::read_to_string(reader).unwrap());
        let mut sink = Sink::of(&writer).unwrap();
        sink.dropped = 1;
        let (_sender, mut waits) = waits(Patience::Stall(Duration::from_secs(1000)));
        drop(writer);
        let began = Instant::now();
        while sink.dropped > 0 && began.elapsed() < Duration::from_secs(60) {
            sink.write(b"y", &mut waits).await.unwrap();
        }
        sink.write(b"the end", &mut waits).await.unwrap();
        drop(sink);
        assert!(reading.join().unwrap().ends_with("ythe end"));
    }

    #[tokio::test]
    async fn what_a_socket_does_not_take_in_time_is_dropped() {
        let (_reader, writer) = std::os::unix::net::UnixStream::pair().unwrap();
        is_dropped(&writer).await;
    }

    /// Neither a write that waits already nor a reader that takes a little of each piece makes it longer.
    #[tokio::test]
    async fn whoever_waits_for_the_end_waits_for_a_logger_once() {
        let (reader, writer) = io::pipe().unwrap();
        let (tap, chunks) = mpsc::channel(WAITING);
        let copier =
            Copier { chunks, stdout: Sink::of(&writer).unwrap(), stderr: Sink::of(&writer).unwrap() };
        drop(writer);
        let (sender, patience) = watch::channel(Patience::Stall(Duration::from_secs(1000)));
        let copying = tokio::spawn(copier.run(patience));
        for _ in 0..WAITING {
            tap.send(LogChunk { stream: StreamName::Stdout, bytes: vec![b'x'; MUCH].into() }).await.unwrap();
        }
        drop(tap);
        // It has its turn, and waits.
        tokio::time::sleep(Duration::from_millis(20)).await;
        let hurry = Duration::from_millis(500);
        sender.send_replace(Patience::Hurry(hurry));
        let (end, ends) = std::sync::mpsc::channel::<()>();
        let slow = std::thread::spawn(move || {
            let mut reader = reader;
            let mut page = [0; 4096];
            while ends.recv_timeout(Duration::from_millis(100))
                == Err(std::sync::mpsc::RecvTimeoutError::Timeout)
            {
                io::Read::read_exact(&mut reader, &mut page).unwrap();
            }
        });
        let began = Instant::now();
        tokio::time::timeout(Duration::from_secs(30), copying).await.unwrap().unwrap();
        assert!(began.elapsed() >= hurry / 2, "{:?}", began.elapsed());
        drop(end);
        slow.join().unwrap();
    }
}
