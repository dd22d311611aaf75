//! One container's log reader: follows the engine's log, appends what is new, and closes the tail after the exit.
//!
//! A pass is one `logs` request. A stream that ends is never an exit (design §2.10): passes go on until the driver says
//! that the container is stopped, and then one pass without following takes the rest.

use std::time::Duration;

use bytes::Bytes;
use docker_engine::{AttachReader, Engine, EngineError, ErrorKind, Follow, LogReader, LogRequest, OutputStream, Terminal};
use futures_util::{FutureExt, Stream, StreamExt, stream};
use sandbox::SandboxError;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until, timeout};

use super::files::{LogChunk, LogFiles, LogTap, Piece};
use super::matcher::{FrameId, Locator, Matcher, StreamName, Trust, Verdict};
use crate::blocking::blocking;
use crate::termination::LogsEnd;

/// How much is read before it is written, in bytes.
const BATCH_BYTES: usize = 256 * 1024;

/// How many frames are read before they are written.
const BATCH_FRAMES: usize = 512;

/// How far apart the stamps of two neighbouring frames may be in the wrong order, in seconds: the engine's goroutines
/// stamp the two streams before they queue for the log.
const SKEW: i64 = 2;

/// How long the stored cursor may be behind the files.
const PERSIST_AFTER: Duration = Duration::from_millis(500);

/// How long a following stream may take to end after the container stopped, before it is left for the last pass.
const END_OF_FOLLOW: Duration = Duration::from_secs(2);

/// How long the engine may send nothing while it reads out a log that does not grow.
const READ_INACTIVITY: Duration = Duration::from_secs(30);

/// The pauses between passes that brought nothing.
const BACKOFF: [Duration; 5] = [
    Duration::from_millis(50),
    Duration::from_millis(200),
    Duration::from_millis(500),
    Duration::from_secs(1),
    Duration::from_secs(2),
];

/// Where a container's output comes from.
#[derive(Debug)]
pub(crate) enum Source {
    /// The engine's log.
    Log,
    /// The engine's log of a container that has stopped, of which nothing new is expected.
    Read,
    /// A stream attached before the start.
    Attached(AttachReader, Terminal),
    /// A stream that must be attached to a container that runs already; what it wrote meanwhile is lost.
    Reattach(Terminal),
}

/// The reader of one container.
#[derive(Debug)]
pub(crate) struct Follower {
    pub(crate) engine: Engine,
    pub(crate) id: String,
    pub(crate) files: LogFiles,
    pub(crate) tap: Option<LogTap>,
    /// How long the last pass may take, and how long a sandbox that cannot be written to is retried, after the exit.
    pub(crate) drain_deadline: Duration,
}

/// What a reader leaves behind.
#[derive(Debug)]
pub(crate) struct Drained {
    pub(crate) end: LogsEnd,
    /// The last lines of standard error.
    pub(crate) last_errors: String,
}

/// How a pass ended.
enum PassEnd {
    /// The stream ended properly or was cut.
    Ended { brought: bool },
    /// A frame could not be judged.
    Doubtful(FrameId),
}

