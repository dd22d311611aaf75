//! Why a task could not be launched or adopted.

use std::path::PathBuf;

use mesos_proto::v1;
use mesos_types::FieldError;
use sandbox::SandboxError;

use crate::composing::{ComposingError, Kind};
use crate::owner::OwnerError;
use crate::record::RecordError;

/// Why a task cannot be launched; nothing was done for it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PrepareError {
    /// A field that cannot be honoured.
    #[error(transparent)]
    Field(#[from] FieldError),
    /// No containerizer takes it, or it was destroyed already.
    #[error(transparent)]
    Containerizer(#[from] ComposingError),
}

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
    Containerizer(#[from] ComposingError),
    /// Whom the task runs as.
    #[error(transparent)]
    Owner(#[from] OwnerError),
    /// The task was not begun yet, and cannot be.
    #[error("the task cannot be launched")]
    Prepare(#[from] PrepareError),
    /// The run has ended. Its terminal status is in here, for a host that may not have it.
    #[error("the run has ended: its terminal status was made")]
    Ended(Option<Box<v1::TaskStatus>>),
}

impl SuperviseError {
    /// The containerizer that has the run, where it is not among those that there are: nobody can say what became of it.
    pub fn absent(&self) -> Option<Kind> {
        match self {
            Self::Containerizer(ComposingError::Absent(kind)) => Some(*kind),
            _ => None,
        }
    }

    /// Whether the same may go better in a while, and nothing is said about the run: an engine that does not answer, a disk
    /// or a database of users that fails.
    pub fn is_passing(&self) -> bool {
        match self {
            Self::Containerizer(ComposingError::Absent(_)) => false,
            Self::Containerizer(_)
            | Self::Record(RecordError::Access(_))
            | Self::Owner(OwnerError::LookUp { .. }) => true,
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_there_does_not_come_by_waiting() {
        let absent = SuperviseError::from(ComposingError::Absent(Kind::Docker));
        assert_eq!((absent.absent(), absent.is_passing()), (Some(Kind::Docker), false));
        let unknown = SuperviseError::from(OwnerError::Unknown("x".into()));
        assert_eq!((unknown.absent(), unknown.is_passing()), (None, false));
        let database = OwnerError::LookUp { name: "x".into(), why: "E".into() };
        assert!(SuperviseError::from(database).is_passing());
    }
}
