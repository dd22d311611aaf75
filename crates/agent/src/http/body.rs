//! Bodies of requests and responses.

use std::convert::Infallible;
use std::fs::File;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http_body::Frame;
use http_body_util::{BodyExt as _, Full, LengthLimitError, Limited};
use tokio::io::AsyncReadExt as _;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::time::{Instant, timeout, timeout_at};

use crate::executors::EventStream;

/// The pieces of a download, in bytes.
const PIECE: usize = 64 * 1024;

/// How many pieces are read ahead of the client.
const AHEAD: usize = 2;

/// The largest body of a request that needs no turn, in bytes.
const SMALL: usize = 64 * 1024;

/// The body of a response.
#[derive(Debug)]
pub struct Body(Kind);

#[derive(Debug)]
enum Kind {
    Whole(Full<Bytes>),
    Pieces { pieces: mpsc::Receiver<io::Result<Bytes>>, left: u64 },
    Events(EventStream),
}

/// The body of a request.
#[derive(Debug)]
pub(super) struct Collected {
    pub(super) bytes: Bytes,
    /// The turn that it took as a large one, for as long as it is kept.
    pub(super) turn: Option<OwnedSemaphorePermit>,
}

/// Why the body of a request is not there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum BodyRefused {
    /// It is longer than allowed.
    TooLarge,
    /// The client took too long over it.
    TooSlow,
    /// It is large, and too many large ones are being read.
    Crowded,
    /// The connection broke, or its framing is wrong.
    Broken,
}

impl Body {
    /// A body that is whole.
    pub(super) fn whole(bytes: Bytes) -> Self {
        Self(Kind::Whole(Full::new(bytes)))
    }

    /// The events of an executor, until its stream ends.
    pub(super) fn events(stream: EventStream) -> Self {
        Self(Kind::Events(stream))
    }

    /// The first `size` bytes of a file, read while the client takes them; a file that was shortened meanwhile breaks the
    /// response off. `permit` is held until the end. A client that takes nothing for the time of `stall` is given up.
    pub(super) fn file(file: File, size: u64, stall: Duration, permit: OwnedSemaphorePermit) -> Self {
        let (send, pieces) = mpsc::channel(AHEAD);
        tokio::spawn(async move {
            read(file, size, stall, send).await;
            drop(permit);
        });
        Self(Kind::Pieces { pieces, left: size })
    }
}

async fn read(file: File, size: u64, stall: Duration, pieces: mpsc::Sender<io::Result<Bytes>>) {
    let mut file = tokio::fs::File::from_std(file).take(size);
    let mut left = size;
    while left > 0 {
        let mut piece = BytesMut::with_capacity(PIECE.min(usize::try_from(left).unwrap_or(PIECE)));
        let read = file.read_buf(&mut piece).await.and_then(|count| match count {
            0 => {
                Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the file was shortened while it was sent"))
            }
            _ => Ok(piece.freeze()),
        });
        left = read.as_ref().map_or(0, |piece| left.saturating_sub(piece.len() as u64));
        // A client that is gone, or takes nothing, gets no more.
        if !matches!(timeout(stall, pieces.send(read)).await, Ok(Ok(()))) {
            return;
        }
    }
}

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        match &mut self.0 {
            Kind::Whole(whole) => {
                Pin::new(whole).poll_frame(context).map_err(|never: Infallible| match never {})
            }
            Kind::Pieces { pieces, left } => match pieces.poll_recv(context) {
                Poll::Ready(Some(Ok(piece))) => {
                    *left = left.saturating_sub(piece.len() as u64);
                    Poll::Ready(Some(Ok(Frame::data(piece))))
                }
                Poll::Ready(Some(Err(error))) => Poll::Ready(Some(Err(error))),
                Poll::Ready(None) if *left > 0 => {
                    *left = 0;
                    let late =
                        io::Error::new(io::ErrorKind::TimedOut, "the client took nothing for too long");
                    Poll::Ready(Some(Err(late)))
                }
                Poll::Ready(None) => Poll::Ready(None),
                Poll::Pending => Poll::Pending,
            },
            Kind::Events(stream) => {
                stream.poll_record(context).map(|next| next.map(|record| record.map(Frame::data)))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.0 {
            Kind::Whole(whole) => whole.is_end_stream(),
            Kind::Pieces { left, .. } => *left == 0,
            Kind::Events(_) => false,
        }
    }

    fn size_hint(&self) -> http_body::SizeHint {
        match &self.0 {
            Kind::Whole(whole) => whole.size_hint(),
            Kind::Pieces { left, .. } => http_body::SizeHint::with_exact(*left),
            Kind::Events(_) => http_body::SizeHint::default(),
        }
    }
}

