//! How a task's process is started: the command line by Mesos' rules, and its environment.
//!
//! The rules are those of `Docker::RunOptions::create` (`src/docker/docker.cpp`).

use std::collections::BTreeMap;
use std::fmt;

use mesos_proto::v1;

use crate::fields::{FieldError, Notices, ProcessUser};

/// The longest `NAME=value` that Linux passes to a process, in bytes (`MAX_ARG_STRLEN` less the final NUL).
const LONGEST_VARIABLE: usize = 131_071;

/// What runs in the container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CommandSpec {
    /// `command.shell`: `/bin/sh -c value` in place of the image's ENTRYPOINT.
    Shell(String),
    /// Arguments for the image's ENTRYPOINT in place of its CMD; at least one.
    Arguments(Vec<String>),
    /// The image's ENTRYPOINT and CMD as they are.
    ImageDefault,
}

/// One environment variable; its value is not printed by `Debug`.
#[derive(Clone, PartialEq, Eq)]
pub struct EnvVar {
    name: String,
    value: String,
}

impl EnvVar {
    /// A variable that a process can be given.
    ///
    /// # Errors
    ///
    /// An empty name, a name with `=`, a NUL anywhere, or more bytes than Linux passes on. `field` names the place.
    pub fn new(field: &str, name: &str, value: &str) -> Result<Self, FieldError> {
        let refuse = |reason: String| Err(FieldError::new(field, reason));
        if name.is_empty() {
            return refuse("an environment variable has no name".into());
        }
        if name.contains('=') {
            return refuse(format!("the name of the environment variable {name:?} has an equals sign"));
        }
        if name.contains('\0') || value.contains('\0') {
            return refuse(format!("the environment variable {name:?} has a NUL character"));
        }
        let length = name.len() + 1 + value.len();
        if length > LONGEST_VARIABLE {
            let shown: String = name.chars().take(64).collect();
            return Err(FieldError::new(
                field,
                format!("the environment variable {shown:?} is {length} bytes, and Linux passes at most {LONGEST_VARIABLE}"),
            )
            .hint("put the value into a file that the task fetches or mounts"));
        }
        Ok(Self { name: name.to_owned(), value: value.to_owned() })
    }

    /// The variable's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The variable's value, which may be a secret.
    pub fn value(&self) -> &str {
        &self.value
    }
}

impl fmt::Debug for EnvVar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}=<{} bytes>", self.name, self.value.len())
    }
}

impl CommandSpec {
    /// Applies the command rules.
    ///
    /// # Errors
    ///
    /// A shell command without a value, and a NUL.
    pub fn from_proto(command: &v1::CommandInfo) -> Result<Self, FieldError> {
        let shell = command.shell.unwrap_or(true);
        if shell {
            let Some(value) = command.value.as_deref() else {
                return Err(FieldError::new(
                    "command.value",
                    "Shell specified but no command value provided",
                )
                .hint("set the value, or set command.shell to false"));
            };
            return Ok(Self::Shell(no_nul("command.value", value)?));
        }
        let mut arguments = Vec::with_capacity(command.arguments.len() + 1);
        if let Some(value) = command.value.as_deref() {
            arguments.push(no_nul("command.value", value)?);
        }
        for (at, argument) in command.arguments.iter().enumerate() {
            arguments.push(no_nul(&format!("command.arguments[{at}]"), argument)?);
        }
        Ok(if arguments.is_empty() { Self::ImageDefault } else { Self::Arguments(arguments) })
    }
}

/// Reads the environment of a command; of a name given twice the last value counts, as with `docker run -e`.
///
/// # Errors
///
/// A variable that no process can be given, a SECRET (nothing resolves it yet), and a variable without a type's value.
pub fn environment(command: &v1::CommandInfo) -> Result<Vec<EnvVar>, FieldError> {
    use v1::environment::variable::Type;

    let mut variables = BTreeMap::new();
    let list = command.environment.as_ref().map_or(&[][..], |e| &e.variables);
    for (at, variable) in list.iter().enumerate() {
        let field = format!("command.environment.variables[{at}]");
        match variable.r#type() {
            Type::Value => {}
            Type::Secret => {
                return Err(FieldError::new(
                    format!("{field}.secret"),
                    format!("the SECRET environment variable {:?} cannot be resolved", variable.name),
                )
                .hint("pass it as a VALUE or mount it as a file"));
            }
            Type::Unknown => {
                return Err(FieldError::new(
                    format!("{field}.type"),
                    "the type of an environment variable is UNKNOWN",
                ));
            }
        }
        if variable.secret.is_some() {
            return Err(FieldError::new(
                format!("{field}.secret"),
                "a VALUE environment variable has a secret",
            ));
        }
        let Some(value) = variable.value.as_deref() else {
            return Err(FieldError::new(
                format!("{field}.value"),
                format!("the environment variable {:?} has no value", variable.name),
            ));
        };
        let variable = EnvVar::new(&field, &variable.name, value)?;
        variables.insert(variable.name.clone(), variable);
    }
    Ok(variables.into_values().collect())
}

