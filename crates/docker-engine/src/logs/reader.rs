//! Reading what a container's log driver kept.

use std::future::Future as _;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf as _, Bytes};
use futures_util::{Stream, StreamExt as _};
use tokio::time::{Instant, Sleep};

use super::frame::{FrameKind, FrameSplitter, OutputStream};
use crate::engine::Engine;
use crate::error::{EngineError, ErrorKind, Op, bounded_message};
use crate::path;
use crate::stamp::{Stamp, parse_log_prefix};
use crate::streams::broken;
use crate::transport::{Buffers, Call, StreamBody};

/// Whether a reader goes on with new output.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Follow {
    /// Until the container ends.
    Yes,
    /// Up to what is there now.
    No,
}

/// What to read of a container's log. Stamps are always asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogRequest {
    /// Read standard output.
    pub stdout: bool,
    /// Read standard error.
    pub stderr: bool,
    /// Go on with new output or not. Before the start of the container the engine ends a follow at once.
    pub follow: Follow,
    /// Only what is not older than this second since 1970.
    pub since_secs: Option<i64>,
    /// Only the last so many lines.
    pub tail: Option<u64>,
    /// How long nothing may come before the stream ends with `Timeout`. A container that says nothing is no fault, so
    /// this is for reads without follow.
    pub inactivity: Option<Duration>,
}

impl LogRequest {
    /// Asks for all of both streams.
    pub fn all(follow: Follow) -> Self {
        Self { stdout: true, stderr: true, follow, since_secs: None, tail: None, inactivity: None }
    }

    fn path(&self, id: &str) -> String {
        use std::fmt::Write as _;
        let mut query = format!(
            "/logs?stdout={}&stderr={}&follow={}&timestamps=1",
            u8::from(self.stdout),
            u8::from(self.stderr),
            u8::from(self.follow == Follow::Yes),
        );
        // Writing to a string does not fail.
        if let Some(since) = self.since_secs {
            let _ = write!(query, "&since={since}");
        }
        if let Some(tail) = self.tail {
            let _ = write!(query, "&tail={tail}");
        }
        path::container(id, &query)
    }
}

/// One piece of output: a line with its line break, or a part of a line longer than 16 KiB.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogFrame {
    /// Where the process wrote it.
    pub stream: OutputStream,
    /// When the engine read it. Pieces of a stream come in order; several may have the same stamp.
    pub stamp: Stamp,
    /// The bytes as the process wrote them. A slice of the read buffer: write it out, do not keep it.
    pub payload: Bytes,
}

impl Engine {
    /// Opens a container's log. `head_deadline` is for the engine's confirmation that it reads.
    ///
    /// # Errors
    ///
    /// `NotFound`; `ServerError` or `BadRequest` for a driver that cannot be read.
    pub async fn logs(
        &self,
        id: &str,
        request: &LogRequest,
        head_deadline: Duration,
    ) -> Result<LogReader, EngineError> {
        let call = Call::get(request.path(id));
        let response = self.open_stream(Op::Logs, id, head_deadline, &call, Buffers::Adaptive).await?;
        Ok(LogReader {
            id: id.to_owned(),
            body: response.into_body(),
            splitter: FrameSplitter::default(),
            idle: request.inactivity.map(Idle::new),
            ended: false,
        })
    }
}

/// The frames of a log.
///
/// Ends with `None` when the engine ended it properly; for a follow that means that the container ended, or was never
/// started. **A follow may lack the last lines all the same**: when the container ends while it is read, an engine 20.10
/// was seen to close a follow before them, in some of a hundred on a busy host. A read without follow after the exit has
/// them. A broken connection is an item `StreamBroken`, after which it ends. An error text that the engine wrote
/// into the stream is an item `InStream`, after which more may come.
///
/// # Cancel safety
///
/// Waiting for the next item may be dropped and taken up again; nothing is lost.
#[derive(Debug)]
pub struct LogReader {
    id: String,
    body: StreamBody,
    splitter: FrameSplitter,
    idle: Option<Idle>,
    ended: bool,
}

#[derive(Debug)]
struct Idle {
    after: Duration,
    sleep: Pin<Box<Sleep>>,
}

impl Idle {
    fn new(after: Duration) -> Self {
        Self { after, sleep: Box::pin(tokio::time::sleep(after)) }
    }

    fn restart(&mut self) {
        self.sleep.as_mut().reset(Instant::now() + self.after);
    }
}

impl LogReader {
    /// Returns the next frame; `None` at the proper end, or after an error that ended the stream.
    ///
    /// # Errors
    ///
    /// See [`LogReader`].
    pub async fn next_frame(&mut self) -> Option<Result<LogFrame, EngineError>> {
        self.next().await
    }

    fn take_frame(&mut self) -> Option<Result<LogFrame, EngineError>> {
        match self.splitter.next_frame() {
            Ok(None) => None,
            Ok(Some(frame)) => match frame.kind {
                FrameKind::Output(stream) => Some(self.stamped(stream, frame.payload)),
                FrameKind::EngineError => {
                    let message = bounded_message(&String::from_utf8_lossy(&frame.payload));
                    Some(Err(self.error(ErrorKind::InStream { message })))
                }
            },
            Err(error) => {
                self.ended = true;
                Some(Err(self.error(ErrorKind::Protocol { detail: error.to_string() })))
            }
        }
    }

    fn stamped(&mut self, stream: OutputStream, mut payload: Bytes) -> Result<LogFrame, EngineError> {
        match parse_log_prefix(&payload) {
            Some((stamp, len)) => {
                payload.advance(len);
                Ok(LogFrame { stream, stamp, payload })
            }
            None => {
                self.ended = true;
                Err(self.error(ErrorKind::Protocol { detail: "a log line without a time stamp".to_owned() }))
            }
        }
    }

    fn error(&self, kind: ErrorKind) -> EngineError {
        EngineError::new(Op::Logs, &self.id, kind)
    }
}

impl Stream for LogReader {
    type Item = Result<LogFrame, EngineError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        loop {
            if this.ended {
                return Poll::Ready(None);
            }
            if let Some(item) = this.take_frame() {
                return Poll::Ready(Some(item));
            }
            let piece = match this.body.poll_piece(cx) {
                Poll::Ready(piece) => piece,
                Poll::Pending => {
                    let Some(idle) = &mut this.idle else { return Poll::Pending };
                    ready!(idle.sleep.as_mut().poll(cx));
                    let after = idle.after;
                    this.ended = true;
                    return Poll::Ready(Some(Err(this.error(ErrorKind::Timeout { after }))));
                }
            };
            match piece {
                Some(Ok(piece)) => {
                    this.splitter.push(piece);
                    if let Some(idle) = &mut this.idle {
                        idle.restart();
                    }
                }
                Some(Err(error)) => {
                    this.ended = true;
                    return Poll::Ready(Some(Err(broken(Op::Logs, &this.id).caused_by(&error))));
                }
                None => {
                    this.ended = true;
                    if !this.splitter.at_boundary() {
                        return Poll::Ready(Some(Err(broken(Op::Logs, &this.id))));
                    }
                }
            }
        }
    }
}
