//! Secrets in what a framework is told of a container: `TaskStatus.data` is the engine's inspection, and the whole
//! environment of the task is in it. Masters keep it, and their `/state` shows it to whoever may read that.
//!
//! Stock tells all of it. Here (`--docker_mask_environment`), by default the values of variables are replaced by `***`
//! that
//!
//! * the task takes from a secret (type SECRET), or
//! * are named like one: a part of the name, as `_`, `-` and `.` divide it, ends with `PASSWORD`, `PASSWD`, `PASSPHRASE`,
//!   `SECRET`, `TOKEN`, `CREDENTIAL` or `APIKEY` (or its plural), or is `PASS` or `PWD`; or the name ends with `KEY` behind
//!   one of `ACCESS`, `ACCOUNT`, `API`, `AUTH`, `ENCRYPTION`, `MASTER`, `PRIVATE`, `SECRET` and `SIGNING`; but not what ends
//!   with `FILE`, `PATH`, `DIR` or `NAME`, which tells where a secret is, nor `PWD` and `OLDPWD`, and
//! * of every other variable the users and passwords of URLs (`scheme://user:password@host`), and what is named like a
//!   secret in a query (`?password=…`).
//!
//! Options of the log driver and labels go by the same names. What else of the command line, labels and health check repeats a
//! masked value of at least [`LEAST`] bytes has it masked as well. Nothing else is touched: networks, ports, mounts and
//! all keys are as the engine sent them, and an inspection without secrets is so byte for byte.

use std::borrow::Cow;
use std::collections::BTreeSet;

use aho_corasick::{AhoCorasick, MatchKind};
use mesos_proto::v1;
use serde_json::Value;

/// What stands for a secret's value, whatever its length.
const MASK: &str = "***";

/// How long a value must be for its repetitions to be masked, in bytes: shorter ones are in many words by chance.
const LEAST: usize = 6;

/// What a part of a secret's name ends with.
const ENDINGS: [&str; 7] = ["PASSWORD", "PASSWD", "PASSPHRASE", "SECRET", "TOKEN", "CREDENTIAL", "APIKEY"];

/// What a part of a secret's name is.
const WORDS: [&str; 2] = ["PASS", "PWD"];

/// What stands before `KEY` in a secret's name.
const KEYS: [&str; 9] =
    ["ACCESS", "ACCOUNT", "API", "AUTH", "ENCRYPTION", "MASTER", "PRIVATE", "SECRET", "SIGNING"];

/// What a name ends with that tells where a secret is, or what it is called.
const PLACES: [&str; 4] = ["FILE", "PATH", "DIR", "NAME"];

/// Where a secret's value may stand again.
const REPEATED: [&str; 5] =
    ["/Path", "/Args", "/Config", "/HostConfig/LogConfig/Config", "/HostConfig/ExtraHosts"];

/// Whose values are masked (`--docker_mask_environment`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum MaskedVariables {
    /// Those of secrets, and of what is named like one.
    #[default]
    Secrets,
    /// All.
    All,
    /// None, as stock.
    None,
}

/// Masks the inspections of one task.
#[derive(Debug, Clone)]
pub(crate) struct Mask {
    which: MaskedVariables,
    /// The variables that the task takes from secrets.
    declared: BTreeSet<String>,
}

impl Mask {
    pub(crate) fn new(which: MaskedVariables, info: &v1::TaskInfo) -> Self {
        let environment = info.command.as_ref().and_then(|command| command.environment.as_ref());
        let is_secret = |variable: &&v1::environment::Variable| {
            variable.secret.is_some() || variable.r#type() == v1::environment::variable::Type::Secret
        };
        let declared = environment.into_iter().flat_map(|environment| &environment.variables);
        Self { which, declared: declared.filter(is_secret).map(|variable| variable.name.clone()).collect() }
    }

