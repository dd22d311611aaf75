//! Output straight from a container's process, past the log driver.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::frame::{FrameKind, FrameSplitter, OutputStream};
use crate::engine::Engine;
use crate::error::{EngineError, ErrorKind, Op, bounded_message};
use crate::path;
use crate::streams::broken;
use crate::transport::{Call, Repeat};

/// How much is read at once.
const READ: usize = 16 * 1024;

/// Whether a container has a terminal, which decides the form of its output.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Terminal {
    /// One stream of plain bytes.
    Yes,
    /// Frames of stdout and stderr.
    No,
}

/// One piece of output as it came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AttachFrame {
    /// Where the process wrote it; always stdout with a terminal.
    pub stream: OutputStream,
    /// The bytes. A slice of the read buffer: write it out, do not keep it.
    pub payload: Bytes,
}

impl Engine {
    /// Attaches to the output of a container. Do it before the start to miss nothing.
    ///
    /// # Errors
    ///
    /// `NotFound`; `Conflict` for a container that is paused or restarting.
    pub async fn attach(
        &self,
        id: &str,
        terminal: Terminal,
        head_deadline: Duration,
    ) -> Result<AttachReader, EngineError> {
        let call =
            Call::post(path::container(id, "/attach?stream=1&stdout=1&stderr=1"), Repeat::Safe).upgrade();
        let upgraded = self.open_upgraded(Op::Attach, id, head_deadline, &call).await?;
        Ok(AttachReader {
            id: id.to_owned(),
            io: TokioIo::new(upgraded),
            buffer: BytesMut::new(),
            splitter: FrameSplitter::default(),
            terminal,
            ended: false,
        })
    }

    /// Closes the standard input of a container that was made with `OpenStdin` and `StdinOnce`, as a client does whose
    /// own input is at its end. A container with a terminal keeps its input.
    ///
    /// # Errors
    ///
    /// As [`Engine::attach`], and `StreamBroken` when the engine goes away meanwhile. A container that has ended is no
    /// error.
    ///
    /// # Cancel safety
    ///
    /// The input is closed or not, and may be closed again.
    pub async fn close_stdin(&self, id: &str, head_deadline: Duration) -> Result<(), EngineError> {
        let call = Call::post(path::container(id, "/attach?stream=1&stdin=1"), Repeat::Safe).upgrade();
        let upgraded = self.open_upgraded(Op::Attach, id, head_deadline, &call).await?;
        let closed = TokioIo::new(upgraded).shutdown().await;
        closed.map_err(|error| broken(Op::Attach, id).caused_by(&error))
    }
}

/// The output of an attached container.
///
/// The end of a plain byte stream does not say why it ended: `None` comes when the container ended, and also when the
/// daemon did. What became of the container is what an inspection says.
#[derive(Debug)]
pub struct AttachReader {
    id: String,
    io: TokioIo<Upgraded>,
    buffer: BytesMut,
    splitter: FrameSplitter,
    terminal: Terminal,
    ended: bool,
}

impl AttachReader {
    /// Returns the next piece of output; `None` at the end.
    ///
    /// # Errors
    ///
    /// `StreamBroken` when reading fails or ends inside a frame, `InStream` for an error text of the engine,
    /// `Protocol` for what is no frame.
    ///
    /// # Cancel safety
    ///
    /// May be dropped and called again; nothing is lost.
    pub async fn next_frame(&mut self) -> Option<Result<AttachFrame, EngineError>> {
        loop {
            if self.ended {
                return None;
            }
            if let Some(item) = self.take_frame() {
                return Some(item);
            }
            self.buffer.reserve(READ);
            match self.io.read_buf(&mut self.buffer).await {
                Ok(0) => {
                    self.ended = true;
                    return (!self.splitter.at_boundary()).then(|| Err(broken(Op::Attach, &self.id)));
                }
                Ok(_) => {
                    let piece = self.buffer.split().freeze();
                    match self.terminal {
                        Terminal::Yes => {
                            return Some(Ok(AttachFrame { stream: OutputStream::Stdout, payload: piece }));
                        }
                        Terminal::No => self.splitter.push(piece),
                    }
                }
                Err(error) => {
                    self.ended = true;
                    return Some(Err(broken(Op::Attach, &self.id).caused_by(&error)));
                }
            }
        }
    }

    fn take_frame(&mut self) -> Option<Result<AttachFrame, EngineError>> {
        let kind = match self.splitter.next_frame() {
            Ok(None) => return None,
            Ok(Some(frame)) => match frame.kind {
                FrameKind::Output(stream) => return Some(Ok(AttachFrame { stream, payload: frame.payload })),
                FrameKind::EngineError => {
                    ErrorKind::InStream { message: bounded_message(&String::from_utf8_lossy(&frame.payload)) }
                }
            },
            Err(error) => {
                self.ended = true;
                ErrorKind::Protocol { detail: error.to_string() }
            }
        };
        Some(Err(EngineError::new(Op::Attach, &self.id, kind)))
    }
}
