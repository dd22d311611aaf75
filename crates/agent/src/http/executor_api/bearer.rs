//! The token of a request (`JWTAuthenticatorProcess` of libprocess' `jwt_authenticator.cpp`).

use http::{HeaderMap, HeaderValue, header};

use crate::executors::{Claims, TokenKey};
use crate::http::answer::Answer;

/// What a client is told to come with; the realm is stock's.
const CHALLENGE: &str = "Bearer realm=\"mesos-agent-executor\"";

/// The same to one that came with a wrong token (RFC 6750).
const WRONG: &str = "Bearer realm=\"mesos-agent-executor\", error=\"invalid_token\"";

/// Whom the token of a request is for. No answer quotes it.
///
/// # Errors
///
/// The answer 401.
pub(super) fn claims(key: &TokenKey, headers: &HeaderMap) -> Result<Claims, Answer> {
    let refused = |challenge, why: String| Answer::unauthorized(HeaderValue::from_static(challenge), why);
    let Some(value) = headers.get(header::AUTHORIZATION) else {
        return Err(refused(CHALLENGE, "This call needs the token of its executor.".to_owned()));
    };
    let parts = value.to_str().ok().and_then(|value| value.trim().split_once(' '));
    let Some((_, token)) = parts.filter(|(scheme, _)| scheme.eq_ignore_ascii_case("Bearer")) else {
        let why = "Expecting the header 'Authorization' to be of the form 'Bearer <token>'";
        return Err(refused(CHALLENGE, why.to_owned()));
    };
    key.verify(token.trim()).map_err(|error| refused(WRONG, format!("Invalid JWT: {error}")))
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn key() -> TokenKey {
        TokenKey::new(b"k")
    }

    fn of(value: &str) -> HeaderMap {
        [(header::AUTHORIZATION, value.parse().unwrap())].into_iter().collect()
    }

    #[test]
    fn a_token_of_ours_tells_whom_it_is_for() {
        let ours = Claims {
            framework_id: "F".parse().unwrap(),
            executor_id: "e".parse().unwrap(),
            container_id: mesos_types::ContainerId::random(),
        };
        let token = key().token(&ours);
        for scheme in ["Bearer", "bearer"] {
            let found = claims(&key(), &of(&format!("{scheme} {}", token.expose())));
            assert_eq!(found.unwrap(), ours);
        }
    }

    #[rstest]
    #[case("Bearer aaa.bbb.ccc", "invalid_token")]
    #[case("Bearer", "Expecting the header")]
    #[case("Basic aaa.bbb.ccc", "Expecting the header")]
    #[case("aaa.bbb.ccc", "Expecting the header")]
    fn others_are_refused_and_not_quoted(#[case] value: &str, #[case] why: &str) {
        let refused = format!("{:?}", claims(&key(), &of(value)).unwrap_err());
        assert!(refused.contains("401") && refused.contains(why), "{refused}");
        assert!(!refused.contains("bbb"), "{refused}");
    }

    #[test]
    fn a_call_without_a_token_is_asked_for_one() {
        let refused = format!("{:?}", claims(&key(), &HeaderMap::new()).unwrap_err());
        assert!(refused.contains("401") && refused.contains("mesos-agent-executor"), "{refused}");
    }
}