    /// The inspection with its secrets masked; as it is where there are none, or where it is no inspection.
    pub(crate) fn apply<'a>(&self, inspection: &'a [u8]) -> Cow<'a, [u8]> {
        if self.which == MaskedVariables::None {
            return Cow::Borrowed(inspection);
        }
        let Ok(mut value) = serde_json::from_slice::<Value>(inspection) else {
            return Cow::Borrowed(inspection);
        };
        let mut masked = BTreeSet::new();
        if let Some(variables) = value.pointer_mut("/Config/Env").and_then(Value::as_array_mut) {
            variables.iter_mut().for_each(|variable| self.variable(variable, &mut masked));
        }
        if let Some(options) =
            value.pointer_mut("/HostConfig/LogConfig/Config").and_then(Value::as_object_mut)
        {
            for (name, option) in options {
                if let Some(text) = option.as_str().filter(|text| self.hides(name) && !text.is_empty()) {
                    masked.insert(text.to_owned());
                    *option = MASK.into();
                }
            }
        }
        if let Some(labels) = value.pointer_mut("/Config/Labels").and_then(Value::as_object_mut) {
            for (name, label) in labels {
                if let Some(text) =
                    label.as_str().filter(|text| is_named_like_a_secret(name) && !text.is_empty())
                {
                    masked.insert(text.to_owned());
                    *label = MASK.into();
                }
            }
        }
        if masked.is_empty() {
            return Cow::Borrowed(inspection);
        }
        masked.retain(|value| value.len() >= LEAST);
        // One pass over the text however many there are: a task may have a thousand.
        match AhoCorasick::builder().match_kind(MatchKind::LeftmostLongest).build(&masked) {
            Ok(masked) => {
                for place in REPEATED {
                    if let Some(value) = value.pointer_mut(place) {
                        hide_repetitions(value, &masked);
                    }
                }
            }
            // What cannot be searched is not told.
            Err(error) => {
                tracing::warn!(%error, "the places where secrets may be repeated are left out");
                for place in REPEATED {
                    if let Some(value) = value.pointer_mut(place) {
                        *value = Value::Null;
                    }
                }
            }
        }
        serde_json::to_vec(&value).map_or(Cow::Borrowed(inspection), Cow::Owned)
    }

    /// Masks the value of `NAME=value`.
    fn variable(&self, variable: &mut Value, masked: &mut BTreeSet<String>) {
        let Some((name, value)) = variable.as_str().and_then(|text| text.split_once('=')) else { return };
        let hidden = if value.is_empty() {
            return;
        } else if self.hides(name) {
            masked.insert(value.to_owned());
            MASK.to_owned()
        } else {
            match without_logins(value, masked) {
                Cow::Borrowed(_) => return,
                Cow::Owned(hidden) => hidden,
            }
        };
        *variable = format!("{name}={hidden}").into();
    }

    fn hides(&self, name: &str) -> bool {
        self.which == MaskedVariables::All || self.declared.contains(name) || is_named_like_a_secret(name)
    }
}

fn is_named_like_a_secret(name: &str) -> bool {
    let name = name.to_ascii_uppercase();
    if name == "PWD" || name == "OLDPWD" {
        return false;
    }
    let words: Vec<_> = name.split(['_', '-', '.']).filter(|word| !word.is_empty()).collect();
    let Some(last) = words.last() else { return false };
    if PLACES.contains(last) {
        return false;
    }
    let has_word = words.iter().any(|word| {
        let singular = word.strip_suffix('S').unwrap_or(word);
        WORDS.contains(word) || ENDINGS.iter().any(|ending| singular.ends_with(ending))
    });
    let before = words.len().checked_sub(2).and_then(|at| words.get(at));
    let is_key = *last == "KEY" && before.is_some_and(|word| KEYS.contains(word));
    let is_joined_key = last.strip_suffix("KEY").is_some_and(|before| KEYS.contains(&before));
    has_word || is_key || is_joined_key
}

/// The text without the users and passwords of its URLs, and without what is named like a secret in a query.
fn without_logins<'a>(text: &'a str, masked: &mut BTreeSet<String>) -> Cow<'a, str> {
    let mut secrets = Vec::new();
    for (at, separator) in text.match_indices("://") {
        let begin = at + separator.len();
        let rest = &text[begin..];
        let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let Some(login) = rest[..end].rsplit_once('@').map(|(login, _)| login) else { continue };
        if login.contains(char::is_whitespace) {
            continue;
        }
        masked.insert(login.to_owned());
        // The password alone, as a command line may repeat it.
        masked.extend(login.split_once(':').map(|(_, password)| password.to_owned()));
        secrets.push(begin..begin + login.len());
    }
    let parameters = text.match_indices(['?', '&', ';']).map(|(at, _)| at + 1);
    for begin in parameters {
        let parameter = text[begin..].split(['&', ';', '#', ' ']).next().unwrap_or_default();
        let Some((name, value)) = parameter.split_once('=') else { continue };
        if !value.is_empty() && is_named_like_a_secret(name) {
            masked.insert(value.to_owned());
            let from = begin + name.len() + 1;
            secrets.push(from..from + value.len());
        }
    }
    if secrets.is_empty() {
        return Cow::Borrowed(text);
    }
    secrets.sort_by_key(|secret| secret.start);
    let (mut hidden, mut told) = (String::new(), 0);
    for secret in secrets {
        // One secret may stand in another.
        if secret.start >= told {
            hidden.push_str(&text[told..secret.start]);
            hidden.push_str(MASK);
        }
        told = told.max(secret.end);
    }
    hidden.push_str(&text[told..]);
    Cow::Owned(hidden)
}

