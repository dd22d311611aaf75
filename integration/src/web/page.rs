//! What the server has under a path, and how it answers for it.

use std::collections::VecDeque;

use bytes::Bytes;

/// One way to answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// As a good server: the whole body, or the range that was asked for.
    Well,
    /// With a status and header lines, and a small body.
    Status(u16, Vec<(&'static str, String)>),
    /// As a good server, but the connection ends after this many bytes of the body.
    Cut(usize),
    /// As a good server, but nothing comes after this many bytes of the body, for as long as the client waits.
    Stall(usize),
    /// The whole body, announced as being so many bytes, then the connection ends.
    Announce(u64),
    /// The whole body without a length; the end of the connection is its end.
    UntilClose,
    /// The whole body in chunks.
    Chunked,
    /// The connection ends without an answer.
    Nothing,
}

/// What is served under one path.
#[derive(Clone, Debug)]
pub struct Page {
    pub(super) body: Bytes,
    pub(super) etag: Option<String>,
    pub(super) last_modified: Option<String>,
    pub(super) headers: Vec<(&'static str, String)>,
    pub(super) ranges: bool,
    pub(super) if_range: bool,
    pub(super) user: Option<String>,
    pub(super) replies: VecDeque<Reply>,
}

impl Page {
    /// A page with an entity tag, of which ranges may be asked for.
    pub fn new(body: impl Into<Bytes>) -> Page {
        Page {
            body: body.into(),
            etag: Some("\"one\"".to_owned()),
            last_modified: None,
            headers: Vec::new(),
            ranges: true,
            if_range: true,
            user: None,
            replies: VecDeque::new(),
        }
    }

    /// Sets or takes away the entity tag.
    #[must_use]
    pub fn etag(mut self, etag: Option<&str>) -> Page {
        self.etag = etag.map(str::to_owned);
        self
    }

    /// Sets the time of the last change.
    #[must_use]
    pub fn last_modified(mut self, time: &str) -> Page {
        self.last_modified = Some(time.to_owned());
        self
    }

    /// Adds a header line to every answer.
    #[must_use]
    pub fn header(mut self, name: &'static str, value: &str) -> Page {
        self.headers.push((name, value.to_owned()));
        self
    }

    /// Answers every request with the whole body, as a server that knows no ranges.
    #[must_use]
    pub fn without_ranges(mut self) -> Page {
        self.ranges = false;
        self
    }

    /// Gives the range that is asked for also where `If-Range` means another version, as many servers do.
    #[must_use]
    pub fn without_if_range(mut self) -> Page {
        self.if_range = false;
        self
    }

    /// Asks for this value of `Authorization`.
    #[must_use]
    pub fn only_for(mut self, authorization: &str) -> Page {
        self.user = Some(authorization.to_owned());
        self
    }

    /// Answers GET requests in these ways, one after the other; the last one stays.
    #[must_use]
    pub fn replies(mut self, replies: impl IntoIterator<Item = Reply>) -> Page {
        self.replies = replies.into_iter().collect();
        self
    }

    /// The way of the next answer to a GET.
    pub(super) fn next_reply(&mut self) -> Reply {
        match self.replies.len() {
            0 => Reply::Well,
            1 => self.replies[0].clone(),
            _ => self.replies.pop_front().unwrap_or(Reply::Well),
        }
    }
}
