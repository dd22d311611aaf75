//! A policy file: TOML or JSON by its content, with every key known.

use std::fmt::{self, Write as _};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::de::{Error as _, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};

use super::judge::Policy;
use super::paths::HostPlaces;
use super::prefixes::{self, PrefixError};
use super::rule::{Form, Preset, Rule};
use super::rules::privileges::{capability, security_option};
use super::setting::Setting;

/// The key that names the preset to start from.
const PRESET: &str = "preset";

/// The largest policy file, in bytes.
const LARGEST_FILE: u64 = 1 << 20;

/// Why a policy cannot be loaded.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LoadError {
    /// The file cannot be read.
    #[error("cannot read the policy file {path}")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The file is not to be trusted, or is none.
    #[error("cannot use the policy file {path}: {why}")]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// It is neither TOML nor JSON.
    #[error("the policy is not {form}: {why}")]
    Form {
        /// What it begins like.
        form: &'static str,
        /// Where it stops being that.
        why: String,
    },
    /// A key that no rule has.
    #[error("the policy has the unknown key {key:?}{}", did_you_mean(.nearest.as_deref()))]
    UnknownKey {
        /// The key.
        key: String,
        /// The nearest known one.
        nearest: Option<String>,
    },
    /// A value that its rule does not take.
    #[error("the policy's {key} is {given}, and must be {expected}{}", did_you_mean(.nearest.as_deref()))]
    Value {
        /// The rule's key, or `preset`.
        key: &'static str,
        /// What was given, shortened.
        given: String,
        /// What it takes.
        expected: String,
        /// The nearest word.
        nearest: Option<String>,
    },
    /// A host path that cannot be allowed.
    #[error("the policy's host_paths cannot allow {entry:?}")]
    Prefix {
        /// The entry.
        entry: String,
        /// Why.
        source: PrefixError,
    },
}

fn did_you_mean(nearest: Option<&str>) -> String {
    nearest.map(|nearest| format!(" (hint: did you mean {nearest:?}?)")).unwrap_or_default()
}

/// Loads the policy of `--docker_policy`: the name of a preset, or a file. Blocks on the file system.
///
/// # Errors
///
/// A file that cannot be read or that others may change, a form, key or value that is none, and a host path that
/// tasks or users can change.
pub fn load(flag: &str, mut places: HostPlaces) -> Result<Policy, LoadError> {
    if let Some(preset) = Preset::of(flag) {
        return Ok(Policy::preset(preset, places));
    }
    let path = PathBuf::from(flag);
    let text = read(&path)?;
    places.policy_file = Some(std::path::absolute(&path).unwrap_or(path));
    parse(&text, places)
}

fn read(path: &Path) -> Result<String, LoadError> {
    let fail = |source| LoadError::Read { path: path.to_path_buf(), source };
    let refuse = |why: String| Err(LoadError::File { path: path.to_path_buf(), why });
    let real = fs::canonicalize(path).map_err(fail)?;
    let metadata = fs::metadata(&real).map_err(fail)?;
    if !metadata.is_file() {
        return refuse("it is not a regular file".into());
    }
    if metadata.len() > LARGEST_FILE {
        return refuse("it is larger than 1 MiB".into());
    }
    // The name too: it may be a link.
    let absolute = std::path::absolute(path).map_err(fail)?;
    let named = absolute.parent().zip(absolute.file_name());
    let named =
        named.map(|(parent, name)| Ok(fs::canonicalize(parent)?.join(name))).transpose().map_err(fail)?;
    let trusted = [0, rustix::process::geteuid().as_raw()];
    for place in [Some(real.clone()), named].into_iter().flatten() {
        if let Some((at, why)) = prefixes::first_unsafe(&place, &trusted).map_err(fail)? {
            return refuse(format!(
                "{} {why}, who could change the policy (hint: the file and each directory above it must belong to \
                 root, or to the user who starts this, and nobody else may write to them)",
                at.display()
            ));
        }
    }
    fs::read_to_string(&real).map_err(fail)
}

