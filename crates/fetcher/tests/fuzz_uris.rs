//! Any URI is answered: it has a place below the sandbox and a source, or is refused in one short line. Nothing panics,
//! and no password or signature of a URI is printed.
//!
//! `PROPTEST_CASES` sets how many cases each property has; `scripts/fuzz` runs them for as long as you like.

use std::path::{Component, Path};

use fetcher::uri::{FetchUri, Source, output_file, redacted};
use proptest::prelude::*;
use proptest::sample::{Index, select};

/// The longest line that a person is shown, in bytes, beside the URI itself.
const LONGEST_ERROR: usize = 1024;

/// What a password, a token or a signature is in these tests.
const SECRET: &str = "Zq7hunter2Zq7";

/// Parts that mean something in a URI.
const PARTS: [&str; 32] = [
    "http://",
    "https://",
    "ftp://",
    "file://",
    "hdfs://",
    "s3://",
    "s3a://",
    "gs://",
    "abfss://",
    "c://",
    "://",
    ":",
    "localhost",
    "host.test",
    "[::1]",
    ":8080",
    ":x",
    "/",
    "//",
    "..",
    "/../",
    "a.tar.gz",
    "?",
    "?x=/y",
    "#",
    "@",
    "#sha256=",
    "%2e%2e%2f",
    "%00",
    " ",
    "\r\n\t",
    "'",
];

fn uri() -> impl Strategy<Value = String> {
    let digits = "0123456789abcdef".repeat(4);
    let part = prop_oneof![
        8 => select(&PARTS[..]).prop_map(str::to_owned),
        1 => Just(format!("#sha256={digits}")),
        2 => ".{0,8}",
        1 => Just("x".repeat(3000)),
    ];
    prop::collection::vec(part, 0..8).prop_map(|parts| parts.concat())
}

/// A URI with a secret in a place where people put them.
fn with_secret() -> impl Strategy<Value = String> {
    let scheme = select(vec!["http", "https", "ftp", "ftps", "s3", "hdfs", "gs", "HTTP"]);
    let tail = select(vec!["", "?v=1", "#part", "/", "/../x", " "]);
    let place = select(vec![
        "{scheme}://user:{secret}@host.test/a.tgz{tail}",
        "{scheme}://user:{secret}@host.test:99999/a{tail}",
        "{scheme}://us%40er:{secret}@[::1]/a{tail}",
        "{scheme}://host.test/a?X-Amz-Signature={secret}&x=1{tail}",
        "{scheme}://host.test/a?sig={secret}{tail}",
        "{scheme}://host.test/a?access_token={secret}",
        " {scheme}://user:{secret}@host.test/a{tail}",
    ]);
    (scheme, place, tail).prop_map(|(scheme, place, tail)| {
        place.replace("{scheme}", scheme).replace("{secret}", SECRET).replace("{tail}", tail)
    })
}

fn assert_line(text: &str, uri: &str) {
    assert!(!text.is_empty() && text.len() <= LONGEST_ERROR + 6 * uri.len(), "{} bytes", text.len());
}

/// Reads a URI as both sides of the fetcher do, and gives all that is printed about it.
fn answer(uri: &str, output: Option<&str>) -> Vec<String> {
    let mut printed = vec![redacted(uri)];
    let parsed = match FetchUri::new(uri) {
        Ok(parsed) => parsed,
        Err(error) => {
            printed.push(format!("{error} {error:?}"));
            assert_line(&error.to_string(), uri);
            return printed;
        }
    };
    printed.push(format!("{parsed} {parsed:?}"));
    assert_eq!(parsed.value(), uri, "the key of the cache is what the framework gave");
    let sent = uri.trim_start_matches(|letter: char| letter.is_ascii_whitespace() || letter == '\u{b}');
    let taken_off = if parsed.checksum().is_some() { "#sha256=".len() + 64 } else { 0 };
    assert_eq!(parsed.location().len() + taken_off, sent.len(), "a checksum is not sent, and all else is");
    match parsed.destination(output) {
        Ok(path) => {
            assert!(path.as_path().components().all(|part| matches!(part, Component::Normal(_))), "{path}");
        }
        Err(error) => {
            printed.push(format!("{error} {error:?}"));
            assert_line(&error.to_string(), uri);
        }
    }
    match Source::of(&parsed, Some(Path::new("/frameworks"))) {
        Ok(Source::Local(path)) => assert!(path.is_absolute(), "{path:?}"),
        Ok(Source::Remote(_, url)) => assert!(!url.scheme().is_empty()),
        Ok(Source::Hadoop(location)) => assert_eq!(location, parsed.location()),
        Err(error) => {
            printed.push(format!("{error} {error:?}"));
            assert_line(&error.to_string(), uri);
        }
    }
    printed
}

/// Seconds in CI; `PROPTEST_CASES` makes a long run of it.
fn config() -> ProptestConfig {
    let asked = std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok());
    ProptestConfig::with_cases(asked.unwrap_or(2048))
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn any_uri_is_answered(uri in uri(), output in prop::option::of(".{0,12}")) {
        answer(&uri, output.as_deref());
    }

    #[test]
    fn any_text_is_answered(uri in ".{0,60}", output in prop::option::of("[./a]{0,12}")) {
        answer(&uri, output.as_deref());
    }

    #[test]
    fn output_files_stay_below(path in "[./a\u{e9} \u{0}-]{0,20}") {
        if let Ok(path) = output_file(&path) {
            prop_assert!(path.as_path().components().all(|part| matches!(part, Component::Normal(_))));
        }
    }

    #[test]
    fn secrets_are_never_printed(uri in with_secret()) {
        for line in answer(&uri, None) {
            prop_assert!(!line.contains(SECRET), "{line}");
        }
    }

    /// Damage elsewhere in a URI does not make a secret visible. Damage that makes it no URI with a secret may.
    #[test]
    fn secrets_are_not_printed_of_damaged_paths(
        uri in with_secret().prop_filter("in front", |uri| uri.contains("@host")),
        at: Index,
        new in "[a-z/?#:@%=&. ]{0,6}",
    ) {
        let path = uri.rfind("/a").unwrap_or(uri.len());
        let tail = uri.len() - path;
        let mut damaged = uri.clone();
        damaged.insert_str(path + 1 + at.index(tail.max(2) - 1), &new);
        for line in answer(&damaged, None) {
            prop_assert!(!line.contains(SECRET), "{line}");
        }
    }
}
