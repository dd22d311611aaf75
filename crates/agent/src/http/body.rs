//! Bodies of requests and responses.

use std::convert::Infallible;
use std::fs::File;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http_body::Frame;
use http_body_util::{BodyExt as _, Full, LengthLimitError, Limited};
use tokio::io::AsyncReadExt as _;
use tokio::sync::{OwnedSemaphorePermit, mpsc};
use tokio::time::timeout;

/// The pieces of a download, in bytes.
const PIECE: usize = 64 * 1024;

/// How many pieces are read ahead of the client.
const AHEAD: usize = 2;

/// The body of a response.
#[derive(Debug)]
pub struct Body(Kind);

#[derive(Debug)]
enum Kind {
    Whole(Full<Bytes>),
    Pieces { pieces: mpsc::Receiver<io::Result<Bytes>>, left: u64 },
}

/// Why the body of a request is not there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum BodyRefused {
    /// It is longer than allowed.
    TooLarge,
    /// The client took too long over it.
    TooSlow,
    /// The connection broke, or its framing is wrong.
    Broken,
}

impl Body {
    /// A body that is whole.
    pub(super) fn whole(bytes: Bytes) -> Self {
        Self(Kind::Whole(Full::new(bytes)))
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
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.0 {
            Kind::Whole(whole) => whole.is_end_stream(),
            Kind::Pieces { left, .. } => *left == 0,
        }
    }

    fn size_hint(&self) -> http_body::SizeHint {
        match &self.0 {
            Kind::Whole(whole) => whole.size_hint(),
            Kind::Pieces { left, .. } => http_body::SizeHint::with_exact(*left),
        }
    }
}

/// Reads the body of a request, at most `most` bytes; each piece must come within `stall`.
pub(super) async fn collect<B>(body: B, most: usize, stall: Duration) -> Result<Bytes, BodyRefused>
where
    B: http_body::Body<Data = Bytes>,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let mut body = std::pin::pin!(Limited::new(body, most));
    let mut collected = BytesMut::new();
    loop {
        match timeout(stall, body.as_mut().frame()).await {
            Err(_) => return Err(BodyRefused::TooSlow),
            Ok(None) => return Ok(collected.freeze()),
            Ok(Some(Ok(frame))) => {
                if let Ok(data) = frame.into_data() {
                    collected.extend_from_slice(&data);
                }
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
    use std::sync::Arc;

    use tokio::sync::Semaphore;

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

    #[tokio::test]
    async fn bodies_of_requests_have_bounds() {
        let body = || Full::new(Bytes::from_static(b"0123456789"));
        assert_eq!(collect(body(), 10, STALL).await.unwrap(), "0123456789");
        assert_eq!(collect(body(), 9, STALL).await, Err(BodyRefused::TooLarge));
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_sends_nothing_is_given_up() {
        let (_send, pieces) = mpsc::channel(1);
        let body = Body(Kind::Pieces { pieces, left: 1 });
        assert_eq!(collect(body, 10, STALL).await, Err(BodyRefused::TooSlow));
    }
}
