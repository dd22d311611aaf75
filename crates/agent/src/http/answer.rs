//! An answer before it is sent, and what becomes of it on the way: JSONP, gzip, headers.

use std::io::Write as _;
use std::time::Duration;

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use http::header::{self, HeaderValue};
use http::{Response, StatusCode};
use serde_json::Value;

use super::body::Body;

/// Bodies that are shorter are not compressed (`GZIP_MINIMUM_BODY_LENGTH` of libprocess' `http.cpp`).
const MIN_GZIP: usize = 1024;

/// The longest name of a function in `?jsonp=`.
const MAX_JSONP: usize = 128;

const TEXT: &str = "text/plain; charset=utf-8";

/// An answer.
#[derive(Debug)]
pub(super) struct Answer {
    status: StatusCode,
    headers: Vec<(header::HeaderName, HeaderValue)>,
    content: Content,
}

#[derive(Debug)]
enum Content {
    /// Printed JSON, which JSONP may wrap.
    Json(Vec<u8>),
    /// Anything that is whole.
    Whole(Bytes),
    /// A body that is sent as it comes.
    Streamed(Body),
}

/// How the client wants the answer.
#[derive(Debug, Clone, Default)]
pub(super) struct Wanted {
    /// The function to call with the JSON.
    pub(super) jsonp: Option<String>,
    /// Whether it takes gzip.
    pub(super) gzip: bool,
}

impl Answer {
    /// JSON with 200.
    pub(super) fn json(value: &Value) -> Self {
        // A value prints without fail: its keys are strings.
        Self::printed_json(value.to_string().into_bytes())
    }

    /// JSON that is printed already.
    pub(super) fn printed_json(json: Vec<u8>) -> Self {
        Self { status: StatusCode::OK, headers: Vec::new(), content: Content::Json(json) }
    }

    /// Nothing with 200.
    pub(super) fn empty() -> Self {
        Self { status: StatusCode::OK, headers: Vec::new(), content: Content::Whole(Bytes::new()) }
    }

    /// Nothing with 202.
    pub(super) fn accepted() -> Self {
        Self { status: StatusCode::ACCEPTED, ..Self::empty() }
    }

    /// 401 with what to come with.
    pub(super) fn unauthorized(challenge: HeaderValue, why: impl Into<String>) -> Self {
        Self::text(StatusCode::UNAUTHORIZED, why).with(header::WWW_AUTHENTICATE, challenge)
    }

    /// A sentence.
    pub(super) fn text(status: StatusCode, text: impl Into<String>) -> Self {
        Self::bytes(status, TEXT, text.into())
    }

    /// A body of a type.
    pub(super) fn bytes(status: StatusCode, content_type: &'static str, bytes: impl Into<Bytes>) -> Self {
        let headers = vec![(header::CONTENT_TYPE, HeaderValue::from_static(content_type))];
        Self { status, headers, content: Content::Whole(bytes.into()) }
    }

    /// A body that is sent as it comes.
    pub(super) fn streamed(body: Body, headers: Vec<(header::HeaderName, HeaderValue)>) -> Self {
        Self { status: StatusCode::OK, headers, content: Content::Streamed(body) }
    }

    /// 400 with the reason.
    pub(super) fn bad_request(why: impl Into<String>) -> Self {
        Self::text(StatusCode::BAD_REQUEST, why)
    }

    /// 404 as libprocess says it for paths that it does not know.
    pub(super) fn not_found() -> Self {
        Self::text(StatusCode::NOT_FOUND, "404 Not Found.")
    }

    /// 405, with what would be right.
    pub(super) fn method_not_allowed(allowed: &'static str, received: &http::Method) -> Self {
        let text =
            format!("405 Method Not Allowed. Expecting one of {{ '{allowed}' }}, but received '{received}'.");
        Self::text(StatusCode::METHOD_NOT_ALLOWED, text)
            .with(header::ALLOW, HeaderValue::from_static(allowed))
    }

    /// 503 with the reason.
    pub(super) fn unavailable(why: impl Into<String>) -> Self {
        Self::text(StatusCode::SERVICE_UNAVAILABLE, why)
    }

    /// 503 for one that comes too often.
    pub(super) fn too_many(after: Duration) -> Self {
        let seconds = after.as_secs() + 1;
        Self::unavailable(format!(
            "Too many requests wait for this endpoint; ask again in {seconds} seconds."
        ))
        .with(header::RETRY_AFTER, HeaderValue::from(seconds))
    }

    fn with(mut self, name: header::HeaderName, value: HeaderValue) -> Self {
        self.headers.push((name, value));
        self
    }

    /// How much there is to compress or to copy, in bytes.
    pub(super) fn weight(&self) -> usize {
        match &self.content {
            Content::Json(json) => json.len(),
            Content::Whole(bytes) => bytes.len(),
            Content::Streamed(_) => 0,
        }
    }

