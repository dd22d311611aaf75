//! The flags of stock's `mesos-docker-executor` (`src/docker/executor.hpp`), and ours beside them.
//!
//! A flag has no environment variable here: the task's own environment is part of this process's. Ours are those of
//! `mesos-docker` that concern one task; an agent does not give them, a wrapper script in its `--launcher_dir` can.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::PathBuf;
use std::sync::LazyLock;
use std::time::Duration;

use flags::{
    DOCKER_FLAGS, DockerSettings, FlagDef, FlagError, FlagKind, Notice, Sensitivity, parse_bool,
    parse_duration,
};
use mesos_types::EnvVar;
use serde_json::Value;
use tracing::level_filters::LevelFilter;

/// The flags of stock's program.
const STOCK_FLAGS: &[FlagDef] = &[
    flag("help", FlagKind::Bool, Some("false"), "Prints this help message."),
    flag("version", FlagKind::Bool, Some("false"), "Prints the version."),
    flag("container", FlagKind::Text, None, "Name of the task's container. Required."),
    flag("docker", FlagKind::Text, None, "Required, and without effect: the Engine API is used instead."),
    flag("docker_socket", FlagKind::Path, None, "Absolute path of the engine's socket. Required."),
    flag("sandbox_directory", FlagKind::Path, None, "Path of the sandbox on the host. Required."),
    flag(
        "mapped_directory",
        FlagKind::Path,
        None,
        "Absolute path at which the sandbox is mounted inside the container. Required.",
    ),
    flag("launcher_dir", FlagKind::Path, None, "Directory of Mesos' programs. Required, and without effect."),
    flag(
        "stop_timeout",
        FlagKind::Duration,
        None,
        "Deprecated, use the kill policy of the task. Grace between stop signal and SIGKILL at least, where none is given.",
    ),
    flag(
        "task_environment",
        FlagKind::Json,
        None,
        "JSON object of strings: variables for the container that win over the task's own.",
    ),
    flag(
        "default_container_dns",
        FlagKind::Json,
        None,
        "DNS settings for containers on bridge and user networks whose task names none.",
    ),
    flag(
        "cgroups_enable_cfs",
        FlagKind::Bool,
        Some("false"),
        "Caps the container at its cpus with a CFS quota, where its limits say nothing else.",
    ),
    flag("quiet", FlagKind::Bool, Some("false"), "Logs errors only."),
    flag(
        "logging_level",
        FlagKind::Text,
        Some("INFO"),
        "Logs what is at least so important: INFO, WARNING or ERROR.",
    ),
    flag(
        "log_dir",
        FlagKind::Path,
        None,
        "Accepted, and without effect: what we log is in the sandbox's stderr.",
    ),
    flag("logbufsecs", FlagKind::Count, Some("0"), "Accepted, and without effect: nothing is buffered."),
    flag("initialize_driver_logging", FlagKind::Bool, Some("true"), "Accepted, and without effect."),
    flag("external_log_file", FlagKind::Path, None, "Accepted, and without effect."),
];

/// The flags of `mesos-docker` that one task needs.
const OURS: [&str; 34] = [
    "docker_mask_environment",
    "docker_max_parallel_check_commands",
    "docker_max_parallel_check_connections",
    "docker_check_min_interval",
    "docker_check_longest_turn",
    "docker_check_engine_timeout",
    "docker_strict_fields",
    "docker_honor_user",
    "docker_policy",
    "docker_config",
    "docker_hide_credentials",
    "docker_credential_helper_path",
    "docker_credential_helper_timeout",
    "docker_max_parallel_credential_helpers",
    "docker_log_driver",
    "docker_log_max_size",
    "docker_log_max_files",
    "docker_log_driver_max_size",
    "docker_log_driver_max_files",
    "docker_log_drain_timeout",
    "docker_missed_exit_timeout",
    "docker_create_timeout",
    "docker_start_timeout",
    "docker_inspect_timeout",
    "docker_remove_timeout",
    "docker_pull_timeout",
    "docker_pull_inactivity_timeout",
    "docker_pull_max_retries",
    "docker_pull_backoff",
    "docker_pull_max_backoff",
    "docker_pull_rate_limit_backoff",
    "docker_pull_max_rate_limit_backoff",
    "docker_pull_negative_ttl",
    "docker_pull_negative_cache_size",
];

/// Ours alone.
const OWN_FLAGS: &[FlagDef] = &[
    flag(
        "state_directory",
        FlagKind::Path,
        Some("/var/run/mesos-docker-executor"),
        "Absolute path of the directory of our records, which no container sees. It is made where it is missing.",
    ),
    flag(
        "agent_protocol",
        FlagKind::Text,
        Some("auto"),
        "How the agent is spoken with: v0 (messages between processes, as stock's program), v1 (HTTP), or auto: v1 where MESOS_HTTP_COMMAND_EXECUTOR=1, but v0 for tasks that outlive the agent's restart, since a stock agent forgets the Docker containers of HTTP executors then.",
    ),
];

