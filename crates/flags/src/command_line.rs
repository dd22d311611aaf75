//! The rules of Mesos for flags on the command line and in the environment (stout `FlagsBase::load`).

use std::collections::BTreeMap;
use std::fmt;

use crate::definition::{FlagDef, FlagKind, find, nearest, normalize_name};
use crate::error::FlagError;

/// Flags as text, before their values are read. The command line has already won over the environment.
///
/// `Debug` shows names only: a value may be a secret.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct ParsedFlags {
    /// Values by name.
    pub values: BTreeMap<&'static str, String>,
    /// Arguments that are not flags, in order; everything after `--` is among them.
    pub positionals: Vec<String>,
}

impl fmt::Debug for ParsedFlags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.values.keys()).finish()
    }
}

/// Reads flags from `args` (without the program's name) and `environment`, by the definitions in `table`.
///
/// `--name=value`, `--name` and `--no-name` for booleans, `MESOS_NAME` in any case. Other `MESOS_*` variables are
/// ignored, since frameworks have their own.
///
/// # Errors
///
/// An unknown flag (with the nearest known one), one given twice, one without its value, or a negation that makes no
/// sense.
pub fn parse(
    table: &'static [FlagDef],
    args: impl IntoIterator<Item = String>,
    environment: impl IntoIterator<Item = (String, String)>,
) -> Result<ParsedFlags, FlagError> {
    let mut parsed = ParsedFlags::default();
    let mut args = args.into_iter();
    for argument in args.by_ref() {
        if argument == "--" {
            break;
        }
        match argument.strip_prefix("--") {
            Some(flag) => {
                let (definition, value) = one_flag(table, flag)?;
                insert(&mut parsed.values, definition, value)?;
            }
            None => parsed.positionals.push(argument),
        }
    }
    parsed.positionals.extend(args);
    for (variable, value) in environment {
        let Some(definition) = from_environment(table, &variable) else { continue };
        parsed.values.entry(definition.name).or_insert(value);
    }
    Ok(parsed)
}

/// Adds a value once.
pub(crate) fn insert(
    values: &mut BTreeMap<&'static str, String>,
    definition: &'static FlagDef,
    value: String,
) -> Result<(), FlagError> {
    match values.insert(definition.name, value) {
        None => Ok(()),
        Some(_) => Err(FlagError::Duplicate { name: definition.name }),
    }
}

/// Finds the definition of `name` in any spelling.
pub(crate) fn lookup(table: &'static [FlagDef], name: &str) -> Result<&'static FlagDef, FlagError> {
    let name = normalize_name(name);
    find(table, &name).ok_or_else(|| FlagError::Unknown { nearest: nearest(table, &name), name })
}

/// Reads what follows the two dashes of one argument.
fn one_flag(table: &'static [FlagDef], flag: &str) -> Result<(&'static FlagDef, String), FlagError> {
    let (name, value) = match flag.split_once('=') {
        Some((name, value)) => (name, Some(value)),
        None => (flag, None),
    };
    let negated = name.strip_prefix("no-").and_then(|name| find(table, &normalize_name(name)));
    if let Some(definition) = negated {
        let refuse = |reason| Err(FlagError::Negated { name: definition.name, reason });
        return match (definition.kind, value) {
            (FlagKind::Bool, None) => Ok((definition, "false".to_owned())),
            (FlagKind::Bool, Some(_)) => refuse("takes no value"),
            _ => refuse("makes no sense: the flag is not boolean"),
        };
    }
    let definition = lookup(table, name)?;
    match (definition.kind, value) {
        (_, Some(value)) => Ok((definition, value.to_owned())),
        (FlagKind::Bool, None) => Ok((definition, "true".to_owned())),
        (_, None) => Err(FlagError::MissingValue { name: definition.name }),
    }
}

/// Finds the flag that an environment variable sets.
fn from_environment(table: &'static [FlagDef], variable: &str) -> Option<&'static FlagDef> {
    let prefix = variable.get(..6)?;
    if !prefix.eq_ignore_ascii_case("MESOS_") {
        return None;
    }
    find(table, &variable[6..].to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::docker_table::DOCKER_FLAGS;

    fn run(args: &[&str], environment: &[(&str, &str)]) -> Result<ParsedFlags, FlagError> {
        parse(
            DOCKER_FLAGS,
            args.iter().map(ToString::to_string),
            environment.iter().map(|(name, value)| (name.to_string(), value.to_string())),
        )
    }

    fn values(args: &[&str], environment: &[(&str, &str)]) -> Vec<(&'static str, String)> {
        run(args, environment).expect("flags are good").values.into_iter().collect()
    }

    fn message(args: &[&str]) -> String {
        run(args, &[]).expect_err("flags are bad").to_string()
    }

    #[test]
    fn values_booleans_and_negations() {
        assert_eq!(
            values(
                &["--docker_socket=/a=b", "--switch_user", "--no-docker_kill_orphans", "--docker-config={}"],
                &[]
            ),
            [
                ("docker_config", "{}".to_owned()),
                ("docker_kill_orphans", "false".to_owned()),
                ("docker_socket", "/a=b".to_owned()),
                ("switch_user", "true".to_owned()),
            ]
        );
        assert_eq!(values(&["--no-switch-user"], &[]), [("switch_user", "false".to_owned())]);
        assert_eq!(values(&["--work_dir="], &[]), [("work_dir", String::new())]);
    }

    #[test]
    fn the_command_line_beats_the_environment() {
        let environment = [
            ("MESOS_WORK_DIR", "/env"),
            ("mesos_docker_socket", "/env.sock"),
            ("MESOS_TASK_ID", "t"),
            ("HOME", "/root"),
            ("MESOS", "x"),
            ("MÉSOS_WORK_DIR", "x"),
        ];
        assert_eq!(
            values(&["--work_dir=/cli"], &environment),
            [("docker_socket", "/env.sock".to_owned()), ("work_dir", "/cli".to_owned())]
        );
    }

    #[test]
    fn what_is_no_flag_is_kept_in_order() {
        let parsed = run(&["a", "--switch_user", "-x", "--", "--docker_socket", "b"], &[]).unwrap();
        assert_eq!(parsed.positionals, ["a", "-x", "--docker_socket", "b"]);
    }

    #[test]
    fn bad_flags_are_named() {
        for (args, text) in [
            (&["--docker_sokcet=/a"][..], "unknown flag --docker_sokcet, did you mean --docker_socket?"),
            (&["--zzz=1"], "unknown flag --zzz"),
            (&["--work_dir=/a", "--work-dir=/b"], "flag --work_dir is given more than once"),
            (&["--switch_user", "--no-switch_user"], "flag --switch_user is given more than once"),
            (&["--work_dir"], "flag --work_dir needs a value: --work_dir=VALUE"),
            (&["--no-work_dir"], "flag --no-work_dir makes no sense: the flag is not boolean"),
            (&["--no-switch_user=1"], "flag --no-switch_user takes no value"),
            (&["--no-such"], "unknown flag --no_such"),
            (&["--="], "unknown flag --"),
        ] {
            assert_eq!(message(args), text);
        }
    }
}
