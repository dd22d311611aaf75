//! The settings of the Docker containerizer, valid by construction. Made from flags by `mesos-docker` and the agent.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

use serde_json::Value;

use crate::command_line::{insert, lookup};
use crate::credentials::{DockerConfig, DockerCredentialSettings, helper_path};
use crate::definition::{FlagDef, find};
use crate::dns::ContainerDns;
use crate::docker_table::DOCKER_FLAGS;
use crate::error::FlagError;
use crate::fetch::FetchSettings;
use crate::pulls::{self, DockerPullSettings};
use crate::source::{Notice, resolve};
use crate::supervision::{self, DockerSupervisionSettings};
use crate::values::{parse_bool, parse_bytes, parse_duration, quote};

/// Everything the Docker containerizer can be told by flags. See [`DOCKER_FLAGS`] for what each means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DockerSettings {
    /// `--work_dir`, as given; not empty.
    pub work_dir: Option<PathBuf>,
    /// `--docker_socket`; absolute.
    pub docker_socket: PathBuf,
    /// `--docker_config`, `--docker_hide_credentials` and the flags of credential helpers.
    pub credentials: DockerCredentialSettings,
    /// `--docker_remove_delay`.
    pub docker_remove_delay: Duration,
    /// `--docker_stop_timeout`.
    pub docker_stop_timeout: Duration,
    /// `--sandbox_directory`; absolute.
    pub sandbox_directory: PathBuf,
    /// `--default_container_dns`.
    pub default_container_dns: Option<ContainerDns>,
    /// `--cgroups_enable_cfs`.
    pub cgroups_enable_cfs: bool,
    /// `--docker_kill_orphans`.
    pub docker_kill_orphans: bool,
    /// `--docker_mesos_image`.
    pub docker_mesos_image: Option<String>,
    /// `--docker_no_host_pid`.
    pub docker_no_host_pid: bool,
    /// `--executor_environment_variables`.
    pub executor_environment_variables: Option<BTreeMap<String, String>>,
    /// `--switch_user`.
    pub switch_user: bool,
    /// `--docker_strict_fields`.
    pub docker_strict_fields: bool,
    /// `--docker_honor_user`.
    pub docker_honor_user: bool,
    /// `--docker_policy`: the name of a preset or the path of a file; not empty.
    pub docker_policy: String,
    /// `--docker_log_*`.
    pub logs: DockerLogSettings,
    /// `--docker_max_parallel_launches`.
    pub docker_max_parallel_launches: NonZeroUsize,
    /// `--docker_pull_*`, `--docker_max_parallel_pulls` and `--docker_max_queued_pulls`.
    pub pulls: DockerPullSettings,
    /// `--docker_*_timeout`.
    pub deadlines: DockerDeadlines,
    /// `--fetcher_*`, and where the fetcher finds things.
    pub fetch: FetchSettings,
    /// `--docker_mask_environment` and `--docker_*check_*`.
    pub supervision: DockerSupervisionSettings,
}

/// How output is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DockerLogSettings {
    /// `--docker_log_driver`.
    pub driver: String,
    /// `--docker_log_max_size` in bytes; `None` never rotates.
    pub max_size: Option<u64>,
    /// `--docker_log_max_files`, 1 to 1000.
    pub max_files: usize,
    /// `--docker_log_driver_max_size` in bytes.
    pub driver_max_size: u64,
    /// `--docker_log_driver_max_files`, 1 to 1000.
    pub driver_max_files: usize,
    /// `--docker_log_drain_timeout`.
    pub drain: Duration,
}

/// How long a call to the engine may take.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DockerDeadlines {
    /// `--docker_create_timeout`.
    pub create: Duration,
    /// `--docker_start_timeout`.
    pub start: Duration,
    /// `--docker_inspect_timeout`.
    pub inspect: Duration,
    /// `--docker_remove_timeout`.
    pub remove: Duration,
    /// `--docker_missed_exit_timeout`.
    pub missed_exit: Duration,
}

