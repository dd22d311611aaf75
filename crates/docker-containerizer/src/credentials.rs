//! Which registry gets which credentials: the `auths` of the operator's `--docker_config`.
//!
//! Both forms are read, `{"auths": {...}}` of `config.json` and the bare map of `.dockercfg`. Credential helpers, which
//! run programs, are refused by name until they are built.

use std::collections::BTreeMap;
use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use docker_engine::{Credentials, ImageRef};
use serde::Deserialize;

/// Keys of a config that name programs to run.
const HELPERS: [&str; 2] = ["credHelpers", "credsStore"];

/// The host under which Docker Hub's credentials are kept here.
const HUB: &str = "docker.io";

/// Spellings of Docker Hub in configs.
const HUB_SPELLINGS: [&str; 3] = ["index.docker.io", "registry-1.docker.io", "docker.io"];

/// Credentials by registry. `Debug` shows the registries only.
#[derive(Clone, Default)]
pub struct RegistryAuths {
    by_host: BTreeMap<String, Credentials>,
}

/// A config that cannot be used. No value of it is in the message.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// It is not a JSON object, or an entry has another form.
    #[error("the docker config is not of the expected form at line {line} column {column}")]
    Form {
        /// The line.
        line: usize,
        /// The column.
        column: usize,
    },
    /// It names credential helpers.
    #[error("the docker config has {0:?}, and credential helpers are not run yet; use \"auths\"")]
    Helper(&'static str),
    /// The `auth` of an entry is not base64 of user and password.
    #[error("the \"auth\" of registry {0:?} in the docker config is not base64 of user:password")]
    Auth(String),
}

/// An entry of `auths`.
#[derive(Deserialize)]
#[serde(default, rename_all = "lowercase")]
#[derive(Default)]
struct Entry {
    auth: String,
    username: String,
    password: String,
    identitytoken: String,
    registrytoken: String,
}

impl RegistryAuths {
    /// Reads a config in either form.
    ///
    /// # Errors
    ///
    /// What cannot be honoured, without any value of the config.
    pub fn parse(text: &str) -> Result<Self, ConfigError> {
        let form =
            |error: serde_json::Error| ConfigError::Form { line: error.line(), column: error.column() };
        let config: BTreeMap<String, serde_json::Value> = serde_json::from_str(text).map_err(form)?;
        let is_empty = |value: &serde_json::Value| match value {
            serde_json::Value::Object(map) => map.is_empty(),
            serde_json::Value::String(text) => text.is_empty(),
            _ => false,
        };
        if let Some(helper) =
            HELPERS.into_iter().find(|key| config.get(*key).is_some_and(|value| !is_empty(value)))
        {
            return Err(ConfigError::Helper(helper));
        }
        let entries: BTreeMap<String, Entry> = match config.get("auths") {
            Some(auths) => serde_json::from_value(auths.clone()).map_err(form)?,
            // A bare map; keys that are no registry's, as config.json has without `auths`, are not entries.
            None => config
                .into_iter()
                .filter(|(_, value)| value.get("auth").is_some() || value.get("username").is_some())
                .map(|(host, value)| serde_json::from_value(value).map(|entry| (host, entry)).map_err(form))
                .collect::<Result<_, _>>()?,
        };
        let mut by_host = BTreeMap::new();
        for (address, entry) in entries {
            let credentials = credentials(&address, entry)?;
            by_host.insert(host_of(&address), credentials);
        }
        Ok(Self { by_host })
    }

    /// The credentials for the registry of an image.
    pub(crate) fn of(&self, image: &ImageRef) -> Option<&Credentials> {
        self.by_host.get(&host_of(image.registry()?))
    }
}

impl fmt::Debug for RegistryAuths {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.by_host.keys()).finish()
    }
}

