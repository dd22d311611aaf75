//! The order in which credentials are looked for.

use std::fmt;
use std::path::Path;

use docker_engine::{Credentials, ImageRef};

use super::error::CredentialError;
use super::helper::{HelperSettings, program_name};
use super::operator::OperatorConfig;
use super::registry::Registry;
use super::task;

/// Where credentials come from: the task's sandbox, then the operator's config.
#[derive(Debug, Clone)]
pub struct CredentialSources {
    operator: Option<(OperatorConfig, HelperSettings)>,
}

/// Credentials for one registry, and where they came from. `Debug` shows no secret.
///
/// Two pulls of one reference are the same pull only if their `credentials` are equal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Login {
    /// What the engine is given.
    pub credentials: Credentials,
    /// Where they came from, to be named when a registry refuses them.
    pub source: CredentialSource,
}

/// Where credentials came from, as a part of a sentence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CredentialSource {
    /// A file in the task's sandbox.
    Sandbox(&'static str),
    /// An entry of `--docker_config`.
    Operator,
    /// A helper that `--docker_config` names; its program.
    Helper(String),
}

impl CredentialSources {
    /// The task's sandbox only.
    pub fn sandbox_only() -> Self {
        Self { operator: None }
    }

    /// The task's sandbox, then the operator's config.
    pub fn with_operator(config: OperatorConfig, helpers: HelperSettings) -> Self {
        Self { operator: Some((config, helpers)) }
    }

    /// The credentials for a pull of `image` for the task that has `sandbox`; `None` for an anonymous pull.
    ///
    /// # Errors
    ///
    /// Credentials that are configured and cannot be had.
    ///
    /// # Cancel safety
    ///
    /// May be dropped at any time; a helper that runs is killed.
    pub async fn resolve(&self, image: &ImageRef, sandbox: &Path) -> Result<Option<Login>, CredentialError> {
        let Some(registry) = Registry::of(image) else { return Ok(None) };
        let found = containerizer::blocking(|| task::find(sandbox, &registry))?;
        if let Some((credentials, file)) = found {
            return Ok(Some(Login { credentials, source: CredentialSource::Sandbox(file) }));
        }
        let Some((operator, helpers)) = &self.operator else { return Ok(None) };
        let config = operator.load().await?;
        let unusable = |source| CredentialError::Operator { source };
        for name in config.helpers_for(&registry).map_err(unusable)? {
            let found = helpers.ask(name, &registry).await.map_err(|source| CredentialError::Helper {
                helper: program_name(name),
                registry: registry.host().to_owned(),
                source,
            })?;
            if let Some(credentials) = found {
                let source = CredentialSource::Helper(program_name(name));
                return Ok(Some(Login { credentials, source }));
            }
        }
        let found = config.entry(&registry).map_err(unusable)?;
        Ok(found.map(|credentials| Login { credentials, source: CredentialSource::Operator }))
    }
}

impl Default for CredentialSources {
    fn default() -> Self {
        Self::sandbox_only()
    }
}

impl fmt::Display for CredentialSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sandbox(file) => write!(f, "{file} in the task's sandbox"),
            Self::Operator => f.write_str("--docker_config"),
            Self::Helper(program) => write!(f, "the credential helper {program} of --docker_config"),
        }
    }
}

/// What to tell a person whose pull of `image` a registry refused: which credentials it was, or that there were none.
pub(crate) fn when_refused(image: &ImageRef, login: Option<&Login>) -> String {
    let registry = image.registry().unwrap_or_default();
    match login {
        Some(login) => format!(
            "the registry {registry} refused the credentials of {}: check them, and the name of the image",
            login.source
        ),
        None => format!(
            "no credentials for the registry {registry} are configured: give them with --docker_config, or with a \
             docker config in the sandbox, or check the name of the image"
        ),
    }
}

