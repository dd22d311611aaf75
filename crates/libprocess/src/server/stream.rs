//! Owns the socket of an inbound connection as hyper sees it.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use super::connection::Connection;

/// A socket that notes what is read, forgives failed writes of answers to messages, and hides the peer's end while a
/// message of it is being delivered.
///
/// Stock closes a connection that it made for one message as soon as it has written it. hyper would give up the
/// requests that it has read and not answered, when an answer cannot be written.
#[derive(Debug)]
pub(crate) struct InboundStream {
    socket: TcpStream,
    connection: Arc<Connection>,
    /// A write has failed, and nobody is to know.
    broken: bool,
}

impl InboundStream {
    pub(crate) fn new(socket: TcpStream, connection: Arc<Connection>) -> Self {
        Self { socket, connection, broken: false }
    }

    /// Turns a failure into the success of `written` bytes where nobody waits for them.
    fn forgive(&mut self, result: io::Result<usize>, written: usize) -> io::Result<usize> {
        match result {
            Err(error) if self.connection.needs_its_answer() => Err(error),
            Err(_) => {
                self.broken = true;
                Ok(written)
            }
            Ok(written) => Ok(written),
        }
    }

    fn is_given_up(&self) -> bool {
        self.broken && !self.connection.needs_its_answer()
    }
}

impl AsyncRead for InboundStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let result = ready!(Pin::new(&mut self.socket).poll_read(context, buffer));
        if result.is_ok() && buffer.filled().len() > before {
            self.connection.has_read();
        } else if self.connection.hides_its_end(context.waker()) {
            return Poll::Pending;
        }
        Poll::Ready(result)
    }
}

impl AsyncWrite for InboundStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        if self.is_given_up() {
            return Poll::Ready(Ok(bytes.len()));
        }
        let result = ready!(Pin::new(&mut self.socket).poll_write(context, bytes));
        Poll::Ready(self.forgive(result, bytes.len()))
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.is_given_up() {
            return Poll::Ready(Ok(()));
        }
        let result = ready!(Pin::new(&mut self.socket).poll_flush(context));
        Poll::Ready(self.forgive(result.map(|()| 0), 0).map(|_| ()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_shutdown(context)
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let all = slices.iter().map(|slice| slice.len()).sum();
        if self.is_given_up() {
            return Poll::Ready(Ok(all));
        }
        let result = ready!(Pin::new(&mut self.socket).poll_write_vectored(context, slices));
        Poll::Ready(self.forgive(result, all))
    }
}
