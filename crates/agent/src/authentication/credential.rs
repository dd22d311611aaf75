//! Owns the credential that the agent authenticates with, and the reading of its file.

use std::fmt;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use mesos_proto::v1;
use thiserror::Error;

/// The largest file that is read, in bytes.
const LARGEST: u64 = 64 << 10;

/// A principal and its secret. It prints without the secret.
#[derive(Clone, PartialEq, Eq)]
pub struct Credential {
    principal: String,
    secret: Vec<u8>,
}

/// Why a credential's file cannot be used.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum CredentialError {
    /// It cannot be read.
    #[error("cannot read the credential file {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// It is too large to be one.
    #[error("the credential file {} has more than {LARGEST} bytes", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
    },
    /// Its content is no credential. The cause is not told, as it could quote the secret.
    #[error(
        "the credential file {} is not of the form {{\"principal\": \"...\", \"secret\": \"...\"}} (the form 'principal secret' of \
         Mesos before 1.1 is not read any more)",
        path.display()
    )]
    Form {
        /// The file.
        path: PathBuf,
    },
    /// The principal is empty or has a space or a control character, which an answer cannot carry.
    #[error("the principal in the credential file {} is empty or has a space or control character", path.display())]
    Principal {
        /// The file.
        path: PathBuf,
    },
    /// There is no secret.
    #[error("the credential file {} has no secret", path.display())]
    NoSecret {
        /// The file.
        path: PathBuf,
    },
}

impl Credential {
    /// Reads the file of `--credential`. An empty one is no credential, as in stock (`src/credentials/credentials.hpp`).
    ///
    /// # Errors
    ///
    /// It cannot be read, or holds something else than one credential in JSON.
    pub fn read(path: &Path) -> Result<Option<Self>, CredentialError> {
        let at = || path.to_owned();
        let read = |source| CredentialError::Read { path: at(), source };
        let mut text = Vec::new();
        // A file may grow while it is read.
        let file = std::fs::File::open(path).map_err(read)?;
        file.take(LARGEST + 1).read_to_end(&mut text).map_err(read)?;
        if text.len() as u64 > LARGEST {
            return Err(CredentialError::TooLarge { path: at() });
        }
        if text.trim_ascii().is_empty() {
            return Ok(None);
        }
        let text = str::from_utf8(&text).map_err(|_| CredentialError::Form { path: at() })?;
        let read: v1::Credential =
            mesos_proto::json::from_json_str(text).map_err(|_| CredentialError::Form { path: at() })?;
        let sendable = !read.principal.chars().any(|c| c.is_control() || c.is_whitespace());
        if read.principal.is_empty() || !sendable {
            return Err(CredentialError::Principal { path: at() });
        }
        match read.secret {
            Some(secret) if !secret.is_empty() => {
                Ok(Some(Self { principal: read.principal, secret: secret.into_bytes() }))
            }
            _ => Err(CredentialError::NoSecret { path: at() }),
        }
    }

    /// Makes a credential.
    pub fn new(principal: &str, secret: &str) -> Self {
        Self { principal: principal.to_owned(), secret: secret.as_bytes().to_owned() }
    }

    /// Whom we say we are.
    pub fn principal(&self) -> &str {
        &self.principal
    }

    pub(super) fn secret(&self) -> &[u8] {
        &self.secret
    }
}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credential").field("principal", &self.principal).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn read(content: &[u8]) -> Result<Option<Credential>, CredentialError> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), content).unwrap();
        Credential::read(file.path())
    }

    #[test]
    fn a_credential_is_read_and_its_secret_is_not_printed() {
        let credential = read(br#" {"principal": "agent1", "secret": "hunter2"} "#).unwrap().unwrap();
        assert_eq!(credential, Credential::new("agent1", "hunter2"));
        assert_eq!(credential.principal(), "agent1");
        assert_eq!(format!("{credential:?}"), r#"Credential { principal: "agent1", .. }"#);
    }

    #[rstest]
    #[case::nothing(b"")]
    #[case::blank(b" \n\t")]
    fn an_empty_file_is_no_credential(#[case] content: &[u8]) {
        assert_eq!(read(content).unwrap(), None);
    }

    #[rstest]
    #[case::old_form(b"agent1 hunter2", "is not of the form")]
    #[case::other_json(
        br#"{"credentials": [{"principal": "p", "secret": "hunter2"}]}"#,
        "is not of the form"
    )]
    #[case::wrong_type(br#"{"principal": "p", "secret": ["hunter2"]}"#, "is not of the form")]
    #[case::bytes(b"\xff\xfehunter2", "is not of the form")]
    #[case::no_principal(br#"{"principal": "", "secret": "hunter2"}"#, "principal")]
    #[case::spaced(br#"{"principal": "a b", "secret": "hunter2"}"#, "principal")]
    #[case::no_secret(br#"{"principal": "p"}"#, "has no secret")]
    #[case::empty_secret(br#"{"principal": "p", "secret": ""}"#, "has no secret")]
    fn what_is_no_credential_is_refused_without_its_secret(#[case] content: &[u8], #[case] said: &str) {
        let error = read(content).unwrap_err();
        let told = format!("{error} {error:?}");
        assert!(error.to_string().contains(said) && !told.contains("hunter2"), "{told}");
    }

    #[test]
    fn a_file_that_is_not_there_or_too_large_is_told() {
        let error = Credential::read(Path::new("/nowhere/credential")).unwrap_err();
        assert_eq!(error.to_string(), "cannot read the credential file /nowhere/credential");
        assert!(matches!(read(&[b' '; 70_000]), Err(CredentialError::TooLarge { .. })));
        // Its size is told as 0.
        assert!(matches!(Credential::read(Path::new("/dev/zero")), Err(CredentialError::TooLarge { .. })));
    }
}
