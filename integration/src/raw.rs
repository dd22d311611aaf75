//! Owns the bare HTTP client that the benchmarks compare with and the tests use as an oracle: one Unix socket, kept
//! alive, one request at a time. It knows nothing of the crates under test.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use bytes::Bytes;
use serde_json::Value;
use tokio::io::AsyncWriteExt as _;
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::time::timeout;

use crate::http1::{Body, Framing, Headers, Reader, RequestHead, ResponseHead};

/// How long one request may take unless the caller says otherwise.
const DEFAULT_DEADLINE: Duration = Duration::from_secs(60);

/// A keep-alive connection to an engine's Unix socket.
#[derive(Debug)]
pub struct RawClient {
    socket: PathBuf,
    prefix: String,
    deadline: Duration,
    connection: Option<Connection>,
}

/// A whole answer of the engine.
#[derive(Debug)]
pub struct Response {
    /// Status line and headers.
    pub head: ResponseHead,
    /// The body's content.
    pub body: Bytes,
}

/// An answer whose body is still being received.
#[derive(Debug)]
pub struct Stream {
    /// Status line and headers.
    pub head: ResponseHead,
    reader: Reader<OwnedReadHalf>,
    writer: OwnedWriteHalf,
    body: Body,
    deadline: Duration,
}

#[derive(Debug)]
struct Connection {
    reader: Reader<OwnedReadHalf>,
    writer: OwnedWriteHalf,
}

impl RawClient {
    /// Makes a client of the socket; nothing is connected until the first request.
    pub fn new(socket: impl AsRef<Path>) -> Self {
        Self {
            socket: socket.as_ref().to_owned(),
            prefix: String::new(),
            deadline: DEFAULT_DEADLINE,
            connection: None,
        }
    }

    /// Puts a deadline on every request from now on.
    #[must_use]
    pub fn with_deadline(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    /// Asks the engine for its newest API version and puts it before every later path, as `/v1.41`.
    ///
    /// # Errors
    ///
    /// The engine doesn't answer.
    pub async fn negotiate(&mut self) -> Result<String> {
        let response = self.get("/_ping").await?;
        let version = response.head.headers.get("api-version").context("an answer without Api-Version")?;
        self.prefix = format!("/v{version}");
        Ok(version.to_owned())
    }

    /// GET.
    ///
    /// # Errors
    ///
    /// As [`RawClient::request`].
    pub async fn get(&mut self, path: &str) -> Result<Response> {
        self.request("GET", path, None).await
    }

    /// POST with a JSON body.
    ///
    /// # Errors
    ///
    /// As [`RawClient::request`].
    pub async fn post(&mut self, path: &str, body: &Value) -> Result<Response> {
        self.request("POST", path, Some(("application/json", body.to_string().as_bytes()))).await
    }

    /// POST without a body.
    ///
    /// # Errors
    ///
    /// As [`RawClient::request`].
    pub async fn post_empty(&mut self, path: &str) -> Result<Response> {
        self.request("POST", path, None).await
    }

    /// DELETE.
    ///
    /// # Errors
    ///
    /// As [`RawClient::request`].
    pub async fn delete(&mut self, path: &str) -> Result<Response> {
        self.request("DELETE", path, None).await
    }

    /// Sends a request and reads the whole answer, whatever its status. `path` starts with a slash; `body` is a
    /// content type and the bytes.
    ///
    /// # Errors
    ///
    /// The engine can't be reached, breaks the protocol, or isn't done within the deadline; the outcome is unknown
    /// then.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future closes the connection; the next request opens another.
    pub async fn request(
        &mut self,
        method: &str,
        path: &str,
        body: Option<(&str, &[u8])>,
    ) -> Result<Response> {
        let deadline = self.deadline;
        timeout(deadline, self.exchange(method, path, body))
            .await
            .with_context(|| format!("{method} {path}: no answer within {deadline:?}"))?
            .with_context(|| format!("{method} {path}"))
    }

    /// Sends a request on a connection of its own and returns as soon as the head of the answer is there; for
    /// logs, events, attach. The deadline then holds for each piece of the body.
    ///
    /// # Errors
    ///
    /// As [`RawClient::request`].
    pub async fn stream(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: Option<(&str, &[u8])>,
    ) -> Result<Stream> {
        let opened = async {
            let mut connection = Connection::open(&self.socket).await?;
            connection.send(method, &format!("{}{path}", self.prefix), headers, body).await?;
            let head = connection.final_head().await?;
            let framing = if head.status == 101 { Framing::UntilClose } else { head.framing(method)? };
            let Connection { reader, writer } = connection;
            anyhow::Ok(Stream { head, reader, writer, body: Body::new(framing), deadline: self.deadline })
        };
        timeout(self.deadline, opened)
            .await
            .with_context(|| format!("{method} {path}: no answer within {:?}", self.deadline))?
            .with_context(|| format!("{method} {path}"))
    }

    async fn exchange(&mut self, method: &str, path: &str, body: Option<(&str, &[u8])>) -> Result<Response> {
        // Taken out, so that a request that was given up leaves no half-read connection behind.
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => Connection::open(&self.socket).await?,
        };
        connection.send(method, &format!("{}{path}", self.prefix), &[], body).await?;
        let head = connection.final_head().await?;
        let framing = head.framing(method)?;
        let content = connection.reader.body_to_end(&mut Body::new(framing)).await?;
        let closes = framing == Framing::UntilClose || head.headers.has_token("connection", "close");
        if !closes {
            self.connection = Some(connection);
        }
        Ok(Response { head, body: content })
    }
}

