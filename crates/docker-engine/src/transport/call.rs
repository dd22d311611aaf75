//! Requests and answers, and the one place that sends them.

use std::error::Error as StdError;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::header::{CONNECTION, CONTENT_TYPE, HOST, RETRY_AFTER, UPGRADE, USER_AGENT};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::client::conn::TrySendError;

use super::connection::{Buffers, Connection, StreamBody};
use super::pool::Pool;
use crate::error::{EngineError, ErrorKind, Op};
use crate::extra_headers::ExtraHeaders;
use crate::socket::connect_hint;
use crate::version::ApiVersion;

/// The largest answer that is read into memory. An inspection is some ten KiB, a list of 10 000 containers some ten
/// MiB.
const MAX_ANSWER: usize = 64 * 1024 * 1024;

/// The header that carries registry credentials.
pub(super) const REGISTRY_AUTH: &str = "x-registry-auth";

/// Whether a call may be sent a second time when the connection broke before the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Repeat {
    /// Twice does what once does.
    Safe,
    /// A second one could do harm: a start could run a task twice.
    Never,
}

/// One request: the path begins after the version.
#[derive(Debug, Clone)]
pub(crate) struct Call {
    pub(super) method: Method,
    pub(super) path: String,
    pub(super) body: Bytes,
    pub(super) headers: HeaderMap,
    pub(super) repeat: Repeat,
}

impl Call {
    /// Makes a `GET`, which may be repeated.
    pub(crate) fn get(path: impl Into<String>) -> Self {
        Self::new(Method::GET, path.into(), Repeat::Safe)
    }

    /// Makes a `POST` without a body.
    pub(crate) fn post(path: impl Into<String>, repeat: Repeat) -> Self {
        Self::new(Method::POST, path.into(), repeat)
    }

    /// Makes a `DELETE`, which may be repeated.
    pub(crate) fn delete(path: impl Into<String>) -> Self {
        Self::new(Method::DELETE, path.into(), Repeat::Safe)
    }

    pub(super) fn new(method: Method, path: String, repeat: Repeat) -> Self {
        Self { method, path, body: Bytes::new(), headers: HeaderMap::new(), repeat }
    }

    /// Adds a JSON body.
    pub(crate) fn json(mut self, body: impl Into<Bytes>) -> Self {
        self.body = body.into();
        self.headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        self
    }

    /// Adds registry credentials.
    pub(crate) fn registry_auth(mut self, value: HeaderValue) -> Self {
        self.headers.insert(REGISTRY_AUTH, value);
        self
    }

    /// Asks to turn the connection into a plain byte stream.
    pub(crate) fn upgrade(mut self) -> Self {
        self.headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
        self.headers.insert(UPGRADE, HeaderValue::from_static("tcp"));
        self
    }

    fn request(&self, prefix: &str, extra: &ExtraHeaders) -> Result<Request<Full<Bytes>>, TransportError> {
        let mut request = Request::builder()
            .method(self.method.clone())
            .uri([prefix, &self.path].concat())
            .body(Full::new(self.body.clone()))
            .map_err(|error| TransportError::Malformed(error.to_string()))?;
        let headers = request.headers_mut();
        // The request's own win, as in the docker client.
        headers.clone_from(extra.as_map());
        headers.extend(self.headers.clone());
        headers.insert(HOST, HeaderValue::from_static("docker"));
        headers.insert(
            USER_AGENT,
            HeaderValue::from_static(concat!("mesos-docker/", env!("CARGO_PKG_VERSION"))),
        );
        Ok(request)
    }
}

/// A whole answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Answer {
    /// Reads the rest of an answer whose head is there.
    pub(crate) async fn read(response: Response<StreamBody>) -> Result<Self, TransportError> {
        let (head, mut body) = response.into_parts();
        let body = gather(&mut body).await?;
        Ok(Self { status: head.status, headers: head.headers, body })
    }

    /// Passes on a success and `304 Not Modified`; everything else becomes an error of `op` on `subject`.
    pub(crate) fn success(self, op: Op, subject: &str) -> Result<Self, EngineError> {
        if self.status.is_success() || self.status == StatusCode::NOT_MODIFIED {
            return Ok(self);
        }
        Err(self.failure(op, subject))
    }

    /// Makes the error of an answer that is not the one hoped for.
    pub(crate) fn failure(&self, op: Op, subject: &str) -> EngineError {
        EngineError::from_status(op, subject, self.status.as_u16(), &self.body, retry_after(&self.headers))
    }
}

/// Reads `Retry-After` in its form of seconds.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let secs: u64 = headers.get(RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()?;
    Some(Duration::from_secs(secs))
}

