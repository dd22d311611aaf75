//! The reading end of a tap: what a parent copies for somebody who looks on, into that one's channel.

use std::io::{self, PipeReader};
use std::os::fd::OwnedFd;

use bytes::BytesMut;
use containerizer::{LogChunk, LogTap};
use tokio::io::AsyncReadExt as _;
use tokio::net::unix::pipe::Receiver;

use crate::parent::tap::head;

/// Reads what the parent writes.
#[derive(Debug)]
pub(crate) struct Reader {
    pipe: Receiver,
}

impl Reader {
    pub(crate) fn new(pipe: PipeReader) -> io::Result<Self> {
        Ok(Self { pipe: Receiver::from_owned_fd(OwnedFd::from(pipe))? })
    }

    /// Hands on every piece, waiting for room, until the parent or the listener has gone.
    pub(crate) async fn copy(mut self, tap: LogTap) {
        loop {
            match self.next().await {
                Ok(Some(chunk)) => {
                    if tap.send(chunk).await.is_err() {
                        return;
                    }
                }
                Ok(None) => return,
                Err(error) => return tracing::debug!(%error, "the output is followed no longer"),
            }
        }
    }

    async fn next(&mut self) -> io::Result<Option<LogChunk>> {
        let mut header = [0; 5];
        match self.pipe.read_exact(&mut header).await {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
            result => result?,
        };
        let (stream, length) = head(header)?;
        let mut bytes = BytesMut::zeroed(length);
        self.pipe.read_exact(&mut bytes).await?;
        Ok(Some(LogChunk { stream, bytes: bytes.freeze() }))
    }
}
