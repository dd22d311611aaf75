//! `mesos-docker`: runs Marathon app definitions and TaskInfos through the Docker containerizer, no cluster needed.

mod args;
mod document;
mod failure;
mod host_ports;
mod mesos_flags;
mod run;
mod runs;
mod setup;
mod validate;

use std::process::ExitCode;

use clap::Parser;

use crate::args::{Cli, Command};
use crate::failure::Failure;

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
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return Failure::ours(format!("cannot start the async runtime: {error}")).report(),
    };
    let result = runtime.block_on(async {
        match cli.command {
            Command::Run(args) => run::run(args).await,
            Command::Validate(args) => validate::validate(args).await,
        }
    });
    // Output that nobody takes must not keep the program.
    runtime.shutdown_timeout(std::time::Duration::from_secs(2));
    match result {
        Ok(code) => ExitCode::from(code),
        Err(failure) => failure.report(),
    }
}
