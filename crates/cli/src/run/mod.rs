//! `mesos-docker run`: from a definition to an exit code.
//!
//! | module | owns |
//! |---|---|
//! | `follow` | the loop: updates of all tasks, signals, the time limit, kills from other programs |
//! | `control` | the socket for kills from other programs |
//! | `show` | what is printed, for people |
//! | `json` | what is printed with `--json` |
//! | `progress` | pulls on the terminal |

mod control;
pub(crate) mod follow;
mod json;
pub(crate) mod launch;
mod progress;
pub(crate) mod show;

pub(crate) use launch::run;
