//! The Mesos flags on our command line, made from the one table in `flags`, so that names and help never differ.

use std::ffi::OsString;

use clap::{Arg, ArgAction, ArgMatches, Args, Command, FromArgMatches};
use flags::{DOCKER_FLAGS, DockerSettings, FlagDef, FlagKind, LoadedDockerSettings};

use crate::failure::Failure;

/// Flags that are the agent's: accepted, and said to do nothing here.
const AGENTS_ONLY: [&str; 4] =
    ["docker_kill_orphans", "docker_mesos_image", "docker_no_host_pid", "executor_environment_variables"];

/// The flags that were given, by name.
#[derive(Debug, Clone, Default)]
pub(crate) struct MesosFlags {
    /// Names and values; `Debug` is derived on a type whose values may be secret, so it is never printed.
    given: Vec<(&'static str, Hidden)>,
}

/// A value that is not printed.
#[derive(Clone)]
struct Hidden(String);

impl std::fmt::Debug for Hidden {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("***")
    }
}

impl MesosFlags {
    /// Whether a flag was given, on the command line or in the environment.
    pub(crate) fn is_given(&self, name: &str) -> bool {
        let env =
            DOCKER_FLAGS.iter().find(|definition| definition.name == name).map(|definition| definition.env());
        self.given.iter().any(|(given, _)| *given == name)
            || env.is_some_and(|env| std::env::var_os(env).is_some())
    }

    /// The settings: a flag wins over `MESOS_NAME` in the environment, which wins over `ours`, then the default.
    ///
    /// # Errors
    ///
    /// A value that its flag refuses.
    pub(crate) fn load(&self, ours: &[(&'static str, &str)]) -> Result<DockerSettings, Failure> {
        let mut pairs: Vec<(&str, String)> = Vec::new();
        for definition in DOCKER_FLAGS {
            let flag = self
                .given
                .iter()
                .find(|(name, _)| *name == definition.name)
                .map(|(_, value)| value.0.clone());
            let env = match std::env::var_os(definition.env()).map(OsString::into_string) {
                Some(Err(_)) => return Err(Failure::ours(format!("{} is not UTF-8", definition.env()))),
                Some(Ok(value)) => Some(value),
                None => None,
            };
            let own = || {
                ours.iter().find(|(name, _)| *name == definition.name).map(|(_, value)| (*value).to_owned())
            };
            if let Some(value) = flag.or(env).or_else(own) {
                pairs.push((definition.name, value));
            }
        }
        let LoadedDockerSettings { settings, notices } = DockerSettings::from_pairs(pairs)
            .map_err(|error| Failure::of("a flag cannot be used", &error))?;
        for (flag, _) in self.given.iter().filter(|(name, _)| AGENTS_ONLY.contains(name)) {
            tracing::warn!(flag, "the flag has no effect in mesos-docker");
        }
        for notice in notices {
            tracing::warn!(flag = notice.flag, "{}", notice.text);
        }
        Ok(settings)
    }
}

/// The flags of commands that only look at what is there, or clear it away.
#[derive(Debug, Clone, Default)]
pub(crate) struct PlaceFlags(pub(crate) MesosFlags);

/// The names of [`PlaceFlags`].
const PLACE: [&str; 3] = ["work_dir", "docker_socket", "docker_remove_timeout"];

impl FromArgMatches for PlaceFlags {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        MesosFlags::from_arg_matches(matches).map(Self)
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        self.0.update_from_arg_matches(matches)
    }
}

impl Args for PlaceFlags {
    fn augment_args(command: Command) -> Command {
        DOCKER_FLAGS.iter().filter(|definition| PLACE.contains(&definition.name)).fold(command, augment)
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for MesosFlags {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let mut given = Vec::new();
        // A command has all flags, or those of a place.
        for definition in
            DOCKER_FLAGS.iter().filter(|definition| matches.try_contains_id(definition.name).is_ok())
        {
            if let Some(value) = matches.get_one::<String>(definition.name) {
                given.push((definition.name, Hidden(value.clone())));
            } else if definition.kind == FlagKind::Bool && matches.get_flag(&no(definition.name)) {
                given.push((definition.name, Hidden("false".into())));
            }
        }
        Ok(Self { given })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

impl Args for MesosFlags {
    fn augment_args(command: Command) -> Command {
        DOCKER_FLAGS.iter().fold(command, augment)
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

fn augment(command: Command, definition: &FlagDef) -> Command {
    let dashed = definition.name.replace('_', "-");
    let mut arg = Arg::new(definition.name)
        .long(definition.name)
        .help(definition.help)
        .help_heading("Mesos flags (also MESOS_NAME in the environment, and --with-dashes)")
        .value_name(definition.kind.word().to_uppercase().replace(' ', "_"));
    if dashed != definition.name {
        arg = arg.alias(dashed);
    }
    if let Some(default) = definition.default.filter(|default| !default.is_empty()) {
        arg = arg.long_help(format!("{} [default: {default}]", definition.help));
    }
    if definition.kind != FlagKind::Bool {
        return command.arg(arg);
    }
    let off = no(definition.name);
    let off =
        Arg::new(off.clone()).long(off).action(ArgAction::SetTrue).hide(true).conflicts_with(definition.name);
    command
        .arg(arg.num_args(0..=1).require_equals(true).default_missing_value("true"))
        .arg(off.alias(format!("no-{}", definition.name.replace('_', "-"))))
}

fn no(name: &str) -> String {
    format!("no-{name}")
}