/// Settings and what the operator should be told about them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoadedDockerSettings {
    /// The settings.
    pub settings: DockerSettings,
    /// Deprecations and flags without effect, one sentence each.
    pub notices: Vec<Notice>,
}

impl DockerSettings {
    /// The settings without any flag.
    pub fn defaults() -> Self {
        // The table's defaults are constants, and a test builds settings from them.
        match Self::from_pairs(std::iter::empty::<(&str, &str)>()) {
            Ok(loaded) => loaded.settings,
            Err(error) => unreachable!("the default of a flag is refused: {error}"),
        }
    }

    /// Builds settings from flags by name, in any spelling; values may be `file:///path`, which is read here.
    ///
    /// # Errors
    ///
    /// An unknown name, one given twice, or a value that the flag refuses. Values of secret flags are never quoted.
    pub fn from_pairs<N: AsRef<str>, V: AsRef<str>>(
        pairs: impl IntoIterator<Item = (N, V)>,
    ) -> Result<LoadedDockerSettings, FlagError> {
        let mut notices = Vec::new();
        let mut values = BTreeMap::new();
        let mut config = None;
        for (name, value) in pairs {
            let definition = lookup(DOCKER_FLAGS, name.as_ref())?;
            let text = resolve(definition, value.as_ref(), &mut notices)?;
            if definition.name == "docker_config" {
                config = Some(DockerConfig::read(definition, value.as_ref(), &text, &mut notices)?);
            }
            insert(&mut values, definition, text)?;
        }
        notices.extend(inert_flags(&values));
        let settings = Self::from_values(&Values(values), config)?;
        Ok(LoadedDockerSettings { settings, notices })
    }

