//! Where a URI leads: which of the downloaders takes it.
//!
//! Follows `fetch` and `Fetcher::uriToLocalPath` of Mesos (src/launcher/fetcher.cpp,
//! src/slave/containerizer/fetcher.cpp). Departs in that schemes are read without regard to case, and in that object
//! stores are read natively.

use std::path::{Path, PathBuf};

use url::Url;

use super::names::FetchUri;
use super::redact::redacted;

/// The schemes that are read without the Hadoop client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// `http` and `https`.
    Http,
    /// `ftp`, and `ftps` with TLS from the first byte.
    Ftp,
    /// `s3`, `s3a`, `s3n`.
    S3,
    /// `gs`.
    Gcs,
    /// `az`, `azure`, `abfs`, `abfss`, `adl`. The older `wasb` is the Hadoop client's alone.
    Azure,
}

/// Where a file comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// A file of this host, by its absolute path.
    Local(PathBuf),
    /// A URL of a scheme that is read natively.
    Remote(Scheme, Url),
    /// Anything else, for the Hadoop client.
    Hadoop(String),
}

/// Why a URI leads nowhere. The first two messages are stock's.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SourceError {
    /// `file:` with a relative path.
    #[error("File URI only supports absolute paths")]
    RelativeFileUri,
    /// A relative path, and nothing that it is relative to.
    #[error(
        "A relative path was passed for the resource but the Mesos framework home was not specified. Please either \
         provide this config option or avoid using a relative path"
    )]
    NoFrameworksHome,
    /// A URL of a known scheme that is none.
    #[error("URI '{uri}' is no URL")]
    Url {
        /// The URI, redacted.
        uri: String,
        /// What is wrong with it.
        source: url::ParseError,
    },
}

impl Source {
    /// Says where a URI leads. Relative paths are below `frameworks_home`.
    ///
    /// # Errors
    ///
    /// See [`SourceError`].
    pub fn of(uri: &FetchUri, frameworks_home: Option<&Path>) -> Result<Source, SourceError> {
        let location = uri.location();
        let Some((scheme, rest)) = location.split_once("://") else {
            return local(location, frameworks_home);
        };
        let scheme = scheme.to_ascii_lowercase();
        if scheme == "file" {
            let path = rest.strip_prefix("localhost").filter(|path| path.starts_with('/')).unwrap_or(rest);
            return match path.starts_with('/') {
                true => Ok(Source::Local(PathBuf::from(path))),
                false => Err(SourceError::RelativeFileUri),
            };
        }
        let native = match scheme.as_str() {
            "http" | "https" => Scheme::Http,
            "ftp" | "ftps" => Scheme::Ftp,
            "s3" | "s3a" | "s3n" => Scheme::S3,
            "gs" => Scheme::Gcs,
            "az" | "azure" | "abfs" | "abfss" | "adl" => Scheme::Azure,
            _ => return Ok(Source::Hadoop(location.to_owned())),
        };
        match Url::parse(location) {
            Ok(url) => Ok(Source::Remote(native, url)),
            Err(source) => Err(SourceError::Url { uri: redacted(location), source }),
        }
    }
}

fn local(path: &str, frameworks_home: Option<&Path>) -> Result<Source, SourceError> {
    if path.starts_with('/') {
        return Ok(Source::Local(PathBuf::from(path)));
    }
    match frameworks_home.filter(|home| !home.as_os_str().is_empty()) {
        Some(home) => Ok(Source::Local(home.join(path))),
        None => Err(SourceError::NoFrameworksHome),
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn source(uri: &str, home: Option<&str>) -> Result<Source, SourceError> {
        Source::of(&FetchUri::new(uri).expect("valid"), home.map(Path::new))
    }

    #[rstest]
    #[case("/a/b", "/a/b")]
    #[case("  /a/b", "/a/b")]
    #[case("a/b", "/frameworks/a/b")]
    #[case("file:///a/b", "/a/b")]
    #[case("FILE:///a/b", "/a/b")]
    #[case("file://localhost/a/b", "/a/b")]
    fn local_files(#[case] uri: &str, #[case] path: &str) {
        assert_eq!(source(uri, Some("/frameworks")), Ok(Source::Local(PathBuf::from(path))));
    }

    #[rstest]
    #[case("a/b", None, SourceError::NoFrameworksHome)]
    #[case("a/b", Some(""), SourceError::NoFrameworksHome)]
    #[case("file://a/b", Some("/frameworks"), SourceError::RelativeFileUri)]
    #[case("file://localhosts/b", Some("/frameworks"), SourceError::RelativeFileUri)]
    fn relative_paths(#[case] uri: &str, #[case] home: Option<&str>, #[case] error: SourceError) {
        assert_eq!(source(uri, home), Err(error));
    }

    #[rstest]
    #[case("http://h/a", Scheme::Http)]
    #[case("HTTPS://h/a", Scheme::Http)]
    #[case("ftp://h/a", Scheme::Ftp)]
    #[case("ftps://h/a", Scheme::Ftp)]
    #[case("s3://b/k", Scheme::S3)]
    #[case("s3a://b/k", Scheme::S3)]
    #[case("gs://b/k", Scheme::Gcs)]
    #[case("abfss://c@a.dfs.core.windows.net/k", Scheme::Azure)]
    fn native_schemes(#[case] uri: &str, #[case] expected: Scheme) {
        assert!(matches!(source(uri, None), Ok(Source::Remote(scheme, _)) if scheme == expected));
    }

    #[rstest]
    #[case("hdfs://h/a")]
    #[case("hftp://h/a")]
    #[case("viewfs://h/a")]
    fn the_rest_is_hadoops(#[case] uri: &str) {
        assert_eq!(source(uri, None), Ok(Source::Hadoop(uri.to_owned())));
    }

    #[test]
    fn a_url_that_is_none_is_refused_without_its_password() {
        let error = source("http://u:secret@h:port/a", None).expect_err("no URL");
        assert!(matches!(&error, SourceError::Url { .. }));
        assert!(!format!("{error} {error:?}").contains("secret"));
    }
}
