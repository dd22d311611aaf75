//! The programs `mesos-agent` and `mesos-slave`: flags in, exit code out.

use std::io::Write as _;
use std::process::ExitCode;

use flags::{AgentSettings, Invocation, LoadedAgentSettings};

use crate::driver;
use crate::logging::{self, LogControl, LogEnd};

/// The version of stock that this agent stands for, as `--version` prints it.
const VERSION: &str = concat!("mesos 1.11.0 (mesos-agent ", env!("CARGO_PKG_VERSION"), ")");

/// Runs the program: exit code 0 after it was asked to end, 1 when it cannot start or go on.
pub fn main() -> ExitCode {
    let loaded = match AgentSettings::load(std::env::args_os().skip(1), std::env::vars_os()) {
        Ok(Invocation::Help(text)) => {
            say(&text);
            return ExitCode::SUCCESS;
        }
        Ok(Invocation::Version) => {
            say(VERSION);
            return ExitCode::SUCCESS;
        }
        Ok(Invocation::Run(loaded)) => loaded,
        Err(error) => return failed(&error.one_line()),
    };
    let (log, end_of_log) = log_to_stderr(&loaded.settings);
    let ended = run(loaded, log);
    // What is said last is to stand last.
    drop(end_of_log);
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => failed(&why),
    }
}

/// Runs the agent to its end; answers why it could not go on.
fn run(loaded: Box<LoadedAgentSettings>, log: LogControl) -> Result<(), String> {
    for notice in &loaded.notices {
        tracing::warn!(flag = notice.flag, "{}", notice.text);
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let runtime = runtime.map_err(|error| format!("cannot start: {error}"))?;
    let ended = runtime.block_on(driver::run(loaded.settings, log));
    ended.map_err(|error| docker_containerizer::chain(&error).replace('\n', " "))
}

/// Prints on standard output, which may be a pipe that nobody reads to its end.
fn say(text: &str) {
    let _ = writeln!(std::io::stdout(), "{text}");
}

fn failed(why: &str) -> ExitCode {
    eprintln!("mesos-agent: {why}");
    ExitCode::FAILURE
}

/// Logs to standard error, in the flag's level; `MESOS_AGENT_LOG` may say more than that.
fn log_to_stderr(settings: &AgentSettings) -> (LogControl, LogEnd) {
    use flags::agent::LogLevel;

    let level = match (settings.log.quiet, settings.log.level) {
        (true, _) | (false, LogLevel::Error) => "error",
        (false, LogLevel::Warning) => "warn",
        (false, LogLevel::Info) => "info",
    };
    let directives = std::env::var("MESOS_AGENT_LOG").ok().filter(|text| !text.trim().is_empty());
    logging::log_to_stderr(directives.as_deref().unwrap_or(level), settings.log.queued_lines)
}
