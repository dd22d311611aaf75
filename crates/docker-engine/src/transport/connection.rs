//! One connection, driven by whoever uses it.
//!
//! hyper wants its connections polled beside the requests on them, usually by a task of their own. Here the caller's
//! own task does it: an exchange then costs no hop between threads, and a stream no second task. A connection that
//! nobody uses is not polled; what happened to it meanwhile shows when it is taken up again.

use std::future::{Future, poll_fn};
use std::io;
use std::path::Path;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::{Body as _, Incoming};
use hyper::client::conn::TrySendError;
use hyper::client::conn::http1::{Builder, Connection as HyperConnection, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::net::UnixStream;

use super::TransportError;

/// The most that a pooled or log connection buffers: large enough to copy logs in few reads.
const STREAM_BUFFER: usize = 64 * 1024;

/// The read buffer of a connection that waits for one short answer for days.
const WAIT_BUFFER: usize = 4096;

/// What a connection is for, which decides its buffers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Buffers {
    /// Grows with the traffic, up to 64 KiB.
    Adaptive,
    /// Stays as small as an answer's head allows.
    Small,
}

/// A connection: the half that takes requests, and the driver that moves bytes.
#[derive(Debug)]
pub(super) struct Connection {
    sender: SendRequest<Full<Bytes>>,
    driver: Driver,
}

/// The side of a connection that must be polled; `None` once it ended.
#[derive(Debug)]
pub(super) struct Driver(Option<Box<HyperConnection<TokioIo<UnixStream>, Full<Bytes>>>>);

impl Connection {
    /// Opens a connection.
    pub(super) async fn open(socket: &Path, buffers: Buffers) -> Result<Self, TransportError> {
        let stream = connect(socket).await.map_err(TransportError::Connect)?;
        let mut builder = Builder::new();
        match buffers {
            Buffers::Adaptive => builder.max_buf_size(STREAM_BUFFER),
            Buffers::Small => builder.read_buf_exact_size(Some(WAIT_BUFFER)),
        };
        let (sender, driver) =
            builder.handshake(TokioIo::new(stream)).await.map_err(TransportError::Broken)?;
        Ok(Self { sender, driver: Driver(Some(Box::new(driver))) })
    }

    /// Sends a request and returns once the head of the answer is there.
    pub(super) async fn send(
        &mut self,
        request: Request<Full<Bytes>>,
    ) -> Result<Response<Incoming>, TrySendError<Request<Full<Bytes>>>> {
        let answer = self.sender.try_send_request(request);
        self.driver.beside(answer).await
    }

    /// Says whether the connection takes another request at once: it is alive, the last answer was read to its end,
    /// and the last request was written to its end.
    pub(super) fn is_idle(&mut self) -> bool {
        // Nothing is waited for, so nobody needs to be woken.
        let mut cx = Context::from_waker(Waker::noop());
        self.driver.poll(&mut cx);
        self.driver.0.is_some() && matches!(self.sender.poll_ready(&mut cx), Poll::Ready(Ok(())))
    }

    /// Takes the halves apart, for an answer that is read beside the driver.
    pub(super) fn split(self) -> (SendRequest<Full<Bytes>>, Driver) {
        (self.sender, self.driver)
    }

    /// Puts the halves together again once the answer was read.
    pub(super) fn join(sender: SendRequest<Full<Bytes>>, driver: Driver) -> Self {
        Self { sender, driver }
    }

    /// Has a task drive the connection, for an answer whose reader does not know of drivers. Returns the sending half.
    pub(super) fn spawn(self) -> SendRequest<Full<Bytes>> {
        let Self { sender, driver } = self;
        if let Driver(Some(driver)) = driver {
            tokio::spawn(async move {
                // The reader of the answer gets the error too.
                if let Err(error) = driver.with_upgrades().await {
                    tracing::trace!(%error, "engine connection ended");
                }
            });
        }
        sender
    }
}

impl Driver {
    /// Polls a future and the connection it depends on until the future is ready.
    pub(super) async fn beside<T>(&mut self, future: impl Future<Output = T>) -> T {
        let mut future = pin!(future);
        poll_fn(|cx| {
            if let Poll::Ready(output) = future.as_mut().poll(cx) {
                return Poll::Ready(output);
            }
            self.poll(cx);
            future.as_mut().poll(cx)
        })
        .await
    }

    /// Moves bytes as far as they go. How it ended is told to whoever waits for an answer.
    fn poll(&mut self, cx: &mut Context<'_>) {
        if let Some(driver) = &mut self.0
            && Pin::new(driver).poll(cx).is_ready()
        {
            self.0 = None;
        }
    }
}

/// The body of an answer, with the connection that it comes on.
#[derive(Debug)]
pub(crate) struct StreamBody {
    body: Incoming,
    driver: Driver,
}

impl StreamBody {
    pub(super) fn new(body: Incoming, driver: Driver) -> Self {
        Self { body, driver }
    }

    /// Makes a body whose connection a task drives.
    pub(crate) fn driven(body: Incoming) -> Self {
        Self { body, driver: Driver(None) }
    }

    /// Gives the connection back.
    pub(super) fn into_driver(self) -> Driver {
        self.driver
    }

    /// Polls for the next piece of the body; `None` is its proper end.
    pub(crate) fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, hyper::Error>>> {
        let mut driven = false;
        loop {
            match Pin::new(&mut self.body).poll_frame(cx) {
                Poll::Ready(Some(Ok(frame))) => {
                    if let Ok(data) = frame.into_data() {
                        return Poll::Ready(Some(Ok(data)));
                    }
                }
                Poll::Ready(Some(Err(error))) => return Poll::Ready(Some(Err(error))),
                Poll::Ready(None) => return Poll::Ready(None),
                Poll::Pending if driven => return Poll::Pending,
                Poll::Pending => {
                    self.driver.poll(cx);
                    driven = true;
                }
            }
        }
    }

    /// Returns the next piece of the body; `None` is its proper end. Cancel safe.
    pub(crate) async fn next_piece(&mut self) -> Option<Result<Bytes, hyper::Error>> {
        poll_fn(|cx| self.poll_piece(cx)).await
    }
}

/// Connects, waiting out a full listen queue: a Unix socket says `EAGAIN` where TCP would let a connect wait.
async fn connect(socket: &Path) -> io::Result<UnixStream> {
    const BUSY_STEP: Duration = Duration::from_millis(10);
    const BUSY_TRIES: u32 = 100;
    let mut tries = 0;
    loop {
        match UnixStream::connect(socket).await {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock && tries < BUSY_TRIES => {
                tries += 1;
                tokio::time::sleep(BUSY_STEP).await;
            }
            other => return other,
        }
    }
}
