//! Owns as much of HTTP/1.1 as a client and a proxy of the Engine API need: heads, body framing, and a buffered
//! reader of both. [`crate::raw`] and [`crate::proxy`] stand on it.
//!
//! It is kept apart from the HTTP stack of the crates under test on purpose: an oracle that shared their code would
//! share their mistakes.

use std::fmt::Write as _;

use anyhow::{Context as _, Result, bail, ensure};
use bytes::{Buf as _, Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt as _};

/// The longest head that is read, in bytes.
const MAX_HEAD: usize = 256 * 1024;
/// The most header lines in a head.
const MAX_HEADERS: usize = 128;
/// The longest line that announces a chunk, in bytes.
const MAX_CHUNK_LINE: usize = 256;
/// How much room a read from the socket is given, in bytes.
const READ_SIZE: usize = 16 * 1024;

/// Header lines in the order and spelling in which they were received.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Headers(Vec<(String, String)>);

/// The first line and the headers of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestHead {
    /// The method, as sent.
    pub method: String,
    /// Path and query, as sent.
    pub target: String,
    /// The header lines.
    pub headers: Headers,
}

/// The first line and the headers of a response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResponseHead {
    /// The status code.
    pub status: u16,
    /// The reason phrase; may be empty.
    pub reason: String,
    /// The header lines.
    pub headers: Headers,
}

/// How the end of a body is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// After this many more bytes; 0 for no body.
    Length(u64),
    /// After a chunk of length 0.
    Chunked,
    /// When the peer closes the connection.
    UntilClose,
}

/// What is still to be read of one body. Made by [`Body::new`], advanced by [`Reader::body_piece`].
#[derive(Debug)]
pub struct Body {
    framing: Framing,
    /// Bytes left of the chunk that is being read.
    chunk_left: u64,
    /// The chunk of length 0 was read, its trailers not yet.
    in_trailers: bool,
    done: bool,
}

/// A buffered reader of heads and bodies.
#[derive(Debug)]
pub struct Reader<R> {
    io: R,
    buffer: BytesMut,
}

impl Headers {
    /// Returns the first value of a header, whatever the case of its name.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    /// Adds a header line at the end.
    pub fn push(&mut self, name: impl Into<String>, value: impl Into<String>) {
        self.0.push((name.into(), value.into()));
    }

    /// Removes every line of a header, whatever the case of its name.
    pub fn remove(&mut self, name: &str) {
        self.0.retain(|(key, _)| !key.eq_ignore_ascii_case(name));
    }

    /// Iterates over the header lines as received.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// Tells whether a comma-separated header names a token, whatever its case.
    pub fn has_token(&self, name: &str, token: &str) -> bool {
        self.iter()
            .filter(|(key, _)| key.eq_ignore_ascii_case(name))
            .flat_map(|(_, value)| value.split(','))
            .any(|part| part.trim().eq_ignore_ascii_case(token))
    }

    fn from_parsed(parsed: &[httparse::Header<'_>]) -> Self {
        Self(
            parsed
                .iter()
                .map(|line| (line.name.to_owned(), String::from_utf8_lossy(line.value).into_owned()))
                .collect(),
        )
    }

    fn write_to(&self, text: &mut String) {
        for (name, value) in self.iter() {
            // Writing into a String cannot fail.
            let _ = write!(text, "{name}: {value}\r\n");
        }
        text.push_str("\r\n");
    }

    fn length(&self) -> Result<Option<u64>> {
        self.get("content-length")
            .map(|value| value.trim().parse().with_context(|| format!("content-length {value:?}")))
            .transpose()
    }
}

impl RequestHead {
    /// Returns the head as bytes for the wire.
    pub fn encode(&self) -> Vec<u8> {
        let mut text = format!("{} {} HTTP/1.1\r\n", self.method, self.target);
        self.headers.write_to(&mut text);
        text.into_bytes()
    }

    /// Tells how the end of this request's body is known.
    ///
    /// # Errors
    ///
    /// A length that isn't a number.
    pub fn framing(&self) -> Result<Framing> {
        if self.headers.has_token("transfer-encoding", "chunked") {
            return Ok(Framing::Chunked);
        }
        Ok(Framing::Length(self.headers.length()?.unwrap_or(0)))
    }