static TABLE: LazyLock<Vec<FlagDef>> = LazyLock::new(|| {
    let ours = DOCKER_FLAGS.iter().filter(|flag| OURS.contains(&flag.name));
    STOCK_FLAGS.iter().chain(OWN_FLAGS).chain(ours).copied().collect()
});

/// What the command line asks for.
#[derive(Debug)]
pub enum Wanted {
    /// The help message, on standard output.
    Help,
    /// The version.
    Version,
    /// To run a task.
    Run(Box<Flags>),
}

/// The flags of a run, read and checked.
#[derive(Debug)]
pub struct Flags {
    /// `--container`; not empty.
    pub container: String,
    /// `--sandbox_directory`, as given.
    pub sandbox: PathBuf,
    /// `--state_directory`; absolute.
    pub state: PathBuf,
    /// `--stop_timeout`.
    pub stop_timeout: Duration,
    /// `--task_environment`.
    pub task_environment: Vec<EnvVar>,
    /// `--agent_protocol`.
    pub protocol: WantedProtocol,
    /// What is logged.
    pub level: LevelFilter,
    /// All that concerns the Docker containerizer.
    pub docker: DockerSettings,
    /// What the operator should know about these flags.
    pub notices: Vec<Notice>,
}

/// How the agent is to be spoken with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WantedProtocol {
    /// As the environment says, as far as the task survives it.
    Auto,
    /// Messages between processes.
    V0,
    /// HTTP.
    V1,
}

/// Reads the command line, without the program's name.
///
/// # Errors
///
/// An unknown flag, one that is missing, or a value that its flag refuses.
pub fn read(args: impl IntoIterator<Item = String>) -> Result<Wanted, FlagError> {
    let parsed = flags::parse(&TABLE, args, std::iter::empty())?;
    let mut values = Texts { values: BTreeMap::new(), notices: Vec::new() };
    for (name, value) in parsed.values {
        let definition = TABLE.iter().find(|flag| flag.name == name);
        let definition = definition.unwrap_or_else(|| unreachable!("flag --{name} came from the table"));
        let text = match is_docker(name) {
            // Read where all programs read it; a secret stays where it is.
            true => value,
            false => flags::source::resolve(definition, &value, &mut values.notices)?,
        };
        values.values.insert(name, text);
    }
    if values.parsed("help", parse_bool)?.unwrap_or(false) {
        return Ok(Wanted::Help);
    }
    if values.parsed("version", parse_bool)?.unwrap_or(false) {
        return Ok(Wanted::Version);
    }
    values.run().map(|flags| Wanted::Run(Box::new(flags)))
}

/// The help message: every flag, its default and its meaning.
pub fn usage() -> String {
    let mut text = String::from(
        "Usage: mesos-docker-executor [options]\n\n\
         Runs one Docker task for the Mesos agent that starts it. Of the options an agent gives, these are honoured or\n\
         accepted; the others are ours, for a script in the agent's --launcher_dir that gives them.\n\n",
    );
    for flag in TABLE.iter() {
        let name = match flag.kind {
            FlagKind::Bool => format!("--[no-]{}", flag.name),
            _ => format!("--{}=VALUE", flag.name),
        };
        let default = flag.default.map(|value| format!(" (default: {value})")).unwrap_or_default();
        // Writing to a string cannot fail.
        let _ = writeln!(text, "  {name:<44} {}{default}", flag.help);
    }
    text
}

/// The flags that were given, as text.
struct Texts {
    values: BTreeMap<&'static str, String>,
    notices: Vec<Notice>,
}

impl Texts {
    fn run(mut self) -> Result<Flags, FlagError> {
        let container = self.required("container")?.to_owned();
        if container.is_empty() {
            return Err(invalid("container", "the name is empty"));
        }
        self.required("docker")?;
        self.required("launcher_dir")?;
        let socket = self.required("docker_socket")?.to_owned();
        let sandbox = PathBuf::from(self.required("sandbox_directory")?);
        let mapped = self.required("mapped_directory")?.to_owned();
        let state = PathBuf::from(self.text("state_directory").unwrap_or_default());
        if !state.is_absolute() {
            return Err(invalid("state_directory", format!("{} is not an absolute path", state.display())));
        }
        let mut pairs = vec![("docker_socket", socket), ("sandbox_directory", mapped)];
        for name in ["default_container_dns", "cgroups_enable_cfs"].into_iter().chain(OURS) {
            pairs.extend(self.values.get(name).map(|value| (name, value.clone())));
        }
        let docker = DockerSettings::from_pairs(pairs).map_err(as_ours)?;
        self.notices.extend(docker.notices);
        Ok(Flags {
            container,
            sandbox,
            state,
            stop_timeout: self.parsed("stop_timeout", parse_duration)?.unwrap_or_default(),
            task_environment: self.task_environment()?,
            protocol: self.protocol()?,
            level: self.level()?,
            docker: docker.settings,
            notices: self.notices,
        })
    }

