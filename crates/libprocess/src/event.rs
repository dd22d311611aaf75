//! Owns what a process receives.

use std::fmt;

use bytes::Bytes;
use prost::{Message, Name};
use thiserror::Error;

use crate::server::Share;
use crate::upid::Upid;

/// What happens to a process.
#[derive(Debug)]
pub enum Event {
    /// A message came.
    Message(Incoming),
    /// The link to this process broke, or could not be made. Told once; a new link must be asked for.
    Exited(Upid),
}

/// A message as it came. Its bytes are kept, so that what is stored or forwarded loses no field that we don't know.
pub struct Incoming {
    /// Who sent it.
    pub from: Upid,
    /// Its name, which is the name of its type.
    pub name: String,
    /// Its content.
    pub body: Bytes,
    /// The share of the node's memory for large messages that it holds until it is dropped.
    pub(crate) _share: Share,
}

/// A message's content is not of the type of its name.
#[derive(Debug, Error)]
#[error("the message {name} from {from} cannot be read")]
pub struct UnreadableMessage {
    /// The message.
    pub name: String,
    /// Who sent it.
    pub from: Upid,
    /// What is wrong with it.
    pub source: prost::DecodeError,
}

impl Incoming {
    /// Makes a message as if it had come; a node makes those that come.
    pub fn new(from: Upid, name: impl Into<String>, body: impl Into<Bytes>) -> Self {
        Self { from, name: name.into(), body: body.into(), _share: Share::default() }
    }

    /// Whether it is a message of this type.
    pub fn is<M: Name>(&self) -> bool {
        self.name.rsplit_once('.').is_some_and(|(package, name)| name == M::NAME && package == M::PACKAGE)
    }

    /// Reads the content as a message of this type.
    ///
    /// # Errors
    ///
    /// The content is of no such type. Stock logs and drops such a message.
    pub fn decode<M: Message + Default>(&self) -> Result<M, UnreadableMessage> {
        M::decode(self.body.clone()).map_err(|source| UnreadableMessage {
            name: self.name.clone(),
            from: self.from.clone(),
            source,
        })
    }
}

impl fmt::Debug for Incoming {
    /// Leaves out the content, which may be secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Incoming")
            .field("from", &self.from)
            .field("name", &self.name)
            .field("bytes", &self.body.len())
            .finish_non_exhaustive()
    }
}
