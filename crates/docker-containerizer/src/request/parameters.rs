//! `docker run` options given as parameters: each comes after all that Mesos set, so that a single value replaces and a
//! list grows.
//!
//! Translated here are the options that apps use most. An option that is not, is refused by name, since dropping it
//! would change the task.

use docker_engine::CreateBody;
use docker_engine::create_body::{LogConfig, Ulimit};
use mesos_types::{FieldError, Parameter};

/// The options that are translated, for the hint of a refusal.
const KNOWN: [&str; 42] = [
    "add-host",
    "cap-add",
    "cap-drop",
    "cpu-period",
    "cpu-quota",
    "cpu-shares",
    "cpuset-cpus",
    "cpuset-mems",
    "dns",
    "dns-opt",
    "dns-option",
    "dns-search",
    "domainname",
    "entrypoint",
    "env",
    "expose",
    "group-add",
    "hostname",
    "init",
    "ipc",
    "label",
    "log-driver",
    "log-opt",
    "mac-address",
    "memory",
    "memory-reservation",
    "memory-swap",
    "oom-score-adj",
    "pid",
    "pids-limit",
    "privileged",
    "read-only",
    "shm-size",
    "stop-signal",
    "sysctl",
    "ulimit",
    "user",
    "userns",
    "uts",
    "volume",
    "volumes-from",
    "workdir",
];

/// Options that would take the container away from the agent.
const UNTRACKABLE: [&str; 9] =
    ["name", "rm", "detach", "cidfile", "restart", "attach", "sig-proxy", "detach-keys", "pull"];

/// The longest key, in bytes, that is compared with the known ones: the time for it grows with its length.
const LONGEST_TYPO: usize = 64;

