//! The command line: stock's logging flags, which are also read from the environment (src/logging/flags.cpp).

use std::ffi::OsString;

use super::log::{Level, Log};

/// What `--help` prints.
pub(super) const USAGE: &str = "\
Usage: mesos-fetcher [options]

Fetches the URIs of a task into its sandbox. It is started by a Mesos agent, which says in the environment variable
MESOS_FETCHER_INFO what to fetch, as JSON.

  --help                     Prints this text.
  --version                  Prints the version.
  --[no-]quiet               Prints nothing on standard error. Also MESOS_QUIET.
  --logging_level=LEVEL      Prints from INFO (the default), WARNING or ERROR on. Also MESOS_LOGGING_LEVEL.
  --external_log_file=PATH, --[no-]initialize_driver_logging, --log_dir=PATH, --logbufsecs=N
                             Accepted, without effect.
";

/// What the command line asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Command {
    /// To print the usage.
    Help,
    /// To print the version.
    Version,
    /// To fetch, with this log.
    Run(Log),
}

/// Reads the command line and the environment; the command line has the last word.
///
/// # Errors
///
/// A sentence about the first argument or value that is wrong.
pub(super) fn read(
    arguments: impl IntoIterator<Item = OsString>,
    environment: impl Fn(&str) -> Option<String>,
) -> Result<Command, String> {
    let mut quiet = environment("MESOS_QUIET").map_or(Ok(false), |value| boolean("MESOS_QUIET", &value))?;
    let mut level =
        environment("MESOS_LOGGING_LEVEL").map_or(Ok(Level::Info), |value| parse_level(&value))?;
    for argument in arguments {
        let text = argument.to_string_lossy();
        let Some(flag) = text.strip_prefix("--") else {
            return Err(format!("Unexpected argument '{text}'"));
        };
        let (name, value) = match flag.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => (flag, None),
        };
        match (name, value) {
            ("help", None) => return Ok(Command::Help),
            ("version", None) => return Ok(Command::Version),
            ("quiet", None) => quiet = true,
            ("no-quiet", None) => quiet = false,
            ("quiet", Some(value)) => quiet = boolean("--quiet", value)?,
            ("logging_level", Some(value)) => level = parse_level(value)?,
            ("external_log_file" | "log_dir" | "logbufsecs" | "initialize_driver_logging", Some(_))
            | ("initialize_driver_logging" | "no-initialize_driver_logging", None) => {}
            _ => return Err(format!("Failed to load unknown flag '{name}'")),
        }
    }
    Ok(Command::Run(Log::new((!quiet).then_some(level))))
}

fn boolean(name: &str, value: &str) -> Result<bool, String> {
    match value {
        "true" | "1" => Ok(true),
        "false" | "0" => Ok(false),
        _ => Err(format!("Failed to load value '{value}' of {name}: expected true or false")),
    }
}

fn parse_level(value: &str) -> Result<Level, String> {
    match value {
        "INFO" => Ok(Level::Info),
        "WARNING" => Ok(Level::Warning),
        "ERROR" => Ok(Level::Error),
        _ => Err(format!("Failed to load value '{value}' of logging_level: expected INFO, WARNING or ERROR")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(arguments: &[&str], environment: &[(&str, &str)]) -> Result<Command, String> {
        let find = |name: &str| {
            environment.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
        };
        read(arguments.iter().map(OsString::from), find)
    }

    #[test]
    fn flags_and_environment() {
        let at = |level| Ok(Command::Run(Log::new(level)));
        assert_eq!(run(&[], &[]), at(Some(Level::Info)));
        assert_eq!(run(&[], &[("MESOS_LOGGING_LEVEL", "ERROR")]), at(Some(Level::Error)));
        assert_eq!(
            run(&["--logging_level=WARNING"], &[("MESOS_LOGGING_LEVEL", "ERROR")]),
            at(Some(Level::Warning))
        );
        assert_eq!(run(&[], &[("MESOS_QUIET", "true")]), at(None));
        assert_eq!(run(&["--no-quiet"], &[("MESOS_QUIET", "1")]), at(Some(Level::Info)));
        assert_eq!(run(&["--log_dir=/x", "--initialize_driver_logging"], &[]), at(Some(Level::Info)));
        assert_eq!(run(&["--help"], &[]), Ok(Command::Help));
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (arguments, part) in [(["--x=1"], "'x'"), (["x"], "'x'"), (["--quiet=maybe"], "'maybe'")] {
            assert!(run(&arguments, &[]).expect_err("refused").contains(part), "{arguments:?}");
        }
        assert!(run(&[], &[("MESOS_LOGGING_LEVEL", "LOUD")]).is_err());
    }
}