    /// The response for a client. Takes time where there is much to compress.
    pub(super) fn into_response(self, wanted: &Wanted) -> Response<Body> {
        let (content_type, bytes) = match (self.content, &wanted.jsonp) {
            (Content::Streamed(body), _) => {
                let mut response = Response::new(body);
                *response.status_mut() = self.status;
                response
                    .headers_mut()
                    .extend(self.headers.into_iter().map(|(name, value)| (Some(name), value)));
                return response;
            }
            (Content::Json(json), None) => (Some("application/json"), Bytes::from(json)),
            (Content::Json(json), Some(function)) if is_function(function) => {
                let wrapped = [function.as_bytes(), b"(", &json, b")"].concat();
                (Some("text/javascript"), wrapped.into())
            }
            (Content::Json(_), Some(_)) => {
                return Self::bad_request("The value of 'jsonp' is no name of a function.\n")
                    .into_response(&Wanted::default());
            }
            (Content::Whole(bytes), _) => (None, bytes),
        };
        let compressed = if wanted.gzip && bytes.len() >= MIN_GZIP { gzip(&bytes) } else { None };
        let is_compressed = compressed.is_some();
        let mut response = Response::new(Body::whole(compressed.unwrap_or(bytes)));
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        headers.extend(self.headers.into_iter().map(|(name, value)| (Some(name), value)));
        if let Some(content_type) = content_type {
            headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
        }
        if is_compressed {
            headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        }
        response
    }
}

/// Whether JSON may be wrapped in it. Stock takes anything, also a script.
fn is_function(name: &str) -> bool {
    let is_part = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '$' | '.' | '[' | ']');
    name.len() <= MAX_JSONP && name.chars().all(is_part)
}

/// Compressed in memory, which does not fail; if it did the body would be sent as it is.
fn gzip(bytes: &[u8]) -> Option<Bytes> {
    let mut encoder = GzEncoder::new(Vec::with_capacity(bytes.len() / 4), Compression::fast());
    encoder.write_all(bytes).ok()?;
    encoder.finish().ok().map(Bytes::from)
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use http_body_util::BodyExt as _;
    use serde_json::json;

    use super::*;

    async fn sent(answer: Answer, wanted: &Wanted) -> (StatusCode, http::HeaderMap, Bytes) {
        let (parts, body) = answer.into_response(wanted).into_parts();
        (parts.status, parts.headers, body.collect().await.unwrap().to_bytes())
    }

    #[tokio::test]
    async fn json_may_be_wrapped() {
        let value = json!({"a": 1.0});
        let (status, headers, body) = sent(Answer::json(&value), &Wanted::default()).await;
        assert_eq!((status, &body[..]), (StatusCode::OK, &br#"{"a":1.0}"#[..]));
        assert_eq!(headers[header::CONTENT_TYPE], "application/json");

        for function in ["cb", "angular.callbacks._0", "a[0].$b", ""] {
            let wanted = Wanted { jsonp: Some(function.to_owned()), gzip: false };
            let (_, headers, body) = sent(Answer::json(&value), &wanted).await;
            assert_eq!(body, format!("{function}({{\"a\":1.0}})"));
            assert_eq!(headers[header::CONTENT_TYPE], "text/javascript");
        }
        for script in ["a<b>;x", "alert(1);x", "a b", "é", &"a".repeat(129)] {
            let wanted = Wanted { jsonp: Some(script.to_owned()), gzip: false };
            let (status, _, body) = sent(Answer::json(&value), &wanted).await;
            assert_eq!(status, StatusCode::BAD_REQUEST);
            assert!(!String::from_utf8_lossy(&body).contains(script));
        }
        // Texts are not wrapped.
        let wanted = Wanted { jsonp: Some("cb".to_owned()), gzip: false };
        assert_eq!(sent(Answer::not_found(), &wanted).await.2, "404 Not Found.");
    }

    #[tokio::test]
    async fn long_bodies_are_compressed_for_who_takes_it() {
        let gzip = Wanted { jsonp: None, gzip: true };
        for (length, wanted, compressed) in
            [(1023, &gzip, false), (1024, &gzip, true), (9999, &Wanted::default(), false)]
        {
            let text = "x".repeat(length);
            let (_, headers, body) = sent(Answer::text(StatusCode::OK, text.clone()), wanted).await;
            assert_eq!(headers.contains_key(header::CONTENT_ENCODING), compressed);
            let mut plain = String::new();
            match compressed {
                true => flate2::read::GzDecoder::new(&body[..]).read_to_string(&mut plain).unwrap(),
                false => (&body[..]).read_to_string(&mut plain).unwrap(),
            };
            assert_eq!(plain, text);
        }
    }

    #[tokio::test]
    async fn refusals_are_told_as_stock_tells_them() {
        let answer = Answer::method_not_allowed("POST", &http::Method::GET);
        let (status, headers, body) = sent(answer, &Wanted::default()).await;
        assert_eq!(
            (status, &headers[header::ALLOW]),
            (StatusCode::METHOD_NOT_ALLOWED, &HeaderValue::from_static("POST"))
        );
        assert_eq!(body, "405 Method Not Allowed. Expecting one of { 'POST' }, but received 'GET'.");
        assert_eq!(headers[header::CONTENT_TYPE], TEXT);

        let (_, headers, _) = sent(Answer::too_many(Duration::from_millis(2500)), &Wanted::default()).await;
        assert_eq!(headers[header::RETRY_AFTER], "3");
    }
}
