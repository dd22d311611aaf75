//! What the agent side tells the child: `FetcherInfo` as a checked value, and our additions to it.
//!
//! It travels as JSON in the environment variable `MESOS_FETCHER_INFO`, as stock's does. Our additions are one more
//! member of the outermost object, `options`, with a default for everything in it: a stock agent does not send it. A
//! stock `mesos-fetcher` under our agent would ignore it.

use std::fmt;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

use mesos_proto::fetcher::{FetcherInfo, fetcher_info};
use mesos_proto::json::{self, JsonError, Names};
use mesos_proto::v1::DurationInfo;
use serde::{Deserialize, Serialize};

use crate::uri::redacted;

/// The environment variable that carries the JSON.
pub const ENVIRONMENT_VARIABLE: &str = "MESOS_FETCHER_INFO";

/// The member of the JSON object that stock does not have.
const OPTIONS: &str = "options";

/// Stock's `--fetcher_stall_timeout`, for an agent that does not send one.
pub const DEFAULT_STALL_TIMEOUT: Duration = Duration::from_secs(60);

/// What the child is to do, as it was sent; nothing is judged yet. `Debug` prints the URIs without their secrets.
#[derive(Clone, PartialEq)]
pub struct Request {
    /// Stock's message.
    pub info: FetcherInfo,
    /// Our additions.
    pub options: Options,
}

/// What our agent says beyond stock's message. Every field has a default.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Options {
    /// What to do with the items.
    pub mode: Mode,
    /// How many URIs are downloaded at once, at least 1 (`--fetcher_parallel`).
    pub parallel: NonZeroUsize,
    /// How often a download is begun again after a cut or an answer that may pass, beside the first time.
    pub retries: u32,
    /// The most bytes that the archives of one fetch may unpack to, all together.
    pub extract_max_bytes: u64,
    /// The most entries that the archives of one fetch may have, all together.
    pub extract_max_entries: u64,
    /// The descriptor to which [`crate::progress::Event`]s are written. Only 0 is known: standard input is the writing
    /// end of a pipe, which needs no inherited descriptor beside the standard ones. When its reading end is closed,
    /// the agent is gone, and the child ends itself with all that it started.
    pub progress_fd: Option<i32>,
    /// Where the sandbox is mounted in the task's container. Absolute links of archives may begin with it.
    pub container_directory: String,
    /// Limits that the child puts on itself before it becomes the user.
    pub rlimits: Vec<Rlimit>,
}

/// What the child is started for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// To fetch the items.
    #[default]
    Fetch,
    /// To ask how large the items are, as their user would see them, and to say so in
    /// [`Measured`](crate::progress::Event::Measured) events. Nothing is written.
    Measure,
}

/// One limit of the system, by its name in Mesos' `RLimitInfo` (`RLMT_NOFILE`, ...).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rlimit {
    /// Which limit.
    #[serde(rename = "type")]
    pub kind: String,
    /// The soft limit; none is infinity.
    pub soft: Option<u64>,
    /// The hard limit; none is infinity.
    pub hard: Option<u64>,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            mode: Mode::Fetch,
            parallel: NonZeroUsize::new(8).unwrap_or(NonZeroUsize::MIN),
            retries: 4,
            extract_max_bytes: 16 << 30,
            extract_max_entries: 1_000_000,
            progress_fd: None,
            container_directory: "/mnt/mesos/sandbox".to_owned(),
            rlimits: Vec::new(),
        }
    }
}

/// Why the text in `MESOS_FETCHER_INFO` cannot be used. The messages are stock's.
#[derive(Debug, thiserror::Error)]
pub enum InfoError {
    /// No JSON object.
    #[error("Failed to parse MESOS_FETCHER_INFO")]
    Json(#[source] serde_json::Error),
    /// JSON, but not an object.
    #[error("Failed to parse MESOS_FETCHER_INFO: expected a JSON object")]
    NoObject,
    /// An object, but not a `FetcherInfo`.
    #[error("Failed to parse FetcherInfo")]
    Message(#[from] JsonError),
    /// Our own additions are wrong.
    #[error("Failed to parse FetcherInfo: member 'options'")]
    Options(#[source] serde_json::Error),
}

impl Request {
    /// Reads what the agent sent, and says which members it skipped: those that neither stock's message nor our
    /// additions have, as an agent that is newer or changed may send. Stock skips them as well.
    ///
    /// # Errors
    ///
    /// See [`InfoError`].
    pub fn from_json(text: &str) -> Result<(Request, Vec<String>), InfoError> {
        let mut value: serde_json::Value = serde_json::from_str(text).map_err(InfoError::Json)?;
        let object = value.as_object_mut().ok_or(InfoError::NoObject)?;
        let sent = object.remove(OPTIONS);
        let (info, mut skipped) = json::from_json_skipping(value)?;
        let mut options = Options::default();
        if let Some(sent) = sent {
            skipped.extend(unknown_options(&sent));
            options = serde_json::from_value(sent).map_err(InfoError::Options)?;
        }
        Ok((Request { info, options }, skipped))
    }

    /// Writes it for the child. The text has the URIs with their secrets: it goes nowhere else.
    #[must_use]
    pub fn to_json(&self) -> String {
        let mut value = json::to_json(&self.info, Names::V0);
        if let (Some(object), Ok(options)) = (value.as_object_mut(), serde_json::to_value(&self.options)) {
            object.insert(OPTIONS.to_owned(), options);
        }
        value.to_string()
    }

    /// Stock's message with URIs that may be printed.
    #[must_use]
    pub fn redacted_info(&self) -> FetcherInfo {
        let mut info = self.info.clone();
        for item in &mut info.items {
            item.uri.value = redacted(item.uri.value.trim_start());
        }
        info
    }

    /// How long a download may go on without a byte.
    #[must_use]
    pub fn stall_timeout(&self) -> Duration {
        let nanoseconds = self.info.stall_timeout.as_ref().map(|stall| stall.nanoseconds);
        match nanoseconds.and_then(|nanoseconds| u64::try_from(nanoseconds).ok()) {
            // libcurl takes a timeout of no seconds as none, but a fetch that nothing ends helps nobody.
            None | Some(0) => DEFAULT_STALL_TIMEOUT,
            Some(nanoseconds) => Duration::from_nanos(nanoseconds),
        }
    }

    /// The directory of the task.
    #[must_use]
    pub fn sandbox(&self) -> PathBuf {
        PathBuf::from(&self.info.sandbox_directory)
    }
}

impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("Request");
        shown.field("info", &self.redacted_info()).field("options", &self.options).finish()
    }
}

/// The members of `options` that [`Options`] does not have, as JSON paths.
fn unknown_options(sent: &serde_json::Value) -> Vec<String> {
    let known = serde_json::to_value(Options::default()).unwrap_or_default();
    let names = sent.as_object().into_iter().flat_map(serde_json::Map::keys);
    names.filter(|name| known.get(name).is_none()).map(|name| format!("$.{OPTIONS}.{name}")).collect()
}

/// Builds stock's message for a stall timeout. One of more than 292 years is that.
#[must_use]
pub fn duration_info(duration: Duration) -> DurationInfo {
    DurationInfo { nanoseconds: i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX) }
}

