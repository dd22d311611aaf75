//! Both forms of a docker config file: `config.json`, with its `auths` and everything else, and the bare map of
//! `.dockercfg`.
//!
//! An entry is read when its registry is asked for, so that a bad entry of one registry does not disturb pulls from
//! another, as it would the docker client. As there, keys may be in any case.

use std::collections::BTreeMap;
use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use docker_engine::Credentials;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::proxies::Proxies;
use super::registry::Registry;

/// Keys that only `config.json` has. With one of them a config is not a bare map.
const MODERN: [&str; 5] = ["auths", "credHelpers", "credsStore", "HttpHeaders", "proxies"];

/// What an entry gives credentials by.
const SECRETS: [&str; 5] = ["auth", "username", "password", "identitytoken", "registrytoken"];

/// What else the docker client writes into an entry, or has written.
const BESIDE: [&str; 2] = ["email", "serveraddress"];

/// The user's name that says that a secret is an identity token.
const TOKEN_USER: &str = "<token>";

/// The header that old docker clients wrote into every config, and never send from there.
const USER_AGENT: &str = "User-Agent";

/// The most characters of a registry's address that a message quotes.
const MAX_QUOTED: usize = 128;

/// A config file, in either form.
#[derive(Clone, Default)]
pub(super) struct ConfigFile {
    entries: Map<String, Value>,
    /// `credHelpers`: the helper of a registry by its address. An empty name means the entries.
    pub(super) helpers: BTreeMap<String, String>,
    /// `credsStore`; not empty.
    pub(super) store: Option<String>,
    /// `HttpHeaders`, without the user agent.
    pub(super) headers: BTreeMap<String, String>,
    /// `proxies` by the engine's address, or `default`.
    pub(super) proxies: BTreeMap<String, Proxies>,
}

/// A config that cannot be used. No value of it is in the message.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// It is not a JSON object.
    #[error("it is not a JSON object (line {line}, column {column})")]
    Json {
        /// The line.
        line: usize,
        /// The column.
        column: usize,
    },
    /// A part of it has another form than the docker client writes.
    #[error("its {0:?} is not of the form that the docker client writes")]
    Form(&'static str),
    /// An entry has another form than the docker client writes.
    #[error("its entry for the registry {0:?} is not of the form that the docker client writes")]
    Entry(String),
    /// The `auth` of an entry is not base64 of user and password.
    #[error("the \"auth\" of its entry for the registry {0:?} is not base64 of user:password")]
    Auth(String),
    /// A config out of a sandbox has what only the operator's may have.
    #[error(
        "it has {0:?}, which only the operator's --docker_config may have: a task's config gives \"auths\" and nothing else (remove {0:?} from it)"
    )]
    OperatorsOnly(&'static str),
    /// The name of a helper could be a path, or is none.
    #[error("it names the credential helper {0:?}, and such a name is made of a-z, 0-9 and '-'")]
    HelperName(String),
    /// A header that cannot be sent.
    #[error("its \"HttpHeaders\" cannot be sent: {0}")]
    Header(String),
}

/// An entry of `auths`, or of the bare map.
#[derive(Deserialize, Default)]
#[serde(default, rename_all = "lowercase")]
struct Entry {
    auth: Option<String>,
    username: Option<String>,
    password: Option<String>,
    identitytoken: Option<String>,
    registrytoken: Option<String>,
}

impl ConfigFile {
    /// Reads a config in either form.
    ///
    /// # Errors
    ///
    /// The part that has another form.
    pub(super) fn parse(text: &[u8]) -> Result<Self, ConfigError> {
        let json =
            |error: serde_json::Error| ConfigError::Json { line: error.line(), column: error.column() };
        let mut config: Map<String, Value> = serde_json::from_slice(text).map_err(json)?;
        config = spelled(config, &MODERN);
        if !MODERN.iter().any(|key| config.contains_key(*key)) {
            // The client keeps its formats and plugins beside the entries.
            config.retain(|key, entry| is_address(key) || entry.as_object().is_some_and(is_entry));
            return Ok(Self { entries: config, ..Self::default() });
        }
        let store: Option<String> = part(&mut config, "credsStore")?;
        let mut headers: BTreeMap<String, String> = part(&mut config, "HttpHeaders")?;
        headers.retain(|name, _| !name.eq_ignore_ascii_case(USER_AGENT));
        let config = Self {
            entries: part(&mut config, "auths")?,
            helpers: part(&mut config, "credHelpers")?,
            store: store.filter(|name| !name.is_empty()),
            headers,
            proxies: part(&mut config, "proxies")?,
        };
        config.store.as_deref().map_or(Ok(()), checked_helper)?;
        Ok(config)
    }

