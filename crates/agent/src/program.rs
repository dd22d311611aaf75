//! The programs `mesos-agent` and `mesos-slave`: flags in, exit code out.

use std::io::Write as _;
use std::process::ExitCode;

use flags::{AgentSettings, Invocation};

use crate::driver;
use crate::logging::{self, LogControl};

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
    let log = log_to_stderr(&loaded.settings);
    for notice in &loaded.notices {
        tracing::warn!(flag = notice.flag, "{}", notice.text);
    }
    let runtime = match tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return failed(&format!("cannot start: {error}")),
    };
    match runtime.block_on(driver::run(loaded.settings, log)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => failed(&docker_containerizer::chain(&error).replace('\n', " ")),
    }
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
fn log_to_stderr(settings: &AgentSettings) -> LogControl {
    use flags::agent::LogLevel;

    let level = match (settings.log.quiet, settings.log.level) {
        (true, _) | (false, LogLevel::Error) => "error",
        (false, LogLevel::Warning) => "warn",
        (false, LogLevel::Info) => "info",
    };
    let directives = std::env::var("MESOS_AGENT_LOG").ok().filter(|text| !text.trim().is_empty());
    logging::log_to_stderr(directives.as_deref().unwrap_or(level))
}
