//! The command of a check: its line, its environment and its user.

use mesos_proto::v1;

use super::validation::Whose;
use super::{Arguments, CommandProbe};
use crate::command;
use crate::fields::{FieldError, Notices};

/// The command line of a check.
///
/// A shell command is run by the container's `sh -c`. The arguments of a health check follow its value, as the stock
/// docker executor hands them to `docker exec` (`runHealthCheck` in `src/docker/executor.cpp`). A general check, which
/// that executor does not have, may also be written as for the other executors: there `arguments` holds the whole argv,
/// and its first is the name of the program once more. Without an image that is so for both.
pub(super) fn command_probe(
    whose: Whose,
    command: &v1::CommandInfo,
    arguments: Arguments,
    notices: &mut Notices,
) -> Result<CommandProbe, FieldError> {
    // Where the command is in the message.
    let at = match whose {
        Whose::Health => "command",
        Whose::General => "command.command",
    };
    let shell = command.shell.unwrap_or(true);
    let Some(value) = command.value.as_deref() else {
        let what = if shell { "'shell command'" } else { "'executable path'" };
        let which = match whose {
            Whose::Health => "Command health check",
            Whose::General => "Command check",
        };
        return Err(whose.refuse(&format!("{at}.value"), format!("{which} must contain {what}")));
    };
    let argv = if shell {
        if !command.arguments.is_empty() {
            notices.note(whose.field(&format!("{at}.arguments")), "a shell command takes no arguments")?;
        }
        vec!["sh".to_owned(), "-c".to_owned(), value.to_owned()]
    } else if arguments == Arguments::All && !command.arguments.is_empty() {
        command.arguments.clone()
    } else {
        let program = value.rsplit_once('/').map_or(value, |(_, name)| name);
        let names_itself = |first: &String| first == value || first == program;
        let first = match whose {
            Whose::General if command.arguments.first().is_some_and(names_itself) => 1,
            Whose::General | Whose::Health => 0,
        };
        [value.to_owned()].into_iter().chain(command.arguments[first..].iter().cloned()).collect()
    };
    let program = if shell { "sh".to_owned() } else { value.to_owned() };
    if argv.iter().chain([&program]).any(|part| part.contains('\0')) {
        return Err(whose.refuse(at, "the command line has a NUL character"));
    }
    if program.is_empty() {
        return Err(whose.refuse(&format!("{at}.value"), "the program has no name"));
    }
    if !command.uris.is_empty() {
        notices.note(
            whose.field(&format!("{at}.uris")),
            "nothing is fetched for a check; the URIs of the task's own command are",
        )?;
    }
    let environment = command::environment(command).map_err(|error| {
        let below = error.field().strip_prefix("command.").unwrap_or(error.field()).to_owned();
        whose.refuse(&format!("{at}.{below}"), error.reason())
    })?;
    let mut user = command.user.clone().filter(|user| !user.is_empty());
    if arguments == Arguments::All && user.is_some() {
        // As in stock. Whether the framework may run anything as that user is asked of nobody.
        notices
            .note(whose.field(&format!("{at}.user")), "without an image a check runs as the task's user")?;
        user = None;
    }
    if user.as_deref().is_some_and(|user| user.contains(char::is_control)) {
        return Err(whose.refuse(&format!("{at}.user"), "the user's name has a control character"));
    }
    Ok(CommandProbe { program, argv, environment, user })
}