/// Why a pass failed.
#[derive(Debug, thiserror::Error)]
enum PassError {
    #[error("cannot read the engine's log")]
    Engine(#[from] EngineError),
    #[error("cannot write the sandbox's log")]
    Sandbox(#[from] SandboxError),
}

impl Follower {
    /// Reads until the container is stopped and the tail is closed. `stopped` turns true at the exit.
    ///
    /// # Cancel safety
    ///
    /// May be dropped at any time, as a crash may end it: the stored cursor says where to go on.
    pub(crate) async fn run(mut self, source: Source, mut stopped: watch::Receiver<bool>) -> Drained {
        let end = match source {
            Source::Log => self.follow_log(&mut stopped).await,
            Source::Read => {
                // Only a sender that is gone ends the wait early, and then nobody asks for the answer.
                let _ = stopped.wait_for(|stopped| *stopped).await;
                self.follow_log(&mut stopped).await
            }
            Source::Attached(stream, terminal) => self.follow_attached(Some(stream), terminal, &mut stopped).await,
            Source::Reattach(terminal) => self.follow_attached(None, terminal, &mut stopped).await,
        };
        let (bytes, lines) = (4096, 5);
        Drained { end, last_errors: self.files.last_error_lines(bytes, lines) }
    }

    async fn follow_log(&mut self, stopped: &mut watch::Receiver<bool>) -> LogsEnd {
        let (mut trust, mut suspect) = (Trust::Expected, None);
        let mut failures = 0;
        while !*stopped.borrow() {
            match self.pass(Follow::Yes, trust, suspect, stopped).await {
                Ok(PassEnd::Ended { brought }) => {
                    (trust, suspect) = (Trust::Expected, None);
                    failures = if brought { 0 } else { failures + 1 };
                    pause(failures, stopped).await;
                }
                Ok(PassEnd::Doubtful(frame)) => (trust, suspect) = self.resolve(frame).await,
                Err(error) => {
                    tracing::debug!(container = self.id, error = crate::chain(&error), "the log is read again soon");
                    failures += 1;
                    pause(failures, stopped).await;
                }
            }
        }
        match timeout(self.drain_deadline, self.close_tail(trust, suspect, stopped)).await {
            Ok(()) => self.finish(),
            Err(_) => {
                tracing::warn!(container = self.id, "the end of the log could not be read in time");
                LogsEnd::Incomplete
            }
        }
    }

    /// One pass without following, again until it succeeds; the caller sets the deadline.
    async fn close_tail(&mut self, trust: Trust, suspect: Option<FrameId>, stopped: &mut watch::Receiver<bool>) {
        let (mut trust, mut suspect) = (trust, suspect);
        let mut failures = 0;
        loop {
            match self.pass(Follow::No, trust, suspect, stopped).await {
                Ok(PassEnd::Ended { .. }) => return,
                Ok(PassEnd::Doubtful(frame)) => (trust, suspect) = self.resolve(frame).await,
                // A container that somebody removed has no log any more; what it had was followed.
                Err(PassError::Engine(error)) if error.is_not_found() => return,
                Err(error) => {
                    tracing::warn!(container = self.id, error = crate::chain(&error), "the end of the log is read again");
                    failures += 1;
                    tokio::time::sleep(backoff(failures)).await;
                }
            }
        }
    }

    /// Reads the whole log for the last delivered frame, after a pass ended in doubt at `frame`.
    async fn resolve(&mut self, frame: FrameId) -> (Trust, Option<FrameId>) {
        let Some(target) = self.files.cursors().marks.target() else {
            return (Trust::Expected, Some(frame));
        };
        let mut locator = Locator::new(target);
        let Ok(mut log) = self.engine.logs(&self.id, &request(Follow::No, None), self.head_deadline()).await else {
            return (Trust::Expected, Some(frame));
        };
        while let Some(next) = log.next_frame().await {
            match next {
                Ok(next) => locator.see(FrameId { stream: stream_name(next.stream), stamp: next.stamp.as_nanos() }),
                // A read that broke says nothing.
                Err(_) => return (Trust::Expected, Some(frame)),
            }
        }
        let trust = locator.found();
        if trust == Trust::Lost {
            let line = "output is missing here: the engine rotated its log before it was read";
            tracing::warn!(container = self.id, "{line}");
            if let Err(error) = self.files.remark(line) {
                tracing::warn!(container = self.id, error = crate::chain(&error), "the gap could not be marked");
            }
        }
        (trust, Some(frame))
    }

    /// One `logs` request from the cursor on.
    async fn pass(
        &mut self,
        follow: Follow,
        trust: Trust,
        suspect: Option<FrameId>,
        stopped: &mut watch::Receiver<bool>,
    ) -> Result<PassEnd, PassError> {
        let marks = self.files.cursors().marks;
        let mut matcher = Matcher::new(marks, trust, suspect);
        let since = match trust {
            Trust::Expected | Trust::Found => since(marks.target().map(|(frame, _)| frame), suspect),
            Trust::Lost => None,
        };
        let log = self.engine.logs(&self.id, &request(follow, since), self.head_deadline()).await?;
        let mut reader = Reader { stream: log_frames(log), persist_at: None, give_up_at: None };
        let (mut brought, mut skipped, mut last) = (false, false, None);
        loop {
            let mut pieces = Vec::new();
            let read = reader.batch(self, stopped).await?;
            let ended = read.ended;
            let mut doubtful = None;
            for frame in read.frames {
                let Some(stamp) = frame.stamp else { continue };
                let id = FrameId { stream: frame.stream, stamp };
                last = Some(id);
                match matcher.judge(id) {
                    Verdict::Skip => skipped = true,
                    Verdict::Deliver => pieces.push(Piece {
                        chunk: LogChunk { stream: id.stream, bytes: frame.payload },
                        marks: Some(matcher.marks()),
                    }),
                    Verdict::Doubtful => {
                        doubtful = Some(id);
                        break;
                    }
                }
            }
            brought |= !pieces.is_empty();
            self.write(pieces, &mut reader.persist_at).await?;
            if let Some(frame) = doubtful {
                return Ok(PassEnd::Doubtful(frame));
            }
            if ended {
                self.persist().await?;
                return Ok(match last {
                    // A whole read that never came to the last delivered frame has lost it.
                    Some(frame) if follow == Follow::No && skipped && matcher.is_seeking() && trust == Trust::Expected => {
                        PassEnd::Doubtful(frame)
                    }
                    _ => PassEnd::Ended { brought },
                });
            }
        }
    }

    async fn follow_attached(
        &mut self,
        mut attached: Option<AttachReader>,
        terminal: Terminal,
        stopped: &mut watch::Receiver<bool>,
    ) -> LogsEnd {
        let mut failures = 0;
        let mut end = if attached.is_some() { LogsEnd::Complete } else { LogsEnd::Incomplete };
        loop {
            if let Some(stream) = attached.take() {
                match self.drain_attached(stream, stopped).await {
                    Ok(()) => {}
                    Err(error) => {
                        tracing::warn!(container = self.id, error = crate::chain(&error), "output was lost");
                        end = LogsEnd::Incomplete;
                    }
                }
            }
            if *stopped.borrow() {
                return match self.finish() {
                    LogsEnd::Complete => end,
                    LogsEnd::Incomplete => LogsEnd::Incomplete,
                };
            }
            pause(failures, stopped).await;
            failures += 1;
            if *stopped.borrow() {
                continue;
            }
            end = LogsEnd::Incomplete;
            if let Ok(stream) = self.engine.attach(&self.id, terminal, self.head_deadline()).await {
                let line = "output may be missing here: a terminal or this log driver cannot be read again";
                if let Err(error) = self.files.remark(line) {
                    tracing::warn!(container = self.id, error = crate::chain(&error), "the gap could not be marked");
                }
                attached = Some(stream);
                failures = 0;
            }
        }
    }

    async fn drain_attached(
        &mut self,
        stream: AttachReader,
        stopped: &mut watch::Receiver<bool>,
    ) -> Result<(), PassError> {
        let frames = std::pin::pin!(attached_frames(stream));
        let mut reader = Reader { stream: frames, persist_at: None, give_up_at: None };
        loop {
            let read = reader.batch(self, stopped).await?;
            let ended = read.ended;
            let piece = |frame: Frame| Piece {
                chunk: LogChunk { stream: frame.stream, bytes: frame.payload },
                marks: None,
            };
            self.write(read.frames.into_iter().map(piece).collect(), &mut reader.persist_at).await?;
            if ended {
                return Ok(self.persist().await?);
            }
        }
    }

    /// Appends pieces off the runtime, then hands them to the tap.
    async fn write(&mut self, pieces: Vec<Piece>, persist_at: &mut Option<Instant>) -> Result<(), SandboxError> {
        if pieces.is_empty() {
            return Ok(());
        }
        persist_at.get_or_insert_with(|| Instant::now() + PERSIST_AFTER);
        blocking(|| self.files.append(&pieces))?;
        if let Some(tap) = &self.tap {
            for piece in pieces {
                if tap.send(piece.chunk).await.is_err() {
                    self.tap = None;
                    break;
                }
            }
        }
        Ok(())
    }

    fn head_deadline(&self) -> Duration {
        self.engine.deadlines().stream_head
    }

    async fn persist(&mut self) -> Result<(), SandboxError> {
        blocking(|| self.files.persist())
    }

    fn finish(&mut self) -> LogsEnd {
        match self.files.complete() {
            Ok(()) => LogsEnd::Complete,
            Err(error) => {
                tracing::warn!(container = self.id, error = crate::chain(&error), "the log cursors could not be stored");
                LogsEnd::Complete
            }
        }
    }
}

/// A piece of output; one that was attached has no stamp.
struct Frame {
    stream: StreamName,
    stamp: Option<i128>,
    payload: Bytes,
}

/// A stream of frames that is read in batches.
struct Reader<S> {
    stream: S,
    /// When the cursors must be stored, if they are behind.
    persist_at: Option<Instant>,
    /// When a stream that does not end after the exit is given up.
    give_up_at: Option<Instant>,
}

struct Batch {
    frames: Vec<Frame>,
    ended: bool,
}

impl<S: Stream<Item = Result<Frame, EngineError>> + Unpin> Reader<S> {
    /// Waits for a frame and takes what else is there.
    async fn batch(
        &mut self,
        follower: &mut Follower,
        stopped: &mut watch::Receiver<bool>,
    ) -> Result<Batch, PassError> {
        let far = Instant::now() + Duration::from_secs(24 * 3600);
        let first = loop {
            if *stopped.borrow() && self.give_up_at.is_none() {
                self.give_up_at = Some(Instant::now() + END_OF_FOLLOW);
            }
            tokio::select! {
                frame = self.stream.next() => break frame,
                () = sleep_until(self.persist_at.unwrap_or(far)), if self.persist_at.is_some() => {
                    self.persist_at = None;
                    follower.persist().await?;
                }
                () = sleep_until(self.give_up_at.unwrap_or(far)), if self.give_up_at.is_some() => break None,
                Ok(()) = stopped.changed(), if self.give_up_at.is_none() => {}
            }
        };
        let mut batch = Batch { frames: Vec::new(), ended: false };
        let mut size = 0;
        let mut next = first;
        loop {
            match next {
                None => batch.ended = true,
                // What came before the break counts, and the break itself is no exit.
                Some(Err(error)) => {
                    if batch.frames.is_empty() {
                        return Err(error.into());
                    }
                    batch.ended = true;
                }
                Some(Ok(frame)) => {
                    size += frame.payload.len();
                    batch.frames.push(frame);
                }
            }
            if batch.ended || size >= BATCH_BYTES || batch.frames.len() >= BATCH_FRAMES {
                break;
            }
            match self.stream.next().now_or_never() {
                Some(ready) => next = ready,
                None => break,
            }
        }
        if !batch.frames.is_empty() && self.give_up_at.is_some() {
            self.give_up_at = Some(Instant::now() + END_OF_FOLLOW);
        }
        Ok(batch)
    }
}

fn request(follow: Follow, since_secs: Option<i64>) -> LogRequest {
    let inactivity = (follow == Follow::No).then_some(READ_INACTIVITY);
    LogRequest { since_secs, inactivity, ..LogRequest::all(follow) }
}

fn log_frames(log: LogReader) -> impl Stream<Item = Result<Frame, EngineError>> + Unpin {
    log.filter_map(|frame| {
        std::future::ready(match frame {
            // A sentence of the engine in the stream is no output; more may follow.
            Err(error) if matches!(error.kind(), ErrorKind::InStream { .. }) => {
                tracing::warn!(error = crate::chain(&error), "the engine reports in the log");
                None
            }
            frame => Some(frame.map(|frame| Frame {
                stream: stream_name(frame.stream),
                stamp: Some(frame.stamp.as_nanos()),
                payload: frame.payload,
            })),
        })
    })
}

fn attached_frames(attached: AttachReader) -> impl Stream<Item = Result<Frame, EngineError>> {
    stream::unfold(attached, async |mut attached| {
        let frame = attached.next_frame().await?.map(|frame| Frame {
            stream: stream_name(frame.stream),
            stamp: None,
            payload: frame.payload,
        });
        Some((frame, attached))
    })
}

/// The second from which a pass must read so that the last delivered frame and everything behind it is in it.
fn since(target: Option<FrameId>, suspect: Option<FrameId>) -> Option<i64> {
    let target = target?;
    let stamp = suspect.map_or(target.stamp, |suspect| suspect.stamp.min(target.stamp));
    let seconds = i64::try_from(stamp.div_euclid(1_000_000_000)).ok()?;
    Some(seconds.saturating_sub(SKEW).max(0))
}

fn stream_name(stream: OutputStream) -> StreamName {
    match stream {
        OutputStream::Stdout => StreamName::Stdout,
        OutputStream::Stderr => StreamName::Stderr,
    }
}

fn backoff(failures: usize) -> Duration {
    BACKOFF[failures.saturating_sub(1).min(BACKOFF.len() - 1)]
}

/// Waits before the next pass, or until the container is stopped.
async fn pause(failures: usize, stopped: &mut watch::Receiver<bool>) {
    if failures == 0 {
        return;
    }
    let stop = stopped.wait_for(|stopped| *stopped);
    let _ = timeout(backoff(failures), stop).await;
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: i128 = 1_000_000_000;

    fn out(stamp: i128) -> FrameId {
        FrameId { stream: StreamName::Stdout, stamp }
    }

    #[rstest::rstest]
    #[case(None, None, None)]
    #[case(Some(out(10 * SECOND + 5)), None, Some(8))]
    #[case(Some(out(10 * SECOND)), Some(out(4 * SECOND)), Some(2))]
    #[case(Some(out(1)), None, Some(0))]
    fn a_pass_begins_before_the_last_delivered_frame(
        #[case] target: Option<FrameId>,
        #[case] suspect: Option<FrameId>,
        #[case] expected: Option<i64>,
    ) {
        assert_eq!(since(target, suspect), expected);
    }

    #[test]
    fn pauses_grow_to_a_bound() {
        assert_eq!(backoff(1), BACKOFF[0]);
        assert_eq!(backoff(1000), Duration::from_secs(2));
    }
}
