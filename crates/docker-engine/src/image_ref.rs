//! Image references: `registry:5000/team/app:tag@sha256:…`, read as the Docker Engine reads them.
//!
//! The grammar and the normalisation (default registry, `library/`, tag `latest`) are those of the distribution
//! project. Whoever takes an image name from a task parses it here first, so that a name that is none fails at once
//! and with a reason, not after a round trip to a registry.

use std::fmt;
use std::str::FromStr;

/// The registry of a name without one.
const DEFAULT_REGISTRY: &str = "docker.io";

/// An old name of the default registry.
const LEGACY_REGISTRY: &str = "index.docker.io";

/// Where the default registry keeps names of one component.
const OFFICIAL: &str = "library";

/// The tag of a name without tag and digest.
const DEFAULT_TAG: &str = "latest";

/// The longest repository path, in bytes.
const MAX_PATH: usize = 255;

/// The longest tag, in bytes.
const MAX_TAG: usize = 128;

/// The longest host, in bytes.
const MAX_HOST: usize = 255 + 6;

/// The longest text that is looked at, in bytes.
const MAX_TEXT: usize = 1024;

/// A reference to an image that is well formed.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ImageRef {
    given: String,
    target: Target,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Target {
    /// A name in a registry.
    Named { registry: String, path: String, tag: Option<String>, digest: Option<String> },
    /// The id of an image that is on this host already, as `sha256:` and 64 digits.
    Id(String),
}

/// Why a text is no image reference.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ImageRefError {
    /// There is nothing.
    #[error("the image name is empty")]
    Empty,
    /// The text is longer than any reference.
    #[error("the image name has {0} bytes, more than any image name may have")]
    TooLong(usize),
    /// A character that no reference has.
    #[error("the image name {name:?} has the character {character:?}, which no image name may have")]
    Character {
        /// The text.
        name: String,
        /// The character.
        character: char,
    },
    /// The repository is not in lower case.
    #[error("the image name {0:?} must be in lower case")]
    UpperCase(String),
    /// The repository has a form that no registry takes.
    #[error(
        "the image name {name:?} has the part {part:?}; a part is lower-case letters and digits, single separators between them"
    )]
    Component {
        /// The text.
        name: String,
        /// The part that is wrong.
        part: String,
    },
    /// There is more than one colon after the last slash, or a slash after the tag.
    #[error("the image name {0:?} has more than one tag")]
    SecondTag(String),
    /// The tag is not a tag.
    #[error(
        "the image name {name:?} has the tag {tag:?}; a tag is 1 to 128 letters, digits, '_', '.' and '-', and begins with none of the last two"
    )]
    Tag {
        /// The text.
        name: String,
        /// The tag that is wrong.
        tag: String,
    },
    /// The digest is not a digest.
    #[error(
        "the image name {name:?} has the digest {digest:?}; a digest is like sha256: and 64 hexadecimal digits"
    )]
    Digest {
        /// The text.
        name: String,
        /// The digest that is wrong.
        digest: String,
    },
    /// The registry is not a host with an optional port.
    #[error("the image name {name:?} has the registry {registry:?}, which is no host with an optional port")]
    Registry {
        /// The text.
        name: String,
        /// The registry that is wrong.
        registry: String,
    },
}

impl ImageRef {
    /// Reads a reference.
    ///
    /// # Errors
    ///
    /// An [`ImageRefError`] that says what is wrong with it.
    pub fn parse(text: &str) -> Result<Self, ImageRefError> {
        let target = parse_target(text)?;
        Ok(Self { given: text.to_owned(), target })
    }

    /// Returns the text that was parsed. The engine takes it as it is, also as a short id.
    pub fn as_given(&self) -> &str {
        &self.given
    }

    /// Returns the registry's host; `None` for an image id.
    pub fn registry(&self) -> Option<&str> {
        match &self.target {
            Target::Named { registry, .. } => Some(registry),
            Target::Id(_) => None,
        }
    }

    /// Returns the repository's path without the registry, `library/` included; `None` for an image id.
    pub fn path(&self) -> Option<&str> {
        match &self.target {
            Target::Named { path, .. } => Some(path),
            Target::Id(_) => None,
        }
    }

    /// Returns the tag: the one given, or `latest` without tag and digest.
    pub fn tag(&self) -> Option<&str> {
        match &self.target {
            Target::Named { tag: Some(tag), .. } => Some(tag),
            Target::Named { tag: None, digest: None, .. } => Some(DEFAULT_TAG),
            Target::Named { tag: None, digest: Some(_), .. } | Target::Id(_) => None,
        }
    }