    /// What was given, or the default.
    fn text(&self, name: &'static str) -> Option<&str> {
        let default = || TABLE.iter().find(|flag| flag.name == name).and_then(|flag| flag.default);
        self.values.get(name).map(String::as_str).or_else(default)
    }

    fn required(&self, name: &'static str) -> Result<&str, FlagError> {
        self.text(name).ok_or(FlagError::Required { name, remedy: "the agent gives it" })
    }

    fn parsed<T>(
        &self,
        name: &'static str,
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> Result<Option<T>, FlagError> {
        self.text(name).map(|text| parse(text).map_err(|reason| invalid(name, reason))).transpose()
    }

    fn task_environment(&self) -> Result<Vec<EnvVar>, FlagError> {
        let name = "task_environment";
        let Some(text) = self.text(name) else { return Ok(Vec::new()) };
        // The values may be secrets, so no error quotes them.
        let object = serde_json::from_str::<BTreeMap<String, Value>>(text)
            .map_err(|_| invalid(name, "the value is not a JSON object"))?;
        object
            .into_iter()
            .map(|(key, value)| match value {
                Value::String(value) => EnvVar::new(name, &key, &value)
                    .map_err(|_| invalid(name, format!("{key:?} is no variable of an environment"))),
                _ => Err(invalid(name, format!("the value of {key:?} is not a string"))),
            })
            .collect()
    }

    fn protocol(&self) -> Result<WantedProtocol, FlagError> {
        let wanted = self.parsed("agent_protocol", |text| match text {
            "auto" => Ok(WantedProtocol::Auto),
            "v0" => Ok(WantedProtocol::V0),
            "v1" => Ok(WantedProtocol::V1),
            _ => Err(format!("{text:?} is none of auto, v0, v1")),
        })?;
        Ok(wanted.unwrap_or(WantedProtocol::Auto))
    }

    fn level(&self) -> Result<LevelFilter, FlagError> {
        if self.parsed("quiet", parse_bool)?.unwrap_or(false) {
            return Ok(LevelFilter::ERROR);
        }
        let level = self.parsed("logging_level", |text| match text {
            "INFO" => Ok(LevelFilter::INFO),
            "WARNING" => Ok(LevelFilter::WARN),
            "ERROR" => Ok(LevelFilter::ERROR),
            _ => Err(format!("{text:?} is none of INFO, WARNING, ERROR")),
        })?;
        Ok(level.unwrap_or(LevelFilter::INFO))
    }
}

/// Whether [`DockerSettings`] reads the value.
fn is_docker(name: &str) -> bool {
    OURS.contains(&name)
}

fn invalid(name: &'static str, reason: impl Into<String>) -> FlagError {
    FlagError::Invalid { name, reason: reason.into() }
}

/// The containerizer calls `--sandbox_directory` what is `--mapped_directory` here.
fn as_ours(error: FlagError) -> FlagError {
    match error {
        FlagError::Invalid { name: "sandbox_directory", reason } => {
            FlagError::Invalid { name: "mapped_directory", reason }
        }
        other => other,
    }
}

const fn flag(
    name: &'static str,
    kind: FlagKind,
    default: Option<&'static str>,
    help: &'static str,
) -> FlagDef {
    FlagDef { name, kind, default, help, sensitivity: Sensitivity::Public }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As a stock agent writes them (`wire/recorded/10-docker-executor-process.txt`).
    const STOCK: [&str; 13] = [
        "--cgroups_enable_cfs=false",
        "--container=mesos-f6a82b9d-c49c-4dae-92bc-e1de75e242c6",
        "--docker=/usr/bin/docker",
        "--docker_socket=/var/run/docker.sock",
        "--help=false",
        "--initialize_driver_logging=true",
        "--launcher_dir=/usr/libexec/mesos",
        "--logbufsecs=0",
        "--logging_level=INFO",
        "--mapped_directory=/mnt/mesos/sandbox",
        "--quiet=false",
        "--sandbox_directory=/var/lib/mesos/slaves/S/docker/links/f6a82b9d",
        "--stop_timeout=5secs",
    ];

    fn run(args: &[&str]) -> Result<Flags, String> {
        match read(args.iter().map(ToString::to_string)).map_err(|error| error.to_string())? {
            Wanted::Run(flags) => Ok(*flags),
            other => panic!("{other:?}"),
        }
    }

    fn with(more: &[&str]) -> Result<Flags, String> {
        run(&[&STOCK[..], more].concat())
    }

    fn without(name: &str) -> Result<Flags, String> {
        run(&STOCK
            .iter()
            .copied()
            .filter(|flag| !flag.starts_with(&format!("--{name}=")))
            .collect::<Vec<_>>())
    }

    #[test]
    fn what_a_stock_agent_writes_is_understood() {
        let flags = run(&STOCK).unwrap();
        assert_eq!(flags.container, "mesos-f6a82b9d-c49c-4dae-92bc-e1de75e242c6");
        assert_eq!(flags.stop_timeout, Duration::from_secs(5));
        assert_eq!(flags.docker.sandbox_directory, PathBuf::from("/mnt/mesos/sandbox"));
        assert_eq!(flags.docker.docker_socket, PathBuf::from("/var/run/docker.sock"));
        assert_eq!((flags.level, flags.task_environment.len()), (LevelFilter::INFO, 0));
    }

    #[test]
    fn what_hooks_and_the_agents_flags_add_is_understood() {
        let flags = with(&[
            "--task_environment={\"A\":\"1=2\",\"B\":\"line\\nline\"}",
            "--default_container_dns={\"docker\":[{\"network_mode\":\"BRIDGE\",\"dns\":{\"nameservers\":[\"8.8.8.8\"]}}]}",
            "--docker_policy=strict",
            "--docker_log_max_size=10MB",
        ])
        .unwrap();
        let environment: Vec<_> = flags.task_environment.iter().map(|v| (v.name(), v.value())).collect();
        assert_eq!(environment, [("A", "1=2"), ("B", "line\nline")]);
        assert!(flags.docker.default_container_dns.is_some());
        assert_eq!(
            (flags.docker.docker_policy.as_str(), flags.docker.logs.max_size),
            ("strict", Some(10 << 20))
        );
    }

    #[rstest::rstest]
    #[case("container")]
    #[case("docker")]
    #[case("docker_socket")]
    #[case("sandbox_directory")]
    #[case("mapped_directory")]
    #[case("launcher_dir")]
    fn a_flag_that_is_missing_is_named(#[case] name: &str) {
        assert_eq!(without(name).unwrap_err(), format!("flag --{name} is missing: the agent gives it"));
    }

    #[rstest::rstest]
    #[case("--task_environment=[]", "flag --task_environment: the value is not a JSON object")]
    #[case("--task_environment={\"A\":1}", "flag --task_environment: the value of \"A\" is not a string")]
    #[case("--contaimer=x", "unknown flag --contaimer, did you mean --container?")]
    #[case("--state_directory=x", "flag --state_directory: x is not an absolute path")]
    #[case("--agent_protocol=v2", "flag --agent_protocol: \"v2\" is none of auto, v0, v1")]
    #[case("--docker_policy=", "flag --docker_policy: the path is empty")]
    fn a_flag_that_cannot_be_used_is_named(#[case] flag: &str, #[case] message: &str) {
        assert_eq!(with(&[flag]).unwrap_err(), message);
    }

    #[test]
    fn a_mapped_directory_that_is_relative_is_named_as_the_agent_knows_it() {
        let args: Vec<_> = STOCK
            .iter()
            .map(|flag| if flag.starts_with("--mapped") { "--mapped_directory=mnt" } else { flag })
            .collect();
        assert_eq!(run(&args).unwrap_err(), "flag --mapped_directory: \"mnt\" is not an absolute path");
    }

    #[test]
    fn help_and_version_need_nothing_else() {
        for (arg, wanted) in [("--help", true), ("--version", false)] {
            let found = read([arg.to_owned()]).unwrap();
            assert_eq!(matches!(found, Wanted::Help), wanted, "{found:?}");
        }
        let usage = usage();
        assert!(TABLE.iter().all(|flag| usage.contains(flag.name)) && usage.contains("--[no-]quiet"));
        assert_eq!(TABLE.len(), STOCK_FLAGS.len() + OWN_FLAGS.len() + OURS.len());
    }

    #[rstest::rstest]
    #[case("--quiet=false", "--quiet", LevelFilter::ERROR)]
    #[case("--logging_level=INFO", "--logging_level=WARNING", LevelFilter::WARN)]
    fn the_log_level_is_that_of_the_flags(
        #[case] stock: &str,
        #[case] given: &str,
        #[case] level: LevelFilter,
    ) {
        let args: Vec<_> = STOCK.iter().map(|flag| if *flag == stock { given } else { flag }).collect();
        assert_eq!(run(&args).unwrap().level, level);
    }
}
