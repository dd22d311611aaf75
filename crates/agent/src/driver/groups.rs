//! Control groups that an agent left behind which was killed, with what is still in them.

use std::collections::BTreeSet;

use docker_containerizer::chain;
use mesos_containerizer::Containerizer;
use mesos_types::ContainerId;
use task_supervisor::Supervisor;

/// Empties and removes the groups of ours that no container of this agent has. `carried` are the runs that are being taken
/// over, `known` the runs of the checkpoint; what a supervisor has already is carried too. It goes on behind.
pub(super) fn sweep(
    supervisor: &Supervisor,
    mut carried: BTreeSet<ContainerId>,
    known: BTreeSet<ContainerId>,
) {
    let Some(mesos) = supervisor.containerizer().mesos().cloned() else { return };
    carried.extend(mesos.containers());
    tokio::spawn(async move { swept(&mesos, &carried, &known).await });
}

async fn swept(mesos: &Containerizer, carried: &BTreeSet<ContainerId>, known: &BTreeSet<ContainerId>) {
    let swept = mesos.containment().sweep(carried, |id| known.contains(&id)).await;
    for container_id in swept.removed {
        tracing::info!(%container_id, "what was left in the control groups of an earlier process was killed");
    }
    for error in swept.left {
        tracing::warn!(error = chain(&error), "control groups of an earlier process are left");
    }
}

/// Removes the groups of a container that was never started.
pub(super) async fn remove(supervisor: &Supervisor, container_id: ContainerId) {
    let Some(mesos) = supervisor.containerizer().mesos() else { return };
    if let Err(error) = mesos.containment().adopt(container_id, None).remove().await {
        tracing::warn!(%container_id, error = chain(&error), "control groups of an earlier process are left");
    }
}
