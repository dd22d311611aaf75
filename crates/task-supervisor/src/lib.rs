//! One task: from its TaskInfo to its statuses.
//!
//! [`Supervisor`] decides what a framework hears about a task, with a Docker image or without. It is used in-process by the
//! agent and by `mesos-docker`; it calls the containerizers and keeps a record of ours beside each run, so that the next
//! process goes on where this one ended. The container of a custom executor is supervised in the same way: as a task that
//! is synthesised from its ExecutorInfo, whose statuses nobody sends.
//!
//! | module | owns |
//! |---|---|
//! | `supervisor` | launching and adopting tasks |
//! | `composing` | the containerizers as one: which takes a task, and to which a verb goes |
//! | `plan` | a task as the containerizer that takes it launches it |
//! | `order` | what a host hands over, and what it hears |
//! | `machine` | what follows from what happens to a task, pure |
//! | `task_loop` | the owner of one task, which does what the machine says |
//! | `outbox` | what is told and not yet taken |
//! | `record` | the `supervision` record: what the next process must know, written before the effect |
//! | `outcome` | how an end becomes a terminal status, pure |
//! | `checking` | the task's checks, and what they said |
//! | `signals` | the names of signals |
//! | `status` | TaskStatus messages |
//! | `mask` | the secrets in them |
//! | `layout` | where a run lives below the work directory |
//! | `owner` | who owns a sandbox |

mod checking;
mod composing;
mod error;
mod layout;
mod machine;
mod mask;
mod order;
mod outbox;
mod outcome;
mod owner;
mod plan;
mod record;
mod signals;
mod status;
mod supervisor;
mod task_loop;

pub use checking::ChecksRecord;
pub use checks::{CheckCounts, CheckSettings};
pub use composing::{Composing, ComposingError, Handle, Kind, Launching, Refusal, Running};
pub use error::{PrepareError, SuperviseError};
pub use layout::RunLayout;
pub use mask::MaskedVariables;
pub use order::{
    Adoption, Given, ImageState, KillRequest, LateOwner, Prepared, TaskHandle, TaskKilling, TaskOrder,
    Update, Uris,
};
pub use outcome::{KillCause, Outcome, outcome};
pub use owner::{OwnerError, owner_of, run_as};
pub use record::{KillRecord, Phase, ProcessRecord, Record, RecordError, RecordStore};
pub use status::IMAGE_DIGEST_LABEL;
pub use status::StatusMaker;
pub use supervisor::{Supervisor, SupervisorSettings};
