//! Containers of the engine that are ours and that nobody carries on: when each is removed.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use docker_containerizer::recover::Found;
use docker_containerizer::{Checkpoint, Containerizer};
use mesos_types::ContainerId;
use task_supervisor::{RecordStore, RunLayout};
use tokio::time::{Instant, sleep_until};

/// What becomes of containers of ours that are in no checkpoint (`--docker_kill_orphans`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Orphans {
    Removed,
    Left,
}

/// Removes containers when their time has come. May be dropped.
pub(super) async fn remove(containerizer: Containerizer, leftovers: Vec<(String, Instant)>) {
    for (engine_id, when) in leftovers {
        sleep_until(when).await;
        if let Err(error) = containerizer.remove_orphan(&engine_id).await {
            tracing::warn!(engine_id, error, "a container of an earlier process was not removed");
        }
    }
}

/// The containers that nobody carries, with the time of their removal, the earliest first. Those of frameworks without
/// checkpoints go at once whatever the flag says: the master has given their tasks up.
pub(super) fn leftovers(
    found: &[Found],
    carried: &BTreeSet<ContainerId>,
    work_dir: &Path,
    orphans: Orphans,
) -> Vec<(String, Instant)> {
    let now = Instant::now();
    let mut leftovers = Vec::new();
    for found in found.iter().filter(|found| !carried.contains(&found.container_id)) {
        let is_transient = found.labels.as_ref().is_some_and(|labels| labels.checkpoint == Checkpoint::No);
        let planned = if is_transient { None } else { planned_removal(found, work_dir) };
        match planned {
            Some(left) => leftovers.push((found.engine_id.clone(), now + left)),
            None if is_transient || orphans == Orphans::Removed => {
                leftovers.push((found.engine_id.clone(), now));
            }
            None => tracing::info!(container = found.name, "an orphan is left: --no-docker_kill_orphans"),
        }
    }
    leftovers.sort_by_key(|(_, when)| *when);
    leftovers
}

/// How long a stopped container is still kept for people to look at, as its record says.
fn planned_removal(found: &Found, work_dir: &Path) -> Option<Duration> {
    if found.state == "running" {
        return None;
    }
    let identity = &found.labels.as_ref()?.identity;
    let layout = RunLayout::of(work_dir, identity);
    let removal = RecordStore::new(layout.state()).read().ok()?.removal_ns?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).ok()?;
    Some(Duration::from_nanos(removal).saturating_sub(now))
}