    fn from_values(values: &Values, config: Option<DockerConfig>) -> Result<Self, FlagError> {
        Ok(Self {
            work_dir: match values.optional("work_dir") {
                None => None,
                Some((name, "")) => return Err(FlagError::invalid(name, "the path is empty")),
                Some((_, path)) => Some(PathBuf::from(path)),
            },
            docker_socket: values.absolute("docker_socket", "Invalid Docker socket path: ")?,
            credentials: DockerCredentialSettings {
                config,
                hide: values.required("docker_hide_credentials", parse_bool)?,
                helper_path: values.required("docker_credential_helper_path", helper_path)?,
                helper_timeout: values.required("docker_credential_helper_timeout", deadline)?,
                max_parallel_helpers: values
                    .required("docker_max_parallel_credential_helpers", |text| count(text, 1..=1024))?,
            },
            docker_remove_delay: values.required("docker_remove_delay", parse_duration)?,
            docker_stop_timeout: values.required("docker_stop_timeout", parse_duration)?,
            sandbox_directory: values.absolute("sandbox_directory", "")?,
            default_container_dns: values.optional("default_container_dns").map(container_dns).transpose()?,
            cgroups_enable_cfs: values.required("cgroups_enable_cfs", parse_bool)?,
            docker_kill_orphans: values.required("docker_kill_orphans", parse_bool)?,
            docker_mesos_image: values.optional("docker_mesos_image").map(|(_, image)| image.to_owned()),
            docker_no_host_pid: values.required("docker_no_host_pid", parse_bool)?,
            executor_environment_variables: values
                .optional("executor_environment_variables")
                .map(environment)
                .transpose()?,
            switch_user: values.required("switch_user", parse_bool)?,
            docker_strict_fields: values.required("docker_strict_fields", parse_bool)?,
            docker_honor_user: values.required("docker_honor_user", parse_bool)?,
            docker_policy: values.required("docker_policy", file)?,
            logs: DockerLogSettings {
                driver: values.required("docker_log_driver", log_driver)?,
                max_size: values.parsed("docker_log_max_size", log_size)?,
                max_files: values.required("docker_log_max_files", |text| count(text, 1..=1000))?.get(),
                driver_max_size: values.required("docker_log_driver_max_size", log_size)?,
                driver_max_files: values
                    .required("docker_log_driver_max_files", |text| count(text, 1..=1000))?
                    .get(),
                drain: values.required("docker_log_drain_timeout", deadline)?,
            },
            docker_max_parallel_launches: values
                .required("docker_max_parallel_launches", |text| count(text, 1..=1024))?,
            pulls: DockerPullSettings {
                policy: values.required("docker_pull_policy", pulls::policy)?,
                max_parallel: values.required("docker_max_parallel_pulls", |text| count(text, 1..=1024))?,
                max_queued: values.required("docker_max_queued_pulls", |text| count(text, 1..=100_000))?,
                quick: values.required("docker_pull_quick_time", pulls::quick)?,
                timeout: values.required("docker_pull_timeout", pulls::timeout)?,
                inactivity: values.required("docker_pull_inactivity_timeout", deadline)?,
                max_retries: values.required("docker_pull_max_retries", pulls::retries)?,
                backoff: pulls::pauses(
                    values.required("docker_pull_backoff", deadline)?,
                    values.required("docker_pull_max_backoff", deadline)?,
                ),
                rate_limit_backoff: pulls::pauses(
                    values.required("docker_pull_rate_limit_backoff", deadline)?,
                    values.required("docker_pull_max_rate_limit_backoff", deadline)?,
                ),
                negative_ttl: values.required("docker_pull_negative_ttl", parse_duration)?,
                negative_size: values
                    .required("docker_pull_negative_cache_size", |text| count(text, 1..=100_000))?,
            },
            deadlines: DockerDeadlines {
                create: values.required("docker_create_timeout", deadline)?,
                start: values.required("docker_start_timeout", deadline)?,
                inspect: values.required("docker_inspect_timeout", deadline)?,
                remove: values.required("docker_remove_timeout", deadline)?,
                missed_exit: values.required("docker_missed_exit_timeout", deadline)?,
            },
            fetch: FetchSettings::from_values(values)?,
            supervision: DockerSupervisionSettings {
                mask: values.required("docker_mask_environment", supervision::mask)?,
                check_commands: values
                    .required("docker_max_parallel_check_commands", |text| count(text, 1..=1024))?,
                check_connections: values
                    .required("docker_max_parallel_check_connections", |text| count(text, 1..=4096))?,
                check_interval: values.required("docker_check_min_interval", parse_duration)?,
                check_turn: values.required("docker_check_longest_turn", deadline)?,
                check_engine: values.required("docker_check_engine_timeout", deadline)?,
            },
        })
    }
}

