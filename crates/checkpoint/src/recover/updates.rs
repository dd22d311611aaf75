//! The streams of status updates (`TaskState::recover`, `OperationStatusUpdateManager`'s recovery).

use std::collections::HashMap;

use uuid::Uuid;

use super::reader::Reader;
use super::state::RecoveredUpdates;
use crate::dir::Dir;
use crate::error::CheckpointError;
use crate::stream::{StreamRecord, Streamed};

impl Reader<'_> {
    /// Reads a stream; a missing one is empty. `check` says what is wrong with an update.
    pub(super) fn updates<U: Streamed>(
        &mut self,
        dir: &Dir,
        name: &'static str,
        check: impl Fn(&U) -> Result<(), String>,
    ) -> Result<RecoveredUpdates<U>, CheckpointError> {
        let mut found = RecoveredUpdates::default();
        let mut places: HashMap<Uuid, usize> = HashMap::new();
        self.records(dir, name, |wire: U::Wire| {
            match U::from_wire(wire)? {
                StreamRecord::Update(update) => {
                    check(&update)?;
                    if let Some(uuid) = update.update_id() {
                        places.entry(uuid).or_insert(found.updates.len());
                    }
                    found.updates.push(update);
                }
                StreamRecord::Acknowledged(uuid) => {
                    found.acknowledged.insert(uuid);
                    let place = places.get(&uuid).copied();
                    if let Some(update) = place.and_then(|place| found.updates.get_mut(place)) {
                        update.shrink();
                    }
                }
            }
            Ok(())
        })?;
        Ok(found)
    }
}