/// What to tell a person for whose pull of `image` a registry says that there is none: most of them say so of an image
/// that is there, too, to whom may not know of it.
pub(crate) fn when_not_found(image: &ImageRef, login: Option<&Login>) -> String {
    let registry = image.registry().unwrap_or_default();
    match login {
        Some(login) => format!(
            "check the name and the tag of the image; if it is private, the credentials of {} do not reach to it in the \
             registry {registry}",
            login.source
        ),
        None => format!(
            "check the name and the tag of the image; if it is private, give credentials for the registry {registry} \
             with --docker_config, or with a docker config in the sandbox"
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;
    use std::os::unix::fs::PermissionsExt as _;
    use std::time::Duration;
    use tempfile::TempDir;

    const OPERATOR: &str = r#"{
        "auths": {"reg.test": {"username": "entry", "password": "p"},
                  "entries.test": {"username": "entry", "password": "p"}},
        "credHelpers": {"own.test:5000": "own", "entries.test": "", "https://both.test/v1/": "none"},
        "credsStore": "store"}"#;

    /// Helpers: `own` answers, `none` knows nothing, `store` knows the two `.test` registries it should.
    fn helpers() -> TempDir {
        let dir = tempfile::tempdir().unwrap();
        let answer = |user: &str| format!(r#"echo '{{"Username": "{user}", "Secret": "s"}}'"#);
        let none = "echo 'credentials not found in native keychain'; exit 1";
        for (name, script) in [
            ("own", answer("own")),
            ("none", none.to_owned()),
            (
                "store",
                format!("case $(cat) in both.test|stored.test) {};; *) {none};; esac", answer("store")),
            ),
        ] {
            let path = dir.path().join(format!("docker-credential-{name}"));
            std::fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o700)).unwrap();
        }
        dir
    }

    fn sources(config: &str, helpers: &TempDir) -> CredentialSources {
        let path = format!("{}:/bin:/usr/bin", helpers.path().display());
        CredentialSources::with_operator(
            OperatorConfig::inline(config).unwrap(),
            HelperSettings::new(path, Duration::from_secs(30), 4),
        )
    }

    async fn login(sources: &CredentialSources, image: &str, sandbox: &Path) -> Option<(String, String)> {
        let found = sources.resolve(&ImageRef::parse(image).unwrap(), sandbox).await.unwrap()?;
        Some((found.credentials.username, found.source.to_string()))
    }

    fn from(user: &str, source: &str) -> Option<(String, String)> {
        Some((user.to_owned(), source.to_owned()))
    }

    #[rstest]
    #[case("own.test:5000/a", from("own", "the credential helper docker-credential-own of --docker_config"))]
    #[case("both.test/a", from("store", "the credential helper docker-credential-store of --docker_config"))]
    #[case(
        "stored.test/a",
        from("store", "the credential helper docker-credential-store of --docker_config")
    )]
    #[case::nobody_else_knows("reg.test/a", from("entry", "--docker_config"))]
    #[case::no_helper_by_name("entries.test/a", from("entry", "--docker_config"))]
    #[case("own.test/a", None)]
    #[case("busybox", None)]
    #[tokio::test]
    async fn the_operators_config_is_looked_through_in_order(
        #[case] image: &str,
        #[case] expected: Option<(String, String)>,
    ) {
        let (helpers, sandbox) = (helpers(), tempfile::tempdir().unwrap());
        assert_eq!(login(&sources(OPERATOR, &helpers), image, sandbox.path()).await, expected);
    }

    #[tokio::test]
    async fn the_sandbox_wins_for_the_registries_that_it_has() {
        let (helpers, sandbox) = (helpers(), tempfile::tempdir().unwrap());
        let sources = sources(OPERATOR, &helpers);
        std::fs::write(sandbox.path().join(".dockercfg"), r#"{"reg.test": {"auth": "b2xkOnA="}}"#).unwrap();
        assert_eq!(
            login(&sources, "reg.test/a", sandbox.path()).await,
            from("old", ".dockercfg in the task's sandbox")
        );
        assert_eq!(login(&sources, "stored.test/a", sandbox.path()).await.unwrap().0, "store");

        std::fs::create_dir(sandbox.path().join(".docker")).unwrap();
        let config = r#"{"auths": {"https://reg.test/v2/": {"auth": "bmV3OnA="}}}"#;
        std::fs::write(sandbox.path().join(".docker/config.json"), config).unwrap();
        assert_eq!(
            login(&sources, "reg.test/a", sandbox.path()).await,
            from("new", ".docker/config.json in the task's sandbox")
        );
        let without = CredentialSources::sandbox_only();
        assert_eq!(login(&without, "reg.test/a", sandbox.path()).await.unwrap().0, "new");
        assert_eq!(login(&without, "stored.test/a", sandbox.path()).await, None);
    }

    #[tokio::test]
    async fn an_image_id_needs_no_credentials() {
        let id = "0123456789abcdef".repeat(4);
        let sources = sources(OPERATOR, &helpers());
        // Not even a sandbox is opened.
        assert_eq!(login(&sources, &id, Path::new("/nonexistent")).await, None);
    }

    #[tokio::test]
    async fn a_helper_that_fails_is_named_with_the_registry() {
        let (helpers, sandbox) = (helpers(), tempfile::tempdir().unwrap());
        let sources = sources(r#"{"credsStore": "absent"}"#, &helpers);
        let error = sources
            .resolve(&ImageRef::parse("reg.test:5000/a").unwrap(), sandbox.path())
            .await
            .map(drop)
            .unwrap_err();
        let said = crate::chain(&error);
        assert!(said.contains("docker-credential-absent") && said.contains("reg.test:5000"), "{said}");
    }

    #[test]
    fn a_refusal_names_registry_and_source_and_no_secret() {
        let image = ImageRef::parse("reg.test:5000/a").unwrap();
        let login = Login {
            credentials: Credentials { password: "hunter2".into(), ..Credentials::default() },
            source: CredentialSource::Helper("docker-credential-x".into()),
        };
        let with = when_refused(&image, Some(&login));
        assert!(with.contains("reg.test:5000") && with.contains("docker-credential-x"), "{with}");
        assert!(!with.contains("hunter2"));
        assert!(when_refused(&image, None).contains("no credentials for the registry reg.test:5000"));
    }

    #[test]
    fn debug_tells_no_secret() {
        let config = r#"{"auths": {"reg.test": {"username": "user1", "password": "hunter2"}}}"#;
        let sources = sources(config, &helpers());
        let login = Login {
            credentials: Credentials { password: "hunter2".into(), ..Credentials::default() },
            source: CredentialSource::Operator,
        };
        let shown = format!("{sources:?} {login:?}");
        assert!(!shown.contains("hunter2") && !shown.contains("user1"), "{shown}");
    }
}
