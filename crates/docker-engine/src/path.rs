//! Request paths: names and ids from outside are escaped, so that none can leave its place in the path.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// Everything but what a URL never needs escaped.
const SEGMENT: AsciiSet = NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// The same with the characters of image names, which the engine takes as they are.
const IMAGE: AsciiSet = SEGMENT.remove(b'/').remove(b':').remove(b'@');

/// Makes `/containers/{id}{suffix}`.
pub(crate) fn container(id: &str, suffix: &str) -> String {
    format!("/containers/{}{suffix}", segment(id))
}

/// Makes `/images/{name}/json`.
pub(crate) fn image_json(name: &str) -> String {
    format!("/images/{}/json", utf8_percent_encode(name, &IMAGE))
}

/// Escapes one segment, or one value of a query.
///
/// An empty one and the two that mean a directory become a name that no engine has, so that the call fails as not
/// found instead of reaching another endpoint.
pub(crate) fn segment(text: &str) -> String {
    match text {
        "" | "." | ".." => "%00".to_owned(),
        text => value(text),
    }
}

/// Escapes one value of a query.
pub(crate) fn value(text: &str) -> String {
    utf8_percent_encode(text, &SEGMENT).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case("mesos-S0-6f1c", "/containers/mesos-S0-6f1c/json")]
    #[case("../images/x", "/containers/..%2Fimages%2Fx/json")]
    #[case("a?force=1#b c", "/containers/a%3Fforce%3D1%23b%20c/json")]
    #[case("", "/containers/%00/json")]
    #[case("..", "/containers/%00/json")]
    #[case("ü\n", "/containers/%C3%BC%0A/json")]
    fn an_id_stays_one_segment(#[case] id: &str, #[case] expected: &str) {
        assert_eq!(container(id, "/json"), expected);
    }

    #[test]
    fn an_image_name_is_sent_as_it_is() {
        assert_eq!(image_json("host:5000/a/b:t@sha256:0"), "/images/host:5000/a/b:t@sha256:0/json");
        assert_eq!(image_json("a b?"), "/images/a%20b%3F/json");
    }
}
