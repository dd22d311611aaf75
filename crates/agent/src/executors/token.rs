//! The tokens that executors authenticate with: JSON web tokens of RFC 7519, signed with HS256, as stock makes them
//! (`src/authentication/executor/jwt_secret_generator.cpp`, `jwt.cpp` of libprocess).
//!
//! A token says which framework, executor and container it is for, and has no end: it is good for as long as the
//! container is. Executors outlive the agent, so a key must stay the same over its restarts, also over the swap with a
//! stock agent; that is why the file's bytes are the key as they are, the last line's end included, as in stock.

use std::fmt;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use flags::Secret;
use hmac::{Hmac, KeyInit as _, Mac as _};
use mesos_types::{ContainerId, ExecutorId, FrameworkId};
use serde_json::{Value, json};
use sha2_for_hmac::Sha256;
use thiserror::Error;

/// The largest key that is read, in bytes.
const LARGEST_KEY: u64 = 64 << 10;

/// The longest token that is looked at, in bytes: three ids and what they are wrapped in.
const LONGEST_TOKEN: usize = 8 << 10;

/// The key that signs tokens. It never prints.
#[derive(Clone, PartialEq, Eq)]
pub struct TokenKey(Vec<u8>);

/// Whom a token is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claims {
    /// The framework.
    pub framework_id: FrameworkId,
    /// The executor.
    pub executor_id: ExecutorId,
    /// The container.
    pub container_id: ContainerId,
}

/// Why the key's file cannot be used.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum TokenKeyError {
    /// It cannot be read.
    #[error("cannot read the file of --jwt_secret_key, {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// It is too large to be a key.
    #[error("the file of --jwt_secret_key, {}, has more than {LARGEST_KEY} bytes", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
    },
    /// It is empty: everybody could make tokens.
    #[error("the file of --jwt_secret_key, {}, is empty; write a long random text into it", path.display())]
    Empty {
        /// The file.
        path: PathBuf,
    },
}

/// Why a token is none of ours. Says nothing of its content.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum TokenError {
    /// It is not three parts of base64 with JSON in the first two.
    #[error("it is not a JSON web token")]
    Form,
    /// Another algorithm than ours signed it, or none.
    #[error("its algorithm is not HS256")]
    Algorithm,
    /// The signature is not that of the key.
    #[error("its signature is not ours")]
    Signature,
    /// It was good until a time that is over.
    #[error("it has expired")]
    Expired,
    /// It does not say whom it is for.
    #[error("it does not name a framework, an executor and a container")]
    Claims,
}

impl TokenKey {
    /// Reads the file of `--jwt_secret_key`. Blocks for as long.
    ///
    /// # Errors
    ///
    /// It cannot be read, is empty, or is too large.
    pub fn read(path: &Path) -> Result<Self, TokenKeyError> {
        let at = || path.to_owned();
        let read = |source| TokenKeyError::Read { path: at(), source };
        let mut key = Vec::new();
        // A file may grow while it is read.
        let file = std::fs::File::open(path).map_err(read)?;
        file.take(LARGEST_KEY + 1).read_to_end(&mut key).map_err(read)?;
        match key.len() as u64 {
            0 => Err(TokenKeyError::Empty { path: at() }),
            length if length > LARGEST_KEY => Err(TokenKeyError::TooLarge { path: at() }),
            _ => Ok(Self(key)),
        }
    }

    /// A key of these bytes.
    pub fn new(key: &[u8]) -> Self {
        Self(key.to_owned())
    }

    /// The token of an executor.
    pub fn token(&self, claims: &Claims) -> Secret {
        let header = json!({"alg": "HS256", "typ": "JWT"});
        let Claims { framework_id, executor_id, container_id } = claims;
        let payload = json!({
            "cid": container_id.to_string(), "eid": executor_id.as_str(), "fid": framework_id.as_str()
        });
        let part = |value: Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let signed = format!("{}.{}", part(header), part(payload));
        let signature = URL_SAFE_NO_PAD.encode(self.hmac(&signed).finalize().into_bytes());
        Secret::new(format!("{signed}.{signature}"))
    }

