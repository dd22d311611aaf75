//! The reading end of a tap: what a parent copies for somebody who looks on, into that one's channel.

use std::io::{self, PipeReader};
use std::os::fd::OwnedFd;
use std::pin::pin;
use std::time::Duration;

use bytes::BytesMut;
use containerizer::{LogChunk, LogTap};
use tokio::io::AsyncReadExt as _;
use tokio::net::unix::pipe::Receiver;
use tokio::time::timeout;

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

    /// Hands on every piece, waiting for room, until the parent or the listener has gone. Once the command has `ended` the
    /// listener has `patience` for each piece; then it gets no more, and the parent waits for it no longer.
    pub(crate) async fn copy(mut self, tap: LogTap, ended: impl Future<Output = ()>, patience: Duration) {
        let mut ended = pin!(ended);
        let mut has_ended = false;
        loop {
            let chunk = match self.next().await {
                Ok(Some(chunk)) => chunk,
                Ok(None) => return,
                Err(error) => return tracing::debug!(%error, "the output is followed no longer"),
            };
            let mut send = pin!(tap.send(chunk));
            let mut sent = None;
            if !has_ended {
                tokio::select! {
                    biased;
                    result = &mut send => sent = Some(result),
                    () = &mut ended => has_ended = true,
                }
            }
            let sent = match sent {
                Some(sent) => Ok(sent),
                None => timeout(patience, send).await,
            };
            match sent {
                Ok(Ok(())) => {}
                Ok(Err(_)) => return,
                Err(_) => {
                    return tracing::warn!(
                        ?patience,
                        "nobody reads the output: what is left of it is in the sandbox alone \
                         (see --docker_log_drain_timeout)"
                    );
                }
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