/// What went wrong below the answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TransportError {
    #[error("connect failed")]
    Connect(#[source] io::Error),
    #[error("the request cannot be written: {0}")]
    Malformed(String),
    /// The connection was dead before any of the request was written: the engine cannot have seen it.
    #[error("the connection was closed")]
    Unsent(#[source] hyper::Error),
    /// The connection broke after the request was written, so its outcome is unknown.
    #[error("the connection broke")]
    Broken(#[source] hyper::Error),
    #[error("the answer is larger than {MAX_ANSWER} bytes")]
    TooLarge,
}

impl TransportError {
    /// Gives the error its operation and subject.
    pub(crate) fn at(&self, op: Op, subject: &str, socket: &Path) -> EngineError {
        let kind = match self {
            Self::Connect(error) => ErrorKind::Unreachable { hint: connect_hint(socket, error) },
            Self::Malformed(detail) => ErrorKind::Invalid { detail: detail.clone() },
            Self::Broken(error) if error.is_parse() => ErrorKind::Protocol { detail: "not HTTP".to_owned() },
            Self::Unsent(_) | Self::Broken(_) => {
                ErrorKind::StreamBroken { detail: "before the answer was complete".to_owned() }
            }
            Self::TooLarge => ErrorKind::Protocol { detail: self.to_string() },
        };
        let made = EngineError::new(op, subject, kind);
        match self.source() {
            Some(source) => made.caused_by(source),
            None => made,
        }
    }

    /// Tells an error of sending apart: whether anything of the request can have arrived.
    ///
    /// hyper hands back a request that it never began to write. One that it wrote to a Unix socket whose other end is
    /// closed fails with `EPIPE`, and no byte has arrived.
    fn of_sending(error: TrySendError<Request<Full<Bytes>>>) -> Self {
        let unwritten = error.message().is_some();
        let error = error.into_error();
        if unwritten || is_broken_pipe(&error) { Self::Unsent(error) } else { Self::Broken(error) }
    }

    /// Says whether the call may be sent again on a new connection.
    fn may_repeat(&self, repeat: Repeat) -> bool {
        match self {
            Self::Unsent(_) => true,
            Self::Broken(_) => repeat == Repeat::Safe,
            Self::Connect(_) | Self::Malformed(_) | Self::TooLarge => false,
        }
    }
}

fn is_broken_pipe(error: &hyper::Error) -> bool {
    let mut source = error.source();
    while let Some(error) = source {
        if let Some(error) = error.downcast_ref::<io::Error>() {
            return error.kind() == io::ErrorKind::BrokenPipe;
        }
        source = error.source();
    }
    false
}

/// The way to one engine.
#[derive(Debug)]
pub(crate) struct Transport {
    socket: PathBuf,
    pool: Pool,
    headers: ExtraHeaders,
    /// `/v1.41`, once it is agreed.
    prefix: OnceLock<String>,
}

impl Transport {
    /// Makes the way to the engine behind `socket`. Nothing is sent.
    pub(crate) fn new(
        socket: PathBuf,
        max_idle: usize,
        idle_timeout: Duration,
        headers: ExtraHeaders,
    ) -> Self {
        Self { socket, pool: Pool::new(max_idle, idle_timeout), headers, prefix: OnceLock::new() }
    }

    /// Fixes the version that every later request is made in.
    pub(crate) fn speak(&self, version: ApiVersion) {
        // The first one stays: an engine handle speaks one version for its whole life.
        self.prefix.get_or_init(|| format!("/v{version}"));
    }

    /// Returns the socket's path.
    pub(crate) fn socket(&self) -> &Path {
        &self.socket
    }

    /// Sends a request on a kept connection and reads the whole answer.
    pub(crate) async fn call(&self, call: &Call) -> Result<Answer, TransportError> {
        if let Some(connection) = self.pool.take() {
            match self.exchange(connection, call).await {
                Err(error) if error.may_repeat(call.repeat) => {
                    tracing::debug!(
                        path = call.path,
                        "a kept connection was dead, sending again on a new one"
                    );
                }
                other => return other,
            }
        }
        self.exchange(Connection::open(&self.socket, Buffers::Adaptive).await?, call).await
    }

    /// Sends a request on a connection of its own and returns once the answer's head is there. The connection ends
    /// with the answer's body.
    pub(crate) async fn open(
        &self,
        call: &Call,
        buffers: Buffers,
    ) -> Result<Response<StreamBody>, TransportError> {
        let mut connection = Connection::open(&self.socket, buffers).await?;
        let response = self.send(&mut connection, call).await?;
        Ok(response.map(|body| StreamBody::new(body, connection.split().1)))
    }

    /// As [`Transport::open`], with a task that drives the connection, for somebody who reads or upgrades the answer
    /// without knowing of connections.
    pub(crate) async fn open_driven(&self, call: &Call) -> Result<Response<Incoming>, TransportError> {
        let mut sender = Connection::open(&self.socket, Buffers::Adaptive).await?.spawn();
        sender
            .try_send_request(call.request(self.prefix(), &self.headers)?)
            .await
            .map_err(TransportError::of_sending)
    }

    async fn exchange(&self, mut connection: Connection, call: &Call) -> Result<Answer, TransportError> {
        let (head, body) = self.send(&mut connection, call).await?.into_parts();
        let (sender, driver) = connection.split();
        let mut body = StreamBody::new(body, driver);
        let answer = Answer { status: head.status, headers: head.headers, body: gather(&mut body).await? };
        self.pool.put(Connection::join(sender, body.into_driver()));
        Ok(answer)
    }

    async fn send(
        &self,
        connection: &mut Connection,
        call: &Call,
    ) -> Result<Response<Incoming>, TransportError> {
        let request = call.request(self.prefix(), &self.headers)?;
        connection.send(request).await.map_err(TransportError::of_sending)
    }

    fn prefix(&self) -> &str {
        self.prefix.get().map_or("", String::as_str)
    }
}

/// Puts the pieces of a body together, copying only if there is more than one.
async fn gather(body: &mut StreamBody) -> Result<Bytes, TransportError> {
    let mut first = Bytes::new();
    let mut joined = BytesMut::new();
    while let Some(piece) = body.next_piece().await {
        let piece = piece.map_err(TransportError::Broken)?;
        if first.is_empty() {
            first = piece;
            continue;
        }
        if joined.is_empty() {
            joined.reserve((first.len() + piece.len()) * 2);
            joined.extend_from_slice(&first);
        }
        if joined.len() + piece.len() > MAX_ANSWER {
            return Err(TransportError::TooLarge);
        }
        joined.extend_from_slice(&piece);
    }
    Ok(if joined.is_empty() { first } else { joined.freeze() })
}