    /// Whom a token is for.
    ///
    /// # Errors
    ///
    /// The first thing that is wrong with it; the signature is compared in a time that does not depend on it.
    pub fn verify(&self, token: &str) -> Result<Claims, TokenError> {
        if token.len() > LONGEST_TOKEN {
            return Err(TokenError::Form);
        }
        let (signed, signature) = token.rsplit_once('.').ok_or(TokenError::Form)?;
        let (header, payload) = signed.split_once('.').ok_or(TokenError::Form)?;
        if object(header)?.get("alg").and_then(Value::as_str) != Some("HS256") {
            return Err(TokenError::Algorithm);
        }
        let signature = URL_SAFE_NO_PAD.decode(signature).map_err(|_| TokenError::Form)?;
        self.hmac(signed).verify_slice(&signature).map_err(|_| TokenError::Signature)?;
        let payload = object(payload)?;
        if let Some(end) = payload.get("exp") {
            let end = end.as_f64().ok_or(TokenError::Claims)?;
            let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64());
            if end <= now {
                return Err(TokenError::Expired);
            }
        }
        Ok(Claims {
            framework_id: claim(&payload, "fid")?,
            executor_id: claim(&payload, "eid")?,
            container_id: claim(&payload, "cid")?,
        })
    }

    fn hmac(&self, signed: &str) -> Hmac<Sha256> {
        #[expect(clippy::expect_used, reason = "an HMAC takes a key of any length")]
        let mut hmac = Hmac::<Sha256>::new_from_slice(&self.0).expect("a key of any length");
        hmac.update(signed.as_bytes());
        hmac
    }
}

impl fmt::Debug for TokenKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokenKey(***)")
    }
}

fn claim<T: FromStr>(payload: &Value, name: &str) -> Result<T, TokenError> {
    let value = payload.get(name).and_then(Value::as_str);
    value.and_then(|value| value.parse().ok()).ok_or(TokenError::Claims)
}

