//! Why a verb could not be performed.

use mesos_types::ContainerId;

use crate::isolation::ContainmentError;

/// Why a verb could not be performed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ContainerizerError {
    /// The id is in use.
    #[error("container {0} is already started")]
    AlreadyStarted(ContainerId),
    /// No container has the id.
    #[error("unknown container: {0}")]
    Unknown(ContainerId),
    /// The container does not run, or not yet.
    #[error("container {0} is not running")]
    NotRunning(ContainerId),
    /// Its control groups cannot be read.
    #[error("cannot read the usage of container {container_id}: {why}")]
    Usage {
        /// The container.
        container_id: ContainerId,
        /// The chain of causes.
        why: String,
    },
    /// The user that it would run as.
    #[error("cannot start container {container_id}: {why}")]
    User {
        /// The container.
        container_id: ContainerId,
        /// The chain of causes.
        why: String,
    },
    /// Its limits.
    #[error("cannot {what} container {container_id}")]
    Contain {
        /// The container.
        container_id: ContainerId,
        /// The verb.
        what: &'static str,
        /// Why.
        source: ContainmentError,
    },
    /// A persistent volume that an update gives it.
    #[error("cannot update container {container_id}: {why}")]
    Volume {
        /// The container.
        container_id: ContainerId,
        /// What is wrong with the volume, in one line.
        why: String,
    },
    /// The record of its processes.
    #[error("cannot adopt container {container_id}")]
    Record {
        /// The container.
        container_id: ContainerId,
        /// Why.
        source: sandbox::SandboxError,
    },
    /// Its process: it may be there, or not.
    #[error("cannot tell whether the processes of container {container_id} are there")]
    Watch {
        /// The container.
        container_id: ContainerId,
        /// Why.
        source: std::io::Error,
    },
    /// The system does not tell which run of it this is.
    #[error("cannot tell whether the machine was restarted")]
    Boot(#[source] std::io::Error),
}
