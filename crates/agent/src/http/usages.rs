//! What containers use, read for many clients at once.

use std::collections::HashMap;
use std::fmt;
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use docker_containerizer::Usage;
use mesos_proto::v1;
use mesos_types::ContainerId;
use tokio::sync::Semaphore;
use tokio::time::Instant;

use super::views::{ContainerEntry, resource_statistics};

/// Reads what a container uses from its control groups: short, blocking, and without the engine. An error is a chain of
/// causes.
pub type ReadUsage = Box<dyn Fn(ContainerId) -> Result<Usage, String> + Send + Sync>;

/// What containers use, remembered for a moment. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Usages {
    inner: Arc<Inner>,
}

struct Inner {
    read: OnceLock<ReadUsage>,
    permits: Semaphore,
    age: Duration,
    seen: Mutex<HashMap<ContainerId, (Instant, v1::ResourceStatistics)>>,
}

impl Usages {
    /// Reads at most `parallel` at once, and takes what is not older than `age` for new.
    pub fn new(parallel: NonZeroUsize, age: Duration) -> Self {
        let permits = Semaphore::new(parallel.get().min(Semaphore::MAX_PERMITS));
        let seen = Mutex::default();
        Self { inner: Arc::new(Inner { read: OnceLock::new(), permits, age, seen }) }
    }

    /// Says how it is read, once the containerizer is there. Before, no container has a usage. A second call changes
    /// nothing.
    pub fn connect(&self, read: ReadUsage) {
        let _ = self.inner.read.set(read);
    }

    /// What each of the containers uses, where it could be read.
    pub(super) async fn of(
        &self,
        entries: Vec<ContainerEntry>,
    ) -> Vec<(ContainerEntry, Option<v1::ResourceStatistics>)> {
        self.forget_old();
        let mut reads = Vec::with_capacity(entries.len());
        for entry in entries {
            let id = entry.container_id;
            let this = self.clone();
            reads.push((entry, tokio::spawn(async move { this.one(id).await })));
        }
        let mut read = Vec::with_capacity(reads.len());
        for (entry, usage) in reads {
            read.push((entry, usage.await.ok().flatten()));
        }
        read
    }

    async fn one(&self, id: ContainerId) -> Option<v1::ResourceStatistics> {
        // Whoever waited for a permit may find that another has read it meanwhile.
        let _permit = self.inner.permits.acquire().await.ok()?;
        if let Some((_, seen)) = self.seen().get(&id) {
            return Some(seen.clone());
        }
        let inner = self.inner.clone();
        let read =
            tokio::task::spawn_blocking(move || inner.read.get().map(|read| read(id))).await.ok()??;
        match read {
            Ok(usage) => {
                let statistics = resource_statistics(&usage);
                self.seen().insert(id, (Instant::now(), statistics.clone()));
                Some(statistics)
            }
            Err(why) => {
                tracing::debug!(container_id = %id, why, "no usage for the statistics");
                None
            }
        }
    }

    /// Keeps nothing that is too old, and so nothing of containers that are gone.
    fn forget_old(&self) {
        let now = Instant::now();
        self.seen().retain(|_, (at, _)| now.saturating_duration_since(*at) < self.inner.age);
    }

    fn seen(&self) -> std::sync::MutexGuard<'_, HashMap<ContainerId, (Instant, v1::ResourceStatistics)>> {
        self.inner.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Inner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inner").field("age", &self.age).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;
    use crate::http::views::entry;

    const AGE: Duration = Duration::from_millis(500);

    fn four() -> NonZeroUsize {
        NonZeroUsize::new(4).unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn a_usage_is_read_once_for_many_and_again_when_it_is_old() {
        let usages = Usages::new(four(), AGE);
        let reads = Arc::new(AtomicUsize::new(0));
        let entries: Vec<_> = (0..10).map(|_| entry(ContainerId::random())).collect();
        let none = usages.of(entries.clone()).await;
        assert!(none.iter().all(|(_, usage)| usage.is_none()), "nothing is connected yet");
        let count = reads.clone();
        usages.connect(Box::new(move |_| {
            count.fetch_add(1, Ordering::SeqCst);
            Ok(Usage { mem_rss_bytes: 7, ..Usage::default() })
        }));
        for expected in [10, 10] {
            let read = usages.of(entries.clone()).await;
            assert!(read.iter().all(|(_, usage)| usage.as_ref().unwrap().mem_rss_bytes() == 7));
            assert_eq!(reads.load(Ordering::SeqCst), expected);
        }
        tokio::time::sleep(AGE).await;
        usages.of(entries[..3].to_vec()).await;
        assert_eq!(reads.load(Ordering::SeqCst), 13);
        assert_eq!(usages.seen().len(), 3);
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn at_most_so_many_are_read_at_once() {
        let usages = Usages::new(four(), Duration::ZERO);
        let (now, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let (count, peak) = (now.clone(), most.clone());
        usages.connect(Box::new(move |_| {
            peak.fetch_max(count.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            std::thread::yield_now();
            count.fetch_sub(1, Ordering::SeqCst);
            Ok(Usage::default())
        }));
        usages.of((0..200).map(|_| entry(ContainerId::random())).collect()).await;
        assert!((1..=4).contains(&most.load(Ordering::SeqCst)));
    }

    #[tokio::test]
    async fn one_that_fails_or_panics_does_not_spoil_the_others() {
        let usages = Usages::new(four(), AGE);
        let ids = [ContainerId::random(), ContainerId::random(), ContainerId::random()];
        usages.connect(Box::new(move |id| match id {
            id if id == ids[0] => Err("unknown".into()),
            id if id == ids[1] => panic!("a bug"),
            _ => Ok(Usage::default()),
        }));
        let read = usages.of(ids.map(entry).to_vec()).await;
        assert_eq!(read.iter().map(|(_, usage)| usage.is_some()).collect::<Vec<_>>(), [false, false, true]);
    }
}
