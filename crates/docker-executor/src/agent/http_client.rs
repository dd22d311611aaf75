//! One HTTP connection to the agent, over TCP or its Unix socket. Calls on it are made one after the other.

use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HOST};
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use mesos_proto::Message as _;
use mesos_proto::executor::Call;
use tokio::net::{TcpStream, UnixStream};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::record_io::RecordError;
use crate::environment::{Endpoint, HttpApi};

/// How long a connect may take.
const CONNECT: Duration = Duration::from_secs(10);

/// How long the agent may take to answer a call.
const ANSWER: Duration = Duration::from_secs(30);

/// How much of a refusal is read, in bytes.
const REFUSAL: usize = 4096;

const PROTOBUF: HeaderValue = HeaderValue::from_static("application/x-protobuf");

/// What went wrong with the agent's HTTP API.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HttpError {
    /// No connection.
    #[error("cannot connect to the agent")]
    Connect(#[source] std::io::Error),
    /// The connection broke.
    #[error("the connection to the agent broke")]
    Broken(#[from] hyper::Error),
    /// No answer in time.
    #[error("the agent did not answer within {0:?}")]
    Silent(Duration),
    /// The agent answered with something else than success.
    #[error("the agent refused a call with {status}: {text}")]
    Refused {
        /// The status.
        status: StatusCode,
        /// The beginning of what it said.
        text: String,
    },
    /// The stream of events is none.
    #[error("the agent's stream of events cannot be read")]
    Record(#[from] RecordError),
    /// An event is none.
    #[error("an event of the agent cannot be read")]
    Event(#[source] prost::DecodeError),
    /// The agent ended the stream of events.
    #[error("the agent ended the stream of events")]
    Ended,
}

/// A connection. It is closed when this is dropped.
#[derive(Debug)]
pub(super) struct Connection {
    sender: SendRequest<Full<Bytes>>,
    driver: JoinHandle<()>,
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

impl Connection {
    /// Connects.
    pub(super) async fn open(endpoint: &Endpoint) -> Result<Self, HttpError> {
        match endpoint {
            Endpoint::Tcp(address) => {
                let stream = within(TcpStream::connect(address)).await?;
                // Small messages that are waited for.
                stream.set_nodelay(true).map_err(HttpError::Connect)?;
                Self::begin(stream).await
            }
            Endpoint::Unix(path) => Self::begin(within(UnixStream::connect(path)).await?).await,
        }
    }

    async fn begin<S>(stream: S) -> Result<Self, HttpError>
    where
        S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
    {
        let (sender, connection) = handshake(TokioIo::new(stream)).await?;
        let driver = tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "a connection to the agent ended");
            }
        });
        Ok(Self { sender, driver })
    }

    /// Makes a call; answers the agent's response, which is a success.
    pub(super) async fn call(
        &mut self,
        path: &str,
        api: &HttpApi,
        call: &Call,
    ) -> Result<Response<Incoming>, HttpError> {
        let host = match &api.endpoint {
            Endpoint::Tcp(address) => HeaderValue::try_from(address.as_str()).ok(),
            Endpoint::Unix(_) => None,
        };
        let mut request = Request::new(Full::new(Bytes::from(call.encode_to_vec())));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = path.parse().unwrap_or_default();
        let headers = request.headers_mut();
        headers.insert(HOST, host.unwrap_or(HeaderValue::from_static("localhost")));
        headers.insert(CONTENT_TYPE, PROTOBUF);
        headers.insert(ACCEPT, PROTOBUF);
        let token =
            api.token.as_ref().map(|token| HeaderValue::try_from(format!("Bearer {}", token.expose())));
        if let Some(Ok(mut token)) = token {
            token.set_sensitive(true);
            headers.insert(AUTHORIZATION, token);
        }
        let answered = async {
            self.sender.ready().await?;
            let response = self.sender.send_request(request).await?;
            if response.status().is_success() {
                return Ok(response);
            }
            let status = response.status();
            let text = match Limited::new(response.into_body(), REFUSAL).collect().await {
                Ok(body) => String::from_utf8_lossy(&body.to_bytes()).into_owned(),
                Err(_) => String::new(),
            };
            Err(HttpError::Refused { status, text })
        };
        timeout(ANSWER, answered).await.unwrap_or(Err(HttpError::Silent(ANSWER)))
    }
}

async fn within<T>(connect: impl Future<Output = std::io::Result<T>>) -> Result<T, HttpError> {
    let late = || Err(std::io::ErrorKind::TimedOut.into());
    timeout(CONNECT, connect).await.unwrap_or_else(|_| late()).map_err(HttpError::Connect)
}
