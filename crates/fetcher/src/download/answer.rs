//! What an HTTP answer means for a file of which some bytes are there already.
//!
//! Stock takes 200 and nothing else as success (src/launcher/fetcher.cpp, `downloadWithNet`), after redirects. A 206
//! is success only as the answer to a request for the rest.

use std::time::Duration;

use reqwest::StatusCode;
use reqwest::header::{CONTENT_RANGE, ETAG, HeaderMap, HeaderValue, LAST_MODIFIED, RETRY_AFTER};

use crate::progress::Validators;

/// What to do with an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// The body is the whole file.
    Whole,
    /// The body is the rest of the file, from the byte that was asked for.
    Rest,
    /// The file is whole as it is.
    Nothing,
    /// What is there is of no use: ask again for the whole file.
    Anew,
    /// Ask again later, after the time that the server names.
    Later(Option<Duration>),
    /// It is not to be had.
    Refused,
}

/// What is there of a file before it is asked for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Begun<'a> {
    /// The bytes that are there; the request is for those behind them (0: for the file).
    pub(super) bytes: u64,
    /// What the server said of the version that they are of.
    pub(super) version: &'a Validators,
    /// The size of that version, where it was said.
    pub(super) total: Option<u64>,
}

/// Judges an answer.
///
/// Many servers give ranges and ignore `If-Range`, so the rest is taken only if nothing in the answer says that it is
/// of another version.
pub(super) fn judge(status: StatusCode, headers: &HeaderMap, begun: Begun<'_>) -> Answer {
    let from = begun.bytes;
    match status {
        StatusCode::OK => Answer::Whole,
        StatusCode::PARTIAL_CONTENT if from > 0 => match content_range(headers) {
            Some(ContentRange { first: Some(first), size })
                if first == from && is_same(headers, size, begun) =>
            {
                Answer::Rest
            }
            _ => Answer::Anew,
        },
        StatusCode::RANGE_NOT_SATISFIABLE if from > 0 => match content_range(headers) {
            Some(ContentRange { first: None, size: Some(size) })
                if size == from && is_same(headers, Some(size), begun) =>
            {
                Answer::Nothing
            }
            _ => Answer::Anew,
        },
        StatusCode::REQUEST_TIMEOUT
        | StatusCode::TOO_MANY_REQUESTS
        | StatusCode::INTERNAL_SERVER_ERROR
        | StatusCode::BAD_GATEWAY
        | StatusCode::SERVICE_UNAVAILABLE
        | StatusCode::GATEWAY_TIMEOUT => Answer::Later(retry_after(headers)),
        _ => Answer::Refused,
    }
}

/// Says whether nothing in an answer tells of another version: an entity tag, a time of change or a size that is there
/// now and was there before is the same.
fn is_same(headers: &HeaderMap, size: Option<u64>, begun: Begun<'_>) -> bool {
    fn agree<T: PartialEq>(now: Option<T>, before: Option<T>) -> bool {
        now.is_none() || before.is_none() || now == before
    }
    let now = validators(headers);
    agree(now.etag.as_ref(), begun.version.etag.as_ref())
        && agree(now.last_modified.as_ref(), begun.version.last_modified.as_ref())
        && agree(size, begun.total)
}

/// The size of the whole file by a `Content-Range`.
pub(super) fn whole_size(headers: &HeaderMap) -> Option<u64> {
    content_range(headers)?.size
}

/// What the server says about the version of the file.
pub(super) fn validators(headers: &HeaderMap) -> Validators {
    let text =
        |name| headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok()).map(str::to_owned);
    Validators { etag: text(ETAG), last_modified: text(LAST_MODIFIED) }
}

/// The validator that may stand in `If-Range`: a strong entity tag, or else the time of the last change.
///
/// Without one a resumed download could glue two versions together, so there is no resuming.
pub(super) fn if_range(validators: &Validators) -> Option<&str> {
    match validators.etag.as_deref() {
        Some(etag) if !etag.starts_with("W/") => Some(etag),
        _ => validators.last_modified.as_deref(),
    }
}

/// A `Content-Range` in bytes: `bytes 5-9/10`, `bytes 5-9/*`, `bytes */10`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct ContentRange {
    first: Option<u64>,
    size: Option<u64>,
}

fn content_range(headers: &HeaderMap) -> Option<ContentRange> {
    let value = headers.get(CONTENT_RANGE)?.to_str().ok()?;
    let (unit, rest) = value.trim().split_once(' ')?;
    let (range, size) = rest.split_once('/')?;
    if !unit.eq_ignore_ascii_case("bytes") {
        return None;
    }
    let size = match size.trim() {
        "*" => None,
        size => Some(size.parse().ok()?),
    };
    let first = match range.trim() {
        "*" => None,
        range => Some(range.split_once('-')?.0.parse().ok()?),
    };
    Some(ContentRange { first, size })
}

