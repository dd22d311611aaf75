//! What this machine has for tasks, and the directories of persistent volumes.
//!
//! [`Machine`] looks at the machine, [`agent_resources`] puts that together with `--resources`, [`prepare_disks`] checks
//! the disks that `--resources` names, and [`sync_volumes`] makes and removes the directories of volumes as operations
//! come and go. The start of the agent and its driver call these; all are short blocking calls.

mod detect;
mod disks;
mod volumes;

pub use detect::{Machine, ResourcesError, agent_resources};
pub use disks::{DiskError, prepare_disks};
pub use volumes::{VolumeError, sync_volumes};
