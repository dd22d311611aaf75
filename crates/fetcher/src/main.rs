//! The program `mesos-fetcher`. See [`fetcher::program`].

use std::process::ExitCode;

fn main() -> ExitCode {
    fetcher::program::main()
}
