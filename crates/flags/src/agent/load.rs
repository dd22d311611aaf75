//! From the command line, the environment and the directory of flags to settings.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::Path;

use super::class::FlagClass;
use super::environment::LibprocessVariables;
use super::error::{AgentFlagsError, Origin};
use super::layers::{Given, Layer};
use super::master::MasterFlag;
use super::settings::{AgentSettings, Containerizer};
use super::shown::ShownFlags;
use super::texts::{Texts, canonical};
use super::{config_dir, layers, permissions, usage};
use crate::docker::{DockerSettings, LoadedDockerSettings};
use crate::docker_table::DOCKER_FLAGS;
use crate::error::FlagError;
use crate::source::{FlagSource, Notice, resolve};
use crate::values::parse_bool;

/// Flags that exclude each other.
const EXCLUSIVE: [(&str, &str); 4] = [
    ("master", "master_detector"),
    ("ip", "ip_discovery_command"),
    ("ip6", "ip6_discovery_command"),
    ("modules", "modules_dir"),
];

/// Values of refused flags that ask for what is true anyway, where stock has no default.
const HARMLESS: [(&str, &str); 1] = [("http_authenticators", "basic")];

/// What the program was started for.
#[derive(Debug)]
pub enum Invocation {
    /// To print this text and end with exit code 0.
    Help(String),
    /// To print the version and end with exit code 0.
    Version,
    /// To be an agent.
    Run(Box<LoadedAgentSettings>),
}

/// Settings and what the operator should be told about them.
#[derive(Debug, Clone, PartialEq)]
pub struct LoadedAgentSettings {
    /// The settings.
    pub settings: AgentSettings,
    /// Flags without effect, deprecations and secrets that others can read, one sentence each.
    pub notices: Vec<Notice>,
}

impl AgentSettings {
    /// Reads the flags from `args` (without the program's name) and `environment`, and from the directory that
    /// `--config_dir` names. Reads the files that values name; blocks for that long.
    ///
    /// # Errors
    ///
    /// The first flag that cannot be used; the program ends with exit code 1, as stock does.
    pub fn load(
        args: impl IntoIterator<Item = OsString>,
        environment: impl IntoIterator<Item = (OsString, OsString)>,
    ) -> Result<Invocation, AgentFlagsError> {
        let args = texts_of(args)?;
        let environment = flags_of(environment)?;
        let mut notices = Vec::new();

        let (on_command_line, positionals) = layers::from_arguments(args)?;
        let given = layers::below(on_command_line, layers::from_environment(environment.clone())?);
        if is_asked(&given, "help")? {
            return Ok(Invocation::Help(usage::text()));
        }
        if is_asked(&given, "version")? {
            return Ok(Invocation::Version);
        }
        for argument in positionals {
            let text = format!("argument {} is not a flag and is ignored", crate::values::quote(&argument));
            notices.push(Notice { flag: "(none)", text });
        }
        let given = with_config_dir(given, &mut notices)?;

        let variables = LibprocessVariables::read(&environment, &mut notices)?;
        let origins: BTreeMap<&str, Origin> =
            given.iter().map(|(name, given)| (*name, given.origin.clone())).collect();
        let settings = from_given(&given, &variables, &mut notices).map_err(|error| {
            let origin = error.flag().and_then(|flag| origins.get(flag));
            AgentFlagsError::at(origin, error)
        })?;
        Ok(Invocation::Run(Box::new(LoadedAgentSettings { settings, notices })))
    }
}

/// The arguments as text.
fn texts_of(args: impl IntoIterator<Item = OsString>) -> Result<Vec<String>, AgentFlagsError> {
    args.into_iter()
        .map(|arg| arg.into_string().map_err(|arg| AgentFlagsError::NotText(arg.display().to_string())))
        .collect()
}

/// The variables that are ours or libprocess'; those of others may be anything.
fn flags_of(
    environment: impl IntoIterator<Item = (OsString, OsString)>,
) -> Result<Vec<(String, String)>, AgentFlagsError> {
    let mut list = Vec::new();
    for (name, value) in environment {
        let Ok(name) = name.into_string() else { continue };
        match value.into_string() {
            Ok(value) => list.push((name, value)),
            Err(_) if is_ours(&name) => {
                return Err(AgentFlagsError::Variable { name, reason: "the value is not UTF-8".to_owned() });
            }
            Err(_) => {}
        }
    }
    Ok(list)
}

/// Whether a variable is a flag or one of libprocess'.
fn is_ours(name: &str) -> bool {
    let name = name.to_ascii_uppercase();
    let flag =
        name.strip_prefix("MESOS_").is_some_and(|flag| super::table::row(&flag.to_lowercase()).is_some());
    flag || name.starts_with("LIBPROCESS_")
}

/// Whether a boolean flag is set.
fn is_asked(given: &Layer, name: &'static str) -> Result<bool, AgentFlagsError> {
    let Some(given) = given.get(name) else { return Ok(false) };
    parse_bool(&given.text)
        .map_err(|reason| AgentFlagsError::at(Some(&given.origin), FlagError::invalid(name, reason)))
}

/// Adds what the directory of `--config_dir` has and nothing else sets.
fn with_config_dir(given: Layer, notices: &mut Vec<Notice>) -> Result<Layer, AgentFlagsError> {
    let Some(dir) = given.get("config_dir").map(|given| given.text.clone()).filter(|dir| !dir.is_empty())
    else {
        return Ok(given);
    };
    let dir = Path::new(&dir);
    let mut given = layers::below(given, config_dir::read(dir, notices)?);
    let is_without_master = !given.contains_key("master") && !given.contains_key("master_detector");
    if is_without_master && let Some((text, path)) = config_dir::shared_master(dir)? {
        layers::add(&mut given, "master", text, Origin::File(path))?;
    }
    Ok(given)
}

