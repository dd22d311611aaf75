//! Owns one client's connection through the proxy: reads its requests, applies the rules, relays both directions.
//! Called by [`super::server`]. An `Err` closes both ends, which is how faults look to the client.
//!
//! ```text
//! request head → decide ─┬─ cut / replace (the engine never sees it)
//!                        └─ pass on → answer head → hold / cut / replace → body → next request
//!                                        └─ 101 or until close: both directions, to the end
//! ```

use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use bytes::Bytes;
use tokio::io::AsyncWriteExt as _;

use super::rules::{Fault, RuleId};
use super::server::Shared;
use super::stream::{ReadSide, Stream, WriteSide};
use crate::http1::{Body, Framing, Headers, Reader, RequestHead, ResponseHead};

/// How many bytes of further requests are buffered while an answer is under way.
const MAX_AHEAD: usize = 1024 * 1024;

/// What a fault does after so many bytes of an answer's content.
#[derive(Clone, Copy, Debug)]
enum Limit {
    None,
    Cut(u64),
    Stall(u64, RuleId),
    Drip(usize, Duration),
    Corrupt,
}

/// What comes of a request before it is passed on.
enum Before {
    PassOn,
    Answered,
}

struct Peer {
    reader: Reader<ReadSide>,
    writer: WriteSide,
}

/// Serves a client until it closes the connection or a fault does.
pub(super) async fn serve(client: Stream, shared: &Shared) -> Result<()> {
    let mut client = Peer::new(client);
    let mut engine: Option<Peer> = None;
    loop {
        let Some(head) = next_request(&mut client, engine.as_mut()).await? else { return Ok(()) };
        shared.record(&head);
        let _under_way = shared.under_way(&head.target);
        let mut body = Body::new(head.framing()?);
        let decision = shared.rules.decide(&head.method, &head.target);
        if let Before::Answered = before(&mut client, &head, &mut body, decision.as_ref(), shared).await? {
            continue;
        }
        let upstream = match &mut engine {
            Some(upstream) => upstream,
            None => engine.insert(Peer::connect(shared).await?),
        };
        exchange(&mut client, upstream, &head, &mut body, decision, shared).await?;
    }
}

/// Reads the next request; notices when the engine closes its idle connection meanwhile, as a dying daemon does.
async fn next_request(client: &mut Peer, engine: Option<&mut Peer>) -> Result<Option<RequestHead>> {
    let Some(engine) = engine else { return client.reader.request_head().await };
    tokio::select! {
        head = client.reader.request_head() => head,
        read = engine.reader.fill() => match read? {
            0 => bail!("the engine closed an idle connection"),
            _ => bail!("the engine sent an answer to no request"),
        },
    }
}

/// Applies what a fault does before the engine sees the request.
async fn before(
    client: &mut Peer,
    head: &RequestHead,
    body: &mut Body,
    decision: Option<&(RuleId, Fault)>,
    shared: &Shared,
) -> Result<Before> {
    match decision {
        Some((_, Fault::Cut)) => bail!("cut before the engine"),
        Some((_, Fault::Reset)) => {
            std::mem::replace(&mut client.writer, Box::new(tokio::io::sink())).reset()?;
            bail!("reset before the engine")
        }
        Some((id, Fault::Hang)) => {
            tokio::select! {
                () = shared.rules.removed(*id) => Ok(Before::PassOn),
                () = gone(&mut client.reader) => bail!("the client gave up"),
            }
        }
        Some((_, Fault::Delay(time))) => {
            tokio::select! {
                () = tokio::time::sleep(*time) => Ok(Before::PassOn),
                () = gone(&mut client.reader) => bail!("the client gave up"),
            }
        }
        Some((_, Fault::Replace(status, content))) => {
            client.reader.body_to_end(body).await?;
            write_answer(&mut client.writer, &head.method, *status, content).await?;
            Ok(Before::Answered)
        }
        _ => Ok(Before::PassOn),
    }
}

