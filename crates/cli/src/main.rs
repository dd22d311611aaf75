//! `mesos-docker`: runs Marathon app definitions and TaskInfos through the containerizers of an agent, no cluster needed.

mod adopt;
mod args;
mod check;
mod cleanup;
mod document;
mod failure;
mod find;
mod host_ports;
mod inspect;
mod kill;
mod listing;
mod logs;
mod mesos_flags;
mod out;
mod pick;
mod ps;
mod redact;
mod run;
mod runs;
mod setup;
mod units;
mod validate;

use std::process::ExitCode;

use clap::Parser;

use crate::args::{Cli, Command};
use crate::failure::Failure;

/// The most threads for calls that block, such as writing a log file on a slow disk.
const BLOCKING_THREADS: usize = 16;

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // `--help` and `--version` come this way too, and are no failure.
            let code = if error.use_stderr() { failure::OURS } else { 0 };
            let _ = error.print();
            return ExitCode::from(code);
        }
    };
    setup::tracing(cli.verbose);
    let runtime = match tokio::runtime::Builder::new_multi_thread()
        .max_blocking_threads(BLOCKING_THREADS)
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => return Failure::ours(format!("cannot start the async runtime: {error}")).report(),
    };
    let result = runtime.block_on(async {
        match cli.command {
            Command::Run(args) => Box::pin(run::run(args)).await,
            Command::Validate(args) => Box::pin(validate::validate(args)).await,
            Command::Ps(args) => Box::pin(ps::ps(args)).await,
            Command::Logs(args) => Box::pin(logs::logs(args)).await,
            Command::Kill(args) => Box::pin(kill::kill(args)).await,
            Command::Inspect(args) => Box::pin(inspect::inspect(args)).await,
            Command::Adopt(args) => Box::pin(adopt::adopt(args)).await,
            Command::Cleanup(args) => Box::pin(cleanup::cleanup(args)).await,
        }
    });
    // Output that nobody takes must not keep the program.
    runtime.shutdown_timeout(std::time::Duration::from_secs(2));
    match result {
        Ok(code) => ExitCode::from(code),
        Err(failure) => failure.report(),
    }
}
