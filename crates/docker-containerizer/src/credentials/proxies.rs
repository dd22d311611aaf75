//! `proxies` of a docker config: the environment that containers get from it.

use std::collections::BTreeMap;
use std::fmt;

use serde::Deserialize;
use serde_json::{Map, Value};

use super::config::spelled;

/// The key of `proxies` for engines that have none of their own.
const DEFAULT: &str = "default";

/// The keys of the proxies of one engine.
const KEYS: [&str; 5] = ["httpProxy", "httpsProxy", "noProxy", "ftpProxy", "allProxy"];

/// The proxies for one engine.
#[derive(Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(try_from = "Map<String, Value>")]
pub(super) struct Proxies {
    http_proxy: String,
    https_proxy: String,
    no_proxy: String,
    ftp_proxy: String,
    all_proxy: String,
}

/// Variables that a container gets unless its task sets them. `Debug` shows names only: an address of a proxy can
/// hold a password.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct ProxyVariables(BTreeMap<String, String>);

impl TryFrom<Map<String, Value>> for Proxies {
    type Error = &'static str;

    fn try_from(object: Map<String, Value>) -> Result<Self, Self::Error> {
        let [http, https, no, ftp, all] = KEYS;
        let object = spelled(object, &KEYS);
        let text = |key: &str| match object.get(key) {
            None | Some(Value::Null) => Ok(String::new()),
            Some(Value::String(text)) => Ok(text.clone()),
            Some(_) => Err("a proxy is no text"),
        };
        Ok(Self {
            http_proxy: text(http)?,
            https_proxy: text(https)?,
            no_proxy: text(no)?,
            ftp_proxy: text(ftp)?,
            all_proxy: text(all)?,
        })
    }
}

impl Proxies {
    pub(super) fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

impl ProxyVariables {
    /// The variables for containers of the engine at `engine` (`unix:///var/run/docker.sock`): each in upper and lower
    /// case, as `ParseProxyConfig` of the docker client gives them.
    pub(super) fn of(proxies: &BTreeMap<String, Proxies>, engine: &str) -> Self {
        let Some(proxies) = proxies.get(engine).or_else(|| proxies.get(DEFAULT)) else {
            return Self::default();
        };
        let named = [
            ("HTTP_PROXY", &proxies.http_proxy),
            ("HTTPS_PROXY", &proxies.https_proxy),
            ("NO_PROXY", &proxies.no_proxy),
            ("FTP_PROXY", &proxies.ftp_proxy),
            ("ALL_PROXY", &proxies.all_proxy),
        ];
        let set = named.into_iter().filter(|(_, value)| !value.is_empty());
        Self(
            set.flat_map(|(name, value)| {
                [(name.to_owned(), value.clone()), (name.to_ascii_lowercase(), value.clone())]
            })
            .collect(),
        )
    }

    /// Names and values.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }
}

impl fmt::Debug for ProxyVariables {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

impl fmt::Debug for Proxies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Proxies(***)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn variables(json: &str, engine: &str) -> Vec<String> {
        let proxies: BTreeMap<String, Proxies> = serde_json::from_str(json).unwrap();
        ProxyVariables::of(&proxies, engine).iter().map(|(name, value)| format!("{name}={value}")).collect()
    }

    #[test]
    fn the_engines_own_key_wins_over_the_default() {
        let json = r#"{"default": {"httpProxy": "http://d:1", "noProxy": "x"},
                       "unix:///run/docker.sock": {"httpsProxy": "http://own:2", "unknown": "ignored"}}"#;
        assert_eq!(
            variables(json, "unix:///other.sock"),
            ["HTTP_PROXY=http://d:1", "NO_PROXY=x", "http_proxy=http://d:1", "no_proxy=x"]
        );
        assert_eq!(
            variables(json, "unix:///run/docker.sock"),
            ["HTTPS_PROXY=http://own:2", "https_proxy=http://own:2"]
        );
        assert!(variables("{}", "unix:///run/docker.sock").is_empty());
    }

    #[test]
    fn keys_may_be_in_any_case_and_values_are_texts() {
        let json = r#"{"default": {"HTTPProxy": "http://d:1", "noproxy": null}}"#;
        assert_eq!(variables(json, "unix:///x"), ["HTTP_PROXY=http://d:1", "http_proxy=http://d:1"]);
        assert!(serde_json::from_str::<Proxies>(r#"{"httpProxy": ["hunter2"]}"#).is_err());
    }

    #[test]
    fn every_proxy_has_its_variable_and_none_is_shown() {
        let json = r#"{"default": {"httpProxy": "hunter1", "httpsProxy": "hunter2", "noProxy": "hunter3",
                                   "ftpProxy": "hunter4", "allProxy": "hunter5"}}"#;
        let proxies: BTreeMap<String, Proxies> = serde_json::from_str(json).unwrap();
        let variables = ProxyVariables::of(&proxies, "unix:///x");
        assert_eq!(variables.iter().count(), 10);
        assert!(!format!("{proxies:?} {variables:?}").contains("hunter"));
    }
}