/// Passes one request on and relays its answer.
async fn exchange(
    client: &mut Peer,
    engine: &mut Peer,
    head: &RequestHead,
    body: &mut Body,
    decision: Option<(RuleId, Fault)>,
    shared: &Shared,
) -> Result<()> {
    engine.writer.write_all(&head.encode()).await.context("pass a request on")?;
    let request_framing = head.framing()?;
    let fault = decision.as_ref().map(|(_, fault)| fault);

    let (answer, limit, framing) = {
        let Peer { reader: client_reader, writer: client_writer } = &mut *client;
        let client_side = relay_request(client_reader, body, &mut engine.writer, request_framing);
        tokio::pin!(client_side);
        let answer = loop {
            let answer = tokio::select! {
                answer = engine.reader.response_head() => answer?,
                () = &mut client_side => bail!("the client gave up"),
            };
            if !answer.is_interim() {
                break answer;
            }
            client_writer.write_all(&answer.encode()).await?;
        };
        tokio::select! {
            held = hold(decision.as_ref(), shared) => held?,
            () = &mut client_side => bail!("the client gave up"),
        }
        let framing =
            if answer.status == 101 { Framing::UntilClose } else { answer.framing(&head.method)? };
        if let Some(Fault::ReplaceAnswer(status, content)) = fault {
            write_answer(client_writer, &head.method, *status, content).await?;
            tokio::select! {
                drained = drain(&mut engine.reader, framing) => drained?,
                () = &mut client_side => bail!("the client gave up"),
            }
            if framing == Framing::UntilClose {
                bail!("the engine closed the connection, as its answer said");
            }
            return Ok(());
        }
        client_writer.write_all(&answer.encode()).await.context("pass an answer on")?;
        let limit = match decision {
            Some((_, Fault::CutBody(after))) => Limit::Cut(after),
            Some((id, Fault::StallBody(after))) => Limit::Stall(after, id),
            Some((_, Fault::Drip(bytes, every))) => Limit::Drip(bytes, every),
            Some((_, Fault::Corrupt)) => Limit::Corrupt,
            _ => Limit::None,
        };
        if framing != Framing::UntilClose {
            let relay = relay_body(&mut engine.reader, client_writer, framing, limit, shared);
            tokio::select! {
                relayed = relay => relayed?,
                () = &mut client_side => bail!("the client gave up"),
            }
        }
        (answer, limit, framing)
    };

    if framing == Framing::UntilClose {
        both_ways(client, engine, limit, shared).await?;
        bail!("the engine closed the connection, as its answer said");
    }
    let closes =
        answer.headers.has_token("connection", "close") || head.headers.has_token("connection", "close");
    if closes || !body.is_done() {
        bail!("the connection isn't kept alive");
    }
    Ok(())
}

/// Holds back an answer as its fault says, or cuts the connection instead.
async fn hold(decision: Option<&(RuleId, Fault)>, shared: &Shared) -> Result<()> {
    match decision {
        Some((id, Fault::HangAnswer)) => shared.rules.removed(*id).await,
        Some((_, Fault::DelayAnswer(time))) => tokio::time::sleep(*time).await,
        Some((_, Fault::CutAnswer)) => bail!("cut before the answer"),
        _ => {}
    }
    Ok(())
}

/// Relays the rest of a request; after that it returns only when the client has closed the connection.
async fn relay_request(
    reader: &mut Reader<ReadSide>,
    body: &mut Body,
    writer: &mut WriteSide,
    framing: Framing,
) {
    while let Ok(Some(piece)) = reader.body_piece(body).await {
        if write_piece(writer, framing, &piece).await.is_err() {
            // The engine doesn't want the rest; its answer says why.
            break;
        }
    }
    if body.is_done() && framing == Framing::Chunked && writer.write_all(b"0\r\n\r\n").await.is_err() {
        return std::future::pending().await;
    }
    gone(reader).await;
}

/// Relays an answer's body up to its end or its limit.
async fn relay_body(
    reader: &mut Reader<ReadSide>,
    writer: &mut WriteSide,
    framing: Framing,
    mut limit: Limit,
    shared: &Shared,
) -> Result<()> {
    let mut body = Body::new(framing);
    // A limit of 0 bytes takes effect before the first piece is waited for.
    limit.reached(shared).await?;
    while let Some(mut piece) = reader.body_piece(&mut body).await? {
        while !piece.is_empty() {
            let part = limit.changed(piece.split_to(limit.allows(piece.len())));
            write_piece(writer, framing, &part).await?;
            limit.used(part.len());
            limit.reached(shared).await?;
        }
    }
    if framing == Framing::Chunked {
        writer.write_all(b"0\r\n\r\n").await?;
    }
    Ok(())
}