/// Checks and reads every flag.
fn from_given(
    given: &Layer,
    variables: &LibprocessVariables,
    notices: &mut Vec<Notice>,
) -> Result<AgentSettings, FlagError> {
    for (name, other) in EXCLUSIVE {
        let is_set = |name| given.get(name).is_some_and(|given: &Given| !given.text.is_empty());
        if is_set(name) && is_set(other) {
            return Err(FlagError::Exclusive { name, other });
        }
    }
    for given in given.values() {
        refuse(given)?;
    }
    let mut texts = BTreeMap::new();
    let mut ignored = Vec::new();
    for (name, given) in given {
        // The Docker settings read their own values and have their own notices.
        let is_docker = DOCKER_FLAGS.iter().any(|flag| flag.name == *name);
        let notices = if is_docker { &mut ignored } else { &mut *notices };
        let text = resolve(&given.row.flag, &given.text, notices)?;
        let is_unset = text.is_empty() && given.row.flag.default.is_none();
        if !is_unset {
            canonical(given.row.flag.kind, &text).map_err(|reason| FlagError::invalid(name, reason))?;
        }
        texts.insert(*name, text);
    }
    let texts = Texts::new(texts);
    let master = master(given, &texts, notices)?;
    let docker = docker(given, notices)?;
    notices.extend(given.values().filter_map(|given| without_effect(given, &texts)));
    let shown = ShownFlags::new(&texts, &master);
    let settings = AgentSettings::from_texts(&texts, master, variables, docker, shown)?;
    notices.extend(about(&settings));
    Ok(settings)
}

/// Refuses a flag that cannot safely be left out, where it asks for something.
fn refuse(given: &Given) -> Result<(), FlagError> {
    let is_harmless = HARMLESS.contains(&(given.row.flag.name, given.text.as_str()));
    match given.row.class {
        FlagClass::Refused(reason) if !is_harmless && asks(given, &given.text)? => {
            Err(FlagError::Refused { name: given.row.flag.name, reason })
        }
        _ => Ok(()),
    }
}

/// Whether a value is another one than the default, or than nothing.
fn asks(given: &Given, text: &str) -> Result<bool, FlagError> {
    let flag = &given.row.flag;
    match flag.default {
        None => Ok(!text.is_empty()),
        Some(default) => {
            let value = canonical(flag.kind, text).map_err(|reason| FlagError::invalid(flag.name, reason))?;
            Ok(value != canonical(flag.kind, default).unwrap_or_default())
        }
    }
}

/// The line about a flag that changes nothing, where it asks for something.
fn without_effect(given: &Given, texts: &Texts) -> Option<Notice> {
    let FlagClass::NoEffect(reason) = given.row.class else { return None };
    let name = given.row.flag.name;
    let asks = asks(given, texts.text(name)?).unwrap_or(true);
    asks.then(|| Notice { flag: name, text: format!("--{name} has no effect: {reason}") })
}

/// Reads `--master`, and says when its password lies open.
fn master(given: &Layer, texts: &Texts, notices: &mut Vec<Notice>) -> Result<MasterFlag, FlagError> {
    let (Some(given), Some(text)) = (given.get("master"), texts.filled("master")) else {
        return Err(FlagError::Required {
            name: "master",
            remedy: "write --master=host:port or --master=zk://host:port/path",
        });
    };
    let flag = &given.row.flag;
    let master =
        MasterFlag::new(&given.text, text).map_err(|reason| FlagError::invalid(flag.name, reason))?;
    if master.has_password() {
        match (FlagSource::of(flag, &given.text), &given.origin) {
            (FlagSource::File(path), _) => notices.extend(permissions::lying_open(flag.name, &path)),
            (_, Origin::File(path)) => notices.extend(permissions::lying_open(flag.name, path)),
            (_, Origin::CommandLine) => notices.push(Notice {
                flag: flag.name,
                text: "--master holds a password, and every user of this machine can read the command line of a \
                       program: put it into a file and give --master=file:///path"
                    .to_owned(),
            }),
            (_, Origin::Environment(_)) => {}
        }
    }
    Ok(master)
}

/// Reads the flags of the Docker containerizer.
fn docker(given: &Layer, notices: &mut Vec<Notice>) -> Result<DockerSettings, FlagError> {
    let pairs = DOCKER_FLAGS.iter().filter_map(|flag| {
        let given = given.get(flag.name).filter(|given| given.row.class == FlagClass::Honoured)?;
        Some((flag.name, given.text.as_str()))
    });
    let LoadedDockerSettings { settings, notices: of_docker } = DockerSettings::from_pairs(pairs)?;
    notices.extend(of_docker);
    Ok(settings)
}

/// What the operator should know about settings that are valid.
fn about(settings: &AgentSettings) -> Vec<Notice> {
    let mut notices = Vec::new();
    if !settings.containerizers.contains(&Containerizer::Docker) {
        notices.push(Notice {
            flag: "containerizers",
            text: "--containerizers does not name docker, so every task with a Docker image is refused: \
                   write --containerizers=docker,mesos"
                .to_owned(),
        });
    }
    if let Some(path) = &settings.registration.credential {
        notices.extend(permissions::lying_open("credential", path));
    }
    if let Some(path) = &settings.executors.jwt_secret_key {
        notices.extend(permissions::lying_open("jwt_secret_key", path));
    }
    if let Some(crate::DockerConfig::File(path)) = &settings.docker.credentials.config {
        notices.extend(permissions::lying_open("docker_config", path));
    }
    notices
}
