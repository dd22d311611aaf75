//! The engine's events.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Deserialize;

use crate::engine::{Engine, unreadable};
use crate::error::{EngineError, ErrorKind, Op};
use crate::path;
use crate::serde_null::nullable;
use crate::streams::{Lines, next_piece};
use crate::transport::{Buffers, Call, StreamBody};

/// Which events to follow. All conditions must hold; several values of one condition are alternatives.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EventFilter {
    /// The kinds of thing: `container`, `image`, `daemon`.
    pub kinds: Vec<String>,
    /// What happened: `die`, `oom`, `destroy`.
    pub actions: Vec<String>,
    /// Labels, `name` or `name=value`.
    pub labels: Vec<String>,
    /// Also what happened since this second (since 1970), as far as the engine remembers: 256 events.
    pub since_secs: Option<i64>,
}

/// One event.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Event {
    /// The kind of thing.
    pub kind: String,
    /// The thing's id.
    pub id: String,
    /// What happened.
    pub action: String,
    /// The thing's labels, and properties of the event such as `exitCode`.
    pub attributes: BTreeMap<String, String>,
    /// When, in nanoseconds since 1970.
    pub time_ns: i64,
}

impl Engine {
    /// Follows the engine's events. When this returns, the engine has confirmed that it reports.
    ///
    /// # Errors
    ///
    /// `Unreachable`, `Timeout` for the head, or what the engine says.
    pub async fn events(
        &self,
        filter: &EventFilter,
        head_deadline: Duration,
    ) -> Result<EventReader, EngineError> {
        let call = Call::get(events_path(filter));
        let response =
            self.open_stream(Op::Events, self.name(), head_deadline, &call, Buffers::Small).await?;
        Ok(EventReader { name: self.name().to_owned(), body: response.into_body(), lines: Lines::default() })
    }
}

fn events_path(filter: &EventFilter) -> String {
    let filters: BTreeMap<&str, &Vec<String>> =
        [("type", &filter.kinds), ("event", &filter.actions), ("label", &filter.labels)]
            .into_iter()
            .filter(|(_, values)| !values.is_empty())
            .collect();
    // A map of texts is always JSON.
    let filters = serde_json::to_string(&filters).unwrap_or_default();
    let since = filter.since_secs.map_or(String::new(), |since| format!("&since={since}"));
    format!("/events?filters={}{since}", path::value(&filters))
}

/// The events, as they happen.
#[derive(Debug)]
pub struct EventReader {
    name: String,
    body: StreamBody,
    lines: Lines,
}

impl EventReader {
    /// Returns the next event; `None` when the engine ended the stream, which it does when it goes down. Quiet is no
    /// error.
    ///
    /// # Errors
    ///
    /// `StreamBroken`: events were missed; list, and follow again with `since`.
    ///
    /// # Cancel safety
    ///
    /// May be dropped and called again; nothing is lost.
    pub async fn next_event(&mut self) -> Option<Result<Event, EngineError>> {
        loop {
            while let Some(line) = self.lines.next_line() {
                if !line.trim_ascii().is_empty() {
                    return Some(
                        read_event(&line).map_err(|error| unreadable(Op::Events, &self.name, &error)),
                    );
                }
            }
            if self.lines.too_long() {
                let detail = "an event without an end".to_owned();
                return Some(Err(EngineError::new(Op::Events, &self.name, ErrorKind::Protocol { detail })));
            }
            match next_piece(&mut self.body, Op::Events, &self.name).await? {
                Ok(piece) => self.lines.push(&piece),
                Err(error) => return Some(Err(error)),
            }
        }
    }
}

fn read_event(line: &[u8]) -> Result<Event, serde_json::Error> {
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Wire {
        #[serde(default, deserialize_with = "nullable")]
        r#type: String,
        action: String,
        actor: Actor,
        #[serde(rename = "timeNano", default, deserialize_with = "nullable")]
        time_nano: i64,
    }
    #[derive(Deserialize)]
    struct Actor {
        #[serde(rename = "ID", default, deserialize_with = "nullable")]
        id: String,
        #[serde(rename = "Attributes", default, deserialize_with = "nullable")]
        attributes: BTreeMap<String, String>,
    }
    let wire: Wire = serde_json::from_slice(line)?;
    Ok(Event {
        kind: wire.r#type,
        id: wire.actor.id,
        action: wire.action,
        attributes: wire.actor.attributes,
        time_ns: wire.time_nano,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_read() {
        let line = br#"{"status":"die","id":"c1","from":"busybox","Type":"container","Action":"die",
            "Actor":{"ID":"c1","Attributes":{"exitCode":"3","name":"mesos-x"}},"scope":"local","time":1,"timeNano":1000000002}"#;
        let event = read_event(line).unwrap();
        assert_eq!(
            (event.kind.as_str(), event.id.as_str(), event.action.as_str()),
            ("container", "c1", "die")
        );
        assert_eq!(event.attributes["exitCode"], "3");
        assert_eq!(event.time_ns, 1_000_000_002);
        assert!(read_event(b"{}").is_err());
    }

    #[test]
    fn filters_are_escaped_json() {
        let filter = EventFilter { actions: vec!["die".into()], since_secs: Some(7), ..Default::default() };
        assert_eq!(events_path(&filter), "/events?filters=%7B%22event%22%3A%5B%22die%22%5D%7D&since=7");
    }
}
