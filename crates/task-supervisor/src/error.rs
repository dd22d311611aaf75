//! Why a task could not be launched or adopted.

use std::path::PathBuf;

use docker_containerizer::ContainerizerError;
use mesos_proto::v1;
use mesos_types::FieldError;
use sandbox::SandboxError;

use crate::record::RecordError;

/// Why a task could not be launched or adopted.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SuperviseError {
    /// A field of the task.
    #[error("the task cannot be run")]
    Field(#[from] FieldError),
    /// The sandbox.
    #[error("cannot make the sandbox")]
    Sandbox(#[from] SandboxError),
    /// The directory of our records.
    #[error("cannot make the directory {}", path.display())]
    State {
        /// The directory.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// Nothing is known of the run: it has no record, as one that was never launched.
    #[error("there is no record of the run in {}", path.display())]
    UnknownRun {
        /// Where it would be.
        path: PathBuf,
    },
    /// The record.
    #[error("cannot use the record of the run")]
    Record(#[from] RecordError),
    /// The task in the record.
    #[error("the TaskInfo of the record cannot be decoded")]
    TaskInfo,
    /// The containerizer.
    #[error("the containerizer refused")]
    Containerizer(#[from] ContainerizerError),
    /// The run has ended. Its terminal status is in here, for a host that may not have it.
    #[error("the run has ended: its terminal status was made")]
    Ended(Option<Box<v1::TaskStatus>>),
}
