//! The handle to one Docker Engine: connecting, agreeing on a version, and the one place that puts a deadline on
//! every call.

use std::fmt;
use std::future::Future;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::de::DeserializeOwned;
use tokio::sync::{Semaphore, SemaphorePermit};

use crate::error::{EngineError, ErrorKind, Op};
use crate::options::{Deadlines, EngineOptions};
use crate::transport::{Answer, Call, Transport, TransportError, bollard_client};
use crate::version::{ApiVersion, negotiate};

/// A Docker Engine. Cloning is cheap; clones share connections and the limits on calls in flight.
///
/// Every verb takes a deadline for the whole call and returns an [`EngineError`] with what was tried on what. After
/// `Timeout` and `StreamBroken` the outcome is unknown ([`EngineError::outcome_unknown`]): inspect before anything
/// else.
///
/// # Cancel safety
///
/// Every future may be dropped at any time. The connection it used is closed, which ends reads, waits and pulls in
/// the engine. A create, start, kill, update or remove that the engine has already read goes on there, so its outcome
/// is unknown, as after a timeout.
#[derive(Clone)]
pub struct Engine {
    inner: Arc<Inner>,
}

struct Inner {
    transport: Arc<Transport>,
    bollard: bollard::Docker,
    api: ApiVersion,
    server_version: String,
    deadlines: Deadlines,
    /// The socket's path as text, the subject of errors about the engine itself.
    name: String,
    creates: Semaphore,
    starts: Semaphore,
}

impl fmt::Debug for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Engine")
            .field("socket", &self.inner.name)
            .field("api", &self.inner.api)
            .finish_non_exhaustive()
    }
}

/// Which of the bounded operations a call belongs to.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Turn {
    Create,
    Start,
}

impl Engine {
    /// Finds the engine and agrees on an API version with it (`GET /version`).
    ///
    /// # Errors
    ///
    /// `Unreachable` with a hint when nobody answers, `Incompatible` with the remedy when there is no common version,
    /// `Timeout` after [`EngineOptions::connect_deadline`].
    pub async fn connect(options: EngineOptions) -> Result<Self, EngineError> {
        let name = options.socket.display().to_string();
        let transport = Transport::new(
            options.socket,
            options.max_idle_connections,
            options.idle_timeout,
            options.headers,
        );
        let transport = Arc::new(transport);
        let call = Call::get("/version");
        let answer = within(Op::Connect, &name, options.connect_deadline, async {
            let answer = transport.call(&call).await;
            answer
                .map_err(|error| error.at(Op::Connect, &name, transport.socket()))?
                .success(Op::Connect, &name)
        })
        .await?;
        let version: wire::Version = decode(&answer, Op::Connect, &name)?;
        let api = agree(&version, &name)?;
        transport.speak(api);
        let bollard = bollard_client(&transport)?;
        tracing::debug!(socket = name, server = version.version, %api, "connected to Docker Engine");
        Ok(Self {
            inner: Arc::new(Inner {
                transport,
                bollard,
                api,
                server_version: version.version,
                deadlines: options.deadlines,
                name,
                creates: Semaphore::new(options.max_creates_in_flight.max(1)),
                starts: Semaphore::new(options.max_starts_in_flight.max(1)),
            }),
        })
    }

    /// Returns the API version that is spoken, 1.40 to 1.51. Inspections come in it.
    pub fn api(&self) -> ApiVersion {
        self.inner.api
    }

    /// Returns the engine's own version, as it was when we connected.
    pub fn server_version(&self) -> &str {
        &self.inner.server_version
    }

    /// Returns the path of the engine's socket.
    pub fn socket(&self) -> &Path {
        self.inner.transport.socket()
    }

    /// Returns the deadlines that the options gave.
    pub fn deadlines(&self) -> &Deadlines {
        &self.inner.deadlines
    }

    /// Asks the engine whether it answers (`GET /_ping`).
    ///
    /// # Errors
    ///
    /// `Unreachable`, `Timeout`, `StreamBroken`, or what the engine says instead.
    pub async fn ping(&self, deadline: Duration) -> Result<(), EngineError> {
        self.call(Op::Ping, self.name(), deadline, &Call::get("/_ping")).await.map(drop)
    }

    pub(crate) fn name(&self) -> &str {
        &self.inner.name
    }

