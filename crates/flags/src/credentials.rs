//! The flags about registry credentials.

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

use crate::definition::FlagDef;
use crate::error::FlagError;
use crate::secret::Secret;
use crate::source::{FlagSource, Notice};

/// `--docker_config`: where the operator's registry credentials are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DockerConfig {
    /// The value itself, the text of a JSON object.
    Inline(Secret),
    /// A file, absolute, that held a JSON object when the flags were read. What it says later may differ.
    File(PathBuf),
}

/// How credentials are found and kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DockerCredentialSettings {
    /// `--docker_config`.
    pub config: Option<DockerConfig>,
    /// `--docker_hide_credentials`.
    pub hide: bool,
    /// `--docker_credential_helper_path`: absolute directories, separated by colons.
    pub helper_path: String,
    /// `--docker_credential_helper_timeout`.
    pub helper_timeout: Duration,
    /// `--docker_max_parallel_credential_helpers`.
    pub max_parallel_helpers: NonZeroUsize,
}

impl DockerConfig {
    /// Keeps what `text`, the content behind the flag's value, came from.
    ///
    /// # Errors
    ///
    /// A text that is no JSON object. The parser's own message could quote it, so it is not used.
    pub(crate) fn read(
        flag: &'static FlagDef,
        value: &str,
        text: &str,
        notices: &mut Vec<Notice>,
    ) -> Result<Self, FlagError> {
        if let Err(error) = serde_json::from_str::<serde_json::Map<String, serde_json::Value>>(text) {
            let at = format!("line {}, column {}", error.line(), error.column());
            return Err(FlagError::invalid(flag.name, format!("the value is not a JSON object ({at})")));
        }
        match FlagSource::of(flag, value) {
            FlagSource::File(path) | FlagSource::BarePath(path) => Ok(Self::File(path)),
            FlagSource::Inline => {
                notices.push(Notice {
                    flag: flag.name,
                    text: format!(
                        "--{0} holds the credentials themselves, and every user of this machine can read the \
                         command line of a program: put them into a file and give --{0}=file:///path",
                        flag.name
                    ),
                });
                Ok(Self::Inline(Secret::new(text)))
            }
        }
    }
}

/// The directories of helpers: absolute, or somebody else's directory could come to run programs as us.
pub(crate) fn helper_path(text: &str) -> Result<String, String> {
    match text.split(':').all(|directory| directory.starts_with('/')) {
        true => Ok(text.to_owned()),
        false => Err("the path is not absolute directories, separated by colons".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::docker::{DockerSettings, LoadedDockerSettings};

    fn load(name: &str, value: &str) -> Result<LoadedDockerSettings, FlagError> {
        DockerSettings::from_pairs([(name, value)])
    }

    #[test]
    fn a_file_is_kept_as_its_path_and_inline_credentials_are_warned_of() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("config.json");
        std::fs::write(&path, "{}\n").unwrap();
        let file = Some(DockerConfig::File(path.clone()));
        let by_url = load("docker_config", &format!("file://{}", path.display())).unwrap();
        assert_eq!((by_url.settings.credentials.config, by_url.notices), (file.clone(), vec![]));
        let bare = load("docker_config", path.to_str().unwrap()).unwrap();
        assert_eq!(bare.settings.credentials.config, file);
        assert!(bare.notices[0].text.contains("deprecated"));

        let inline = load("docker_config", r#"{"auths":{"r":{"auth":"hunter2"}}}"#).unwrap();
        assert!(inline.notices[0].text.contains("every user"), "{:?}", inline.notices);
        assert!(!format!("{inline:?}").contains("hunter2"));
        let Some(DockerConfig::Inline(text)) = &inline.settings.credentials.config else { panic!() };
        assert!(text.expose().contains("hunter2"));
    }

    #[test]
    fn a_broken_file_is_refused_at_the_start_without_its_content() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("config.json");
        std::fs::write(&path, "{\"auths\": hunter2}").unwrap();
        let error = load("docker_config", path.to_str().unwrap()).unwrap_err();
        assert!(!format!("{error} {error:?}").contains("hunter2"));
        assert_eq!(
            error.to_string(),
            "flag --docker_config: the value is not a JSON object (line 1, column 11)"
        );
    }

    #[test]
    fn helpers_are_found_in_absolute_directories_only() {
        for bad in ["", "bin", "/usr/bin:", ":/usr/bin", "/usr/bin:./x"] {
            assert!(load("docker_credential_helper_path", bad).is_err(), "{bad:?}");
        }
        let settings = load("docker_credential_helper_path", "/opt/helpers:/usr/bin").unwrap().settings;
        assert_eq!(settings.credentials.helper_path, "/opt/helpers:/usr/bin");
    }
}