impl Connection {
    async fn open(socket: &Path) -> Result<Self> {
        let stream = UnixStream::connect(socket)
            .await
            .with_context(|| format!("connect to the engine's socket {}", socket.display()))?;
        let (read, writer) = stream.into_split();
        Ok(Self { reader: Reader::new(read), writer })
    }

    async fn send(
        &mut self,
        method: &str,
        target: &str,
        extra: &[(&str, &str)],
        body: Option<(&str, &[u8])>,
    ) -> Result<()> {
        let mut headers = Headers::default();
        headers.push("Host", "docker");
        for (name, value) in extra {
            headers.push(*name, *value);
        }
        if let Some((kind, content)) = body {
            headers.push("Content-Type", kind);
            headers.push("Content-Length", content.len().to_string());
        }
        let head = RequestHead { method: method.to_owned(), target: target.to_owned(), headers };
        let mut message = head.encode();
        if let Some((_, content)) = body {
            message.extend_from_slice(content);
        }
        self.writer.write_all(&message).await.context("send the request")
    }

    async fn final_head(&mut self) -> Result<ResponseHead> {
        loop {
            let head = self.reader.response_head().await?;
            if !head.is_interim() {
                return Ok(head);
            }
        }
    }
}

impl Response {
    /// Returns the answer if its status is one of a success (2xx, or 304 for 'already so').
    ///
    /// # Errors
    ///
    /// Any other status, with the engine's sentence.
    pub fn ok(self) -> Result<Self> {
        let status = self.head.status;
        ensure!(
            (200..300).contains(&status) || status == 304,
            "the engine answered {status}: {}",
            self.text()
        );
        Ok(self)
    }

    /// Parses the body as JSON.
    ///
    /// # Errors
    ///
    /// A status that isn't one of a success, or a body that isn't JSON.
    pub fn json(self) -> Result<Value> {
        let response = self.ok()?;
        serde_json::from_slice(&response.body).with_context(|| format!("JSON expected: {}", response.text()))
    }

    /// Returns the status code.
    pub fn status(&self) -> u16 {
        self.head.status
    }

    /// Returns the body as text, for messages.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).trim_end().to_owned()
    }
}

impl Stream {
    /// Reads the next piece of the body; `None` at its end.
    ///
    /// # Errors
    ///
    /// Nothing within the deadline, or the connection breaks before the body's end.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future loses nothing.
    pub async fn next(&mut self) -> Result<Option<Bytes>> {
        match timeout(self.deadline, self.reader.body_piece(&mut self.body)).await {
            Ok(piece) => piece,
            Err(_) => bail!("nothing received within {:?}", self.deadline),
        }
    }

    /// Reads pieces until their sum satisfies `enough`, and returns it.
    ///
    /// # Errors
    ///
    /// As [`Stream::next`]; also when the body ends first.
    pub async fn read_until(&mut self, enough: impl Fn(&[u8]) -> bool) -> Result<Vec<u8>> {
        let mut whole = Vec::new();
        while !enough(&whole) {
            let piece = self.next().await?;
            let Some(piece) = piece else {
                bail!("the body ended first, with {:?}", String::from_utf8_lossy(&whole))
            };
            whole.extend_from_slice(&piece);
        }
        Ok(whole)
    }

    /// Sends raw bytes to the engine, on an upgraded connection.
    ///
    /// # Errors
    ///
    /// The write fails.
    pub async fn send(&mut self, content: &[u8]) -> Result<()> {
        timeout(self.deadline, self.writer.write_all(content)).await.context("send: deadline passed")??;
        Ok(())
    }
}
