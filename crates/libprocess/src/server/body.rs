//! Owns the reading of a message's content, within the bounds of size, time and memory.

use bytes::{Buf as _, Bytes, BytesMut};
use http_body_util::BodyExt as _;
use hyper::body::{Body, Incoming};
use thiserror::Error;
use tokio::time::{Instant, timeout, timeout_at};

use super::connection::{InWork, Phase};
use super::memory::{Memory, Share};
use crate::settings::Limits;

/// A message's content.
#[derive(Debug)]
pub(super) enum Content {
    /// All of it, with the share of memory that it takes.
    Whole(Bytes, Share),
    /// It was larger than [`Limits::message_bytes`] and is dropped, but read to its end.
    TooLarge {
        /// Its size.
        bytes: u64,
    },
}

/// Why a message's content did not come. The connection can't be used any more.
#[derive(Debug, Error)]
pub(super) enum BodyError {
    /// The connection broke or the framing is wrong.
    #[error("the content of the message did not come to its end")]
    Broken(#[source] hyper::Error),
    /// It took too long.
    #[error("the content of the message did not come in time")]
    Late,
}

/// Reads the content of a message. What is too large is read and dropped, so that the connection goes on.
///
/// The time that a message waits for memory is not its sender's, and does not count for the deadline.
pub(super) async fn read(
    body: Incoming,
    limits: &Limits,
    memory: &Memory,
    in_work: &InWork,
) -> Result<Content, BodyError> {
    let until = Instant::now() + limits.body_deadline;
    let announced = body.size_hint().upper().map_or(0, |bytes| usize::try_from(bytes).unwrap_or(usize::MAX));
    if announced > limits.message_bytes {
        return drain_until(until, body, 0).await;
    }
    collect(body, until, limits.message_bytes, memory, in_work).await
}

/// Reads the content of a message that nobody takes.
pub(super) async fn skip(body: Incoming, limits: &Limits) -> Result<(), BodyError> {
    timeout(limits.body_deadline, drain(body, 0)).await.map_err(|_| BodyError::Late)?.map(|_| ())
}

async fn collect(
    mut body: Incoming,
    mut until: Instant,
    limit: usize,
    memory: &Memory,
    in_work: &InWork,
) -> Result<Content, BodyError> {
    let mut first = Bytes::new();
    let mut all = BytesMut::new();
    let mut share = Share::default();
    while let Some(frame) = timeout_at(until, body.frame()).await.map_err(|_| BodyError::Late)? {
        let Ok(data) = frame.map_err(BodyError::Broken)?.into_data() else { continue };
        let size = first.len() + all.len() + data.len();
        if size > limit {
            let bytes = size as u64;
            drop((first, all, share, data));
            return drain_until(until, body, bytes).await;
        }
        if !share.is_enough_for(size) {
            in_work.enter(Phase::Waiting);
            until += share.grow(size, memory).await;
            in_work.enter(Phase::Message);
        }
        if first.is_empty() && all.is_empty() {
            // Most messages come in one piece, which need not be copied.
            first = data;
            continue;
        }
        if !first.is_empty() {
            all.extend_from_slice(&first);
            first.clear();
        }
        all.extend_from_slice(&data);
    }
    let whole = if first.has_remaining() { first } else { all.freeze() };
    Ok(Content::Whole(whole, share))
}

async fn drain_until(until: Instant, body: Incoming, bytes: u64) -> Result<Content, BodyError> {
    timeout_at(until, drain(body, bytes)).await.map_err(|_| BodyError::Late)?
}

async fn drain(mut body: Incoming, mut bytes: u64) -> Result<Content, BodyError> {
    while let Some(frame) = body.frame().await {
        if let Some(data) = frame.map_err(BodyError::Broken)?.data_ref() {
            bytes += data.len() as u64;
        }
    }
    Ok(Content::TooLarge { bytes })
}
