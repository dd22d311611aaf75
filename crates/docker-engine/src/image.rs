//! Images on the host.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::create_body::Hidden;
use crate::engine::{Engine, decode};
use crate::error::{EngineError, Op};
use crate::image_ref::ImageRef;
use crate::path;
use crate::serde_null::nullable;
use crate::transport::Call;

/// What is known of an image that is on the host.
///
/// Only the image's own configuration is read, never the `ContainerConfig` that newer engines dropped. Whatever an
/// engine leaves out is empty here.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ImageDetails {
    /// The image's id, `sha256:` and 64 digits.
    pub id: String,
    /// The names it has on this host.
    pub repo_tags: Vec<String>,
    /// The digests under which registries know it.
    pub repo_digests: Vec<String>,
    /// The entrypoint; `None` without one.
    pub entrypoint: Option<Vec<String>>,
    /// The default command, or arguments of the entrypoint; `None` without one.
    pub cmd: Option<Vec<String>>,
    /// The environment, `NAME=value`.
    pub env: Hidden<Vec<String>>,
    /// The labels.
    pub labels: BTreeMap<String, String>,
    /// The signal that asks its containers to stop, if the image names one.
    pub stop_signal: Option<String>,
    /// The ports that the image exposes, as `80/tcp`.
    pub exposed_ports: Vec<String>,
    /// The paths that get anonymous volumes.
    pub volumes: Vec<String>,
    /// The user, empty for root.
    pub user: String,
    /// The working directory, empty for `/`.
    pub workdir: String,
    /// Whether the image has a health check of its own.
    pub has_healthcheck: bool,
    /// Its size on the host in bytes.
    pub size: u64,
}

impl Engine {
    /// Looks an image up on the host; `None` if it is not there.
    ///
    /// # Errors
    ///
    /// As every read: `Unreachable`, `Timeout`, `StreamBroken`, `Protocol`, or what the engine says.
    pub async fn image_inspect(
        &self,
        image: &ImageRef,
        deadline: Duration,
    ) -> Result<Option<ImageDetails>, EngineError> {
        let name = image.as_given();
        let call = Call::get(path::image_json(name));
        match self.call(Op::InspectImage, name, deadline, &call).await {
            Ok(answer) => {
                decode::<wire::Image>(&answer, Op::InspectImage, name).map(|image| Some(image.into()))
            }
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error),
        }
    }
}

impl From<wire::Image> for ImageDetails {
    fn from(image: wire::Image) -> Self {
        let config = image.config;
        Self {
            id: image.id,
            repo_tags: image.repo_tags,
            repo_digests: image.repo_digests,
            entrypoint: config.entrypoint,
            cmd: config.cmd,
            env: config.env.into(),
            labels: config.labels,
            stop_signal: (!config.stop_signal.is_empty()).then_some(config.stop_signal),
            exposed_ports: config.exposed_ports.into_keys().collect(),
            volumes: config.volumes.into_keys().collect(),
            user: config.user,
            workdir: config.working_dir,
            has_healthcheck: config
                .healthcheck
                .is_some_and(|check| check.test.first().is_some_and(|kind| kind != "NONE")),
            size: image.size,
        }
    }
}

mod wire {
    //! `GET /images/{name}/json`, as far as it matters here.

    use std::collections::BTreeMap;

    use serde::Deserialize;
    use serde::de::IgnoredAny;

    use super::nullable;

    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    pub(super) struct Image {
        pub(super) id: String,
        #[serde(default, deserialize_with = "nullable")]
        pub(super) repo_tags: Vec<String>,
        #[serde(default, deserialize_with = "nullable")]
        pub(super) repo_digests: Vec<String>,
        #[serde(default, deserialize_with = "nullable")]
        pub(super) config: Config,
        #[serde(default, deserialize_with = "nullable")]
        pub(super) size: u64,
    }

    #[derive(Default, Deserialize)]
    #[serde(rename_all = "PascalCase", default)]
    pub(super) struct Config {
        pub(super) entrypoint: Option<Vec<String>>,
        pub(super) cmd: Option<Vec<String>>,
        #[serde(deserialize_with = "nullable")]
        pub(super) env: Vec<String>,
        #[serde(deserialize_with = "nullable")]
        pub(super) labels: BTreeMap<String, String>,
        #[serde(deserialize_with = "nullable")]
        pub(super) stop_signal: String,
        #[serde(deserialize_with = "nullable")]
        pub(super) exposed_ports: BTreeMap<String, IgnoredAny>,
        #[serde(deserialize_with = "nullable")]
        pub(super) volumes: BTreeMap<String, IgnoredAny>,
        #[serde(deserialize_with = "nullable")]
        pub(super) user: String,
        #[serde(deserialize_with = "nullable")]
        pub(super) working_dir: String,
        pub(super) healthcheck: Option<Healthcheck>,
    }

    #[derive(Default, Deserialize)]
    #[serde(rename_all = "PascalCase", default)]
    pub(super) struct Healthcheck {
        #[serde(deserialize_with = "nullable")]
        pub(super) test: Vec<String>,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str) -> ImageDetails {
        serde_json::from_str::<wire::Image>(json).unwrap().into()
    }

    #[test]
    fn an_absent_field_is_empty() {
        let bare = read(r#"{"Id":"sha256:1"}"#);
        assert_eq!(bare, ImageDetails { id: "sha256:1".into(), ..ImageDetails::default() });
        assert_eq!(read(r#"{"Id":"sha256:1","Config":null,"RepoDigests":null}"#), bare);
    }

    /// Peer: DockerImageTest.ParseInspectonImage.
    #[test]
    fn entrypoint_and_environment_are_as_the_image_has_them() {
        let image = read(
            r#"{"Id":"i","Config":{"Entrypoint":["./bin/start","-x"],"Env":["PATH=/bin","A=b=c d","E="]}}"#,
        );
        assert_eq!(image.entrypoint, Some(vec!["./bin/start".to_owned(), "-x".to_owned()]));
        assert!(image.env.iter().eq(["PATH=/bin", "A=b=c d", "E="]));
        assert_eq!(read(r#"{"Id":"i","Config":{"Entrypoint":null}}"#).entrypoint, None);
    }

    #[test]
    fn the_old_container_config_is_not_looked_at() {
        let old =
            read(r#"{"Id":"i","ContainerConfig":{"Cmd":["old"],"Env":["OLD=1"]},"Config":{"Cmd":["new"]}}"#);
        assert_eq!(old.cmd, Some(vec!["new".to_owned()]));
        assert!(old.env.is_empty());
    }

    #[test]
    fn a_health_check_that_is_switched_off_is_none() {
        let check = |test: &str| {
            read(&format!(r#"{{"Id":"i","Config":{{"Healthcheck":{{"Test":{test}}}}}}}"#)).has_healthcheck
        };
        assert!(check(r#"["CMD","true"]"#));
        assert!(!check(r#"["NONE"]"#) && !check("[]") && !check("null"));
    }
}
