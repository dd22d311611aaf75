//! `mesos-docker-executor`: runs one Docker task for the Mesos agent that starts it.

use std::process::ExitCode;

use anyhow::Context as _;
use docker_executor::environment::Environment;
use docker_executor::flags_table::{self, Flags, Wanted};
use docker_executor::session::Exit;
use docker_executor::{guard, host, output, scrub};
use libprocess::Overrides;

fn main() -> ExitCode {
    let args: Vec<String> =
        std::env::args_os().skip(1).map(|arg| arg.to_string_lossy().into_owned()).collect();
    if args.first().is_some_and(|arg| arg == guard::ARGUMENT) {
        return ExitCode::from(guard::run());
    }
    let scrubbed = match scrub::kept(std::env::vars_os()) {
        Some(kept) => Some(scrub::start_again(std::env::args_os().skip(1), kept)),
        None => {
            // The system calls a program that was started again `exe`; it is the name in `ps` and `top` alone.
            let _ = rustix::thread::set_name(c"mesos-docker-executor");
            None
        }
    };
    let flags = match flags_table::read(args) {
        Ok(Wanted::Run(flags)) => flags,
        Ok(Wanted::Help) => {
            print!("{}", flags_table::usage());
            return ExitCode::SUCCESS;
        }
        Ok(Wanted::Version) => {
            println!("mesos-docker-executor {}", env!("CARGO_PKG_VERSION"));
            return ExitCode::SUCCESS;
        }
        Err(error) => {
            eprintln!("{}\n\n{}", docker_containerizer::chain(&error), flags_table::usage());
            return ExitCode::FAILURE;
        }
    };
    output::log(flags.level);
    if let Some(error) = scrubbed {
        tracing::warn!(%error, "the task's environment stays in the executor's");
    }
    for notice in &flags.notices {
        tracing::debug!(flag = notice.flag, "{}", notice.text);
    }
    match run(*flags) {
        Ok(exit) => ExitCode::from(exit.code()),
        Err(error) => {
            eprintln!("mesos-docker-executor: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(flags: Flags) -> anyhow::Result<Exit> {
    let variable = |name: &str| std::env::var_os(name).map(|value| value.to_string_lossy().into_owned());
    let environment = Environment::read(variable, flags.protocol)?;
    let variables = scrub::kept(std::env::vars_os()).unwrap_or_else(|| std::env::vars_os().collect());
    let libprocess = variables
        .into_iter()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
    let overrides = Overrides::read(libprocess)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(1)
        .build()
        .context("cannot start the async runtime")?;
    let exit = runtime.block_on(host::run(flags, environment, &overrides));
    // What is still written or looked up must not keep the process.
    runtime.shutdown_timeout(host::LAST);
    exit
}