    /// Tells whether the client asks for another protocol, as attach and exec do.
    pub fn wants_upgrade(&self) -> bool {
        self.headers.has_token("connection", "upgrade")
    }
}

impl ResponseHead {
    /// Returns the head as bytes for the wire.
    pub fn encode(&self) -> Vec<u8> {
        let mut text = format!("HTTP/1.1 {} {}\r\n", self.status, self.reason);
        self.headers.write_to(&mut text);
        text.into_bytes()
    }

    /// Tells how the end of this response's body is known; `method` is that of its request.
    ///
    /// # Errors
    ///
    /// A length that isn't a number.
    pub fn framing(&self, method: &str) -> Result<Framing> {
        if method == "HEAD" || self.status < 200 || self.status == 204 || self.status == 304 {
            return Ok(Framing::Length(0));
        }
        if self.headers.has_token("transfer-encoding", "chunked") {
            return Ok(Framing::Chunked);
        }
        Ok(self.headers.length()?.map_or(Framing::UntilClose, Framing::Length))
    }

    /// Tells whether this head announces another one for the same request (100, 103).
    pub fn is_interim(&self) -> bool {
        (100..200).contains(&self.status) && self.status != 101
    }
}

impl Body {
    /// Starts a body that ends as `framing` says.
    pub fn new(framing: Framing) -> Self {
        Self { framing, chunk_left: 0, in_trailers: false, done: framing == Framing::Length(0) }
    }

    /// Tells whether the end has been read.
    pub fn is_done(&self) -> bool {
        self.done
    }
}

impl<R: AsyncRead + Unpin> Reader<R> {
    /// Reads from `io`, which must be at the start of a head.
    pub fn new(io: R) -> Self {
        Self { io, buffer: BytesMut::with_capacity(READ_SIZE) }
    }

    /// The inner reader, for bytes after those that are buffered.
    pub fn by_io(&mut self) -> &mut R {
        &mut self.io
    }

    /// Returns what was read but not used yet, and the source.
    pub fn into_parts(self) -> (R, BytesMut) {
        (self.io, self.buffer)
    }

    /// Reads more bytes into the buffer; returns how many, 0 at the end of the stream.
    ///
    /// # Errors
    ///
    /// The read fails.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future loses nothing.
    pub async fn fill(&mut self) -> Result<usize> {
        self.buffer.reserve(READ_SIZE);
        self.io.read_buf(&mut self.buffer).await.context("read from the socket")
    }

    /// Tells how many bytes are buffered.
    pub fn buffered(&self) -> usize {
        self.buffer.len()
    }

    /// Takes whatever is buffered.
    pub fn take_buffered(&mut self) -> Bytes {
        self.buffer.split().freeze()
    }

    /// Reads the head of a request; `None` when the peer closed the connection between two requests.
    ///
    /// # Errors
    ///
    /// The read fails, the head is not HTTP/1, too long, or cut short.
    pub async fn request_head(&mut self) -> Result<Option<RequestHead>> {
        loop {
            let mut lines = [httparse::EMPTY_HEADER; MAX_HEADERS];
            let mut request = httparse::Request::new(&mut lines);
            if let httparse::Status::Complete(length) =
                request.parse(&self.buffer).context("parse a request head")?
            {
                let head = RequestHead {
                    method: request.method.unwrap_or_default().to_owned(),
                    target: request.path.unwrap_or_default().to_owned(),
                    headers: Headers::from_parsed(request.headers),
                };
                self.buffer.advance(length);
                return Ok(Some(head));
            }
            if !self.more_of_head().await? {
                return Ok(None);
            }
        }
    }