    /// Refuses what a config out of a sandbox may not have.
    ///
    /// # Errors
    ///
    /// Names the key.
    pub(super) fn entries_only(self) -> Result<Self, ConfigError> {
        let refused = [
            ("credHelpers", self.helpers.values().any(|name| !name.is_empty())),
            ("credsStore", self.store.is_some()),
            ("HttpHeaders", !self.headers.is_empty()),
            ("proxies", self.proxies.values().any(|proxies| !proxies.is_empty())),
        ];
        match refused.into_iter().find(|(_, is_there)| *is_there) {
            Some((key, _)) => Err(ConfigError::OperatorsOnly(key)),
            None => Ok(self),
        }
    }

    /// Checks every entry, for a config that is read when a program starts.
    ///
    /// # Errors
    ///
    /// The first entry, or name of a registry's helper, that cannot be used.
    pub(super) fn check(&self) -> Result<(), ConfigError> {
        self.helpers.values().filter(|name| !name.is_empty()).try_for_each(|name| checked_helper(name))?;
        self.entries.iter().try_for_each(|(address, entry)| credentials(address, entry).map(drop))
    }

    /// The helpers to ask for a registry, in order: its own, then the store. A registry whose own helper has no name
    /// is kept in the entries, whatever the store is.
    ///
    /// # Errors
    ///
    /// A name that no helper can have.
    pub(super) fn helpers_for(&self, registry: &Registry) -> Result<Vec<&str>, ConfigError> {
        let exact = self.helpers.get(registry.address());
        let by_host = || {
            self.helpers.iter().find(|(address, _)| registry.is_named_by(address)).map(|(_, helper)| helper)
        };
        let own = exact.or_else(by_host);
        if own.is_some_and(String::is_empty) {
            return Ok(Vec::new());
        }
        own.map_or(Ok(()), |name| checked_helper(name))?;
        let mut names: Vec<_> = own.into_iter().chain(&self.store).map(String::as_str).collect();
        names.dedup();
        Ok(names)
    }

    /// The credentials of a registry's entry: the one that has its address exactly, or else the first that has its
    /// host. An entry without anything in it, as the client writes beside a helper, is none.
    ///
    /// # Errors
    ///
    /// An entry of this registry that cannot be used.
    pub(super) fn entry(&self, registry: &Registry) -> Result<Option<Credentials>, ConfigError> {
        let exact = self.entries.get_key_value(registry.address());
        let by_host = self.entries.iter().filter(|(address, _)| registry.is_named_by(address));
        for (address, entry) in exact.into_iter().chain(by_host) {
            if let Some(found) = credentials(address, entry)? {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }
}

impl fmt::Debug for ConfigFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConfigFile")
            .field("entries", &self.entries.keys().collect::<Vec<_>>())
            .field("helpers", &self.helpers)
            .field("store", &self.store)
            .field("headers", &self.headers.keys().collect::<Vec<_>>())
            .field("proxies", &self.proxies.keys().collect::<Vec<_>>())
            .finish()
    }
}

/// Takes one part out of a config; what is absent or null is empty.
fn part<T: serde::de::DeserializeOwned + Default>(
    config: &mut Map<String, Value>,
    key: &'static str,
) -> Result<T, ConfigError> {
    match config.remove(key) {
        None | Some(Value::Null) => Ok(T::default()),
        // The parser's own message could quote a value.
        Some(value) => serde_json::from_value(value).map_err(|_| ConfigError::Form(key)),
    }
}

