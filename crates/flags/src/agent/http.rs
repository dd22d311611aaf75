//! The bounds of the agent's HTTP endpoints.

use std::num::{NonZeroU32, NonZeroUsize};
use std::time::Duration;

use super::texts::Texts;
use crate::error::FlagError;
use crate::values::{parse_bytes, parse_duration, quote};

/// What clients of the endpoints may ask for at most.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpSettings {
    /// `--http_max_requests`.
    pub max_requests: NonZeroUsize,
    /// `--http_request_timeout`.
    pub request_timeout: Duration,
    /// `--http_max_body_size`, in bytes.
    pub max_body_size: u64,
    /// `--http_max_downloads`.
    pub max_downloads: NonZeroUsize,
    /// `--http_stall_timeout`.
    pub stall_timeout: Duration,
    /// `--http_max_listed_files`.
    pub max_listed_files: NonZeroUsize,
    /// `LIBPROCESS_METRICS_SNAPSHOT_ENDPOINT_RATE_LIMIT`; `None` is no limit.
    pub metrics_rate: Option<Rate>,
}

/// A number of requests in a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// How many.
    pub requests: NonZeroU32,
    /// In which time.
    pub every: Duration,
}

impl HttpSettings {
    pub(super) fn from_texts(texts: &Texts, metrics_rate: Option<Rate>) -> Result<Self, FlagError> {
        Ok(Self {
            max_requests: texts.required("http_max_requests", count)?,
            request_timeout: texts.required("http_request_timeout", crate::docker::deadline)?,
            max_body_size: texts.required("http_max_body_size", parse_bytes)?,
            max_downloads: texts.required("http_max_downloads", count)?,
            stall_timeout: texts.required("http_stall_timeout", crate::docker::deadline)?,
            max_listed_files: texts.required("http_max_listed_files", count)?,
            metrics_rate,
        })
    }
}

pub(super) fn count(text: &str) -> Result<NonZeroUsize, String> {
    text.parse().map_err(|_| format!("{} is not a whole number of at least 1", quote(text)))
}

impl Rate {
    /// Two a second, as stock limits `/metrics/snapshot` and `/monitor/statistics`.
    pub const TWO_A_SECOND: Self =
        Self { requests: NonZeroU32::MIN.saturating_add(1), every: Duration::from_secs(1) };

    /// Reads `2/1secs`, as in `LIBPROCESS_METRICS_SNAPSHOT_ENDPOINT_RATE_LIMIT`; nothing is no limit.
    ///
    /// # Errors
    ///
    /// What is wrong, as a sentence.
    pub fn parse(text: &str) -> Result<Option<Self>, String> {
        if text.trim().is_empty() {
            return Ok(None);
        }
        let wrong = || format!("{} is not a rate such as 2/1secs", quote(text));
        let (requests, every) = text.split_once('/').ok_or_else(wrong)?;
        let requests: NonZeroU32 = requests.trim().parse().map_err(|_| wrong())?;
        let every = parse_duration(every.trim()).map_err(|_| wrong())?;
        if every.is_zero() {
            return Err(wrong());
        }
        Ok(Some(Self { requests, every }))
    }

    /// The pause between two requests.
    pub fn pause(self) -> Duration {
        self.every / self.requests.get()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_read_as_libprocess_reads_them() {
        assert_eq!(Rate::parse("2/1secs"), Ok(Some(Rate::TWO_A_SECOND)));
        assert_eq!(Rate::parse(""), Ok(None));
        let ten = Rate::parse(" 10 / 1mins ").unwrap().unwrap();
        assert_eq!(ten.pause(), Duration::from_secs(6));
        for wrong in ["2", "2/", "/1secs", "0/1secs", "2/0secs", "x/1secs", "2/x", "-1/1secs"] {
            assert!(Rate::parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_count_is_at_least_one() {
        assert_eq!(count("7").map(NonZeroUsize::get), Ok(7));
        for wrong in ["0", "-1", "", "x", "1.5"] {
            assert!(count(wrong).is_err(), "{wrong}");
        }
    }
}
