//! bollard over our transport: the only file that touches bollard's types, besides the verbs that use it.
//!
//! bollard sends paths without a version and registry credentials in an alphabet that the engine does not decode;
//! both are put right here. Its own time limit is set aside, as every verb has a deadline. bollard writes request and
//! answer bodies to the log facade at debug level, so calls that can hold environment values never go this way.

use std::sync::Arc;

use bollard::errors::Error;
use bollard::{BollardRequest, ClientVersion, Docker};
use http::Response;
use http::header::{CONTENT_TYPE, HeaderMap};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;

use super::call::{Call, REGISTRY_AUTH, Repeat, Transport, TransportError};
use crate::credentials::url_safe;
use crate::error::{EngineError, ErrorKind, Op};

/// bollard's own limit, out of the way of our deadlines (30 days).
const NO_TIMEOUT_SECS: u64 = 30 * 24 * 3600;

/// Makes a bollard client that sends through `transport`.
pub(crate) fn bollard_client(transport: &Arc<Transport>) -> Result<Docker, EngineError> {
    let socket = transport.socket().display().to_string();
    let transport = Arc::clone(transport);
    Docker::connect_with_custom_transport(
        move |request: BollardRequest| send(Arc::clone(&transport), request),
        Some("http://docker"),
        NO_TIMEOUT_SECS,
        &ClientVersion { major_version: 1, minor_version: 0 },
    )
    .map_err(|error| from_bollard(error, Op::Connect, &socket, &socket))
}

async fn send(transport: Arc<Transport>, request: BollardRequest) -> Result<Response<Incoming>, Error> {
    let (head, body) = request.into_parts();
    let path = head.uri.path_and_query().map_or("/", |path| path.as_str()).to_owned();
    let mut call = Call::new(head.method, path, Repeat::Never);
    call.headers = corrected(&head.headers);
    call.body =
        body.collect().await.map_err(|err| Error::IOError { err: std::io::Error::other(err) })?.to_bytes();
    transport.open_driven(&call).await.map_err(|error| Error::IOError { err: std::io::Error::other(error) })
}

/// Keeps the headers that mean something to the engine, with credentials in the alphabet that it decodes.
fn corrected(headers: &HeaderMap) -> HeaderMap {
    let mut kept = HeaderMap::new();
    if let Some(value) = headers.get(CONTENT_TYPE) {
        kept.insert(CONTENT_TYPE, value.clone());
    }
    if let Some(value) = headers.get(REGISTRY_AUTH) {
        kept.insert(REGISTRY_AUTH, url_safe(value));
    }
    kept
}

/// Turns bollard's error into ours.
pub(crate) fn from_bollard(error: Error, op: Op, subject: &str, socket: &str) -> EngineError {
    match error {
        Error::DockerResponseServerError { status_code, message } => {
            EngineError::from_status(op, subject, status_code, message.as_bytes(), None)
        }
        Error::IOError { err } => {
            match err.get_ref().and_then(|inner| inner.downcast_ref::<TransportError>()) {
                Some(inner) => inner.at(op, subject, socket.as_ref()),
                None => broken(op, subject).caused_by(&err),
            }
        }
        Error::HyperResponseError { err } => broken(op, subject).caused_by(&err),
        other => EngineError::new(op, subject, ErrorKind::Protocol { detail: "unexpected form".into() })
            .caused_by(&other),
    }
}

fn broken(op: Op, subject: &str) -> EngineError {
    EngineError::new(
        op,
        subject,
        ErrorKind::StreamBroken { detail: "in the middle of the answer".to_owned() },
    )
}