/// Why a parameter cannot be translated.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum ParameterError {
    /// The agent would lose the container.
    Untrackable,
    /// It is no option that we translate; holds the nearest one that is.
    Unknown(Option<&'static str>),
    /// Its value is not what the option takes; holds what it takes.
    Value(&'static str),
}

impl ParameterError {
    /// The error for the parameter at `field` with this key.
    pub(super) fn into_field(self, field: &str, key: &str) -> FieldError {
        let key: String = key.chars().take(64).collect();
        match self {
            Self::Untrackable => FieldError::new(
                format!("{field}.key"),
                format!("the parameter {key:?} would take the container away from the agent"),
            )
            .hint("remove it; the agent names, restarts and removes containers"),
            Self::Unknown(nearest) => {
                let hint = nearest.map_or("remove it".to_owned(), |near| format!("did you mean {near:?}?"));
                FieldError::new(format!("{field}.key"), format!("the parameter {key:?} is not supported"))
                    .hint(hint)
            }
            Self::Value(expected) => FieldError::new(
                format!("{field}.value"),
                format!("the value of the parameter {key:?} is not {expected}"),
            ),
        }
    }
}

/// Applies one parameter.
pub(super) fn apply(body: &mut CreateBody, parameter: &Parameter) -> Result<(), ParameterError> {
    let value = parameter.value.as_str();
    let text = || value.to_owned();
    let host = &mut body.host_config;
    match parameter.key.as_str() {
        "add-host" => host.extra_hosts.push(pair(value, ':', "a host and an address such as web:10.0.0.1")?),
        "cap-add" => host.cap_add.push(text()),
        "cap-drop" => host.cap_drop.push(text()),
        "cpu-period" => host.resources.cpu_period = Some(integer(value)?),
        "cpu-quota" => host.resources.cpu_quota = Some(integer(value)?),
        "cpu-shares" => host.resources.cpu_shares = Some(integer(value)?),
        "cpuset-cpus" => host.resources.cpuset_cpus = text(),
        "cpuset-mems" => host.resources.cpuset_mems = text(),
        "dns" => host.dns.push(text()),
        "dns-opt" | "dns-option" => host.dns_options.push(text()),
        "dns-search" => host.dns_search.push(text()),
        "domainname" => body.domainname = text(),
        "entrypoint" => {
            body.entrypoint = Some(vec![text()]);
        }
        "env" => push_env(body, value)?,
        "expose" => {
            body.exposed_ports.insert(exposed_port(value)?, Default::default());
        }
        "group-add" => host.group_add.push(text()),
        "hostname" => body.hostname = text(),
        "init" => host.init = Some(boolean(value)?),
        "ipc" => host.ipc_mode = text(),
        "label" => {
            let (key, value) = value.split_once('=').unwrap_or((value, ""));
            body.labels.insert(key.to_owned(), value.to_owned());
        }
        "log-driver" => host.log_config.get_or_insert_with(LogConfig::default).driver = text(),
        "log-opt" => {
            let (key, value) =
                value.split_once('=').ok_or(ParameterError::Value("an option such as max-size=10m"))?;
            host.log_config
                .get_or_insert_with(LogConfig::default)
                .config
                .insert(key.to_owned(), value.to_owned());
        }
        "mac-address" => body.mac_address = text(),
        "memory" => host.resources.memory = Some(size(value)?),
        "memory-reservation" => host.resources.memory_reservation = Some(size(value)?),
        "memory-swap" => host.resources.memory_swap = Some(if value == "-1" { -1 } else { size(value)? }),
        "oom-score-adj" => host.oom_score_adj = Some(integer(value)?),
        "pid" => host.pid_mode = text(),
        "pids-limit" => host.resources.pids_limit = Some(integer(value)?),
        "privileged" => host.privileged = boolean(value)?,
        "read-only" => host.readonly_rootfs = boolean(value)?,
        "shm-size" => host.shm_size = Some(size(value)?),
        "stop-signal" => body.stop_signal = text(),
        "sysctl" => {
            let (key, value) =
                value.split_once('=').ok_or(ParameterError::Value("a setting such as net.x=1"))?;
            host.sysctls.insert(key.to_owned(), value.to_owned());
        }
        "ulimit" => host.resources.ulimits.push(ulimit(value)?),
        "user" => body.user = text(),
        "userns" => host.userns_mode = text(),
        "uts" => host.uts_mode = text(),
        "volume" if value.contains(':') => host.binds.push(text()),
        "volume" => {
            body.volumes.insert(text(), Default::default());
        }
        "volumes-from" => host.volumes_from.push(text()),
        "workdir" => body.working_dir = text(),
        key if UNTRACKABLE.contains(&key) => return Err(ParameterError::Untrackable),
        key => return Err(ParameterError::Unknown(nearest(key))),
    }
    Ok(())
}

/// Sets a variable; one that Mesos tells the task keeps its value, since the task finds its sandbox by it.
fn push_env(body: &mut CreateBody, value: &str) -> Result<(), ParameterError> {
    const OURS: [&str; 2] = ["MESOS_SANDBOX", "MESOS_CONTAINER_NAME"];
    let Some((name, _)) = value.split_once('=').filter(|(name, _)| !name.is_empty() && !OURS.contains(name))
    else {
        return Err(ParameterError::Value(
            "NAME=value with a name other than MESOS_SANDBOX and MESOS_CONTAINER_NAME",
        ));
    };
    let prefix = format!("{name}=");
    body.env.retain(|variable| !variable.starts_with(&prefix));
    body.env.push(value.to_owned());
    Ok(())
}

fn pair(value: &str, separator: char, expected: &'static str) -> Result<String, ParameterError> {
    match value.split_once(separator) {
        Some((left, right)) if !left.is_empty() && !right.is_empty() => Ok(value.to_owned()),
        _ => Err(ParameterError::Value(expected)),
    }
}

fn boolean(value: &str) -> Result<bool, ParameterError> {
    match value {
        "true" | "1" | "t" | "T" | "TRUE" | "True" => Ok(true),
        "false" | "0" | "f" | "F" | "FALSE" | "False" => Ok(false),
        _ => Err(ParameterError::Value("true or false")),
    }
}

fn integer(value: &str) -> Result<i64, ParameterError> {
    value.parse().map_err(|_| ParameterError::Value("a whole number"))
}

/// A size as the docker client reads it: a number and b, k, m, g or t, with or without a b behind it.
fn size(value: &str) -> Result<i64, ParameterError> {
    const EXPECTED: ParameterError = ParameterError::Value("a size such as 64m or 1g");
    let lower = value.to_ascii_lowercase();
    let digits = lower.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let shift = match lower[digits.len()..].trim_end_matches('b').trim_end_matches('i') {
        "" => 0,
        "k" => 10,
        "m" => 20,
        "g" => 30,
        "t" => 40,
        _ => return Err(EXPECTED),
    };
    let number: i64 = digits.trim_end().parse().map_err(|_| EXPECTED)?;
    number.checked_mul(1 << shift).filter(|bytes| *bytes >= 0).ok_or(EXPECTED)
}

fn ulimit(value: &str) -> Result<Ulimit, ParameterError> {
    const EXPECTED: ParameterError = ParameterError::Value("a limit such as nofile=1024:2048");
    let (name, limits) = value.split_once('=').filter(|(name, _)| !name.is_empty()).ok_or(EXPECTED)?;
    let (soft, hard) = limits.split_once(':').unwrap_or((limits, limits));
    let number = |text: &str| text.parse().map_err(|_| EXPECTED);
    Ok(Ulimit { name: name.to_owned(), soft: number(soft)?, hard: number(hard)? })
}

fn exposed_port(value: &str) -> Result<String, ParameterError> {
    let (port, protocol) = value.split_once('/').unwrap_or((value, "tcp"));
    match (port.parse::<u16>(), protocol) {
        (Ok(1..), "tcp" | "udp" | "sctp") => Ok(format!("{port}/{protocol}")),
        _ => Err(ParameterError::Value("a port such as 80 or 53/udp")),
    }
}

/// The known option that is most like `key`.
fn nearest(key: &str) -> Option<&'static str> {
    if key.len() > LONGEST_TYPO {
        return None;
    }
    let distance = |known: &&'static str| strsim::damerau_levenshtein(known, key);
    KNOWN
        .into_iter()
        .map(|known| (distance(&known), known))
        .min()
        .filter(|(far, _)| *far <= 3)
        .map(|(_, known)| known)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn applied(key: &str, value: &str) -> Result<CreateBody, ParameterError> {
        let mut body = CreateBody::default();
        apply(&mut body, &Parameter { key: key.into(), value: value.into() }).map(|()| body)
    }

    #[test]
    fn every_known_option_is_translated() {
        for key in KNOWN {
            let taken =
                ["1", "a=1", "a:b", "64m", "true"].into_iter().any(|value| applied(key, value).is_ok());
            assert!(taken, "{key}");
        }
    }

    #[test]
    fn a_single_value_replaces_and_a_list_grows() {
        let mut body = CreateBody { hostname: "a".into(), ..CreateBody::default() };
        for (key, value) in [("hostname", "b"), ("dns", "1.1.1.1"), ("dns", "2.2.2.2")] {
            apply(&mut body, &Parameter { key: key.into(), value: value.into() }).unwrap();
        }
        assert_eq!((body.hostname.as_str(), body.host_config.dns.len()), ("b", 2));
    }

    #[rstest::rstest]
    #[case("64", Some(64))]
    #[case("64b", Some(64))]
    #[case("2k", Some(2048))]
    #[case("3MB", Some(3 << 20))]
    #[case("1gib", Some(1 << 30))]
    #[case("-1", None)]
    #[case("1x", None)]
    #[case("9999999999999g", None)]
    #[case("é", None)]
    fn a_size_is_read_as_the_client_reads_it(#[case] value: &str, #[case] expected: Option<i64>) {
        assert_eq!(size(value).ok(), expected);
    }

    #[rstest::rstest]
    #[case("rm", "true")]
    #[case("name", "x")]
    #[case("restart", "always")]
    fn an_option_that_breaks_tracking_is_refused(#[case] key: &str, #[case] value: &str) {
        assert_eq!(applied(key, value).unwrap_err(), ParameterError::Untrackable);
    }

    #[test]
    fn an_unknown_option_names_the_nearest() {
        assert_eq!(applied("volume-from", "x").unwrap_err(), ParameterError::Unknown(Some("volumes-from")));
        assert_eq!(nearest(&"x".repeat(1 << 20)), None, "and does so at once");
        let error =
            ParameterError::Unknown(None).into_field("container.docker.parameters[0]", "x").to_string();
        assert!(error.contains("\"x\"") && error.contains("parameters[0].key"), "{error}");
    }

    #[test]
    fn a_task_keeps_the_variables_that_mesos_tells_it() {
        assert!(applied("env", "MESOS_SANDBOX=/tmp").is_err());
        assert_eq!(*applied("env", "A=b=c").unwrap().env, ["A=b=c"]);
    }

    #[test]
    fn the_compatibility_page_lists_just_these_options() {
        let page = include_str!("../../../../docs/compatibility.md");
        let (_, section) = page.split_once("\n## Parameters\n").unwrap();
        let (section, _) = section.split_once("\n## ").unwrap();
        let words = |text: &'static str| text.split('`').skip(1).step_by(2);
        let rows = section.lines().filter(|line| line.starts_with("| `"));
        let mut listed: Vec<_> = rows.flat_map(|row| words(row.split(" | ").next().unwrap())).collect();
        listed.sort_unstable();
        assert_eq!(listed, KNOWN);
        let (_, refused) = section.split_once("take the container away from the agent:").unwrap();
        assert_eq!(words(refused).collect::<Vec<_>>(), UNTRACKABLE);
    }
}