/// Reads a policy's text. Looks at the host paths that it allows.
///
/// # Errors
///
/// As [`load`].
pub(super) fn parse(text: &str, places: HostPlaces) -> Result<Policy, LoadError> {
    let object = object(text)?;
    let preset = match object.get(PRESET) {
        None => Preset::Permissive,
        Some(value) => value.as_str().and_then(Preset::of).ok_or_else(|| {
            let names = [Preset::Permissive, Preset::Strict].map(Preset::name);
            bad_value(PRESET, value, "\"permissive\" or \"strict\"".into(), nearest(value, names))
        })?,
    };
    let mut policy = Policy::preset(preset, places);
    for (key, value) in object.iter().filter(|(key, _)| *key != PRESET) {
        let Some(&rule) = Rule::ALL.iter().find(|rule| rule.key() == key) else {
            let known = Rule::ALL.iter().map(|rule| rule.key()).chain([PRESET]);
            let nearest = nearest(&Value::from(key.as_str()), known);
            return Err(LoadError::UnknownKey { key: key.chars().take(64).collect(), nearest });
        };
        let setting = setting(rule, value)?;
        if let (Form::Paths, Setting::Only(entries)) = (rule.form(), &setting) {
            policy.host_paths = entries
                .iter()
                .map(|entry| {
                    prefixes::check(entry, &policy.places)
                        .map_err(|source| LoadError::Prefix { entry: entry.clone(), source })
                })
                .collect::<Result<_, _>>()?;
            prefixes::check_together(&policy.host_paths)
                .map_err(|(at, source)| LoadError::Prefix { entry: entries[at].clone(), source })?;
        }
        policy.set(rule, setting);
    }
    Ok(policy)
}

/// The keys and values, from TOML or, when the text begins with a brace, from JSON.
fn object(text: &str) -> Result<Map<String, Value>, LoadError> {
    if text.trim_start().starts_with('{') {
        return serde_json::from_str::<Keys>(text)
            .map(|keys| keys.0)
            .map_err(|error| LoadError::Form { form: "JSON", why: error.to_string() });
    }
    toml::from_str(text).map_err(|error| {
        // The parser quotes the line over several; the place and the reason are enough.
        let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
        let line = before.matches('\n').count() + 1;
        LoadError::Form { form: "TOML", why: format!("{} at line {line}", error.message()) }
    })
}

/// The keys of a JSON object, each once: of two settings nobody knows which one was meant.
struct Keys(Map<String, Value>);

impl<'de> Deserialize<'de> for Keys {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Once;

        impl<'de> Visitor<'de> for Once {
            type Value = Keys;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object of rules")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Keys, A::Error> {
                let mut keys = Map::new();
                while let Some((key, value)) = entries.next_entry::<String, Value>()? {
                    if keys.contains_key(&key) {
                        return Err(A::Error::custom(format_args!("the key {key:?} is there twice")));
                    }
                    keys.insert(key, value);
                }
                Ok(Keys(keys))
            }
        }

        deserializer.deserialize_map(Once)
    }
}

/// What a value says of a rule.
fn setting(rule: Rule, value: &Value) -> Result<Setting, LoadError> {
    let bad = |expected: &str, nearest| Err(bad_value(rule.key(), value, expected.to_owned(), nearest));
    match (rule.form(), value) {
        (Form::Flag, Value::Bool(true)) => Ok(Setting::Any),
        (Form::Flag, Value::Bool(false)) => Ok(Setting::Only(Vec::new())),
        (Form::Flag, _) => bad("true or false", None),
        (Form::Grant, Value::String(word)) => match word.as_str() {
            "any" => Ok(Setting::Any),
            "resources" => Ok(Setting::Resources),
            "none" => Ok(Setting::Only(Vec::new())),
            _ => bad("\"any\", \"resources\" or \"none\"", nearest(value, ["any", "resources", "none"])),
        },
        (Form::Grant, _) => bad("\"any\", \"resources\" or \"none\"", None),
        (Form::List | Form::Words(_) | Form::Paths, Value::String(word)) if word == "any" => Ok(Setting::Any),
        (form @ (Form::List | Form::Words(_) | Form::Paths), Value::Array(list)) => {
            let texts = list.iter().map(|one| one.as_str().filter(|text| !text.is_empty()));
            let Some(mut texts) = texts.map(|one| one.map(str::to_owned)).collect::<Option<Vec<_>>>() else {
                return bad("\"any\" or a list of texts that are not empty", None);
            };
            if let Form::Words(words) = form
                && let Some(other) = texts.iter().find(|text| !words.contains(&text.as_str()))
            {
                let nearest = nearest(&Value::from(other.as_str()), words.iter().copied());
                return bad(&format!("\"any\" or a list of {}", words.join(", ")), nearest);
            }
            if rule == Rule::Capabilities {
                texts = texts.iter().map(|text| capability(text)).collect();
            }
            if rule == Rule::SecurityOptions {
                texts = texts.iter().map(|text| security_option(text)).collect();
            }
            Ok(Setting::Only(texts))
        }
        (Form::List | Form::Words(_) | Form::Paths, _) => bad("\"any\" or a list of texts", None),
    }
}

