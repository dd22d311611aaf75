//! Task supervision: what a framework hears over crashes of our process, with checks, and from an engine that hangs.
//! What it hears of kills and ends without those is in `tests/containerizer`.

mod checked;
mod composing;
mod crash;
mod hung;
mod told;

use mesos_proto::v1::TaskState;
use std::time::Duration;

/// What may pass until something happens that waits for nothing; what must not be waited for takes minutes.
const PROMPT: Duration = Duration::from_secs(45);

/// Reads `RUNNING KILLED` as states.
fn states(names: &str) -> Vec<TaskState> {
    names.split(' ').map(|name| TaskState::from_str_name(&format!("TASK_{name}")).expect("a state")).collect()
}