fn credentials(address: &str, entry: Entry) -> Result<Credentials, ConfigError> {
    let mut credentials = Credentials {
        username: entry.username,
        password: entry.password,
        server_address: address.to_owned(),
        identity_token: entry.identitytoken,
        registry_token: entry.registrytoken,
    };
    if !entry.auth.is_empty() {
        let refused = || ConfigError::Auth(address.chars().take(128).collect());
        let decoded = STANDARD.decode(entry.auth.trim()).map_err(|_| refused())?;
        let decoded = String::from_utf8(decoded).map_err(|_| refused())?;
        let (username, password) = decoded.split_once(':').ok_or_else(refused)?;
        credentials.username = username.to_owned();
        // Old clients padded with NULs.
        credentials.password = password.trim_end_matches('\0').to_owned();
    }
    Ok(credentials)
}

/// The host and port of an address, without scheme and path; one spelling for Docker Hub.
fn host_of(address: &str) -> String {
    let address =
        address.strip_prefix("https://").or_else(|| address.strip_prefix("http://")).unwrap_or(address);
    let host = address.split('/').next().unwrap_or(address);
    if HUB_SPELLINGS.contains(&host) { HUB.to_owned() } else { host.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(config: &str, image: &str) -> Option<(String, String)> {
        let auths = RegistryAuths::parse(config).unwrap();
        auths.of(&ImageRef::parse(image).unwrap()).map(|c| (c.username.clone(), c.password.clone()))
    }

    fn pair(user: &str, password: &str) -> Option<(String, String)> {
        Some((user.into(), password.into()))
    }

    /// Peer: DockerSpecTest.ParseDockerConfig.
    #[test]
    fn auths_are_found_by_host() {
        let auth = STANDARD.encode("user:pa:ss?>~");
        let config = format!(
            r#"{{"HttpHeaders": {{"X": "y"}}, "auths": {{"https://reg.test:5000/v1/": {{"auth": "{auth}", "email": "e"}}}}}}"#
        );
        assert_eq!(found(&config, "reg.test:5000/a/b"), pair("user", "pa:ss?>~"));
        assert_eq!(found(&config, "reg.test/a/b"), None);
        assert_eq!(found(&config, "busybox"), None);
    }

    /// Peer: DockerSpecTest.ParseDockercfg.
    #[test]
    fn a_bare_map_is_read() {
        let auth = STANDARD.encode("u:p");
        let config = format!(
            r#"{{"https://index.docker.io/v1/": {{"auth": "{auth}"}}, "localhost:5000": {{"username": "a", "password": "b"}}}}"#
        );
        assert_eq!(found(&config, "busybox"), pair("u", "p"));
        assert_eq!(found(&config, "localhost:5000/x"), pair("a", "b"));
    }

    /// Peer: DockerSpecTest.ParseAuthUrl.
    #[rstest::rstest]
    #[case("https://a.test:5000/v1/", "a.test:5000")]
    #[case("http://a.test", "a.test")]
    #[case("a.test:80/x/y", "a.test:80")]
    #[case("https://index.docker.io/v1/", "docker.io")]
    fn an_address_is_reduced_to_its_host(#[case] address: &str, #[case] host: &str) {
        assert_eq!(host_of(address), host);
    }

    #[rstest::rstest]
    #[case("[]", "line 1")]
    #[case(r#"{"credsStore": "secretservice"}"#, "credsStore")]
    #[case(r#"{"auths": {"a.test": {"auth": "not base64 hunter2"}}}"#, "a.test")]
    #[case(r#"{"auths": {"a.test": {"auth": 7}}}"#, "form")]
    fn a_config_that_cannot_be_used_says_why_and_tells_no_secret(#[case] config: &str, #[case] why: &str) {
        let error = RegistryAuths::parse(config).unwrap_err().to_string();
        assert!(error.contains(why) && !error.contains("hunter2"), "{error}");
    }

    #[test]
    fn debug_tells_registries_only() {
        let auths =
            RegistryAuths::parse(r#"{"auths": {"a.test": {"username": "u", "password": "hunter2"}}}"#)
                .unwrap();
        assert_eq!(format!("{auths:?}"), "{\"a.test\"}");
    }
}
