//! Registry credentials and the header that carries them.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};
use http::HeaderValue;
use serde::Serialize;

/// What the engine shows a registry to pull from it. Every field may be empty.
///
/// `Debug` prints the registry's address only.
#[derive(Clone, Default, PartialEq, Eq, Serialize)]
pub struct Credentials {
    /// The user's name.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub username: String,
    /// The user's password.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub password: String,
    /// The registry, as the config file names it.
    #[serde(rename = "serveraddress", skip_serializing_if = "String::is_empty")]
    pub server_address: String,
    /// An OAuth refresh token, used instead of a password.
    #[serde(rename = "identitytoken", skip_serializing_if = "String::is_empty")]
    pub identity_token: String,
    /// A bearer token, sent to the registry as it is.
    #[serde(rename = "registrytoken", skip_serializing_if = "String::is_empty")]
    pub registry_token: String,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials").field("server_address", &self.server_address).finish_non_exhaustive()
    }
}

impl Credentials {
    /// Returns the value of `X-Registry-Auth`: JSON in base64 with the URL-safe alphabet, padded.
    ///
    /// The engine decodes that alphabet only, and takes what it cannot decode as no credentials at all, without a
    /// word.
    pub(crate) fn header(&self) -> HeaderValue {
        let json = serde_json::to_vec(self).unwrap_or_default();
        secret_header(&URL_SAFE.encode(json))
    }
}

/// Rewrites a header value in the standard alphabet, as bollard writes it, into the one that the engine decodes.
pub(crate) fn url_safe(value: &HeaderValue) -> HeaderValue {
    match STANDARD.decode(value.as_bytes()) {
        Ok(json) => secret_header(&URL_SAFE.encode(json)),
        Err(_) => value.clone(),
    }
}

fn secret_header(base64: &str) -> HeaderValue {
    // Base64 is visible ASCII, which every header value may be.
    let mut value = HeaderValue::from_str(base64).unwrap_or(HeaderValue::from_static(""));
    value.set_sensitive(true);
    value
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    /// At least one of three neighbouring offsets puts each of these on `-` or `_`.
    #[rstest]
    fn the_header_decodes_with_the_url_safe_alphabet(
        #[values("?", ">", "~", "ü", "???", ">>>", "~~~", "üüü")] secret: &str,
        #[values("", "x", "xx")] before: &str,
    ) {
        let password = format!("{before}{secret}");
        let credentials =
            Credentials { username: "u".into(), password: password.clone(), ..Default::default() };
        let header = credentials.header();
        assert!(header.is_sensitive());
        let json: serde_json::Value =
            serde_json::from_slice(&URL_SAFE.decode(header.as_bytes()).unwrap()).unwrap();
        assert_eq!(json, serde_json::json!({ "username": "u", "password": password }));

        let as_bollard_has_it = HeaderValue::from_str(&STANDARD.encode(json.to_string())).unwrap();
        let rewritten = url_safe(&as_bollard_has_it);
        assert_eq!(URL_SAFE.decode(rewritten.as_bytes()).unwrap(), json.to_string().into_bytes());
    }

    #[test]
    fn debug_shows_no_secret() {
        let credentials = Credentials {
            username: "user".into(),
            password: "hunter2".into(),
            identity_token: "tok1".into(),
            registry_token: "tok2".into(),
            server_address: "registry".into(),
        };
        let shown = format!("{credentials:?} {:?}", credentials.header());
        assert!(
            !["user\"", "hunter2", "tok1", "tok2"].iter().any(|secret| shown.contains(secret)),
            "{shown}"
        );
    }
}
