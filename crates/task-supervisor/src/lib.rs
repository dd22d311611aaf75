//! One task: from its TaskInfo to its statuses.
//!
//! [`Supervisor`] decides what a framework hears about a Docker task. It is used in-process by the agent and by
//! `mesos-docker`; it calls the containerizer and keeps a record of ours beside each run, so that the next process
//! goes on where this one ended.
//!
//! | module | owns |
//! |---|---|
//! | `supervisor` | launching and adopting tasks |
//! | `task_loop` | the owner of one task, to its terminal status |
//! | `record` | the `supervision` record: what the next process must know, written before the effect |
//! | `outcome` | how an end becomes a terminal status, pure |
//! | `status` | TaskStatus messages |
//! | `layout` | where a run lives below the work directory |
//! | `owner` | who owns a sandbox |

mod layout;
mod outcome;
mod owner;
mod record;
mod status;
mod supervisor;
mod task_loop;

pub use layout::RunLayout;
pub use outcome::{KillCause, Outcome, outcome};
pub use owner::{OwnerError, owner_of, run_as};
pub use record::{KillRecord, Phase, Record, RecordError, RecordStore};
pub use status::IMAGE_DIGEST_LABEL;
pub use status::StatusMaker;
pub use supervisor::{
    KillRequest, Prepared, SuperviseError, Supervisor, SupervisorSettings, TaskHandle, TaskKilling,
    TaskOrder, Update,
};
