//! What a file is called in the sandbox, and which URIs and output files are refused before anything is fetched.
//!
//! Follows `Fetcher::basename`, `Fetcher::validateUri` and `Fetcher::validateOutputFile` of Mesos
//! (src/slave/containerizer/fetcher.cpp), whose messages are kept. Departs from them where a name would not stay below
//! the sandbox or would name nothing.

use std::fmt;

use sandbox::{RelPath, RelPathError};

use super::checksum::{Checksum, MARK};
use super::redact::redacted;

/// A URI that may be fetched. It prints without passwords and signatures.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct FetchUri {
    value: String,
    location: String,
    name: String,
    checksum: Option<Checksum>,
}

/// Why a URI or an output file is refused. The first four messages are stock's.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UriError {
    /// A backslash, a single quote or a NUL.
    #[error("Illegal characters in URI")]
    IllegalCharacters,
    /// A scheme and a host, but no path.
    #[error("Malformed URI (missing path): {uri}")]
    MissingPath {
        /// The URI, redacted.
        uri: String,
    },
    /// An output file that is the empty text.
    #[error("URI output file path is empty")]
    OutputFileEmpty,
    /// An output file that begins with a slash.
    #[error("URI output file must be within the sandbox directory")]
    OutputFileAbsolute,
    /// An output file that cannot be used for another reason.
    #[error("URI output file must be within the sandbox directory: {source}")]
    OutputFile {
        /// What is wrong with it.
        source: RelPathError,
    },
    /// A URI that ends in a slash or in `..`, so that nothing says what the file would be called.
    #[error("URI '{uri}' does not end in a file name; say in 'output_file' what the file is to be called")]
    NoName {
        /// The URI, redacted.
        uri: String,
    },
    /// A URI whose name no file can have.
    #[error("URI '{uri}' ends in a name that no file can have; give the file a name with 'output_file'")]
    UnusableName {
        /// The URI, redacted.
        uri: String,
        /// What is wrong with the name.
        source: RelPathError,
    },
    /// A fragment that begins as a checksum and is none.
    #[error("URI '{uri}' carries a checksum that is none: '#sha256=' is followed by 64 hexadecimal digits")]
    Checksum {
        /// The URI, redacted.
        uri: String,
    },
}

impl FetchUri {
    /// Checks a URI as a framework gave it.
    ///
    /// # Errors
    ///
    /// [`UriError::IllegalCharacters`], [`UriError::MissingPath`] and [`UriError::Checksum`]. Whether its name can be
    /// used is for [`FetchUri::file_name`] to say, as it does not matter beside an output file.
    pub fn new(value: impl Into<String>) -> Result<FetchUri, UriError> {
        let value = value.into();
        if value.contains(['\\', '\'', '\0']) {
            return Err(UriError::IllegalCharacters);
        }
        let trimmed = value.trim_start_matches(|c: char| c.is_ascii_whitespace() || c == '\u{b}');
        let (location, checksum) = match trimmed.rsplit_once(MARK) {
            None => (trimmed, None),
            Some((location, digits)) => match digits.parse() {
                Ok(checksum) => (location, Some(checksum)),
                Err(_) => return Err(UriError::Checksum { uri: redacted(trimmed) }),
            },
        };
        let name = base_name(location)?.to_owned();
        let location = location.to_owned();
        Ok(FetchUri { location, name, checksum, value })
    }

    /// The URI as the framework gave it, secrets included: the key of the cache, not for logs.
    #[must_use]
    pub fn value(&self) -> &str {
        &self.value
    }

    /// Where the file is: the value without white space in front and without the checksum. Not for logs.
    #[must_use]
    pub fn location(&self) -> &str {
        &self.location
    }

    /// What follows the last slash; may be empty. Decides about the archive format of a cached file.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The checksum that the file must have.
    #[must_use]
    pub fn checksum(&self) -> Option<Checksum> {
        self.checksum
    }

    /// What the file is called in the sandbox when there is no output file.
    ///
    /// # Errors
    ///
    /// [`UriError::NoName`] and [`UriError::UnusableName`]. Stock tries to write to the directory itself instead.
    pub fn file_name(&self) -> Result<RelPath, UriError> {
        RelPath::new(&self.name).map_err(|source| match source {
            RelPathError::Empty { .. } | RelPathError::Parent { .. } => {
                UriError::NoName { uri: redacted(&self.location) }
            }
            source => UriError::UnusableName { uri: redacted(&self.location), source },
        })
    }

    /// The file's path below the sandbox: the output file, or else the URI's own name.
    ///
    /// # Errors
    ///
    /// Those of [`output_file`] and [`FetchUri::file_name`].
    pub fn destination(&self, output: Option<&str>) -> Result<RelPath, UriError> {
        match output {
            Some(output) => output_file(output),
            None => self.file_name(),
        }
    }
}

impl fmt::Display for FetchUri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&redacted(self.value.trim_start()))
    }
}

impl fmt::Debug for FetchUri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&redacted(&self.value), f)
    }
}