/// Notes the fields of a command that a Docker task does not use.
pub(crate) fn note_unused(
    command: &v1::CommandInfo,
    user: ProcessUser,
    notices: &mut Notices,
) -> Result<(), FieldError> {
    if command.user.is_some() && user == ProcessUser::Image {
        notices.note(
            "command.user",
            "the process runs as the image's user; this one owns the sandbox and fetches the URIs, and no more unless --docker_honor_user is on",
        )?;
    }
    if command.shell.unwrap_or(true) && !command.arguments.is_empty() {
        notices.note("command.arguments", "a shell command takes no arguments")?;
    }
    Ok(())
}

pub(crate) fn no_nul(field: &str, value: &str) -> Result<String, FieldError> {
    if value.contains('\0') {
        return Err(FieldError::new(field, "the text has a NUL character"));
    }
    Ok(value.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn command(shell: Option<bool>, value: Option<&str>, arguments: &[&str]) -> v1::CommandInfo {
        v1::CommandInfo {
            shell,
            value: value.map(Into::into),
            arguments: arguments.iter().map(|&a| a.into()).collect(),
            ..Default::default()
        }
    }

    fn arguments(list: &[&str]) -> CommandSpec {
        CommandSpec::Arguments(list.iter().map(|&a| a.into()).collect())
    }

    #[rstest::rstest]
    #[case::the_default_is_a_shell(command(None, Some("a b"), &[]), CommandSpec::Shell("a b".into()))]
    #[case::a_shell_ignores_arguments(command(Some(true), Some("a"), &["x"]), CommandSpec::Shell("a".into()))]
    #[case::an_empty_value_is_a_value(command(None, Some(""), &[]), CommandSpec::Shell(String::new()))]
    #[case::value_then_arguments(command(Some(false), Some("a"), &["x", "y"]), arguments(&["a", "x", "y"]))]
    #[case::arguments_alone(command(Some(false), None, &["x"]), arguments(&["x"]))]
    #[case::a_value_alone_is_an_argument(command(Some(false), Some("a b"), &[]), arguments(&["a b"]))]
    #[case::nothing_is_the_images_default(command(Some(false), None, &[]), CommandSpec::ImageDefault)]
    fn the_command_follows_the_rules(#[case] given: v1::CommandInfo, #[case] expected: CommandSpec) {
        assert_eq!(CommandSpec::from_proto(&given).unwrap(), expected);
    }

    /// Peer: DockerTest.ROOT_DOCKER_CheckCommandWithShell.
    #[test]
    fn a_shell_without_a_value_is_refused() {
        let error = CommandSpec::from_proto(&command(Some(true), None, &[])).unwrap_err();
        assert!(error.to_string().starts_with("Shell specified but no command value provided"), "{error}");
    }

    fn variable(name: &str, value: &str) -> v1::environment::Variable {
        v1::environment::Variable { name: name.into(), value: Some(value.into()), ..Default::default() }
    }

    fn with_env(variables: Vec<v1::environment::Variable>) -> v1::CommandInfo {
        v1::CommandInfo { environment: Some(v1::Environment { variables }), ..Default::default() }
    }

    #[test]
    fn the_last_of_two_variables_with_one_name_counts() {
        let env =
            environment(&with_env(vec![variable("B", "1"), variable("A", "x=\ny"), variable("B", "2")]))
                .unwrap();
        let pairs: Vec<_> = env.iter().map(|v| (v.name(), v.value())).collect();
        assert_eq!(pairs, [("A", "x=\ny"), ("B", "2")]);
    }

    #[test]
    fn a_secret_is_refused_by_name() {
        let mut secret = variable("TOKEN", "");
        secret.set_type(v1::environment::variable::Type::Secret);
        let error = environment(&with_env(vec![secret])).unwrap_err().to_string();
        assert!(error.contains("TOKEN") && error.contains("SECRET"), "{error}");
    }

    #[rstest::rstest]
    #[case("", "x", "no name")]
    #[case("A=B", "x", "equals")]
    #[case("A", "x\0y", "NUL")]
    fn a_variable_that_no_process_gets_is_refused(
        #[case] name: &str,
        #[case] value: &str,
        #[case] why: &str,
    ) {
        let error = environment(&with_env(vec![variable(name, value)])).unwrap_err().to_string();
        assert!(error.contains(why), "{error}");
    }

    #[test]
    fn a_megabyte_in_a_variable_is_refused_and_not_printed() {
        let error =
            environment(&with_env(vec![variable("BIG", &"x".repeat(1 << 20))])).unwrap_err().to_string();
        assert!(error.contains("BIG") && error.len() < 400, "{error}");
    }

    #[test]
    fn debug_does_not_print_a_value() {
        let variable = EnvVar::new("f", "PASSWORD", "hunter2").unwrap();
        assert!(!format!("{variable:?}").contains("hunter2"));
    }
}
