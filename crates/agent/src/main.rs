//! The program `mesos-agent`.

use std::process::ExitCode;

fn main() -> ExitCode {
    agent::program::main()
}
