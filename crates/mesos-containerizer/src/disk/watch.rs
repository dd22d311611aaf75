//! One walker for all containers, one directory after the other.
//!
//! ```text
//! watch ─► table ◄── walker: every interval, each container in turn ─► used, exceeded
//! forget ─►      (ends with the last container, begins again with the next)
//! ```

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use containerizer::{Limitation, chain};
use mesos_types::{ContainerId, TaskResources};
use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval};

use super::quota::{Quota, quotas};
use super::walk::{Measured, Stop, measure};
use crate::isolation::{DiskSettings, Enforcement};

/// What the containers of this agent take of the disk. Clones are the same.
#[derive(Debug, Clone)]
pub(crate) struct DiskWatch {
    settings: DiskSettings,
    table: Arc<Mutex<Table>>,
}

#[derive(Debug, Default)]
struct Table {
    containers: HashMap<ContainerId, Watched>,
    walks: bool,
}

#[derive(Debug)]
struct Watched {
    sandbox: PathBuf,
    work_dir: PathBuf,
    quotas: Vec<Quota>,
    /// What the sandbox took when it was last looked at.
    used: Option<u64>,
    exceeded: watch::Sender<Option<Limitation>>,
    stop: Stop,
}

impl DiskWatch {
    pub(crate) fn new(settings: DiskSettings) -> Self {
        Self { settings, table: Arc::default() }
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins to look at a container; in a runtime.
    pub(crate) fn watch(&self, id: ContainerId, sandbox: &Path, work_dir: &Path, requests: &TaskResources) {
        let watched = Watched {
            sandbox: sandbox.to_owned(),
            work_dir: work_dir.to_owned(),
            quotas: quotas(sandbox, work_dir, requests),
            used: None,
            exceeded: watch::Sender::new(None),
            stop: Stop::default(),
        };
        let mut table = self.table();
        table.containers.insert(id, watched);
        if !std::mem::replace(&mut table.walks, true) {
            tokio::spawn(walk(Arc::downgrade(&self.table), self.settings));
        }
    }

    /// Takes new resources into account.
    pub(crate) fn change(&self, id: ContainerId, requests: &TaskResources) {
        if let Some(watched) = self.table().containers.get_mut(&id) {
            watched.quotas = quotas(&watched.sandbox, &watched.work_dir, requests);
        }
    }

    /// Looks at a container no longer.
    pub(crate) fn forget(&self, id: ContainerId) {
        if let Some(watched) = self.table().containers.remove(&id) {
            watched.stop.stop();
        }
    }

    /// What the sandbox took when it was last looked at, in bytes.
    pub(crate) fn used(&self, id: ContainerId) -> Option<u64> {
        self.table().containers.get(&id)?.used
    }

    /// Whether a container has been found to take more than it may.
    pub(crate) fn exceeded_now(&self, id: ContainerId) -> Option<Limitation> {
        *self.table().containers.get(&id)?.exceeded.borrow()
    }

    /// Waits until a container is found to take more than it may; for ever, if nobody looks or nothing follows from it.
    pub(crate) async fn exceeded(&self, id: ContainerId) -> Limitation {
        let receiver = self.table().containers.get(&id).map(|watched| watched.exceeded.subscribe());
        if let Some(mut receiver) = receiver
            && let Ok(seen) = receiver.wait_for(Option::is_some).await
            && let Some(limitation) = *seen
        {
            return limitation;
        }
        std::future::pending().await
    }
}

/// Looks at every container in turn, until there is none or nobody asks any more.
async fn walk(table: Weak<Mutex<Table>>, settings: DiskSettings) {
    let mut ticks = interval(settings.interval);
    // A round that takes longer than the interval is followed by a pause all the same.
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks.tick().await;
    loop {
        ticks.tick().await;
        let ids: Vec<ContainerId> = {
            let Some(table) = table.upgrade() else { return };
            let mut table = table.lock().unwrap_or_else(PoisonError::into_inner);
            if table.containers.is_empty() {
                table.walks = false;
                return;
            }
            table.containers.keys().copied().collect()
        };
        for id in ids {
            look(&table, id, settings).await;
        }
    }
}

/// Ends a walk that nobody waits for any more: a runtime that shuts down waits for its blocking threads.
struct StopOnDrop(Option<Stop>);

impl Drop for StopOnDrop {
    fn drop(&mut self) {
        if let Some(stop) = &self.0 {
            stop.stop();
        }
    }
}

/// Looks at one container.
async fn look(table: &Weak<Mutex<Table>>, id: ContainerId, settings: DiskSettings) {
    let order = with(table, id, |watched| (watched.quotas.clone(), watched.stop.clone()));
    let Some((quotas, stop)) = order else { return };
    let mut ends_with_us = StopOnDrop(Some(stop.clone()));
    let measured = tokio::task::spawn_blocking(move || {
        let each = |quota: Quota| (measure(&quota.directory, &stop), quota);
        quotas.into_iter().map(each).collect::<Vec<_>>()
    });
    let Ok(measured) = measured.await else { return };
    // Its end is that of the walk.
    ends_with_us.0 = None;
    for (at, (found, quota)) in measured.into_iter().enumerate() {
        let found = match found {
            Ok(found) => found,
            Err(error) => {
                let directory = quota.directory.display();
                tracing::debug!(container_id = %id, %directory, error = chain(&error), "cannot add up a directory");
                continue;
            }
        };
        with(table, id, |watched| {
            if at == 0 {
                watched.used = Some(found.bytes());
            }
            if let Some(limitation) = over(found, &quota)
                && settings.enforcement == Enforcement::Destroy
            {
                watched.exceeded.send_if_modified(|seen| {
                    let is_first = seen.is_none();
                    seen.get_or_insert(limitation);
                    is_first
                });
            }
        });
    }
}

fn with<T>(table: &Weak<Mutex<Table>>, id: ContainerId, of: impl FnOnce(&mut Watched) -> T) -> Option<T> {
    let table = table.upgrade()?;
    let mut table = table.lock().unwrap_or_else(PoisonError::into_inner);
    table.containers.get_mut(&id).map(of)
}

/// Whether a directory takes more than it may.
fn over(found: Measured, quota: &Quota) -> Option<Limitation> {
    let allowed = quota.bytes?;
    (found.bytes() > allowed).then(|| Limitation::Disk { used: found.bytes(), quota: allowed })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use mesos_types::Megabytes;
    use tokio::time::timeout;

    use super::*;

    const SOON: Duration = Duration::from_secs(20);

    fn settings(enforcement: Enforcement) -> DiskSettings {
        DiskSettings { interval: Duration::from_millis(20), enforcement }
    }

    fn megabytes(disk: u64) -> TaskResources {
        TaskResources { disk: Some(Megabytes(disk)), ..TaskResources::default() }
    }

    #[tokio::test]
    async fn a_sandbox_that_grows_over_its_quota_is_told() {
        let sandbox = tempfile::tempdir().unwrap();
        let watch = DiskWatch::new(settings(Enforcement::Destroy));
        let id = ContainerId::random();
        watch.watch(id, sandbox.path(), Path::new("/w"), &megabytes(1));
        assert_eq!(watch.exceeded_now(id), None);
        std::fs::write(sandbox.path().join("data"), vec![1; 2 << 20]).unwrap();
        let limitation = timeout(SOON, watch.exceeded(id)).await.unwrap();
        let Limitation::Disk { used, quota } = limitation else { panic!("{limitation:?}") };
        assert!(used >= 2 << 20 && quota == 1 << 20, "{used} of {quota}");
        assert_eq!(watch.exceeded_now(id), Some(limitation));
        assert!(watch.used(id).unwrap() >= 2 << 20);
        watch.forget(id);
        assert_eq!((watch.used(id), watch.exceeded_now(id)), (None, None));
    }

    #[tokio::test]
    async fn what_is_only_reported_has_no_consequence() {
        let sandbox = tempfile::tempdir().unwrap();
        std::fs::write(sandbox.path().join("data"), vec![1; 2 << 20]).unwrap();
        let watch = DiskWatch::new(settings(Enforcement::Report));
        let id = ContainerId::random();
        watch.watch(id, sandbox.path(), Path::new("/w"), &megabytes(1));
        let seen = timeout(SOON, async {
            while watch.used(id).is_none() {
                tokio::task::yield_now().await;
            }
        });
        seen.await.unwrap();
        assert_eq!(watch.exceeded_now(id), None);
    }

    #[tokio::test]
    async fn the_walker_ends_with_the_last_container_and_begins_again() {
        let sandbox = tempfile::tempdir().unwrap();
        std::fs::write(sandbox.path().join("data"), vec![1; 2 << 20]).unwrap();
        let watch = DiskWatch::new(settings(Enforcement::Destroy));
        let first = ContainerId::random();
        watch.watch(first, sandbox.path(), Path::new("/w"), &megabytes(64));
        watch.forget(first);
        let ended = timeout(SOON, async {
            while watch.table().walks {
                tokio::task::yield_now().await;
            }
        });
        ended.await.unwrap();
        let second = ContainerId::random();
        watch.watch(second, sandbox.path(), Path::new("/w"), &megabytes(64));
        watch.change(second, &megabytes(1));
        timeout(SOON, watch.exceeded(second)).await.unwrap();
    }

    /// A sandbox may take hours to add up.
    #[test]
    fn a_runtime_that_shuts_down_waits_for_no_walk() {
        let sandbox = tempfile::tempdir().unwrap();
        for number in 0..2000 {
            std::fs::write(sandbox.path().join(number.to_string()), "").unwrap();
        }
        let stop = Stop::default();
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
        let (begun, begins) = std::sync::mpsc::channel();
        let (directory, walks) = (sandbox.path().to_owned(), stop.clone());
        runtime.spawn(async move {
            let _ends_with_us = StopOnDrop(Some(walks.clone()));
            let walk = tokio::task::spawn_blocking(move || {
                begun.send(()).unwrap();
                // Over and over: it ends only when it is stopped.
                while matches!(measure(&directory, &walks), Ok(Measured::Bytes(_))) {}
            });
            let _ = walk.await;
        });
        begins.recv_timeout(SOON).unwrap();
        drop(runtime);
        assert!(matches!(measure(sandbox.path(), &stop), Ok(Measured::AtLeast(_))));
    }
}
