//! The log's way to standard error, by a thread of its own: who reads there may stop reading, and the agent must not wait for
//! it. In a container the engine reads, and while the engine is away nobody does. [`super::log_to_stderr`] makes it.

use std::io::{self, Write};
use std::num::NonZeroUsize;
use std::sync::mpsc::{self, SendError, Sender};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tracing_subscriber::fmt::MakeWriter;

/// How long the end waits for the last lines.
const PATIENCE: Duration = Duration::from_secs(1);

/// Takes lines, and never waits.
#[derive(Debug, Clone)]
pub(super) struct Lines {
    /// What waits there is counted.
    sender: Sender<Box<[u8]>>,
    /// How many lines may wait (`--max_queued_log_lines`); more are lost, and how many is told.
    most: NonZeroUsize,
    shared: Arc<Shared>,
}

/// Dropping it waits until all lines are written, or a second.
#[derive(Debug)]
#[must_use = "the last lines are lost without it"]
pub struct LogEnd(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    counts: Mutex<Counts>,
    written: Condvar,
}

#[derive(Debug, Default)]
struct Counts {
    waiting: usize,
    lost: usize,
}

impl Lines {
    /// Writes to `out` from now on; `most` lines may wait, with the one that is being written.
    pub(super) fn to(mut out: impl Write + Send + 'static, most: NonZeroUsize) -> (Self, LogEnd) {
        let (sender, receiver) = mpsc::channel::<Box<[u8]>>();
        let shared = Arc::new(Shared::default());
        let of_thread = shared.clone();
        let write = move || {
            for line in receiver {
                // There is no place to tell it.
                let _ = out.write_all(&line);
                let lost = std::mem::take(&mut of_thread.counts().lost);
                if lost > 0 {
                    let _ = writeln!(out, "{lost} lines of the log are lost: nobody read them");
                }
                of_thread.counts().waiting -= 1;
                of_thread.written.notify_all();
            }
        };
        // Without the thread the receiver is gone, and lines go to standard error at once.
        let _ = std::thread::Builder::new().name("log".into()).spawn(write);
        let end = LogEnd(shared.clone());
        (Self { sender, most, shared }, end)
    }
}

impl Write for &Lines {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        // Held until the line is counted, so that it is counted before it is written.
        let mut counts = self.shared.counts();
        if counts.waiting >= self.most.get() {
            counts.lost += 1;
            return Ok(line.len());
        }
        match self.sender.send(line.into()) {
            Ok(()) => counts.waiting += 1,
            Err(SendError(line)) => io::stderr().write_all(&line)?,
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Lines {
    type Writer = &'a Self;

    fn make_writer(&'a self) -> Self::Writer {
        self
    }
}

impl Shared {
    fn counts(&self) -> MutexGuard<'_, Counts> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for LogEnd {
    fn drop(&mut self) {
        let _ = self.0.written.wait_timeout_while(self.0.counts(), PATIENCE, |counts| counts.waiting > 0);
    }
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead as _, BufReader};
    use std::time::Instant;

    use super::*;

    /// How many lines may wait, where that is not the point.
    const LINES: NonZeroUsize = NonZeroUsize::new(2048).unwrap();

    /// A reader that reads once it is let.
    struct Gated(mpsc::Receiver<()>, Arc<Mutex<Vec<u8>>>);

    impl Write for Gated {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            // Who lets it is gone from then on.
            let _ = self.0.recv();
            self.1.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn say(lines: &Lines, count: usize) {
        for number in 0..count {
            let mut writer = lines.make_writer();
            writer.write_all(format!("line {number}\n").as_bytes()).unwrap();
        }
    }

    #[test]
    fn the_end_waits_for_all_lines() {
        let (read, write) = io::pipe().unwrap();
        let (lines, end) = Lines::to(write, LINES);
        say(&lines, 100);
        drop(end);
        let mut read = BufReader::new(read).lines();
        for number in 0..100 {
            assert_eq!(read.next().unwrap().unwrap(), format!("line {number}"));
        }
    }

    #[test]
    fn nobody_waits_for_a_reader_that_does_not_read() {
        let (read, write) = io::pipe().unwrap();
        let (lines, end) = Lines::to(write, LINES);
        let began = Instant::now();
        // A pipe holds 64 kB.
        say(&lines, 100_000);
        drop(end);
        assert!(began.elapsed() < PATIENCE * 10, "it took {:?}", began.elapsed());
        let (mut told, mut lost) = (0, 0);
        for line in BufReader::new(read).lines().map(Result::unwrap) {
            match line.strip_suffix(" lines of the log are lost: nobody read them") {
                Some(count) => lost += count.parse::<usize>().unwrap(),
                None => told += 1,
            }
            if told + lost == 100_000 {
                break;
            }
        }
        assert!(told > LINES.get() && lost > 0, "{told} lines, {lost} lost");
    }

    #[rstest::rstest]
    #[case(1)]
    #[case(7)]
    #[case(3000)]
    fn as_many_lines_wait_as_may(#[case] most: usize) {
        let (gate, closed) = mpsc::channel();
        let written = Arc::new(Mutex::new(Vec::new()));
        let (lines, end) = Lines::to(Gated(closed, written.clone()), NonZeroUsize::new(most).unwrap());
        say(&lines, 5000);
        drop((gate, lines, end));
        // Its writer ends with the last line.
        let until = Instant::now() + PATIENCE * 20;
        while Arc::strong_count(&written) > 1 {
            assert!(Instant::now() < until, "it was not written");
            std::thread::yield_now();
        }
        let written = String::from_utf8(written.lock().unwrap().clone()).unwrap();
        let mut written: Vec<&str> = written.lines().collect();
        let lost = format!("{} lines of the log are lost: nobody read them", 5000 - most);
        // It is told as soon as somebody reads.
        assert_eq!(written.remove(1), lost);
        assert_eq!(written, (0..most).map(|number| format!("line {number}")).collect::<Vec<_>>());
    }
}
