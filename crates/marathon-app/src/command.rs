//! `cmd`, `args` and `user`: what runs in the container.

use crate::error::{AppError, JsonPath, Problem};
use crate::reader::Object;

/// The most bytes of one argument or one variable with its name: `MAX_ARG_STRLEN` of Linux less the end mark.
pub(crate) const MAX_ARGUMENT: usize = 128 * 1024 - 1;

/// What runs in the container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// A line for `/bin/sh -c`.
    Shell(String),
    /// Arguments for the image's entrypoint.
    Arguments(Vec<String>),
    /// What the image says.
    ImageDefault,
}

/// Reads `cmd` and `args` (Marathon `TaskBuilder.commandInfo`: an empty one of the two is the same as none).
pub(crate) fn read_command(app: &Object<'_>) -> Result<Command, AppError> {
    let cmd = app.string("cmd")?.filter(|cmd| !cmd.is_empty());
    let args = app.strings("args")?.filter(|args| !args.is_empty());
    match (cmd, args) {
        (Some(_), Some(_)) => Err(app.at("args").error(Problem::Conflict {
            other: "cmd".to_owned(),
            remedy: "use cmd for a shell command, or args for the image's entrypoint",
        })),
        (Some(cmd), None) => {
            check_length(cmd, &app.at("cmd"))?;
            Ok(Command::Shell(cmd.to_owned()))
        }
        (None, Some(args)) => {
            for (index, argument) in args.iter().enumerate() {
                check_length(argument, &app.at("args").index(index))?;
            }
            Ok(Command::Arguments(args))
        }
        (None, None) => Ok(Command::ImageDefault),
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
