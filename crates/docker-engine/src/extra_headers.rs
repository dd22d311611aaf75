//! Headers that the operator wants on every request to the engine (`HttpHeaders` of docker's config).

use std::collections::BTreeMap;
use std::fmt;

use http::header::{CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, HOST, TRANSFER_ENCODING, UPGRADE, USER_AGENT};
use http::{HeaderMap, HeaderName, HeaderValue};

/// Headers that say how a request is framed or what is in it, or whose credentials a registry is shown: only who makes
/// the request can know. One of the latter in every request would go with anonymous pulls, to any registry.
const OURS: [HeaderName; 9] = [
    CONNECTION,
    CONTENT_LENGTH,
    CONTENT_TYPE,
    HOST,
    TRANSFER_ENCODING,
    UPGRADE,
    USER_AGENT,
    HeaderName::from_static("x-registry-auth"),
    HeaderName::from_static("x-registry-config"),
];

/// Headers for every request. `Debug` shows their names only: an engine behind a proxy may want a secret.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct ExtraHeaders(HeaderMap);

/// A header that cannot be sent. Its value is not in the message.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ExtraHeaderError {
    /// The name is no header's.
    #[error("{0:?} is not the name of a header")]
    Name(String),
    /// The value has a character that no header may have.
    #[error("the value of {0:?} has a character that no header may have")]
    Value(String),
    /// The header belongs to each request.
    #[error("{0:?} is set by each request itself")]
    Ours(String),
}

impl ExtraHeaders {
    /// Checks headers.
    ///
    /// # Errors
    ///
    /// The first one that cannot be sent.
    pub fn new(headers: &BTreeMap<String, String>) -> Result<Self, ExtraHeaderError> {
        let mut checked = HeaderMap::new();
        for (name, value) in headers {
            let shown = || name.chars().take(64).collect();
            let key = HeaderName::from_bytes(name.as_bytes()).map_err(|_| ExtraHeaderError::Name(shown()))?;
            if OURS.contains(&key) {
                return Err(ExtraHeaderError::Ours(shown()));
            }
            let mut value =
                HeaderValue::from_bytes(value.as_bytes()).map_err(|_| ExtraHeaderError::Value(shown()))?;
            value.set_sensitive(true);
            checked.insert(key, value);
        }
        Ok(Self(checked))
    }

    pub(crate) fn as_map(&self) -> &HeaderMap {
        &self.0
    }
}

impl fmt::Debug for ExtraHeaders {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys().map(HeaderName::as_str)).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    fn one(name: &str, value: &str) -> Result<ExtraHeaders, ExtraHeaderError> {
        ExtraHeaders::new(&BTreeMap::from([(name.to_owned(), value.to_owned())]))
    }

    #[rstest]
    #[case("X Meta", "v", "not the name")]
    #[case("", "v", "not the name")]
    #[case("X-Meta", "hunter2\r\nX-Other: v", "character")]
    #[case("content-length", "hunter2", "by each request")]
    #[case("Transfer-Encoding", "hunter2", "by each request")]
    #[case("X-Registry-Auth", "hunter2", "by each request")]
    #[case("x-registry-config", "hunter2", "by each request")]
    fn what_cannot_be_sent_is_refused_without_its_value(
        #[case] name: &str,
        #[case] value: &str,
        #[case] why: &str,
    ) {
        let error = one(name, value).unwrap_err();
        assert!(error.to_string().contains(why), "{error}");
        assert!(!format!("{error} {error:?}").contains("hunter2"));
    }

    #[test]
    fn values_are_sent_and_not_shown() {
        let headers = one("X-Meta", "hunter2").unwrap();
        assert_eq!(headers.as_map()["x-meta"], "hunter2");
        assert_eq!(format!("{headers:?} {:?}", headers.as_map()), "{\"x-meta\"} {\"x-meta\": Sensitive}");
    }
}
