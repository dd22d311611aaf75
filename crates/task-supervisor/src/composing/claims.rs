//! The ids of launches that no member has yet: a destroy that comes meanwhile must not be lost.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use mesos_types::ContainerId;

/// Where a launch is that no member has yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Members are asked.
    Launching,
    /// It was destroyed meanwhile.
    Destroyed,
}

/// The launches that no member has yet.
#[derive(Debug, Default)]
pub(super) struct Claims {
    table: BTreeMap<ContainerId, State>,
}

/// A launch that no member has yet; the id is free again when this is dropped.
#[derive(Debug)]
pub struct Launching {
    id: ContainerId,
    claims: Arc<Mutex<Claims>>,
}

impl Claims {
    /// Whether the id was free; it is taken from now on.
    pub(super) fn claim(&mut self, id: ContainerId) -> bool {
        match self.table.entry(id) {
            Entry::Vacant(free) => {
                free.insert(State::Launching);
                true
            }
            Entry::Occupied(_) => false,
        }
    }

    /// Notes that the launch of this id is to end; one that is not known needs no end.
    pub(super) fn destroy(&mut self, id: ContainerId) {
        if let Some(state) = self.table.get_mut(&id) {
            *state = State::Destroyed;
        }
    }

    /// Whether the launch of this id was destroyed.
    pub(super) fn is_destroyed(&self, id: ContainerId) -> bool {
        self.table.get(&id) == Some(&State::Destroyed)
    }
}

impl Launching {
    /// A launch whose id was claimed in `claims`.
    pub(super) fn new(id: ContainerId, claims: Arc<Mutex<Claims>>) -> Self {
        Self { id, claims }
    }

    /// The container that is launched.
    pub fn id(&self) -> ContainerId {
        self.id
    }

    /// Whether it was destroyed meanwhile.
    pub fn is_destroyed(&self) -> bool {
        lock(&self.claims).is_destroyed(self.id)
    }
}

impl Drop for Launching {
    fn drop(&mut self) {
        lock(&self.claims).table.remove(&self.id);
    }
}

pub(super) fn lock(claims: &Mutex<Claims>) -> MutexGuard<'_, Claims> {
    claims.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claimed(claims: &Arc<Mutex<Claims>>, id: ContainerId) -> Option<Launching> {
        lock(claims).claim(id).then(|| Launching::new(id, claims.clone()))
    }

    #[test]
    fn an_id_is_claimed_once_until_it_is_free_again() {
        let claims = Arc::new(Mutex::new(Claims::default()));
        let (one, other) = (ContainerId::random(), ContainerId::random());
        let first = claimed(&claims, one).unwrap();
        assert!(claimed(&claims, one).is_none());
        assert!(claimed(&claims, other).is_some());
        drop(first);
        assert!(claimed(&claims, one).is_some());
    }

    #[test]
    fn a_destroy_reaches_the_launch_of_its_id_alone_and_is_over_with_it() {
        let claims = Arc::new(Mutex::new(Claims::default()));
        let (one, other) = (ContainerId::random(), ContainerId::random());
        let (first, second) = (claimed(&claims, one).unwrap(), claimed(&claims, other).unwrap());
        lock(&claims).destroy(one);
        lock(&claims).destroy(ContainerId::random());
        assert!(first.is_destroyed() && !second.is_destroyed());
        drop(first);
        assert!(!claimed(&claims, one).unwrap().is_destroyed());
    }
}
