//! The error of every verb: which operation, on what, what kind of failure, and the engine's own sentence.
//!
//! Kinds come from the status code and from how the connection ended, never from the text of a message. The one
//! place that reads a sentence is [`crate::start_failure_exit_code`], which maps to exit codes for people.

use std::error::Error as StdError;
use std::fmt;
use std::time::Duration;

use serde::Deserialize;

/// The longest engine sentence that is kept, in bytes.
const MAX_MESSAGE: usize = 4096;

/// The longest subject that is kept, in bytes.
const MAX_SUBJECT: usize = 512;

/// The operation that failed, named as a person would.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Op {
    /// Finding the engine and agreeing on an API version.
    Connect,
    /// `GET /_ping`.
    Ping,
    /// `GET /info`.
    Info,
    /// `GET /images/{name}/json`.
    InspectImage,
    /// `POST /images/create`.
    Pull,
    /// `POST /containers/create`.
    Create,
    /// `POST /containers/{id}/start`.
    Start,
    /// `GET /containers/{id}/json`.
    Inspect,
    /// `POST /containers/{id}/wait`.
    Wait,
    /// `POST /containers/{id}/kill`.
    Kill,
    /// `DELETE /containers/{id}`.
    Remove,
    /// `GET /containers/json`.
    List,
    /// `GET /containers/{id}/logs`.
    Logs,
    /// `POST /containers/{id}/attach`.
    Attach,
    /// `POST /containers/{id}/update`.
    Update,
    /// `GET /containers/{id}/stats`.
    Stats,
    /// `POST /containers/{id}/exec` and what follows it.
    Exec,
    /// `GET /events`.
    Events,
    /// `GET /volumes`.
    ListVolumes,
    /// `GET /volumes/{name}`.
    InspectVolume,
    /// `DELETE /volumes/{name}`.
    RemoveVolume,
    /// `GET /networks/{name}`.
    InspectNetwork,
    /// `POST /networks/{name}/connect`.
    ConnectNetwork,
}

impl fmt::Display for Op {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Connect => "connect to Docker Engine at",
            Self::Ping => "ping Docker Engine at",
            Self::Info => "read the properties of Docker Engine at",
            Self::InspectImage => "inspect image",
            Self::Pull => "pull image",
            Self::Create => "create container",
            Self::Start => "start container",
            Self::Inspect => "inspect container",
            Self::Wait => "wait for container",
            Self::Kill => "signal container",
            Self::Remove => "remove container",
            Self::List => "list containers of Docker Engine at",
            Self::Logs => "read the logs of container",
            Self::Attach => "attach to container",
            Self::Update => "update container",
            Self::Stats => "read the statistics of container",
            Self::Exec => "run a command in container",
            Self::Events => "follow the events of Docker Engine at",
            Self::ListVolumes => "list volumes of Docker Engine at",
            Self::InspectVolume => "inspect volume",
            Self::RemoveVolume => "remove volume",
            Self::InspectNetwork => "inspect network",
            Self::ConnectNetwork => "connect a container to network",
        })
    }
}

/// What kind of failure it was, and so what a caller may do next.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The engine does not know the subject (404).
    #[error("not found: {}", OneLine(message))]
    NotFound {
        /// The engine's sentence.
        message: String,
    },
    /// The subject's name or state stands against it (409).
    #[error("conflict: {}", OneLine(message))]
    Conflict {
        /// The engine's sentence.
        message: String,
    },
    /// A signal was sent to a container that does not run (409 on kill).
    #[error("not running: {}", OneLine(message))]
    NotRunning {
        /// The engine's sentence.
        message: String,
    },
    /// The engine refused the request as wrong (other 4xx).
    #[error("the engine refused the request: {}", OneLine(message))]
    BadRequest {
        /// The engine's sentence.
        message: String,
    },
    /// The engine or the registry wants other credentials (401, 403).
    #[error("not authorized: {}", OneLine(message))]
    Unauthorized {
        /// The engine's sentence.
        message: String,
    },
    /// The registry asks to come back later (429).
    #[error("rate limited: {}", OneLine(message))]
    RateLimited {
        /// The engine's sentence.
        message: String,
        /// How long to wait, where the answer said so.
        retry_after: Option<Duration>,
    },
    /// The engine failed (5xx), or reported an error inside a stream that began well.
    #[error("the engine failed: {}", OneLine(message))]
    ServerError {
        /// The engine's sentence.
        message: String,
    },
    /// No engine answers on the socket. Nothing was sent.
    #[error("no Docker Engine answers ({hint})")]
    Unreachable {
        /// What a person can do about it.
        hint: String,
    },
    /// The engine speaks no API version that we speak. Nothing was changed.
    #[error("{message} ({hint})")]
    Incompatible {
        /// Which versions met.
        message: String,
        /// What a person can do about it.
        hint: String,
    },
    /// No answer came in time. **The outcome is unknown**: look before doing anything again.
    #[error("no answer within {}; the outcome is unknown", Seconds(*after))]
    Timeout {
        /// The deadline that passed.
        after: Duration,
    },
    /// The call waited its whole deadline for its turn among the creates or starts in flight. Nothing was sent.
    #[error("no turn within {}; nothing was sent to the engine", Seconds(*after))]
    Queued {
        /// The deadline that passed.
        after: Duration,
    },
    /// The connection ended before the answer or the stream was complete. The outcome is unknown; a lost stream is
    /// never an exit.
    #[error("the connection to the engine broke ({detail})")]
    StreamBroken {
        /// Where it broke.
        detail: String,
    },
    /// The engine wrote an error text into a log stream. The stream may go on after it.
    #[error("the engine reports in the stream: {}", OneLine(message))]
    InStream {
        /// The engine's sentence.
        message: String,
    },
    /// The answer was not what the API promises.
    #[error("the engine's answer cannot be read ({detail})")]
    Protocol {
        /// What was wrong with it.
        detail: String,
    },
    /// The request was refused before it was sent.
    #[error("{detail}")]
    Invalid {
        /// What was wrong with it.
        detail: String,
    },
}

