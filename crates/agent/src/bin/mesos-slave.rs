//! The program `mesos-slave`, the old name of `mesos-agent`.

use std::process::ExitCode;

fn main() -> ExitCode {
    agent::program::main()
}