/// Texts of the flags that were given.
pub(crate) struct Values(BTreeMap<&'static str, String>);

impl Values {
    /// The definition of a name that the table is known to have.
    fn definition(name: &'static str) -> &'static FlagDef {
        match find(DOCKER_FLAGS, name) {
            Some(definition) => definition,
            None => unreachable!("flag --{name} is not in the table"),
        }
    }

    /// The text that was given, or the default.
    pub(crate) fn optional(&self, name: &'static str) -> Option<(&'static str, &str)> {
        let definition = Self::definition(name);
        self.0.get(name).map(String::as_str).or(definition.default).map(|text| (definition.name, text))
    }

    /// The parsed value of a flag that may be unset.
    fn parsed<T>(
        &self,
        name: &'static str,
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> Result<Option<T>, FlagError> {
        match self.optional(name) {
            None => Ok(None),
            Some((name, text)) => parse(text).map(Some).map_err(|reason| FlagError::invalid(name, reason)),
        }
    }

    /// The parsed value of a flag that has a default.
    pub(crate) fn required<T>(
        &self,
        name: &'static str,
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> Result<T, FlagError> {
        self.parsed(name, parse)?.ok_or(FlagError::MissingValue { name })
    }

    /// An absolute path; `prefix` begins the sentence when it is not one.
    pub(crate) fn absolute(&self, name: &'static str, prefix: &str) -> Result<PathBuf, FlagError> {
        self.required(name, |text| {
            if text.starts_with('/') {
                Ok(PathBuf::from(text))
            } else {
                Err(format!("{prefix}{} is not an absolute path", quote(text)))
            }
        })
    }
}

/// Notices for flags that are accepted and do nothing, or should not be used.
fn inert_flags(values: &BTreeMap<&'static str, String>) -> Vec<Notice> {
    const INERT: [(&str, &str); 2] = [
        (
            "docker",
            "has no effect: the Docker Engine is reached through its API, not through the docker command",
        ),
        ("docker_stop_timeout", "is deprecated: set a kill policy in the task instead"),
    ];
    INERT
        .into_iter()
        .filter(|(flag, _)| values.contains_key(flag))
        .map(|(flag, text)| Notice { flag, text: format!("--{flag} {text}") })
        .collect()
}

fn container_dns((name, text): (&'static str, &str)) -> Result<ContainerDns, FlagError> {
    let json = serde_json::from_str(text)
        .map_err(|error| FlagError::invalid(name, format!("the value is not JSON: {error}")))?;
    ContainerDns::from_json(json).map_err(|reason| FlagError::invalid(name, reason))
}

fn environment((name, text): (&'static str, &str)) -> Result<BTreeMap<String, String>, FlagError> {
    let object = serde_json::from_str::<BTreeMap<String, Value>>(text)
        .map_err(|_| FlagError::invalid(name, "the value is not a JSON object"))?;
    object
        .into_iter()
        .map(|(key, value)| match value {
            Value::String(value) if key.is_empty() || key.contains(['=', '\0']) || value.contains('\0') => {
                let reason =
                    format!("{} cannot be the name of a variable, or its value has a NUL", quote(&key));
                Err(FlagError::invalid(name, reason))
            }
            Value::String(value) => Ok((key, value)),
            _ => Err(FlagError::invalid(name, format!("the value of {} is not a string", quote(&key)))),
        })
        .collect()
}

/// A path, which `file://` may begin.
fn file(text: &str) -> Result<String, String> {
    match text.strip_prefix("file://").unwrap_or(text) {
        "" => Err("the path is empty".to_owned()),
        path => Ok(path.to_owned()),
    }
}

fn log_driver(text: &str) -> Result<String, String> {
    if text.is_empty() || text.contains(|c: char| c.is_whitespace() || c.is_control()) {
        return Err(format!("{} is not the name of a log driver", quote(text)));
    }
    Ok(text.to_owned())
}

/// A rotation size; tiny files would spend more on renames than on output.
fn log_size(text: &str) -> Result<u64, String> {
    match parse_bytes(text)? {
        bytes if bytes >= 4096 => Ok(bytes),
        _ => Err(format!("{} is too small, the least is 4KB", quote(text))),
    }
}

/// A duration that a call can be bounded by.
pub(crate) fn deadline(text: &str) -> Result<Duration, String> {
    match parse_duration(text)? {
        Duration::ZERO => Err("the deadline must be longer than 0".to_owned()),
        duration => Ok(duration),
    }
}

/// A whole number in a range that does not include zero.
pub(crate) fn count(text: &str, range: std::ops::RangeInclusive<usize>) -> Result<NonZeroUsize, String> {
    text.parse::<usize>().ok().filter(|number| range.contains(number)).and_then(NonZeroUsize::new).ok_or_else(
        || format!("{} is not a whole number from {} to {}", quote(text), range.start(), range.end()),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(pairs: &[(&str, &str)]) -> Result<LoadedDockerSettings, FlagError> {
        DockerSettings::from_pairs(pairs.iter().copied())
    }

    #[test]
    fn a_policy_is_a_preset_or_a_file() {
        for (value, expected) in [
            ("strict", Some("strict")),
            ("/etc/policy.toml", Some("/etc/policy.toml")),
            ("file:///etc/policy.toml", Some("/etc/policy.toml")),
            ("", None),
            ("file://", None),
        ] {
            let loaded = load(&[("docker_policy", value)]).ok().map(|loaded| loaded.settings.docker_policy);
            assert_eq!(loaded.as_deref(), expected, "{value}");
        }
    }

    #[test]
    fn the_defaults_are_those_of_mesos_and_ours() {
        let settings = DockerSettings::defaults();
        assert_eq!(settings.docker_socket, PathBuf::from("/var/run/docker.sock"));
        assert_eq!(settings.sandbox_directory, PathBuf::from("/mnt/mesos/sandbox"));
        assert_eq!(settings.docker_remove_delay, Duration::from_secs(6 * 3600));
        assert_eq!(settings.docker_stop_timeout, Duration::ZERO);
        assert!(settings.docker_kill_orphans && settings.switch_user);
        assert!(
            !settings.cgroups_enable_cfs && !settings.docker_strict_fields && !settings.docker_honor_user
        );
        assert_eq!(
            settings.logs,
            DockerLogSettings {
                driver: "local".to_owned(),
                max_size: None,
                max_files: 5,
                driver_max_size: 100 << 20,
                driver_max_files: 3,
                drain: Duration::from_secs(30),
            }
        );
        assert_eq!(settings.deadlines.create, Duration::from_secs(240));
        assert_eq!(settings.deadlines.start, Duration::from_secs(180));
        assert_eq!(settings.deadlines.inspect, Duration::from_secs(30));
        assert_eq!(settings.deadlines.remove, Duration::from_secs(300));
        assert_eq!(settings.work_dir, None);
        let credentials = settings.credentials;
        assert_eq!((credentials.config, credentials.hide), (None, false));
        assert_eq!(credentials.helper_timeout, Duration::from_secs(30));
        assert_eq!(credentials.max_parallel_helpers.get(), 4);
    }

    #[test]
    fn every_flag_sets_its_field() {
        let loaded = load(&[
            ("work-dir", "/w"),
            ("docker_socket", "/s"),
            ("docker_config", r#"{"auths":{}}"#),
            ("docker_hide_credentials", "true"),
            ("docker_credential_helper_path", "/helpers"),
            ("docker_credential_helper_timeout", "7secs"),
            ("docker_max_parallel_credential_helpers", "2"),
            ("docker", "docker"),
            ("docker_remove_delay", "1mins"),
            ("docker_stop_timeout", "3secs"),
            ("sandbox_directory", "/box"),
            ("default_container_dns", r#"{"docker":[{"network_mode":"BRIDGE","dns":{}}]}"#),
            ("cgroups_enable_cfs", "true"),
            ("docker_kill_orphans", "0"),
            ("docker_mesos_image", "mesos"),
            ("docker_no_host_pid", "true"),
            ("executor_environment_variables", r#"{"A":"b"}"#),
            ("switch_user", "false"),
            ("docker_strict_fields", "1"),
            ("docker_honor_user", "1"),
            ("docker_log_driver", "journald"),
            ("docker_log_max_size", "10MB"),
            ("docker_log_max_files", "2"),
            ("docker_max_parallel_launches", "3"),
            ("docker_create_timeout", "1secs"),
            ("docker_start_timeout", "2secs"),
            ("docker_inspect_timeout", "3secs"),
            ("docker_pull_inactivity_timeout", "4secs"),
            ("docker_pull_timeout", "5secs"),
            ("docker_remove_timeout", "6secs"),
        ])
        .unwrap();
        let defaults = DockerSettings::defaults();
        let settings = loaded.settings;
        assert_eq!(settings.work_dir, Some(PathBuf::from("/w")));
        let credentials = &settings.credentials;
        assert!(matches!(credentials.config, Some(DockerConfig::Inline(_))) && credentials.hide);
        assert_eq!(credentials.helper_path, "/helpers");
        assert_eq!(credentials.helper_timeout, Duration::from_secs(7));
        assert_eq!(credentials.max_parallel_helpers.get(), 2);
        assert!(settings.default_container_dns.as_ref().unwrap().for_bridge().is_some());
        assert_eq!(settings.executor_environment_variables.as_ref().unwrap()["A"], "b");
        assert_eq!(settings.logs.max_size, Some(10 << 20));
        assert_eq!(settings.pulls.timeout, Some(Duration::from_secs(5)));
        assert_ne!(settings.deadlines.remove, defaults.deadlines.remove);
        assert!(settings.cgroups_enable_cfs && settings.docker_strict_fields && settings.docker_honor_user);
        assert!(!settings.docker_kill_orphans && !settings.switch_user && settings.docker_no_host_pid);
        let flags: Vec<_> = loaded.notices.iter().map(|notice| notice.flag).collect();
        assert_eq!(flags, ["docker_config", "docker", "docker_stop_timeout"]);
    }

    #[test]
    fn bad_values_get_one_line_each() {
        for (name, value, message) in [
            (
                "docker_socket",
                "run.sock",
                "flag --docker_socket: Invalid Docker socket path: \"run.sock\" is not an absolute path",
            ),
            ("sandbox_directory", "box", "flag --sandbox_directory: \"box\" is not an absolute path"),
            ("work_dir", "", "flag --work_dir: the path is empty"),
            (
                "switch_user",
                "yes",
                "flag --switch_user: invalid boolean \"yes\": expected true, false, 1 or 0",
            ),
            (
                "docker_remove_delay",
                "5",
                "flag --docker_remove_delay: invalid duration \"5\": expected a number and a unit such as 5secs",
            ),
            (
                "docker_start_timeout",
                "0ns",
                "flag --docker_start_timeout: the deadline must be longer than 0",
            ),
            (
                "docker_log_max_size",
                "1KB",
                "flag --docker_log_max_size: \"1KB\" is too small, the least is 4KB",
            ),
            (
                "docker_log_max_files",
                "0",
                "flag --docker_log_max_files: \"0\" is not a whole number from 1 to 1000",
            ),
            ("docker_log_driver", "", "flag --docker_log_driver: \"\" is not the name of a log driver"),
            (
                "executor_environment_variables",
                r#"{"A":1}"#,
                "flag --executor_environment_variables: the value of \"A\" is not a string",
            ),
            (
                "default_container_dns",
                r#"{"docker":[{"network_mode":"HOST","dns":{}}]}"#,
                "flag --default_container_dns: docker[0]: network_mode HOST cannot have DNS settings, expected BRIDGE or USER",
            ),
            ("docker_sock", "/a", "unknown flag --docker_sock, did you mean --docker_socket?"),
        ] {
            assert_eq!(load(&[(name, value)]).unwrap_err().to_string(), message);
        }
        let twice = load(&[("work_dir", "/a"), ("work-dir", "/b")]).unwrap_err();
        assert_eq!(twice.to_string(), "flag --work_dir is given more than once");
    }

    #[test]
    fn secrets_are_in_no_message_and_no_debug_output() {
        let error = load(&[("docker_config", r#"{"auths": hunter2}"#)]).unwrap_err();
        assert!(!format!("{error} {error:?}").contains("hunter2"));
        let not_an_object = load(&[("docker_config", r#""hunter2""#)]).unwrap_err();
        assert!(!format!("{not_an_object} {not_an_object:?}").contains("hunter2"));
        let settings = load(&[("docker_config", r#"{"auths":{"r":{"auth":"hunter2"}}}"#)]).unwrap().settings;
        assert!(!format!("{settings:?}").contains("hunter2"));
        assert!(format!("{settings:?}").contains("***"));
    }
}