fn bad_value(key: &'static str, value: &Value, expected: String, nearest: Option<String>) -> LoadError {
    let mut given = String::new();
    // Writing to a text does not fail.
    let _ = write!(given, "{value}");
    LoadError::Value { key, given: given.chars().take(120).collect(), expected, nearest }
}

/// The known word that is most like a text.
fn nearest<'a>(given: &Value, known: impl IntoIterator<Item = &'a str>) -> Option<String> {
    let given = given.as_str().filter(|text| text.len() <= 64)?.to_ascii_lowercase().replace('-', "_");
    known
        .into_iter()
        .map(|known| (strsim::jaro_winkler(known, &given), known))
        .filter(|(score, _)| *score > 0.8)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, known)| known.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Result<Policy, LoadError> {
        parse(text, HostPlaces::default())
    }

    #[test]
    fn toml_and_json_say_the_same() {
        let toml =
            "preset = \"strict\"\nprivileged = true\ncapabilities = [\"cap_net_admin\"]\nports = \"any\"\n";
        let json = r#"{"preset":"strict","privileged":true,"capabilities":["NET_ADMIN"],"ports":"any"}"#;
        let policy = parsed(toml).unwrap();
        assert_eq!(policy, parsed(json).unwrap());
        assert_eq!(policy.base(), Preset::Strict);
        assert_eq!(*policy.setting(Rule::Privileged), Setting::Any);
        assert_eq!(*policy.setting(Rule::Capabilities), Setting::Only(vec!["NET_ADMIN".into()]));
        // What is not named is the preset's.
        assert_eq!(*policy.setting(Rule::Devices), Setting::Only(vec![]));
    }

    #[test]
    fn an_empty_file_is_the_default() {
        assert_eq!(parsed("").unwrap(), Policy::default());
        assert_eq!(parsed("{}").unwrap(), Policy::default());
    }

    #[rstest::rstest]
    #[case("priviledged = true", "privileged")]
    #[case("cap-abilities = []", "capabilities")]
    #[case("[host_path]\nx = 1", "host_paths")]
    #[case("presets = \"strict\"", "preset")]
    #[case("preset = \"strikt\"", "strict")]
    #[case("host_namespaces = [\"pids\"]", "pid")]
    #[case("ports = \"resource\"", "resources")]
    fn what_is_not_known_is_refused_with_the_nearest(#[case] text: &str, #[case] nearest: &str) {
        let error = parsed(text).unwrap_err().to_string();
        assert!(error.contains(&format!("did you mean {nearest:?}?")), "{error}");
    }

    #[rstest::rstest]
    #[case("privileged = \"yes\"", "true or false")]
    #[case("privileged = 1", "true or false")]
    #[case("devices = true", "a list of texts")]
    #[case("devices = [1]", "a list of texts")]
    #[case("devices = [\"\"]", "not empty")]
    #[case("ports = []", "\"none\"")]
    #[case("preset = 1", "\"strict\"")]
    #[case("{\"preset\": \"strict\"", "not JSON")]
    #[case("preset = strict", "not TOML")]
    #[case("privileged = true\nprivileged = false", "line 2")]
    #[case(r#"{"privileged": false, "privileged": true}"#, "twice")]
    fn what_a_rule_does_not_take_is_refused(#[case] text: &str, #[case] expected: &str) {
        let error = parsed(text).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }

    #[test]
    fn a_file_that_everybody_can_write_is_refused() {
        use std::os::unix::fs::PermissionsExt;

        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("policy.toml");
        fs::write(&path, "preset = \"strict\"").unwrap();
        let flag = path.to_str().unwrap();
        let policy = load(flag, HostPlaces::default()).unwrap();
        assert_eq!(
            (policy.base(), policy.places.policy_file.as_deref()),
            (Preset::Strict, Some(path.as_path()))
        );
        fs::set_permissions(&path, fs::Permissions::from_mode(0o646)).unwrap();
        assert!(load(flag, HostPlaces::default()).unwrap_err().to_string().contains("everybody"));
        assert!(load("/no/such/file", HostPlaces::default()).is_err());
        assert_eq!(load("strict", HostPlaces::default()).unwrap().base(), Preset::Strict);
    }
}