/// Checks the output file of a URI: a path below the sandbox, which may have directories in it.
///
/// # Errors
///
/// [`UriError::OutputFileEmpty`], [`UriError::OutputFileAbsolute`], and [`UriError::OutputFile`] for `..`, which stock
/// lets through, and for what no file system takes.
pub fn output_file(path: &str) -> Result<RelPath, UriError> {
    RelPath::new(path).map_err(|source| match source {
        RelPathError::Empty { .. } if path.is_empty() => UriError::OutputFileEmpty,
        RelPathError::Absolute { .. } => UriError::OutputFileAbsolute,
        source => UriError::OutputFile { source },
    })
}

/// What follows the last slash. A plain path loses trailing slashes first.
fn base_name(location: &str) -> Result<&str, UriError> {
    let path = match location.split_once("://") {
        // One letter is a drive, not a scheme; stock has it so.
        Some((scheme, rest)) if scheme.len() > 1 => {
            return match rest.split_once('/') {
                Some((_, path)) if !path.is_empty() => Ok(after_last_slash(path)),
                _ => Err(UriError::MissingPath { uri: redacted(location) }),
            };
        }
        _ => location.trim_end_matches('/'),
    };
    Ok(after_last_slash(path))
}

fn after_last_slash(path: &str) -> &str {
    path.rsplit_once('/').map_or(path, |(_, name)| name)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{any, prop_assert, proptest};
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("http://h/a/b.tgz", "b.tgz")]
    #[case("http://h/b.tgz?x=1", "b.tgz?x=1")]
    #[case("http://h/b?x=/y", "y")]
    #[case("http://h/a/", "")]
    #[case("file:///x", "x")]
    #[case("file://localhost/x/y", "y")]
    #[case("/a/b", "b")]
    #[case("/a/b//", "b")]
    #[case("a", "a")]
    #[case("", "")]
    #[case(" \r\n\t http://h/a", "a")]
    #[case("c://x", "x")]
    #[case("hdfs://h/a#frag", "a#frag")]
    fn names_are_stocks(#[case] uri: &str, #[case] name: &str) {
        assert_eq!(FetchUri::new(uri).map(|uri| uri.name().to_owned()), Ok(name.to_owned()));
    }

    #[rstest]
    #[case("lala://nopath")]
    #[case("http://host/")]
    #[case("hdfs://")]
    fn a_scheme_without_a_path_is_malformed(#[case] uri: &str) {
        assert_eq!(FetchUri::new(uri), Err(UriError::MissingPath { uri: uri.to_owned() }));
    }

    #[rstest]
    #[case("http://h/a\\b")]
    #[case("http://h/a'b")]
    #[case("http://h/a\0b")]
    fn illegal_characters_are_refused(#[case] uri: &str) {
        assert_eq!(FetchUri::new(uri), Err(UriError::IllegalCharacters));
    }

    #[rstest]
    #[case("http://h/a/")]
    #[case("http://h/a/..")]
    #[case("http://h/a/.")]
    #[case("/")]
    #[case("")]
    fn a_uri_without_a_name_needs_an_output_file(#[case] uri: &str) {
        let uri = FetchUri::new(uri).expect("valid");
        assert!(matches!(uri.file_name(), Err(UriError::NoName { .. })));
        assert_eq!(uri.destination(Some("x")).expect("named").as_path().to_str(), Some("x"));
    }

    #[rstest]
    #[case("", UriError::OutputFileEmpty, "URI output file path is empty")]
    #[case("/a", UriError::OutputFileAbsolute, "URI output file must be within the sandbox directory")]
    fn output_files_outside_are_refused_with_stocks_words(
        #[case] path: &str,
        #[case] error: UriError,
        #[case] text: &str,
    ) {
        assert_eq!(output_file(path), Err(error.clone()));
        assert_eq!(error.to_string(), text);
    }

    /// Peer: Own.FetcherParentDirectoryInOutputFile.
    #[rstest]
    #[case("..")]
    #[case("../a")]
    #[case("a/../b")]
    #[case("a/../../b")]
    fn an_output_file_with_a_parent_directory_is_refused(#[case] path: &str) {
        let error = output_file(path).expect_err("refused");
        assert!(
            error.to_string().starts_with("URI output file must be within the sandbox directory"),
            "{error}"
        );
    }

    #[test]
    fn a_checksum_is_taken_off() {
        let digits = "0".repeat(64);
        let uri = FetchUri::new(format!("http://h/a.tgz#sha256={digits}")).expect("valid");
        assert_eq!((uri.location(), uri.name()), ("http://h/a.tgz", "a.tgz"));
        assert_eq!(uri.checksum().map(|checksum| checksum.to_string()), Some(digits));
        assert!(matches!(FetchUri::new("http://h/a#sha256=12"), Err(UriError::Checksum { .. })));
    }

    #[test]
    fn secrets_are_not_printed() {
        let uri = FetchUri::new("https://me:pass@h/a").expect("valid");
        assert!(!format!("{uri} {uri:?}").contains("pass"));
        assert_eq!(uri.value(), "https://me:pass@h/a");
    }

    proptest! {
        /// Whatever the text, a name that is accepted is one component that stays below the sandbox.
        #[test]
        fn accepted_names_are_one_component(text in any::<String>()) {
            if let Ok(uri) = FetchUri::new(text)
                && let Ok(name) = uri.file_name()
            {
                prop_assert!(name.as_path().components().count() == 1);
                prop_assert!(!name.as_path().is_absolute());
            }
        }
    }
}
