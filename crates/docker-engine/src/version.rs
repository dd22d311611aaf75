//! Engine API versions and the one that we and an engine agree on.

use std::fmt;
use std::str::FromStr;

/// The oldest API version that we speak (Docker 19.03).
pub const OLDEST_API: ApiVersion = ApiVersion { major: 1, minor: 40 };

/// The newest API version that we speak (Docker 28.3). Newer engines answer in it too.
pub const NEWEST_API: ApiVersion = ApiVersion { major: 1, minor: 51 };

/// A version of the Engine API, as in `1.41`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ApiVersion {
    major: u16,
    minor: u16,
}

impl ApiVersion {
    /// Makes the version `major.minor`.
    pub const fn new(major: u16, minor: u16) -> Self {
        Self { major, minor }
    }
}

impl fmt::Display for ApiVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

/// The text is not a version.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not an API version")]
pub struct NotAVersion(String);

impl FromStr for ApiVersion {
    type Err = NotAVersion;

    fn from_str(text: &str) -> Result<Self, NotAVersion> {
        let number = |part: &str| -> Option<u16> {
            let plain = (1..=4).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_digit());
            plain.then(|| part.parse().ok()).flatten()
        };
        text.split_once('.')
            .and_then(|(major, minor)| Some(Self { major: number(major)?, minor: number(minor)? }))
            .ok_or_else(|| NotAVersion(text.chars().take(32).collect()))
    }
}

/// There is no version that both speak.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct NoCommonVersion {
    pub(crate) message: String,
    pub(crate) hint: String,
}

/// Chooses the version to speak: the newest that both know.
pub(crate) fn negotiate(
    engine: ApiVersion,
    engine_oldest: Option<ApiVersion>,
) -> Result<ApiVersion, NoCommonVersion> {
    if engine < OLDEST_API {
        return Err(NoCommonVersion {
            message: format!(
                "the engine speaks API {engine} at most, and {OLDEST_API} is the oldest supported"
            ),
            hint: "upgrade to Docker Engine 19.03 or newer".to_owned(),
        });
    }
    if let Some(oldest) = engine_oldest.filter(|oldest| *oldest > NEWEST_API) {
        return Err(NoCommonVersion {
            message: format!(
                "the engine speaks API {oldest} at least, and {NEWEST_API} is the newest supported"
            ),
            hint: "upgrade this program, or set the engine's DOCKER_MIN_API_VERSION lower".to_owned(),
        });
    }
    Ok(engine.min(NEWEST_API))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    fn version(text: &str) -> ApiVersion {
        text.parse().unwrap()
    }

    #[rstest]
    #[case("1.40", Some("1.12"), "1.40")]
    #[case("1.41", Some("1.12"), "1.41")]
    #[case("1.51", None, "1.51")]
    #[case("1.53", Some("1.44"), "1.51")]
    #[case("2.0", Some("1.51"), "1.51")]
    fn the_newest_common_version_is_spoken(
        #[case] engine: &str,
        #[case] oldest: Option<&str>,
        #[case] expected: &str,
    ) {
        assert_eq!(negotiate(version(engine), oldest.map(version)), Ok(version(expected)));
    }

    #[rstest]
    #[case("1.39", None, "19.03")]
    #[case("1.9", None, "19.03")]
    #[case("1.60", Some("1.52"), "upgrade this program")]
    fn without_a_common_version_the_remedy_is_named(
        #[case] engine: &str,
        #[case] oldest: Option<&str>,
        #[case] remedy: &str,
    ) {
        let refused = negotiate(version(engine), oldest.map(version)).unwrap_err();
        assert!(refused.hint.contains(remedy), "{refused:?}");
    }

    #[rstest]
    #[case("")]
    #[case("1")]
    #[case("1.")]
    #[case("1.x")]
    #[case("1.41.2")]
    #[case("+1.4")]
    #[case("1.99999")]
    fn what_is_no_version_is_refused(#[case] text: &str) {
        assert!(text.parse::<ApiVersion>().is_err());
    }
}