/// Only the form in seconds; the form with a date needs two clocks that agree.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    headers.get(RETRY_AFTER)?.to_str().ok()?.trim().parse().ok().map(Duration::from_secs)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| ((*name).parse().unwrap(), value.parse().unwrap())).collect()
    }

    #[rstest]
    #[case(200, &[], 0, Answer::Whole)]
    #[case(200, &[], 5, Answer::Whole)]
    #[case(206, &[("content-range", "bytes 0-4/5")], 0, Answer::Refused)]
    #[case(206, &[("content-range", "bytes 5-9/10")], 5, Answer::Rest)]
    #[case(206, &[("content-range", "bytes 5-9/*")], 5, Answer::Rest)]
    #[case(206, &[("content-range", "bytes 4-9/10")], 5, Answer::Anew)]
    #[case(206, &[("content-range", "pages 5-9/10")], 5, Answer::Anew)]
    #[case(206, &[], 5, Answer::Anew)]
    #[case(416, &[("content-range", "bytes */5")], 5, Answer::Nothing)]
    #[case(416, &[("content-range", "bytes */4")], 5, Answer::Anew)]
    #[case(416, &[], 5, Answer::Anew)]
    #[case(416, &[], 0, Answer::Refused)]
    #[case(500, &[], 0, Answer::Later(None))]
    #[case(503, &[("retry-after", "7")], 0, Answer::Later(Some(Duration::from_secs(7))))]
    #[case(429, &[("retry-after", "Fri, 31 Dec 1999 23:59:59 GMT")], 0, Answer::Later(None))]
    #[case(204, &[], 0, Answer::Refused)]
    #[case(201, &[], 0, Answer::Refused)]
    #[case(304, &[], 0, Answer::Refused)]
    #[case(401, &[], 0, Answer::Refused)]
    #[case(404, &[], 0, Answer::Refused)]
    fn answers(
        #[case] status: u16,
        #[case] pairs: &[(&'static str, &str)],
        #[case] from: u64,
        #[case] expected: Answer,
    ) {
        let status = StatusCode::from_u16(status).expect("a status");
        let begun = Begun { bytes: from, version: &Validators::default(), total: None };
        assert_eq!(judge(status, &headers(pairs), begun), expected);
    }

    #[rstest]
    #[case(206, "bytes 5-9/10", &[], Answer::Rest)]
    #[case(206, "bytes 5-9/10", &[("etag", "\"a\""), ("last-modified", "then")], Answer::Rest)]
    #[case(206, "bytes 5-9/10", &[("etag", "\"b\""), ("last-modified", "then")], Answer::Anew)]
    #[case(206, "bytes 5-9/10", &[("etag", "W/\"a\"")], Answer::Anew)]
    #[case(206, "bytes 5-9/10", &[("etag", "\"a\""), ("last-modified", "now")], Answer::Anew)]
    #[case(206, "bytes 5-9/*", &[("etag", "\"a\"")], Answer::Rest)]
    #[case(206, "bytes 5-10/11", &[], Answer::Anew)]
    #[case(416, "bytes */5", &[], Answer::Anew)]
    fn the_rest_of_another_version_is_not_taken(
        #[case] status: u16,
        #[case] range: &str,
        #[case] pairs: &[(&'static str, &str)],
        #[case] expected: Answer,
    ) {
        let version = Validators { etag: Some("\"a\"".to_owned()), last_modified: Some("then".to_owned()) };
        let begun = Begun { bytes: 5, version: &version, total: Some(10) };
        let mut headers = headers(pairs);
        headers.insert(CONTENT_RANGE, range.parse().unwrap());
        assert_eq!(judge(StatusCode::from_u16(status).expect("a status"), &headers, begun), expected);
    }

    #[rstest]
    #[case(&[], None)]
    #[case(&[("etag", "\"a\"")], Some("\"a\""))]
    #[case(&[("etag", "W/\"a\"")], None)]
    #[case(&[("etag", "W/\"a\""), ("last-modified", "then")], Some("then"))]
    #[case(&[("etag", "\"a\""), ("last-modified", "then")], Some("\"a\""))]
    fn only_a_strong_validator_resumes(
        #[case] pairs: &[(&'static str, &str)],
        #[case] expected: Option<&str>,
    ) {
        assert_eq!(if_range(&validators(&headers(pairs))), expected);
    }
}
