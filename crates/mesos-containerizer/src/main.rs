//! The program `mesos-containerizer`: the supervising parent of one container without an image, or the helper of one
//! command beside it.

use std::process::ExitCode;

use mesos_containerizer::{aside, parent};

fn main() -> ExitCode {
    if std::env::args_os().nth(1).is_some_and(|mode| mode == aside::MODE) {
        return aside::main();
    }
    parent::main(std::env::args_os().skip(1))
}
