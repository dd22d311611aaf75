//! Image references against the grammar of the distribution project (`reference/regexp.go` and `normalize.go`), written
//! down a second time as the regular expressions that stand there.

use std::sync::LazyLock;

use docker_engine::ImageRef;
use proptest::prelude::*;
use regex::Regex;

/// What a reference says: registry, path, tag and digest.
type Parts = (String, String, Option<String>, Option<String>);

/// `ReferenceRegexp`, anchored; the groups are registry, path, tag and digest.
static REFERENCE: LazyLock<Regex> = LazyLock::new(|| {
    let component = "(?:[a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9])";
    let host = format!(r"(?:{component}(?:\.{component})*|\[(?:[a-fA-F0-9:]+)\])");
    let domain = format!(r"{host}(?::[0-9]+)?");
    let part = "[a-z0-9]+(?:(?:[._]|__|[-]+)[a-z0-9]+)*";
    let path = format!("{part}(?:/{part})*");
    let tag = "[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}";
    // Of the algorithms that the grammar allows, these are the ones that an engine knows.
    let digest = "sha256:[a-f0-9]{64}|sha384:[a-f0-9]{96}|sha512:[a-f0-9]{128}";
    Regex::new(&format!("^({domain})/({path})(?::({tag}))?(?:@({digest}))?$"))
        .expect("it is a regular expression")
});

/// `ParseAnyReference`, but for ids; `TagNameOnly` after it.
fn oracle(text: &str) -> Option<Parts> {
    // `splitDockerDomain`.
    let (domain, rest) = match text.split_once('/') {
        Some((first, rest))
            if first.contains(['.', ':']) || first == "localhost" || first.to_ascii_lowercase() != first =>
        {
            (first, rest)
        }
        _ => ("docker.io", text),
    };
    let domain = if domain == "index.docker.io" { "docker.io" } else { domain };
    let is_official = domain == "docker.io" && !rest.contains('/');
    let rest = if is_official { format!("library/{rest}") } else { rest.to_owned() };
    let full = format!("{domain}/{rest}");
    let found = REFERENCE.captures(&full)?;
    let group = |at: usize| found.get(at).map(|group| group.as_str().to_owned());
    let (tag, digest) = (group(3), group(4));
    let tag = tag.or_else(|| digest.is_none().then(|| "latest".to_owned()));
    Some((group(1)?, group(2)?, tag, digest))
}

fn ours(text: &str) -> Option<Parts> {
    let image = ImageRef::parse(text).ok()?;
    let (tag, digest) = (image.tag().map(str::to_owned), image.digest().map(str::to_owned));
    Some((image.registry()?.to_owned(), image.path()?.to_owned(), tag, digest))
}

fn is_id(text: &str) -> bool {
    ImageRef::parse(text).is_ok_and(|image| image.registry().is_none())
}