/// Gives keys the spelling of `names`, which they may have in any case as in every JSON that Go reads. Of two that are
/// the same then, the one that is spelled right counts.
pub(super) fn spelled(object: Map<String, Value>, names: &[&str]) -> Map<String, Value> {
    let right = |key: &str| names.iter().find(|name| name.eq_ignore_ascii_case(key));
    let mut result = Map::new();
    for (key, value) in object {
        match right(&key) {
            Some(name) if *name != key => drop(result.entry(*name).or_insert(value)),
            _ => drop(result.insert(key, value)),
        }
    }
    result
}

/// Whether an object of a bare map is the entry of a registry.
fn is_entry(object: &Map<String, Value>) -> bool {
    object.keys().any(|key| SECRETS.iter().any(|name| name.eq_ignore_ascii_case(key)))
}

/// Whether a key of a bare map can only be the address of a registry.
fn is_address(key: &str) -> bool {
    key.contains(['.', ':', '/']) || key == "localhost"
}

/// Accepts a name only if `docker-credential-<name>` can only be the name of a program.
fn checked_helper(name: &str) -> Result<(), ConfigError> {
    let is_name = !name.is_empty()
        && name.len() <= 100
        && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
    if is_name { Ok(()) } else { Err(ConfigError::HelperName(quotable(name))) }
}

fn quotable(text: &str) -> String {
    text.chars().take(MAX_QUOTED).collect()
}

/// Reads an entry; `None` when nothing is in it. One that gives nothing and has keys that nobody knows is refused:
/// somebody meant credentials by them.
fn credentials(address: &str, entry: &Value) -> Result<Option<Credentials>, ConfigError> {
    let other = || ConfigError::Entry(quotable(address));
    let entry = match entry {
        Value::Null => return Ok(None),
        Value::Object(entry) => spelled(entry.clone(), &SECRETS),
        _ => return Err(other()),
    };
    let is_known = |key: &String| SECRETS.iter().chain(&BESIDE).any(|name| name.eq_ignore_ascii_case(key));
    let is_clear = entry.keys().all(is_known);
    let entry = Entry::deserialize(Value::Object(entry)).map_err(|_| other())?;
    let mut credentials = Credentials {
        username: entry.username.unwrap_or_default(),
        password: entry.password.unwrap_or_default(),
        server_address: address.to_owned(),
        identity_token: entry.identitytoken.unwrap_or_default(),
        registry_token: entry.registrytoken.unwrap_or_default(),
    };
    if let Some(auth) = entry.auth.filter(|auth| !auth.is_empty()) {
        let refused = || ConfigError::Auth(quotable(address));
        let decoded = STANDARD.decode(auth.trim()).map_err(|_| refused())?;
        let decoded = String::from_utf8(decoded).map_err(|_| refused())?;
        let (username, password) = decoded.split_once(':').ok_or_else(refused)?;
        credentials.username = username.to_owned();
        // Old clients padded with NULs.
        credentials.password = password.trim_matches('\0').to_owned();
    }
    match told(credentials) {
        None if !is_clear => Err(other()),
        found => Ok(found),
    }
}

/// What a user's name and a secret say, from an entry or from a helper: `<token>` makes the secret an identity token.
pub(super) fn told(mut credentials: Credentials) -> Option<Credentials> {
    if credentials.username == TOKEN_USER {
        credentials.username.clear();
        let secret = std::mem::take(&mut credentials.password);
        if credentials.identity_token.is_empty() {
            credentials.identity_token = secret;
        }
    }
    let is_empty = [
        &credentials.username,
        &credentials.password,
        &credentials.identity_token,
        &credentials.registry_token,
    ]
    .into_iter()
    .all(String::is_empty);
    (!is_empty).then_some(credentials)
}

#[cfg(test)]
mod tests {
    use super::*;
    use docker_engine::ImageRef;
    use proptest::prelude::*;
    use rstest::rstest;

    fn registry(image: &str) -> Registry {
        Registry::of(&ImageRef::parse(image).unwrap()).unwrap()
    }

    fn found(config: &str, image: &str) -> Option<(String, String)> {
        let config = ConfigFile::parse(config.as_bytes()).unwrap();
        config.entry(&registry(image)).unwrap().map(|found| (found.username, found.password))
    }

    fn pair(user: &str, password: &str) -> Option<(String, String)> {
        Some((user.into(), password.into()))
    }

