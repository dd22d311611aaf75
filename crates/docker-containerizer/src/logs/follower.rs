//! One container's log reader: follows the engine's log, appends what is new, and closes the tail after the exit.
//!
//! A pass is one `logs` request. A stream that ends is never an exit (design §2.10): passes go on until the driver says
//! that the container is stopped, and then one pass without following takes the rest. Where a pass begins costs: the
//! engine reads the end of a log at once, and everything else from the beginning. So each pass begins with the last
//! frames, and only when the last delivered one is not among them, a wider one follows.
//!
//! ```text
//! Tail ──not there──► Since ──not there──► whole read: found ──► Whole, skipping to it
//!   ▲                                                  not found ──► a marked gap, then Whole
//!   └── any pass that ended, or saw a frame that may be sent again or not follow the one before
//! ```

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use docker_engine::{
    AttachReader, Engine, EngineError, ErrorKind, Follow, LogReader, LogRequest, OutputStream, Terminal,
};
use futures_util::{FutureExt, Stream, StreamExt, stream};
use sandbox::SandboxError;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until, timeout};

use super::files::{LogChunk, LogFiles, LogTap, Piece};
use super::lag::{self, LagWatch};
use super::matcher::{FrameId, LineEnd, Locator, Matcher, Repeats, Seen, StreamName, Trust, Verdict};
use crate::blocking::blocking;
use crate::termination::LogsEnd;

/// How much is read before it is written, in bytes.
const BATCH_BYTES: usize = 256 * 1024;

/// How many frames are read before they are written.
const BATCH_FRAMES: usize = 512;

/// How many of the last frames a pass asks for that expects to be near the end: more than the engine and the socket hold
/// between the log and us.
const TAIL_FRAMES: u64 = 8192;

/// How far apart the stamps of two neighbouring frames may be in the wrong order, in seconds: the engine's goroutines
/// stamp the two streams before they queue for the log.
const SKEW: i64 = 2;

/// How long the stored cursor may be behind the files.
const PERSIST_AFTER: Duration = Duration::from_millis(500);

/// How long a following stream may take to end after the container stopped, before it is left for the last pass.
const END_OF_FOLLOW: Duration = Duration::from_secs(2);

/// How long the engine may send nothing while it reads out a log that does not grow.
const READ_INACTIVITY: Duration = Duration::from_secs(30);

/// How long a stream may be silent after output before it is asked for again, once. Docker 20.10 can leave its reader
/// with the wrong file after a rotation, where it waits for ever while the log grows.
const QUIET: Duration = Duration::from_secs(2);

/// How many drain deadlines the end of a log may take that is being read: a sandbox that is full makes the same frames
/// be read again.
const LONGEST_DRAIN: u32 = 10;

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
    /// The size of the engine's log files, in bytes.
    pub(crate) file_size: u64,
    /// How long nothing may be read or written after the exit; a long log that is read out may take longer.
    pub(crate) drain_deadline: Duration,
    /// The size of the engine's log at most, in bytes: below the size of one file it was never rotated.
    pub(crate) logged: u64,
    /// How many frames were read, and written where they were new.
    pub(crate) progress: Arc<AtomicU64>,
}

/// What a reader leaves behind.
#[derive(Debug)]
pub(crate) struct Drained {
    pub(crate) end: LogsEnd,
    /// The last lines of standard error.
    pub(crate) last_errors: String,
}

/// Where a pass begins to read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Span {
    /// With the last frames.
    Tail,
    /// A while before the last delivered frame.
    Since,
    /// At the beginning.
    Whole,
}

/// How a pass is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Plan {
    follow: Follow,
    span: Span,
    trust: Trust,
    /// The frame that ended the last pass in doubt, if it was behind the last delivered one.
    suspect: Option<FrameId>,
}

/// Why a pass ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Why {
    /// The stream ended properly, behind the last delivered frame.
    Ended,
    /// The stream broke, or a file could not be written, after something was delivered.
    Broken,
    /// The last delivered frame was not where it should be.
    NotFound,
    /// This frame is older than the last delivered one, or may be the same.
    Again(FrameId),
    /// There may be more between the last delivered frame and the next.
    MayMiss,
}

/// How a pass ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct PassEnd {
    why: Why,
    /// Whether it delivered anything.
    brought: bool,
}