    /// Returns the digest, if one was given.
    pub fn digest(&self) -> Option<&str> {
        match &self.target {
            Target::Named { digest, .. } => digest.as_deref(),
            Target::Id(_) => None,
        }
    }

    /// Returns the full form: registry, path, tag and digest.
    pub fn canonical(&self) -> String {
        match &self.target {
            Target::Named { registry, path, .. } => self.with_suffix(&format!("{registry}/{path}")),
            Target::Id(id) => id.clone(),
        }
    }

    /// Returns the form that people write: without the default registry and its `library/`, with the tag.
    pub fn familiar(&self) -> String {
        match &self.target {
            Target::Named { registry, path, .. } => self.with_suffix(&familiar_name(registry, path)),
            Target::Id(id) => id.clone(),
        }
    }

    /// Returns what to ask a registry for: the repository, and the digest or else the tag. `None` for an image id,
    /// which no registry knows.
    pub fn pull_target(&self) -> Option<(String, &str)> {
        match &self.target {
            Target::Named { registry, path, digest, .. } => {
                let reference = digest.as_deref().or_else(|| self.tag())?;
                Some((familiar_name(registry, path), reference))
            }
            Target::Id(_) => None,
        }
    }

    fn with_suffix(&self, name: &str) -> String {
        let mut text = name.to_owned();
        if let Some(tag) = self.tag() {
            text.push(':');
            text.push_str(tag);
        }
        if let Some(digest) = self.digest() {
            text.push('@');
            text.push_str(digest);
        }
        text
    }
}

impl FromStr for ImageRef {
    type Err = ImageRefError;

    fn from_str(text: &str) -> Result<Self, ImageRefError> {
        Self::parse(text)
    }
}

impl fmt::Display for ImageRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.familiar())
    }
}

fn parse_target(text: &str) -> Result<Target, ImageRefError> {
    if text.is_empty() {
        return Err(ImageRefError::Empty);
    }
    if text.len() > MAX_TEXT {
        return Err(ImageRefError::TooLong(text.len()));
    }
    let allowed = |c: char| c.is_ascii_alphanumeric() || "._-/:@+[]".contains(c);
    if let Some(character) = text.chars().find(|c| !allowed(*c)) {
        return Err(ImageRefError::Character { name: text.to_owned(), character });
    }
    if let Some(id) = image_id(text) {
        return Ok(Target::Id(id));
    }
    let (rest, digest) = match text.split_once('@') {
        Some((rest, digest)) => (rest, Some(checked_digest(text, digest)?)),
        None => (text, None),
    };
    let (registry, rest) = split_registry(rest);
    if !is_registry(registry) {
        return Err(ImageRefError::Registry { name: text.to_owned(), registry: registry.to_owned() });
    }
    let (path, tag) = match rest.split_once(':') {
        Some((path, tag)) => (path, Some(checked_tag(text, tag)?)),
        None => (rest, None),
    };
    check_path(text, path)?;
    let registry = if registry == LEGACY_REGISTRY { DEFAULT_REGISTRY } else { registry };
    let path = if registry == DEFAULT_REGISTRY && !path.contains('/') {
        format!("{OFFICIAL}/{path}")
    } else {
        path.to_owned()
    };
    if path.len() > MAX_PATH {
        return Err(ImageRefError::TooLong(text.len()));
    }
    Ok(Target::Named { registry: registry.to_owned(), path, tag, digest })
}

/// Reads an image id: 64 hexadecimal digits, with or without `sha256:`.
fn image_id(text: &str) -> Option<String> {
    let digits = text.strip_prefix("sha256:").unwrap_or(text);
    (digits.len() == 64 && is_lower_hex(digits)).then(|| format!("sha256:{digits}"))
}

/// Splits off the registry. The first part is one if it cannot be a part of a path, or is `localhost`.
fn split_registry(name: &str) -> (&str, &str) {
    match name.split_once('/') {
        Some((first, rest)) if looks_like_registry(first) => (first, rest),
        _ => (DEFAULT_REGISTRY, name),
    }
}

fn looks_like_registry(first: &str) -> bool {
    first.contains(['.', ':']) || first == "localhost" || first.bytes().any(|byte| byte.is_ascii_uppercase())
}

/// Checks `host`, `host:port`, `[v6]` or `[v6]:port`.
fn is_registry(text: &str) -> bool {
    if text.len() > MAX_HOST {
        return false;
    }
    let (host, port) = match text.strip_prefix('[').map(|v6| v6.split_once(']')) {
        Some(Some((v6, port))) => {
            let v6_form = v6.contains(':') && v6.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b':');
            if !v6_form {
                return false;
            }
            (None, if port.is_empty() { None } else { Some(port.strip_prefix(':').unwrap_or("")) })
        }
        Some(None) => return false,
        None => match text.split_once(':') {
            Some((host, port)) => (Some(host), Some(port)),
            None => (Some(text), None),
        },
    };
    let label = |label: &str| {
        !label.is_empty()
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
    };
    host.is_none_or(|host| host.split('.').all(label))
        && port.is_none_or(|port| !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit()))
}

