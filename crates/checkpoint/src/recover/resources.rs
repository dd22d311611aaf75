//! Checkpointed resources and operations: the form since 1.5, else the lists of before (`ResourcesState::recover`).

use mesos_proto::v1::Resource;

use super::reader::Reader;
use super::state::{CommittedResources, RecoveredResources};
use crate::dir::Dir;
use crate::error::CheckpointError;
use crate::resources::ResourceState;

impl Reader<'_> {
    pub(super) fn resources(&mut self, meta: &Dir) -> Result<RecoveredResources, CheckpointError> {
        let Some(dir) = self.child(meta, "resources")? else { return Ok(RecoveredResources::default()) };
        self.sweep(&dir, |_| ())?;
        let state = self.resource_state(&dir, "resources_and_operations.state")?;
        let target = self.resource_state(&dir, "resources_and_operations.target")?;
        if state.is_some() || target.is_some() {
            // Without a state the target is that of the first commit of a newer agent over an old list.
            let committed = match state {
                Some(state) => Some(CommittedResources::State(state)),
                None => self.resource_list(&dir, "resources.info")?.map(CommittedResources::List),
            };
            return Ok(RecoveredResources { committed, target });
        }
        let committed = self.resource_list(&dir, "resources.info")?.map(CommittedResources::List);
        let target = self
            .resource_list(&dir, "resources.target")?
            .map(|resources| ResourceState { operations: Vec::new(), resources });
        Ok(RecoveredResources { committed, target })
    }

    fn resource_state(
        &mut self,
        dir: &Dir,
        name: &'static str,
    ) -> Result<Option<ResourceState>, CheckpointError> {
        self.message(dir, name, "ResourceState", |_| Ok(()))
    }

    fn resource_list(
        &mut self,
        dir: &Dir,
        name: &'static str,
    ) -> Result<Option<Vec<Resource>>, CheckpointError> {
        let mut resources = Vec::new();
        let found = self.records(dir, name, |resource: Resource| match resource.name.as_str() {
            "" => Err("a resource has no name".to_owned()),
            _ => {
                resources.push(resource);
                Ok(())
            }
        })?;
        Ok(found.then_some(resources))
    }
}