/// The error of one engine call.
///
/// `Display` says operation, subject and cause in one line, and never holds environment values or credentials.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub struct EngineError(Box<Inner>);

#[derive(Debug, thiserror::Error)]
#[error("cannot {op} {}: {kind}", OneLine(subject))]
struct Inner {
    op: Op,
    subject: String,
    kind: ErrorKind,
    status: Option<u16>,
    #[source]
    cause: Option<Cause>,
}

/// A low-level error, kept as text so that no type of another crate shows.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Cause(String);

impl EngineError {
    /// Makes an error of `op` on `subject`.
    pub(crate) fn new(op: Op, subject: &str, kind: ErrorKind) -> Self {
        let subject = bounded(subject, MAX_SUBJECT);
        Self(Box::new(Inner { op, subject, kind, status: None, cause: None }))
    }

    /// Adds the low-level cause, as a chain of sentences.
    pub(crate) fn caused_by(mut self, cause: &(dyn StdError + 'static)) -> Self {
        self.0.cause = Some(Cause(bounded(&chain(cause), MAX_MESSAGE)));
        self
    }

    /// Makes the error of an answer whose status is not a success.
    pub(crate) fn from_status(
        op: Op,
        subject: &str,
        status: u16,
        body: &[u8],
        retry: Option<Duration>,
    ) -> Self {
        let mut error = Self::new(op, subject, classify(op, status, engine_sentence(status, body), retry));
        error.0.status = Some(status);
        error
    }

    /// Returns the operation that failed.
    pub fn op(&self) -> Op {
        self.0.op
    }

    /// Returns what the operation was about: a container, an image, the socket.
    pub fn subject(&self) -> &str {
        &self.0.subject
    }

    /// Returns the kind of failure.
    pub fn kind(&self) -> &ErrorKind {
        &self.0.kind
    }

    /// Returns the HTTP status of the answer, if there was an answer.
    pub fn status(&self) -> Option<u16> {
        self.0.status
    }

    /// Returns the engine's own sentence, verbatim up to 4 KiB.
    pub fn engine_message(&self) -> Option<&str> {
        match self.kind() {
            ErrorKind::NotFound { message }
            | ErrorKind::Conflict { message }
            | ErrorKind::NotRunning { message }
            | ErrorKind::BadRequest { message }
            | ErrorKind::Unauthorized { message }
            | ErrorKind::RateLimited { message, .. }
            | ErrorKind::ServerError { message }
            | ErrorKind::InStream { message } => Some(message),
            ErrorKind::Unreachable { .. }
            | ErrorKind::Incompatible { .. }
            | ErrorKind::Timeout { .. }
            | ErrorKind::Queued { .. }
            | ErrorKind::StreamBroken { .. }
            | ErrorKind::Protocol { .. }
            | ErrorKind::Invalid { .. } => None,
        }
    }

    /// Returns what a person can do about it, where something is known.
    pub fn hint(&self) -> Option<&str> {
        match self.kind() {
            ErrorKind::Unreachable { hint } | ErrorKind::Incompatible { hint, .. } => Some(hint),
            _ => None,
        }
    }

    /// Says whether the engine does not know the subject.
    pub fn is_not_found(&self) -> bool {
        matches!(self.kind(), ErrorKind::NotFound { .. })
    }

    /// Says whether the effect of the call may or may not have happened.
    pub fn outcome_unknown(&self) -> bool {
        matches!(
            self.kind(),
            ErrorKind::Timeout { .. } | ErrorKind::StreamBroken { .. } | ErrorKind::Protocol { .. }
        )
    }

    /// Says whether the engine itself could not be talked to, so that the call is worth repeating once it is back.
    pub fn is_engine_away(&self) -> bool {
        matches!(
            self.kind(),
            ErrorKind::Unreachable { .. }
                | ErrorKind::Timeout { .. }
                | ErrorKind::Queued { .. }
                | ErrorKind::StreamBroken { .. }
        )
    }
}

/// Maps a status to a kind, by operation and number only.
fn classify(op: Op, status: u16, message: String, retry_after: Option<Duration>) -> ErrorKind {
    match status {
        401 | 403 => ErrorKind::Unauthorized { message },
        404 => ErrorKind::NotFound { message },
        409 if op == Op::Kill => ErrorKind::NotRunning { message },
        409 => ErrorKind::Conflict { message },
        429 => ErrorKind::RateLimited { message, retry_after },
        400..=499 => ErrorKind::BadRequest { message },
        500..=599 => ErrorKind::ServerError { message },
        other => ErrorKind::Protocol { detail: format!("unexpected status {other}") },
    }
}

/// Takes the sentence out of an error answer: the `message` of its JSON object, else the text as it is.
pub(crate) fn engine_sentence(status: u16, body: &[u8]) -> String {
    #[derive(Deserialize)]
    struct Message {
        message: String,
    }
    let text = match serde_json::from_slice::<Message>(body) {
        Ok(Message { message }) => message,
        Err(_) => String::from_utf8_lossy(&body[..body.len().min(MAX_MESSAGE)]).into_owned(),
    };
    let text = text.trim();
    if text.is_empty() { format!("status {status} without a message") } else { bounded(text, MAX_MESSAGE) }
}

/// Bounds a sentence from the engine to what an error keeps.
pub(crate) fn bounded_message(text: &str) -> String {
    bounded(text.trim(), MAX_MESSAGE)
}

fn bounded(text: &str, most: usize) -> String {
    if text.len() <= most {
        return text.to_owned();
    }
    let mut end = most;
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    format!("{}…", &text[..end])
}

/// Writes an error and its sources in one line.
pub(crate) fn chain(error: &(dyn StdError + 'static)) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text.push_str(": ");
        text.push_str(&error.to_string());
        source = error.source();
    }
    text
}

/// Prints foreign text without line breaks or control characters, so that it cannot forge log lines.
struct OneLine<'a>(&'a str);