fn check_path(name: &str, path: &str) -> Result<(), ImageRefError> {
    if path.bytes().any(|byte| byte.is_ascii_uppercase()) {
        return Err(ImageRefError::UpperCase(name.to_owned()));
    }
    match path.split('/').find(|part| !is_component(part)) {
        Some(part) => Err(ImageRefError::Component { name: name.to_owned(), part: part.to_owned() }),
        None => Ok(()),
    }
}

/// Checks letters and digits with `.`, `_`, `__` or any number of `-` between them.
fn is_component(part: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let bytes = part.as_bytes();
    let (Some(first), Some(last)) = (bytes.first(), bytes.last()) else { return false };
    if !plain(*first) || !plain(*last) {
        return false;
    }
    bytes.split(|byte| plain(*byte)).all(|separator| {
        matches!(separator, b"" | b"." | b"_" | b"__") || separator.iter().all(|byte| *byte == b'-')
    })
}

fn checked_tag(name: &str, tag: &str) -> Result<String, ImageRefError> {
    if tag.contains([':', '/']) {
        return Err(ImageRefError::SecondTag(name.to_owned()));
    }
    let word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    let first = tag.bytes().next().is_some_and(word);
    let rest = tag.bytes().all(|byte| word(byte) || byte == b'.' || byte == b'-');
    if first && rest && tag.len() <= MAX_TAG {
        Ok(tag.to_owned())
    } else {
        Err(ImageRefError::Tag { name: name.to_owned(), tag: tag.to_owned() })
    }
}

fn checked_digest(name: &str, digest: &str) -> Result<String, ImageRefError> {
    let digits = |algorithm: &str| match algorithm {
        "sha256" => Some(64),
        "sha384" => Some(96),
        "sha512" => Some(128),
        _ => None,
    };
    match digest.split_once(':') {
        Some((algorithm, hex)) if digits(algorithm) == Some(hex.len()) && is_lower_hex(hex) => {
            Ok(digest.to_owned())
        }
        _ => Err(ImageRefError::Digest { name: name.to_owned(), digest: digest.to_owned() }),
    }
}

fn is_lower_hex(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
}

