//! One task: from its TaskInfo to its statuses.
//!
//! [`Supervisor`] decides what a framework hears about a Docker task. It is used in-process by the agent and by
//! `mesos-docker`; it calls the containerizer and keeps a record of ours beside each run, so that the next process
//! goes on where this one ended.
//!
//! | module | owns |
//! |---|---|
//! | `supervisor` | launching and adopting tasks |
//! | `order` | what a host hands over, and what it hears |
//! | `machine` | what follows from what happens to a task, pure |
//! | `task_loop` | the owner of one task, which does what the machine says |
//! | `outbox` | what is told and not yet taken |
//! | `record` | the `supervision` record: what the next process must know, written before the effect |
//! | `outcome` | how an end becomes a terminal status, pure |
//! | `checking` | the task's checks, and what they said |
//! | `status` | TaskStatus messages |
//! | `mask` | the secrets in them |
//! | `layout` | where a run lives below the work directory |
//! | `owner` | who owns a sandbox |

mod checking;
mod error;
mod layout;
mod machine;
mod mask;
mod order;
mod outbox;
mod outcome;
mod owner;
mod record;
mod status;
mod supervisor;
mod task_loop;

pub use checking::ChecksRecord;
pub use checks::{CheckCounts, CheckSettings};
pub use error::SuperviseError;
pub use layout::RunLayout;
pub use mask::MaskedVariables;
pub use order::{
    Adoption, Given, ImageState, KillRequest, Prepared, TaskHandle, TaskKilling, TaskOrder, Update, Uris,
};
pub use outcome::{KillCause, Outcome, outcome};
pub use owner::{OwnerError, owner_of, run_as};
pub use record::{KillRecord, Phase, Record, RecordError, RecordStore};
pub use status::IMAGE_DIGEST_LABEL;
pub use status::StatusMaker;
pub use supervisor::{Supervisor, SupervisorSettings};
