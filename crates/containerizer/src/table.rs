//! The containers of one containerizer, by their ids: who is there, what each asks for, and where its owner is found.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use mesos_types::resource::LocalVolume;
use mesos_types::{ContainerId, TaskLimits, TaskResources};
use tokio::sync::watch;

use crate::view::{Handle, View};

/// What a container asks for, which an update changes.
#[derive(Debug, Clone)]
pub struct Amounts {
    /// What it requests.
    pub resources: TaskResources,
    /// What it may burst to.
    pub limits: TaskLimits,
}

/// A container of a table; `M` is what its containerizer needs besides to reach it.
#[derive(Debug, Clone)]
pub struct Entry<R, M> {
    view: watch::Receiver<View<R>>,
    amounts: Arc<Mutex<Amounts>>,
    /// What its containerizer knows of it.
    pub more: M,
}

/// All containers whose end was not told. One is in it from the verb that brought it until its owner forgets it.
#[derive(Debug)]
pub struct Table<R, M> {
    entries: Mutex<BTreeMap<ContainerId, Entry<R, M>>>,
}

/// An id that a container of the table has already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InUse;

impl<R: Clone, M> Entry<R, M> {
    /// A container that this view shows.
    pub fn new(view: watch::Receiver<View<R>>, amounts: Amounts, more: M) -> Self {
        Self { view, amounts: Arc::new(Mutex::new(amounts)), more }
    }

    /// What watches it.
    pub fn handle(&self) -> Handle<R> {
        Handle::new(self.view.clone())
    }

    /// What was seen of it when it started; `None` before.
    pub fn running(&self) -> Option<R> {
        self.view.borrow().running.clone()
    }

    /// What it asks for now.
    pub fn amounts(&self) -> Amounts {
        held(&self.amounts).clone()
    }

    /// Takes note of an update that was made.
    pub fn set_amounts(&self, amounts: Amounts) {
        *held(&self.amounts) = amounts;
    }
}

impl<R, M> Default for Table<R, M> {
    fn default() -> Self {
        Self { entries: Mutex::default() }
    }
}

impl<R: Clone, M: Clone> Table<R, M> {
    /// A container; `None` for an unknown id.
    pub fn get(&self, id: ContainerId) -> Option<Entry<R, M>> {
        held(&self.entries).get(&id).cloned()
    }

    /// Takes a container in.
    ///
    /// # Errors
    ///
    /// [`InUse`]; nothing has changed then.
    pub fn enter(&self, id: ContainerId, entry: Entry<R, M>) -> Result<(), InUse> {
        let mut entries = held(&self.entries);
        if entries.contains_key(&id) {
            return Err(InUse);
        }
        entries.insert(id, entry);
        Ok(())
    }

    /// Drops the container of this view: its end is about to be told. Another one under the same id stays.
    pub fn forget(&self, view: &watch::Sender<View<R>>) {
        let seen = view.subscribe();
        held(&self.entries).retain(|_, entry| !seen.same_channel(&entry.view));
    }

    /// The ids of all containers, in order.
    pub fn ids(&self) -> Vec<ContainerId> {
        held(&self.entries).keys().copied().collect()
    }

    /// Whether another container has a persistent volume too.
    pub fn is_used_beside(&self, id: ContainerId, volume: &LocalVolume) -> bool {
        let entries = held(&self.entries);
        let mut others = entries.iter().filter(|(other, _)| **other != id);
        others.any(|(_, entry)| {
            held(&entry.amounts).resources.volumes.iter().any(|used| used.volume == *volume)
        })
    }
}

/// What was held by a thread that panicked is as whole as before: each change here is one assignment.
fn held<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use mesos_proto::v1;

    use super::*;

    type Few = Table<u8, &'static str>;

    fn enter(table: &Few, id: ContainerId, more: &'static str) -> Result<watch::Sender<View<u8>>, InUse> {
        let (view, seen) = watch::channel(View::default());
        let amounts = Amounts { resources: TaskResources::default(), limits: TaskLimits::default() };
        table.enter(id, Entry::new(seen, amounts, more)).map(|()| view)
    }

    #[test]
    fn an_id_is_one_containers_until_that_one_is_forgotten() {
        let (table, id) = (Few::default(), ContainerId::random());
        let first = enter(&table, id, "first").unwrap();
        assert_eq!(enter(&table, id, "second").unwrap_err(), InUse);
        assert_eq!(table.get(id).map(|entry| entry.more), Some("first"));
        table.forget(&first);
        assert_eq!(table.ids(), []);
        let third = enter(&table, id, "third").unwrap();
        table.forget(&first);
        assert_eq!(table.ids(), [id], "what was forgotten is another one");
        third.send_modify(|view| view.running = Some(3));
        assert_eq!(table.get(id).and_then(|entry| entry.running()), Some(3));
    }

    #[test]
    fn an_update_changes_what_a_container_asks_for() {
        let (table, id) = (Few::default(), ContainerId::random());
        let _view = enter(&table, id, "").unwrap();
        let resources = TaskResources { gpus: Some(1), ..TaskResources::default() };
        let entry = table.get(id).unwrap();
        entry.set_amounts(Amounts { resources, limits: TaskLimits::default() });
        assert_eq!(table.get(id).unwrap().amounts().resources.gpus, Some(1));
    }

    fn disk_with_a_volume() -> v1::Resource {
        let persistence = v1::resource::disk_info::Persistence { id: "v".into(), principal: None };
        let volume = v1::Volume { container_path: "data".into(), ..Default::default() };
        v1::Resource {
            name: "disk".into(),
            role: Some("r".into()),
            r#type: v1::value::Type::Scalar.into(),
            scalar: Some(v1::value::Scalar { value: 64.0 }),
            disk: Some(v1::resource::DiskInfo {
                persistence: Some(persistence),
                volume: Some(volume),
                source: None,
            }),
            ..Default::default()
        }
    }

    #[test]
    fn a_volume_is_used_beside_a_container_where_another_one_has_it() {
        let (table, ids) = (Few::default(), [ContainerId::random(), ContainerId::random()]);
        let _views = ids.map(|id| enter(&table, id, "").unwrap());
        let resources = TaskResources::from_proto(&[disk_with_a_volume()]).unwrap();
        let volume = resources.volumes[0].volume.clone();
        assert!(!table.is_used_beside(ids[0], &volume));
        table.get(ids[1]).unwrap().set_amounts(Amounts { resources, limits: TaskLimits::default() });
        assert!(table.is_used_beside(ids[0], &volume));
        assert!(!table.is_used_beside(ids[1], &volume), "its own");
    }
}