/// Reads the body of a request, at most `most` bytes, all of it within `patience`: who sends a byte now and then is
/// given up, too. A large one takes a turn of `large`.
pub(super) async fn collect<B>(
    body: B,
    most: usize,
    patience: Duration,
    large: &Arc<Semaphore>,
) -> Result<Collected, BodyRefused>
where
    B: http_body::Body<Data = Bytes>,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let until = Instant::now() + patience;
    let mut body = std::pin::pin!(Limited::new(body, most));
    let mut collected = BytesMut::new();
    let mut turn = None;
    loop {
        match timeout_at(until, body.as_mut().frame()).await {
            Err(_) => return Err(BodyRefused::TooSlow),
            Ok(None) => return Ok(Collected { bytes: collected.freeze(), turn }),
            Ok(Some(Ok(frame))) => {
                let Ok(data) = frame.into_data() else { continue };
                if turn.is_none() && collected.len() + data.len() > SMALL {
                    let taken = timeout_at(until, large.clone().acquire_owned()).await;
                    turn = Some(taken.ok().and_then(Result::ok).ok_or(BodyRefused::Crowded)?);
                }
                collected.extend_from_slice(&data);
            }
            Ok(Some(Err(error))) if error.downcast_ref::<LengthLimitError>().is_some() => {
                return Err(BodyRefused::TooLarge);
            }
            Ok(Some(Err(_))) => return Err(BodyRefused::Broken),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    const STALL: Duration = Duration::from_secs(5);

    fn file(length: usize) -> File {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&b"0123456789".iter().copied().cycle().take(length).collect::<Vec<_>>()).unwrap();
        std::io::Seek::rewind(&mut file).unwrap();
        file
    }

    async fn permits() -> (Arc<Semaphore>, OwnedSemaphorePermit) {
        let permits = Arc::new(Semaphore::new(1));
        let permit = permits.clone().acquire_owned().await.unwrap();
        (permits, permit)
    }

    #[tokio::test]
    async fn a_file_is_sent_piece_by_piece() {
        let (permits, permit) = permits().await;
        let body = Body::file(file(200_000), 200_000, STALL, permit);
        assert_eq!(http_body::Body::size_hint(&body).exact(), Some(200_000));
        let sent = body.collect().await.unwrap().to_bytes();
        assert_eq!(sent.len(), 200_000);
        assert!(sent.chunks(10).all(|ten| ten == b"0123456789"));
        let _again = permits.acquire().await.unwrap();
    }

    #[tokio::test]
    async fn only_the_size_that_was_told_is_sent() {
        let (_, permit) = permits().await;
        let sent = Body::file(file(200_000), 70_000, STALL, permit).collect().await.unwrap().to_bytes();
        assert_eq!(sent.len(), 70_000);
        let (_, permit) = permits().await;
        let nothing = Body::file(file(0), 0, STALL, permit);
        assert!(http_body::Body::is_end_stream(&nothing));
        assert_eq!(nothing.collect().await.unwrap().to_bytes().len(), 0);
    }

    #[tokio::test]
    async fn a_file_that_was_shortened_breaks_the_response_off() {
        let (_, permit) = permits().await;
        let error = Body::file(file(10), 20, STALL, permit).collect().await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_takes_nothing_is_given_up() {
        let (permits, permit) = permits().await;
        let body = Body::file(file(1_000_000), 1_000_000, STALL, permit);
        // The permit comes back although the body is neither read nor dropped.
        let _again = permits.acquire().await.unwrap();
        let error = body.collect().await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    }

    fn one_turn() -> Arc<Semaphore> {
        Arc::new(Semaphore::new(1))
    }

    /// A body that comes in pieces, and what sends them.
    fn pieces() -> (mpsc::Sender<io::Result<Bytes>>, Body) {
        let (send, pieces) = mpsc::channel(1);
        (send, Body(Kind::Pieces { pieces, left: u64::MAX }))
    }

    async fn refused(body: Body, most: usize, large: &Arc<Semaphore>) -> Option<BodyRefused> {
        collect(body, most, STALL, large).await.err()
    }

    #[tokio::test]
    async fn bodies_of_requests_have_bounds() {
        let body = || Body::whole(Bytes::from_static(b"0123456789"));
        let read = collect(body(), 10, STALL, &one_turn()).await.unwrap();
        assert_eq!((read.bytes, read.turn.is_none()), (Bytes::from_static(b"0123456789"), true));
        assert_eq!(refused(body(), 9, &one_turn()).await, Some(BodyRefused::TooLarge));
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_sends_nothing_is_given_up() {
        let (_send, body) = pieces();
        assert_eq!(refused(body, 10, &one_turn()).await, Some(BodyRefused::TooSlow));
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_sends_a_byte_now_and_then_is_given_up() {
        let (send, body) = pieces();
        tokio::spawn(async move {
            while send.send(Ok(Bytes::from_static(b"x"))).await.is_ok() {
                tokio::time::sleep(STALL / 10).await;
            }
        });
        let since = Instant::now();
        assert_eq!(refused(body, 1000, &one_turn()).await, Some(BodyRefused::TooSlow));
        assert_eq!(since.elapsed(), STALL);
    }

    #[tokio::test(start_paused = true)]
    async fn large_bodies_take_turns() {
        let large = one_turn();
        let body = || Body::whole(vec![b'x'; SMALL + 1].into());
        let first = collect(body(), 1 << 20, STALL, &large).await.unwrap();
        assert_eq!(refused(body(), 1 << 20, &large).await, Some(BodyRefused::Crowded));
        let small = Body::whole(vec![b'x'; SMALL].into());
        assert!(collect(small, 1 << 20, STALL, &large).await.is_ok());
        drop(first);
        assert!(collect(body(), 1 << 20, STALL, &large).await.is_ok());
    }
}