    pub(crate) fn bollard(&self) -> &bollard::Docker {
        &self.inner.bollard
    }

    pub(crate) fn transport(&self) -> &Transport {
        &self.inner.transport
    }

    /// Sends a call and expects a success (or `304`), within the deadline.
    pub(crate) async fn call(
        &self,
        op: Op,
        subject: &str,
        deadline: Duration,
        call: &Call,
    ) -> Result<Answer, EngineError> {
        within(op, subject, deadline, async {
            let answer = self.transport().call(call).await;
            answer.map_err(|error| self.failed(&error, op, subject))?.success(op, subject)
        })
        .await
    }

    /// Sends a call and reads the JSON of its answer, within the deadline.
    pub(crate) async fn call_json<T: DeserializeOwned>(
        &self,
        op: Op,
        subject: &str,
        deadline: Duration,
        call: &Call,
    ) -> Result<T, EngineError> {
        decode(&self.call(op, subject, deadline, call).await?, op, subject)
    }

    /// Waits for a turn among the creates or starts. The wait has the operation's deadline of its own.
    pub(crate) async fn turn(
        &self,
        turn: Turn,
        subject: &str,
        deadline: Duration,
    ) -> Result<SemaphorePermit<'_>, EngineError> {
        let (op, turns) = match turn {
            Turn::Create => (Op::Create, &self.inner.creates),
            Turn::Start => (Op::Start, &self.inner.starts),
        };
        if let Ok(permit) = turns.try_acquire() {
            return Ok(permit);
        }
        let since = Instant::now();
        let turn = tokio::time::timeout(deadline, turns.acquire()).await;
        tracing::debug!(%op, subject, queued_ms = since.elapsed().as_millis(), "waited for a turn");
        match turn {
            Ok(Ok(permit)) => Ok(permit),
            // The semaphores are never closed; either way nothing was sent.
            Ok(Err(_)) | Err(_) => Err(EngineError::new(op, subject, ErrorKind::Queued { after: deadline })),
        }
    }

    /// Gives a transport error its operation and subject.
    pub(crate) fn failed(&self, error: &TransportError, op: Op, subject: &str) -> EngineError {
        error.at(op, subject, self.socket())
    }
}

/// Puts a deadline on a call.
pub(crate) async fn within<T>(
    op: Op,
    subject: &str,
    deadline: Duration,
    call: impl Future<Output = Result<T, EngineError>>,
) -> Result<T, EngineError> {
    match tokio::time::timeout(deadline, call).await {
        Ok(result) => result,
        Err(_) => Err(EngineError::new(op, subject, ErrorKind::Timeout { after: deadline })),
    }
}

/// Reads the JSON of an answer.
pub(crate) fn decode<T: DeserializeOwned>(answer: &Answer, op: Op, subject: &str) -> Result<T, EngineError> {
    serde_json::from_slice(&answer.body).map_err(|error| unreadable(op, subject, &error))
}

/// Makes the error of JSON that has not the promised form. The JSON is not quoted: it may hold secrets.
pub(crate) fn unreadable(op: Op, subject: &str, error: &serde_json::Error) -> EngineError {
    let detail = format!("unexpected JSON at line {} column {}", error.line(), error.column());
    EngineError::new(op, subject, ErrorKind::Protocol { detail })
}

fn agree(version: &wire::Version, name: &str) -> Result<ApiVersion, EngineError> {
    let protocol = |detail: String| EngineError::new(Op::Connect, name, ErrorKind::Protocol { detail });
    let newest: ApiVersion = version.api_version.parse().map_err(|error| protocol(format!("{error}")))?;
    let oldest = version.min_api_version.as_deref().and_then(|text| text.parse().ok());
    negotiate(newest, oldest).map_err(|none| {
        EngineError::new(
            Op::Connect,
            name,
            ErrorKind::Incompatible { message: none.message, hint: none.hint },
        )
    })
}

mod wire {
    //! The answer of `GET /version`, as far as it matters here.

    use serde::Deserialize;

    #[derive(Debug, Deserialize)]
    pub(super) struct Version {
        #[serde(rename = "Version", default)]
        pub(super) version: String,
        #[serde(rename = "ApiVersion")]
        pub(super) api_version: String,
        #[serde(rename = "MinAPIVersion", default)]
        pub(super) min_api_version: Option<String>,
    }
}
