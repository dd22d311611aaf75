//! What the streaming verbs share: opening one, and telling its proper end from a broken one.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::{Response, StatusCode};
use hyper::upgrade::Upgraded;

use crate::engine::{Engine, within};
use crate::error::{EngineError, ErrorKind, Op};
use crate::transport::{Answer, Buffers, Call, StreamBody};

/// The longest line of a stream of JSON objects.
const MAX_LINE: usize = 1024 * 1024;

impl Engine {
    /// Opens a stream on a connection of its own: returns once the head of a good answer is there.
    pub(crate) async fn open_stream(
        &self,
        op: Op,
        subject: &str,
        head_deadline: Duration,
        call: &Call,
        buffers: Buffers,
    ) -> Result<Response<StreamBody>, EngineError> {
        within(op, subject, head_deadline, async {
            let opened = self.transport().open(call, buffers).await;
            let response = opened.map_err(|error| self.failed(&error, op, subject))?;
            if response.status().is_success() {
                return Ok(response);
            }
            let answer = Answer::read(response).await;
            Err(answer.map_err(|error| self.failed(&error, op, subject))?.failure(op, subject))
        })
        .await
    }

    /// Opens a plain byte stream on a connection of its own.
    pub(crate) async fn open_upgraded(
        &self,
        op: Op,
        subject: &str,
        head_deadline: Duration,
        call: &Call,
    ) -> Result<Upgraded, EngineError> {
        within(op, subject, head_deadline, async {
            let opened = self.transport().open_driven(call).await;
            let response = opened.map_err(|error| self.failed(&error, op, subject))?;
            if response.status() == StatusCode::SWITCHING_PROTOCOLS {
                let upgraded = hyper::upgrade::on(response).await;
                return upgraded.map_err(|error| broken(op, subject).caused_by(&error));
            }
            let answer = Answer::read(response.map(StreamBody::driven)).await;
            Err(answer.map_err(|error| self.failed(&error, op, subject))?.failure(op, subject))
        })
        .await
    }
}

/// Reads the next piece of a body; `None` is its proper end. Cancel safe.
pub(crate) async fn next_piece(
    body: &mut StreamBody,
    op: Op,
    subject: &str,
) -> Option<Result<Bytes, EngineError>> {
    Some(body.next_piece().await?.map_err(|error| broken(op, subject).caused_by(&error)))
}

/// Makes the error of a stream that ended without its proper end.
pub(crate) fn broken(op: Op, subject: &str) -> EngineError {
    EngineError::new(
        op,
        subject,
        ErrorKind::StreamBroken { detail: "in the middle of the stream".to_owned() },
    )
}

/// Puts the lines of a stream together from its pieces.
#[derive(Debug, Default)]
pub(crate) struct Lines {
    buffer: BytesMut,
    /// Up to here there is no line break.
    searched: usize,
}

impl Lines {
    /// Adds the next piece.
    pub(crate) fn push(&mut self, piece: &[u8]) {
        self.buffer.extend_from_slice(piece);
    }

    /// Takes the next whole line.
    pub(crate) fn next_line(&mut self) -> Option<BytesMut> {
        match self.buffer[self.searched..].iter().position(|byte| *byte == b'\n') {
            Some(at) => {
                let line = self.buffer.split_to(self.searched + at + 1);
                self.searched = 0;
                Some(line)
            }
            None => {
                self.searched = self.buffer.len();
                None
            }
        }
    }

    /// Says whether a line goes on for too long to be one.
    pub(crate) fn too_long(&self) -> bool {
        self.buffer.len() > MAX_LINE
    }

    /// Takes what is left without a line break.
    pub(crate) fn rest(&mut self) -> BytesMut {
        self.buffer.split()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_put_together_from_pieces() {
        let mut lines = Lines::default();
        lines.push(b"{\"a\"");
        assert_eq!(lines.next_line(), None);
        lines.push(b":1}\r\n{}\n{");
        assert_eq!(lines.next_line().unwrap().as_ref(), b"{\"a\":1}\r\n");
        assert_eq!(lines.next_line().unwrap().as_ref(), b"{}\n");
        assert_eq!(lines.next_line(), None);
        assert_eq!(lines.rest().as_ref(), b"{");
    }
}
