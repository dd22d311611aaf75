//! The two-step commit of checkpointed resources and operations (`Slave::checkpointResourceState`,
//! `Slave::syncCheckpointedResources`).
//!
//! ```text
//! write resources_and_operations.target ─► write resources.target ─► make and remove volumes
//!     ─► resources.target becomes resources.info ─► resources_and_operations.target becomes .state
//! ```
//!
//! A crash in between leaves a target; the next start commits it again from the beginning, so making and removing
//! volumes must be repeatable. The second file is written only when the list of resources changed; it is what agents
//! before 1.5 read.

use mesos_proto::v1::{Operation, Resource};

use crate::error::CheckpointError;
use crate::store::Store;

/// What the file of resources and operations holds (`src/slave/state.proto`, `mesos.internal.slave.ResourceState`).
#[derive(Clone, PartialEq, prost::Message)]
pub struct ResourceState {
    /// The operations that are not forgotten yet.
    #[prost(message, repeated, tag = "1")]
    pub operations: Vec<Operation>,
    /// The dynamically reserved resources and the persistent volumes.
    #[prost(message, repeated, tag = "2")]
    pub resources: Vec<Resource>,
}

/// What is to be committed.
#[derive(Debug, Clone, PartialEq)]
pub struct ResourceChange {
    /// All operations and all checkpointed resources, resources in the post-refinement form.
    pub state: ResourceState,
    /// The list of checkpointed resources in the form for old agents, when it changed.
    pub resources: Option<Vec<Resource>>,
}

/// A commit that failed: the agent must stop, since what it has in memory is not what a successor will find.
#[derive(Debug, thiserror::Error)]
pub enum CommitError<E: std::error::Error + 'static> {
    /// A file could not be written.
    #[error("cannot checkpoint resources and operations")]
    Checkpoint(#[from] CheckpointError),
    /// A volume could not be made or removed.
    #[error("cannot bring the persistent volumes in line with the checkpointed resources")]
    Volumes(#[source] E),
}

impl Store {
    /// Commits a change. `sync_volumes` is called between the writing of the targets and their taking effect, and only
    /// when the list of resources changed; it makes the directories of new volumes, removes those of destroyed ones,
    /// and may find that it did so before. Blocks.
    ///
    /// # Errors
    ///
    /// [`CommitError::Volumes`] passes on what `sync_volumes` says; the targets stay then, for the next start.
    pub fn commit_resources<E: std::error::Error + 'static>(
        &self,
        change: &ResourceChange,
        sync_volumes: impl FnOnce() -> Result<(), E>,
    ) -> Result<(), CommitError<E>> {
        let layout = self.layout();
        self.write_message(&layout.resource_state_target(), &change.state)?;
        if let Some(resources) = &change.resources {
            self.write_list(&layout.resources_target(), resources)?;
            sync_volumes().map_err(CommitError::Volumes)?;
            self.rename(&layout.resources_target(), &layout.resources_info())?;
        }
        self.rename(&layout.resource_state_target(), &layout.resource_state())?;
        Ok(())
    }
}