    /// Reads the head of a response.
    ///
    /// # Errors
    ///
    /// The read fails, the head is not HTTP/1, too long, or cut short.
    pub async fn response_head(&mut self) -> Result<ResponseHead> {
        loop {
            let mut lines = [httparse::EMPTY_HEADER; MAX_HEADERS];
            let mut response = httparse::Response::new(&mut lines);
            if let httparse::Status::Complete(length) =
                response.parse(&self.buffer).context("parse a response head")?
            {
                let head = ResponseHead {
                    status: response.code.unwrap_or_default(),
                    reason: response.reason.unwrap_or_default().to_owned(),
                    headers: Headers::from_parsed(response.headers),
                };
                self.buffer.advance(length);
                return Ok(head);
            }
            ensure!(self.more_of_head().await?, "the server closed the connection before it answered");
        }
    }

    async fn more_of_head(&mut self) -> Result<bool> {
        ensure!(self.buffer.len() <= MAX_HEAD, "a head longer than {MAX_HEAD} bytes");
        if self.fill().await? > 0 {
            return Ok(true);
        }
        ensure!(self.buffer.is_empty(), "the connection was closed in the middle of a head");
        Ok(false)
    }

    /// Reads the next piece of a body's content, without its framing; `None` at its end.
    ///
    /// # Errors
    ///
    /// The read fails, the framing is broken, or the connection is closed before the body's end.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future loses nothing: a piece leaves the buffer when it is returned.
    pub async fn body_piece(&mut self, body: &mut Body) -> Result<Option<Bytes>> {
        if body.done {
            return Ok(None);
        }
        match body.framing {
            Framing::Length(left) => {
                let piece = self.up_to(left).await?;
                let left = left - piece.len() as u64;
                body.framing = Framing::Length(left);
                body.done = left == 0;
                Ok(Some(piece))
            }
            Framing::UntilClose => {
                if self.buffer.is_empty() && self.fill().await? == 0 {
                    body.done = true;
                    return Ok(None);
                }
                Ok(Some(self.take_buffered()))
            }
            Framing::Chunked => self.chunked_piece(body).await,
        }
    }

    /// Reads the rest of a body.
    ///
    /// # Errors
    ///
    /// As [`Reader::body_piece`].
    pub async fn body_to_end(&mut self, body: &mut Body) -> Result<Bytes> {
        let mut whole = BytesMut::new();
        while let Some(piece) = self.body_piece(body).await? {
            if whole.is_empty() && body.done {
                return Ok(piece);
            }
            whole.extend_from_slice(&piece);
        }
        Ok(whole.freeze())
    }

    async fn chunked_piece(&mut self, body: &mut Body) -> Result<Option<Bytes>> {
        if body.chunk_left == 0 && !body.in_trailers {
            body.chunk_left = self.chunk_size().await?;
            body.in_trailers = body.chunk_left == 0;
        }
        if body.in_trailers {
            self.trailers().await?;
            body.done = true;
            return Ok(None);
        }
        // The line end behind the last byte of a chunk is taken together with it, so that a cancelled read never
        // stands between the two.
        if self.buffer.is_empty() {
            ensure!(self.fill().await? > 0, "the connection was closed in the middle of a chunk");
        }
        let available = self.buffer.len() as u64;
        if available >= body.chunk_left {
            let length = usize::try_from(body.chunk_left)?;
            while self.buffer.len() < length + 2 {
                ensure!(self.fill().await? > 0, "the connection was closed behind a chunk");
            }
            let piece = self.buffer.split_to(length).freeze();
            ensure!(self.buffer.starts_with(b"\r\n"), "a chunk without a line end");
            self.buffer.advance(2);
            body.chunk_left = 0;
            return Ok(Some(piece));
        }
        body.chunk_left -= available;
        Ok(Some(self.take_buffered()))
    }

    async fn up_to(&mut self, limit: u64) -> Result<Bytes> {
        if self.buffer.is_empty() {
            ensure!(
                self.fill().await? > 0,
                "the connection was closed {limit} bytes before the end of a body"
            );
        }
        let length = usize::try_from(limit).unwrap_or(usize::MAX).min(self.buffer.len());
        Ok(self.buffer.split_to(length).freeze())
    }

    async fn chunk_size(&mut self) -> Result<u64> {
        let line = self.line().await?;
        let digits = line.split(';').next().unwrap_or_default().trim();
        u64::from_str_radix(digits, 16).with_context(|| format!("chunk size {line:?}"))
    }