    /// Peer: DockerSpecTest.ParseDockerConfig.
    ///
    /// The `email` of an entry goes to nobody: the engine has ignored it since 1.11.
    #[test]
    fn auths_are_found_by_host_beside_keys_of_other_kinds() {
        let (hub, other) = (STANDARD.encode("user:pa:ss?>~"), STANDARD.encode("bob:üöä"));
        let config = format!(
            r#"{{"auths": {{"https://index.docker.io/v1/": {{"auth": "{hub}", "email": "user@example.com"}},
                            "reg.test:5000": {{"auth": "{other}", "email": "bob@example.com"}}}},
                 "HttpHeaders": {{"User-Agent": "Docker-Client/19.03.5 (linux)"}},
                 "psFormat": "table", "detachKeys": "ctrl-e", "plugins": {{"x": {{}}}}}}"#
        );
        assert_eq!(found(&config, "busybox"), pair("user", "pa:ss?>~"));
        assert_eq!(found(&config, "team/app"), pair("user", "pa:ss?>~"));
        assert_eq!(found(&config, "reg.test:5000/a/b"), pair("bob", "üöä"));
        assert_eq!(found(&config, "reg.test/a/b"), None);
        // What the docker client of those days wrote itself is no header of the operator's.
        let config = ConfigFile::parse(config.as_bytes()).unwrap();
        assert!(config.headers.is_empty());
        config.entries_only().unwrap();
    }

    /// Peer: DockerSpecTest.ParseDockercfg.
    #[test]
    fn a_bare_map_is_read() {
        let auth = STANDARD.encode("u:p");
        let config = format!(
            r#"{{"https://index.docker.io/v1/": {{"auth": "{auth}", "email": "u@example.com"}},
                 "localhost:5000": {{"username": "a", "password": "b"}},
                 "token.test": {{"identitytoken": "t"}}, "note": "no entry", "plugins": {{"x": 1}}}}"#
        );
        assert_eq!(found(&config, "busybox"), pair("u", "p"));
        assert_eq!(found(&config, "localhost:5000/x"), pair("a", "b"));
        assert_eq!(found(&config, "token.test/x"), pair("", ""));
        assert_eq!(found(&config, "other.test/x"), None);
        ConfigFile::parse(config.as_bytes()).unwrap().check().unwrap();
    }

    /// Go reads keys in any case, and so does whoever uses the docker client.
    #[rstest]
    #[case::entry(r#"{"auths": {"reg.test": {"Auth": "dTpw"}}}"#)]
    #[case::top(r#"{"Auths": {"reg.test": {"auth": "dTpw"}}}"#)]
    #[case::pair(r#"{"AUTHS": {"reg.test": {"userName": "u", "Password": "p"}}}"#)]
    #[case::bare(r#"{"reg.test": {"Auth": "dTpw"}}"#)]
    #[case::the_right_one_counts(
        r#"{"Auths": {"reg.test": {"auth": "eDp5"}}, "auths": {"reg.test": {"AUTH": "eDp5", "auth": "dTpw"}}}"#
    )]
    #[case::the_right_one_is_first(
        r#"{"auths": {"reg.test": {"auth": "dTpw", "authx": "", "auTh": "eDp5"}}}"#
    )]
    fn keys_may_be_in_any_case(#[case] config: &str) {
        assert_eq!(found(config, "reg.test/x"), pair("u", "p"));
    }

    #[test]
    fn the_operators_parts_may_be_in_any_case_and_a_task_may_not_bring_them_so_either() {
        for (config, part) in [
            (r#"{"CredsStore": "pass"}"#, "credsStore"),
            (r#"{"credhelpers": {"a.test": "ecr"}}"#, "credHelpers"),
            (r#"{"httpheaders": {"X-Meta": "v"}}"#, "HttpHeaders"),
            (r#"{"Proxies": {"default": {"HTTPProxy": "http://a.test"}}}"#, "proxies"),
        ] {
            let config = ConfigFile::parse(config.as_bytes()).unwrap();
            assert_eq!(config.entries_only().err(), Some(ConfigError::OperatorsOnly(part)));
        }
    }

    /// Somebody meant credentials by them; a pull without any would hide it.
    #[rstest]
    #[case::unknown_keys(r#"{"auths": {"reg.test": {"user": "u", "pass": "hunter2"}}}"#)]
    #[case::beside_others(r#"{"auths": {"reg.test": {"auth": "", "email": "e", "pass": "hunter2"}}}"#)]
    #[case::in_a_bare_map(r#"{"reg.test": {"user": "u", "pass": "hunter2"}}"#)]
    #[case::no_object(r#"{"reg.test": "hunter2"}"#)]
    fn an_entry_that_gives_nothing_by_unknown_keys_is_refused(#[case] config: &str) {
        let config = ConfigFile::parse(config.as_bytes()).unwrap();
        assert_eq!(config.entry(&registry("reg.test/x")), Err(ConfigError::Entry("reg.test".into())));
        assert_eq!(config.entry(&registry("other.test/x")), Ok(None));
        assert_eq!(config.check(), Err(ConfigError::Entry("reg.test".into())));
    }

    #[test]
    fn a_bad_name_of_a_helper_disturbs_its_own_registry_only() {
        let config = br#"{"credHelpers": {"bad.test": "a/b", "good.test": "ecr", "none.test": ""}, "credsStore": "s"}"#;
        let config = ConfigFile::parse(config).unwrap();
        let refused = ConfigError::HelperName("a/b".into());
        assert_eq!(config.helpers_for(&registry("good.test/x")), Ok(vec!["ecr", "s"]));
        assert_eq!(config.helpers_for(&registry("none.test/x")), Ok(vec![]));
        assert_eq!(config.helpers_for(&registry("other.test/x")), Ok(vec!["s"]));
        assert_eq!(config.helpers_for(&registry("bad.test/x")), Err(refused.clone()));
        assert_eq!(config.check(), Err(refused));
    }

    #[rstest]
    #[case::no_password(r#"{"auth": "dTo="}"#, ("u", "", "", ""))]
    #[case::padded(r#"{"auth": "dTpwAAAA"}"#, ("u", "p", "", ""))]
    #[case::auth_wins(r#"{"auth": "dTpw", "username": "x", "password": "y"}"#, ("u", "p", "", ""))]
    #[case::pair(r#"{"username": "x", "password": "y", "auth": ""}"#, ("x", "y", "", ""))]
    #[case::identity(r#"{"auth": "dTo=", "identitytoken": "it"}"#, ("u", "", "it", ""))]
    #[case::registry(r#"{"registrytoken": "rt", "auth": null}"#, ("", "", "", "rt"))]
    #[case::token_user(r#"{"username": "<token>", "password": "it"}"#, ("", "", "it", ""))]
    fn every_kind_of_entry_is_read(#[case] entry: &str, #[case] expected: (&str, &str, &str, &str)) {
        let config = format!(r#"{{"auths": {{"reg.test": {entry}}}}}"#);
        let config = ConfigFile::parse(config.as_bytes()).unwrap();
        let found = config.entry(&registry("reg.test/x")).unwrap().unwrap();
        let Credentials { username, password, identity_token, registry_token, server_address } = &found;
        assert_eq!((&**username, &**password, &**identity_token, &**registry_token), expected);
        assert_eq!(server_address, "reg.test");
    }

    #[test]
    fn the_exact_address_wins_and_an_empty_entry_is_none() {
        let of = |user: &str| format!(r#"{{"username": "{user}", "password": "p"}}"#);
        let config = format!(
            r#"{{"auths": {{"http://reg.test/v1": {}, "reg.test": {}, "https://docker.io": {},
                            "https://index.docker.io/v1/": {{}}, "https://empty.test": {{"email": "e"}}}}}}"#,
            of("by-host"),
            of("exact"),
            of("hub")
        );
        assert_eq!(found(&config, "reg.test/x"), pair("exact", "p"));
        assert_eq!(found(&config, "busybox"), pair("hub", "p"));
        assert_eq!(found(&config, "empty.test/x"), None);
        assert_eq!(found(r#"{"auths": null}"#, "reg.test/x"), None);
        assert_eq!(found("{}", "reg.test/x"), None);
    }

    #[test]
    fn a_bad_entry_disturbs_its_own_registry_only() {
        let config = br#"{"auths": {"bad.test": {"auth": "hunter2!"}, "worse.test": {"auth": 7},
                                    "good.test": {"auth": "dTpw"}}}"#;
        let config = ConfigFile::parse(config).unwrap();
        assert!(config.entry(&registry("good.test/x")).unwrap().is_some());
        assert_eq!(config.entry(&registry("bad.test/x")), Err(ConfigError::Auth("bad.test".into())));
        assert_eq!(config.entry(&registry("worse.test/x")), Err(ConfigError::Entry("worse.test".into())));
        assert!(config.check().is_err());
    }

    #[rstest]
    #[case::list("[]", "not a JSON object (line 1")]
    #[case::text("hunter2", "line 1, column 1")]
    #[case::auths(r#"{"auths": ["hunter2"]}"#, "\"auths\"")]
    #[case::helpers(r#"{"credHelpers": {"a.test": ["hunter2"]}}"#, "\"credHelpers\"")]
    #[case::store(r#"{"credsStore": {"hunter2": 1}}"#, "\"credsStore\"")]
    #[case::headers(r#"{"HttpHeaders": {"A": ["hunter2"]}}"#, "\"HttpHeaders\"")]
    #[case::proxies(r#"{"proxies": "hunter2"}"#, "\"proxies\"")]
    #[case::path_as_store(r#"{"credsStore": "../../tmp/evil"}"#, "../../tmp/evil")]
    #[case::upper_case(r#"{"credsStore": "Evil"}"#, "a-z, 0-9 and '-'")]
    #[case::spaces(r#"{"credsStore": "a b"}"#, "a-z, 0-9 and '-'")]
    fn a_config_that_cannot_be_used_says_why_and_tells_no_secret(#[case] config: &str, #[case] why: &str) {
        let error = ConfigFile::parse(config.as_bytes()).unwrap_err();
        assert!(error.to_string().contains(why), "{error}");
        assert!(!format!("{error} {error:?}").contains("hunter2"), "{error:?}");
    }

    #[rstest]
    #[case(r#"{"credsStore": "pass"}"#, Some("credsStore"))]
    #[case(r#"{"auths": {}, "credHelpers": {"a.test": "ecr-login"}}"#, Some("credHelpers"))]
    #[case(r#"{"HttpHeaders": {"X-Meta": "v"}}"#, Some("HttpHeaders"))]
    #[case(r#"{"proxies": {"default": {"httpProxy": "http://a.test"}}}"#, Some("proxies"))]
    #[case(r#"{"credsStore": "", "credHelpers": {}, "HttpHeaders": {}, "proxies": {"default": {}}}"#, None)]
    #[case(r#"{"auths": {"a.test": {"auth": "dTpw"}}}"#, None)]
    fn a_task_may_bring_entries_and_nothing_else(
        #[case] config: &str,
        #[case] refused: Option<&'static str>,
    ) {
        let result = ConfigFile::parse(config.as_bytes()).unwrap().entries_only();
        assert_eq!(result.err(), refused.map(ConfigError::OperatorsOnly));
    }

    #[test]
    fn debug_tells_registries_and_names_only() {
        let config = br#"{"auths": {"a.test": {"username": "u", "password": "hunter2"}},
                          "HttpHeaders": {"X-Meta": "hunter2"}, "credsStore": "pass",
                          "proxies": {"default": {"httpProxy": "http://hunter2"}}}"#;
        let shown = format!("{:?}", ConfigFile::parse(config).unwrap());
        assert!(shown.contains("a.test") && shown.contains("X-Meta") && shown.contains("pass"), "{shown}");
        assert!(!shown.contains("hunter2"), "{shown}");
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            drop(ConfigFile::parse(&bytes));
        }

        #[test]
        fn any_user_and_password_come_back(user in "[^:\0<]{1,12}", password in "[^\0]{1,24}") {
            let auth = STANDARD.encode(format!("{user}:{password}"));
            let config = format!(r#"{{"auths": {{"reg.test": {{"auth": "{auth}"}}}}}}"#);
            prop_assert_eq!(found(&config, "reg.test/x"), Some((user, password)));
        }
    }
}
