//! `cmd`, `args` and `user`: what runs.

use crate::container::Container;
use crate::error::{AppError, JsonPath, Problem};
use crate::reader::Object;

/// The most bytes of one argument or one variable with its name: `MAX_ARG_STRLEN` of Linux less the end mark.
pub(crate) const MAX_ARGUMENT: usize = 128 * 1024 - 1;

/// What runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// A line for `/bin/sh -c`.
    Shell(String),
    /// Arguments for the image's entrypoint; without an image the program and its arguments, not empty.
    Arguments(Vec<String>),
    /// What the image says; there is one.
    ImageDefault,
}

/// Reads `cmd` and `args` (Marathon `TaskBuilder.commandInfo`: an empty one of the two is the same as none). Without an
/// image there must be one (`AppDefinition.validWithRoleEnforcement`).
pub(crate) fn read_command(app: &Object<'_>, container: &Container) -> Result<Command, AppError> {
    let cmd = app.string("cmd")?.filter(|cmd| !cmd.is_empty());
    let args = app.strings("args")?.filter(|args| !args.is_empty());
    match (cmd, args) {
        (Some(_), Some(_)) => Err(app.at("args").error(Problem::Conflict {
            other: "cmd".to_owned(),
            remedy: match container {
                Container::Docker(_) => "use cmd for a shell command, or args for the image's entrypoint",
                Container::Mesos | Container::Absent => "use cmd for a shell command, or args for a program",
            },
        })),
        (Some(cmd), None) => {
            check_length(cmd, &app.at("cmd"))?;
            Ok(Command::Shell(cmd.to_owned()))
        }
        (None, Some(args)) => {
            let program = args.first().filter(|_| container.docker().is_none());
            if program.is_some_and(String::is_empty) {
                return Err(app.at("args").index(0).invalid("the program to run must not be empty"));
            }
            for (index, argument) in args.iter().enumerate() {
                check_length(argument, &app.at("args").index(index))?;
            }
            Ok(Command::Arguments(args))
        }
        (None, None) => match container {
            Container::Docker(_) => Ok(Command::ImageDefault),
            Container::Mesos | Container::Absent => Err(app.at("cmd").error(Problem::Missing {
                needed: "what to run, as there is no image that says it: cmd or args, or container.docker.image",
            })),
        },
    }
}

fn check_length(text: &str, path: &JsonPath) -> Result<(), AppError> {
    if text.len() > MAX_ARGUMENT {
        return Err(path.invalid(format!(
            "{} bytes are more than the kernel passes in one argument, {MAX_ARGUMENT}",
            text.len()
        )));
    }
    Ok(())
}
