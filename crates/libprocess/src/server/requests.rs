//! Owns the answers to the requests of a connection.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use http_body_util::BodyExt as _;
use hyper::StatusCode;
use hyper::body::{Body, Bytes, Frame, SizeHint};
use thiserror::Error;

use super::body::{self, BodyError, Content};
use super::connection::{Connection, InWork, Phase};
use crate::classify::{Classified, Malformed, MessageHead, Sender, classify};
use crate::event::{Event, Incoming};
use crate::http::{BoxError, HangUp, HttpBody, HttpRequest, HttpResponse, PeerAddress, plain};
use crate::node::Shared;
use crate::upid::{ResolveError, Upid};

/// Why a message is answered 400.
#[derive(Debug, Error)]
enum Refusal {
    #[error(transparent)]
    Malformed(#[from] Malformed),
    #[error("the sender of the message is unknown")]
    Sender(#[from] ResolveError),
    #[error("the message says that it is from {claimed}, but comes from {peer}")]
    OtherAddress { claimed: Upid, peer: std::net::IpAddr },
}

/// A body that keeps its request in work until it has been produced or is given up.
struct Answering {
    body: HttpBody,
    _in_work: InWork,
}

/// Answers one request. hyper asks for the next one of the connection when the answer is complete, hence the order.
///
/// As stock (`3rdparty/libprocess/src/process.cpp`, `ProcessManager::handle`): 202 once the message is in its process'
/// mailbox, whatever its name; 404 when there is no such process; 400 for a wrong sender. A message that cannot be read
/// is 400 (stock: 500) and one that is too large is 413 (stock has no bound).
///
/// # Errors
///
/// The content of a message does not come: the connection must be closed.
pub(super) async fn answer(
    shared: Arc<Shared>,
    connection: Arc<Connection>,
    mut request: HttpRequest,
) -> Result<HttpResponse, BodyError> {
    match classify(request.method(), request.uri().path(), request.headers()) {
        Ok(Classified::Http) => {
            let in_work = connection.begin(Phase::Http);
            request.extensions_mut().insert(PeerAddress(connection.peer));
            request.extensions_mut().insert(HangUp(connection.clone()));
            let response = shared.handler.answer(request).await;
            Ok(response.map(|body| Answering { body, _in_work: in_work }.boxed_unsync()))
        }
        Ok(Classified::Message(head)) => {
            let in_work = connection.begin(Phase::Message);
            take(&shared, &connection, &in_work, head, request.into_body()).await
        }
        Err(malformed) => {
            let _in_work = connection.begin(Phase::Message);
            body::skip(request.into_body(), &shared.limits).await?;
            Ok(refuse(&shared, &connection, &malformed.into()))
        }
    }
}

/// Reads a message and puts it into the mailbox of its process, waiting for room there.
async fn take(
    shared: &Arc<Shared>,
    connection: &Connection,
    in_work: &InWork,
    head: MessageHead,
    body: hyper::body::Incoming,
) -> Result<HttpResponse, BodyError> {
    let MessageHead { to, name, from } = head;
    let Some(mailbox) = shared.mailbox(&to) else {
        body::skip(body, &shared.limits).await?;
        shared.counters.messages_unknown.one();
        tracing::debug!(%to, name, ?from, "a message is for a process that is not here");
        return Ok(plain(StatusCode::NOT_FOUND, ""));
    };
    let content = body::read(body, &shared.limits, &shared.memory, in_work).await?;
    let (body, share) = match content {
        Content::Whole(body, share) => (body, share),
        Content::TooLarge { bytes } => {
            shared.counters.messages_refused.one();
            tracing::error!(
                %to, name, ?from, bytes, limit = shared.limits.message_bytes,
                "a message is dropped: it is larger than this process takes"
            );
            return Ok(plain(StatusCode::PAYLOAD_TOO_LARGE, "the message is larger than this process takes"));
        }
    };
    in_work.enter(Phase::Waiting);
    let from = match sender(shared, connection, from).await {
        Ok(from) => from,
        Err(refusal) => return Ok(refuse(shared, connection, &refusal)),
    };
    tracing::trace!(%to, name, %from, bytes = body.len(), "message received");
    if mailbox.send(Event::Message(Incoming { from, name, body, _share: share })).await.is_err() {
        shared.counters.messages_unknown.one();
        return Ok(plain(StatusCode::NOT_FOUND, ""));
    }
    connection.has_delivered();
    shared.counters.messages_received.one();
    Ok(plain(StatusCode::ACCEPTED, ""))
}

/// The sender's address, looked up where it is a name, and compared with where it connects from where that is asked for.
async fn sender(shared: &Shared, connection: &Connection, from: Sender) -> Result<Upid, Refusal> {
    let from = match from {
        Sender::Known(upid) => upid,
        Sender::Named(text) => {
            // It is never closed.
            let _permit = shared.lookups.acquire().await;
            Upid::resolve(&text, shared.limits.connect_deadline).await?
        }
    };
    let peer = connection.peer.ip();
    if shared.require_peer_address_ip_match && peer != *from.address().ip() {
        return Err(Refusal::OtherAddress { claimed: from, peer });
    }
    Ok(from)
}

fn refuse(shared: &Shared, connection: &Connection, refusal: &Refusal) -> HttpResponse {
    shared.counters.messages_refused.one();
    let error: &dyn std::error::Error = refusal;
    tracing::debug!(peer = %connection.peer, error, "a message is refused");
    let mut text = refusal.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    plain(StatusCode::BAD_REQUEST, text)
}

impl Body for Answering {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
