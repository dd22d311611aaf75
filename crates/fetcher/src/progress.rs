//! What the child tells the agent side while it works: events, one JSON object a line, on an inherited descriptor.
//!
//! The descriptor is `options.progress_fd` of the request, a pipe. The child writes without ever waiting for
//! the reader: a progress event that finds the pipe full is dropped, as the next one says more. The exit code alone
//! says whether the fetch succeeded; the events are for people, for the metrics and for the books of the cache.

use serde::{Deserialize, Serialize};

/// One line of the child. `item` is the position in the request's list of items.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// A download goes on. At most one a second for each item.
    Progress {
        /// Which item.
        item: usize,
        /// The URI, without secrets.
        uri: String,
        /// Bytes so far.
        bytes: u64,
        /// Bytes in all, where the source said so.
        total: Option<u64>,
        /// Bytes a second since the last event of this item.
        rate: u64,
    },
    /// A download has ended and its file is complete, be it in the cache or for the sandbox.
    Downloaded {
        /// Which item.
        item: usize,
        /// The URI, without secrets.
        uri: String,
        /// The size of the file.
        bytes: u64,
        /// The file's name in the cache, when it went there.
        cache_filename: Option<String>,
        /// What the server said of its version, to ask again later.
        validators: Validators,
    },
    /// An item is in the sandbox.
    Fetched {
        /// Which item.
        item: usize,
        /// Its path below the sandbox.
        path: String,
        /// Whether it is an archive that brought registry credentials, which may have to be hidden.
        #[serde(default)]
        registry_config: bool,
    },
    /// The answer to a request in the mode [`Measure`](crate::info::Mode::Measure); one for each item.
    Measured {
        /// Which item.
        item: usize,
        /// The URI, without secrets.
        uri: String,
        /// The size in bytes, where the source says it.
        bytes: Option<u64>,
        /// What the server said of its version.
        validators: Validators,
        /// Why there is no size, with all causes.
        error: Option<String>,
    },
    /// The fetch failed at this item; those behind it left nothing in the sandbox.
    Failed {
        /// Which item.
        item: usize,
        /// The URI, without secrets.
        uri: String,
        /// Why, with all causes.
        message: String,
    },
}

/// What a server says about the version of a file (RFC 9110, section 8.8).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Validators {
    /// The entity tag, as sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub etag: Option<String>,
    /// The time of the last change, as sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_modified: Option<String>,
}

impl Event {
    /// The event as one line, with its end.
    #[must_use]
    pub fn to_line(&self) -> String {
        // Only maps with keys that are no texts, and failing serialisers, make this fail; there are none here.
        let mut line = serde_json::to_string(self).unwrap_or_default();
        line.push('\n');
        line
    }

    /// Reads one line.
    ///
    /// # Errors
    ///
    /// When it is no event; the child runs as the task's user, so the reader believes nothing.
    pub fn from_line(line: &str) -> Result<Event, serde_json::Error> {
        serde_json::from_str(line.trim_end())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_one_line_and_come_back() {
        let event = Event::Failed { item: 3, uri: "http://h/a".to_owned(), message: "a\nb".to_owned() };
        let line = event.to_line();
        assert_eq!(line.matches('\n').count(), 1);
        assert_eq!(Event::from_line(&line).expect("read"), event);
        assert!(line.starts_with(r#"{"event":"failed","item":3,"#), "{line}");
    }
}