/// Peer: DockerSpecTest.ParseImageReference.
///
/// Stock keeps a missing registry or tag missing; here both have their default at once, as a registry would be asked.
#[test]
fn the_references_of_stock_are_split_into_the_same_parts() {
    const DIGEST: &str = "sha256:bc8813ea7b3603864987522f02a76101c17ad122e1c46d790efc0fca78ca7bfb";
    let parts = |registry: &str, path: &str, tag: Option<&str>, digest: Option<&str>| {
        Some((registry.into(), path.into(), tag.map(Into::into), digest.map(Into::into)))
    };
    for (text, expected) in [
        ("library/busybox".to_owned(), parts("docker.io", "library/busybox", Some("latest"), None)),
        ("busybox".to_owned(), parts("docker.io", "library/busybox", Some("latest"), None)),
        ("busybox:tag".to_owned(), parts("docker.io", "library/busybox", Some("tag"), None)),
        ("library/busybox:tag".to_owned(), parts("docker.io", "library/busybox", Some("tag"), None)),
        (format!("library/busybox@{DIGEST}"), parts("docker.io", "library/busybox", None, Some(DIGEST))),
        (
            "registry.io/library/busybox".to_owned(),
            parts("registry.io", "library/busybox", Some("latest"), None),
        ),
        (
            "registry.io/library/busybox:tag".to_owned(),
            parts("registry.io", "library/busybox", Some("tag"), None),
        ),
        (
            "registry.io:80/library/busybox:tag".to_owned(),
            parts("registry.io:80", "library/busybox", Some("tag"), None),
        ),
        (
            format!("registry.io:80/library/busybox@{DIGEST}"),
            parts("registry.io:80", "library/busybox", None, Some(DIGEST)),
        ),
        (
            format!("registry.io:80/library/busybox:tag@{DIGEST}"),
            parts("registry.io:80", "library/busybox", Some("tag"), Some(DIGEST)),
        ),
    ] {
        assert_eq!(ours(&text), expected, "{text}");
        assert_eq!(oracle(&text), expected, "{text}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, ..ProptestConfig::default() })]

    /// Pieces of references in any order: most are none, many nearly are.
    #[test]
    fn what_the_grammar_takes_is_taken_and_nothing_else(
        pieces in proptest::collection::vec(
            prop_oneof![
                Just("a"), Just("b1"), Just("A"), Just("localhost"), Just("reg.test"), Just("index.docker.io"),
                Just("docker.io"), Just("library"), Just("/"), Just(":"), Just("@"), Just("."), Just("_"),
                Just("__"), Just("-"), Just("--"), Just("5000"), Just("["), Just("]"), Just("::1"), Just("[::1]"),
                Just("sha256"), Just("sha256:bc8813ea7b3603864987522f02a76101c17ad122e1c46d790efc0fca78ca7bfb"),
                Just("+"), Just(" "), Just("ü"),
            ],
            0..8,
        ),
    ) {
        let text = pieces.concat();
        prop_assume!(!is_id(&text));
        prop_assert_eq!(ours(&text), oracle(&text), "{:?}", text);
    }

    #[test]
    fn what_is_made_by_the_grammar_is_taken(
        registry in proptest::option::of("([a-z0-9]{1,3}\\.)?[a-zA-Z0-9]{1,4}-[a-z]{1,2}:[0-9]{1,5}|localhost|\\[[a-f0-9:]{2,6}:\\]"),
        path in "[a-z0-9]{1,3}(([._]|__|-{1,3})[a-z0-9]{1,3}){0,2}(/[a-z0-9]{1,3}(([._]|__|-{1,3})[a-z0-9]{1,3}){0,2}){0,3}",
        tag in proptest::option::of("[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}"),
        digest in proptest::option::of("sha256:[a-f0-9]{64}|sha512:[a-f0-9]{128}"),
    ) {
        let mut text = registry.map(|registry| registry + "/").unwrap_or_default() + &path;
        text.extend(tag.iter().flat_map(|tag| [":", tag]));
        text.extend(digest.iter().flat_map(|digest| ["@", digest]));
        prop_assume!(!is_id(&text));
        prop_assert_eq!(ours(&text), oracle(&text), "{:?}", text);
    }

    /// Whatever was written, a registry is asked for one image: its digest, or else its tag, which is never missing.
    #[test]
    fn a_pull_is_always_of_one_image(text in "([a-z]{1,3}\\.[a-z]{1,3}(:[0-9]{1,4})?/)?[a-z]{1,4}(/[a-z]{1,4})?(:[a-zA-Z0-9]{1,5})?(@sha256:[a-f0-9]{64})?") {
        let image = ImageRef::parse(&text).unwrap();
        if let Some((repository, reference)) = image.pull_target() {
            let expected = image.digest().or(image.tag()).unwrap();
            prop_assert_eq!(reference, expected);
            prop_assert!(!reference.is_empty() && !repository.contains('@'));
            let separator = if reference.contains(':') { '@' } else { ':' };
            let again = ImageRef::parse(&format!("{repository}{separator}{reference}")).expect("it is a regular expression");
            prop_assert_eq!(again.pull_target().map(|(_, reference)| reference.to_owned()), Some(reference.to_owned()));
            prop_assert_eq!((again.registry(), again.path()), (image.registry(), image.path()));
        }
    }
}