/// What comes after a pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Next {
    /// Another pass.
    Pass(Plan),
    /// A whole read, to find the last delivered frame.
    Locate,
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
            Source::Attached(stream, terminal) => {
                self.follow_attached(Some(stream), terminal, &mut stopped).await
            }
            Source::Reattach(terminal) => self.follow_attached(None, terminal, &mut stopped).await,
        };
        let (bytes, lines) = (4096, 5);
        Drained { end, last_errors: self.files.last_error_lines(bytes, lines) }
    }

    async fn follow_log(&mut self, stopped: &mut watch::Receiver<bool>) -> LogsEnd {
        let mut plan = Plan::resume(Follow::Yes);
        let mut failures = 0;
        while !*stopped.borrow() {
            match self.step(plan, stopped).await {
                Ok((next, brought)) => {
                    let is_wider = next.span != Span::Tail || next.follow == Follow::No;
                    failures = if brought || is_wider { 0 } else { failures + 1 };
                    plan = next;
                }
                Err(error) => {
                    tracing::debug!(
                        container = self.id,
                        error = crate::chain(&error),
                        "the log is read again soon"
                    );
                    failures += 1;
                }
            }
            pause(failures, stopped).await;
        }
        let progress = self.progress.clone();
        let patience = self.drain_deadline;
        let closed = {
            let mut tail = std::pin::pin!(self.close_tail(plan, stopped));
            within_progress(patience, &progress, &mut tail).await
        };
        match closed {
            Some(()) => self.finish(),
            None => {
                let line = "output is missing here: the engine's log could not be read to its end in time";
                tracing::warn!(container = self.id, "{line}");
                if let Err(error) = blocking(|| self.files.remark(line)) {
                    tracing::warn!(
                        container = self.id,
                        error = crate::chain(&error),
                        "the gap could not be marked"
                    );
                }
                LogsEnd::Incomplete
            }
        }
    }

    /// Passes without following, until one comes to the end; the caller sets the deadline.
    async fn close_tail(&mut self, plan: Plan, stopped: &mut watch::Receiver<bool>) {
        // What a whole read found stays found: the container writes no more.
        let mut plan = if plan.trust == Trust::Expected { Plan::resume(Follow::No) } else { plan };
        let mut failures = 0;
        loop {
            plan.follow = Follow::No;
            match self.pass(plan, stopped).await {
                Ok(end) if end.why == Why::Ended => return,
                Ok(end) => match self.plan_next(plan, end).await {
                    Ok(next) => plan = next,
                    Err(error) if error.is_not_found() => return,
                    Err(error) => failures = self.retry_tail(failures, &error.into()).await,
                },
                // A container that somebody removed has no log any more; what it had was followed.
                Err(PassError::Engine(error)) if error.is_not_found() => return,
                Err(error) => failures = self.retry_tail(failures, &error).await,
            }
        }
    }

    async fn retry_tail(&self, failures: usize, error: &PassError) -> usize {
        tracing::warn!(container = self.id, error = crate::chain(error), "the end of the log is read again");
        tokio::time::sleep(backoff(failures + 1)).await;
        failures + 1
    }

    /// One pass, and what comes after it; also whether it delivered anything.
    async fn step(
        &mut self,
        plan: Plan,
        stopped: &mut watch::Receiver<bool>,
    ) -> Result<(Plan, bool), PassError> {
        let end = self.pass(plan, stopped).await?;
        tracing::trace!(container = self.id, ?plan, ?end, "a pass over the log");
        Ok((self.plan_next(plan, end).await?, end.brought))
    }

    async fn plan_next(&mut self, plan: Plan, end: PassEnd) -> Result<Plan, EngineError> {
        match plan.after(end) {
            Next::Pass(next) => Ok(next),
            Next::Locate => {
                let trust = self.locate().await?;
                Ok(Plan { follow: Follow::Yes, span: Span::Whole, trust, suspect: None })
            }
        }
    }

    /// Reads the whole log for the last delivered frame; marks a gap if it is gone.
    async fn locate(&mut self) -> Result<Trust, EngineError> {
        let Some(target) = self.files.cursors().marks.target() else {
            return Ok(Trust::Expected);
        };
        let mut locator = Locator::new(target);
        let mut log =
            self.engine.logs(&self.id, &request(Follow::No, Reach::All), self.head_deadline()).await?;
        while let Some(next) = log.next_frame().await {
            // A read that broke says nothing.
            let next = next?;
            self.progress.fetch_add(1, Ordering::Relaxed);
            locator.see(FrameId { stream: stream_name(next.stream), stamp: next.stamp.as_nanos() });
        }
        let trust = locator.found();
        if trust == Trust::Lost {
            let line = "output is missing here: the engine rotated its log before it was read";
            tracing::warn!(container = self.id, "{line}");
            if let Err(error) = blocking(|| self.files.remark(line)) {
                tracing::warn!(
                    container = self.id,
                    error = crate::chain(&error),
                    "the gap could not be marked"
                );
            }
        }
        Ok(trust)
    }

    /// One `logs` request from the cursor on. Fails only if nothing was delivered, so that the same can be tried again.
    async fn pass(&mut self, plan: Plan, stopped: &mut watch::Receiver<bool>) -> Result<PassEnd, PassError> {
        let before = self.files.cursors().marks;
        match self.read(plan, stopped).await {
            Err(error) if self.files.cursors().marks != before => {
                tracing::debug!(
                    container = self.id,
                    error = crate::chain(&error),
                    "a read of the log broke off"
                );
                Ok(PassEnd { why: Why::Broken, brought: true })
            }
            result => result,
        }
    }

    async fn read(&mut self, plan: Plan, stopped: &mut watch::Receiver<bool>) -> Result<PassEnd, PassError> {
        let marks = self.files.cursors().marks;
        let repeats = if plan.follow == Follow::Yes { Repeats::Possible } else { Repeats::Impossible };
        let mut matcher = Matcher::new(marks, plan.trust, plan.suspect, repeats);
        let mut lag = LagWatch::new(self.file_size);
        let reach = match (marks.target(), plan.span) {
            (Some(_), Span::Tail) => Reach::Last(TAIL_FRAMES),
            (Some((target, _)), Span::Since) => Reach::Since(since(target, plan.suspect)),
            (_, Span::Whole) | (None, _) => Reach::All,
        };
        let log = self.engine.logs(&self.id, &request(plan.follow, reach), self.head_deadline()).await?;
        let mut reader = Reader {
            stream: log_frames(log),
            persist_at: None,
            give_up_at: None,
            quiet_at: None,
            failed: None,
        };
        let (mut brought, mut is_empty) = (false, true);
        loop {
            let mut pieces = Vec::new();
            let read = reader.batch(self, stopped).await?;
            let received = lag::now();
            let frames = u64::try_from(read.frames.len()).unwrap_or(u64::MAX);
            let mut ended = match (read.ended, read.is_quiet) {
                (_, true) => Some(Why::MayMiss),
                (true, false) => Some(Why::Ended),
                (false, false) => None,
            };
            for frame in read.frames {
                let Some(stamp) = frame.stamp else { continue };
                let id = FrameId { stream: frame.stream, stamp };
                is_empty = false;
                if lag.see(stamp, received) && plan.follow == Follow::Yes && !matcher.is_seeking() {
                    ended = Some(Why::MayMiss);
                    break;
                }
                match matcher.judge(Seen { id, payload: &frame.payload }) {
                    Verdict::Skip => {}
                    Verdict::Deliver(line) => pieces.push(Piece {
                        chunk: LogChunk { stream: id.stream, bytes: mended(line, frame.payload) },
                        marks: Some(matcher.marks()),
                    }),
                    Verdict::Doubtful => {
                        ended = Some(if matcher.is_seeking() { Why::NotFound } else { Why::Again(id) });
                        break;
                    }
                }
            }
            brought |= !pieces.is_empty();
            if !pieces.is_empty() {
                self.logged = pieces.iter().map(logged_at_most).fold(self.logged, u64::saturating_add);
                let is_rotated = self.logged >= self.file_size;
                reader.quiet_at = (plan.follow == Follow::Yes && is_rotated).then(|| Instant::now() + QUIET);
            }
            self.write(pieces, &mut reader.persist_at).await?;
            self.progress.fetch_add(frames, Ordering::Relaxed);
            if let Some(why) = ended {
                self.persist().await?;
                // A read that came to its end and not to the last delivered frame did not find it.
                let is_lost = why == Why::Ended && matcher.is_seeking() && !is_empty;
                return Ok(PassEnd { why: if is_lost { Why::NotFound } else { why }, brought });
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
            // A stream that ended says nothing about the container, and one that has ended has nothing more to say.
            if *stopped.borrow() || !self.runs().await {
                continue;
            }
            end = LogsEnd::Incomplete;
            if let Ok(stream) = self.engine.attach(&self.id, terminal, self.head_deadline()).await {
                let line = "output may be missing here: a terminal or this log driver cannot be read again";
                if let Err(error) = self.files.remark(line) {
                    tracing::warn!(
                        container = self.id,
                        error = crate::chain(&error),
                        "the gap could not be marked"
                    );
                }
                attached = Some(stream);
                failures = 0;
            }
        }
    }

    async fn runs(&self) -> bool {
        let inspection = self.engine.inspect(&self.id, self.engine.deadlines().inspect).await;
        matches!(inspection, Ok(Some(now)) if now.state.running)
    }

    async fn drain_attached(
        &mut self,
        stream: AttachReader,
        stopped: &mut watch::Receiver<bool>,
    ) -> Result<(), PassError> {
        let frames = std::pin::pin!(attached_frames(stream));
        let mut reader =
            Reader { stream: frames, persist_at: None, give_up_at: None, quiet_at: None, failed: None };
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
    async fn write(
        &mut self,
        pieces: Vec<Piece>,
        persist_at: &mut Option<Instant>,
    ) -> Result<(), SandboxError> {
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
                tracing::warn!(
                    container = self.id,
                    error = crate::chain(&error),
                    "the log cursors could not be stored"
                );
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
    /// When a stream that fell silent is asked for again.
    quiet_at: Option<Instant>,
    /// Why the stream broke, behind the frames of the last batch.
    failed: Option<EngineError>,
}

struct Batch {
    frames: Vec<Frame>,
    ended: bool,
    is_quiet: bool,
}

impl<S: Stream<Item = Result<Frame, EngineError>> + Unpin> Reader<S> {
    /// Waits for a frame and takes what else is there.
    async fn batch(
        &mut self,
        follower: &mut Follower,
        stopped: &mut watch::Receiver<bool>,
    ) -> Result<Batch, PassError> {
        if let Some(error) = self.failed.take() {
            return Err(error.into());
        }
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
                () = sleep_until(self.quiet_at.unwrap_or(far)), if self.quiet_at.is_some() => {
                    return Ok(Batch { frames: Vec::new(), ended: true, is_quiet: true });
                }
                Ok(()) = stopped.changed(), if self.give_up_at.is_none() => {}
            }
        };
        let mut batch = Batch { frames: Vec::new(), ended: false, is_quiet: false };
        let mut size = 0;
        let mut next = first;
        loop {
            match next {
                None => batch.ended = true,
                // What came before the break counts.
                Some(Err(error)) => {
                    if batch.frames.is_empty() {
                        return Err(error.into());
                    }
                    self.failed = Some(error);
                    break;
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

impl Plan {
    /// The pass that expects to go on where the last one ended.
    fn resume(follow: Follow) -> Self {
        Self { follow, span: Span::Tail, trust: Trust::Expected, suspect: None }
    }

    /// What comes after a pass that was made like this and ended like that.
    fn after(self, end: PassEnd) -> Next {
        let resume = Self::resume(Follow::Yes);
        match (end.why, self.span) {
            (Why::Ended | Why::Broken | Why::MayMiss, _) => Next::Pass(resume),
            // What is read without following comes once, so that it decides. A clock that was set back shows when the
            // same frame comes again behind the last delivered one.
            (Why::Again(frame), _) => Next::Pass(Self { follow: Follow::No, suspect: Some(frame), ..resume }),
            (Why::NotFound, Span::Tail) => Next::Pass(Self { span: Span::Since, ..self }),
            (Why::NotFound, Span::Since | Span::Whole) => Next::Locate,
        }
    }
}

/// What a request reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reach {
    All,
    /// What is not older than this second.
    Since(i64),
    /// So many frames.
    Last(u64),
}

fn request(follow: Follow, reach: Reach) -> LogRequest {
    let inactivity = (follow == Follow::No).then_some(READ_INACTIVITY);
    let all = LogRequest { inactivity, ..LogRequest::all(follow) };
    match reach {
        Reach::All => all,
        Reach::Since(second) => LogRequest { since_secs: Some(second), ..all },
        Reach::Last(frames) => LogRequest { tail: Some(frames), ..all },
    }
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
fn since(target: FrameId, suspect: Option<FrameId>) -> i64 {
    let stamp = suspect.map_or(target.stamp, |suspect| suspect.stamp.min(target.stamp));
    let seconds = i64::try_from(stamp.div_euclid(1_000_000_000)).unwrap_or(0);
    seconds.saturating_sub(SKEW).max(0)
}

/// How many bytes a frame takes in the engine's log at most: JSON writes a byte as six, and its own around them.
fn logged_at_most(piece: &Piece) -> u64 {
    u64::try_from(piece.chunk.bytes.len()).unwrap_or(u64::MAX).saturating_mul(6).saturating_add(256)
}

/// The bytes as the container wrote them.
fn mended(line: LineEnd, payload: Bytes) -> Bytes {
    match line {
        LineEnd::Kept => payload,
        LineEnd::LostBefore => [&b"\n"[..], &payload].concat().into(),
        LineEnd::LostHere => Bytes::from_static(b"\n"),
    }
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

/// Lets `work` go on for as long as it counts something in every `patience`, up to [`LONGEST_DRAIN`] of them.
async fn within_progress<T>(
    patience: Duration,
    count: &AtomicU64,
    work: &mut (impl Future<Output = T> + Unpin),
) -> Option<T> {
    for _ in 0..LONGEST_DRAIN {
        let before = count.load(Ordering::Relaxed);
        if let Ok(done) = timeout(patience, &mut *work).await {
            return Some(done);
        }
        if count.load(Ordering::Relaxed) == before {
            return None;
        }
    }
    None
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
    #[case(out(10 * SECOND + 5), None, 8)]
    #[case(out(10 * SECOND), Some(out(4 * SECOND)), 2)]
    #[case(out(1), None, 0)]
    fn a_pass_begins_before_the_last_delivered_frame(
        #[case] target: FrameId,
        #[case] suspect: Option<FrameId>,
        #[case] expected: i64,
    ) {
        assert_eq!(since(target, suspect), expected);
    }

    #[test]
    fn a_pass_widens_until_the_last_delivered_frame_is_found() {
        let again = Why::Again(out(7));
        let end = |why| PassEnd { why, brought: false };
        let tail = Plan::resume(Follow::Yes);
        let decide = Plan { follow: Follow::No, suspect: Some(out(7)), ..tail };
        let since = Plan { span: Span::Since, ..tail };
        let whole = Plan { span: Span::Whole, trust: Trust::Found { before: 3 }, ..tail };
        for (plan, why, next) in [
            (tail, Why::Ended, Next::Pass(tail)),
            (tail, Why::Broken, Next::Pass(tail)),
            (Plan { trust: Trust::Lost, ..whole }, Why::Broken, Next::Pass(tail)),
            (tail, Why::MayMiss, Next::Pass(tail)),
            (tail, again, Next::Pass(decide)),
            (tail, Why::NotFound, Next::Pass(since)),
            (since, Why::Ended, Next::Pass(tail)),
            (since, again, Next::Pass(decide)),
            (since, Why::NotFound, Next::Locate),
            (whole, Why::Ended, Next::Pass(tail)),
            (whole, Why::NotFound, Next::Locate),
            (decide, Why::NotFound, Next::Pass(Plan { span: Span::Since, ..decide })),
            (decide, Why::Ended, Next::Pass(tail)),
        ] {
            assert_eq!(plan.after(end(why)), next, "{plan:?} {why:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn work_that_goes_on_is_waited_for_and_work_that_hangs_is_not() {
        const STEP: Duration = Duration::from_millis(10);
        let count = AtomicU64::new(0);
        let mut busy = std::pin::pin!(async {
            for _ in 0..50 {
                tokio::time::sleep(STEP).await;
                count.fetch_add(1, Ordering::Relaxed);
            }
        });
        assert_eq!(within_progress(STEP * 8, &count, &mut busy).await, Some(()));
        let mut hung = std::pin::pin!(std::future::pending::<()>());
        assert_eq!(within_progress(STEP, &count, &mut hung).await, None);
        let began = Instant::now();
        let mut endless = std::pin::pin!(async {
            loop {
                tokio::time::sleep(STEP).await;
                count.fetch_add(1, Ordering::Relaxed);
            }
        });
        assert_eq!(within_progress::<()>(STEP * 2, &count, &mut endless).await, None);
        assert!(began.elapsed() <= STEP * 2 * (LONGEST_DRAIN + 1));
    }

    #[test]
    fn pauses_grow_to_a_bound() {
        assert_eq!(backoff(1), BACKOFF[0]);
        assert_eq!(backoff(1000), Duration::from_secs(2));
    }
}
