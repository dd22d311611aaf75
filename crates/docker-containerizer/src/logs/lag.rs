//! Whether a following stream may have left out a whole file of the engine's log.
//!
//! When Docker 20.10 rotates a log twice while its reader is still busy with the first file, the reader goes on with
//! the newest one, and says nothing. What it sends is in order and looks complete. But the reader is behind then, and
//! what is left out took the task some time to write: a jump between two stamps that both lie before the moment at which
//! the first was received.
//!
//! Not seen here is a reader that had come to a file's end and was given the next one late: a rotation between the
//! request and the moment at which the engine watches the file is not told to it before the next one, and an engine that
//! is starved may take its time. Such a gap looks like a pause of the task.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Bytes that no container logs in a second.
const FASTEST: u64 = 2 << 30;

/// Watches the stamps of one following stream.
#[derive(Debug)]
pub(crate) struct LagWatch {
    /// When the stream was asked for: what was logged before is read from files that are held open.
    opened_at: i128,
    /// How long it takes at least to fill a file, in nanoseconds.
    shortest: i128,
    /// The stamp of the last frame, and when it was received.
    last: Option<(i128, i128)>,
}

impl LagWatch {
    /// Watches a stream that is about to be asked for, of a log whose files grow to `file_size` bytes.
    pub(crate) fn new(file_size: u64) -> Self {
        Self { opened_at: now(), shortest: shortest(file_size), last: None }
    }

    /// Takes the next frame, received at `received`; answers whether a file may be missing before it.
    pub(crate) fn see(&mut self, stamp: i128, received: i128) -> bool {
        let margin = self.shortest / 2;
        let may_miss = self.last.is_some_and(|(before, received)| {
            stamp - before >= self.shortest && received >= stamp - margin && stamp >= self.opened_at - margin
        });
        self.last = Some((stamp, received));
        may_miss
    }
}

/// Now, as stamps count.
pub(crate) fn now() -> i128 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
    i128::try_from(since.as_nanos()).unwrap_or(i128::MAX)
}

fn shortest(file_size: u64) -> i128 {
    i128::from(file_size) * 1_000_000_000 / i128::from(FASTEST)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: i128 = 1_000_000;

    /// Files that take 50 ms at least, and a stream that was opened at 1000 ms.
    fn watch() -> LagWatch {
        LagWatch { opened_at: 1000 * MS, shortest: shortest(100 << 20), last: None }
    }

    #[rstest::rstest]
    #[case::a_task_that_says_little(&[(1000, 1001), (2000, 2001), (3000, 3001)], None)]
    #[case::a_task_that_says_much(&[(1000, 1001), (1001, 1002), (1002, 1500), (1003, 1600)], None)]
    #[case::behind_and_no_jump(&[(1000, 1500), (1010, 1501), (1020, 1502)], None)]
    #[case::behind_and_a_jump(&[(1000, 1500), (1010, 1501), (1100, 1502)], Some(2))]
    #[case::logged_before_the_stream_was_opened(&[(500, 1500), (600, 1501), (900, 1502)], None)]
    #[case::a_jump_after_all_was_read(&[(1000, 1001), (1400, 2000)], None)]
    #[case::the_first_frame(&[(2000, 9000)], None)]
    fn a_jump_is_suspect_when_the_reader_was_behind(
        #[case] frames: &[(i128, i128)],
        #[case] expected: Option<usize>,
    ) {
        let mut watch = watch();
        let found = frames.iter().position(|&(stamp, received)| watch.see(stamp * MS, received * MS));
        assert_eq!(found, expected);
    }
}