/// Leaves out the default registry and `library/`, unless the rest would then be read as something else.
fn familiar_name(registry: &str, path: &str) -> String {
    if registry == DEFAULT_REGISTRY {
        let short = match path.split_once('/') {
            Some((OFFICIAL, name)) if !name.contains('/') => name,
            _ => path,
        };
        let first = short.split_once('/').map_or("", |(first, _)| first);
        if !looks_like_registry(first) && image_id(short).is_none() {
            return short.to_owned();
        }
    }
    format!("{registry}/{path}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rstest::rstest;

    const HEX: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

    #[rstest]
    #[case("busybox", "busybox:latest", "docker.io/library/busybox:latest")]
    #[case("busybox:1.36", "busybox:1.36", "docker.io/library/busybox:1.36")]
    #[case("library/busybox", "busybox:latest", "docker.io/library/busybox:latest")]
    #[case("team/app", "team/app:latest", "docker.io/team/app:latest")]
    #[case("docker.io/busybox", "busybox:latest", "docker.io/library/busybox:latest")]
    #[case("index.docker.io/team/app:x", "team/app:x", "docker.io/team/app:x")]
    #[case("host:5000", "host:5000", "docker.io/library/host:5000")]
    #[case("host:5000/a", "host:5000/a:latest", "host:5000/a:latest")]
    #[case("host:5000/a/b:tag", "host:5000/a/b:tag", "host:5000/a/b:tag")]
    #[case("localhost/a", "localhost/a:latest", "localhost/a:latest")]
    #[case("Host/a", "Host/a:latest", "Host/a:latest")]
    #[case("[::1]:5000/a", "[::1]:5000/a:latest", "[::1]:5000/a:latest")]
    #[case("a__b/c--d/e.f_g:V1.0-x_y", "a__b/c--d/e.f_g:V1.0-x_y", "docker.io/a__b/c--d/e.f_g:V1.0-x_y")]
    #[case("docker.io/a.b/c", "docker.io/a.b/c:latest", "docker.io/a.b/c:latest")]
    fn references_are_normalised(#[case] text: &str, #[case] familiar: &str, #[case] canonical: &str) {
        let image = ImageRef::parse(text).unwrap();
        assert_eq!((image.familiar().as_str(), image.canonical().as_str()), (familiar, canonical));
        assert_eq!(image.as_given(), text);
    }

    #[test]
    fn a_digest_goes_before_the_tag_and_needs_none() {
        let both = ImageRef::parse(&format!("host:5000/a/b:tag@sha256:{HEX}")).unwrap();
        assert_eq!(both.tag(), Some("tag"));
        assert_eq!(both.pull_target(), Some(("host:5000/a/b".to_owned(), format!("sha256:{HEX}").as_str())));
        let digest = ImageRef::parse(&format!("app@sha256:{HEX}")).unwrap();
        assert_eq!(digest.tag(), None);
        assert_eq!(digest.familiar(), format!("app@sha256:{HEX}"));
        assert_eq!(ImageRef::parse("app").unwrap().pull_target(), Some(("app".to_owned(), "latest")));
    }

    #[rstest]
    #[case(HEX.to_owned())]
    #[case(format!("sha256:{HEX}"))]
    fn an_id_is_on_this_host_or_nowhere(#[case] text: String) {
        let image = ImageRef::parse(&text).unwrap();
        assert_eq!(image.pull_target(), None);
        assert_eq!(image.canonical(), format!("sha256:{HEX}"));
    }

    #[rstest]
    #[case("", "empty")]
    #[case("Busybox", "lower case")]
    #[case("team/App", "lower case")]
    #[case("busy box", "' '")]
    #[case("busybox\n", "'\\n'")]
    #[case("büsybox", "'ü'")]
    #[case("a:b:c", "more than one tag")]
    #[case("a:b/c:d/e", "registry")]
    #[case("a:", "tag")]
    #[case("a:-b", "tag")]
    #[case("a/", "part \"\"")]
    #[case("/a", "part \"\"")]
    #[case("a//b", "part \"\"")]
    #[case("-a", "part \"-a\"")]
    #[case("a..b", "part \"a..b\"")]
    #[case("a___b", "part \"a___b\"")]
    #[case("a._b", "part \"a._b\"")]
    #[case("a@sha256:abc", "digest")]
    #[case("a@sha256", "digest")]
    #[case("a@b@c", "digest")]
    #[case("-host.x/a", "registry")]
    #[case("host:port/a", "registry")]
    #[case("[::1/a", "registry")]
    #[case("http://host/a", "registry")]
    fn what_is_no_reference_is_refused_with_a_reason(#[case] text: &str, #[case] reason: &str) {
        let error = ImageRef::parse(text).unwrap_err().to_string();
        assert!(error.contains(reason), "{error}");
        assert!(!error.contains('\n'));
    }

    #[rstest]
    #[case("a".repeat(MAX_PATH - OFFICIAL.len() - 1), true)]
    #[case("a".repeat(MAX_PATH - OFFICIAL.len()), false)]
    #[case(format!("a:{}", "t".repeat(MAX_TAG)), true)]
    #[case(format!("a:{}", "t".repeat(MAX_TAG + 1)), false)]
    #[case("a".repeat(1_000_000), false)]
    fn lengths_are_limited(#[case] text: String, #[case] accepted: bool) {
        assert_eq!(ImageRef::parse(&text).is_ok(), accepted);
    }

    proptest! {
        #[test]
        fn both_forms_read_back_as_the_same(
            registry in proptest::option::of("[a-z]{1,5}\\.[a-z]{2}(:[0-9]{2,4})?|localhost|docker\\.io"),
            path in "[a-z0-9]{1,4}([._-][a-z0-9]{1,3})?(/[a-z0-9]{1,4}(__[a-z]{1,2})?){0,2}",
            tag in proptest::option::of("[A-Za-z0-9_][A-Za-z0-9_.-]{0,10}"),
            digest in proptest::option::of("sha256:[0-9a-f]{64}"),
        ) {
            let mut text = registry.map_or(String::new(), |registry| registry + "/") + &path;
            if let Some(tag) = tag { text = text + ":" + &tag; }
            if let Some(digest) = digest { text = text + "@" + &digest; }
            let image = ImageRef::parse(&text).unwrap();
            for form in [image.canonical(), image.familiar()] {
                let again = ImageRef::parse(&form).unwrap();
                prop_assert_eq!(again.canonical(), image.canonical());
                prop_assert_eq!(again.familiar(), image.familiar());
                prop_assert_eq!(again.pull_target(), image.pull_target());
            }
        }

        #[test]
        fn any_text_is_read_or_refused(text in "[a-zA-Z0-9:/@._\\[\\] -]{0,40}|.{0,40}") {
            if let Ok(image) = ImageRef::parse(&text) {
                prop_assert!(ImageRef::parse(&image.canonical()).is_ok());
            }
        }
    }
}
