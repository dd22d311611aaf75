//! The query of a URL.

use percent_encoding::percent_decode_str;

/// The longest query that is read, in bytes; a virtual path has at most 4096, each of which may be encoded as three.
const LONGEST: usize = 16 * 1024;

/// Names and values of a query, decoded. Of a name that stands twice the last one counts, as in libprocess.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Query(Vec<(String, String)>);

/// A query that is too long, or not encoded as it must be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the query is malformed or longer than {LONGEST} bytes")]
pub(super) struct BadQuery;

impl Query {
    /// Decodes a query (`query::decode` of libprocess' `http.cpp`): `;` separates as `&` does, `+` is a space.
    pub(super) fn parse(query: &str) -> Result<Self, BadQuery> {
        if query.len() > LONGEST {
            return Err(BadQuery);
        }
        let pairs = query.split(['&', ';']).filter(|pair| !pair.is_empty());
        pairs
            .map(|pair| {
                let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
                Ok((decode(name)?, decode(value)?))
            })
            .collect::<Result<_, _>>()
            .map(Self)
    }

    /// The value of a name; `None` where it is not in the query.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().rev().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

fn decode(text: &str) -> Result<String, BadQuery> {
    if !is_well_encoded(text) {
        return Err(BadQuery);
    }
    let text = text.replace('+', " ");
    Ok(percent_decode_str(&text).decode_utf8_lossy().into_owned())
}

/// Whether two hexadecimal digits follow each percent sign. Stock drops the connection where they do not.
pub(super) fn is_well_encoded(text: &str) -> bool {
    let digits =
        |rest: &str| rest.as_bytes().get(..2).is_some_and(|two| two.iter().all(u8::is_ascii_hexdigit));
    text.split('%').skip(1).all(digits)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("", "a", None)]
    #[case("a=1", "a", Some("1"))]
    #[case("a=1&a=2", "a", Some("2"))]
    #[case("a=1;b=2", "b", Some("2"))]
    #[case("b&a", "a", Some(""))]
    #[case("a=", "a", Some(""))]
    #[case("a=x=y", "a", Some("x=y"))]
    #[case("path=%2Fa%20b+c%2B", "path", Some("/a b c+"))]
    #[case("p=%C3%A9%FF", "p", Some("é\u{fffd}"))]
    #[case("&&a=1&", "a", Some("1"))]
    fn values_are_decoded(#[case] query: &str, #[case] name: &str, #[case] expected: Option<&str>) {
        assert_eq!(Query::parse(query).unwrap().get(name), expected);
    }

    #[test]
    fn what_is_malformed_or_huge_is_refused() {
        for bad in ["a=%", "a=%2", "%zz=1", "a=%g0", &"a".repeat(LONGEST + 1)] {
            assert_eq!(Query::parse(bad), Err(BadQuery), "{}", bad.len());
        }
    }
}