/// Masks these values wherever they stand in the strings below a value; not in the names of its fields.
fn hide_repetitions(value: &mut Value, masked: &AhoCorasick) {
    match value {
        Value::String(text) => {
            if masked.is_match(text.as_str()) {
                let mut hidden = String::with_capacity(text.len());
                masked.replace_all_with(text, &mut hidden, |_, _, into| {
                    into.push_str(MASK);
                    true
                });
                *text = hidden;
            }
        }
        Value::Array(values) => values.iter_mut().for_each(|value| hide_repetitions(value, masked)),
        Value::Object(fields) => fields.values_mut().for_each(|value| hide_repetitions(value, masked)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn mask(which: MaskedVariables, inspection: &Value) -> Value {
        let variable = v1::environment::Variable {
            name: "DECLARED".into(),
            r#type: Some(v1::environment::variable::Type::Secret.into()),
            ..Default::default()
        };
        let info = v1::TaskInfo {
            command: Some(v1::CommandInfo {
                environment: Some(v1::Environment { variables: vec![variable] }),
                ..Default::default()
            }),
            ..Default::default()
        };
        let bytes = serde_json::to_vec(inspection).unwrap();
        serde_json::from_slice(&Mask::new(which, &info).apply(&bytes)).unwrap()
    }

    #[rstest::rstest]
    #[case("DB_PASSWORD")]
    #[case("PGPASSWORD")]
    #[case("db.password")]
    #[case("MYSQL_ROOT_PASS")]
    #[case("LDAP_PWD")]
    #[case("AWS_SECRET_ACCESS_KEY")]
    #[case("AWS_ACCESS_KEY_ID_SECRET")]
    #[case("GITHUB_TOKEN")]
    #[case("AUTH_TOKENS")]
    #[case("API_KEY")]
    #[case("STRIPE_APIKEY")]
    #[case("tls-private-key")]
    #[case("GOOGLE_CREDENTIALS")]
    #[case("DECLARED")]
    fn a_secret_is_masked(#[case] name: &str) {
        let given = json!({"Config": {"Env": [format!("{name}=hunter2")]}});
        let masked = mask(MaskedVariables::Secrets, &given);
        assert_eq!(masked, json!({"Config": {"Env": [format!("{name}=***")]}}));
        assert_eq!(mask(MaskedVariables::None, &given), given);
    }

    #[rstest::rstest]
    #[case("PATH=/usr/bin:/bin")]
    #[case("PWD=/home")]
    #[case("OLDPWD=/")]
    #[case("MESOS_SANDBOX=/mnt/mesos/sandbox")]
    #[case("POSTGRES_PASSWORD_FILE=/run/secrets/password")]
    #[case("SECRET_NAME=db")]
    #[case("SSH_AUTH_SOCK=/tmp/agent")]
    #[case("TOKENIZERS_PARALLELISM=true")]
    #[case("KEYBOARD=de")]
    #[case("PARTITION_KEY=user_id")]
    #[case("COMPASS=north")]
    #[case("PASSWORD=")]
    #[case("DATABASE_URL=postgres://db.test:5432/app")]
    #[case("MAIL=admin@example.test")]
    #[case("PORT0=31000")]
    #[case("odd")]
    fn what_is_no_secret_stays_byte_for_byte(#[case] variable: &str) {
        let given = format!("{{\"Z\": 1.0, \"Config\" : {{\"Env\":[\"{variable}\"]}},\"A\":\"\\u003c\"}}");
        let mask = Mask::new(MaskedVariables::Secrets, &v1::TaskInfo::default());
        assert_eq!(mask.apply(given.as_bytes()), given.as_bytes(), "{variable}");
    }

    #[rstest::rstest]
    #[case(
        "DATABASE_URL=postgres://app:hunter2@db.test/app?x=1",
        "DATABASE_URL=postgres://***@db.test/app?x=1"
    )]
    #[case("HTTPS_PROXY=http://u:p@ss@p.test:1", "HTTPS_PROXY=http://***@p.test:1")]
    #[case("HOSTS=http://u:p1@a.test,http://u:p2@b.test", "HOSTS=http://***@a.test,http://***@b.test")]
    #[case("HOSTS=http://u:p1@a.test http://u:p2@b.test/x", "HOSTS=http://***@a.test http://***@b.test/x")]
    #[case("MONGO=mongodb://u:p@a.test,b.test/db", "MONGO=mongodb://***@a.test,b.test/db")]
    #[case(
        "DSN=jdbc:pg://db.test/app?user=x&password=hunter2",
        "DSN=jdbc:pg://db.test/app?user=x&password=***"
    )]
    #[case("DSN=x://h/?api_key=a://b:c@d;tls=1", "DSN=x://h/?api_key=***;tls=1")]
    #[case("HOOK=https://token@h.test/?access_token=t", "HOOK=https://***@h.test/?access_token=***")]
    fn the_login_of_a_url_is_masked(#[case] variable: &str, #[case] expected: &str) {
        let masked = mask(MaskedVariables::Secrets, &json!({"Config": {"Env": [variable]}}));
        assert_eq!(masked["Config"]["Env"], json!([expected]));
    }

    #[test]
    fn a_masked_value_is_nowhere_and_what_frameworks_read_is_there() {
        let given = json!({
            "Id": "abc", "Path": "run", "Args": ["--password=hunter22", "bridge"],
            "Config": {
                "Env": ["APP_PASSWORD=hunter22", "NET_TOKEN=bridge", "COPY=x-hunter22-y"],
                "Cmd": ["sh", "-c", "login hunter22"], "Labels": {"hunter22": "is hunter22"},
            },
            "HostConfig": {
                "NetworkMode": "bridge",
                "LogConfig": {"Type": "splunk", "Config": {"splunk-token": "abcdefgh", "tag": "bridge"}},
            },
            "NetworkSettings": {"Networks": {"bridge": {"IPAddress": "172.17.0.2"}}, "Ports": {"80/tcp": null}},
        });
        let masked = mask(MaskedVariables::Secrets, &given);
        assert_eq!(masked["Config"]["Env"], json!(["APP_PASSWORD=***", "NET_TOKEN=***", "COPY=x-***-y"]));
        assert_eq!(masked["Args"][0], "--password=***");
        assert_eq!(masked["Config"]["Cmd"], json!(["sh", "-c", "login ***"]));
        assert_eq!(masked["Config"]["Labels"], json!({"hunter22": "is ***"}));
        assert_eq!(masked["HostConfig"]["LogConfig"]["Config"]["splunk-token"], "***");
        assert_eq!(masked["HostConfig"]["NetworkMode"], "bridge");
        for untouched in ["Id", "NetworkSettings"] {
            assert_eq!(masked[untouched], given[untouched]);
        }
        let all = mask(MaskedVariables::All, &given);
        assert_eq!(all["Config"]["Env"], json!(["APP_PASSWORD=***", "NET_TOKEN=***", "COPY=***"]));
    }

    #[test]
    fn a_password_of_a_url_is_nowhere_and_labels_go_by_their_names() {
        let given = json!({
            "Args": ["--db=pw123456", "pw123"],
            "Config": {
                "Env": ["DATABASE_URL=postgres://app:pw123456@db.test/x", "LONG_TOKEN=pw123456789"],
                "Labels": {"app.password": "labelled", "say": "labelled", "org.apache.mesos.task_id": "t"},
                "Cmd": ["pw123456789"],
            },
            "HostConfig": {"ExtraHosts": ["pw123456:1.2.3.4"]},
        });
        let masked = mask(MaskedVariables::Secrets, &given);
        assert_eq!(masked["Args"], json!(["--db=***", "pw123"]));
        // The longest wins: nothing is left of it.
        assert_eq!(masked["Config"]["Cmd"], json!(["***"]));
        assert_eq!(
            masked["Config"]["Labels"],
            json!({"app.password": "***", "say": "***", "org.apache.mesos.task_id": "t"})
        );
        assert_eq!(masked["HostConfig"]["ExtraHosts"], json!(["***:1.2.3.4"]));
    }

    #[test]
    fn what_is_no_json_is_left_alone() {
        let mask = Mask::new(MaskedVariables::All, &v1::TaskInfo::default());
        assert_eq!(mask.apply(b"no json").as_ref(), b"no json");
    }
}