/// Relays an upgraded connection, or one whose answer ends with it, until the engine closes it.
async fn both_ways(client: &mut Peer, engine: &mut Peer, limit: Limit, shared: &Shared) -> Result<()> {
    let to_engine = async {
        let mut body = Body::new(Framing::UntilClose);
        while let Some(piece) = client.reader.body_piece(&mut body).await? {
            engine.writer.write_all(&piece).await?;
        }
        // A client that closes only its half ends the container's stdin; what the container says still comes.
        engine.writer.shutdown().await?;
        std::future::pending::<Result<()>>().await
    };
    let to_client = relay_body(&mut engine.reader, &mut client.writer, Framing::UntilClose, limit, shared);
    tokio::select! {
        ended = to_client => ended,
        Err(error) = to_engine => Err(error),
    }
}

/// Returns when the client has closed its end. What it sends until then stays buffered.
async fn gone(reader: &mut Reader<ReadSide>) {
    while reader.buffered() < MAX_AHEAD {
        if !matches!(reader.fill().await, Ok(1..)) {
            return;
        }
    }
    std::future::pending().await
}

async fn drain(reader: &mut Reader<ReadSide>, framing: Framing) -> Result<()> {
    let mut body = Body::new(framing);
    while reader.body_piece(&mut body).await?.is_some() {}
    Ok(())
}

async fn write_piece(writer: &mut WriteSide, framing: Framing, piece: &Bytes) -> Result<()> {
    if piece.is_empty() {
        return Ok(());
    }
    if framing == Framing::Chunked {
        let mut chunk = format!("{:x}\r\n", piece.len()).into_bytes();
        chunk.extend_from_slice(piece);
        chunk.extend_from_slice(b"\r\n");
        return writer.write_all(&chunk).await.context("relay a chunk");
    }
    writer.write_all(piece).await.context("relay a piece")
}

/// Answers in place of the engine; to a HEAD without the content, of which only the length is told.
async fn write_answer(writer: &mut WriteSide, method: &str, status: u16, content: &str) -> Result<()> {
    let mut headers = Headers::default();
    headers.push("Content-Type", "application/json");
    headers.push("Content-Length", content.len().to_string());
    let head = ResponseHead { status, reason: "Injected".to_owned(), headers };
    let mut message = head.encode();
    if method != "HEAD" {
        message.extend_from_slice(content.as_bytes());
    }
    writer.write_all(&message).await.context("answer in place of the engine")
}

impl Peer {
    fn new(stream: Stream) -> Self {
        Self { reader: Reader::new(stream.read), writer: stream.write }
    }

    async fn connect(shared: &Shared) -> Result<Self> {
        Ok(Self::new(Stream::connect(&shared.upstream).await?))
    }
}

impl Limit {
    /// Tells how many of `length` bytes may pass now.
    fn allows(&self, length: usize) -> usize {
        match self {
            Self::None | Self::Corrupt => length,
            Self::Drip(bytes, _) => length.min(*bytes),
            Self::Cut(left) | Self::Stall(left, _) => {
                usize::try_from(*left).unwrap_or(usize::MAX).min(length)
            }
        }
    }

    fn used(&mut self, length: usize) {
        if let Self::Cut(left) | Self::Stall(left, _) = self {
            *left -= length as u64;
        }
    }

    /// Cuts or stalls once the limit is used up.
    async fn reached(&mut self, shared: &Shared) -> Result<()> {
        match *self {
            Self::Cut(0) => bail!("cut in the answer's body"),
            Self::Stall(0, id) => {
                shared.rules.removed(id).await;
                *self = Self::None;
                Ok(())
            }
            Self::Drip(_, every) => {
                tokio::time::sleep(every).await;
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// Returns the bytes that pass in place of these.
    fn changed(&self, piece: Bytes) -> Bytes {
        match self {
            Self::Corrupt => piece.iter().map(|byte| !byte).collect(),
            _ => piece,
        }
    }
}
