//! Owns the requests on a node's port that are no messages: they go to the handler of the node's owner.

use std::convert::Infallible;
use std::error::Error;
use std::fmt;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Body;

use crate::server::Connection;

/// Why a body of a response ended early.
pub type BoxError = Box<dyn Error + Send + Sync>;
/// A request. Its extensions have the [`PeerAddress`].
pub type HttpRequest = hyper::Request<hyper::body::Incoming>;
/// The body of a response. It may stream.
pub type HttpBody = UnsyncBoxBody<Bytes, BoxError>;
/// A response.
pub type HttpResponse = hyper::Response<HttpBody>;

/// Closes the connection of a request at once, in the request's extensions: for who streams to a client that does not
/// read, and would wait for it without an end.
#[derive(Clone, Debug)]
pub struct HangUp(pub(crate) Arc<Connection>);

type Answer = Pin<Box<dyn Future<Output = HttpResponse> + Send>>;

/// Where a request came from, in its extensions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PeerAddress(pub SocketAddr);

/// What answers the requests that are no messages.
///
/// The requests of one connection are answered in their order, each after the one before it. When the client goes away
/// the answer's future or the body's stream is dropped, so either must be safe to drop.
#[derive(Clone)]
pub struct HttpHandler(Arc<dyn Fn(HttpRequest) -> Answer + Send + Sync>);

impl HttpHandler {
    /// Takes a function that answers.
    pub fn new<F, A, B>(handle: F) -> Self
    where
        F: Fn(HttpRequest) -> A + Send + Sync + 'static,
        A: Future<Output = hyper::Response<B>> + Send + 'static,
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        Self(Arc::new(move |request| {
            let answer = handle(request);
            Box::pin(async move { answer.await.map(|body| body.map_err(Into::into).boxed_unsync()) })
        }))
    }

    /// Answers 404 to everything, for a program without endpoints.
    pub fn none() -> Self {
        Self::new(async |_| {
            let mut response = hyper::Response::new(Full::default());
            *response.status_mut() = hyper::StatusCode::NOT_FOUND;
            response
        })
    }

    pub(crate) fn answer(&self, request: HttpRequest) -> Answer {
        (self.0)(request)
    }
}

impl HangUp {
    /// Closes it. What was not sent is lost.
    pub fn hang_up(&self) {
        self.0.close();
    }
}

impl fmt::Debug for HttpHandler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HttpHandler")
    }
}

/// A response of a node itself: a status and, where something is wrong, a sentence.
pub(crate) fn plain(status: hyper::StatusCode, text: impl Into<Bytes>) -> HttpResponse {
    let body = Full::new(text.into()).map_err(|never: Infallible| match never {}).boxed_unsync();
    let mut response = hyper::Response::new(body);
    *response.status_mut() = status;
    response
}