fn object(part: &str) -> Result<Value, TokenError> {
    let text = URL_SAFE_NO_PAD.decode(part).map_err(|_| TokenError::Form)?;
    let value: Value = serde_json::from_slice(&text).map_err(|_| TokenError::Form)?;
    if value.is_object() { Ok(value) } else { Err(TokenError::Form) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rstest::rstest;

    fn key() -> TokenKey {
        TokenKey::new(b"a key of the tests\n")
    }

    fn claims() -> Claims {
        Claims {
            framework_id: "F-0001".parse().unwrap(),
            executor_id: "e".parse().unwrap(),
            container_id: "088d4d0c-8fba-4ba4-ae0b-30dd5ef906af".parse().unwrap(),
        }
    }

    /// A token with these parts, signed as ours are.
    fn signed(header: &str, payload: &str) -> String {
        let signed = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(payload));
        let signature = URL_SAFE_NO_PAD.encode(key().hmac(&signed).finalize().into_bytes());
        format!("{signed}.{signature}")
    }

    /// Made with another program: `openssl dgst -sha256 -hmac`.
    #[test]
    fn a_token_is_what_any_other_program_makes_of_it() {
        let token = TokenKey::new(b"secret").token(&claims());
        assert_eq!(token.expose(), include_str!("data/token.txt").lines().last().unwrap());
    }

    #[test]
    fn a_token_says_whom_it_is_for() {
        assert_eq!(key().verify(key().token(&claims()).expose()), Ok(claims()));
        assert!(!format!("{:?} {:?}", key(), key().token(&claims())).contains("key of"));
    }

    #[rstest]
    #[case("", TokenError::Form)]
    #[case("a.b", TokenError::Form)]
    #[case("a.b.c.d", TokenError::Form)]
    #[case("!.!.!", TokenError::Form)]
    #[case("e30.e30.", TokenError::Algorithm)]
    fn what_is_no_token_is_refused(#[case] token: &str, #[case] error: TokenError) {
        assert_eq!(key().verify(token), Err(error));
    }

    #[rstest]
    #[case(r#"{"alg":"none","typ":"JWT"}"#, r#"{"fid":"F","eid":"e","cid":"c"}"#, TokenError::Algorithm)]
    #[case(r#"{"alg":"HS512"}"#, r#"{"fid":"F","eid":"e","cid":"c"}"#, TokenError::Algorithm)]
    #[case(r#"{"alg":"HS256"}"#, r#"{"fid":"F","eid":"e"}"#, TokenError::Claims)]
    #[case(r#"{"alg":"HS256"}"#, r#"{"fid":"F","eid":"e","cid":1}"#, TokenError::Claims)]
    #[case(
        r#"{"alg":"HS256"}"#,
        r#"{"fid":"F/","eid":"e","cid":"088d4d0c-8fba-4ba4-ae0b-30dd5ef906af"}"#,
        TokenError::Claims
    )]
    #[case(r#"{"alg":"HS256"}"#, r#"["fid"]"#, TokenError::Form)]
    #[case(r#"{"alg":"HS256"}"#, r#"{"fid":"F","eid":"e","cid":"c","exp":1}"#, TokenError::Expired)]
    #[case(r#"{"alg":"HS256"}"#, r#"{"fid":"F","eid":"e","cid":"c","exp":"x"}"#, TokenError::Claims)]
    fn what_is_well_signed_still_has_to_be_ours(
        #[case] header: &str,
        #[case] payload: &str,
        #[case] error: TokenError,
    ) {
        assert_eq!(key().verify(&signed(header, payload)), Err(error));
    }

    #[test]
    fn a_token_of_another_key_is_refused() {
        let other = TokenKey::new(b"another").token(&claims());
        assert_eq!(key().verify(other.expose()), Err(TokenError::Signature));
        assert_eq!(key().verify(&"x".repeat(LONGEST_TOKEN + 1)), Err(TokenError::Form));
    }

    #[test]
    fn the_keys_file_is_read_as_it_is() {
        let file = tempfile::NamedTempFile::new().unwrap();
        assert!(matches!(TokenKey::read(file.path()), Err(TokenKeyError::Empty { .. })));
        std::fs::write(file.path(), b"a key of the tests\n").unwrap();
        assert_eq!(TokenKey::read(file.path()).unwrap(), key());
        std::fs::write(file.path(), vec![b'x'; (64 << 10) + 1]).unwrap();
        assert!(matches!(TokenKey::read(file.path()), Err(TokenKeyError::TooLarge { .. })));
        let missing = TokenKey::read(Path::new("/nowhere/key")).unwrap_err();
        assert!(format!("{missing}").contains("/nowhere/key"));
    }

    proptest! {
        #[test]
        fn no_changed_token_is_taken(at in 0_usize..400, to in "[A-Za-z0-9._-]") {
            let token = key().token(&claims()).expose().to_owned();
            let at = at % token.len();
            let changed = format!("{}{to}{}", &token[..at], &token[at + 1..]);
            prop_assume!(changed != token);
            // The last character of a part may carry bits that mean nothing; a strict decoder refuses them.
            prop_assert!(key().verify(&changed).is_err());
        }

        #[test]
        fn any_ids_come_back(framework in "[^/\\\\\\p{C}]{1,60}", executor in "[^/\\\\\\p{C}]{1,60}") {
            let (Ok(framework_id), Ok(executor_id)) = (framework.parse(), executor.parse()) else {
                return Ok(());
            };
            let claims = Claims { framework_id, executor_id, container_id: ContainerId::random() };
            prop_assert_eq!(key().verify(key().token(&claims).expose()), Ok(claims));
        }
    }
}