/// What the cache has to do with an item. The numbers are the message's.
pub use fetcher_info::item::Action;

#[cfg(test)]
mod tests {
    use super::*;

    /// As a stock 1.11 agent sends it.
    const STOCK: &str = r#"{"cache_directory":"/tmp/fetch/nobody","items":[{"action":"BYPASS_CACHE","uri":{"cache":false,"executable":true,"extract":true,"value":"http:\/\/h\/a.tgz"}},{"action":"DOWNLOAD_AND_CACHE","cache_filename":"c1-b","uri":{"cache":true,"output_file":"x","value":"\/b"}}],"sandbox_directory":"\/tmp\/s","stall_timeout":{"nanoseconds":60000000000},"user":"nobody"}"#;

    fn read(text: &str) -> Request {
        let (request, skipped) = Request::from_json(text).expect("read");
        assert_eq!(skipped, Vec::<String>::new());
        request
    }

    #[test]
    fn what_nobody_knows_here_is_skipped_and_named() {
        let known = r#"{"sandbox_directory":"/s","items":[{"action":"BYPASS_CACHE",
            "uri":{"value":"/a"}}],"options":{"parallel":2}}"#;
        let newer = r#"{"sandbox_directory":"/s","more":{"a":[1]},
            "items":[{"action":"BYPASS_CACHE","foo":null,"uri":{"value":"/a","mode":"x"}}],"options":{"parallel":2,"later":1}}"#;
        let (request, skipped) = Request::from_json(newer).expect("read");
        assert_eq!(request, read(known));
        let expected = ["$.more", "$.items[0].foo", "$.items[0].uri.mode", "$.options.later"];
        assert_eq!(skipped, expected);
    }

    #[test]
    fn what_a_stock_agent_sends_is_read() {
        let request = read(STOCK);
        assert_eq!(request.options, Options::default());
        assert_eq!(request.stall_timeout(), Duration::from_secs(60));
        assert_eq!(request.info.items.len(), 2);
        assert_eq!(request.info.items[1].action(), Action::DownloadAndCache);
    }

    #[test]
    fn what_we_send_comes_back() {
        let mut request = read(STOCK);
        request.options.progress_fd = Some(0);
        request.options.rlimits =
            vec![Rlimit { kind: "RLMT_NOFILE".to_owned(), soft: Some(1024), hard: None }];
        // Stock's defaults are printed, so the text is complete after the first time.
        let sent = read(&request.to_json());
        assert_eq!(read(&sent.to_json()), sent);
        assert_eq!(sent.options, request.options);
        assert_eq!(sent.info.items[1].cache_filename.as_deref(), Some("c1-b"));
    }

    #[test]
    fn our_options_have_defaults() {
        let request = read(r#"{"sandbox_directory":"/s","options":{"parallel":2}}"#);
        assert_eq!(request.options.parallel.get(), 2);
        assert_eq!(request.options.retries, Options::default().retries);
        assert_eq!(request.stall_timeout(), DEFAULT_STALL_TIMEOUT);
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (text, expected) in [
            ("{", "Failed to parse MESOS_FETCHER_INFO"),
            ("[]", "Failed to parse MESOS_FETCHER_INFO: expected a JSON object"),
            (r#"{"items":[]}"#, "Failed to parse FetcherInfo"),
            (
                r#"{"sandbox_directory":"/s","options":{"parallel":0}}"#,
                "Failed to parse FetcherInfo: member 'options'",
            ),
        ] {
            assert_eq!(Request::from_json(text).expect_err("refused").to_string(), expected, "{text}");
        }
    }
}