    async fn trailers(&mut self) -> Result<()> {
        while !self.line().await?.is_empty() {}
        Ok(())
    }

    async fn line(&mut self) -> Result<String> {
        loop {
            if let Some(end) = self.buffer.windows(2).position(|pair| pair == b"\r\n") {
                let line = String::from_utf8_lossy(&self.buffer[..end]).into_owned();
                self.buffer.advance(end + 2);
                return Ok(line);
            }
            ensure!(self.buffer.len() <= MAX_CHUNK_LINE, "a chunk line longer than {MAX_CHUNK_LINE} bytes");
            if self.fill().await? == 0 {
                bail!("the connection was closed between two chunks");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Gives its bytes one by one, as the worst socket would.
    struct Drip(Vec<u8>, usize);

    impl AsyncRead for Drip {
        fn poll_read(
            mut self: std::pin::Pin<&mut Self>,
            _: &mut std::task::Context<'_>,
            buffer: &mut tokio::io::ReadBuf<'_>,
        ) -> std::task::Poll<std::io::Result<()>> {
            if let Some(byte) = self.0.get(self.1).copied() {
                buffer.put_slice(&[byte]);
                self.1 += 1;
            }
            std::task::Poll::Ready(Ok(()))
        }
    }

    async fn read(text: &str, method: &str) -> Result<(ResponseHead, Bytes, usize)> {
        let mut reader = Reader::new(Drip(text.as_bytes().to_vec(), 0));
        let head = loop {
            let head = reader.response_head().await?;
            if !head.is_interim() {
                break head;
            }
        };
        let mut body = Body::new(head.framing(method)?);
        let content = reader.body_to_end(&mut body).await?;
        let rest = reader.io.0.len() - reader.io.1 + reader.buffered();
        Ok((head, content, rest))
    }

    #[tokio::test]
    async fn every_framing_is_read_to_its_end_and_not_beyond() {
        let cases = [
            ("GET", "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabcREST", "abc", 4),
            (
                "GET",
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\na;x=y\r\n0123456789\r\n0\r\n\r\nR",
                "abc0123456789",
                1,
            ),
            ("GET", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nTrailer: x\r\n\r\n", "", 0),
            ("GET", "HTTP/1.0 200 OK\r\n\r\nuntil the end", "until the end", 0),
            ("GET", "HTTP/1.1 204 No Content\r\n\r\nR", "", 1),
            ("HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nR", "", 1),
            ("POST", "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n", "", 0),
        ];
        for (method, text, content, rest) in cases {
            let (_, found, left) = read(text, method).await.expect(text);
            assert_eq!((found.as_ref(), left), (content.as_bytes(), rest), "{text:?}");
        }
    }

    #[tokio::test]
    async fn what_is_cut_short_or_broken_is_an_error() {
        let cases = [
            "",
            "HTTP/1.1 200 OK\r\nContent-Le",
            "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nabc",
            "HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\nabc",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabc",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabcXX",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n",
            "not http\r\n\r\n",
        ];
        for text in cases {
            assert!(read(text, "GET").await.is_err(), "{text:?} was read as if nothing were wrong");
        }
    }

    #[tokio::test]
    async fn a_request_head_is_read_as_it_was_sent() {
        let text = "POST /v1.41/exec/x/start?a=b HTTP/1.1\r\nHost: docker\r\nConnection: Upgrade\r\nUpgrade: tcp\r\nContent-Length: 2\r\n\r\n{}";
        let mut reader = Reader::new(text.as_bytes());
        let head = reader.request_head().await.expect("a head").expect("a request");
        assert_eq!(head.encode(), &text.as_bytes()[..text.len() - 2]);
        assert!(head.wants_upgrade());
        assert_eq!(head.framing().expect("a framing"), Framing::Length(2));
        let body = reader.body_to_end(&mut Body::new(Framing::Length(2))).await.expect("a body");
        assert_eq!(body.as_ref(), b"{}");
        assert_eq!(reader.request_head().await.expect("the end"), None);
    }
}
