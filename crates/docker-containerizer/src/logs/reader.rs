//! The engine's frames in batches: what waits for the next frame, and what else it wakes up for.

use std::time::Duration;

use bytes::Bytes;
use docker_engine::{AttachReader, EngineError, ErrorKind, Follow, LogReader, OutputStream};
use futures_util::{FutureExt, Stream, StreamExt, stream};
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use super::follower::{Follower, PassError};
use containerizer::StreamName;

/// How much is read before it is written, in bytes.
const BATCH_BYTES: usize = 256 * 1024;

/// How many frames are read before they are written.
const BATCH_FRAMES: usize = 512;

/// How long a following stream may take to end after the container stopped, before it is left for the last pass.
const END_OF_FOLLOW: Duration = Duration::from_secs(2);

/// A piece of output; one that was attached has no stamp.
pub(super) struct Frame {
    pub(super) stream: StreamName,
    pub(super) stamp: Option<i128>,
    pub(super) payload: Bytes,
}

/// A stream of frames that is read in batches.
pub(super) struct Reader<S> {
    stream: S,
    /// A stream that does not follow ends by itself, and may be silent for as long as the engine looks for its beginning.
    follow: Follow,
    /// When the cursors must be stored, if they are behind.
    pub(super) persist_at: Option<Instant>,
    /// When a stream that does not end after the exit is given up.
    give_up_at: Option<Instant>,
    /// When a stream that fell silent is asked for again.
    pub(super) quiet_at: Option<Instant>,
    /// Whether the engine said that it cannot read on.
    pub(super) complained: bool,
    /// Why the stream broke, behind the frames of the last batch.
    failed: Option<EngineError>,
}

pub(super) struct Batch {
    pub(super) frames: Vec<Frame>,
    pub(super) ended: bool,
    pub(super) is_quiet: bool,
}

impl<S: Stream<Item = Result<Frame, EngineError>> + Unpin> Reader<S> {
    pub(super) fn new(stream: S, follow: Follow) -> Self {
        Self {
            stream,
            follow,
            persist_at: None,
            give_up_at: None,
            quiet_at: None,
            complained: false,
            failed: None,
        }
    }

    /// Waits for a frame and takes what else is there.
    pub(super) async fn batch(
        &mut self,
        follower: &mut Follower,
        stopped: &mut watch::Receiver<bool>,
    ) -> Result<Batch, PassError> {
        if let Some(error) = self.failed.take() {
            return Err(error.into());
        }
        let far = Instant::now() + Duration::from_secs(24 * 3600);
        let first = loop {
            if self.follow == Follow::Yes && *stopped.borrow() && self.give_up_at.is_none() {
                self.give_up_at = Some(Instant::now() + END_OF_FOLLOW);
            }
            tokio::select! {
                frame = self.stream.next() => break frame,
                () = sleep_until(self.persist_at.unwrap_or(far)), if self.persist_at.is_some() => {
                    self.persist_at = None;
                    follower.persist().await?;
                }
                line = follower.notes.next() => follower.note(&line),
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
                // A sentence of the engine in the stream is no output; more may follow.
                Some(Err(error)) if matches!(error.kind(), ErrorKind::InStream { .. }) => {
                    tracing::warn!(error = crate::chain(&error), "the engine reports in the log");
                    self.complained = true;
                }
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

pub(super) fn log_frames(log: LogReader) -> impl Stream<Item = Result<Frame, EngineError>> + Unpin {
    log.map(|frame| {
        frame.map(|frame| Frame {
            stream: stream_name(frame.stream),
            stamp: Some(frame.stamp.as_nanos()),
            payload: frame.payload,
        })
    })
}

pub(super) fn attached_frames(attached: AttachReader) -> impl Stream<Item = Result<Frame, EngineError>> {
    stream::unfold(attached, async |mut attached| {
        let frame = attached.next_frame().await?.map(|frame| Frame {
            stream: stream_name(frame.stream),
            stamp: None,
            payload: frame.payload,
        });
        Some((frame, attached))
    })
}

pub(super) fn stream_name(stream: OutputStream) -> StreamName {
    match stream {
        OutputStream::Stdout => StreamName::Stdout,
        OutputStream::Stderr => StreamName::Stderr,
    }
}