impl fmt::Display for OneLine<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        use fmt::Write as _;
        for c in self.0.chars() {
            f.write_char(if c.is_control() { ' ' } else { c })?;
        }
        Ok(())
    }
}

/// Prints a duration in seconds with up to three decimals.
struct Seconds(Duration);

impl fmt::Display for Seconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.subsec_nanos() == 0 {
            write!(f, "{}s", self.0.as_secs())
        } else {
            write!(f, "{:.3}s", self.0.as_secs_f64())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case(Op::Inspect, 404, "NotFound")]
    #[case(Op::Create, 409, "Conflict")]
    #[case(Op::Kill, 409, "NotRunning")]
    #[case(Op::Create, 400, "BadRequest")]
    #[case(Op::Create, 406, "BadRequest")]
    #[case(Op::Pull, 401, "Unauthorized")]
    #[case(Op::Pull, 403, "Unauthorized")]
    #[case(Op::Pull, 429, "RateLimited")]
    #[case(Op::Start, 500, "ServerError")]
    #[case(Op::Start, 503, "ServerError")]
    #[case(Op::Start, 302, "Protocol")]
    fn kind_comes_from_operation_and_status(#[case] op: Op, #[case] status: u16, #[case] expected: &str) {
        let kind = classify(op, status, "no such container".into(), None);
        assert!(format!("{kind:?}").starts_with(expected), "{kind:?}");
    }

    #[test]
    fn the_text_of_a_message_decides_nothing() {
        let error =
            EngineError::from_status(Op::Start, "c", 500, br#"{"message":"No such container: c"}"#, None);
        assert!(!error.is_not_found());
        assert_eq!(error.engine_message(), Some("No such container: c"));
    }

    #[test]
    fn a_sentence_is_bounded_and_printed_in_one_line() {
        let body =
            serde_json::json!({ "message": format!("a\nb\u{1b}[31m{}", "ü".repeat(5000)) }).to_string();
        let error = EngineError::from_status(Op::Create, "x\ny", 400, body.as_bytes(), None);
        let kept = error.engine_message().unwrap();
        assert!(kept.len() <= MAX_MESSAGE + '…'.len_utf8());
        assert!(kept.starts_with("a\nb"), "the kept sentence is verbatim");
        let shown = error.to_string();
        assert!(
            shown.starts_with("cannot create container x y: the engine refused the request: a b [31m"),
            "{shown}"
        );
        assert!(!shown.chars().any(char::is_control));
    }

    #[test]
    fn an_answer_without_json_is_kept_as_text() {
        assert_eq!(engine_sentence(500, b"page not found\n"), "page not found");
        assert_eq!(engine_sentence(500, b""), "status 500 without a message");
    }
}
