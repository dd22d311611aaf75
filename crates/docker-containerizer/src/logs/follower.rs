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
use docker_engine::{AttachReader, Engine, EngineError, Follow, LogRequest, Terminal};
use sandbox::SandboxError;
use tokio::sync::mpsc::error::SendError;
use tokio::sync::watch;
use tokio::time::{Instant, timeout};

use super::files::{LogFiles, Piece};
use super::lag::{self, LagWatch};
use super::matcher::{FrameId, LineEnd, Locator, Matcher, Repeats, Seen, Trust, Verdict};
use super::notes::Notes;
use super::patience::{backoff, pause, within_progress};
use super::plan::{Next, PassEnd, Plan, Span, Why, since};
use super::reader::{Frame, Reader, attached_frames, log_frames, stream_name};
use containerizer::LogsEnd;
use containerizer::blocking;
use containerizer::{LogChunk, LogTap};

/// How many of the last frames a pass asks for that expects to be near the end: more than the engine and the socket hold
/// between the log and us.
const TAIL_FRAMES: u64 = 8192;

/// How long the stored cursor may be behind the files.
const PERSIST_AFTER: Duration = Duration::from_millis(500);

/// How long the engine may send nothing while it reads out a log that does not grow.
const READ_INACTIVITY: Duration = Duration::from_secs(30);

/// How long a stream may be silent after output before it is asked for again, once. Docker 20.10 can leave its reader
/// with the wrong file after a rotation, where it waits for ever while the log grows.
const QUIET: Duration = Duration::from_secs(2);

/// How often the engine may say at one place that it cannot read on, after the exit.
const COMPLAINTS: usize = 3;

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
    /// Lines of ours for standard error.
    pub(crate) notes: Notes,
}

/// What a reader leaves behind.
#[derive(Debug)]
pub(crate) struct Drained {
    pub(crate) end: LogsEnd,
    /// The last lines of standard error.
    pub(crate) last_errors: String,
}

/// How the end of a log was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Closed {
    /// Up to the end.
    Whole,
    /// Up to where the engine cannot read on.
    Unreadable,
}

/// Why a pass failed.
#[derive(Debug, thiserror::Error)]
pub(super) enum PassError {
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
            Some(Closed::Whole) => self.finish(),
            Some(Closed::Unreadable) | None => {
                let line = "output is missing here: the engine's log could not be read to its end";
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
    async fn close_tail(&mut self, plan: Plan, stopped: &mut watch::Receiver<bool>) -> Closed {
        // What a whole read found stays found: the container writes no more.
        let mut plan = if plan.trust == Trust::Expected { Plan::resume(Follow::No) } else { plan };
        let (mut failures, mut complaints) = (0, 0);
        loop {
            plan.follow = Follow::No;
            match self.pass(plan, stopped).await {
                Ok(end) if end.why == Why::Ended => return Closed::Whole,
                // What the engine says again at the same place, it will say for ever.
                Ok(end) if end.why == Why::Complained => {
                    complaints = if end.brought { 1 } else { complaints + 1 };
                    if complaints >= COMPLAINTS {
                        return Closed::Unreadable;
                    }
                    tokio::time::sleep(backoff(complaints)).await;
                    plan = Plan::resume(Follow::No);
                }
                Ok(end) => match self.plan_next(plan, end).await {
                    Ok(next) => plan = next,
                    Err(error) if error.is_not_found() => return Closed::Whole,
                    Err(error) => failures = self.retry_tail(failures, &error.into()).await,
                },
                // A container that somebody removed has no log any more; what it had was followed.
                Err(PassError::Engine(error)) if error.is_not_found() => return Closed::Whole,
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
        let mut reader = Reader::new(log_frames(log), plan.follow);
        let (mut brought, mut is_empty) = (false, true);
        loop {
            let mut pieces = Vec::new();
            let read = reader.batch(self, stopped).await?;
            let received = lag::now();
            let frames = u64::try_from(read.frames.len()).unwrap_or(u64::MAX);
            let mut ended = match (read.ended, read.is_quiet) {
                (_, true) => Some(Why::MayMiss),
                (true, false) if reader.complained => Some(Why::Complained),
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
                let is_lost =
                    matches!(why, Why::Ended | Why::Complained) && matcher.is_seeking() && !is_empty;
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
        let mut reader = Reader::new(frames, Follow::Yes);
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
                if hand_on(tap, piece.chunk, &self.progress).await.is_err() {
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

    pub(super) async fn persist(&mut self) -> Result<(), SandboxError> {
        blocking(|| self.files.persist())
    }

    /// Appends a line of ours to standard error. What cannot be written there is said in our own log: it must not keep
    /// the output waiting.
    pub(super) fn note(&mut self, line: &str) {
        if let Err(error) = blocking(|| self.files.note(line)) {
            tracing::warn!(container = self.id, line, error = crate::chain(&error), "a note was not written");
        }
    }

    fn finish(&mut self) -> LogsEnd {
        while let Some(line) = self.notes.waiting() {
            self.note(&line);
        }
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

/// Hands a piece to the tap. A reader that lets us wait is no fault of the engine's log, so waiting counts as progress.
async fn hand_on(tap: &LogTap, chunk: LogChunk, progress: &AtomicU64) -> Result<(), SendError<LogChunk>> {
    let mut send = std::pin::pin!(tap.send(chunk));
    loop {
        match timeout(Duration::from_secs(1), &mut send).await {
            Ok(sent) => return sent,
            Err(_) => progress.fetch_add(1, Ordering::Relaxed),
        };
    }
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
